using System;
using System.Threading.Tasks;

namespace CivetWeb.Net;

/// <summary>
/// How the WebSockets of one path behave, or, as <see cref="CivetWebServerOptions.WebSockets"/>, those of all paths.
/// </summary>
/// <remarks>
/// An option that is null has the value it has in <see cref="CivetWebServerOptions.WebSockets"/>; where it is null there too, the
/// default named here. Any other value is used as it is, so a path can switch off what the server switches on: by an empty list, by
/// <see cref="System.Threading.Timeout.InfiniteTimeSpan"/>, by <see cref="int.MaxValue"/>, by <see cref="DangerousDeflateOptions.Enabled"/>, or by
/// a handshake that accepts everybody, <c>_ => Task.CompletedTask</c>.
/// </remarks>
public sealed class WebSocketEndpointOptions
{
    /// <summary>
    /// The subprotocols that the path speaks (RFC 6455, section 1.9). The first one that the client asks for and that is in this list
    /// is agreed on. Each is a token (RFC 9110, section 5.6.2). Empty: none. None unless set.
    /// </summary>
    public OptionList? Subprotocols { get; set; }

    /// <summary>
    /// Origins (RFC 6454) whose pages may open the WebSocket: <c>scheme://host[:port]</c>, such as <c>https://example.org</c>;
    /// <c>self</c> for pages of this server, that is of the host and port in the Host header; <c>*</c> for every page. Empty: no
    /// pages at all. <c>self</c> unless set. Clients that send no Origin (programs, not browsers) are always let in; all others
    /// get 403.
    /// </summary>
    /// <remarks>
    /// Over TLS, <c>self</c> means pages of <c>https</c> only. Without TLS it means those of <c>http</c> and <c>https</c>, because a
    /// proxy may have ended the TLS; name the origin where that is too much. A page without an origin (<c>null</c>: a sandboxed
    /// frame, a file) is let in by <c>*</c> only.
    /// </remarks>
    public OptionList? AllowedOrigins { get; set; }

    /// <summary>
    /// Called before the WebSocket is opened. It may reject the client, or add headers and cookies to the 101 response. The
    /// client waits until its task has completed; an exception is logged and answered with 500.
    /// <see cref="HandshakeAuthentication"/> has ready-made ones. None unless set.
    /// </summary>
    public Func<WebSocketHandshake, Task>? OnHandshake { get; set; }

    /// <summary>
    /// How long the task of <see cref="OnHandshake"/> may take; then the client gets 503. 1 ms to 24 days, or
    /// <see cref="System.Threading.Timeout.InfiniteTimeSpan"/>; 10 s unless set. Code that blocks instead of awaiting cannot be interrupted.
    /// </summary>
    public TimeSpan? HandshakeTimeout { get; set; }

    /// <summary>
    /// How many WebSockets may be open at one path; more are refused with 503. 1 or more; <see cref="int.MaxValue"/> unless set. The
    /// limit of the server (<see cref="CivetWebServerOptions.MaxConnections"/>) applies in any case.
    /// </summary>
    public int? MaxConnections { get; set; }

    /// <summary>
    /// The largest message, in bytes: all its fragments together, after inflating. A larger one is refused with 1009. 1 or more;
    /// 16 MiB unless set.
    /// </summary>
    public int? MaxMessageSize { get; set; }

    /// <summary>
    /// A client that has been silent this long is sent a ping. 1 ms to 24 days, or
    /// <see cref="System.Threading.Timeout.InfiniteTimeSpan"/> for no pings; 30 s unless set.
    /// </summary>
    public TimeSpan? KeepAliveInterval { get; set; }

    /// <summary>
    /// How long a client may take to answer a ping; then it is disconnected. 1 ms to 24 days, or
    /// <see cref="System.Threading.Timeout.InfiniteTimeSpan"/>; 20 s unless set.
    /// </summary>
    public TimeSpan? KeepAliveTimeout { get; set; }

    /// <summary>
    /// A frame that has begun must go on: at least 4096 bytes, or its end, must arrive in this time. 1 ms to 24 days, or
    /// <see cref="System.Threading.Timeout.InfiniteTimeSpan"/>; 20 s unless set.
    /// </summary>
    public TimeSpan? FrameTimeout { get; set; }

    /// <summary>
    /// How long a send waits for a client that does not read, that is, takes less than 4096 bytes in this time; then the
    /// client is disconnected. A client that keeps reading gets its message, however large. 1 ms to 24 days, or
    /// <see cref="System.Threading.Timeout.InfiniteTimeSpan"/>; 10 s unless set.
    /// </summary>
    public TimeSpan? SendTimeout { get; set; }

    /// <summary>
    /// How long the server waits for the client to answer a close frame. 1 ms to 24 days, or
    /// <see cref="System.Threading.Timeout.InfiniteTimeSpan"/>; 5 s unless set.
    /// </summary>
    public TimeSpan? CloseTimeout { get; set; }

    /// <summary>
    /// Offers permessage-deflate (RFC 7692). Dangerous: an attacker who can mix text of their own with secrets in one
    /// compressed message, and sees its size, can guess the secrets (CRIME, BREACH); and every connection needs up to
    /// 300 KiB more memory. No compression unless set.
    /// </summary>
    public DangerousDeflateOptions? DangerousDeflate { get; set; }

    /// <summary>An independent copy.</summary>
    internal WebSocketEndpointOptions Copy()
    {
        var copy = (WebSocketEndpointOptions)MemberwiseClone();
        copy.Subprotocols = Subprotocols is null ? null : [.. Subprotocols];
        copy.AllowedOrigins = AllowedOrigins is null ? null : [.. AllowedOrigins];
        copy.DangerousDeflate = DangerousDeflate?.Copy();
        return copy;
    }
}
