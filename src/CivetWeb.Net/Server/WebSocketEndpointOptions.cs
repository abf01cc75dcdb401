using System;
using System.Collections.Generic;
using System.Threading.Tasks;

namespace CivetWeb.Net;

/// <summary>How the WebSockets of one path behave. What is null is taken from <see cref="CivetWebServerOptions.WebSockets"/>.</summary>
public sealed class WebSocketEndpointOptions
{
    /// <summary>The subprotocols the path speaks (RFC 6455, section 1.9); the first the client asks for that is among them is agreed on.</summary>
    public IList<string> Subprotocols { get; } = [];

    /// <summary>
    /// Origins whose pages may open the WebSocket, such as <c>https://example.org</c>; <c>*</c> is every one. Null: only
    /// pages of this server itself (their origin's host and port are those of the Host header). Clients that send no
    /// Origin (programs, not browsers) are let in.
    /// </summary>
    public IList<string>? AllowedOrigins { get; set; }

    /// <summary>Asked before the WebSocket is opened; may reject it, or add headers and cookies to the 101 response.</summary>
    public Func<WebSocketHandshake, Task>? OnHandshake { get; set; }

    /// <summary>Bytes of a message, inflated and with all its fragments. A larger one is refused with 1009. 1 or more; 16 MiB unless set.</summary>
    public int? MaxMessageSize { get; set; }

    /// <summary>After so much silence of the client it is sent a ping; <see cref="System.Threading.Timeout.InfiniteTimeSpan"/>: never. 30 s unless set.</summary>
    public TimeSpan? KeepAliveInterval { get; set; }

    /// <summary>A client that does not answer a ping for so long is cut off. 20 s unless set.</summary>
    public TimeSpan? KeepAliveTimeout { get; set; }

    /// <summary>A frame that has begun must go on: at least 4096 bytes, or its end, in this time. 20 s unless set.</summary>
    public TimeSpan? FrameTimeout { get; set; }

    /// <summary>How long one send may wait for a client that does not read; then the connection is cut. 10 s unless set.</summary>
    public TimeSpan? SendTimeout { get; set; }

    /// <summary>How long to wait for the client's half of the closing. 5 s unless set.</summary>
    public TimeSpan? CloseTimeout { get; set; }

    /// <summary>
    /// Offers permessage-deflate (RFC 7692). Dangerous: an attacker who can mix text of his own with secrets in one
    /// compressed message, and sees its size, can guess the secrets (CRIME, BREACH); and every connection needs up to
    /// 300 KiB more memory. Null: no compression.
    /// </summary>
    public DangerousDeflateOptions? DangerousDeflate { get; set; }
}

/// <summary>What is agreed on for permessage-deflate at most (RFC 7692, section 7.1).</summary>
public sealed class DangerousDeflateOptions
{
    /// <summary>The largest window of the client's compressor, in bits: 9 to 15.</summary>
    public int ClientMaxWindowBits { get; set; } = 15;

    /// <summary>Whether the client's compressor may go on with the window of earlier messages.</summary>
    public bool ClientContextTakeover { get; set; } = true;

    /// <summary>The largest window of the server's compressor, in bits: 9 to 15.</summary>
    public int ServerMaxWindowBits { get; set; } = 15;

    /// <summary>Whether the server's compressor may go on with the window of earlier messages.</summary>
    public bool ServerContextTakeover { get; set; } = true;
}
