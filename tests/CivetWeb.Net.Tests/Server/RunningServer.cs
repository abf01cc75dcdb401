using System;
using System.Linq;
using System.Net.Http;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>A started <see cref="CivetWebServer"/> on loopback, on a port of the system's choice.</summary>
internal sealed class RunningServer : IAsyncDisposable
{
    private RunningServer(CivetWebServer server, LogCollector log)
    {
        Server = server;
        Log = log;
    }

    public CivetWebServer Server { get; }

    public LogCollector Log { get; }

    public int Port => Server.EndPoints[0].Uri.Port;

    public HttpClient Client { get; } = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false, UseCookies = false })
    {
        Timeout = TestServer.Patience,
    };

    /// <param name="map">Adds routes before the start.</param>
    /// <param name="configure">Changes the options; without anything to listen on it is plain HTTP on 127.0.0.1.</param>
    public static async Task<RunningServer> StartAsync(Action<CivetWebServer> map, Action<CivetWebServerOptions>? configure = null)
    {
        var log = new LogCollector();
        var options = new CivetWebServerOptions { LoggerFactory = log };
        configure?.Invoke(options);
        if (options.Listen.Count == 0)
        {
            options.Listen.Add("http://127.0.0.1:0");
        }

        if (options.AllowedHosts.Count == 0)
        {
            options.AllowedHosts.Add("*"); // tests name the host they like; HostTests are about who is refused
        }

        var server = new CivetWebServer(options);
        map(server);
        await server.StartAsync();
        return new RunningServer(server, log);
    }

    public Uri Uri(string path = "/") => new($"http://127.0.0.1:{Port}{path}");

    public Uri WebSocketUri(string path = "/ws") => new($"ws://127.0.0.1:{Port}{path}");

    public async Task<ClientWebSocket> ConnectAsync(string path = "/ws", Action<ClientWebSocketOptions>? configure = null)
    {
        var client = new ClientWebSocket();
        configure?.Invoke(client.Options);
        using var timeout = new CancellationTokenSource(TestServer.Patience);
        await client.ConnectAsync(WebSocketUri(path), timeout.Token);
        return client;
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Server.DisposeAsync();
        if (!TestContext.CurrentContext.Result.Assertions.Any())
        {
            Assert.That(Log.Unexpected(LogsAttribute.OfCurrentTest()), Is.Empty, "what the test has not expected of the log ([Logs])");
        }
    }
}
