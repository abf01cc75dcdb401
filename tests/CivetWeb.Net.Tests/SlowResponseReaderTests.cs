using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// Clients that read a response slowly, or not at all: <see cref="CivetWebServerOptions.WriteTimeout"/>,
/// <c>request_timeout_ms</c>.
/// </summary>
[TestFixture]
internal sealed class SlowResponseReaderTests
{
    private const int Piece = 64 * 1024;

    private static readonly byte[] Content = [.. Enumerable.Range(0, 12 << 20).Select(i => (byte)(i >> 8 ^ i))];

    private int _finished;
    private int _failed;

    [SetUp]
    public void Forget() => _finished = _failed = 0;

    /// <summary>For several times the time-out: it is one for each wait, not for the whole.</summary>
    [TestCase(Api.Callbacks, false)]
    [TestCase(Api.Callbacks, true)]
    [TestCase(Api.Server, false)]
    [TestCase(Api.Server, true)]
    public async Task A_client_that_reads_slowly_but_steadily_is_served_whole(Api api, bool tls)
    {
        await using IAsyncDisposable server = await StartAsync(api, tls, timeout: 1500, times: 1, out Func<int> port);
        using Reader client = await Reader.ConnectAsync(port(), tls);
        await client.AskAsync("/large");
        Assert.That(await client.ReadHeadAsync(), Does.StartWith("HTTP/1.1 200 "));
        byte[] received = new byte[Content.Length];
        for (int n = 0; n < received.Length; n += Piece)
        {
            await client.ReadAsync(received.AsMemory(n, Piece));
            await Task.Delay(25);
        }

        Assert.That(received.AsSpan().SequenceEqual(Content));
        await Eventually.IsTrueAsync(() => Volatile.Read(ref _finished) == 1, "the handler has sent all");
        Assert.That(_failed, Is.Zero);
    }

    [Test]
    public async Task A_client_that_stops_reading_is_cut_in_time([Values] Api api, [Values] bool tls)
    {
        await using IAsyncDisposable server = await StartAsync(api, tls, timeout: 300, times: int.MaxValue, out Func<int> port);
        using Reader client = await Reader.ConnectAsync(port(), tls);
        await client.AskAsync("/large");
        Assert.That(await client.ReadHeadAsync(), Does.StartWith("HTTP/1.1 200 "));
        await Eventually.IsTrueAsync(() => Volatile.Read(ref _failed) == 1, "the handler's write has failed");
        if (server is RunningServer running)
        {
            await Eventually.IsTrueAsync(
                () => running.Log.Entries.Any(e => e.Event.Id == 13 && e.Message.Contains("GET /large", StringComparison.Ordinal)), "it is logged");
        }

        await client.ReadToEndAsync(); // its connection is over
    }

    [Test]
    public async Task Other_clients_do_not_wait_for_those_that_do_not_read([Values] Api api, [Values] bool tls)
    {
        const int Idlers = 20;
        var idlers = new List<Reader>();
        await using IAsyncDisposable server = await StartAsync(api, tls, timeout: (int)TestServer.Patience.TotalMilliseconds, times: int.MaxValue, out Func<int> port);
        try
        {
            for (int i = 0; i < Idlers; i++)
            {
                Reader idler = await Reader.ConnectAsync(port(), tls);
                idlers.Add(idler);
                await idler.AskAsync("/large");
                await idler.ReadHeadAsync();
            }

            using Reader client = await Reader.ConnectAsync(port(), tls);
            for (int i = 0; i < 20; i++)
            {
                await client.AskAsync("/small");
                Assert.That(await client.ReadHeadAsync(), Does.StartWith("HTTP/1.1 200 "));
                await client.ReadAsync(new byte[5]);
            }

            Assert.That(_finished + _failed, Is.Zero, "all of them still wait");
        }
        finally
        {
            idlers.ForEach(idler => idler.Dispose());
        }

        await Eventually.IsTrueAsync(() => Volatile.Read(ref _failed) == Idlers, "they have gone");
    }

    /// <param name="api">Which.</param>
    /// <param name="tls">Whether on https.</param>
    /// <param name="timeout">For a write, in milliseconds.</param>
    /// <param name="times">How often /large sends the content.</param>
    /// <param name="port">Where it listens.</param>
    private Task<IAsyncDisposable> StartAsync(Api api, bool tls, int timeout, int times, out Func<int> port)
    {
        if (api == Api.Callbacks)
        {
            var server = new CallbackServer(tls, timeout, connection => Answer(connection, times));
            port = () => server.Port;
            return Task.FromResult<IAsyncDisposable>(server);
        }

        RunningServer? running = null;
        port = () => running!.Port;
        return StartServerAsync();

        async Task<IAsyncDisposable> StartServerAsync() => running = await RunningServer.StartAsync(
            server =>
            {
                server.MapGet("/small", (_, response) => response.WriteText("small"));
                server.MapGet("/large", (_, response) =>
                {
                    response.ContentLength = (long)Content.Length * times;
                    Send(() =>
                    {
                        response.Write(Content);
                        return true;
                    }, times);
                });
            },
            options =>
            {
                options.WriteTimeout = TimeSpan.FromMilliseconds(timeout);
                options.Listen.Add(tls ? "https://127.0.0.1:0" : "http://127.0.0.1:0");
                if (tls)
                {
                    options.Tls = new TlsOptions { CertificatePath = CallbackServer.Certificate, KeyPath = CallbackServer.Certificate };
                }
            });
    }

    private int Answer(Connection connection, int times)
    {
        if (Http.GetRequestInfo(connection).LocalUri == "/small")
        {
            Http.Print(connection, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall");
            return 200;
        }

        Http.Print(connection, $"HTTP/1.1 200 OK\r\nContent-Length: {(long)Content.Length * times}\r\n\r\n");
        try
        {
            Send(() => Http.Write(connection, Content) == Content.Length, times);
        }
        catch (IOException)
        {
            // counted
        }

        return 200;
    }

    private void Send(Func<bool> write, int times)
    {
        try
        {
            for (int n = 0; n < times; n++)
            {
                if (!write())
                {
                    throw new IOException("The write has failed.");
                }
            }

            Interlocked.Increment(ref _finished);
        }
        catch (IOException)
        {
            Interlocked.Increment(ref _failed);
            throw;
        }
    }

    /// <summary>The callback API's.</summary>
    private sealed class CallbackServer(bool tls, int timeout, RequestCallback answer) : IAsyncDisposable
    {
        private readonly TestServer _server = new(
            new Callbacks { BeginRequest = answer },
            [
                ("listening_ports", tls ? "127.0.0.1:0s" : "127.0.0.1:0"), ("request_timeout_ms", $"{timeout}"), ("enable_keep_alive", "yes"),
                .. tls ? [("ssl_certificate", Certificate)] : Array.Empty<(string, string)>(),
            ]);

        public static string Certificate { get; } = HazardTests.CreateCertificate();

        public int Port => _server.Port;

        public ValueTask DisposeAsync()
        {
            _server.Dispose();
            return ValueTask.CompletedTask;
        }
    }

    /// <summary>A client whose system buffers little for it.</summary>
    private sealed class Reader : IDisposable
    {
        private readonly TcpClient _tcp = new() { ReceiveBufferSize = Piece };
        private readonly CancellationTokenSource _timeout = new(2 * TestServer.Patience);
        private Stream _stream = Stream.Null;

        public static async Task<Reader> ConnectAsync(int port, bool tls)
        {
            var reader = new Reader();
            await reader._tcp.ConnectAsync(IPAddress.Loopback, port, reader._timeout.Token);
            reader._stream = reader._tcp.GetStream();
            if (tls)
            {
                var stream = new SslStream(reader._stream, false, (_, _, _, _) => true);
                reader._stream = stream;
                await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "localhost" }, reader._timeout.Token);
            }

            return reader;
        }

        public ValueTask AskAsync(string path) => _stream.WriteAsync(Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"), _timeout.Token);

        public async Task<string> ReadHeadAsync()
        {
            var head = new StringBuilder();
            byte[] one = new byte[1];
            while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
            {
                await ReadAsync(one);
                head.Append((char)one[0]);
            }

            return head.ToString();
        }

        public ValueTask ReadAsync(Memory<byte> buffer) => _stream.ReadExactlyAsync(buffer, _timeout.Token);

        /// <summary>Reads whatever comes until the connection ends, be it in order or with a reset.</summary>
        public async Task ReadToEndAsync()
        {
            byte[] buffer = new byte[Piece];
            try
            {
                while (await _stream.ReadAsync(buffer, _timeout.Token) > 0)
                {
                }
            }
            catch (IOException)
            {
                // a reset
            }
        }

        public void Dispose()
        {
            _stream.Dispose();
            _tcp.Dispose();
            _timeout.Dispose();
        }
    }
}
