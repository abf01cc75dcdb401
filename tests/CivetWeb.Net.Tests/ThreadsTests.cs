using System;
using System.Collections.Concurrent;
using System.Linq;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The second thread: writers beside the loop, the garbage collector beside callbacks.</summary>
public sealed class ThreadsTests
{
    [Test]
    public async Task Writers_on_other_threads_never_mix_frames_with_the_echo()
    {
        const int Writers = 4, Each = 500;
        using var server = new TestServer();
        var ready = new TaskCompletionSource<Connection>();
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            (c, _) => ready.TrySetResult(c),
            (c, bits, data, _) => bits == 1 ? Http.WriteTextToWebSocket(c, data) : 1,
            null);
        using ClientWebSocket client = await server.ConnectAsync();
        Connection connection = await ready.Task.WaitAsync(TestServer.Patience);

        Task[] writers = [.. Enumerable.Range(0, Writers).Select(number => Task.Run(() =>
        {
            for (int i = 0; i < Each; i++)
            {
                string text = $"{number}:{i}:{new string((char)('a' + number), i * 13 % 5000)}";
                if (Http.WriteTextToWebSocket(connection, text) != text.Length)
                {
                    throw new InvalidOperationException("a write failed");
                }
            }
        }))];
        Task sender = Task.Run(async () =>
        {
            for (int i = 0; i < Each; i++)
            {
                await client.SendTextAsync($"e:{i}:");
            }
        });

        int[] next = new int[Writers + 1];
        for (int n = 0; n < (Writers + 1) * Each; n++)
        {
            string[] parts = (await client.ReceiveTextAsync()).Split(':');
            int who = parts[0] == "e" ? Writers : int.Parse(parts[0], System.Globalization.CultureInfo.InvariantCulture);
            Assert.That(parts[1], Is.EqualTo(next[who].ToString(System.Globalization.CultureInfo.InvariantCulture)), "the order of one writer is kept");
            Assert.That(parts[2], Is.EqualTo(who == Writers ? "" : new string((char)('a' + who), next[who] * 13 % 5000)));
            next[who]++;
        }

        await Task.WhenAll(writers);
        await sender;
    }

    [Test]
    public async Task Writes_racing_with_the_close_end_in_minus_one_never_in_a_stranger()
    {
        using var server = new TestServer(("num_threads", "8"));
        var connections = new ConcurrentQueue<Connection>();
        int opened = 0;
        Http.SetWebSocketHandler(server.Context, "/ws", null, (c, _) => connections.Enqueue(c), null, null);
        server.MapEcho("/echo");
        using var stop = new CancellationTokenSource();

        // Writers go on writing to everything that was ever open.
        Task[] writers = [.. Enumerable.Range(0, 3).Select(_ => Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                foreach (Connection c in connections)
                {
                    Http.WriteTextToWebSocket(c, "for /ws only");
                }

                while (connections.Count > 20 && connections.TryDequeue(out Connection? dropped))
                {
                    GC.KeepAlive(dropped);
                }
            }
        }))];

        // Slots are reused at once: short-lived targets and bystanders take turns.
        for (int i = 0; i < 200; i++)
        {
            // Only few places: those before must have been given back, or this one is refused (503).
            await Eventually.IsTrueAsync(() => server.Context.WebSocketCount <= 2, "places to be free");
            using (RawClient target = RawClient.Open(server.Port))
            {
                opened++;
                if (i % 2 == 0)
                {
                    target.SendFrame(0x88, [0x03, 0xE8]);
                }
            }

            using RawClient bystander = RawClient.Open(server.Port, "/echo");
            byte[] text = Encoding.ASCII.GetBytes($"bystander {i}");
            bystander.SendFrame(0x81, text);
            (int first, byte[] payload) = bystander.ReadFrame();
            Assert.That((first, Encoding.ASCII.GetString(payload)), Is.EqualTo((0x81, $"bystander {i}")));
        }

        await stop.CancelAsync();
        await Task.WhenAll(writers);
        Assert.That(opened, Is.EqualTo(200));
    }

    [Test]
    public async Task Delegates_and_user_data_survive_the_garbage_collector()
    {
        using var server = new TestServer();
        RegisterWithoutKeepingAnything(server.Context);
        Collect();
        using ClientWebSocket client = await server.ConnectAsync();
        for (int i = 0; i < 20; i++)
        {
            Collect();
            await client.SendTextAsync("x");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo($"user data, {i + 1} calls"));
        }

        static void RegisterWithoutKeepingAnything(Context context)
        {
            object data = new StringBuilder("user data");
            int calls = 0;
            Http.SetWebSocketHandler(
                context,
                "/ws",
                (_, _) => 0,
                null,
                (c, _, _, userData) =>
                {
                    Collect();
                    return Http.WriteTextToWebSocket(c, $"{userData}, {++calls} calls");
                },
                null,
                data);
        }

        static void Collect()
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            GC.Collect();
        }
    }

    [Test]
    public async Task Callbacks_may_block_without_holding_up_other_clients()
    {
        using var server = new TestServer();
        using var release = new ManualResetEventSlim();
        Http.SetWebSocketHandler(server.Context, "/slow", null, null, (c, bits, data, _) =>
        {
            release.Wait(TestServer.Patience);
            return bits == 1 ? Http.WriteTextToWebSocket(c, data) : 1;
        }, null);
        server.MapEcho();
        using ClientWebSocket slow = await server.ConnectAsync("/slow");
        await slow.SendTextAsync("a");
        using ClientWebSocket fast = await server.ConnectAsync();
        for (int i = 0; i < 100; i++)
        {
            await fast.SendTextAsync("b");
            await fast.ReceiveTextAsync();
        }

        release.Set();
        Assert.That(await slow.ReceiveTextAsync(), Is.EqualTo("a"));
    }

    [Test]
    public async Task A_write_in_a_long_callback_goes_out_at_once()
    {
        using var server = new TestServer();
        using var release = new ManualResetEventSlim();
        Http.SetWebSocketHandler(server.Context, "/ws", null, null, (c, bits, _, _) =>
        {
            if (bits == 1)
            {
                Http.WriteTextToWebSocket(c, "working");
                release.Wait(TestServer.Patience);
                Http.WriteTextToWebSocket(c, "done");
            }

            return 1;
        }, null);
        using ClientWebSocket client = await server.ConnectAsync();
        await client.SendTextAsync("go");
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("working"), "while the callback is still running");
        release.Set();
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("done"));
    }

    [Test]
    public async Task A_deep_stack_and_nested_exceptions_are_no_danger_in_a_callback()
    {
        // CivetWeb's usual build gives its threads 100 KiB of stack, where this ends the process.
        using var server = new TestServer();
        Http.SetWebSocketHandler(server.Context, "/ws", null, null, (c, bits, _, _) =>
        {
            if (bits != 1)
            {
                return 1;
            }

            int depth = Recurse(2000);
            try
            {
                try
                {
                    throw new InvalidOperationException("inner");
                }
                catch (InvalidOperationException e)
                {
                    throw new ArgumentException("outer", e);
                }
            }
            catch (ArgumentException e)
            {
                return Http.WriteTextToWebSocket(c, $"{e.InnerException!.Message} {depth}");
            }
        }, null);
        using ClientWebSocket client = await server.ConnectAsync();
        await client.SendTextAsync("x");
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("inner 2000"));

        static int Recurse(int n)
        {
            Span<byte> frame = stackalloc byte[200];
            frame.Fill(1);
            return n == 0 ? 0 : Recurse(n - 1) + frame[n % 200];
        }
    }
}
