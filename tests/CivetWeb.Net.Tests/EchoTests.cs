using System;
using System.Linq;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Messages there and back, through .NET's own client, with either API.</summary>
public sealed class EchoTests
{
    [Test]
    public async Task Text_and_binary_come_back_as_what_they_were(
        [Values] Api api, [Values(0, 1, 125, 126, 127, 1000, 65535, 65536, 100_000, 1 << 20, 16 << 20)] int size)
    {
        using EchoTarget server = EchoTarget.Start(api);
        EchoCounts counts = server.Counts;
        using ClientWebSocket client = await server.ConnectAsync();
        byte[] binary = new byte[size];
        new Random(size).NextBytes(binary);
        string text = new('x', size);

        await client.SendBinaryAsync(binary);
        (WebSocketMessageType type, byte[] data) = await client.ReceiveMessageAsync();
        Assert.That(type, Is.EqualTo(WebSocketMessageType.Binary));
        Assert.That(data.AsSpan().SequenceEqual(binary));

        await client.SendTextAsync(text);
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo(text));

        await client.CloseNormallyAsync();
        Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.NormalClosure));
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) == 1, "the close callback");
        Assert.Multiple(() =>
        {
            Assert.That(counts.Connects, Is.EqualTo(api == Api.Callbacks ? 1 : 0), "the server API has no such callback");
            Assert.That(counts.Readies, Is.EqualTo(1));
            Assert.That(counts.Frames, Is.EqualTo(3), "two messages and the close");
        });
    }

    [Test]
    public async Task Text_beyond_ascii_survives([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api);
        using ClientWebSocket client = await server.ConnectAsync();
        string text = string.Concat(Enumerable.Repeat("aé€😀\0\u007f\uFFFD", 5000));
        await client.SendTextAsync(text);
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo(text));
    }

    [Test]
    public async Task A_fragmented_message_arrives_whole_with_a_ping_in_its_middle([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api);
        EchoCounts counts = server.Counts;
        using RawClient client = RawClient.Open(server.Port);
        client.SendFrame(0x01, "caf\xC3"u8[..3]);
        client.SendFrame(0x89, "now"u8);
        client.SendFrame(0x00, ""u8);
        client.SendFrame(0x80, "é!"u8);
        Assert.That(client.ReadFrame(), Is.EqualTo((0x8A, "now"u8.ToArray())).Using<(int, byte[])>(SameFrame), "the pong does not wait for the message");
        Assert.That(client.ReadFrame(), Is.EqualTo((0x81, "café!"u8.ToArray())).Using<(int, byte[])>(SameFrame));
        client.SendFrame(0x88, [0x03, 0xE8]);
        Assert.That(client.ReadClose(), Is.EqualTo(1000));
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) == 1, "the close callback");
        Assert.That(counts.Frames, Is.EqualTo(api == Api.Callbacks ? 3 : 2), "message, close, and the ping where it is shown");
    }

    [Test]
    public async Task Fragments_sent_by_ClientWebSocket_are_one_message([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api);
        using ClientWebSocket client = await server.ConnectAsync();
        byte[] part = new byte[10_000];
        new Random(1).NextBytes(part);
        for (int i = 0; i < 50; i++)
        {
            await client.SendAsync(part, WebSocketMessageType.Binary, i == 49, CancellationToken.None);
        }

        (_, byte[] data) = await client.ReceiveMessageAsync();
        Assert.That(data, Has.Length.EqualTo(50 * part.Length));
        Assert.That(data.Chunk(part.Length).All(c => c.AsSpan().SequenceEqual(part)));
    }

    [Test]
    public async Task Ten_thousand_messages_of_fifty_clients_come_back_byte_for_byte([Values] Api api)
    {
        const int Clients = 50, Messages = 200;
        using EchoTarget server = EchoTarget.Start(api);
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(number => Task.Run(async () =>
        {
            var random = new Random(number);
            using ClientWebSocket client = await server.ConnectAsync();
            for (int i = 0; i < Messages; i++)
            {
                byte[] data = new byte[random.Next(4) == 0 ? random.Next(70_000) : random.Next(300)];
                random.NextBytes(data);
                await client.SendBinaryAsync(data);
                (WebSocketMessageType type, byte[] back) = await client.ReceiveMessageAsync();
                Assert.That(type, Is.EqualTo(WebSocketMessageType.Binary));
                Assert.That(back.AsSpan().SequenceEqual(data), $"client {number}, message {i}");
            }

            await client.CloseNormallyAsync();
        })));
    }

    [Test]
    public void Messages_sent_in_one_packet_are_answered_in_order([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api);
        using RawClient client = RawClient.Open(server.Port);
        byte[] all = [.. Enumerable.Range(0, 2000).SelectMany(i => client.Frame(0x81, Encoding.ASCII.GetBytes($"message {i}")))];
        Task sender = Task.Run(() => client.Send(all));
        for (int i = 0; i < 2000; i++)
        {
            (int first, byte[] payload) = client.ReadFrame();
            Assert.That(first, Is.EqualTo(0x81));
            Assert.That(Encoding.ASCII.GetString(payload), Is.EqualTo($"message {i}"));
        }

        sender.Wait();
    }

    [Test]
    public void A_frame_sent_right_behind_the_handshake_is_not_lost([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api);
        using var client = new RawClient(server.Port);
        client.Send([.. Encoding.ASCII.GetBytes(RawClient.UpgradeRequest()), .. client.Frame(0x81, "early"u8)]);
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 101 "));
        Assert.That(client.ReadFrame().Payload, Is.EqualTo("early"u8.ToArray()));
    }

    [Test]
    public async Task A_ping_of_the_application_reaches_the_client_and_its_pong_the_callback()
    {
        using var server = new TestServer();
        var pong = new TaskCompletionSource<string>();
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            (connection, _) => Http.WriteToWebSocket(connection, 9, "are you there"u8),
            (_, bits, data, _) =>
            {
                if (bits == 10)
                {
                    pong.TrySetResult(Encoding.UTF8.GetString(data));
                }

                return 1;
            },
            null);
        using RawClient client = RawClient.Open(server.Port);
        (int first, byte[] payload) = client.ReadFrame();
        Assert.That(first, Is.EqualTo(0x89));
        client.SendFrame(0x8A, payload);
        Assert.That(await pong.Task.WaitAsync(TestServer.Patience), Is.EqualTo("are you there"));
    }

    [Test]
    public void An_echo_is_one_packet_with_default_options([Values] Api api)
    {
        // CivetWeb alone sends header and payload apart; on loopback one send is one segment, and a receive gets it whole.
        using EchoTarget server = EchoTarget.Start(api);
        using RawClient client = RawClient.Open(server.Port);
        byte[] buffer = new byte[4096];
        for (int i = 0; i < 200; i++)
        {
            client.SendFrame(0x82, new byte[1000]);
            Assert.That(client.Socket.Receive(buffer), Is.EqualTo(4 + 1000));
        }
    }

    private static bool SameFrame((int First, byte[] Payload) a, (int First, byte[] Payload) b) =>
        a.First == b.First && a.Payload.AsSpan().SequenceEqual(b.Payload);
}
