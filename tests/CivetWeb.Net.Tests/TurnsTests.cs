using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>On which threads callbacks and handlers run: on Linux a few serve all, unless somebody blocks or wants it otherwise.</summary>
public sealed class TurnsTests
{
    private const int Warm = 20; // the first messages of a connection are its own thread's in any case

    [Test]
    public async Task Callbacks_that_wait_for_each_other_hold_up_nobody()
    {
        int clients = Environment.ProcessorCount + 10;
        using var meeting = new Barrier(clients);
        using var server = new TestServer(("num_threads", $"{clients + 4}"));
        MapEcho(server, "meet", () => meeting.SignalAndWait(TestServer.Patience));
        await MeetAsync(clients, () => server.ConnectAsync());
    }

    [Test]
    public async Task Handlers_that_wait_for_each_other_hold_up_nobody()
    {
        int clients = Environment.ProcessorCount + 10;
        using var meeting = new Barrier(clients);
        await using RunningServer running = await RunningServer.StartAsync(server => server.MapWebSocket("/ws", async context =>
        {
            await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
            {
                if (message.Text == "meet")
                {
                    meeting.SignalAndWait(TestServer.Patience);
                }

                await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
            }
        }));
        await MeetAsync(clients, () => running.ConnectAsync("/ws"));
    }

    [Test]
    public async Task A_callback_that_blocks_for_ever_holds_up_nobody_else()
    {
        using var released = new ManualResetEventSlim();
        using var server = new TestServer();
        MapEcho(server, "block", () => released.Wait(TestServer.Patience));
        var blocked = new List<ClientWebSocket>();
        for (int i = 0; i < Environment.ProcessorCount + 2; i++)
        {
            ClientWebSocket client = await server.ConnectAsync();
            await EchoAsync(client, Warm);
            await client.SendTextAsync("block");
            blocked.Add(client);
        }

        using ClientWebSocket other = await server.ConnectAsync();
        await EchoAsync(other, 500);
        released.Set();
        foreach (ClientWebSocket client in blocked)
        {
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("block"));
            await EchoAsync(client, Warm);
            client.Dispose();
        }
    }

    /// <summary>Much shorter than what the watch of the leaders would notice.</summary>
    [Test]
    public async Task Who_blocks_for_a_millisecond_each_time_keeps_his_own_thread([Values] bool serverApi)
    {
        const int Clients = 12;
        var threads = new ConcurrentDictionary<string, Thread>(); // by the message
        using var server = new TestServer();
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            null,
            (c, bits, data, _) =>
            {
                if (bits != 1)
                {
                    return 1;
                }

                threads[Encoding.UTF8.GetString(data)] = Thread.CurrentThread;
                Thread.Sleep(1);
                return Http.WriteTextToWebSocket(c, data);
            },
            null);
        await using RunningServer running = await RunningServer.StartAsync(server => server.MapWebSocket("/ws", async context =>
        {
            await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
            {
                threads[message.Text] = Thread.CurrentThread;
                Thread.Sleep(1);
                await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
            }
        }));
        ClientWebSocket[] clients = new ClientWebSocket[Clients];
        for (int i = 0; i < Clients; i++)
        {
            clients[i] = serverApi ? await running.ConnectAsync("/ws") : await server.ConnectAsync();
        }

        await Task.Delay(200); // their own threads' first turns are over
        for (int n = 0; n < 40; n++)
        {
            for (int i = 0; i < Clients; i++)
            {
                await clients[i].SendTextAsync($"{i} {n}");
                await clients[i].ReceiveTextAsync();
            }
        }

        var last = Enumerable.Range(0, Clients).Select(i => Enumerable.Range(8, 32).Select(n => threads[$"{i} {n}"]).Distinct().ToArray()).ToArray();
        Assert.That(last.Select(used => used.Length), Is.All.EqualTo(1), "threads of one client");
        Assert.That(last.Select(used => used[0]).Distinct().Count(), Is.EqualTo(Clients), "threads of all clients");
        foreach (ClientWebSocket client in clients)
        {
            client.Dispose();
        }
    }

    [Test]
    public async Task An_answer_does_not_wait_for_the_next_messages_callback([Values] bool serverApi, [Values] bool warm)
    {
        using var released = new ManualResetEventSlim();
        using var server = new TestServer();
        MapEcho(server, "block", () => released.Wait(TestServer.Patience));
        await using RunningServer running = await RunningServer.StartAsync(server => server.MapWebSocket("/ws", async context =>
        {
            await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
            {
                if (message.Text == "block")
                {
                    released.Wait(TestServer.Patience);
                }

                await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
            }
        }));
        using RawClient client = RawClient.Open(serverApi ? running.Port : server.Port);
        for (int n = 0; warm && n < Warm; n++)
        {
            client.SendFrame(0x81, "warm"u8);
            client.ReadFrame();
        }

        client.Send([.. client.Frame(0x81, "first"u8), .. client.Frame(0x81, "second"u8), .. client.Frame(0x81, "block"u8)]);
        Assert.That(client.ReadFrame().Payload, Is.EqualTo("first"u8.ToArray()));
        Assert.That(client.ReadFrame().Payload, Is.EqualTo("second"u8.ToArray()));
        released.Set();
        Assert.That(client.ReadFrame().Payload, Is.EqualTo("block"u8.ToArray()));
    }

    [Test]
    public async Task An_end_that_comes_with_the_last_message_is_noticed([Values] bool serverApi)
    {
        int ended = 0;
        using var server = new TestServer();
        Http.SetWebSocketHandler(
            server.Context, "/ws", null, null, (c, bits, data, _) => bits == 1 ? Http.WriteTextToWebSocket(c, data) : 1, (_, _) => Interlocked.Increment(ref ended));
        await using RunningServer running = await RunningServer.StartAsync(server => server.MapWebSocket("/ws", async context =>
        {
            try
            {
                await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
                {
                    await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
                }
            }
            finally
            {
                Interlocked.Increment(ref ended);
            }
        }));
        for (int i = 0; i < 100; i++)
        {
            using RawClient client = RawClient.Open(serverApi ? running.Port : server.Port);
            for (int n = 0; n < Warm; n++)
            {
                client.SendFrame(0x81, "warm"u8);
                client.ReadFrame();
            }

            client.SendFrame(0x81, "one"u8);
            client.SendFrame(0x81, "two"u8);
            client.Socket.Shutdown(SocketShutdown.Send);
            client.ReadFrame();
            client.ReadFrame();
        }

        await Eventually.IsTrueAsync(() => Volatile.Read(ref ended) == 100, "all of them to have ended");
    }

    /// <summary>.NET counts what a quota leaves of the machine; here it is told.</summary>
    [Test]
    [Platform("Linux")]
    public async Task There_are_as_many_leaders_as_the_program_may_use_processors()
    {
        using var program = new LineProcess(["env", "DOTNET_PROCESSOR_COUNT=3", .. TestProgram.LeadersCommand()]);
        Assert.That(await program.FinishAsync(TestServer.Patience), Is.EqualTo((string[])["3 leaders"]));
    }

    [Test]
    [Platform("Linux")]
    public async Task Other_threads_than_a_connections_own_call_its_callbacks()
    {
        using var server = new TestServer();
        (Thread own, HashSet<Thread> used) = await ThreadsAsync(server);
        Assert.That(used.Any(thread => thread != own));
    }

    [TestCase("option")]
    [TestCase("InitThread")]
    [TestCase("ExitThread")]
    public async Task A_connection_keeps_its_thread_for_those_who_want_it(string why)
    {
        var callbacks = new Callbacks
        {
            InitThread = why == "InitThread" ? (_, _) => { } : null,
            ExitThread = why == "ExitThread" ? (_, _) => { } : null,
        };
        using TestServer server = why == "option" ? new TestServer(callbacks, ("websocket_keep_thread", "yes")) : new TestServer(callbacks);
        (Thread own, HashSet<Thread> used) = await ThreadsAsync(server);
        Assert.That(used, Is.EquivalentTo(new[] { own }));
    }

    [Test]
    public void Keeping_the_thread_is_yes_or_no()
    {
        ArgumentException refusal = Assert.Throws<ArgumentException>(
            () => Http.StartServer(_ => 0, ["listening_ports", "127.0.0.1:0", "websocket_keep_thread", "maybe"]))!;
        Assert.That(refusal.Message, Does.Contain("'websocket_keep_thread' is 'maybe'").And.Contain("'yes' or 'no'"));
    }

    /// <summary>An echo that waits before it answers one of the messages.</summary>
    private static void MapEcho(TestServer server, string special, Action wait)
    {
        byte[] name = Encoding.UTF8.GetBytes(special);
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            null,
            (c, bits, data, _) =>
            {
                if (bits == 1 && data.SequenceEqual(name))
                {
                    wait();
                }

                return bits == 1 ? Http.WriteTextToWebSocket(c, data) : 1;
            },
            null);
    }

    private static async Task<(Thread Own, HashSet<Thread> Used)> ThreadsAsync(TestServer server)
    {
        Thread? own = null;
        var used = new ConcurrentBag<Thread>();
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            (_, _) => own = Thread.CurrentThread,
            (c, bits, data, _) =>
            {
                used.Add(Thread.CurrentThread);
                return bits == 1 ? Http.WriteTextToWebSocket(c, data) : 1;
            },
            null);
        using ClientWebSocket client = await server.ConnectAsync();
        await EchoAsync(client, 300);
        return (own!, [.. used]);
    }

    private static async Task MeetAsync(int clients, Func<Task<ClientWebSocket>> connectAsync)
    {
        ClientWebSocket[] all = new ClientWebSocket[clients];
        for (int i = 0; i < clients; i++)
        {
            all[i] = await connectAsync();
            await EchoAsync(all[i], Warm);
        }

        for (int round = 0; round < 3; round++)
        {
            await Task.WhenAll(all.Select(client => client.SendTextAsync("meet")));
            foreach (ClientWebSocket client in all)
            {
                Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("meet"));
            }
        }

        foreach (ClientWebSocket client in all)
        {
            await EchoAsync(client, Warm);
            client.Dispose();
        }
    }

    private static async Task EchoAsync(ClientWebSocket client, int messages)
    {
        for (int i = 0; i < messages; i++)
        {
            await client.SendTextAsync($"message {i}");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo($"message {i}"));
        }
    }
}
