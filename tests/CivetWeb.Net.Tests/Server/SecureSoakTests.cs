using System;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// WebSockets over TLS for a while: echoes on each connection's thread and pushes from thread-pool threads at the same time.
/// Nothing is lost and everything is in order. CIVETWEB_NET_SOAK_SECONDS says for how long; 5 when it is not set.
/// </summary>
public sealed class SecureSoakTests
{
    private const int Clients = 64;
    private const int Vanishers = 4;

    /// <summary>
    /// How many pushes a client may be behind. Without it they pile up in the sockets until a client that shares this
    /// machine with the server needs longer for them than a client may be silent, and is rightly cut off.
    /// </summary>
    private const int MostPushesBehind = 64;

    private static readonly byte[] s_end = "end"u8.ToArray();

    private TestCertificates _certificates = null!;

    private static TimeSpan Duration =>
        TimeSpan.FromSeconds(int.Parse(Environment.GetEnvironmentVariable("CIVETWEB_NET_SOAK_SECONDS") ?? "5", CultureInfo.InvariantCulture));

    [SetUp]
    public void SetUp() => _certificates = new TestCertificates();

    [TearDown]
    public void TearDown() => _certificates.Dispose();

    [Test]
    public async Task Echoes_and_pushes_over_tls_lose_nothing() => await SoakAsync(vanishers: 0);

    [Test]
    public async Task Echoes_and_pushes_over_tls_lose_nothing_beside_clients_that_vanish() => await SoakAsync(Vanishers);

    private async Task SoakAsync(int vanishers)
    {
        var counts = new Counts();
        var contexts = new ConcurrentDictionary<int, ServerWebSocketContext>();
        var vanishing = new ConcurrentDictionary<long, ServerWebSocketContext>();
        await using RunningServer server = await RunningServer.StartAsync(
            s =>
            {
                s.MapWebSocket("/honest/{number}", context =>
                {
                    contexts[int.Parse(context.Route["number"], CultureInfo.InvariantCulture)] = context;
                    return ServerEchoTests.EchoAsync(context);
                });
                s.MapWebSocket("/vanishing", async context =>
                {
                    vanishing[context.Id] = context;
                    try
                    {
                        await ServerEchoTests.EchoAsync(context);
                    }
                    finally
                    {
                        vanishing.TryRemove(context.Id, out _);
                    }
                });
            },
            options =>
            {
                options.Listen.Add("https://127.0.0.1:0");
                options.Tls = TlsServers.Options(_certificates);
                // The clients share this machine's processors with the server; their slowness is not what is tested.
                options.RequestHeadersTimeout = TestServer.Patience;
                options.WebSockets.SendTimeout = TestServer.Patience;
            });
        ClientWebSocket[] clients = await Task.WhenAll(Enumerable.Range(0, Clients).Select(i => ConnectAsync(server, $"/honest/{i}")));
        await Eventually.IsTrueAsync(() => contexts.Count == Clients, "all handlers run");

        long start = Stopwatch.GetTimestamp();
        using var stop = new CancellationTokenSource();
        Task[] others =
        [
            .. Enumerable.Range(0, vanishers).Select(i => Task.Run(() => VanishAsync(server, i, counts, stop.Token))),
            .. vanishers == 0 ? Enumerable.Empty<Task>() : [Task.Run(() => PushToVanishingAsync(vanishing, stop.Token))],
        ];
        Task[] honest =
        [
            .. Enumerable.Range(0, Clients).Select(i => Task.Run(() => PushAsync(contexts[i].WebSocket, i, start, counts))),
            .. Enumerable.Range(0, Clients).Select(i => Task.Run(() => EchoesAsync(clients[i], i, start, counts))),
        ];
        try
        {
            await Task.WhenAll(honest);
        }
        catch
        {
            TestContext.Out.WriteLine(string.Join('\n', server.Log.Entries.TakeLast(50)));
            throw;
        }

        await stop.CancelAsync();
        await Task.WhenAll(others);
        foreach (ClientWebSocket client in clients)
        {
            await client.CloseNormallyAsync();
            Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.NormalClosure));
            client.Dispose();
        }

        TestContext.Out.WriteLine(
            $"{counts.Sent} messages sent, {counts.Echoed} echoed; {counts.Pushed} pushed, {counts.Received} received; {counts.Vanished} clients vanished");
        Assert.That(counts.Echoed, Is.EqualTo(counts.Sent));
        Assert.That(counts.Received, Is.EqualTo(counts.Pushed));
        Assert.That(counts.Sent, Is.GreaterThan(Clients));
        Assert.That(counts.Pushed, Is.GreaterThan(Clients));
        Assert.That(counts.Vanished, vanishers == 0 ? Is.Zero : Is.Positive);
        await Eventually.IsTrueAsync(() => vanishing.IsEmpty, "the handlers of clients that vanished have ended");
    }

    private static async Task<ClientWebSocket> ConnectAsync(RunningServer server, string path)
    {
        var client = new ClientWebSocket();
        client.Options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
        using var timeout = new CancellationTokenSource(TestServer.Patience);
        await client.ConnectAsync(new Uri($"wss://127.0.0.1:{server.Port}{path}"), timeout.Token);
        return client;
    }

    /// <summary>What stands at a place of one connection's echoes (binary) or pushes (text): its number, then bytes that follow from it.</summary>
    private static byte[] Message(int client, int number, WebSocketMessageType type)
    {
        int size = number % 50 == 0 ? 20_000 : 4 + (number * 37 + client) % 300;
        byte[] data = new byte[size];
        // Seven bits, so that it is UTF-8.
        for (int i = 0; i < size; i++)
        {
            data[i] = i < 4 ? (byte)(number >> (7 * i) & 0x7F) : (byte)(number + i + client + (int)type & 0x7F);
        }

        return data;
    }

    /// <summary>From thread-pool threads, each message perhaps from another; the last one says that it is the last.</summary>
    private static async Task PushAsync(WebSocket socket, int client, long start, Counts counts)
    {
        for (int i = 0; Stopwatch.GetElapsedTime(start) < Duration; i++)
        {
            Assert.That(Thread.CurrentThread.IsThreadPoolThread);
            int number = i;
            await Eventually.IsTrueAsync(() => number - Volatile.Read(ref counts.ReceivedBy[client]) < MostPushesBehind, "pushes received").ConfigureAwait(false);
            using var deadline = new CancellationTokenSource(TestServer.Patience);
            await socket.SendAsync(Message(client, i, WebSocketMessageType.Text), WebSocketMessageType.Text, true, deadline.Token).ConfigureAwait(false);
            Interlocked.Increment(ref counts.Pushed);
        }

        using var last = new CancellationTokenSource(TestServer.Patience);
        await socket.SendAsync(s_end, WebSocketMessageType.Text, true, last.Token).ConfigureAwait(false);
    }

    /// <summary>Keeps a few messages on their way until the time is over and all pushes are there.</summary>
    private static async Task EchoesAsync(ClientWebSocket socket, int client, long start, Counts counts)
    {
        const int OnTheirWay = 4;
        int sent = 0, echoed = 0, pushed = 0;
        bool allPushed = false;
        while (!allPushed || echoed < sent || Stopwatch.GetElapsedTime(start) < Duration)
        {
            while (sent - echoed < OnTheirWay && Stopwatch.GetElapsedTime(start) < Duration)
            {
                await socket.SendBinaryAsync(Message(client, sent++, WebSocketMessageType.Binary));
                Interlocked.Increment(ref counts.Sent);
            }

            if (allPushed && echoed == sent)
            {
                continue;
            }

            (WebSocketMessageType type, byte[] data) = await socket.ReceiveMessageAsync();
            if (type == WebSocketMessageType.Binary)
            {
                Expect(data, client, echoed++, type);
                Interlocked.Increment(ref counts.Echoed);
            }
            else if (data.AsSpan().SequenceEqual(s_end))
            {
                allPushed = true;
            }
            else
            {
                Assert.That(type, Is.EqualTo(WebSocketMessageType.Text));
                Assert.That(allPushed, Is.False, "a push came after the last");
                Expect(data, client, pushed++, type);
                Volatile.Write(ref counts.ReceivedBy[client], pushed);
                Interlocked.Increment(ref counts.Received);
            }
        }
    }

    private static void Expect(byte[] data, int client, int number, WebSocketMessageType type)
    {
        if (!data.AsSpan().SequenceEqual(Message(client, number, type)))
        {
            Assert.Fail($"Client {client}: {type} message {number} is not what was sent ({data.Length} bytes).");
        }
    }

    /// <summary>Clients that are cut off in the middle of something, without a Close frame.</summary>
    private static async Task VanishAsync(RunningServer server, int number, Counts counts, CancellationToken stop)
    {
        var random = new Random(number);
        while (!stop.IsCancellationRequested)
        {
            using ClientWebSocket client = await ConnectAsync(server, "/vanishing");

            // It reads too little for all that is pushed to it, so that both sides would wait for each other.
            using var patience = new CancellationTokenSource(TimeSpan.FromMilliseconds(random.Next(500)));
            byte[] buffer = new byte[30_000];
            try
            {
                for (int i = random.Next(6); i > 0; i--)
                {
                    bool whole = random.Next(3) > 0;
                    await client.SendAsync(buffer.AsMemory(0, random.Next(buffer.Length)), WebSocketMessageType.Binary, whole, patience.Token);
                    if (whole && random.Next(2) == 0)
                    {
                        await client.ReceiveAsync(buffer.AsMemory(), patience.Token);
                    }
                    else if (!whole)
                    {
                        break;
                    }
                }
            }
            catch (OperationCanceledException)
            {
                // It vanishes here.
            }

            client.Abort();
            Interlocked.Increment(ref counts.Vanished);
        }
    }

    /// <summary>Pushes to them at the same time; these may fail, at any point.</summary>
    private static async Task PushToVanishingAsync(ConcurrentDictionary<long, ServerWebSocketContext> vanishing, CancellationToken stop)
    {
        byte[] data = new byte[5000];
        while (!stop.IsCancellationRequested)
        {
            foreach (ServerWebSocketContext context in vanishing.Values)
            {
                try
                {
                    await context.WebSocket.SendAsync(data, WebSocketMessageType.Binary, true, CancellationToken.None).ConfigureAwait(false);
                }
                catch (Exception e) when (e is WebSocketException or IOException or ObjectDisposedException or OperationCanceledException or InvalidOperationException)
                {
                    // It has vanished.
                }
            }

            await Task.Delay(1, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private sealed class Counts
    {
        public readonly int[] ReceivedBy = new int[Clients];
        public long Sent;
        public long Echoed;
        public long Pushed;
        public long Received;
        public long Vanished;
    }
}
