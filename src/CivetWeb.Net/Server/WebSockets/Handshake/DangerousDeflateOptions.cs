namespace CivetWeb.Net;

/// <summary>Limits for what is agreed on with a client about permessage-deflate (RFC 7692, section 7.1).</summary>
/// <remarks>
/// Compression shows an observer of the encrypted connection how well a message could be compressed. Where one message
/// contains both a secret and text of somebody else's choice, that is enough to guess the secret bit by bit (CRIME, BREACH);
/// with context takeover even from one message to the next. A message's size is limited after inflating
/// (<see cref="WebSocketEndpointOptions.MaxMessageSize"/>), so that a small frame cannot use up the memory.
/// </remarks>
public sealed class DangerousDeflateOptions
{
    /// <summary>
    /// Whether compression is offered. True unless set; false switches it off for a path when
    /// <see cref="CivetWebServerOptions.WebSockets"/> switches it on.
    /// </summary>
    public bool Enabled { get; set; } = true;

    /// <summary>
    /// The largest window of the client's compressor, in bits: 9 to 15; 15 unless set. When this is less than 15, connections to
    /// clients that cannot be told to use a smaller window are not compressed.
    /// </summary>
    public int ClientMaxWindowBits { get; set; } = 15;

    /// <summary>Whether the client's compressor may keep its window from message to message. True unless set.</summary>
    public bool ClientContextTakeover { get; set; } = true;

    /// <summary>The largest window of the server's compressor, in bits: 9 to 15; 15 unless set.</summary>
    public int ServerMaxWindowBits { get; set; } = 15;

    /// <summary>Whether the server's compressor may keep its window from message to message. True unless set.</summary>
    public bool ServerContextTakeover { get; set; } = true;

    internal DangerousDeflateOptions Copy() => (DangerousDeflateOptions)MemberwiseClone();
}
