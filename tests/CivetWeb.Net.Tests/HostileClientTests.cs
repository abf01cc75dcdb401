using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Clients that stall, do not read, lie about sizes or vanish: each is gone in bounded time and disturbs nobody, with either API.</summary>
public sealed class HostileClientTests
{
    [Test]
    public async Task A_client_that_answers_no_ping_is_dropped_and_one_that_does_stays([Values] Api api)
    {
        // Seconds to answer, so that a busy machine does not silence the honest one.
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { PingInterval = 50, PongTimeout = 5000 });
        EchoCounts honestCounts = server.MapEcho("/honest"), silentCounts = server.MapEcho("/silent");
        using ClientWebSocket honest = await server.ConnectAsync("/honest");
        Task<string> receiving = honest.ReceiveTextAsync(); // ClientWebSocket answers pings while it is receiving
        using RawClient silent = RawClient.Open(server.Port, "/silent");
        Assert.That(silent.ReadFrame().FirstByte, Is.EqualTo(0x89), "it is asked");
        await Task.Run(silent.ReadToEnd);
        await Eventually.IsTrueAsync(() => Volatile.Read(ref silentCounts.Closes) == 1, "the silent client's close callback");
        Assert.That(receiving.IsCompleted, Is.False);
        await honest.SendTextAsync("still here");
        Assert.That(await receiving, Is.EqualTo("still here"));
        Assert.That(honestCounts.Closes, Is.Zero);
    }

    [Test]
    public async Task A_client_that_trickles_a_frame_is_dropped_all_the_same([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { FrameTimeout = 300 });
        EchoCounts counts = server.Counts;
        using RawClient client = RawClient.Open(server.Port);
        byte[] frame = client.Frame(0x82, new byte[5000]);
        var watch = Stopwatch.StartNew();
        try
        {
            // A byte now and then is no progress.
            for (int i = 0; i < frame.Length && Volatile.Read(ref counts.Closes) == 0 && watch.Elapsed < TestServer.Patience; i++)
            {
                client.Send([frame[i]]);
                await Task.Delay(20);
            }
        }
        catch (SocketException)
        {
            // the server has cut it
        }

        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) == 1, "the close callback");
    }

    [Test]
    public async Task A_slow_upload_that_makes_progress_is_let_finish([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { FrameTimeout = 2000, PingInterval = 1500, PongTimeout = 2000 });
        using RawClient client = RawClient.Open(server.Port);
        byte[] payload = new byte[100_000];
        byte[] frame = client.Frame(0x82, payload);
        for (int i = 0; i < frame.Length; i += 10_000)
        {
            client.Send(frame.AsSpan(i, Math.Min(10_000, frame.Length - i)));
            await Task.Delay(300); // three seconds in all, longer than each time-out
        }

        int first;
        byte[] back;
        do
        {
            (first, back) = client.ReadFrame();
        }
        while (first == 0x89);
        Assert.That((first, back.Length), Is.EqualTo((0x82, payload.Length)));
    }

    [Test]
    public async Task A_client_that_reads_slowly_gets_a_large_message_whole([Values] Api api)
    {
        const int Size = 12_000_000;
        const int HeaderSize = 10;
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { SendTimeout = 1000 });
        EchoCounts counts = server.Counts;
        using RawClient slow = RawClient.Open(server.Port);
        slow.Socket.ReceiveBufferSize = 64 * 1024;
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Readies) == 1, "it is ready");
        Task<bool> sending = server.TrySendToLastAsync(new byte[Size]);
        await Task.Run(async () =>
        {
            // Some seconds in all, several times the time-out.
            for (int received = 0; received < Size + HeaderSize;)
            {
                int n = Math.Min(64 * 1024, Size + HeaderSize - received);
                slow.ReadExactly(n);
                received += n;
                await Task.Delay(20);
            }
        });
        Assert.That(await sending.WaitAsync(TestServer.Patience));
    }

    [Test]
    public async Task A_writer_to_a_client_that_does_not_read_is_told_in_bounded_time([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { SendTimeout = 300 });
        EchoCounts counts = server.Counts;
        using RawClient deaf = RawClient.Open(server.Port);
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Readies) == 1, "it is ready");
        byte[] data = new byte[1 << 20];
        int written = 0;
        while (await server.TrySendToLastAsync(data).WaitAsync(TestServer.Patience))
        {
            Assert.That(++written, Is.LessThan(1000), "the kernel does not buffer that much");
        }

        Assert.That(await server.TrySendToLastAsync(data), Is.False);
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) == 1, "the close callback, or the end of the handler");
    }

    [Test]
    public async Task A_broadcast_reaches_195_readers_while_5_do_not_read()
    {
        const int Readers = 195, Deaf = 5, Messages = 300;
        using var server = new TestServer(("num_threads", "230"), ("websocket_send_timeout_ms", "60000"));
        EchoCounts counts = server.MapEcho();
        List<RawClient> deaf = [.. Enumerable.Range(0, Deaf).Select(_ => RawClient.Open(server.Port))];
        List<RawClient> readers = [.. Enumerable.Range(0, Readers).Select(_ => RawClient.Open(server.Port))];
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Readies) == Readers + Deaf, "all are ready");
        byte[] message = new byte[20_000];
        Task<int>[] reading = [.. readers.Select(reader => Task.Factory.StartNew(() =>
        {
            int got = 0;
            for (; got < Messages; got++)
            {
                (int first, byte[] payload) = reader.ReadFrame();
                if (first != 0x82 || payload.Length != message.Length || payload[0] != (byte)got)
                {
                    break;
                }
            }

            return got;
        }, TaskCreationOptions.LongRunning))];

        for (int i = 0; i < Messages; i++)
        {
            message[0] = (byte)i;
            int sentTo = Http.BroadcastToWebSockets(server.Context, "/ws", 2, message);
            Assert.That(sentTo, Is.GreaterThanOrEqualTo(Readers));

            // Readers share two cores with the server: do not outrun the slowest of them by more than its queue.
            await Eventually.IsTrueAsync(() => i < 20 || reading.All(r => !r.IsFaulted), "readers are alive");
            await Task.Delay(5);
        }

        Assert.That(await Task.WhenAll(reading), Is.All.EqualTo(Messages));
        await Eventually.IsTrueAsync(() => server.Context.WebSocketCount == Readers, "those too far behind to be cut off");
        foreach (RawClient client in deaf.Concat(readers))
        {
            client.Dispose();
        }
    }

    [Test]
    public async Task Fifty_stalled_and_fifty_deaf_clients_are_gone_in_time_and_an_honest_one_does_not_notice([Values] Api api)
    {
        const int Each = 50;
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { Threads = 120, FrameTimeout = 1500, SendTimeout = 1500 });
        EchoCounts counts = server.Counts;
        using ClientWebSocket honest = await server.ConnectAsync();
        var hostile = new List<RawClient>();
        byte[] frame = [];
        for (int i = 0; i < Each; i++)
        {
            RawClient stalled = RawClient.Open(server.Port);
            stalled.Send([0x82, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 2, 3, 4, 5]); // a MiB announced, one byte sent
            hostile.Add(stalled);

            RawClient deaf = RawClient.Open(server.Port);
            frame = frame.Length > 0 ? frame : deaf.Frame(0x82, new byte[4 << 20]);
            hostile.Add(deaf);
            _ = Task.Factory.StartNew(() =>
            {
                try
                {
                    // Its echoes fill what it does not empty.
                    for (int n = 0; n < 4; n++)
                    {
                        deaf.Send(frame);
                    }
                }
                catch (Exception e) when (e is SocketException or ObjectDisposedException)
                {
                    // cut off, as it should be
                }
            }, TaskCreationOptions.LongRunning);
        }

        var times = new List<double>();
        var watch = Stopwatch.StartNew();
        while (server.WebSocketCount > 1 && watch.Elapsed < TestServer.Patience)
        {
            long start = Stopwatch.GetTimestamp();
            await honest.SendTextAsync("hello");
            Assert.That(await honest.ReceiveTextAsync(), Is.EqualTo("hello"));
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            await Task.Delay(10);
        }

        times.Sort();
        TestContext.Out.WriteLine($"all gone after {watch.ElapsedMilliseconds} ms; honest echo median {times[times.Count / 2]:F3} ms, worst {times[^1]:F1} ms");
        Assert.That(server.WebSocketCount, Is.EqualTo(1));
        Assert.That(counts.Closes, Is.EqualTo(2 * Each));
        foreach (RawClient client in hostile)
        {
            client.Dispose();
        }
    }

    [Test]
    public void A_header_of_two_gigabytes_costs_no_memory([Values] Api api)
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("Reads /proc.");
        }

        using EchoTarget server = EchoTarget.Start(api);
        using (RawClient warm = RawClient.Open(server.Port))
        {
            warm.SendFrame(0x81, "x"u8);
            warm.ReadFrame();
        }

        long before = ProcFs.Status("VmSize");
        var clients = Enumerable.Range(0, 8).Select(_ => RawClient.Open(server.Port)).ToList();
        var times = new List<double>();
        foreach (RawClient client in clients)
        {
            long start = Stopwatch.GetTimestamp();
            client.Send([0x82, 0xFF, 0, 0, 0, 0, 0x7F, 0xFF, 0, 0, 1, 2, 3, 4]);
            Assert.That(client.ReadClose(), Is.EqualTo(1009));
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }

        long grown = ProcFs.Status("VmSize") - before;
        TestContext.Out.WriteLine($"answered 1009 in {times.Min():F2} to {times.Max():F2} ms; virtual memory grew by {grown >> 20} MiB");
        Assert.That(grown, Is.LessThan(512L << 20), "one such frame alone would be 2 GiB; the runtime's own arenas are smaller");
        clients.ForEach(c => c.Dispose());
    }

    [Test]
    public async Task A_close_that_is_never_answered_ends_in_bounded_time([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { CloseTimeout = 200 });
        EchoCounts counts = server.MapClosing("/closing", 1001, "done");
        using RawClient client = RawClient.Open(server.Port, "/closing");
        Assert.That(client.ReadClose(), Is.EqualTo(1001));
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) == 1, "the close callback");

        // One that goes on sending instead of answering, too.
        using RawClient noisy = RawClient.Open(server.Port, "/closing");
        Task sending = Task.Run(() =>
        {
            try
            {
                while (true)
                {
                    noisy.SendFrame(0x82, new byte[1000]);
                }
            }
            catch (SocketException)
            {
                // cut off
            }
        });
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) == 2, "the noisy client's close callback");
        await sending.WaitAsync(TestServer.Patience);
        Assert.That(server.Counts.Closes, Is.Zero);
    }

    [Test]
    public void A_handshake_that_stalls_ends_in_bounded_time([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { RequestHeadersTimeout = 300 });
        using var client = new RawClient(server.Port);
        client.Send("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: webso");
        client.ReadToEnd(); // returns only because the server hangs up
    }

    [Test]
    public async Task Random_requests_never_take_the_server_down([Values] Api api, [Range(1, 4)] int seed)
    {
        var random = new Random(seed);
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { RequestHeadersTimeout = 3000, Threads = 32 });
        string[] pieces =
        [
            "GET ", "POST ", "HEAD ", "/ws", "/", "*", "http://x/ws", " HTTP/1.1\r\n", " HTTP/1.0\r\n", " HTTP/9.9\r\n", "\r\n", "\n", ": ", "Host: x\r\n",
            "Upgrade: websocket\r\n", "Connection: Upgrade\r\n", "Connection: keep-alive, Upgrade\r\n", "Sec-WebSocket-Version: 13\r\n",
            $"Sec-WebSocket-Key: {RawClient.Key}\r\n", "Sec-WebSocket-Key: \r\n", "Sec-WebSocket-Protocol: a, b,,c\r\n", "Content-Length: 5\r\n",
            "Content-Length: -1\r\n", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", "%00", "%2e%2e/", "../", "\0", "\u00ff", "?a=b&c=%41",
            new string('x', 5000), "Cookie: a=b; c=\"d\"\r\n", "Range: bytes=0-\r\n", "Expect: 100-continue\r\n", "\x81\x05hello",
        ];
        await Parallel.ForEachAsync(Enumerable.Range(0, 300), new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (i, _) =>
        {
            byte[] request;
            lock (random)
            {
                var text = new StringBuilder(random.Next(3) == 0 ? RawClient.UpgradeRequest() : "");
                for (int n = random.Next(1, 15); n > 0; n--)
                {
                    text.Insert(random.Next(3) == 0 ? random.Next(text.Length + 1) : text.Length, pieces[random.Next(pieces.Length)]);
                }

                request = Encoding.Latin1.GetBytes(text.ToString());
                for (int n = random.Next(3); n > 0; n--)
                {
                    request[random.Next(request.Length)] = (byte)random.Next(256);
                }
            }

            await Task.Run(() =>
            {
                try
                {
                    using var client = new RawClient(server.Port);
                    client.Send(request);
                    client.Socket.Shutdown(SocketShutdown.Send);
                    client.ReadToEnd();
                }
                catch (SocketException)
                {
                    // hung up while it was being written to
                }
            }, CancellationToken.None);
        });

        using ClientWebSocket honest = await server.ConnectAsync();
        await honest.SendTextAsync("alive");
        Assert.That(await honest.ReceiveTextAsync(), Is.EqualTo("alive"));
    }
}
