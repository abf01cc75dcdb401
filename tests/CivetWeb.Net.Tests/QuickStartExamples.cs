using System;
using System.Threading.Tasks;
using CivetWeb.Net;
using CivetWeb.Net.CallbackApi;

namespace CivetWeb.Net.Tests;

/// <summary>
/// The whole programs of README.md and docs/getting-started.md, as <see cref="ReadmeExamples"/>. They are for a new console
/// project, whose implicit usings they rely on: this file has no others, but the library's own.
/// </summary>
internal static class QuickStartExamples
{
    /// <summary>The server API.</summary>
    public static async Task Server(string[] args)
    {
        #region server
        string url = args.Length > 0 ? args[0] : "http://127.0.0.1:8080";
        await using var server = new CivetWebServer(new() { Listen = { url } });
        server.MapWebSocket("/echo", async context =>
        {
            await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
            {
                await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
            }
        });
        await server.StartAsync();
        Console.WriteLine($"Listening on {server.EndPoints[0].Uri} - press Enter to stop.");
        Console.ReadLine();
        #endregion
    }

    /// <summary>The callback API.</summary>
    public static void Callbacks(string[] args)
    {
        #region callbacks
        string port = args.Length > 0 ? args[0] : "127.0.0.1:8080";
        using Context context = Http.StartServer(connection => 0, port);
        Http.SetWebSocketHandler(
            context,
            "/echo",
            connect: (connection, userData) => 0, // accept
            ready: (connection, userData) => Http.WriteTextToWebSocket(connection, "Welcome!"),
            data: (connection, bits, data, userData) =>
            {
                if (bits == 1) // text
                {
                    Http.WriteTextToWebSocket(connection, data);
                }

                return 1; // keep open
            },
            close: (connection, userData) => Console.WriteLine("A client has left."));
        Console.WriteLine($"Listening on http://localhost:{context.Port}/ - press Enter to stop.");
        Console.ReadLine();
        #endregion
    }

    /// <summary>The server API with a page.</summary>
    public static async Task Page(string[] args)
    {
        #region page
        const string Page = """
            <!DOCTYPE html>
            <title>Echo</title>
            <form id="form"><input id="text" autofocus> <button>Send</button></form>
            <pre id="log"></pre>
            <script>
              const log = text => document.getElementById("log").append(text + "\n");
              const socket = new WebSocket("ws://" + location.host + "/echo");
              socket.onopen = () => log("open");
              socket.onmessage = event => log("received: " + event.data);
              socket.onclose = event => log("closed: " + event.code);
              document.getElementById("form").onsubmit = event => {
                event.preventDefault();
                socket.send(document.getElementById("text").value);
              };
            </script>
            """;

        string url = args.Length > 0 ? args[0] : "http://127.0.0.1:8080";
        await using var server = new CivetWebServer(new() { Listen = { url } });

        server.MapGet("/", (request, response) =>
        {
            response.ContentType = "text/html; charset=utf-8";
            response.WriteText(Page);
        });

        server.MapWebSocket("/echo", async context =>
        {
            Console.WriteLine($"{context.RemoteEndPoint} has connected.");
            await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
            {
                await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
            }

            Console.WriteLine($"{context.RemoteEndPoint} has closed.");
        });

        await server.StartAsync();
        Console.WriteLine($"Listening on {server.EndPoints[0].Uri} - press Enter to stop.");
        Console.ReadLine();
        #endregion
    }
}
