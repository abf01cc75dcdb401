using System;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>How many WebSockets one path may have.</summary>
[TestFixture]
internal sealed class HandshakeLimitTests
{
    [Test]
    [Logs(27)]
    public async Task A_path_has_its_own_limit_and_a_refused_client_takes_no_place()
    {
        using var asked = new SemaphoreSlim(0);
        var go = new TaskCompletionSource();
        await using RunningServer server = await RunningServer.StartAsync(
            s =>
            {
                s.MapWebSocket("/two", _ => Task.CompletedTask, new WebSocketEndpointOptions { OnHandshake = Hold, HandshakeTimeout = TestServer.Patience, MaxConnections = 2 });
                s.MapWebSocket("/other", _ => Task.CompletedTask, new WebSocketEndpointOptions { OnHandshake = Hold, HandshakeTimeout = TestServer.Patience });
            },
            o => o.WebSockets.MaxConnections = 1);
        using var first = new RawClient(server.Port);
        using var second = new RawClient(server.Port);
        using var other = new RawClient(server.Port);
        first.Send(RawClient.UpgradeRequest("/two"));
        second.Send(RawClient.UpgradeRequest("/two"));
        other.Send(RawClient.UpgradeRequest("/other"));
        for (int i = 0; i < 3; i++)
        {
            Assert.That(await asked.WaitAsync(TestServer.Patience), Is.True);
        }

        Assert.That(server.Server.WebSocketCount, Is.EqualTo(3));
        foreach (string path in (string[])["/two", "/two", "/other"])
        {
            string response = RawClient.Exchange(server.Port, RawClient.UpgradeRequest(path));
            Assert.That(response, Does.StartWith("HTTP/1.1 503 Service Unavailable\r\n"));
            Assert.That(response, Does.Contain("\r\nRetry-After: 5\r\n"));
        }

        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 3, "the refused ones have left");
        go.SetResult();
        first.ReadToEnd();
        second.ReadToEnd();
        other.ReadToEnd();
        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "all places are free again");
        for (int i = 0; i < 5; i++)
        {
            Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest("/two")), Does.StartWith("HTTP/1.1 418 "));
        }

        async Task Hold(WebSocketHandshake handshake)
        {
            asked.Release();
            await go.Task;
            handshake.Reject(418);
        }
    }

    [Test]
    [Logs(27)]
    public async Task An_open_WebSocket_has_its_place_until_it_is_over_even_when_its_path_is_removed()
    {
        var options = new WebSocketEndpointOptions { MaxConnections = 1 };
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", EchoAsync, options));
        for (int i = 0; i < 3; i++)
        {
            using ClientWebSocket client = await server.ConnectAsync();
            Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest()), Does.StartWith("HTTP/1.1 503 "));
            Assert.That(server.Server.RemoveWebSocket("/ws"), Is.True);
            Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest()), Does.StartWith("HTTP/1.1 404 "));
            await client.SendTextAsync("still here?");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("still here?"));
            await client.CloseNormallyAsync();
            await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "it is over");
            server.Server.MapWebSocket("/ws", EchoAsync, options);
        }

        static async Task EchoAsync(ServerWebSocketContext context)
        {
            (WebSocketMessageType type, byte[] data) = await context.WebSocket.ReceiveMessageAsync();
            await context.WebSocket.SendAsync(data.AsMemory(), type, true, context.Aborted);
            await context.WebSocket.ReceiveMessageAsync();
        }
    }

    [Test]
    [Logs(27)]
    public async Task A_place_is_free_again_when_the_client_closes_breaks_the_protocol_or_vanishes()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket(
            "/ws",
            async context => await context.WebSocket.ReceiveMessageAsync(),
            new WebSocketEndpointOptions { MaxConnections = 1 }));
        foreach (Action<RawClient> end in (Action<RawClient>[])
        [
            c => c.SendFrame(0x88, [0x03, 0xE8]),
            c => c.SendFrame(0xB1, "reserved bits"u8),
            c => c.Socket.Close(0),
            c => c.SendFrame(0x82, "a message"u8),
        ])
        {
            using RawClient client = RawClient.Open(server.Port);
            Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest()), Does.StartWith("HTTP/1.1 503 "));
            end(client);
            client.Dispose();
            await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "it is over");
        }
    }

    [Test]
    [Logs(27)]
    public async Task A_hundred_at_once_never_exceed_the_limit()
    {
        const int Limit = 3;
        int now = 0;
        int most = 0;
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", _ => Task.CompletedTask, new WebSocketEndpointOptions
        {
            MaxConnections = Limit,
            OnHandshake = async handshake =>
            {
                int open = Interlocked.Increment(ref now);
                InterlockedMax(ref most, open);
                await Task.Delay(5);
                Interlocked.Decrement(ref now);
                handshake.Reject(418);
            },
        }));
        int let = 0;
        await Parallel.ForAsync(0, 100, new ParallelOptions { MaxDegreeOfParallelism = 10 }, (_, _) =>
        {
            if (RawClient.Exchange(server.Port, RawClient.UpgradeRequest()).StartsWith("HTTP/1.1 418 ", StringComparison.Ordinal))
            {
                Interlocked.Increment(ref let);
            }

            return ValueTask.CompletedTask;
        });
        Assert.That(most, Is.InRange(1, Limit));
        Assert.That(let, Is.GreaterThanOrEqualTo(Limit));
        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "all places are free again");
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest()), Does.StartWith("HTTP/1.1 418 "));
    }

    private static void InterlockedMax(ref int target, int value)
    {
        int seen = Volatile.Read(ref target);
        while (value > seen)
        {
            int before = Interlocked.CompareExchange(ref target, value, seen);
            if (before == seen)
            {
                return;
            }

            seen = before;
        }
    }
}
