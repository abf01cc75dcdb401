using System;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Whoever calls from inside a server cannot stop one: it is told so, wherever it is, and the server goes on.</summary>
[TestFixture]
[Platform(Exclude = "MacOsX", Reason = "Connects from another address of the loopback network.")]
internal sealed class StopInsideTests
{
    /// <summary>More than a connection keeps its own thread for at first: on Linux a leader calls from then on.</summary>
    private const int Warm = 20;

    private static readonly string[] CallbackKinds =
    [
        nameof(Callbacks.InitContext), nameof(Callbacks.ExitContext), nameof(Callbacks.InitThread), nameof(Callbacks.ExitThread),
        nameof(Callbacks.InitConnection), nameof(Callbacks.BeginRequest), nameof(Callbacks.EndRequest), nameof(Callbacks.HttpError),
        nameof(Callbacks.LogMessage), nameof(Callbacks.LogAccess), nameof(Callbacks.ConnectionClose), nameof(Callbacks.ConnectionClosed),
        "connect", "ready", "first data", "later data", "close",
        "exception of request", "exception of connect", "exception of ready", "exception of data", "exception of close",
    ];

    private static readonly string[] HandlerKinds =
    [
        "page", "Use", "MapError", "OnHandshake", "WebSocket at first", "WebSocket later", "WebSocket's Aborted", "log of a request",
        "log of a WebSocket", "Stopping", "log of the stop",
    ];

    [TestCaseSource(nameof(CallbackKinds))]
    public async Task Every_callback_is_refused_both_stops(string kind)
    {
        using var other = new TestServer();
        var outcomes = new ConcurrentQueue<string>();
        Context? own = null;
        int armed = 1;
        void At(string here)
        {
            if (here == kind && Interlocked.Exchange(ref armed, 0) != 0)
            {
                // While it starts its context may not be known yet: another one's will do, it is the thread that counts.
                outcomes.Enqueue(Outcome(() => Http.StopServer(own ?? other.Context)));
                outcomes.Enqueue(Outcome((own ?? other.Context).Dispose));
                outcomes.Enqueue(Outcome(() => Http.StopServer(other.Context)));
            }
        }

        void Throw(string here)
        {
            if (kind == $"exception of {here}")
            {
                throw new InvalidOperationException("on purpose");
            }
        }

        var callbacks = new Callbacks
        {
            InitContext = context =>
            {
                own = context;
                At(nameof(Callbacks.InitContext));
            },
            ExitContext = _ => At(nameof(Callbacks.ExitContext)),
            InitThread = kind == nameof(Callbacks.InitThread) ? (_, _) => At(nameof(Callbacks.InitThread)) : null,
            ExitThread = kind == nameof(Callbacks.ExitThread) ? (_, _) => At(nameof(Callbacks.ExitThread)) : null,
            InitConnection = _ => At(nameof(Callbacks.InitConnection)),
            BeginRequest = c =>
            {
                At(nameof(Callbacks.BeginRequest));
                Throw("request");
                return 0;
            },
            EndRequest = (_, _) => At(nameof(Callbacks.EndRequest)),
            HttpError = (_, _, _) =>
            {
                At(nameof(Callbacks.HttpError));
                return 1;
            },
            LogMessage = (_, _) =>
            {
                At(nameof(Callbacks.LogMessage));
                return 1;
            },
            LogAccess = (_, _) =>
            {
                At(nameof(Callbacks.LogAccess));
                return 1;
            },
            ConnectionClose = _ => At(nameof(Callbacks.ConnectionClose)),
            ConnectionClosed = _ => At(nameof(Callbacks.ConnectionClosed)),
            UnhandledException = (_, name) => At($"exception of {(name == nameof(Callbacks.BeginRequest) ? "request" : name)}"),
        };
        using var server = new TestServer(callbacks, ("access_control_list", "+127.0.0.1,-127.0.0.9"), ("access_log_file", "/dev/null"));
        int messages = 0;
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            (_, _) =>
            {
                At("connect");
                Throw("connect");
                return 0;
            },
            (_, _) =>
            {
                At("ready");
                Throw("ready");
            },
            (c, bits, data, _) =>
            {
                int count = Interlocked.Increment(ref messages);
                At(count > Warm ? "later data" : "first data");
                if (count > Warm)
                {
                    Throw("data");
                }

                return bits != 1 ? 1 : Http.WriteTextToWebSocket(c, data) >= 0 ? 1 : 0;
            },
            (_, _) =>
            {
                At("close");
                Throw("close");
            });

        RawClient.Exchange(server.Port, "GET /missing HTTP/1.0\r\nHost: localhost\r\n\r\n");
        using (var stranger = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
            // Is logged, by the thread that accepts.
            stranger.Bind(new IPEndPoint(IPAddress.Parse("127.0.0.9"), 0));
            await stranger.ConnectAsync(IPAddress.Loopback, server.Port);
            Assert.That(stranger.Receive(new byte[1]), Is.Zero);
        }

        Http.SetWebSocketHandler(server.Context, "/safe", null, null, (c, bits, data, _) => bits == 1 ? Http.WriteTextToWebSocket(c, data) : 1, null);
        await UseAsync(server, kind);
        if (kind is not (nameof(Callbacks.ExitContext) or nameof(Callbacks.ExitThread)))
        {
            await Eventually.IsTrueAsync(() => outcomes.Count == 3, "the callback has tried");
        }

        Assert.That(server.Context.IsRunning);
        Assert.That(other.Context.IsRunning);
        if (kind is not ("exception of request" or "exception of connect"))
        {
            using ClientWebSocket again = await server.ConnectAsync("/safe");
            await again.SendTextAsync("still here");
            Assert.That(await again.ReceiveTextAsync(), Is.EqualTo("still here"));
        }

        await Task.Run(server.Dispose).WaitAsync(TestServer.Patience);
        Assert.That(string.Join(" ", outcomes), Is.EqualTo("refused refused refused"));
    }

    [TestCaseSource(nameof(HandlerKinds))]
    public async Task Every_handler_is_refused_both_stops(string kind)
    {
        var outcomes = new ConcurrentQueue<string>();
        CivetWebServer? own = null;
        int armed = 1;
        void At(string here)
        {
            if (here == kind && own is not null && Interlocked.Exchange(ref armed, 0) != 0)
            {
                outcomes.Enqueue(Outcome(() => own.StopAsync().Wait(TestServer.Patience)));
                outcomes.Enqueue(Outcome(() => own.DisposeAsync().AsTask().Wait(TestServer.Patience)));
            }
        }

        var log = new ActingLogger(message => At(
            message.StartsWith("GET /page", StringComparison.Ordinal) ? "log of a request"
            : message.StartsWith("WebSocket ", StringComparison.Ordinal) ? "log of a WebSocket"
            : message.StartsWith("Stopped", StringComparison.Ordinal) ? "log of the stop" : ""));
        RunningServer running = await RunningServer.StartAsync(
            server =>
            {
                server.Stopping.Register(() => At("Stopping"));
                server.Use((request, _) => At(request.Path == "/page" ? "Use" : ""));
                server.MapGet("/page", (_, response) =>
                {
                    At("page");
                    response.WriteText("page");
                });
                server.MapError(_ => At("MapError"));
                server.MapWebSocket(
                    "/ws",
                    async context =>
                    {
                        context.Aborted.Register(() => At("WebSocket's Aborted"));
                        At("WebSocket at first");
                        int count = 0;
                        await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync())
                        {
                            At(++count > Warm ? "WebSocket later" : "");
                            await context.WebSocket.SendAsync(message.Data, message.MessageType, true, CancellationToken.None);
                        }
                    },
                    new WebSocketEndpointOptions
                    {
                        OnHandshake = _ =>
                        {
                            At("OnHandshake");
                            return Task.CompletedTask;
                        },
                    });
            },
            options => options.LoggerFactory = log);
        own = running.Server;
        Assert.That(await running.Client.GetStringAsync(running.Uri("/page")), Is.EqualTo("page"));
        Assert.That((int)(await running.Client.GetAsync(running.Uri("/missing"))).StatusCode, Is.EqualTo(404));
        using (ClientWebSocket client = await running.ConnectAsync())
        {
            await EchoAsync(client, Warm + 10);
            await client.CloseNormallyAsync();
        }

        if (kind is not ("Stopping" or "log of the stop"))
        {
            await Eventually.IsTrueAsync(() => outcomes.Count == 2, "the handler has tried");
        }

        using (ClientWebSocket client = await running.ConnectAsync())
        {
            await EchoAsync(client, Warm + 10);
        }

        Assert.That(own.Stopping.IsCancellationRequested, Is.False);
        await running.DisposeAsync().AsTask().WaitAsync(TestServer.Patience);
        Assert.That(string.Join(" ", outcomes), Is.EqualTo("refused refused"));
    }

    [Test]
    public async Task A_server_can_be_started_inside_a_callback_on_any_thread([Values(1, Warm + 10)] int message)
    {
        using var server = new TestServer();
        var started = new ConcurrentQueue<Context>();
        int count = 0;
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            null,
            (c, bits, data, _) =>
            {
                if (Interlocked.Increment(ref count) == message)
                {
                    started.Enqueue(Http.StartServer(inner => Http.Print(inner, "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\ninner") > 0 ? 200 : 500, ["listening_ports", "127.0.0.1:0", "num_threads", "2"]));
                }

                return bits == 1 ? Http.WriteTextToWebSocket(c, data) : 1;
            },
            null);
        using ClientWebSocket client = await server.ConnectAsync();
        await EchoAsync(client, Warm + 20);
        Assert.That(started.TryDequeue(out Context? inner));
        Assert.That(RawClient.Exchange(inner!.Port, "GET / HTTP/1.0\r\n\r\n"), Does.EndWith("inner"));
        inner.Dispose();
        await EchoAsync(client, 1);
    }

    [Test]
    public async Task A_stop_while_the_server_is_starting_stops_it()
    {
        var known = new TaskCompletionSource<Context>();
        using var begun = new ManualResetEventSlim();
        var callbacks = new Callbacks
        {
            InitContext = context =>
            {
                known.SetResult(context);
                begun.Wait(TestServer.Patience); // the start is not over before the stop has been asked for
            },
        };
        Task<Context> start = Task.Run(() => Http.StartServer(callbacks, ["listening_ports", "127.0.0.1:0", "num_threads", "2"]));
        Context early = await known.Task.WaitAsync(TestServer.Patience);
        var stop = new Thread(() => Http.StopServer(early)) { IsBackground = true };
        stop.Start();
        await Eventually.IsTrueAsync(() => stop.ThreadState.HasFlag(ThreadState.WaitSleepJoin) || !stop.IsAlive, "the stop waits, or has done nothing");
        begun.Set();
        Context context = await start.WaitAsync(TestServer.Patience);
        await Task.Run(stop.Join).WaitAsync(TestServer.Patience);
        bool running = context.IsRunning;
        Http.StopServer(context);
        Assert.That(running, Is.False);
    }

    private static async Task UseAsync(TestServer server, string kind)
    {
        try
        {
            using ClientWebSocket client = await server.ConnectAsync();
            await EchoAsync(client, Warm + 10);
            await client.CloseNormallyAsync();
        }
        catch (WebSocketException) when (kind.StartsWith("exception", StringComparison.Ordinal))
        {
            // Closed for the exception.
        }
        catch (InvalidOperationException) when (kind.StartsWith("exception", StringComparison.Ordinal))
        {
            // The same: a Close frame instead of the echo.
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

    private static string Outcome(Action stop)
    {
        try
        {
            stop();
            return "stopped";
        }
        catch (Exception e)
        {
            InvalidOperationException? refusal = (e as AggregateException)?.InnerException as InvalidOperationException ?? e as InvalidOperationException;
            return refusal?.Message.Contains("cannot be stopped", StringComparison.Ordinal) == true ? "refused" : e.ToString();
        }
    }

    /// <summary>A log that does something with each message.</summary>
    private sealed class ActingLogger(Action<string> act) : Microsoft.Extensions.Logging.ILoggerFactory, Microsoft.Extensions.Logging.ILogger
    {
        public Microsoft.Extensions.Logging.ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(Microsoft.Extensions.Logging.ILoggerProvider provider) => throw new NotSupportedException();

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(Microsoft.Extensions.Logging.LogLevel logLevel) => true;

        public void Log<TState>(
            Microsoft.Extensions.Logging.LogLevel logLevel,
            Microsoft.Extensions.Logging.EventId eventId,
            TState state,
            Exception? exception,
            Func<TState, Exception?, string> formatter) => act(formatter(state, exception));

        public void Dispose()
        {
        }
    }
}
