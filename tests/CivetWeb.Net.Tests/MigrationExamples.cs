using System;
using System.Collections.Concurrent;
using System.Linq;
using System.Net.WebSockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading.Tasks;
using CivetWeb.Net;
using CivetWeb.Net.CallbackApi;

namespace CivetWeb.Net.Tests;

/// <summary>The C# of docs/migrating-from-….md; as <see cref="ReadmeExamples"/>.</summary>
internal static class MigrationExamples
{
    /// <summary>A program that was written for Fleck, with the callback API.</summary>
    public static void FromFleck(string[] args)
    {
        #region from-fleck
        string port = args.Length > 0 ? args[0] : "8181";
        using Context context = Http.StartServer(connection => 0, port);
        Http.SetWebSocketHandler(
            context,
            "**", // every path
            connect: null,
            ready: (connection, userData) =>
            {
                string address = Http.GetRequestInfo(connection).RemoteAddress;
                Http.WriteTextToWebSocket(connection, $"hello {address}");
            },
            data: (connection, bits, data, userData) =>
            {
                switch (bits)
                {
                    case 1:
                        Http.BroadcastToWebSockets(context, null, bits, data);
                        break;
                    case 2:
                        Http.WriteBinaryToWebSocket(connection, data);
                        break;
                }

                return 1;
            },
            close: null);
        Console.WriteLine($"Listening on http://localhost:{context.Port}/ - press Enter to stop.");
        Console.ReadLine();
        #endregion
    }

    /// <summary>A program that was written for websocket-sharp, with the server API.</summary>
    public static async Task FromWebSocketSharp(string[] args)
    {
        #region from-websocket-sharp
        string url = args.Length > 0 ? args[0] : "http://0.0.0.0:8181";
        var sessions = new ConcurrentDictionary<long, WebSocket>();
        await using var server = new CivetWebServer(new() { Listen = { url } });
        server.MapWebSocket("/room", async context =>
        {
            WebSocket socket = context.WebSocket;
            sessions[context.Id] = socket;
            try
            {
                await SendTextAsync(socket, $"hello {context.Id}");
                await foreach (WebSocketMessage message in socket.ReadMessagesAsync(context.Aborted))
                {
                    if (message.MessageType == WebSocketMessageType.Text)
                    {
                        string text = message.Text;
                        await Task.WhenAll(sessions.Values.Select(session => SendTextAsync(session, text)));
                    }
                    else
                    {
                        await socket.SendAsync(message.Data, WebSocketMessageType.Binary, true, context.Aborted);
                    }
                }
            }
            finally
            {
                sessions.TryRemove(context.Id, out _);
            }
        });
        await server.StartAsync();
        Console.WriteLine($"Listening on {server.EndPoints[0].Uri} - press Enter to stop.");
        Console.ReadLine();

        static async Task SendTextAsync(WebSocket socket, string text)
        {
            try
            {
                await socket.SendAsync(Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, true, default);
            }
            catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException)
            {
                // This one has left meanwhile.
            }
        }
        #endregion
    }

    /// <summary>Certificate, subprotocols, origins and passwords, which websocket-sharp has as properties.</summary>
    public static CivetWebServer Guarded(X509Certificate2 certificate)
    {
        #region guarded
        var server = new CivetWebServer(new()
        {
            Listen = { "wss://0.0.0.0:8443" },
            Tls = new TlsOptions { Certificate = certificate },
        });
        server.MapWebSocket("/room", TalkAsync, new WebSocketEndpointOptions
        {
            Subprotocols = ["chat"],
            AllowedOrigins = ["https://example.org"],
            OnHandshake = HandshakeAuthentication.Basic(
                "room", (name, password) => ValueTask.FromResult(name == "alice" && AuthenticationSecret.AreEqual(password, Secret))),
        });
        #endregion
        return server;
    }

    private const string Secret = "correct horse";

    private static async Task TalkAsync(ServerWebSocketContext context)
    {
        await context.WebSocket.SendAsync(
            Encoding.UTF8.GetBytes($"{context.User!.Identity!.Name} {context.Subprotocol}"), WebSocketMessageType.Text, true, context.Aborted);
    }
}
