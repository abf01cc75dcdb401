using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>How the WebSockets of one path behave. What is null is taken from <see cref="CivetWebServerOptions.WebSockets"/>.</summary>
public sealed class WebSocketEndpointOptions
{
    /// <summary>
    /// The subprotocols the path speaks (RFC 6455, section 1.9); the first the client asks for that is among them is agreed
    /// on. Each is a token (RFC 9110, section 5.6.2). Empty: those of <see cref="CivetWebServerOptions.WebSockets"/>.
    /// </summary>
    public IList<string> Subprotocols { get; } = [];

    /// <summary>
    /// Origins (RFC 6454) whose pages may open the WebSocket: <c>scheme://host[:port]</c>, such as
    /// <c>https://example.org</c>; <c>*</c> is every one. Null: only pages of this server itself, that is of the host and
    /// port of the Host header. Clients that send no Origin (programs, not browsers) are let in; all others get 403.
    /// </summary>
    /// <remarks>
    /// Of the server's own pages, over TLS only those of <c>https</c> are meant. Without TLS those of <c>http</c> and
    /// <c>https</c> are: a proxy may have ended the TLS. Name the origin where that is too much. A page that has no origin
    /// (<c>null</c>: a sandboxed frame, a file) is let in by <c>*</c> alone.
    /// </remarks>
    public IList<string>? AllowedOrigins { get; set; }

    /// <summary>
    /// Asked before the WebSocket is opened; may reject it, or add headers and cookies to the 101 response. The connection
    /// waits until its task is done; an exception is reported and answered with 500. <see cref="HandshakeAuthentication"/>
    /// has some ready-made.
    /// </summary>
    public Func<WebSocketHandshake, Task>? OnHandshake { get; set; }

    /// <summary>
    /// How long the task of <see cref="OnHandshake"/> may take; then the client gets 503. 10 s unless set. Code that
    /// blocks instead of awaiting cannot be interrupted.
    /// </summary>
    public TimeSpan? HandshakeTimeout { get; set; }

    /// <summary>
    /// How many WebSockets may be open at one path; more are refused with 503. 1 or more; no limit unless set, but that of
    /// the server holds in any case.
    /// </summary>
    public int? MaxConnections { get; set; }

    /// <summary>Bytes of a message, inflated and with all its fragments. A larger one is refused with 1009. 1 or more; 16 MiB unless set.</summary>
    public int? MaxMessageSize { get; set; }

    /// <summary>After so much silence of the client it is sent a ping; <see cref="System.Threading.Timeout.InfiniteTimeSpan"/>: never. 30 s unless set.</summary>
    public TimeSpan? KeepAliveInterval { get; set; }

    /// <summary>A client that does not answer a ping for so long is cut off. 20 s unless set.</summary>
    public TimeSpan? KeepAliveTimeout { get; set; }

    /// <summary>A frame that has begun must go on: at least 4096 bytes, or its end, in this time. 20 s unless set.</summary>
    public TimeSpan? FrameTimeout { get; set; }

    /// <summary>
    /// How long a send waits for a client that does not read, that is, takes less than 4096 bytes in this time; then the
    /// connection is cut. A client that goes on reading gets its message, however large. 10 s unless set.
    /// </summary>
    public TimeSpan? SendTimeout { get; set; }

    /// <summary>How long to wait for the client's half of the closing. 5 s unless set.</summary>
    public TimeSpan? CloseTimeout { get; set; }

    /// <summary>
    /// Offers permessage-deflate (RFC 7692). Dangerous: an attacker who can mix text of his own with secrets in one
    /// compressed message, and sees its size, can guess the secrets (CRIME, BREACH); and every connection needs up to
    /// 300 KiB more memory. Null: no compression.
    /// </summary>
    public DangerousDeflateOptions? DangerousDeflate { get; set; }

    /// <summary>The same values in an object that nobody else knows.</summary>
    internal WebSocketEndpointOptions Copy()
    {
        var copy = new WebSocketEndpointOptions
        {
            AllowedOrigins = AllowedOrigins is null ? null : [.. AllowedOrigins],
            OnHandshake = OnHandshake,
            HandshakeTimeout = HandshakeTimeout,
            MaxConnections = MaxConnections,
            MaxMessageSize = MaxMessageSize,
            KeepAliveInterval = KeepAliveInterval,
            KeepAliveTimeout = KeepAliveTimeout,
            FrameTimeout = FrameTimeout,
            SendTimeout = SendTimeout,
            CloseTimeout = CloseTimeout,
            DangerousDeflate = DangerousDeflate?.Copy(),
        };
        foreach (string subprotocol in Subprotocols)
        {
            copy.Subprotocols.Add(subprotocol);
        }

        return copy;
    }
}
