using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>What .NET documents of <see cref="WebSocket"/>, of the one that handlers of a <see cref="CivetWebServer"/> get.</summary>
public sealed class ServerWebSocketTests
{
    // States

    [Test]
    public async Task When_the_client_closes_the_server_sees_code_and_reason_and_answers()
    {
        var states = new List<WebSocketState>();
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            states.Add(context.WebSocket.State);
            ValueWebSocketReceiveResult result = await context.WebSocket.ReceiveAsync(new byte[10].AsMemory(), default);
            Assert.That(result.MessageType, Is.EqualTo(WebSocketMessageType.Close));
            Assert.That(result.EndOfMessage);
            states.Add(context.WebSocket.State);
            Assert.That(context.WebSocket.CloseStatus, Is.EqualTo((WebSocketCloseStatus)4001));
            Assert.That(context.WebSocket.CloseStatusDescription, Is.EqualTo("grüße"));
            await context.WebSocket.CloseOutputAsync((WebSocketCloseStatus)4001, "tschüß", default);
            states.Add(context.WebSocket.State);
        });
        await scene.Client.CloseAsync((WebSocketCloseStatus)4001, "grüße", default);
        await scene.HandlerEnds();
        Assert.That(states, Is.EqualTo(new[] { WebSocketState.Open, WebSocketState.CloseReceived, WebSocketState.Closed }));
        Assert.That(scene.Client.CloseStatusDescription, Is.EqualTo("tschüß"));
        Assert.That(scene.Client.State, Is.EqualTo(WebSocketState.Closed));
    }

    [Test]
    public async Task CloseAsync_of_the_server_waits_for_the_client()
    {
        var state = WebSocketState.None;
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            await context.WebSocket.CloseAsync((WebSocketCloseStatus)3000, "done", default);
            state = context.WebSocket.State;
        });
        Assert.That((await scene.Client.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
        Assert.That(scene.Client.CloseStatus, Is.EqualTo((WebSocketCloseStatus)3000));
        Assert.That(scene.Client.CloseStatusDescription, Is.EqualTo("done"));
        Assert.That(scene.HasEnded, Is.False);
        await scene.Client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", default);
        await scene.HandlerEnds();
        Assert.That(state, Is.EqualTo(WebSocketState.Closed));
    }

    [Test]
    public async Task After_CloseOutputAsync_the_server_still_receives_but_may_not_send()
    {
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            await context.WebSocket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", default);
            Assert.That(context.WebSocket.State, Is.EqualTo(WebSocketState.CloseSent));
            Assert.ThrowsAsync<WebSocketException>(() => context.WebSocket.SendTextAsync("too late"));
            Assert.That(await context.WebSocket.ReceiveTextAsync(), Is.EqualTo("last words"));
            Assert.That((await context.WebSocket.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
            Assert.That(context.WebSocket.State, Is.EqualTo(WebSocketState.Closed));
        });
        await scene.Client.SendTextAsync("last words");
        await scene.Client.CloseAsync(WebSocketCloseStatus.NormalClosure, "", default);
        await scene.HandlerEnds();
    }

    [Test]
    public async Task Calls_in_a_wrong_state_or_with_wrong_arguments_are_refused_as_NET_refuses_them()
    {
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            WebSocket socket = context.WebSocket;
            byte[] buffer = new byte[10];
            Assert.ThrowsAsync<ArgumentException>(async () => await socket.SendAsync(buffer.AsMemory(), WebSocketMessageType.Close, true, default));
            Assert.ThrowsAsync<ArgumentException>(() => socket.CloseAsync((WebSocketCloseStatus)1006, null, default));
            Assert.ThrowsAsync<ArgumentException>(() => socket.CloseAsync(WebSocketCloseStatus.Empty, "text without code", default));
            Assert.ThrowsAsync<ArgumentException>(() => socket.CloseAsync(WebSocketCloseStatus.NormalClosure, new string('x', 124), default));
            Assert.ThrowsAsync<ArgumentNullException>(() => socket.ReceiveAsync(default(ArraySegment<byte>), default));
            Assert.That(socket.State, Is.EqualTo(WebSocketState.Open), "none of it harms");
            socket.Dispose();
            Assert.ThrowsAsync<WebSocketException>(async () => await socket.SendAsync(buffer.AsMemory(), WebSocketMessageType.Text, true, default));
            await Task.CompletedTask;
        });
        await scene.HandlerEnds();
    }

    [Test]
    public async Task Codes_that_must_not_be_sent_are_refused(
        [Values(-1, 0, 999, 1004, 1006, 1015, 1016, 2000, 2999, 5000, 65_535, 65_536 + 1000)] int code, [Values] bool outputOnly)
    {
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            ArgumentException? refusal = Assert.ThrowsAsync<ArgumentException>(() => Close(context.WebSocket, (WebSocketCloseStatus)code, null));
            Assert.That(refusal!.ParamName, Is.EqualTo("closeStatus"));
            Assert.That(refusal.Message, Does.Contain($"{code}").And.Contain("3000 to 4999"));
            foreach (string reason in (string[])[new string('x', 124), new string('é', 62), "half of a pair: \ud83d"])
            {
                Assert.That(
                    Assert.ThrowsAsync<ArgumentException>(() => Close(context.WebSocket, WebSocketCloseStatus.NormalClosure, reason))!.ParamName,
                    Is.EqualTo("statusDescription"));
            }

            Assert.That(context.WebSocket.State, Is.EqualTo(WebSocketState.Open), "none of it harms");
            await context.WebSocket.SendTextAsync("open");
        });
        Assert.That(await scene.Client.ReceiveTextAsync(), Is.EqualTo("open"));
        await scene.HandlerEnds();

        Task Close(WebSocket socket, WebSocketCloseStatus status, string? description) =>
            outputOnly ? socket.CloseOutputAsync(status, description, default) : socket.CloseAsync(status, description, default);
    }

    [Test]
    public async Task Empty_closes_without_a_code([Values] bool outputOnly, [Values(null, "")] string? description)
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", context => outputOnly
            ? context.WebSocket.CloseOutputAsync(WebSocketCloseStatus.Empty, description, default)
            : context.WebSocket.CloseAsync(WebSocketCloseStatus.Empty, description, default)));
        using RawClient client = RawClient.Open(server.Port);
        Assert.That(client.ReadExactly(2), Is.EqualTo((byte[])[0x88, 0]));
        client.SendFrame(0x88, []);
        Assert.That(client.ReadsCleanEnd());
    }

    [TestCase(null, null, null)]
    [TestCase(1000, "", "")]
    [TestCase(4000, "x", "x")]
    public async Task The_handler_sees_what_the_client_has_closed_with_and_can_answer_with_it(int? code, string? reason, string? description)
    {
        var seen = new TaskCompletionSource<(WebSocketCloseStatus?, string?, WebSocketCloseStatus?, string?)>();
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", async context =>
        {
            WebSocket socket = context.WebSocket;
            WebSocketReceiveResult result = await socket.ReceiveAsync(new ArraySegment<byte>(new byte[10]), default);
            seen.SetResult((socket.CloseStatus, socket.CloseStatusDescription, result.CloseStatus, result.CloseStatusDescription));
            await socket.CloseAsync(socket.CloseStatus!.Value, socket.CloseStatusDescription, default);
        }));
        using RawClient client = RawClient.Open(server.Port);
        byte[] payload = code is null ? [] : [(byte)(code.Value >> 8), (byte)code.Value, .. Encoding.UTF8.GetBytes(reason!)];
        client.SendFrame(0x88, payload);
        Assert.That(client.ReadFrame(), Is.EqualTo((0x88, payload)));
        Assert.That(client.ReadsCleanEnd());
        var status = (WebSocketCloseStatus?)(code ?? 1005);
        Assert.That(await seen.Task.WaitAsync(TestServer.Patience), Is.EqualTo((status, description, status, description)));
    }

    // The end of the handler

    [Test]
    public async Task A_handler_that_ends_closes_with_1000()
    {
        await using Scene scene = await Scene.StartAsync(_ => Task.CompletedTask);
        Assert.That((await scene.Client.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
        Assert.That(scene.Client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.NormalClosure));
        await scene.Client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", default);
        await scene.IsOver();
    }

    [Test]
    [Logs(24)]
    public async Task A_handler_that_throws_closes_with_1011_and_is_reported([Values] bool afterAnAwait)
    {
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            if (afterAnAwait)
            {
                await context.WebSocket.ReceiveAsync(new byte[10].AsMemory(), default);
            }

            throw new InvalidOperationException("of the handler");
        });
        await scene.Client.SendTextAsync("go");
        Assert.That((await scene.Client.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
        Assert.That(scene.Client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.InternalServerError));
        Assert.That(scene.Client.CloseStatusDescription, Is.Empty, "nothing of the exception is told");
        await scene.Client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", default);
        await scene.IsOver();
        Assert.That(scene.Server.Log.Entries.Count(e => e.Exception?.Message == "of the handler"), Is.EqualTo(1));
    }

    [Test]
    public async Task Disposing_of_an_open_WebSocket_cuts_it()
    {
        await using Scene scene = await Scene.StartAsync(context =>
        {
            context.WebSocket.Dispose();
            return Task.CompletedTask;
        });
        Assert.ThrowsAsync<WebSocketException>(() => scene.Client.ReceiveMessageAsync());
        await scene.IsOver();
    }

    [Test]
    public async Task A_client_that_does_not_answer_the_closing_is_cut_off()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket(
            "/ws", _ => Task.CompletedTask, new() { CloseTimeout = TimeSpan.FromMilliseconds(200) }));
        using RawClient client = RawClient.Open(server.Port);
        Assert.That(client.ReadClose(), Is.EqualTo(1000));
        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "the WebSocket is over");
        client.ReadToEnd();
    }

    // Loss, abort, cancellation

    [Test]
    public async Task A_client_that_vanishes_ends_the_receive_and_cancels_Aborted([Values] bool reset)
    {
        Exception? failure = null;
        var aborted = new TaskCompletionSource();
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", async context =>
        {
            context.Aborted.Register(aborted.SetResult);
            try
            {
                await context.WebSocket.ReceiveAsync(new byte[10].AsMemory(), default);
            }
            catch (Exception e)
            {
                failure = e;
            }

            await aborted.Task;
        }));
        using (RawClient client = RawClient.Open(server.Port))
        {
            client.Socket.LingerState = new(reset, 0);
        }

        await aborted.Task.WaitAsync(TestServer.Patience);
        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "the WebSocket is over");
        Assert.That(failure, Is.InstanceOf<WebSocketException>());
        Assert.That(((WebSocketException)failure!).WebSocketErrorCode, Is.EqualTo(WebSocketError.ConnectionClosedPrematurely));
    }

    [Test]
    public async Task A_reset_is_noticed_even_by_a_handler_that_does_not_receive()
    {
        var running = new TaskCompletionSource();
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", async context =>
        {
            running.SetResult();
            await Task.Delay(Timeout.Infinite, context.Aborted);
        }));
        using (RawClient client = RawClient.Open(server.Port))
        {
            await running.Task;
            client.Socket.LingerState = new(true, 0);
        }

        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "the WebSocket is over");
    }

    [Test]
    public async Task Abort_ends_everything_at_once()
    {
        var state = WebSocketState.None;
        Exception? failure = null;
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            Task receiving = context.WebSocket.ReceiveAsync(new byte[10].AsMemory(), default).AsTask();
            _ = Task.Run(context.WebSocket.Abort);
            try
            {
                await receiving;
            }
            catch (Exception e)
            {
                failure = e;
            }

            state = context.WebSocket.State;
        });
        Assert.ThrowsAsync<WebSocketException>(() => scene.Client.ReceiveMessageAsync());
        await scene.HandlerEnds();
        Assert.That(state, Is.EqualTo(WebSocketState.Aborted));
        Assert.That(failure, Is.InstanceOf<OperationCanceledException>().Or.InstanceOf<WebSocketException>());
        await scene.IsOver();
    }

    [Test]
    public async Task A_cancelled_receive_aborts_the_WebSocket([Values] bool fromThePool)
    {
        var state = WebSocketState.None;
        Exception? failure = null;
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            using var cancel = new CancellationTokenSource();
            Task<ValueWebSocketReceiveResult> receiving = fromThePool
                ? Task.Run(async () => await context.WebSocket.ReceiveAsync(new byte[10].AsMemory(), cancel.Token))
                : context.WebSocket.ReceiveAsync(new byte[10].AsMemory(), cancel.Token).AsTask();
            _ = Task.Run(async () =>
            {
                await Task.Delay(50);
                await cancel.CancelAsync();
            });
            try
            {
                await receiving;
            }
            catch (Exception e)
            {
                failure = e;
            }

            state = context.WebSocket.State;
        });
        Assert.ThrowsAsync<WebSocketException>(() => scene.Client.ReceiveMessageAsync());
        await scene.HandlerEnds();
        Assert.That(failure, Is.InstanceOf<OperationCanceledException>());
        Assert.That(state, Is.EqualTo(WebSocketState.Aborted));
    }

    [Test]
    public async Task An_already_cancelled_token_is_refused()
    {
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            var cancelled = new CancellationToken(true);
            Assert.That(
                async () => await context.WebSocket.SendAsync(new byte[1].AsMemory(), WebSocketMessageType.Binary, true, cancelled),
                Throws.InstanceOf<OperationCanceledException>());
            await Task.CompletedTask;
        });
        await scene.HandlerEnds();
    }

    [Test]
    public async Task A_send_to_a_client_that_does_not_read_can_be_cancelled([Values] bool fromThePool)
    {
        var failure = new TaskCompletionSource<Exception>();
        await using RunningServer server = await StartFloodAsync(
            fromThePool, new() { SendTimeout = Timeout.InfiniteTimeSpan }, TimeSpan.FromMilliseconds(300), failure);
        using RawClient client = RawClient.Open(server.Port);
        Assert.That(await failure.Task.WaitAsync(TestServer.Patience), Is.InstanceOf<OperationCanceledException>());
        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "the WebSocket is over");
    }

    [Test]
    public async Task A_client_that_does_not_read_is_cut_off_after_the_send_timeout([Values] bool fromThePool)
    {
        var failure = new TaskCompletionSource<Exception>();
        await using RunningServer server = await StartFloodAsync(
            fromThePool, new() { SendTimeout = TimeSpan.FromMilliseconds(300) }, Timeout.InfiniteTimeSpan, failure);
        using RawClient client = RawClient.Open(server.Port);
        Assert.That(await failure.Task.WaitAsync(TestServer.Patience), Is.InstanceOf<WebSocketException>().Or.InstanceOf<OperationCanceledException>());
        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "the WebSocket is over");
    }

    [Test]
    public async Task A_close_that_NET_refuses_costs_the_client_nothing([Values] bool wholeClose)
    {
        await using RunningServer server = await RunningServer.StartAsync(
            s => s.MapWebSocket("/ws", async context =>
            {
                string tooLong = new('x', 124);
                Assert.ThrowsAsync<ArgumentException>(() => wholeClose
                    ? context.WebSocket.CloseAsync(WebSocketCloseStatus.NormalClosure, tooLong, default)
                    : context.WebSocket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, tooLong, default));
                await ServerEchoTests.EchoAsync(context);
            }),
            o => o.WebSockets.CloseTimeout = TimeSpan.FromMilliseconds(100));
        using ClientWebSocket client = await server.ConnectAsync();
        long start = Environment.TickCount64;
        while (Environment.TickCount64 - start < 500)
        {
            await client.SendTextAsync("still here");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("still here"));
        }

        await client.CloseNormallyAsync();
    }

    [Test]
    public async Task A_message_of_nothing_for_ever_is_refused_with_1008()
    {
        const int Allowed = 1024;
        await using RunningServer server = await RunningServer.StartAsync(
            s => s.MapWebSocket("/ws", async context =>
            {
                await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync())
                {
                    await context.WebSocket.SendTextAsync(message.Text);
                }
            }));
        foreach (int count in (int[])[Allowed, Allowed + 1])
        {
            using RawClient client = RawClient.Open(server.Port);
            for (int i = 0; i < count; i++)
            {
                client.SendFrame(i == 0 ? 0x01 : 0x00, []);
            }

            if (count == Allowed)
            {
                client.SendFrame(0x80, "after all"u8);
                Assert.That(client.ReadFrame().Payload, Is.EqualTo("after all"u8.ToArray()));
            }
            else
            {
                Assert.That(client.ReadClose(), Is.EqualTo(1008));
            }
        }
    }

    [Test]
    public async Task A_loss_ends_sending_and_receiving_alike([Values] bool reset, [Values] bool fromThePool)
    {
        var waits = new TaskCompletionSource();
        var failures = new TaskCompletionSource<Exception[]>();
        await using RunningServer server = await RunningServer.StartAsync(
            s => s.MapWebSocket("/ws", async context =>
            {
                Task<Exception> sending = null!, receiving = null!;
                void Begin()
                {
                    sending = Failure(context.WebSocket.SendAsync(new byte[16 << 20].AsMemory(), WebSocketMessageType.Binary, true, default).AsTask());
                    receiving = Failure(context.WebSocket.ReceiveAsync(new byte[10].AsMemory(), default).AsTask());
                }

                if (fromThePool)
                {
                    await Task.Run(Begin);
                }
                else
                {
                    Begin();
                }

                waits.SetResult();
                failures.SetResult(await Task.WhenAll(sending, receiving));
            }),
            o => o.WebSockets.SendTimeout = Timeout.InfiniteTimeSpan);
        using RawClient client = RawClient.Open(server.Port);
        await waits.Task.WaitAsync(TestServer.Patience);
        if (reset)
        {
            client.Socket.LingerState = new System.Net.Sockets.LingerOption(true, 0);
            client.Socket.Close();
        }
        else
        {
            client.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
        }

        // Not only when the loop has given the handler up, after 10 s.
        Exception[] seen = await failures.Task.WaitAsync(TimeSpan.FromSeconds(8));
        Assert.That(seen, Is.All.InstanceOf<WebSocketException>().Or.InstanceOf<OperationCanceledException>());

        static async Task<Exception> Failure(Task task)
        {
            try
            {
                await task;
                return new InvalidOperationException("It has succeeded.");
            }
            catch (Exception e)
            {
                return e;
            }
        }
    }

    [Test]
    public async Task A_client_that_answers_no_ping_is_cut_off_and_one_that_does_stays()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket(
            "/ws",
            ServerEchoTests.EchoAsync,
            new() { KeepAliveInterval = TimeSpan.FromMilliseconds(100), KeepAliveTimeout = TimeSpan.FromSeconds(3) }));
        using ClientWebSocket honest = await server.ConnectAsync();
        Task<string> receiving = honest.ReceiveTextAsync();
        using RawClient silent = RawClient.Open(server.Port);
        Assert.That(silent.ReadFrame().FirstByte, Is.EqualTo(0x89), "it is asked");
        await Task.Run(silent.ReadToEnd);
        Assert.That(receiving.IsCompleted, Is.False);
        await honest.SendTextAsync("still here");
        Assert.That(await receiving, Is.EqualTo("still here"));
    }

    // Overlapping calls, zero-byte reads

    [Test]
    public async Task A_zero_byte_receive_waits_for_data_and_takes_none()
    {
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            ValueWebSocketReceiveResult result = await context.WebSocket.ReceiveAsync(Memory<byte>.Empty, default);
            Assert.That((result.Count, result.EndOfMessage), Is.EqualTo((0, false)));
            Assert.That(await context.WebSocket.ReceiveTextAsync(), Is.EqualTo("data"));
        });
        await scene.Client.SendTextAsync("data");
        await scene.HandlerEnds();
    }

    [Test]
    public async Task Sends_of_many_threads_are_whole_messages()
    {
        const int Threads = 8;
        const int Each = 250;
        await using Scene scene = await Scene.StartAsync(context => Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Run(async () =>
        {
            for (int i = 0; i < Each; i++)
            {
                byte[] message = new byte[1 + i * 13];
                message.AsSpan().Fill((byte)thread);
                await context.WebSocket.SendAsync(message, WebSocketMessageType.Binary, true, default);
            }
        }))));
        int[] seen = new int[Threads];
        for (int i = 0; i < Threads * Each; i++)
        {
            (_, byte[] data) = await scene.Client.ReceiveMessageAsync();
            int thread = data[0];
            Assert.That(data, Has.Length.EqualTo(1 + seen[thread]++ * 13));
            Assert.That(data.AsSpan().IndexOfAnyExcept((byte)thread), Is.EqualTo(-1));
        }

        await scene.Client.CloseNormallyAsync();
        await scene.HandlerEnds();
    }

    [Test]
    public async Task Sending_goes_on_while_a_receive_waits()
    {
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            Task<string> receiving = context.WebSocket.ReceiveTextAsync();
            for (int i = 0; i < 100; i++)
            {
                await context.WebSocket.SendTextAsync($"push {i}");
            }

            Assert.That(receiving.IsCompleted, Is.False);
            await context.WebSocket.SendTextAsync(await receiving);
        });
        for (int i = 0; i < 100; i++)
        {
            Assert.That(await scene.Client.ReceiveTextAsync(), Is.EqualTo($"push {i}"));
        }

        await scene.Client.SendTextAsync("now");
        Assert.That(await scene.Client.ReceiveTextAsync(), Is.EqualTo("now"));
        await scene.HandlerEnds();
    }

    // Threads

    [Test]
    public async Task A_handler_stays_in_its_context_and_off_the_thread_pool()
    {
        var contexts = new HashSet<SynchronizationContext?>();
        bool pooled = false;
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            for (int i = 0; i < 30; i++)
            {
                contexts.Add(SynchronizationContext.Current);
                pooled |= Thread.CurrentThread.IsThreadPoolThread;
                await context.WebSocket.SendTextAsync(await context.WebSocket.ReceiveTextAsync());
                await Task.Delay(1);
                await Task.Run(() => { });
                await Task.Yield();
            }
        });
        for (int i = 0; i < 30; i++)
        {
            await scene.Client.SendTextAsync("x");
            await scene.Client.ReceiveTextAsync();
        }

        await scene.HandlerEnds();
        Assert.That(pooled, Is.False);
        Assert.That(contexts, Has.Count.EqualTo(1));
        Assert.That(contexts.Single(), Is.Not.Null);
    }

    [Test]
    public async Task A_handler_that_leaves_its_context_works_too()
    {
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            await Task.Delay(1).ConfigureAwait(false);
            for (int i = 0; i < 100; i++)
            {
                string text = await context.WebSocket.ReceiveTextAsync().ConfigureAwait(false);
                await context.WebSocket.SendTextAsync(text).ConfigureAwait(false);
            }
        });
        for (int i = 0; i < 100; i++)
        {
            await scene.Client.SendTextAsync($"{i}");
            Assert.That(await scene.Client.ReceiveTextAsync(), Is.EqualTo($"{i}"));
        }

        await scene.HandlerEnds();
    }

    [Test]
    public async Task Code_of_other_threads_never_runs_on_the_connections_thread()
    {
        // It could hold it up: here it waits, synchronously, for what only the connection's thread can do.
        var blocked = new TaskCompletionSource<string>();
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            await Task.Run(async () =>
            {
                string first = await context.WebSocket.ReceiveTextAsync().ConfigureAwait(false);
                blocked.SetResult(first + context.WebSocket.ReceiveTextAsync().GetAwaiter().GetResult());
            });
        });
        await scene.Client.SendTextAsync("a");
        await Task.Delay(50);
        await scene.Client.SendTextAsync("b");
        Assert.That(await blocked.Task.WaitAsync(TestServer.Patience), Is.EqualTo("ab"));
        await scene.HandlerEnds();
    }

    [Test]
    [Logs(6)]
    public async Task What_an_async_void_method_throws_is_reported_and_harms_nothing()
    {
        await using Scene scene = await Scene.StartAsync(async context =>
        {
            FailLater();
            await ServerEchoTests.EchoAsync(context);
        });
        await Eventually.IsTrueAsync(() => scene.Server.Log.Entries.Any(e => e.Exception?.Message == "async void"), "it is logged");
        await scene.Client.SendTextAsync("fine");
        Assert.That(await scene.Client.ReceiveTextAsync(), Is.EqualTo("fine"));
        await scene.Client.CloseNormallyAsync();
        await scene.HandlerEnds();

        static async void FailLater()
        {
            await Task.Yield();
            throw new InvalidOperationException("async void");
        }
    }

    // Stopping

    [Test]
    public async Task Stopping_tells_every_client_1001_and_every_handler_sees_the_end()
    {
        int ended = 0;
        RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", async context =>
        {
            await ServerEchoTests.EchoAsync(context);
            Interlocked.Increment(ref ended);
        }));
        ClientWebSocket[] clients = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => server.ConnectAsync()));
        Task<WebSocketCloseStatus?[]> closing = Task.WhenAll(clients.Select(async client =>
        {
            await client.ReceiveMessageAsync();
            await client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", default);
            return client.CloseStatus;
        }));
        await server.DisposeAsync();
        Assert.That(await closing, Is.All.EqualTo(WebSocketCloseStatus.EndpointUnavailable));
        Assert.That(ended, Is.EqualTo(10));
        Assert.That(server.Server.Stopping.IsCancellationRequested);
    }

    [Test]
    public async Task Stopping_does_not_wait_for_a_handler_that_ignores_it()
    {
        var never = new TaskCompletionSource();
        ServerWebSocketContext? kept = null;
        RunningServer server = await RunningServer.StartAsync(
            s => s.MapWebSocket("/ws", async context =>
            {
                kept = context;
                await never.Task;
            }),
            options => options.ShutdownTimeout = TimeSpan.FromMilliseconds(100));
        using RawClient client = RawClient.Open(server.Port);
        await Eventually.IsTrueAsync(() => kept is not null, "the handler runs");
        await server.DisposeAsync();
        Assert.That(kept!.Aborted.IsCancellationRequested);
        Assert.That(async () => await kept.WebSocket.SendAsync(new byte[1].AsMemory(), WebSocketMessageType.Binary, true, default), Throws.Exception);
        never.SetResult();
    }

    [Test]
    public async Task Stopping_can_be_hurried()
    {
        RunningServer server = await RunningServer.StartAsync(
            s => s.MapWebSocket("/ws", ServerEchoTests.EchoAsync, new() { CloseTimeout = Timeout.InfiniteTimeSpan }), // nothing else ends it
            options => options.ShutdownTimeout = TimeSpan.FromHours(1));
        using RawClient client = RawClient.Open(server.Port);
        using var hurry = new CancellationTokenSource(200);
        await server.Server.StopAsync(hurry.Token).WaitAsync(TestServer.Patience);
        await server.DisposeAsync();
    }

    [Test]
    public async Task Stopping_from_inside_a_handler_is_refused_with_advice()
    {
        Exception? failure = null;
        await using Scene scene = await Scene.StartAsync(context =>
        {
            failure = Assert.Throws<InvalidOperationException>(() => _ = context.Request.Server.StopAsync());
            return Task.CompletedTask;
        });
        await scene.HandlerEnds();
        Assert.That(failure!.Message, Does.Contain("inside a handler"));
    }

    // What is known about the client

    [Test]
    public async Task The_context_tells_who_the_client_is()
    {
        ServerWebSocketContext context = null!;
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/room/{name}", c =>
        {
            context = c;
            c.Items["key"] = "value";
            return Task.CompletedTask;
        }));
        using ClientWebSocket client = await server.ConnectAsync("/room/blue%20sky?a=1&b=%C3%BC", options =>
        {
            options.SetRequestHeader("X-Test", "yes");
            options.SetRequestHeader("Cookie", "first=1; second=two");
        });
        await client.ReceiveMessageAsync();
        await client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", default);
        await Eventually.IsTrueAsync(() => context is not null && server.Server.WebSocketCount == 0, "the WebSocket is over");

        Assert.That(context.Route["name"], Is.EqualTo("blue sky"));
        Assert.That(context.Request.Query["b"], Is.EqualTo("ü"));
        Assert.That(context.RequestUri.Query, Is.EqualTo("?a=1&b=%C3%BC"));
        Assert.That(context.RequestUri.Scheme, Is.EqualTo("ws"));
        Assert.That(context.Headers["x-test"], Is.EqualTo("yes"));
        Assert.That(context.CookieCollection["second"]!.Value, Is.EqualTo("two"));
        Assert.That(context.Request.Cookies["first"], Is.EqualTo("1"));
        Assert.That(context.SecWebSocketVersion, Is.EqualTo("13"));
        Assert.That(context.SecWebSocketKey, Has.Length.EqualTo(24));
        Assert.That(((IPEndPoint)context.RemoteEndPoint).Address, Is.EqualTo(IPAddress.Loopback));
        Assert.That(context.LocalEndPoint, Is.EqualTo(new IPEndPoint(IPAddress.Loopback, server.Port)));
        Assert.That((context.IsLocal, context.IsSecureConnection, context.IsAuthenticated, context.Origin), Is.EqualTo((true, false, false, "")));
        Assert.That(context.Items["key"], Is.EqualTo("value"));
    }

    /// <summary>The base library throws for some names; the rest of the header counts all the same.</summary>
    [Test]
    public async Task Cookies_that_the_base_library_rejects_are_left_out()
    {
        var cookies = new TaskCompletionSource<string>();
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", context =>
        {
            try
            {
                cookies.SetResult(string.Join('|', context.CookieCollection.Select(cookie => $"{cookie.Name}={cookie.Value}")));
            }
            catch (Exception e)
            {
                cookies.SetException(e);
            }

            return Task.CompletedTask;
        }));
        using RawClient client = RawClient.Open(
            server.Port, extraHeaders: "Cookie: first=1; =nameless; $Version=1; a b=2; a,b=3; \u00fc=4; last=5\r\nCookie: ; =; more=6\r\n");
        string[] taken = (await cookies.Task.WaitAsync(TestServer.Patience)).Split('|');
        Assert.That(taken, Is.SupersetOf((string[])["first=1", "last=5", "more=6"]));
        Assert.That(taken, Has.None.StartsWith("=").And.None.StartsWith("$"));
    }

    [TestCase("", true)]
    [TestCase("X-Forwarded-For: 127.0.0.1\r\n", false)] // from nobody who is trusted
    [TestCase("Forwarded: for=192.0.2.1\r\n", false)]
    [TestCase("X-Forwarded-For: 127.0.0.1\r\n", true, "127.0.0.1")]
    [TestCase("X-Forwarded-For: ::1\r\n", true, "127.0.0.1")]
    [TestCase("X-Forwarded-For: ::ffff:127.0.0.9\r\n", true, "127.0.0.1")]
    [TestCase("X-Forwarded-For: 192.0.2.1\r\n", false, "127.0.0.1")]
    public async Task Local_is_who_is_known_to_be(string headers, bool expected, string? proxy = null)
    {
        var local = new TaskCompletionSource<bool>();
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", context => Tell(context, local)), options =>
        {
            if (proxy is not null)
            {
                options.TrustedProxies.Add(proxy);
            }
        });
        using RawClient client = RawClient.Open(server.Port, extraHeaders: headers);
        Assert.That(await local.Task.WaitAsync(TestServer.Patience), Is.EqualTo(expected));
    }

    [TestCase("", false)] // a proxy that says nothing, for all anybody knows
    [TestCase("X-Forwarded-For: 192.0.2.1\r\n", false)]
    [TestCase("X-Forwarded-For: 127.0.0.1\r\n", false)]
    [TestCase("X-Forwarded-For: 192.0.2.1\r\n", false, "unix")]
    [TestCase("X-Forwarded-For: 127.0.0.1\r\n", true, "unix")]
    public async Task Over_a_Unix_domain_socket_nobody_is_local_unless_a_trusted_proxy_says_so(string headers, bool expected, string? proxy = null)
    {
        DirectoryInfo folder = SocketFolder.Create();
        try
        {
            string path = Path.Combine(folder.FullName, "s");
            var local = new TaskCompletionSource<bool>();
            string addresses = "";
            await using RunningServer server = await RunningServer.StartAsync(
                s => s.MapWebSocket("/ws", context =>
                {
                    addresses = $"{context.LocalEndPoint}";
                    return Tell(context, local);
                }),
                options =>
                {
                    options.Listen.Add("http://unix:" + path);
                    if (proxy is not null)
                    {
                        options.TrustedProxies.Add(proxy);
                    }
                });
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
            await socket.SendAsync(Encoding.ASCII.GetBytes(RawClient.UpgradeRequest(extraHeaders: headers)));
            Assert.That(await local.Task.WaitAsync(TestServer.Patience), Is.EqualTo(expected));
            Assert.That(addresses, Is.EqualTo(path));
            string opened = server.Log.Entries.Single(entry => entry.Event.Id == 20).Message;
            Assert.That(opened, Does.Not.Contain("*").And.Contain(proxy is null ? " by unix," : " by 1"));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static Task Tell(ServerWebSocketContext context, TaskCompletionSource<bool> local)
    {
        local.SetResult(context.IsLocal);
        return Task.CompletedTask;
    }

    private static Task<RunningServer> StartFloodAsync(
        bool fromThePool, WebSocketEndpointOptions options, TimeSpan cancelAfter, TaskCompletionSource<Exception> failure)
    {
        return RunningServer.StartAsync(s => s.MapWebSocket(
            "/ws",
            async context =>
            {
                using var cancel = new CancellationTokenSource(cancelAfter);
                byte[] data = new byte[100_000];
                try
                {
                    while (true)
                    {
                        if (fromThePool)
                        {
                            await Task.Run(async () => await context.WebSocket.SendAsync(data, WebSocketMessageType.Binary, true, cancel.Token));
                        }
                        else
                        {
                            await context.WebSocket.SendAsync(data, WebSocketMessageType.Binary, true, cancel.Token);
                        }
                    }
                }
                catch (Exception e)
                {
                    failure.SetResult(e);
                    throw;
                }
            },
            options));
    }

    /// <summary>A server with one handler, and a client of it. An assertion that fails in the handler fails the test.</summary>
    private sealed class Scene : IAsyncDisposable
    {
        private readonly TaskCompletionSource _handler = new();

        private Scene()
        {
        }

        public RunningServer Server { get; private set; } = null!;

        public ClientWebSocket Client { get; private set; } = null!;

        public bool HasEnded => _handler.Task.IsCompleted;

        public static async Task<Scene> StartAsync(Func<ServerWebSocketContext, Task> handler)
        {
            var scene = new Scene();
            scene.Server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", async context =>
            {
                try
                {
                    await handler(context);
                    scene._handler.SetResult();
                }
                catch (Exception e) when (e is not AssertionException)
                {
                    scene._handler.SetResult();
                    throw;
                }
                catch (AssertionException e)
                {
                    scene._handler.SetException(e);
                }
            }));
            scene.Client = await scene.Server.ConnectAsync();
            return scene;
        }

        public Task HandlerEnds() => _handler.Task.WaitAsync(TestServer.Patience);

        public Task IsOver() => Eventually.IsTrueAsync(() => Server.Server.WebSocketCount == 0, "the WebSocket is over");

        public async ValueTask DisposeAsync()
        {
            Client.Dispose();
            await Server.DisposeAsync();
        }
    }
}
