using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net.Tests;

/// <summary>One TLS connection of a client that tells what the server showed it. It resumes no session: every handshake is a full one.</summary>
internal sealed class TlsClient : IDisposable
{
    private readonly TcpClient _tcp;
    private readonly SslStream _stream;

    private TlsClient(TcpClient tcp, SslStream stream)
    {
        _tcp = tcp;
        _stream = stream;
    }

    /// <summary>The name of the server's certificate, without CN=.</summary>
    public string ServerName => _stream.RemoteCertificate!.Subject["CN=".Length..];

    /// <summary>The names of the other certificates the server has sent, in its order.</summary>
    public string[] Chain { get; private set; } = [];

    public SslProtocols Protocol => _stream.SslProtocol;

    public static async Task<TlsClient> ConnectAsync(int port, X509Certificate2? certificate = null, SslProtocols protocols = SslProtocols.None, X509Certificate2? chain = null)
    {
        var tcp = new TcpClient();
        await tcp.ConnectAsync(IPAddress.Loopback, port);
        var stream = new SslStream(tcp.GetStream());
        var client = new TlsClient(tcp, stream);
        using var timeout = new CancellationTokenSource(TestServer.Patience);
        try
        {
            await stream.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions
                {
                    TargetHost = "localhost",
                    AllowTlsResume = false,
                    EnabledSslProtocols = protocols,
                    RemoteCertificateValidationCallback = (_, own, built, _) =>
                    {
                        // On some systems the server's own is among them.
                        client.Chain = [.. built!.ChainPolicy.ExtraStore.Where(c => !c.Equals(own)).Select(c => c.Subject["CN=".Length..])];
                        return true;
                    },

                    // Whatever authorities the server asks for: it is the server that has to refuse.
                    LocalCertificateSelectionCallback = certificate is null || chain is not null ? null : (_, _, _, _, _) => certificate,
                    ClientCertificateContext = certificate is null || chain is null
                        ? null
                        : SslStreamCertificateContext.Create(certificate, new X509Certificate2Collection(chain), offline: true),
                },
                timeout.Token);
            return client;
        }
        catch (Exception)
        {
            client.Dispose();
            throw;
        }
    }

    /// <summary>The status line of the answer to a request; empty when there is no answer.</summary>
    public async Task<string> RequestAsync()
    {
        using var timeout = new CancellationTokenSource(TestServer.Patience);
        await _stream.WriteAsync(Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), timeout.Token);
        using var reader = new StreamReader(_stream, leaveOpen: true);
        return await reader.ReadLineAsync(timeout.Token) ?? "";
    }

    /// <summary>A connection with one request: the server's name, once it has answered.</summary>
    public static async Task<string> AskAsync(int port, X509Certificate2? certificate = null, SslProtocols protocols = SslProtocols.None, X509Certificate2? chain = null)
    {
        using TlsClient client = await ConnectAsync(port, certificate, protocols, chain);
        string answer = await client.RequestAsync();
        return answer.StartsWith("HTTP/1.1 ", StringComparison.Ordinal) ? client.ServerName : throw new IOException($"The answer was '{answer}'.");
    }

    /// <summary>Whether the server answers nothing to such a client; in TLS 1.3 it is told so only after its handshake.</summary>
    public static async Task<bool> IsRefusedAsync(int port, X509Certificate2? certificate = null, SslProtocols protocols = SslProtocols.None, X509Certificate2? chain = null)
    {
        try
        {
            await AskAsync(port, certificate, protocols, chain);
            return false;
        }
        catch (Exception e) when (e is IOException or AuthenticationException)
        {
            return true;
        }
    }

    public void Dispose()
    {
        _stream.Dispose();
        _tcp.Dispose();
    }
}
