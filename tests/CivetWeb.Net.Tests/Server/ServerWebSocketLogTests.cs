using System;
using System.Linq;
using System.Net.WebSockets;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>What a server logs of its WebSockets.</summary>
public sealed class ServerWebSocketLogTests
{
    [Test]
    public async Task Opening_and_closing_are_logged_with_the_same_id_and_the_codes()
    {
        long id = 0;
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", context =>
        {
            id = context.Id;
            return ServerEchoTests.EchoAsync(context);
        }));
        using ClientWebSocket client = await server.ConnectAsync();
        await client.CloseAsync((WebSocketCloseStatus)3333, "bye\r\nforged", default);
        Assert.That(await MessageAsync(server, 20), Does.Contain($"WebSocket {id} ").And.Contains("/ws"));
        Assert.That(
            await MessageAsync(server, 21),
            Does.Contain($"WebSocket {id} ").And.Contains("sent 3333, received 3333").And.Contains(@"bye\r\nforged").And.Not.Contains("\n"));
    }

    [Test]
    public async Task Codes_are_logged_as_those_that_were_sent_and_received_whichever_came_first([Values] bool serverFirst)
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", async context =>
        {
            if (!serverFirst)
            {
                await context.WebSocket.ReceiveMessageAsync();
            }

            await context.WebSocket.CloseAsync((WebSocketCloseStatus)3001, null, default);
        }));
        using ClientWebSocket client = await server.ConnectAsync();
        if (serverFirst)
        {
            await client.ReceiveMessageAsync();
        }

        await client.CloseAsync((WebSocketCloseStatus)3002, "", default);
        Assert.That(await MessageAsync(server, 21), Does.Contain("sent 3001, received 3002"));
    }

    [Test]
    public async Task A_client_that_vanishes_is_logged_as_lost()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", ServerEchoTests.EchoAsync));
        RawClient.Open(server.Port).Dispose();
        Assert.That(await MessageAsync(server, 25, LogLevel.Debug), Does.Contain("without a Close frame"));
    }

    [Test]
    public async Task A_message_over_the_limit_is_logged()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", ServerEchoTests.EchoAsync, new() { MaxMessageSize = 10 }));
        using RawClient client = RawClient.Open(server.Port);
        client.SendFrame(0x82, new byte[11]);
        Assert.That(client.ReadClose(), Is.EqualTo(1009));
        client.Dispose();
        Assert.That(await MessageAsync(server, 23), Does.Contain("larger than 10 bytes"));
    }

    [Test]
    public async Task A_client_that_is_cut_is_logged_with_the_reason()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket(
            "/ws", ServerEchoTests.EchoAsync, new() { FrameTimeout = TimeSpan.FromMilliseconds(200), CloseTimeout = TimeSpan.FromMilliseconds(200) }));
        using RawClient client = RawClient.Open(server.Port);
        client.Send([0x82]);
        Assert.That(await MessageAsync(server, 26), Does.Contain("gone on with its frame"));
    }

    [Test]
    [Logs(24)]
    public async Task A_handler_that_fails_is_an_error()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws/{x}", _ => throw new InvalidOperationException("inside")));
        using ClientWebSocket client = await server.ConnectAsync("/ws/%C2%85forged");
        await client.ReceiveMessageAsync();
        await client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", default);
        Assert.That(await MessageAsync(server, 24, LogLevel.Error), Does.Contain(@"/ws/\u0085forged"));
        Assert.That(server.Log.Entries.Single(e => e.Event.Id == 24).Exception!.Message, Is.EqualTo("inside"));
    }

    [Test]
    public async Task Refusals_are_logged_with_status_and_reason()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", ServerEchoTests.EchoAsync));
        RawClient.Exchange(server.Port, RawClient.UpgradeRequest("/nowhere"));
        Assert.That(await MessageAsync(server, 22), Does.Contain("/nowhere").And.Contains("404").And.Contains("no WebSocket at this path"));
    }

    [Test]
    [Logs(27)]
    public async Task A_limit_that_is_reached_is_a_warning_with_its_name()
    {
        await using RunningServer server = await RunningServer.StartAsync(
            s => s.MapWebSocket("/ws", ServerEchoTests.EchoAsync), options => options.MaxConnections = 1);
        using RawClient first = RawClient.Open(server.Port);
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest()), Does.StartWith("HTTP/1.1 503"));
        Assert.That(await MessageAsync(server, 27, LogLevel.Warning), Does.Contain("MaxConnections is reached: 1"));
    }

    private static async Task<string> MessageAsync(RunningServer server, int id, LogLevel level = LogLevel.Information)
    {
        await Eventually.IsTrueAsync(() => server.Log.Entries.Any(e => e.Event.Id == id), $"event {id} is logged");
        (LogLevel actual, _, string message, _) = server.Log.Entries.Single(e => e.Event.Id == id);
        Assert.That(actual, Is.EqualTo(level));
        return message;
    }
}
