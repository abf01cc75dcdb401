namespace CivetWeb.Net;

/// <summary>Whether a server asks its clients for certificates ("mutual TLS").</summary>
public enum TlsClientCertificates
{
    /// <summary>Clients are not asked.</summary>
    None = 0,

    /// <summary>Clients are asked and may have none. One that does not come from the authorities ends the handshake.</summary>
    Optional = 1,

    /// <summary>Clients without a certificate from the authorities do not get past the handshake.</summary>
    Required = 2,
}
