using System;

namespace CivetWeb.Net.Benchmarks.Servers;

/// <summary>Echo and broadcast with the server API.</summary>
internal sealed class ServerApiServer : IDisposable
{
    private readonly CivetWebServer _server;

    public ServerApiServer(ServeOptions options)
    {
        var settings = new CivetWebServerOptions
        {
            Listen = { options.Certificate is null ? "http://127.0.0.1:0" : "https://127.0.0.1:0" },
            MaxConnections = Math.Max(231, options.Connections + 16),
        };
        if (options.Certificate is not null)
        {
            settings.Tls = new TlsOptions { CertificatePath = options.Certificate, KeyPath = options.Certificate };
        }

        if (options.KeepsThreads)
        {
            settings.DangerousRawOptions["websocket_keep_thread"] = "yes";
        }

        var group = new BroadcastGroup();
        _server = new CivetWebServer(settings);
        _server.MapWebSocket("/echo", context => EchoLoop.RunAsync(context.WebSocket, options.Sleep));
        _server.MapWebSocket("/broadcast", context => group.RunAsync(context.WebSocket));
        _server.StartAsync().GetAwaiter().GetResult();
    }

    public int Port => _server.EndPoints[0].Uri.Port;

    public void Dispose() => _server.DisposeAsync().AsTask().GetAwaiter().GetResult();
}
