using System;
using System.Linq;
using System.Security.Authentication;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>Finds mistakes in <see cref="TlsOptions"/> that can be seen without reading files or asking OpenSSL.</summary>
internal static class TlsOptionsCheck
{
    private const int MaxDepth = 100;

    /// <summary>CivetWeb's own TLS options that would work against ours, or crash without a certificate file.</summary>
    private static readonly string[] ReplacedOptions =
    [
        "ssl_certificate", "ssl_certificate_chain", "ssl_verify_peer", "ssl_ca_path", "ssl_ca_file", "ssl_verify_depth",
        "ssl_default_verify_paths", "ssl_cipher_list", "ssl_protocol_version", "ssl_short_trust",
    ];

    /// <summary>Whether <see cref="CivetWebServerOptions.Tls"/> fits the server's other options.</summary>
    /// <param name="options">The server's options.</param>
    /// <param name="listensWithTls">Whether any of its addresses uses TLS.</param>
    /// <param name="errors">Gets one message for each mistake.</param>
    public static void CheckUse(CivetWebServerOptions options, bool listensWithTls, OptionErrors errors)
    {
        if (options.Tls is null)
        {
            return;
        }

        if (!listensWithTls)
        {
            errors.Add("CivetWebServerOptions.Tls is set, but no entry of Listen begins with https.");
        }

        foreach (string raw in ReplacedOptions.Where(options.DangerousRawOptions.ContainsKey))
        {
            errors.Add($"CivetWebServerOptions.DangerousRawOptions has '{raw}', and Tls is set: use the properties of Tls instead.");
        }
    }

    /// <param name="tls">The options.</param>
    /// <param name="errors">Gets one message for each mistake: what is wrong and what is allowed.</param>
    public static void Check(TlsOptions tls, OptionErrors errors)
    {
        errors.Collect(() => CheckSource(tls));
        if (tls.MinimumVersion is not (SslProtocols.Tls12 or SslProtocols.Tls13))
        {
            errors.Add($"Tls.MinimumVersion is {tls.MinimumVersion}, but it must be Tls12 or Tls13.");
        }

        if (tls.CipherList is { } ciphers && (ciphers.Length == 0 || ciphers.Contains('\0')))
        {
            errors.Add("Tls.CipherList is empty or contains a NUL character; use null for the default.");
        }

        CheckClientCertificates(tls, errors);
        if (tls.ReloadInterval <= TimeSpan.Zero)
        {
            errors.Add("Tls.ReloadInterval must be more than zero.");
        }
    }

    /// <summary>Where the certificate comes from; checked again before it is reloaded.</summary>
    /// <exception cref="ArgumentException">There is not exactly one source, or an option does not fit it.</exception>
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
            throw OptionError.Create("Tls.KeyPath and Tls.Password go with Tls.CertificatePath; Tls.Certificate contains its key.");
        }

        if (tls.CertificatePath is not null && tls.CertificateChain is not null)
        {
            throw OptionError.Create("Tls.CertificateChain goes with Tls.Certificate; the file of Tls.CertificatePath contains its chain.");
        }

        if (tls.Password?.Contains('\0') == true)
        {
            throw OptionError.Create("Tls.Password contains a NUL character.");
        }
    }

    private static void CheckClientCertificates(TlsOptions tls, OptionErrors errors)
    {
        if (!Enum.IsDefined(tls.ClientCertificates))
        {
            errors.Add($"Tls.ClientCertificates is {(int)tls.ClientCertificates}, but it must be None, Optional or Required.");
        }

        bool hasAuthorities = tls.ClientCertificateAuthoritiesPath is not null || tls.ClientCertificateAuthorities is { Count: > 0 };
        if (tls.ClientCertificates is TlsClientCertificates.Optional or TlsClientCertificates.Required && !hasAuthorities)
        {
            errors.Add(
                $"Tls.ClientCertificates is {tls.ClientCertificates}, but neither Tls.ClientCertificateAuthoritiesPath nor Tls.ClientCertificateAuthorities says which authorities to trust; the system's authorities do not count.");
        }

        if (tls.ClientCertificates == TlsClientCertificates.None && hasAuthorities)
        {
            errors.Add("Tls names authorities for client certificates, but Tls.ClientCertificates is None: set it to Optional or Required.");
        }

        if (tls.ClientCertificateMaxDepth is < 0 or > MaxDepth)
        {
            errors.Add($"Tls.ClientCertificateMaxDepth is {tls.ClientCertificateMaxDepth}, but it must be from 0 to {MaxDepth}.");
        }
    }
}
