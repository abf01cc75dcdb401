using System.Linq;
using System.Net.WebSockets;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// A <see cref="CivetWebServer"/> and the clients people use, without compression and with what they offer of it; the programs
/// are in tests/clients. DeflateClientTests has the parameters of the compression.
/// </summary>
[TestFixture]
internal sealed class ServerClientTests
{
    [Test]
    public async Task Echoes_text_and_binary_and_closes_with_1000([ValueSource(typeof(ClientPrograms), nameof(ClientPrograms.All))] string name, [Values] bool deflate)
    {
        var closed = new TaskCompletionSource<WebSocketCloseStatus?>();
        await using RunningServer server = await StartAsync(closed, deflate);
        using var client = new LineProcess(ClientPrograms.Command(name, "echo", server.WebSocketUri().ToString()));
        Assert.That(await client.FinishAsync(TestServer.Patience), Is.EqualTo((string[])["welcome", "echoed 4 texts, 3 binaries", "closed 1000"]));
        Assert.That(await closed.Task.WaitAsync(TestServer.Patience), Is.EqualTo(WebSocketCloseStatus.NormalClosure));
        Assert.That(server.Log.Errors, Is.Empty);
    }

    [Test]
    public async Task Is_told_when_the_server_stops([ValueSource(typeof(ClientPrograms), nameof(ClientPrograms.All))] string name)
    {
        var closed = new TaskCompletionSource<WebSocketCloseStatus?>();
        await using RunningServer server = await StartAsync(closed, deflate: false);
        using var client = new LineProcess(ClientPrograms.Command(name, "wait", server.WebSocketUri().ToString()));
        await Eventually.IsTrueAsync(() => client.HasExited || client.Lines.Contains("welcome"), "the client is greeted");
        await server.Server.StopAsync();
        Assert.That(await client.FinishAsync(TestServer.Patience), Is.EqualTo((string[])["welcome", "closed 1001"]));
        Assert.That(closed.Task.IsCompleted, "the handler has ended");
        Assert.That(server.Log.Errors, Is.Empty);
    }

    private static Task<RunningServer> StartAsync(TaskCompletionSource<WebSocketCloseStatus?> closed, bool deflate) => RunningServer.StartAsync(s => s.MapWebSocket(
        "/ws",
        async context =>
        {
            try
            {
                await context.WebSocket.SendTextAsync("Welcome!");
                await ServerEchoTests.EchoAsync(context);
            }
            finally
            {
                closed.SetResult(context.WebSocket.CloseStatus);
            }
        },
        new WebSocketEndpointOptions { DangerousDeflate = deflate ? new() : null }));
}
