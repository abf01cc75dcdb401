using System;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace CivetWeb.Net;

/// <summary>
/// TLS of a <see cref="CivetWebServer"/>: its certificate, from an object or from files, and what is asked of clients.
/// OpenSSL 3 does it; it must be installed.
/// </summary>
/// <remarks>
/// Read when the server starts. <see cref="CivetWebServer.ReloadCertificate"/> reads those again that say where the
/// certificate comes from: <see cref="Certificate"/>, <see cref="CertificateChain"/>, <see cref="CertificatePath"/>,
/// <see cref="KeyPath"/> and <see cref="Password"/>.
/// </remarks>
public sealed class TlsOptions
{
    /// <summary>What <see cref="CipherList"/> is unless set: forward secrecy and authenticated encryption only.</summary>
    public const string DefaultCipherList = "ECDHE+AESGCM:ECDHE+CHACHA20";

    /// <summary>
    /// The server's certificate with its private key, RSA or ECDSA, which must be exportable; or set
    /// <see cref="CertificatePath"/>. It is not disposed of.
    /// </summary>
    public X509Certificate2? Certificate { get; set; }

    /// <summary>
    /// With <see cref="Certificate"/>: the certificates between it and its authority, its issuer first. Sent to clients.
    /// </summary>
    public X509Certificate2Collection? CertificateChain { get; set; }

    /// <summary>
    /// A file with the server's certificate. PEM: the certificate first, then those between it and its authority, sent
    /// in the file's order; the private key may be in it as well. PKCS #12 (.pfx, .p12): all in one, with
    /// <see cref="Password"/>.
    /// </summary>
    public string? CertificatePath { get; set; }

    /// <summary>A PEM file with the private key, encrypted or not; null: it is in <see cref="CertificatePath"/>.</summary>
    public string? KeyPath { get; set; }

    /// <summary>The password of the private key or of the PKCS #12 file; null: there is none.</summary>
    public string? Password { get; set; }

    /// <summary>The lowest version of TLS: <see cref="SslProtocols.Tls12"/>, as it is unless set, or <see cref="SslProtocols.Tls13"/>.</summary>
    public SslProtocols MinimumVersion { get; set; } = SslProtocols.Tls12;

    /// <summary>
    /// The ciphers of TLS 1.2 in OpenSSL's notation ("openssl ciphers -v"); null: <see cref="DefaultCipherList"/>. Those
    /// of TLS 1.3 are OpenSSL's.
    /// </summary>
    public string? CipherList { get; set; }

    /// <summary>
    /// Whether clients are asked for certificates. <see cref="ServerRequest.ClientCertificate"/> has what they sent. No
    /// revocation lists are looked at.
    /// </summary>
    public TlsClientCertificates ClientCertificates { get; set; }

    /// <summary>
    /// A PEM file with the authorities for client certificates. Each is trusted as it is, be it a root or not. The
    /// system's authorities never count. Read when the server starts; it is not watched.
    /// </summary>
    public string? ClientCertificateAuthoritiesPath { get; set; }

    /// <summary>The authorities as objects; together with those of <see cref="ClientCertificateAuthoritiesPath"/> if both are set.</summary>
    public X509Certificate2Collection? ClientCertificateAuthorities { get; set; }

    /// <summary>How many issuers there may be between a client's certificate and an authority, 0 to 100. 9 unless set.</summary>
    public int ClientCertificateMaxDepth { get; set; } = 9;

    /// <summary>
    /// Whether the certificate's files are watched (every few seconds, by time and size). When they change, new
    /// handshakes use the new certificate, and open connections stay as they are; a client that resumes an earlier
    /// TLS session makes no full handshake and goes on with the certificate it knows. Files that cannot be used, being
    /// half-written for example, are logged, and the old certificate stays. True unless set.
    /// </summary>
    public bool ReloadOnChange { get; set; } = true;

    /// <summary>How often the files are looked at.</summary>
    internal TimeSpan ReloadInterval { get; set; } = TimeSpan.FromSeconds(5);
}
