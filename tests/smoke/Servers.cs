using System;
using System.Linq;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Tasks;
using CivetWeb.Net.CallbackApi;

namespace CivetWeb.Net.Smoke;

/// <summary>A server of each API, with an echo and a page.</summary>
internal sealed class Servers : IAsyncDisposable
{
    public const string Page = "<!DOCTYPE html><title>Smoke</title>";

    private readonly Context _callbacks;
    private readonly CivetWebServer _server;

    private Servers(Context callbacks, CivetWebServer server)
    {
        _callbacks = callbacks;
        _server = server;
    }

    /// <summary>Where the echoes are, ws or wss; the pages are at the same addresses by http or https.</summary>
    public Uri[] Addresses =>
    [
        new($"ws://127.0.0.1:{_callbacks.Port}/echo"),
        .. _server.EndPoints.Select(end => new UriBuilder(end.Uri) { Scheme = end.Uri.Scheme == "https" ? "wss" : "ws", Path = "/echo" }.Uri),
    ];

    public static X509Certificate2 CreateCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=127.0.0.1", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }

    /// <summary>With a certificate there is a server with TLS as well.</summary>
    public static async Task<Servers> StartAsync(X509Certificate2? certificate)
    {
        Context callbacks = Http.StartServer(ServePage, "127.0.0.1:0");
        Http.SetWebSocketHandler(callbacks, "/echo", connect: null, ready: null, Echo, close: null);

        var options = new CivetWebServerOptions { Listen = { "http://127.0.0.1:0" } };
        if (certificate is not null)
        {
            options.Listen.Add("https://127.0.0.1:0");
            options.Tls = new TlsOptions { Certificate = certificate };
        }

        var server = new CivetWebServer(options);
        server.MapGet("/page", (request, response) => response.WriteText(Page));
        server.MapWebSocket("/echo", async context =>
        {
            await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
            {
                await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
            }
        });
        await server.StartAsync();
        return new Servers(callbacks, server);
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _callbacks.Dispose();
    }

    private static int ServePage(Connection connection)
    {
        if (Http.GetRequestInfo(connection).LocalUri != "/page")
        {
            return 0;
        }

        Http.Print(connection, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + Page);
        return 200;
    }

    private static int Echo(Connection connection, int bits, ReadOnlySpan<byte> data, object? userData)
    {
        if (bits is 1 or 2)
        {
            Http.WriteToWebSocket(connection, bits, data);
        }

        return 1;
    }
}
