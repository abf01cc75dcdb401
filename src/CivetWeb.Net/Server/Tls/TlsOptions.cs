using System;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace CivetWeb.Net;

/// <summary>
/// TLS of a <see cref="CivetWebServer"/>: its certificate, from an object or from files, and whether clients need one. OpenSSL 3 must be
/// installed.
/// </summary>
/// <remarks>
/// Read when the server starts. <see cref="CivetWebServer.ReloadCertificate"/> reads the source of the
/// certificate again: <see cref="Certificate"/>, <see cref="CertificateChain"/>, <see cref="CertificatePath"/>,
/// <see cref="KeyPath"/> and <see cref="Password"/>.
/// </remarks>
public sealed class TlsOptions
{
    /// <summary>The value that a null <see cref="CipherList"/> stands for: forward secrecy and authenticated encryption only.</summary>
    public const string DefaultCipherList = "ECDHE+AESGCM:ECDHE+CHACHA20";

    /// <summary>
    /// The server's certificate with its private key, RSA or ECDSA, which must be exportable. Set either this or
    /// <see cref="CertificatePath"/>. The server does not dispose of it.
    /// </summary>
    public X509Certificate2? Certificate { get; set; }

    /// <summary>
    /// Goes with <see cref="Certificate"/>: the certificates between it and its authority, its issuer first. They are sent to clients.
    /// </summary>
    public X509Certificate2Collection? CertificateChain { get; set; }

    /// <summary>
    /// A file with the server's certificate. PEM: the certificate first, then the ones between it and its authority, which are sent
    /// in this order; it may contain the private key as well. PKCS #12 (.pfx, .p12): everything in one file, with
    /// <see cref="Password"/>.
    /// </summary>
    public string? CertificatePath { get; set; }

    /// <summary>A PEM file with the private key, encrypted or not. Null: the key is in <see cref="CertificatePath"/>.</summary>
    public string? KeyPath { get; set; }

    /// <summary>The password of the private key or of the PKCS #12 file. Null: it has no password.</summary>
    public string? Password { get; set; }

    /// <summary>The lowest version of TLS: <see cref="SslProtocols.Tls12"/> (the default) or <see cref="SslProtocols.Tls13"/>.</summary>
    public SslProtocols MinimumVersion { get; set; } = SslProtocols.Tls12;

    /// <summary>
    /// The ciphers of TLS 1.2 in OpenSSL's notation ("openssl ciphers -v"); null: <see cref="DefaultCipherList"/>. TLS 1.3
    /// uses OpenSSL's defaults.
    /// </summary>
    public string? CipherList { get; set; }

    /// <summary>
    /// Whether clients are asked for certificates. <see cref="ServerRequest.ClientCertificate"/> has what they sent.
    /// Revocation is not checked.
    /// </summary>
    public TlsClientCertificates ClientCertificates { get; set; }

    /// <summary>
    /// A PEM file with the authorities for client certificates. Each is trusted as it is, whether it is a root or not. The
    /// system's authorities never count. The file is read when the server starts and not watched.
    /// </summary>
    public string? ClientCertificateAuthoritiesPath { get; set; }

    /// <summary>The authorities as objects. If <see cref="ClientCertificateAuthoritiesPath"/> is set too, both count.</summary>
    public X509Certificate2Collection? ClientCertificateAuthorities { get; set; }

    /// <summary>How many issuers there may be between a client's certificate and an authority, 0 to 100. 9 unless set.</summary>
    public int ClientCertificateMaxDepth { get; set; } = 9;

    /// <summary>
    /// Whether the certificate's files are watched (every few seconds, by time and size). When they change, new
    /// handshakes use the new certificate, and open connections stay as they are; a client that resumes an earlier
    /// TLS session makes no full handshake and continues with the certificate it knows. If the files cannot be used, for
    /// example because they are half-written, that is logged and the old certificate stays in use. True unless set.
    /// </summary>
    public bool ReloadOnChange { get; set; } = true;

    /// <summary>How often the files are checked.</summary>
    internal TimeSpan ReloadInterval { get; set; } = TimeSpan.FromSeconds(5);
}
