using System;
using System.IO;
using System.Net.Http;
using System.Runtime.InteropServices;
using System.Threading.Tasks;
using CivetWeb.Net;
using CivetWeb.Net.CallbackApi;

namespace CivetWeb.Net.Tests;

/// <summary>The C# of docs/deployment.md; as <see cref="ReadmeExamples"/>.</summary>
internal static class DeploymentExamples
{
    /// <summary>A whole program: it stops in order when it is told to, and can ask itself how it is.</summary>
    public static async Task<int> Program(string[] args)
    {
        #region deployment
        if (args is ["--health", var page])
        {
            try
            {
                using var http = new HttpClient();
                using HttpResponseMessage answer = await http.GetAsync(new Uri(page));
                return answer.IsSuccessStatusCode ? 0 : 1;
            }
            catch (HttpRequestException)
            {
                return 1;
            }
        }

        var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);

        string url = args.Length > 0 ? args[0] : "http://127.0.0.1:8080";
        await using var server = new CivetWebServer(new() { Listen = { url } });
        server.MapGet("/healthz", (request, response) => response.WriteText("ok"));
        server.MapWebSocket("/echo", async context =>
        {
            await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
            {
                await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
            }
        });
        await server.StartAsync();
        Console.WriteLine($"Listening on {server.EndPoints[0].Uri}");

        await stop.Task;
        await server.StopAsync(); // clients are told (1001) and waited for, up to ShutdownTimeout
        Console.WriteLine("Stopped.");
        return 0;

        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true; // the default would end the process while clients are still connected
            stop.TrySetResult();
        }
        #endregion
    }

    /// <summary>Behind a proxy that adds X-Forwarded-For.</summary>
    public static CivetWebServerOptions Forwarded()
    {
        #region behind-a-proxy
        var options = new CivetWebServerOptions
        {
            Listen = { "http://127.0.0.1:8080" },
            AllowedHosts = { "example.org" },
            TrustedProxies = { "127.0.0.1" },
        };
        #endregion
        return options;
    }

    /// <summary>Behind a proxy on the same machine, without a port.</summary>
    public static CivetWebServerOptions UnixSocket()
    {
        #region unix-socket
        var options = new CivetWebServerOptions
        {
            Listen = { "http://unix:/run/example/web.sock" },
            UnixSocketMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite,
            TrustedProxies = { "unix" },
        };
        #endregion
        return options;
    }

    /// <summary>Behind a proxy that speaks the PROXY protocol.</summary>
    public static CivetWebServerOptions ProxyProtocol()
    {
        #region proxy-protocol
        var options = new CivetWebServerOptions
        {
            Listen = { "http://127.0.0.1:8080" },
            AllowedHosts = { "example.org" },
            TrustedProxies = { "127.0.0.1" },
            ProxyProtocol = true,
        };
        #endregion
        return options;
    }

    /// <summary>The callback API behind a proxy.</summary>
    public static string[] CallbackOptions()
    {
        #region callback-behind-a-proxy
        string[] options =
        [
            "listening_ports", "127.0.0.1:8080",
            "trusted_proxies", "127.0.0.1",
            "allowed_hosts", "example.org",
            "websocket_allowed_origins", "https://example.org",
        ];
        #endregion
        return options;
    }
}
