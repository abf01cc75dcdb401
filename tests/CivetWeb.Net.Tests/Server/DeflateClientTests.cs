using System;
using System.IO;
using System.Net.WebSockets;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Compression with the clients people use: Python's websockets and Node's ws. The programs are in tests/clients.</summary>
[TestFixture]
internal sealed class DeflateClientTests
{
    private const string Python = "/usr/bin/python3"; // Debian's, which has Debian's packages

    private static readonly string[] Clients = ["python", "node"];

    private static readonly string[] Offers =
    [
        "{\"client_max_window_bits\": true}",
        "{\"server_max_window_bits\": 9, \"client_max_window_bits\": 9}",
        "{\"server_max_window_bits\": 12, \"client_max_window_bits\": 10, \"server_no_context_takeover\": true}",
        "{\"client_max_window_bits\": true, \"client_no_context_takeover\": true, \"server_no_context_takeover\": true}",
    ];

    [Test]
    public async Task Echoes(
        [ValueSource(nameof(Clients))] string client,
        [ValueSource(nameof(Offers))] string offer,
        [Values(10, 15)] int limit)
    {
        string[] command = Command(client);
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket(
            "/ws",
            EchoAsync,
            new WebSocketEndpointOptions
            {
                DangerousDeflate = new() { ClientMaxWindowBits = limit, ServerMaxWindowBits = limit, ServerContextTakeover = limit == 15 },
            }));
        using var process = new LineProcess([.. command, server.WebSocketUri().ToString(), offer]);
        Assert.That(await process.FinishAsync(TestServer.Patience), Is.EqualTo((string[])["echoed 52", "closed 1000"]));
    }

    private static async Task EchoAsync(ServerWebSocketContext context)
    {
        var message = new MemoryStream();
        byte[] buffer = new byte[16 * 1024];
        while (true)
        {
            ValueWebSocketReceiveResult result = await context.WebSocket.ReceiveAsync(buffer.AsMemory(), context.Aborted);
            if (result.MessageType == WebSocketMessageType.Close)
            {
                return;
            }

            message.Write(buffer, 0, result.Count);
            if (result.EndOfMessage)
            {
                await context.WebSocket.SendAsync(message.GetBuffer().AsMemory(0, (int)message.Length), result.MessageType, true, context.Aborted);
                message.SetLength(0);
            }
        }
    }

    private static string[] Command(string client)
    {
        string folder = Path.Combine(Repository.Root, "tests", "clients");
        if (client == "python")
        {
            if (!EchoServerProcess.TryRun(Python, "-c", "import websockets"))
            {
                Repository.Missing($"{Python} with the package websockets is missing (Debian, Ubuntu: apt-get install python3-websockets)");
            }

            return [Python, Path.Combine(folder, "deflate_client.py")];
        }

        if (!EchoServerProcess.TryRun("node", "--version"))
        {
            Repository.Missing("Node.js is missing (Debian, Ubuntu: apt-get install nodejs npm)");
        }

        if (!File.Exists(Path.Combine(folder, "node_modules", "ws", "package.json")))
        {
            Repository.Missing("the npm package ws is missing (run tests/clients/install.sh)");
        }

        return ["node", Path.Combine(folder, "deflate_client.mjs")];
    }
}
