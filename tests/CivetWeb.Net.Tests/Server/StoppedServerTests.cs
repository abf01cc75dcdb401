using System;
using System.Net.WebSockets;
using System.Runtime.CompilerServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>What a stop waits for, and what it leaves.</summary>
[TestFixture]
internal sealed class StoppedServerTests
{
    [Test]
    public async Task A_stop_that_begins_while_OnHandshake_runs_is_a_503_without_a_handler([Values] bool isDoneFirst)
    {
        int handlers = 0;
        var begun = new TaskCompletionSource();
        using var stopping = new ManualResetEventSlim();
        RunningServer server = await RunningServer.StartAsync(
            server => server.MapWebSocket(
                "/ws",
                _ =>
                {
                    Interlocked.Increment(ref handlers);
                    return Task.CompletedTask;
                },
                new WebSocketEndpointOptions
                {
                    HandshakeTimeout = TestServer.Patience,
                    OnHandshake = handshake =>
                    {
                        // Ignores its token: on its thread to the end, or by a task that nobody ends.
                        begun.SetResult();
                        Assert.That(stopping.Wait(TestServer.Patience));
                        return isDoneFirst ? Task.CompletedTask : new TaskCompletionSource().Task;
                    },
                }));
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest());
        await begun.Task.WaitAsync(TestServer.Patience);
        Task stopped = server.DisposeAsync().AsTask();
        await Eventually.IsTrueAsync(() => server.Server.Stopping.IsCancellationRequested, "it stops");
        stopping.Set();
        Assert.That(Encoding.UTF8.GetString(client.ReadToEnd()), Does.StartWith("HTTP/1.1 503 "));
        await stopped.WaitAsync(TestServer.Patience);
        Assert.That(handlers, Is.Zero);
    }

    /// <summary>Not only when the time for it is over.</summary>
    [Test]
    public async Task A_stop_is_over_when_the_last_client_has_closed([Values] bool serverApi)
    {
        var options = TimeSpan.FromDays(1);
        TestServer? callbacks = serverApi ? null : new TestServer();
        callbacks?.MapEcho();
        RunningServer? server = serverApi
            ? await RunningServer.StartAsync(s => s.MapWebSocket("/ws", c => WebSocketExtensions.ReceiveMessageAsync(c.WebSocket)), o => o.ShutdownTimeout = options)
            : null;
        using ClientWebSocket client = serverApi ? await server!.ConnectAsync() : await callbacks!.ConnectAsync();
        Task stopped = serverApi ? server!.DisposeAsync().AsTask() : Task.Run(() => Http.StopServer(callbacks!.Context, options));
        Assert.That((await client.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
        Assert.That((int?)client.CloseStatus, Is.EqualTo(1001));
        await client.CloseOutputAsync(WebSocketCloseStatus.EndpointUnavailable, null, CancellationToken.None);
        await stopped.WaitAsync(TestServer.Patience);
        callbacks?.Dispose();
    }

    /// <summary>Its client is there still, and waits for the answer.</summary>
    [Test]
    public async Task A_handler_that_outlasts_the_stop_is_told_by_Aborted([Values] bool handshake)
    {
        var begun = new TaskCompletionSource();
        bool told = false;

        async Task HandleAsync(CancellationToken aborted)
        {
            begun.SetResult();
            try
            {
                await Task.Delay(Timeout.Infinite, aborted);
            }
            catch (OperationCanceledException)
            {
                Volatile.Write(ref told, true);
            }
        }

        RunningServer server = await RunningServer.StartAsync(
            server =>
            {
                server.MapGet("/", (request, _) => HandleAsync(request.Aborted));
                server.MapWebSocket("/ws", _ => Task.CompletedTask, new() { HandshakeTimeout = TestServer.Patience, OnHandshake = h => HandleAsync(h.Request.Aborted) });
            },
            options => options.ShutdownTimeout = TimeSpan.FromMilliseconds(50));
        using var client = new RawClient(server.Port);
        client.Send(handshake ? RawClient.UpgradeRequest() : "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        await begun.Task.WaitAsync(TestServer.Patience);
        await server.DisposeAsync().AsTask().WaitAsync(TestServer.Patience);
        Assert.That(Volatile.Read(ref told), "it was told before it was left behind");
    }

    [Test]
    public async Task A_stopped_server_can_be_collected([Values] bool serverApi)
    {
        WeakReference server = serverApi ? await Task.Run(UseServerApi) : await Task.Run(UseCallbackApi);
        await Eventually.IsTrueAsync(
            () =>
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
                return !server.IsAlive;
            },
            "the stopped server to be collected");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference UseServerApi()
    {
        var options = new CivetWebServerOptions();
        options.Listen.Add("http://127.0.0.1:0");
        var server = new CivetWebServer(options);
        server.MapGet("/", (request, response) => response.WriteText(request.Aborted.CanBeCanceled ? "yes" : "no"));
        server.MapWebSocket("/ws", context => Task.Delay(Timeout.Infinite, context.Aborted));
        server.StartAsync().Wait();
        Assert.That(RawClient.Exchange(server.EndPoints[0].Uri.Port, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"), Does.EndWith("yes"));
        using (RawClient.Open(server.EndPoints[0].Uri.Port))
        {
            server.StopAsync().Wait();
        }

        return new WeakReference(server);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference UseCallbackApi()
    {
        using var server = new TestServer();
        server.MapEcho();
        using (RawClient client = RawClient.Open(server.Port))
        {
            client.SendFrame(0x81, "x"u8);
            client.ReadFrame();
            Http.StopServer(server.Context, TimeSpan.FromMilliseconds(100));
        }

        return new WeakReference(server.Context);
    }

    [Test]
    public async Task Each_connection_is_closed_once_also_with_a_failed_TLS_handshake_in_between()
    {
        using var certificates = new TestCertificates();
        string file = certificates.Write("both.pem", TestCertificates.Pem(certificates.Server, certificates.Issuer) + TestCertificates.KeyPem(certificates.Server));
        int opened = 0, close = 0, closed = 0;
        using (var server = new TestServer(
            new Callbacks
            {
                InitConnection = _ => Interlocked.Increment(ref opened),
                ConnectionClose = _ => Interlocked.Increment(ref close),
                ConnectionClosed = _ => Interlocked.Increment(ref closed),
                BeginRequest = c => Http.Print(c, "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nx") > 0 ? 200 : 500,
            },
            ("listening_ports", "127.0.0.1:0s"),
            ("ssl_certificate", file),
            ("num_threads", "1"))) // so that what one connection leaves is there for the next
        {
            for (int i = 0; i < 3; i++)
            {
                using (TlsClient client = await TlsClient.ConnectAsync(server.Port))
                {
                }

                Assert.That(RawClient.Exchange(server.Port, "this is no TLS\r\n\r\n"), Does.Not.Contain("200"));
            }
        }

        Assert.That((opened, close, closed), Is.EqualTo((3, 3, 3)));
    }
}
