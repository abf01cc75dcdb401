using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Sending to a WebSocket whose handler blocks its turn: it depends on the client alone.</summary>
[TestFixture(false)]
[TestFixture(true)]
public sealed class BlockedHandlerTests(bool tls)
{
    private const int Much = 16 << 20; // more than the system buffers

    private TestCertificates _certificates = null!;

    [SetUp]
    public void SetUp() => _certificates = new TestCertificates();

    [TearDown]
    public void TearDown() => _certificates.Dispose();

    [Test]
    public async Task Two_handlers_that_block_on_sending_to_each_other_are_ended_by_the_send_timeout()
    {
        TimeSpan timeout = TimeSpan.FromMilliseconds(500);
        await using var pair = await Pair.StartAsync(this, new() { SendTimeout = timeout });
        Exception?[] failures = await pair.Ends();
        Assert.That(failures, Is.All.InstanceOf<WebSocketException>().Or.InstanceOf<OperationCanceledException>());
        Assert.That(pair.Took, Is.GreaterThanOrEqualTo(timeout));
        await Eventually.IsTrueAsync(() => pair.Server.Server.WebSocketCount == 0, "both are over");
if (!tls) // there the native side may be the first to notice, and its cut has no reason in the log
        {
            Assert.That(pair.Server.Log.Entries.Count(e => e.Message.Contains("the client has not read in time", StringComparison.Ordinal)), Is.EqualTo(2));
        }
    }

    [Test]
    public async Task A_stop_ends_handlers_that_block_on_sending_to_each_other()
    {
        await using var pair = await Pair.StartAsync(this, new() { SendTimeout = Timeout.InfiniteTimeSpan }, TimeSpan.FromMilliseconds(300));
        await pair.Server.Server.StopAsync().WaitAsync(TestServer.Patience);
        Assert.That(await pair.Ends(), Has.All.Not.Null);
    }

    [Test]
    public async Task Two_handlers_that_block_on_sending_to_each_other_succeed_when_the_clients_read()
    {
        await using var pair = await Pair.StartAsync(this, new());
        byte[][] received = await Task.WhenAll(pair.Clients.Select(async c => (await c.ReceiveMessageAsync()).Data)).WaitAsync(TestServer.Patience);
        Assert.That(received.Select(r => r.Length), Is.All.EqualTo(Much));
        Assert.That(await pair.Ends(), Is.All.Null);
    }

    [Test]
    public async Task A_handler_that_blocks_delays_no_sender_whose_client_reads([Values] bool afterMessages)
    {
        using var released = new ManualResetEventSlim();
        var socket = new TaskCompletionSource<WebSocket>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using RunningServer server = await StartAsync(
            s => s.MapWebSocket("/ws", async context =>
            {
                // Later turns are a leader's, on Linux; the first are the own thread's.
                for (int i = 0; afterMessages && i < 20; i++)
                {
                    await context.WebSocket.SendTextAsync(await context.WebSocket.ReceiveTextAsync() ?? "");
                }

                socket.SetResult(context.WebSocket);
                released.Wait(TestServer.Patience);
            }),
            new());
        using ClientWebSocket client = await ConnectAsync(server);
        for (int i = 0; afterMessages && i < 20; i++)
        {
            await client.SendTextAsync("x");
            await client.ReceiveMessageAsync();
        }

        WebSocket sender = await socket.Task.WaitAsync(TestServer.Patience);
        byte[] sent = new byte[Much];
        Random.Shared.NextBytes(sent);
        ValueTask sending = sender.SendAsync(sent.AsMemory(), WebSocketMessageType.Binary, true, default);
        (_, byte[] received) = await client.ReceiveMessageAsync().WaitAsync(TestServer.Patience);
        await sending.AsTask().WaitAsync(TestServer.Patience);
        Assert.That(received.AsSpan().SequenceEqual(sent));
        await sender.SendTextAsync("and a small one").WaitAsync(TestServer.Patience);
        Assert.That((await client.ReceiveMessageAsync()).Data, Is.EqualTo("and a small one"u8.ToArray()));
        Assert.That(released.IsSet, Is.False);
        released.Set();
    }

    [Test]
    public async Task A_handler_may_block_on_its_own_sending()
    {
        await using RunningServer server = await StartAsync(
            s => s.MapWebSocket("/ws", context =>
            {
                context.WebSocket.SendAsync(new byte[Much].AsMemory(), WebSocketMessageType.Binary, true, default).AsTask().Wait(TestServer.Patience);
                return Task.CompletedTask;
            }),
            new());
        using ClientWebSocket client = await ConnectAsync(server);
        Assert.That((await client.ReceiveMessageAsync()).Data, Has.Length.EqualTo(Much));
    }

    private Task<RunningServer> StartAsync(Action<CivetWebServer> map, WebSocketEndpointOptions options, TimeSpan? shutdownTimeout = null) =>
        RunningServer.StartAsync(map, o =>
        {
            o.WebSockets.SendTimeout = options.SendTimeout ?? o.WebSockets.SendTimeout;
            o.ShutdownTimeout = shutdownTimeout ?? o.ShutdownTimeout;
            if (tls)
            {
                o.Listen.Add("https://127.0.0.1:0");
                o.Tls = TlsServers.Options(_certificates);
            }
        });

    private async Task<ClientWebSocket> ConnectAsync(RunningServer server)
    {
        var client = new ClientWebSocket();
        client.Options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
        using var timeout = new CancellationTokenSource(TestServer.Patience);
        await client.ConnectAsync(new Uri($"{(tls ? "wss" : "ws")}://127.0.0.1:{server.Port}/ws"), timeout.Token);
        return client;
    }

    /// <summary>Two handlers, each of which blocks on sending much to the client of the other.</summary>
    private sealed class Pair : IAsyncDisposable
    {
        private readonly List<WebSocket> _sockets = [];
        private readonly Barrier _both = new(2);
        private readonly TaskCompletionSource<Exception?>[] _ends = [new(), new()];
        private readonly Stopwatch _watch = Stopwatch.StartNew();

        public RunningServer Server { get; private set; } = null!;

        public ClientWebSocket[] Clients { get; private set; } = [];

        public TimeSpan Took => _watch.Elapsed;

        public static async Task<Pair> StartAsync(BlockedHandlerTests test, WebSocketEndpointOptions options, TimeSpan? shutdownTimeout = null)
        {
            var pair = new Pair();
            pair.Server = await test.StartAsync(s => s.MapWebSocket("/ws", pair.BlockAsync), options, shutdownTimeout);
            pair.Clients = [await test.ConnectAsync(pair.Server), await test.ConnectAsync(pair.Server)];
            return pair;
        }

        public Task<Exception?[]> Ends() => Task.WhenAll(_ends.Select(e => e.Task)).WaitAsync(TestServer.Patience);

        public async ValueTask DisposeAsync()
        {
            foreach (ClientWebSocket client in Clients)
            {
                client.Dispose();
            }

            await Server.DisposeAsync();
            _both.Dispose();
        }

        private Task BlockAsync(ServerWebSocketContext context)
        {
            int own;
            lock (_sockets)
            {
                own = _sockets.Count;
                _sockets.Add(context.WebSocket);
            }

            _both.SignalAndWait(TestServer.Patience);
            Exception? failure = null;
            try
            {
                _sockets[1 - own].SendAsync(new byte[Much].AsMemory(), WebSocketMessageType.Binary, true, default).AsTask().GetAwaiter().GetResult();
            }
            catch (Exception e)
            {
                failure = e;
            }

            // Neither ends before the other has sent.
            _both.SignalAndWait(TestServer.Patience);
            _ends[own].SetResult(failure);
            return Task.CompletedTask;
        }
    }
}
