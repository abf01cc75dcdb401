namespace CivetWeb.Net;

/// <summary>What is agreed on for permessage-deflate at most (RFC 7692, section 7.1).</summary>
/// <remarks>
/// Compression tells an observer of the encrypted connection how well a message could be compressed. Where one message
/// holds both a secret and text of somebody else's choice, that is enough to guess the secret bit by bit (CRIME, BREACH);
/// with context takeover even one message after the other. A message's size is limited after inflating
/// (<see cref="WebSocketEndpointOptions.MaxMessageSize"/>), so that a small frame cannot take all memory.
/// </remarks>
public sealed class DangerousDeflateOptions
{
    /// <summary>
    /// The largest window of the client's compressor, in bits: 9 to 15. A client that cannot be told to use less than 15
    /// is not compressed with when this is less.
    /// </summary>
    public int ClientMaxWindowBits { get; set; } = 15;

    /// <summary>Whether the client's compressor may go on with the window of earlier messages.</summary>
    public bool ClientContextTakeover { get; set; } = true;

    /// <summary>The largest window of the server's compressor, in bits: 9 to 15.</summary>
    public int ServerMaxWindowBits { get; set; } = 15;

    /// <summary>Whether the server's compressor may go on with the window of earlier messages.</summary>
    public bool ServerContextTakeover { get; set; } = true;

    internal DangerousDeflateOptions Copy() => (DangerousDeflateOptions)MemberwiseClone();
}
