using System;
using System.Collections.Concurrent;
using System.IO;
using System.Net.WebSockets;
using System.Security.Principal;
using System.Text.Json.Serialization;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net;
using CivetWeb.Net.CallbackApi;
using StreamJsonRpc;

namespace CivetWeb.Net.Tests;

/// <summary>The C# of README.md and docs/ that shows the server API; as <see cref="ReadmeExamples"/>.</summary>
internal static partial class ServerExamples
{
    /// <summary>A whole program.</summary>
    public static async Task Start(string[] args)
    {
        #region start
        string url = args.Length > 0 ? args[0] : "http://127.0.0.1:8080";
        await using var server = new CivetWebServer(new() { Listen = { url } });
        server.MapWebSocket("/echo", async context =>
        {
            await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
            {
                await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
            }
        });
        server.MapGet("/hello/{name}", (request, response) => response.WriteText($"Hello {request.Route["name"]}"));
        server.MapStaticFiles("/", "wwwroot");
        await server.StartAsync();
        Console.WriteLine($"Listening on {server.EndPoints[0].Uri} - press Enter to stop.");
        Console.ReadLine();
        #endregion
    }

    /// <summary>A client, to try a server with; a whole program.</summary>
    public static async Task Client(string[] args)
    {
        #region client
        using var client = new ClientWebSocket();
        await client.ConnectAsync(new Uri(args.Length > 0 ? args[0] : "ws://127.0.0.1:8080/echo"), CancellationToken.None);
        await client.SendAsync("Hello!"u8.ToArray(), WebSocketMessageType.Text, true, CancellationToken.None);
        await foreach (WebSocketMessage message in client.ReadMessagesAsync())
        {
            Console.WriteLine(message.Text);
            break;
        }

        await client.CloseAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
        #endregion
    }

    /// <summary>Tells everybody what anybody says.</summary>
    public static void Chat(CivetWebServer server)
    {
        #region chat
        var members = new ConcurrentDictionary<long, ServerWebSocketContext>();
        server.MapWebSocket("/chat", async context =>
        {
            members[context.Id] = context;
            try
            {
                await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
                {
                    foreach (ServerWebSocketContext member in members.Values)
                    {
                        await TellAsync(member, message);
                    }
                }
            }
            finally
            {
                members.TryRemove(context.Id, out _);
            }
        });

        static async Task TellAsync(ServerWebSocketContext member, WebSocketMessage message)
        {
            try
            {
                await member.WebSocket.SendAsync(message.Data, message.MessageType, true, member.Aborted);
            }
            catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException)
            {
                // This one has left meanwhile.
            }
        }
        #endregion
    }

    /// <summary>Lets in who has a session.</summary>
    public static void Handshake(CivetWebServer server)
    {
        #region handshake
        server.MapWebSocket("/orders", TalkAsync, new WebSocketEndpointOptions
        {
            AllowedOrigins = ["https://example.org"],
            Subprotocols = ["orders.v1"],
            MaxMessageSize = 64 * 1024,
            OnHandshake = async handshake =>
            {
                string? user = await FindUserAsync(handshake.Request.Cookies["session"]);
                if (user is null)
                {
                    handshake.Reject(403, "Log in first.\n");
                    return;
                }

                handshake.User = new GenericPrincipal(new GenericIdentity(user), []);
                handshake.SetCookie("last-visit", $"{DateTime.UtcNow:yyyy-MM-dd}");
            },
        });
        #endregion
    }

    /// <summary>A protocol of another library.</summary>
    public static void Rpc(CivetWebServer server)
    {
        #region rpc
        server.MapWebSocket("/rpc", async context =>
        {
            using var rpc = new JsonRpc(new WebSocketMessageHandler(context.WebSocket), new Calculator());
            rpc.StartListening();
            await rpc.Completion;
        });
        #endregion
    }

    /// <summary>JSON, uploads, a stream, pages for errors.</summary>
    public static void Pages(CivetWebServer server, string folder)
    {
        #region pages
        server.Use((request, response) => response.Headers["X-Content-Type-Options"] = "nosniff");

        server.MapPost("/orders", async (request, response) =>
        {
            Order? order = await request.ReadJsonAsync(AppJson.Default.Order);
            if (order is not { Count: > 0 })
            {
                throw new BadRequestException("An order has a count of at least 1.");
            }

            response.StatusCode = 201;
            await response.WriteJsonAsync(order, AppJson.Default.Order);
        });

        server.MapPost("/upload", async (request, response) =>
        {
            long size = 0;
            request.MaxBodySize = 1_000_000_000;
            await request.ReadMultipartAsync(async part =>
            {
                if (part.FileName is not null)
                {
                    await using FileStream file = File.Create(Path.Combine(folder, Path.GetRandomFileName()));
                    await part.Body.CopyToAsync(file);
                    size += file.Length;
                }
            });
            response.WriteText($"{size} bytes");
        });

        server.MapGet("/clock", async (request, response) =>
        {
            response.ContentType = "text/event-stream";
            while (!server.Stopping.IsCancellationRequested)
            {
                await response.WriteTextAsync($"data: {DateTime.UtcNow:O}\n\n");
                await response.FlushAsync(); // throws when the client is gone, which ends the handler
                await Task.Delay(1000);
            }
        });

        server.MapError(error => error.Response.WriteText($"{error.StatusCode}: {(error.Exception as BadRequestException)?.Message ?? "sorry"}"));
        #endregion
    }

    /// <summary>A certificate from files, and http that leads to https.</summary>
    public static CivetWebServerOptions Tls()
    {
        #region tls
        var options = new CivetWebServerOptions
        {
            Listen = { "https://*:443" },
            RedirectToHttps = { "http://*:80" },
            Tls = new TlsOptions
            {
                CertificatePath = "/etc/letsencrypt/live/example.org/fullchain.pem",
                KeyPath = "/etc/letsencrypt/live/example.org/privkey.pem",
            },
        };
        #endregion
        return options;
    }

    /// <summary>Asks clients for certificates.</summary>
    public static void ClientCertificates(CivetWebServer server, TlsOptions tls)
    {
        #region client-certificates
        tls.ClientCertificates = TlsClientCertificates.Required;
        tls.ClientCertificateAuthoritiesPath = "/etc/example/clients.pem";
        server.MapGet("/me", (request, response) => response.WriteText(request.ClientCertificate!.Subject));
        #endregion
    }

    private static async Task TalkAsync(ServerWebSocketContext context) =>
        await context.WebSocket.SendTextAsync($"{context.User!.Identity!.Name} speaks {context.Subprotocol}");

    private static async Task<string?> FindUserAsync(string? session)
    {
        await Task.Yield();
        return session == "4711" ? "alice" : null;
    }

    private sealed class Calculator
    {
        public int Add(int a, int b) => a + b;
    }

    #region json
    internal sealed record Order(string Name, int Count);

    [JsonSerializable(typeof(Order))]
    internal sealed partial class AppJson : JsonSerializerContext;
    #endregion
}
