using System;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>A warm server's messages cost no managed memory. The client, in the same process, takes none either.</summary>
public class ServerAllocationTests
{
    private const int Warm = 2000;
    private const int Messages = 10_000;

    [Test]
    public async Task A_message_of_ReceiveAsync_costs_no_memory(
        [Values(16, 128, 4096, 16_384)] int size, [Values] bool text, [Values(1, 16)] int inFlight)
    {
        var onThread = new ThreadMeter();
        await using RunningServer running = await RunningServer.StartAsync(server => server.MapWebSocket("/ws", async context =>
        {
            byte[] buffer = new byte[32 * 1024];
            while (true)
            {
                ValueWebSocketReceiveResult received = await context.WebSocket.ReceiveAsync(buffer.AsMemory(), CancellationToken.None);
                if (received.MessageType == WebSocketMessageType.Close)
                {
                    break;
                }

                await context.WebSocket.SendAsync(buffer.AsMemory(0, received.Count), received.MessageType, received.EndOfMessage, CancellationToken.None);
                onThread.Count(received.EndOfMessage);
            }
        }));
        MeasureEchoes(running.Port, size, text, inFlight, onThread);
    }

    [Test]
    public async Task A_message_of_ReadMessagesAsync_costs_no_memory(
        [Values(16, 128, 4096, 16_384)] int size, [Values] bool text, [Values(1, 16)] int inFlight)
    {
        var onThread = new ThreadMeter();
        await using RunningServer running = await RunningServer.StartAsync(server => server.MapWebSocket("/ws", async context =>
        {
            await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
            {
                await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
                onThread.Count(true);
            }
        }));
        MeasureEchoes(running.Port, size, text, inFlight, onThread);
    }

    /// <summary>Or each of them would take a new one for its first message, since all others still had theirs.</summary>
    [Test]
    public async Task A_connection_that_waits_for_its_client_keeps_no_receive_buffer()
    {
        const int Clients = 100, Before = 20;
        await using RunningServer running = await RunningServer.StartAsync(server => server.MapWebSocket("/ws", async context =>
        {
            byte[] buffer = new byte[100];
            while (await context.WebSocket.ReceiveAsync(buffer.AsMemory(), default) is { MessageType: not WebSocketMessageType.Close } received)
            {
                await context.WebSocket.SendAsync(buffer.AsMemory(0, received.Count), received.MessageType, true, default);
            }
        }));
        var clients = new RawClient[Clients];
        try
        {
            for (int i = 0; i < Clients; i++)
            {
                clients[i] = RawClient.Open(running.Port);
            }

            long before = 0;
            for (int i = 0; i < Clients; i++)
            {
                before = i == Before ? GC.GetTotalAllocatedBytes(precise: true) : before;
                clients[i].SendFrame(0x82, "a message"u8);
                Assert.That(clients[i].ReadFrame().FirstByte, Is.EqualTo(0x82));
            }

            long each = (GC.GetTotalAllocatedBytes(precise: true) - before) / (Clients - Before);
            Assert.That(each, Is.LessThan(ReceiveBuffers.Size), "bytes for the first message of a connection");
        }
        finally
        {
            Array.ForEach(clients, client => client?.Dispose());
        }
    }

    private static void MeasureEchoes(int port, int size, bool text, int inFlight, ThreadMeter onThread)
    {
        byte[] payload = new byte[size];
        Array.Fill(payload, (byte)'a');
        using RawClient client = RawClient.Open(port);
        byte[] frame = client.Frame(text ? 0x81 : 0x82, payload);
        byte[] echoes = new byte[256 * 1024];
        int echo = size + (size < 126 ? 2 : 4);

        Echo(client.Socket, frame, echo, inFlight, echoes, Warm);
        // The test's own runner takes memory now and then. The smallest object has 24 bytes, and would be there every time.
        long least = long.MaxValue;
        for (int round = 0; round < 5 && least >= 12 * Messages; round++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            Echo(client.Socket, frame, echo, inFlight, echoes, Messages);
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }

        Assert.That(least, Is.LessThan(12 * Messages), $"bytes for {Messages} messages, on all threads");
        Assert.That(onThread.Bytes, Is.LessThan(Messages), "bytes for all messages, on the connection's threads");
    }

    private static void Echo(Socket socket, byte[] frame, int echo, int inFlight, byte[] echoes, int messages)
    {
        for (int sent = 0; sent < messages; sent += inFlight)
        {
            for (int i = 0; i < inFlight; i++)
            {
                socket.Send(frame);
            }

            int left = echo * inFlight;
            while (left > 0)
            {
                int n = socket.Receive(echoes);
                left = n > 0 ? left - n : throw new InvalidOperationException("The server has ended the connection.");
            }
        }
    }

    /// <summary>
    /// What the threads of a connection have allocated between the last message of the warming up and the last of all. Where the
    /// thread changes from one message to the next, what lies between these two is left out.
    /// </summary>
    private sealed class ThreadMeter
    {
        private int _messages;
        private int _thread;
        private long _before;
        private long _bytes;

        public long Bytes => Volatile.Read(ref _messages) > Warm ? Volatile.Read(ref _bytes) : long.MaxValue;

        public void Count(bool endOfMessage)
        {
            if (!endOfMessage)
            {
                return;
            }

            long now = GC.GetAllocatedBytesForCurrentThread();
            if (_messages >= Warm && _thread == Environment.CurrentManagedThreadId)
            {
                Volatile.Write(ref _bytes, _bytes + now - _before);
            }

            _thread = Environment.CurrentManagedThreadId;
            _before = now;
            Volatile.Write(ref _messages, _messages + 1);
        }
    }
}
