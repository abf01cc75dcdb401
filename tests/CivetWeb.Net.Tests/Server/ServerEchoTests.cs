using System;
using System.Collections.Generic;
using System.Linq;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Messages through the WebSocket that handlers of a <see cref="CivetWebServer"/> get.</summary>
public sealed class ServerEchoTests
{
    [Test]
    public async Task A_message_comes_back_and_the_close_code_too()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", EchoAsync));
        using ClientWebSocket client = await server.ConnectAsync();
        await client.SendTextAsync("Hello!");
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Hello!"));
        await client.CloseNormallyAsync();
        Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.NormalClosure));
    }

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(125)]
    [TestCase(126)]
    [TestCase(4096)]
    [TestCase(16_383)]
    [TestCase(16_384)]
    [TestCase(65_535)]
    [TestCase(65_536)]
    [TestCase(1_000_000)]
    [TestCase(16 * 1024 * 1024)]
    public async Task Every_size_comes_back_unchanged(int size)
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", EchoAsync));
        using ClientWebSocket client = await server.ConnectAsync();
        byte[] data = RandomNumberGenerator.GetBytes(size);
        Task sending = client.SendBinaryAsync(data);
        (WebSocketMessageType type, byte[] received) = await client.ReceiveMessageAsync();
        await sending;
        Assert.That(type, Is.EqualTo(WebSocketMessageType.Binary));
        Assert.That(received.AsSpan().SequenceEqual(data));
        await client.CloseNormallyAsync();
    }

    [Test]
    public async Task Many_messages_in_flight_come_back_in_order()
    {
        const int Count = 20_000;
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", EchoAsync));
        using ClientWebSocket client = await server.ConnectAsync();
        Task sending = Task.Run(async () =>
        {
            for (int i = 0; i < Count; i++)
            {
                await client.SendBinaryAsync(BitConverter.GetBytes(i));
            }
        });
        byte[] buffer = new byte[16];
        for (int i = 0; i < Count; i++)
        {
            await client.ReceiveAsync(buffer.AsMemory(), CancellationToken.None);
            Assert.That(BitConverter.ToInt32(buffer), Is.EqualTo(i));
        }

        await sending;
        await client.CloseNormallyAsync();
    }

    [Test]
    public async Task A_client_that_sends_without_reading_gets_all_when_it_reads()
    {
        // More than the sockets' buffers hold: the server has to wait with its writes, and go on reading nothing meanwhile.
        const int Count = 400;
        const int Size = 64_000;
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", EchoAsync));
        using ClientWebSocket client = await server.ConnectAsync();
        byte[] data = RandomNumberGenerator.GetBytes(Size);
        Task sending = Task.Run(async () =>
        {
            for (int i = 0; i < Count; i++)
            {
                await client.SendBinaryAsync(data);
            }
        });
        await Task.Delay(300);
        for (int i = 0; i < Count; i++)
        {
            (_, byte[] received) = await client.ReceiveMessageAsync();
            Assert.That(received.AsSpan().SequenceEqual(data), $"message {i}");
        }

        await sending;
        await client.CloseNormallyAsync();
    }

    [Test]
    public async Task Clients_side_by_side_with_pushes_from_other_threads_lose_nothing()
    {
        const int Clients = 32;
        const int Messages = 200;
        const int Pushes = 200;
        var contexts = new System.Collections.Concurrent.ConcurrentBag<ServerWebSocketContext>();
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", async context =>
        {
            contexts.Add(context);
            await EchoAsync(context);
        }));
        ClientWebSocket[] clients = await Task.WhenAll(Enumerable.Range(0, Clients).Select(_ => server.ConnectAsync()));
        await Eventually.IsTrueAsync(() => contexts.Count == Clients, "all handlers run");
        Task pushing = Task.WhenAll(contexts.Select(context => Task.Run(async () =>
        {
            for (int i = 0; i < Pushes; i++)
            {
                await context.WebSocket.SendAsync(new byte[] { 1, (byte)(i % 128) }, WebSocketMessageType.Text, true, CancellationToken.None);
            }
        })));
        Task echoing = Task.WhenAll(clients.Select(client => Task.Run(async () =>
        {
            int echoes = 0, pushes = 0;
            await client.SendBinaryAsync(BitConverter.GetBytes(0));
            while (echoes < Messages || pushes < Pushes)
            {
                (WebSocketMessageType type, byte[] data) = await client.ReceiveMessageAsync();
                if (type == WebSocketMessageType.Text)
                {
                    Assert.That(data[1], Is.EqualTo((byte)(pushes++ % 128)));
                }
                else
                {
                    Assert.That(BitConverter.ToInt32(data), Is.EqualTo(echoes++));
                    if (echoes < Messages)
                    {
                        await client.SendBinaryAsync(BitConverter.GetBytes(echoes));
                    }
                }
            }

            await client.CloseNormallyAsync();
        })));
        await pushing;
        await echoing;
        foreach (ClientWebSocket client in clients)
        {
            client.Dispose();
        }
    }

    [Test]
    public async Task Fragments_arrive_as_one_message()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", EchoAsync));
        using ClientWebSocket client = await server.ConnectAsync();
        byte[] part = RandomNumberGenerator.GetBytes(5000);
        for (int i = 0; i < 5; i++)
        {
            await client.SendAsync(part, WebSocketMessageType.Binary, i == 4, CancellationToken.None);
        }

        (_, byte[] data) = await client.ReceiveMessageAsync();
        Assert.That(data, Has.Length.EqualTo(25_000));
        await client.CloseNormallyAsync();
    }

    [Test]
    public async Task A_message_over_the_limit_is_refused_with_1009_and_others_go_on()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", EchoAsync, new() { MaxMessageSize = 1000 }));
        using ClientWebSocket big = await server.ConnectAsync();
        using ClientWebSocket other = await server.ConnectAsync();
        await big.SendBinaryAsync(new byte[1000]);
        Assert.That((await big.ReceiveMessageAsync()).Data, Has.Length.EqualTo(1000));
        await big.SendBinaryAsync(new byte[1001]);
        Assert.That((await big.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
        Assert.That(big.CloseStatus, Is.EqualTo(WebSocketCloseStatus.MessageTooBig));
        await other.SendTextAsync("still here");
        Assert.That(await other.ReceiveTextAsync(), Is.EqualTo("still here"));
        await other.CloseNormallyAsync();
    }

    [Test]
    public async Task The_limit_counts_fragments_together_and_holds_for_plain_receives()
    {
        var failure = new TaskCompletionSource<Exception>();
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket(
            "/ws",
            async context =>
            {
                byte[] buffer = new byte[10];
                try
                {
                    while (true)
                    {
                        await context.WebSocket.ReceiveAsync(new ArraySegment<byte>(buffer), CancellationToken.None);
                    }
                }
                catch (Exception e)
                {
                    failure.SetResult(e);
                    throw;
                }
            },
            new() { MaxMessageSize = 100 }));
        using ClientWebSocket client = await server.ConnectAsync();
        for (int i = 0; i < 11; i++)
        {
            await client.SendAsync(new byte[10], WebSocketMessageType.Binary, false, CancellationToken.None);
        }

        Assert.That((await client.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
        Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.MessageTooBig));
        Assert.That(client.CloseStatusDescription, Does.Contain("100 bytes"));
        Assert.That(await failure.Task, Is.InstanceOf<WebSocketException>());
    }

    internal static async Task EchoAsync(ServerWebSocketContext context)
    {
        await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
        {
            await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
        }
    }
}
