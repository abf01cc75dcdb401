using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Clients that go before they are answered: it is noticed while the handler works, and nobody else is held up.</summary>
[TestFixture]
internal sealed class GoneClientTests
{
    /// <summary>More than the server has threads.</summary>
    private const int Many = 300;

    private const string Honest = "GET /honest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

    [Test]
    public async Task A_handler_that_awaits_is_told_by_its_token()
    {
        var gone = new TaskCompletionSource();
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", async (request, _) =>
        {
            try
            {
                await Task.Delay(Timeout.Infinite, request.Aborted);
            }
            finally
            {
                gone.TrySetResult();
            }
        }));
        await AbandonAsync(server.Port, 1, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await gone.Task.WaitAsync(TestServer.Patience);
        await Eventually.IsTrueAsync(() => server.Log.Entries.Any(e => e.Message.Contains("has gone before GET /", StringComparison.Ordinal)), "it is logged");
        Assert.That(server.Log.Errors, Is.Empty);
    }

    [Test]
    public async Task A_handler_that_blocks_is_told_by_its_token()
    {
        var gone = new TaskCompletionSource();
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (request, _) =>
        {
            if (request.Aborted.WaitHandle.WaitOne(TestServer.Patience))
            {
                gone.SetResult();
            }
        }));
        await AbandonAsync(server.Port, 1, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await gone.Task.WaitAsync(TestServer.Patience);
    }

    [Test]
    public async Task A_handshake_that_awaits_is_told_by_both_tokens()
    {
        var gone = new TaskCompletionSource();
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapWebSocket(
            "/ws",
            _ => Task.CompletedTask,
            new WebSocketEndpointOptions
            {
                HandshakeTimeout = TestServer.Patience,
                OnHandshake = async handshake =>
                {
                    await Task.WhenAny(Task.Delay(Timeout.Infinite, handshake.Request.Aborted));
                    await Task.WhenAny(Task.Delay(Timeout.Infinite, handshake.Aborted));
                    gone.SetResult();
                },
            }));
        await AbandonAsync(server.Port, 1, RawClient.UpgradeRequest());
        await gone.Task.WaitAsync(TestServer.Patience);
        Assert.That(server.Log.Errors, Is.Empty);
    }

    [Test]
    public async Task Who_has_only_finished_sending_is_told_of_and_still_answered()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", async (request, response) =>
        {
            await Task.Delay(Timeout.Infinite, request.Aborted).ContinueWith(_ => { }, TaskScheduler.Default);
            response.WriteText("all the same");
        }));
        using var client = new RawClient(server.Port);
        client.Send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        client.Socket.Shutdown(SocketShutdown.Send);
        Assert.That(Encoding.UTF8.GetString(client.ReadToEnd()), Does.EndWith("\r\n\r\nall the same"));
    }

    [Test]
    public async Task The_token_of_a_request_that_was_answered_says_nothing_of_the_next()
    {
        var tokens = new List<CancellationToken>();
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", async (request, response) =>
        {
            tokens.Add(request.Aborted);
            if (tokens.Count == 2)
            {
                await Task.Delay(Timeout.Infinite, request.Aborted);
            }

            response.WriteText("one");
        }));
        using (var client = new RawClient(server.Port))
        {
            client.Send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 "));
            client.ReadExactly(3);
            client.Send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            await Eventually.IsTrueAsync(() => tokens.Count == 2, "the second request");
        }

        await Eventually.IsTrueAsync(() => tokens[1].IsCancellationRequested, "the second one's token");
        Assert.That(tokens[0].IsCancellationRequested, Is.False);
    }

    [Test]
    public async Task A_stop_that_waits_for_a_handler_notices_that_its_client_goes()
    {
        var begun = new TaskCompletionSource();
        RunningServer server = await RunningServer.StartAsync(
            server => server.MapGet("/", async (request, _) =>
            {
                begun.SetResult();
                await Task.Delay(Timeout.Infinite, request.Aborted);
            }),
            options => options.ShutdownTimeout = TimeSpan.FromHours(1));
        using var client = new RawClient(server.Port);
        client.Send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await begun.Task.WaitAsync(TestServer.Patience);
        Task stopped = server.DisposeAsync().AsTask();
        await Eventually.IsTrueAsync(() => server.Server.Stopping.IsCancellationRequested, "it stops");
        client.Dispose();
        await stopped.WaitAsync(TestServer.Patience);
    }

    /// <summary>A page that streams for ever, asked for its head: 256 of them stopped the server.</summary>
    [TestCase("flush")]
    [TestCase("flush and write")]
    [TestCase("write")]
    [TestCase("status 204")]
    public async Task The_head_of_a_page_that_never_ends_does_not_keep_its_thread(string how)
    {
        int running = 0;
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            MapHonest(server);
            server.MapGet("/stream", async (_, response) =>
            {
                Interlocked.Increment(ref running);
                try
                {
                    response.StatusCode = how == "status 204" ? 204 : 200;
                    while (true)
                    {
                        if (how.EndsWith("write", StringComparison.Ordinal))
                        {
                            await response.WriteAsync(new byte[1000]);
                        }

                        if (how != "write")
                        {
                            await response.FlushAsync();
                        }

                        await Task.Delay(1);
                    }
                }
                finally
                {
                    Interlocked.Decrement(ref running);
                }
            });
        });
        await IsServedAsync(server, () => AbandonAsync(server.Port, Many, "HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        await Eventually.IsTrueAsync(() => Volatile.Read(ref running) == 0, "all handlers to have ended");
        Assert.That(server.Log.Errors, Is.Empty);
    }

    [Test]
    public async Task A_client_that_has_got_the_head_of_a_stream_goes_on_with_its_next_request()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            MapHonest(server);
            server.MapGet("/stream", async (_, response) =>
            {
                while (true)
                {
                    await response.WriteTextAsync("more");
                    await response.FlushAsync();
                }
            });
        });
        using var client = new RawClient(server.Port);
        client.Send("HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.That(client.ReadHead(), Does.Contain("Connection: keep-alive").And.Contain("Transfer-Encoding: chunked"));
        client.Send(Honest);
        Assert.That(Encoding.UTF8.GetString(client.ReadToEnd()), Does.EndWith("honest"));
        Assert.That(server.Log.Entries.Where(e => e.Level >= LogLevel.Warning), Is.Empty);
    }

    [TestCase("its token")]
    [TestCase("nothing")]
    public async Task Abandoned_long_requests_hold_up_nobody_whatever_their_handlers_look_at(string looksAt)
    {
        using var never = new CancellationTokenSource();
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            MapHonest(server);
            server.MapGet("/long", (request, _) => Task.Delay(Timeout.Infinite, looksAt == "nothing" ? never.Token : request.Aborted));
        });
        await IsServedAsync(
            server,
            () => AbandonAsync(server.Port, Many, "GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            endsAll: looksAt != "nothing"); // a handler that looks at nothing keeps its thread until somebody needs it
        Assert.That(server.Log.Errors, Is.Empty);
        await never.CancelAsync();
    }

    [TestCase("reads")]
    [TestCase("reads chunks")]
    [TestCase("waits")]
    public async Task Abandoned_uploads_hold_up_nobody(string what)
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            MapHonest(server);
            server.MapPost("/upload", async (request, response) =>
            {
                if (what == "waits")
                {
                    await Task.Delay(Timeout.Infinite, request.Aborted);
                }

                await request.ReadBytesAsync();
                response.WriteText("done");
            });
        });
        string head = what == "reads chunks" ? "Transfer-Encoding: chunked\r\n\r\n1000\r\nhalf" : "Content-Length: 1000\r\n\r\nhalf";
        await IsServedAsync(server, () => AbandonAsync(server.Port, Many, $"POST /upload HTTP/1.1\r\nHost: localhost\r\n{head}"));
        Assert.That(server.Log.Errors, Is.Empty);
    }

    [Test]
    [Logs(27)] // more than MaxConnections at once
    public async Task Abandoned_handshakes_hold_up_nobody()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            MapHonest(server);
            server.MapWebSocket("/ws", _ => Task.CompletedTask, new WebSocketEndpointOptions
            {
                HandshakeTimeout = TestServer.Patience,
                OnHandshake = handshake => Task.Delay(Timeout.Infinite, handshake.Aborted),
            });
        });
        await IsServedAsync(server, () => AbandonAsync(server.Port, Many, RawClient.UpgradeRequest()));
        Assert.That(server.Log.Errors, Is.Empty);
    }

    [Test]
    public async Task A_callback_that_writes_in_a_loop_gets_minus_one_when_its_client_has_gone([Values("GET", "HEAD")] string method)
    {
        int ended = 0;
        using var server = new TestServer(new Callbacks
        {
            BeginRequest = c =>
            {
                if (Http.GetRequestInfo(c).LocalUri == "/honest")
                {
                    Http.Print(c, "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhonest");
                    return 200;
                }

                Http.Print(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                while (Http.Write(c, "5\r\nhello\r\n"u8) >= 0)
                {
                    Thread.Sleep(1);
                }

                Interlocked.Increment(ref ended);
                return 200;
            },
        });
        await AbandonAsync(server.Port, Many, $"{method} /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await Eventually.IsTrueAsync(() => Volatile.Read(ref ended) == Many, "all callbacks have got -1");
        Assert.That(RawClient.Exchange(server.Port, Honest), Does.EndWith("honest"));
    }

    private static void MapHonest(CivetWebServer server) => server.MapGet("/honest", (_, response) => response.WriteText("honest"));

    /// <summary>Sends the request and is gone, by closing: no reset, no word.</summary>
    private static async Task AbandonAsync(int port, int times, string request)
    {
        for (int i = 0; i < times; i++)
        {
            using var client = new RawClient(port);
            client.Send(request);
            if (i % 50 == 0)
            {
                await Task.Yield();
            }
        }
    }

    /// <summary>While and after it, an honest client gets its answer; afterwards descriptors and threads are back where they were.</summary>
    private static async Task IsServedAsync(RunningServer server, Func<Task> abandon, bool endsAll = true)
    {
        Assert.That(await Task.Run(() => RawClient.Exchange(server.Port, Honest)), Does.EndWith("honest"));
        int descriptors = OperatingSystem.IsLinux() ? ProcFs.Descriptors.Length : 0;
        int threads = OperatingSystem.IsLinux() ? ProcFs.ServerThreads : 0;
        await abandon();
        long start = Stopwatch.GetTimestamp();
        Assert.That(await Task.Run(() => RawClient.Exchange(server.Port, Honest)), Does.EndWith("honest"));
        TestContext.Out.WriteLine($"answered after {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F1} ms");
        await Task.Delay(1000); // for the measurement alone
        start = Stopwatch.GetTimestamp();
        Assert.That(await Task.Run(() => RawClient.Exchange(server.Port, Honest)), Does.EndWith("honest"));
        TestContext.Out.WriteLine($"a second later after {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F1} ms");
        if (OperatingSystem.IsLinux() && endsAll)
        {
            await Eventually.IsTrueAsync(() => ProcFs.Descriptors.Length <= descriptors, "the descriptors are back");
            Assert.That(ProcFs.ServerThreads, Is.EqualTo(threads));
        }
    }
}
