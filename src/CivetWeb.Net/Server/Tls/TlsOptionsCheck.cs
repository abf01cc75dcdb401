using System;
using System.Linq;
using System.Security.Authentication;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>Mistakes in <see cref="TlsOptions"/> that show without a look at files or at OpenSSL.</summary>
internal static class TlsOptionsCheck
{
    private const int MaxDepth = 100;

    /// <summary>CivetWeb's own TLS options that would work against ours, or crash without a certificate file.</summary>
    private static readonly string[] ReplacedOptions =
    [
        "ssl_certificate", "ssl_certificate_chain", "ssl_verify_peer", "ssl_ca_path", "ssl_ca_file", "ssl_verify_depth",
        "ssl_default_verify_paths", "ssl_cipher_list", "ssl_protocol_version", "ssl_short_trust",
    ];

    /// <summary>Whether <see cref="CivetWebServerOptions.Tls"/> goes with the server's other options.</summary>
    /// <param name="options">The server's options.</param>
    /// <param name="listensWithTls">Whether any of its addresses is one of https.</param>
    /// <exception cref="ArgumentException">It has no use, or does not go with a raw option.</exception>
    public static void CheckUse(CivetWebServerOptions options, bool listensWithTls)
    {
        if (options.Tls is null)
        {
            return;
        }

        if (!listensWithTls)
        {
            throw OptionError.Create("CivetWebServerOptions.Tls is set, but no entry of Listen begins with https.");
        }

        if (ReplacedOptions.FirstOrDefault(options.DangerousRawOptions.ContainsKey) is { } raw)
        {
            throw OptionError.Create($"CivetWebServerOptions.DangerousRawOptions has '{raw}', and Tls is set: use the properties of Tls instead.");
        }
    }

    /// <exception cref="ArgumentException">The message says what is wrong and what is allowed.</exception>
    public static void Check(TlsOptions tls)
    {
        CheckSource(tls);
        if (tls.MinimumVersion is not (SslProtocols.Tls12 or SslProtocols.Tls13))
        {
            throw OptionError.Create($"Tls.MinimumVersion is {tls.MinimumVersion}, but it must be Tls12 or Tls13.");
        }

        if (tls.CipherList is { } ciphers && (ciphers.Length == 0 || ciphers.Contains('\0')))
        {
            throw OptionError.Create("Tls.CipherList is empty or contains a NUL character; null stands for the default.");
        }

        if (!Enum.IsDefined(tls.ClientCertificates))
        {
            throw OptionError.Create($"Tls.ClientCertificates is {(int)tls.ClientCertificates}, but it must be None, Optional or Required.");
        }

        bool hasAuthorities = tls.ClientCertificateAuthoritiesPath is not null || tls.ClientCertificateAuthorities is { Count: > 0 };
        if (tls.ClientCertificates != TlsClientCertificates.None && !hasAuthorities)
        {
            throw OptionError.Create(
                $"Tls.ClientCertificates is {tls.ClientCertificates}, but neither Tls.ClientCertificateAuthoritiesPath nor Tls.ClientCertificateAuthorities says whose certificates are to be believed; the system's authorities do not count.");
        }

        if (tls.ClientCertificates == TlsClientCertificates.None && hasAuthorities)
        {
            throw OptionError.Create("Tls names authorities for client certificates, but Tls.ClientCertificates is None: set it to Optional or Required.");
        }

        if (tls.ClientCertificateMaxDepth is < 0 or > MaxDepth)
        {
            throw OptionError.Create($"Tls.ClientCertificateMaxDepth is {tls.ClientCertificateMaxDepth}, but it must be from 0 to {MaxDepth}.");
        }

        if (tls.ReloadInterval <= TimeSpan.Zero)
        {
            throw OptionError.Create("Tls.ReloadInterval must be more than zero.");
        }
    }

    /// <summary>Where the certificate comes from; checked again before it is reloaded.</summary>
    /// <exception cref="ArgumentException">Not exactly one place, or an option that does not go with it.</exception>
    public static void CheckSource(TlsOptions tls)
    {
        if ((tls.Certificate is null) == (tls.CertificatePath is null))
        {
            throw OptionError.Create(
                tls.Certificate is null
                    ? "Tls has no certificate: set Tls.Certificate or Tls.CertificatePath."
                    : "Tls has two certificates: set either Tls.Certificate or Tls.CertificatePath.");
        }

        if (tls.Certificate is not null && (tls.KeyPath is not null || tls.Password is not null))
        {
            throw OptionError.Create("Tls.KeyPath and Tls.Password go with Tls.CertificatePath; Tls.Certificate has its key itself.");
        }

        if (tls.CertificatePath is not null && tls.CertificateChain is not null)
        {
            throw OptionError.Create("Tls.CertificateChain goes with Tls.Certificate; the file of Tls.CertificatePath has its chain itself.");
        }

        if (tls.Password?.Contains('\0') == true)
        {
            throw OptionError.Create("Tls.Password contains a NUL character.");
        }
    }
}
