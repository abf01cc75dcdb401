using System;
using System.Threading;

namespace CivetWeb.Net;

public sealed partial class CivetWebServer
{
    private TlsService? _tls;

    /// <summary>
    /// Reads the certificate again from where <see cref="CivetWebServerOptions.Tls"/> says it is. New handshakes use it,
    /// open connections stay as they are; on any failure the certificate before stays in use. Any thread may call it.
    /// </summary>
    /// <remarks>
    /// Changed files are noticed without it, unless <see cref="TlsOptions.ReloadOnChange"/> is off; a new
    /// <see cref="TlsOptions.Certificate"/> is not.
    /// </remarks>
    /// <exception cref="InvalidOperationException">The server is not running, or without <see cref="CivetWebServerOptions.Tls"/>.</exception>
    /// <exception cref="ArgumentException">The options contradict each other.</exception>
    /// <exception cref="System.IO.FileNotFoundException">A file is missing.</exception>
    /// <exception cref="System.IO.IOException">A file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">A file may not be read.</exception>
    /// <exception cref="System.Security.Cryptography.CryptographicException">
    /// There is no certificate or no key, they do not belong together, the password is wrong, or OpenSSL refuses them.
    /// </exception>
    public void ReloadCertificate()
    {
        TlsService tls = Volatile.Read(ref _tls)
            ?? throw new InvalidOperationException("There is no certificate to reload: the server is not running, or its option Tls is not set.");
        try
        {
            tls.Reload();
        }
        catch (ObjectDisposedException e)
        {
            throw new InvalidOperationException("There is no certificate to reload: the server has stopped.", e);
        }
    }

    /// <summary>Before the ports are opened.</summary>
    private void StartTls(CivetWebServerOptions options)
    {
        if (options.Tls is { } tls)
        {
            Volatile.Write(ref _tls, TlsService.Create(tls, Logger));
        }
    }

    /// <summary>After mg_stop has returned: until then OpenSSL refers to it.</summary>
    private void StopTls() => Interlocked.Exchange(ref _tls, null)?.Dispose();
}
