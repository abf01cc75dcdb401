using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Servers that start and stop.</summary>
public sealed class LifetimeTests
{
    [Test]
    public async Task Stopping_tells_a_hundred_clients_1001_and_leaves_nothing()
    {
        const int Clients = 100;
        var server = new TestServer(("num_threads", "120"));
        EchoCounts counts = server.MapEcho();
        ClientWebSocket[] clients = await Task.WhenAll(Enumerable.Range(0, Clients).Select(_ => server.ConnectAsync()));
        Task<int?>[] readers = [.. clients.Select(async client =>
        {
            (WebSocketMessageType type, _) = await client.ReceiveMessageAsync();
            Assert.That(type, Is.EqualTo(WebSocketMessageType.Close));
            await client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", CancellationToken.None);
            return (int?)client.CloseStatus;
        })];
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Readies) == Clients, "all are ready");
        var watch = Stopwatch.StartNew();
        server.Dispose();
        TestContext.Out.WriteLine($"stopped with {Clients} open sockets in {watch.ElapsedMilliseconds} ms");
        Assert.That(await Task.WhenAll(readers), Is.All.EqualTo(1001));
        Assert.That(counts.Closes, Is.EqualTo(Clients));
        Assert.That(server.Context.WebSocketCount, Is.Zero);
        foreach (ClientWebSocket client in clients)
        {
            client.Dispose();
        }
    }

    [Test]
    public async Task Starting_and_stopping_fifty_times_leaves_no_thread_handle_or_descriptor()
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("Counts what /proc shows.");
        }

        // Stopping mostly waits for CivetWeb's threads to look up: several servers at a time take no longer than one.
        await CycleAsync(1); // what .NET and the pools set up once
        int descriptors = await SettledDescriptors();
        int workers = ProcFs.ServerThreads;
        await CycleAsync(10);
        await Eventually.IsTrueAsync(() => ProcFs.ServerThreads <= workers, "the server's threads to be gone");
        int after = await SettledDescriptors(descriptors);
        Assert.That(after, Is.LessThanOrEqualTo(descriptors), string.Join("\n", ProcFs.Descriptors.Select(ProcFs.Describe)));

        static async Task CycleAsync(int times) => await Task.WhenAll(Enumerable.Range(0, 5).Select(async _ =>
        {
            for (int i = 0; i < times; i++)
            {
                using var server = new TestServer();
                server.MapEcho();
                using ClientWebSocket open = await server.ConnectAsync();
                await open.SendTextAsync("x");
                await open.ReceiveTextAsync();
                using var halfway = new RawClient(server.Port);
                halfway.Send("GET /ws HTTP/1.1\r\n");
                using RawClient inFrame = RawClient.Open(server.Port);
                inFrame.Send([0x81]);
                await Task.Factory.StartNew(
                    () => Http.StopServer(server.Context, TimeSpan.Zero), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            }
        }));
    }

    [Test]
    public async Task Clients_that_never_answer_do_not_hold_up_stopping_for_ever()
    {
        using var server = new TestServer();
        EchoCounts counts = server.MapEcho();
        using RawClient silent = RawClient.Open(server.Port);
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Readies) == 1, "ready");
        Http.StopServer(server.Context, TimeSpan.FromMilliseconds(100));
        Assert.That(counts.Closes, Is.EqualTo(1));
        Assert.That(silent.ReadClose(), Is.EqualTo(1001), "it was told all the same");
    }

    [Test]
    public async Task A_WebSocket_that_opens_when_the_time_for_answers_is_over_does_not_hold_up_stopping()
    {
        using var released = new ManualResetEventSlim();
        var connecting = new TaskCompletionSource();
        using var server = new TestServer(("websocket_close_timeout_ms", "0")); // by itself it never gives a client up
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            (_, _) =>
            {
                connecting.SetResult();
                released.Wait(TestServer.Patience);
                return 0;
            },
            null,
            null,
            null);
        using var silent = new RawClient(server.Port);
        silent.Send(RawClient.UpgradeRequest());
        await connecting.Task.WaitAsync(TestServer.Patience);
        Task stopping = Task.Run(() => Http.StopServer(server.Context, TimeSpan.FromMilliseconds(10)));
        await Eventually.IsTrueAsync(() => server.Context.Host.IsCutting, "nobody's answer is waited for any more");
        released.Set();
        await stopping.WaitAsync(TestServer.Patience);
    }

    [Test]
    public async Task A_process_that_ends_tells_its_clients_and_waits_for_those_that_do_not_answer_no_longer_than_it_may()
    {
        using var server = new TestServer(("websocket_close_timeout_ms", "0")); // by itself it never gives a client up
        EchoCounts counts = server.MapEcho();
        using ClientWebSocket client = await server.ConnectAsync();
        using RawClient silent = RawClient.Open(server.Port);
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Readies) == 2, "ready");
        Task<WebSocketReceiveResult> received = client.ReceiveAsync(new byte[1], CancellationToken.None);

        // What ProcessExitHandler does for each server that still runs when .NET says that the process ends.
        server.Context.Host.NotifyClients(TimeSpan.FromMilliseconds(500));
        Assert.That(silent.ReadClose(), Is.EqualTo(1001));
        Assert.That((int?)(await received.WaitAsync(TestServer.Patience)).CloseStatus, Is.EqualTo(1001));
        Assert.That(counts.Closes, Is.LessThan(2), "the silent one was not waited for");
        Assert.That(() => server.ConnectAsync(), Throws.TypeOf<WebSocketException>(), "nobody new is let in");
        await client.CloseOutputAsync(WebSocketCloseStatus.EndpointUnavailable, null, CancellationToken.None);
    }

    [Test]
    public async Task Two_servers_live_side_by_side()
    {
        using var a = new TestServer();
        using var b = new TestServer();
        EchoCounts atA = a.MapEcho(), atB = b.MapEcho();
        using ClientWebSocket toA = await a.ConnectAsync();
        using ClientWebSocket toB = await b.ConnectAsync();
        await toA.SendTextAsync("a");
        await toB.SendTextAsync("b");
        Assert.That(await toA.ReceiveTextAsync(), Is.EqualTo("a"));
        Task<WebSocketCloseStatus?> closing = toA.AnswerCloseAsync();
        a.Dispose();
        Assert.That((int?)await closing, Is.EqualTo(1001));
        Assert.That(await toB.ReceiveTextAsync(), Is.EqualTo("b"));
        Assert.That((atA.Connects, atB.Connects), Is.EqualTo((1, 1)));
        _ = toB.AnswerCloseAsync();
    }

    [Test]
    public async Task Stopping_twice_and_from_several_threads_is_one_stop()
    {
        var server = new TestServer();
        server.MapEcho();
        using ClientWebSocket client = await server.ConnectAsync();
        Task<WebSocketCloseStatus?> closing = client.AnswerCloseAsync();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => Http.StopServer(server.Context))));
        Http.StopServer(server.Context);
        Assert.That((int?)await closing, Is.EqualTo(1001));
        Assert.That(server.Context.IsRunning, Is.False);
        Assert.That(
            () => Http.SetWebSocketHandler(server.Context, "/x", (_, _) => 0, null, null, null),
            Throws.InstanceOf<ObjectDisposedException>());
        server.Dispose();
    }

    [Test]
    public async Task Stopping_inside_a_callback_is_refused_with_a_reason_and_works_from_outside()
    {
        var server = new TestServer();
        var outcome = new TaskCompletionSource<Exception?>();
        Http.SetWebSocketHandler(server.Context, "/ws", null, (c, _) =>
        {
            try
            {
                Http.StopServer(c.Context);
                outcome.SetResult(null);
            }
            catch (InvalidOperationException e)
            {
                outcome.SetResult(e);
            }
        }, null, null);
        using ClientWebSocket client = await server.ConnectAsync();
        Exception? thrown = await outcome.Task.WaitAsync(TestServer.Patience);
        Assert.That(thrown?.Message, Does.Contain("callback"));
        Assert.That(server.Context.IsRunning);
        Task<WebSocketCloseStatus?> closing = client.AnswerCloseAsync();
        server.Dispose();
        Assert.That((int?)await closing, Is.EqualTo(1001));
    }

    [Test]
    public async Task No_client_ever_meets_a_server_without_its_handlers()
    {
        // Handlers set in InitContext are there before the first client can be.
        for (int i = 0; i < 20; i++)
        {
            var callbacks = new Callbacks
            {
                InitContext = context => Http.SetWebSocketHandler(context, "/ws", null, (c, _) => Http.WriteTextToWebSocket(c, "hi"), null, null),
            };
            using var server = new TestServer(callbacks);
            using ClientWebSocket client = await server.ConnectAsync();
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("hi"));
        }
    }

    /// <summary>Sockets of clients disposed of, and the runtime's own files, take a moment to go.</summary>
    private static async Task<int> SettledDescriptors(int wanted = 0)
    {
        int count = 0;
        var watch = Stopwatch.StartNew();
        do
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            await Task.Delay(100);
            count = ProcFs.Descriptors.Length;
        }
        while ((wanted == 0 && watch.ElapsedMilliseconds < 1000) || (wanted != 0 && count > wanted && watch.Elapsed < TestServer.Patience));
        return count;
    }
}
