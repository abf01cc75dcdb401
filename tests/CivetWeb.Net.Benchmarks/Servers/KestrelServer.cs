using System;
using System.Linq;
using System.Net;
using System.Net.WebSockets;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace CivetWeb.Net.Benchmarks.Servers;

/// <summary>Echo and broadcast with ASP.NET Core.</summary>
internal sealed class KestrelServer : IDisposable
{
    private readonly WebApplication _application;

    public KestrelServer(ServeOptions options)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            if (options.Certificate is not null)
            {
                listen.UseHttps(X509Certificate2.CreateFromPemFile(options.Certificate));
            }
        }));

        var group = new BroadcastGroup();
        _application = builder.Build();
        _application.UseWebSockets();
        _application.Map("/echo", (HttpContext context) => AcceptAsync(context, socket => EchoLoop.RunAsync(socket, options.Sleep)));
        _application.Map("/broadcast", (HttpContext context) => AcceptAsync(context, group.RunAsync));
        _application.StartAsync().GetAwaiter().GetResult();
        Port = new Uri(_application.Urls.First()).Port;
    }

    public int Port { get; }

    public void Dispose() => _application.DisposeAsync().AsTask().GetAwaiter().GetResult();

    private static async Task AcceptAsync(HttpContext context, Func<WebSocket, Task> handler)
    {
        if (!context.WebSockets.IsWebSocketRequest)
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return;
        }

        using WebSocket socket = await context.WebSockets.AcceptWebSocketAsync();
        await handler(socket);
    }
}
