using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Starting: once, wherever, and what is left when it fails.</summary>
[TestFixture]
internal sealed class ListenStartTests
{
    [Test]
    public async Task A_port_in_use_fails_cleanly_and_the_server_can_be_started_later()
    {
        var holder = new TcpListener(IPAddress.Loopback, 0);
        holder.Start();
        int port = ((IPEndPoint)holder.LocalEndpoint).Port;
        await using var server = new CivetWebServer(ListenTests.With("http://127.0.0.1:0", $"http://127.0.0.1:{port}"));
        string[] before = OperatingSystem.IsLinux() ? ProcFs.Descriptors : [];
        for (int i = 0; i < 3; i++)
        {
            SocketException? error = Assert.ThrowsAsync<SocketException>(() => server.StartAsync());
            Assert.That(error!.SocketErrorCode, Is.EqualTo(SocketError.AddressAlreadyInUse));
            Assert.That(error.Message, Does.Contain($"127.0.0.1:{port}"));
            Assert.That((server.EndPoints.Count, server.WebSocketCount), Is.EqualTo((0, 0)));
        }

        if (OperatingSystem.IsLinux())
        {
            Assert.That(ProcFs.Descriptors.Where(IsSocket).Except(before), Is.Empty, "sockets left open");
        }

        holder.Stop();
        await server.StartAsync();
        Assert.That(server.EndPoints[1].Uri.Port, Is.EqualTo(port));
        Assert.That(await ListenTests.AskAsync(server.EndPoints[1].EndPoint), Is.EqualTo(HttpStatusCode.NotFound));
    }

    [Test]
    public async Task Options_are_read_anew_by_the_next_try_but_not_after_a_start()
    {
        CivetWebServerOptions options = ListenTests.With("http://example.org");
        await using var server = new CivetWebServer(options);
        Assert.ThrowsAsync<ArgumentException>(() => server.StartAsync());
        options.Listen[0] = "http://127.0.0.1:0";
        options.MaxConnections = 3;
        await server.StartAsync();
        options.Listen.Clear();
        options.TrustedProxies.Add("127.0.0.1");
        options.DangerousRawOptions["x"] = "y";
        options.MaxConnections = 4;
        Assert.That(
            (server.Options.Listen.Count, server.Options.TrustedProxies.Count, server.Options.DangerousRawOptions.Count, server.Options.MaxConnections),
            Is.EqualTo((1, 0, 0, 3)));
    }

    [Test]
    public void A_failed_server_can_be_disposed_of_twice()
    {
        var server = new CivetWebServer(ListenTests.With("nonsense"));
        Assert.ThrowsAsync<ArgumentException>(() => server.StartAsync());
        Assert.DoesNotThrowAsync(async () =>
        {
            await server.DisposeAsync();
            await server.DisposeAsync();
        });
    }

    [Test]
    public async Task A_server_is_started_once()
    {
        await using var server = new CivetWebServer(ListenTests.With("http://127.0.0.1:0"));
        await server.StartAsync();
        Assert.That(() => server.StartAsync(), Throws.InvalidOperationException.With.Message.Contains("started before"));
        Assert.That(await ListenTests.AskAsync(server.EndPoints[0].EndPoint), Is.EqualTo(HttpStatusCode.NotFound));
        await server.StopAsync();
        Assert.That(() => server.StartAsync(), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public async Task A_start_does_not_hold_up_its_caller_and_a_stop_that_comes_meanwhile_waits_for_it()
    {
        using var slow = new SlowLoggerFactory();
        CivetWebServerOptions options = ListenTests.With("http://127.0.0.1:0");
        options.LoggerFactory = slow;
        await using var server = new CivetWebServer(options);
        Task starting = server.StartAsync();
        Assert.That(starting.IsCompleted, Is.False);
        Assert.That(() => server.StartAsync(), Throws.InvalidOperationException.With.Message.Contains("started before"));
        options.Listen.Clear(); // too late: the start has its own copy
        Task stopping = server.StopAsync();
        Assert.That(server.StopAsync(), Is.SameAs(stopping));
        Assert.That(() => server.StartAsync(), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(stopping.IsCompleted, Is.False);
        slow.Go.Set();
        await starting.WaitAsync(TestServer.Patience);
        await stopping.WaitAsync(TestServer.Patience);
        Assert.That(server.EndPoints, Has.Count.EqualTo(1));
        using var probe = new TcpListener((IPEndPoint)server.EndPoints[0].EndPoint);
        Assert.That(() => probe.Start(), Throws.Nothing, "the port is still bound");
    }

    [Test]
    public async Task A_stop_that_comes_while_a_start_fails_is_no_error()
    {
        using var slow = new SlowLoggerFactory();
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        CivetWebServerOptions options = ListenTests.With($"http://127.0.0.1:{((IPEndPoint)taken.LocalEndpoint).Port}");
        options.LoggerFactory = slow;
        await using var server = new CivetWebServer(options);
        Task starting = server.StartAsync();
        Task stopping = server.StopAsync();
        slow.Go.Set();
        Assert.ThrowsAsync<SocketException>(() => starting.WaitAsync(TestServer.Patience));
        await stopping.WaitAsync(TestServer.Patience);
        Assert.That(() => server.StartAsync(), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public async Task A_server_that_was_never_started_can_be_disposed_of_but_not_started_then()
    {
        var server = new CivetWebServer();
        await server.DisposeAsync();
        Assert.That(() => server.StartAsync(), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public async Task Two_servers_live_in_one_process()
    {
        await using var first = new CivetWebServer(ListenTests.With("http://127.0.0.1:0"));
        await using var second = new CivetWebServer(ListenTests.With("http://127.0.0.1:0"));
        await first.StartAsync();
        await second.StartAsync();
        Assert.That(first.EndPoints[0].EndPoint, Is.Not.EqualTo(second.EndPoints[0].EndPoint));
        await first.StopAsync();
        Assert.That(await ListenTests.AskAsync(second.EndPoints[0].EndPoint), Is.EqualTo(HttpStatusCode.NotFound));
    }

    [Test]
    public async Task A_server_can_be_started_inside_a_handler_of_another()
    {
        var inner = new CivetWebServer(ListenTests.With("http://127.0.0.1:0"));
        try
        {
            using (var outer = new TestServer(new Callbacks
            {
                BeginRequest = connection =>
                {
                    inner.StartAsync().GetAwaiter().GetResult();
                    Http.Print(connection, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
                    return 204;
                },
            }))
            {
                Assert.That(RawClient.Exchange(outer.Port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), Does.StartWith("HTTP/1.1 204 "));
            }

            Assert.That(await ListenTests.AskAsync(inner.EndPoints[0].EndPoint), Is.EqualTo(HttpStatusCode.NotFound), "it outlives the other");
        }
        finally
        {
            await inner.DisposeAsync();
        }
    }

    [Test]
    public async Task A_start_that_is_cancelled_before_it_begins_opens_nothing()
    {
        await using var server = new CivetWebServer(ListenTests.With("http://127.0.0.1:0"));
        Assert.That(() => server.StartAsync(new System.Threading.CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(server.EndPoints, Is.Empty);
    }

    [Test]
    public async Task A_failure_after_the_ports_are_open_closes_them()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("There are no Unix domain sockets of CivetWeb here.");
            return;
        }

        DirectoryInfo directory = ListenTests.CreateSocketDirectory();
        try
        {
            string path = Path.Combine(directory.FullName, "s");
            int port = FreePort.Choose();
            CivetWebServerOptions options = ListenTests.With($"http://127.0.0.1:{port}", $"http://unix:{path}");
            options.UnixSocketMode = UnixFileMode.UserWrite;
            await using var server = new CivetWebServer(options);

            // The socket is there long before the threads are, and its permissions are set after that.
            Task deleting = Task.Run(() =>
            {
                while (!File.Exists(path))
                {
                    Thread.Yield();
                }

                File.Delete(path);
            });
            Assert.That(() => server.StartAsync(), Throws.InstanceOf<IOException>());
            await deleting.WaitAsync(TestServer.Patience);
            Assert.That(server.EndPoints, Is.Empty);
            using var probe = new TcpListener(IPAddress.Loopback, port);
            Assert.That(() => probe.Start(), Throws.Nothing, "the port is still bound");
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    /// <summary>Makes no logger before it is told to.</summary>
    private sealed class SlowLoggerFactory : ILoggerFactory
    {
        public ManualResetEventSlim Go { get; } = new();

        public ILogger CreateLogger(string categoryName)
        {
            Go.Wait(TestServer.Patience);
            return NullLogger.Instance;
        }

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public void Dispose() => Go.Dispose();
    }

    private static bool IsSocket(string descriptor) => descriptor.StartsWith("socket:", StringComparison.Ordinal);
}
