using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;
using Microsoft.Extensions.Logging;

namespace CivetWeb.Net;

/// <summary>
/// TLS of one server, from its start to after its stop. <see cref="NativeTls"/> serves the handshakes; here its
/// certificate is read, replaced and complained about.
/// </summary>
internal sealed class TlsService : IDisposable
{
    private readonly Lock _reloading = new();
    private readonly TlsOptions _options;
    private readonly ILogger _logger;
    private readonly NativeTls _native;
    private readonly bool _hasClientCertificates;
    private CertificateFileWatcher? _watch;

    private TlsService(TlsOptions options, ILogger logger, NativeTls native)
    {
        _options = options;
        _logger = logger;
        _native = native;
        _hasClientCertificates = options.ClientCertificates != TlsClientCertificates.None;
    }

    /// <summary>Reads all there is to read and has OpenSSL check it, before anything listens.</summary>
    /// <exception cref="ArgumentException">An option is wrong.</exception>
    /// <exception cref="System.IO.IOException">A file is missing or cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">A file may not be read.</exception>
    /// <exception cref="CryptographicException">What a file contains is of no use.</exception>
    /// <exception cref="CivetWebException">OpenSSL 3 is not there.</exception>
    public static TlsService Create(TlsOptions options, ILogger logger)
    {
        NativeLibraryLoader.EnsureTls();
        NativeTls native = NativeTls.TryCreate(
            options.MinimumVersion == SslProtocols.Tls13 ? 0x0304 : 0x0303,
            options.CipherList ?? TlsOptions.DefaultCipherList,
            (int)options.ClientCertificates,
            options.ClientCertificateMaxDepth,
            ReadAuthorities(options),
            out string error)
            ?? throw OptionError.Create($"OpenSSL refuses an option of Tls: {error}. (Tls.CipherList is '{options.CipherList ?? TlsOptions.DefaultCipherList}'.)");
        var service = new TlsService(options, logger, native);
        try
        {
            CertificateFileWatcher? watch = options.ReloadOnChange && options.CertificatePath is not null
                ? new CertificateFileWatcher(options.KeyPath is null ? [options.CertificatePath] : [options.CertificatePath, options.KeyPath])
                : null;
            service.Reload();
            service._watch = watch;
            watch?.Start(options.ReloadInterval, service.ReloadChanged);
            return service;
        }
        catch (Exception)
        {
            service.Dispose();
            throw;
        }
    }

    /// <summary>The init_ssl callback: 0 lets CivetWeb go on.</summary>
    public int HandleInitSsl(nint sslContext)
    {
        return _native.Attach(sslContext, out string error)
            ? 0
            : throw new CivetWebException($"TLS could not be set up: OpenSSL refuses {error}.");
    }

    /// <summary>The certificate as the options say it now; on any failure the old one stays.</summary>
    public void Reload()
    {
        lock (_reloading)
        {
            using ServerCertificate certificate = ServerCertificateReader.Read(_options);
            SetCertificateResult result = _native.SetCertificate(
                certificate.Leaf, certificate.Chain, certificate.Key, certificate.PemPassword, out string error);
            if (result != SetCertificateResult.Set)
            {
                throw Refusal(certificate, result, error);
            }

            ServerLog.CertificateLoaded(_logger, certificate.Subject, certificate.NotAfter);
            DateTime now = DateTime.Now; // as both dates are
            if (now > certificate.NotAfter || now < certificate.NotBefore)
            {
                ServerLog.CertificateNotValid(_logger, certificate.Subject, certificate.Source, certificate.NotBefore, certificate.NotAfter);
            }
        }
    }

    /// <summary>The client's certificate, on the connection's thread; null without one.</summary>
    public X509Certificate2? ReadClientCertificate(GatedConnection connection) =>
        _hasClientCertificates && connection.PeerCertificate is { } der ? X509CertificateLoader.LoadCertificate(der) : null;

    /// <summary>After mg_stop only: OpenSSL refers to what is freed here.</summary>
    public void Dispose()
    {
        _watch?.Dispose();
        _native.Dispose();
    }

    private static byte[] ReadAuthorities(TlsOptions options)
    {
        List<X509Certificate2> fromFile = [];
        if (options.ClientCertificateAuthoritiesPath is { } path)
        {
            const string Option = "Tls.ClientCertificateAuthoritiesPath";
            fromFile = ServerCertificateFile.ReadPemCertificates(ServerCertificateFile.Read(path, Option), path, Option);
        }

        byte[] result = [.. fromFile.Concat(options.ClientCertificateAuthorities ?? []).SelectMany(c => c.RawData)];
        fromFile.ForEach(c => c.Dispose());
        return result;
    }

    private static CryptographicException Refusal(ServerCertificate certificate, SetCertificateResult result, string error) =>
        new(result switch
        {
            SetCertificateResult.KeyUnreadable when certificate.IsKeyEncrypted && certificate.PemPassword.Length <= 1
                => $"The private key in {certificate.KeySource} is encrypted, but Tls.Password is not set.",
            SetCertificateResult.KeyUnreadable when certificate.IsKeyEncrypted
                => $"The private key in {certificate.KeySource} cannot be decrypted: Tls.Password is wrong, or the file is damaged. (OpenSSL says of {error}.)",
            SetCertificateResult.KeyUnreadable
                => $"The private key in {certificate.KeySource} cannot be read. (OpenSSL says of {error}.)",
            SetCertificateResult.KeyMismatch
                => $"The private key in {certificate.KeySource} does not belong to the certificate '{certificate.Subject}' in {certificate.Source}.",
            _ => $"OpenSSL refuses the certificate '{certificate.Subject}' in {certificate.Source}. (It says of {error}.)",
        });

    /// <summary>For the watch: there is nobody to throw at.</summary>
    private void ReloadChanged()
    {
        try
        {
            try
            {
                Reload();
            }
            catch (Exception e) when (e is not ObjectDisposedException)
            {
                ServerLog.CertificateFailed(_logger, e);
            }
        }
        catch (Exception)
        {
            // The server has stopped meanwhile, or a logger throws: on the timer's thread that would end the process.
        }
    }
}
