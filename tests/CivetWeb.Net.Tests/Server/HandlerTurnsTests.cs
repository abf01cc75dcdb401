using System;
using System.Linq;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Turns of a WebSocket in unusual moments: after its thread was given back, while closing on a leader, after a pause inside a frame.</summary>
public sealed class HandlerTurnsTests
{
    [Test]
    public async Task A_handler_that_was_left_behind_still_runs_one_thing_at_a_time()
    {
        const int Pieces = 50;
        const int Steps = 40;
        var released = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var begun = new TaskCompletionSource();
        var ended = new TaskCompletionSource();
        SynchronizationContext? context = null;
        int inside = 0;
        int overlaps = 0;
        int strangers = 0;
        int steps = 0; // not synchronised: nothing here is to need it

        async Task PieceAsync()
        {
            await released.Task;
            for (int i = 0; i < Steps; i++)
            {
                if (Interlocked.Increment(ref inside) != 1)
                {
                    Interlocked.Increment(ref overlaps);
                }

                if (SynchronizationContext.Current != context)
                {
                    Interlocked.Increment(ref strangers);
                }

                Thread.SpinWait(200);
                steps++;
                Interlocked.Decrement(ref inside);
                if (i % 2 == 0)
                {
                    await Task.Yield();
                }
                else
                {
                    await Task.Run(() => { });
                }
            }
        }

        RunningServer server = await RunningServer.StartAsync(
            s => s.MapWebSocket("/ws", async _ =>
            {
                context = SynchronizationContext.Current;
                Task all = Task.WhenAll(Enumerable.Range(0, Pieces).Select(_ => PieceAsync()));
                begun.SetResult();
                try
                {
                    await all;
                    ended.SetResult();
                }
                catch (Exception e)
                {
                    ended.SetException(e);
                }
            }),
            options => options.ShutdownTimeout = TimeSpan.FromMilliseconds(50));
        using RawClient client = RawClient.Open(server.Port);
        await begun.Task.WaitAsync(TestServer.Patience);
        await server.DisposeAsync();
        released.SetResult();
        await ended.Task.WaitAsync(TestServer.Patience);
        Assert.That((overlaps, strangers, steps), Is.EqualTo((0, 0, Pieces * Steps)));
    }

    [Test]
    public async Task What_a_handler_that_was_left_behind_posts_waits_until_nothing_of_it_runs()
    {
        SynchronizationContext? context = null;
        var begun = new TaskCompletionSource();
        RunningServer server = await RunningServer.StartAsync(
            s => s.MapWebSocket("/ws", async _ =>
            {
                context = SynchronizationContext.Current;
                begun.SetResult();
                await new TaskCompletionSource().Task;
            }),
            options => options.ShutdownTimeout = TimeSpan.FromMilliseconds(50));
        using RawClient client = RawClient.Open(server.Port);
        await begun.Task.WaitAsync(TestServer.Patience);
        await server.DisposeAsync();

        using var second = new ManualResetEventSlim();
        var first = new TaskCompletionSource<bool>();
        context!.Post(
            _ =>
            {
                context.Post(_ => second.Set(), null);
                first.SetResult(second.Wait(300)); // long enough for another thread to begin it
            },
            null);
        Assert.That(await first.Task.WaitAsync(TestServer.Patience), Is.False, "the second ran beside the first");
        Assert.That(second.Wait(TestServer.Patience), "the second ran after the first");
    }

    [Test]
    [Platform("Linux")]
    public async Task A_close_timeout_that_begins_on_a_leader_cuts_a_client_that_never_answers()
    {
        await using RunningServer running = await RunningServer.StartAsync(server => server.MapWebSocket(
            "/ws",
            async context =>
            {
                Thread own = Thread.CurrentThread;
                while (true)
                {
                    await context.WebSocket.ReceiveTextAsync();
                    if (Thread.CurrentThread != own)
                    {
                        await context.WebSocket.CloseOutputAsync((WebSocketCloseStatus)4000, null, default);
                        await context.WebSocket.ReceiveMessageAsync();
                        return;
                    }

                    await context.WebSocket.SendTextAsync("again");
                }
            },
            new() { CloseTimeout = TimeSpan.FromMilliseconds(200) }));
        await CloseAndBeCutAsync(running.Port);
    }

    [Test]
    [Platform("Linux")]
    public async Task A_close_timeout_that_begins_in_a_callback_on_a_leader_cuts_a_client_that_never_answers()
    {
        Thread? own = null;
        using var server = new TestServer(("websocket_close_timeout_ms", "200"));
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            (_, _) => own = Thread.CurrentThread,
            (connection, bits, _, _) =>
            {
                if (bits != 1)
                {
                    return 1;
                }

                return Thread.CurrentThread != own
                    ? Http.CloseWebSocket(connection, 4000, "") >= 0 ? 1 : 0
                    : Http.WriteTextToWebSocket(connection, "again");
            },
            null);
        await CloseAndBeCutAsync(server.Port);
    }

    [Test]
    public async Task A_close_timeout_that_begins_on_another_thread_cuts_a_client_that_never_answers()
    {
        var received = new TaskCompletionSource();
        await using RunningServer running = await RunningServer.StartAsync(server => server.MapWebSocket(
            "/ws",
            async context =>
            {
                _ = Task.Run(async () =>
                {
                    await received.Task; // the handler waits for the client by then, and nothing else will wake it
                    await Task.Delay(300);
                    await context.WebSocket.CloseOutputAsync((WebSocketCloseStatus)4000, null, default);
                });
                await context.WebSocket.ReceiveTextAsync();
                received.SetResult();
                await context.WebSocket.ReceiveMessageAsync();
            },
            new() { CloseTimeout = TimeSpan.FromMilliseconds(200), KeepAliveInterval = Timeout.InfiniteTimeSpan }));
        using RawClient client = RawClient.Open(running.Port);
        client.SendFrame(0x81, "?"u8);
        Assert.That(client.ReadClose(), Is.EqualTo(4000));
        Assert.That(await Task.Run(client.ReadToEnd).WaitAsync(TestServer.Patience / 2), Is.Empty);
    }

    [Test]
    public async Task A_handler_that_pauses_inside_a_frame_for_longer_than_FrameTimeout_does_not_lose_its_client([Values] bool blocking)
    {
        var frameTimeout = TimeSpan.FromSeconds(1.5);
        byte[] message = new byte[20_000];
        var resumed = new TaskCompletionSource();
        var ended = new TaskCompletionSource<int>();
        await using RunningServer running = await RunningServer.StartAsync(server => server.MapWebSocket(
            "/ws",
            async context =>
            {
                try
                {
                    byte[] buffer = new byte[message.Length];
                    ValueWebSocketReceiveResult part = await context.WebSocket.ReceiveAsync(buffer.AsMemory(0, 100), default);
                    int received = part.Count;
                    if (blocking)
                    {
                        Thread.Sleep(frameTimeout * 1.3);
                    }
                    else
                    {
                        await Task.Delay(frameTimeout * 1.3);
                    }

                    while (!part.EndOfMessage)
                    {
                        ValueTask<ValueWebSocketReceiveResult> receiving = context.WebSocket.ReceiveAsync(buffer.AsMemory(), default);
                        if (!receiving.IsCompleted)
                        {
                            resumed.TrySetResult();
                        }

                        part = await receiving;
                        received += part.Count;
                    }

                    ended.SetResult(received);
                }
                catch (Exception e)
                {
                    ended.SetException(e);
                }
            },
            new() { FrameTimeout = frameTimeout }));
        using RawClient client = RawClient.Open(running.Port);
        byte[] frame = client.Frame(0x82, message);
        client.Send(frame.AsSpan(0, 3000));
        await resumed.Task.WaitAsync(TestServer.Patience);
        await Task.Delay(200); // the server waits for the client now: it may take a moment of its own
        client.Send(frame.AsSpan(3000));
        Assert.That(await ended.Task.WaitAsync(TestServer.Patience), Is.EqualTo(message.Length));
        Assert.That(client.ReadClose(), Is.EqualTo(1000));
        client.SendFrame(0x88, [0x03, 0xE8]);
    }

    [Test]
    public async Task A_callback_that_blocks_while_half_a_frame_is_there_for_longer_than_the_frame_timeout_does_not_lose_its_client()
    {
        const int FrameTimeout = 1500;
        var resumed = new TaskCompletionSource();
        using var server = new TestServer(("websocket_frame_timeout_ms", $"{FrameTimeout}"));
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            null,
            (connection, bits, data, _) =>
            {
                if (bits == 1)
                {
                    Thread.Sleep(FrameTimeout * 13 / 10);
                    resumed.SetResult();
                    return 1;
                }

                return bits == 2 ? Http.WriteTextToWebSocket(connection, $"{data.Length}") : 1;
            },
            null);
        using RawClient client = RawClient.Open(server.Port);
        byte[] frame = client.Frame(0x82, new byte[20_000]);
        client.Send([.. client.Frame(0x81, "block"u8), .. frame.AsSpan(0, 3000)]);
        await resumed.Task.WaitAsync(TestServer.Patience);
        await Task.Delay(200);
        client.Send(frame.AsSpan(3000));
        (int first, byte[] payload) = client.ReadFrame();
        Assert.That((first, System.Text.Encoding.UTF8.GetString(payload)), Is.EqualTo((0x81, "20000")));
    }

    /// <summary>Several times: a turn that takes long, as the first does, ends on the connection's own thread anyway.</summary>
    private static async Task CloseAndBeCutAsync(int port)
    {
        for (int i = 0; i < 5; i++)
        {
            using RawClient client = RawClient.Open(port);
            Assert.That(SendUntilClosed(client), Is.EqualTo(4000));
            Assert.That(await Task.Run(client.ReadToEnd).WaitAsync(TestServer.Patience), Is.Empty);
        }
    }

    /// <summary>Sends messages until a Close frame comes instead of an answer: its code. It is not answered.</summary>
    private static int SendUntilClosed(RawClient client)
    {
        while (true)
        {
            client.SendFrame(0x81, "?"u8);
            (int first, byte[] payload) = client.ReadFrame();
            if (first == 0x88)
            {
                return (payload[0] << 8) | payload[1];
            }
        }
    }
}
