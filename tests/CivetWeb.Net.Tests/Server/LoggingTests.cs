using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>What a server logs, that nobody can forge it, and that nothing else is written anywhere.</summary>
[TestFixture]
internal sealed class LoggingTests
{
    [Test]
    public async Task Starting_and_stopping_are_logged()
    {
        RunningServer server = await RunningServer.StartAsync(_ => { }, options =>
        {
            options.Listen.Add("http://127.0.0.1:0");
            options.Listen.Add("http://0.0.0.0:0");
        });
        string[] uris = [.. server.Server.EndPoints.Select(endPoint => endPoint.Uri.ToString())];
        await server.DisposeAsync();
        Assert.That(
            server.Log.Entries.Select(entry => (entry.Level, entry.Event.Id, entry.Event.Name)),
            Is.EqualTo(((LogLevel, int, string)[])
            [
                (LogLevel.Information, 1, "Listening"), (LogLevel.Information, 1, "Listening"),
                (LogLevel.Information, 2, "Stopping"), (LogLevel.Information, 3, "Stopped"),
            ]));
        Assert.That(server.Log.Entries.Take(2).Select(entry => entry.Message), Is.EqualTo(uris.Select(uri => $"Listening on {uri}.")));
    }

    [Test]
    public void CivetWebs_messages_are_logged()
    {
        using var holder = new TcpListener(IPAddress.Loopback, 0);
        holder.Start();
        var log = new LogCollector();
        CivetWebServerOptions options = ListenTests.With($"http://{holder.LocalEndpoint}");
        options.LoggerFactory = log;
        Assert.ThrowsAsync<SocketException>(() => new CivetWebServer(options).StartAsync());
        Assert.That(
            log.Entries.Select(entry => (entry.Level, entry.Event.Id, entry.Message.Contains($"cannot bind to {holder.LocalEndpoint}", StringComparison.Ordinal))),
            Has.Member((LogLevel.Warning, 5, true)));
        Assert.That(log.Entries.Select(entry => entry.Event.Id), Has.None.EqualTo(1), "it never listened");
    }

    [Test]
    public async Task A_request_is_logged_when_it_is_answered()
    {
        await using RunningServer server = await RunningServer.StartAsync(_ => { });
        RawClient.Exchange(server.Port, "GET /a%E2%80%AE%C2%85?secret HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        (LogLevel level, _, string message, _) = await EntryAsync(server.Log, 10);
        Assert.That(level, Is.EqualTo(LogLevel.Debug));
        Assert.That(message, Does.StartWith("GET /a\\u202E\\u0085 from 127.0.0.1: 404 in "));
    }

    [Test]
    public async Task A_redirect_is_logged_as_a_request()
    {
        using var certificate = new ServerCertificate();
        await using RunningServer server = await RunningServer.StartAsync(_ => { }, options =>
        {
            options.Listen.Add("https://127.0.0.1:0");
            options.RedirectToHttps.Add("http://127.0.0.1:0");
            options.DangerousRawOptions["ssl_certificate"] = certificate.Path;
        });
        RawClient.Exchange(server.Server.EndPoints[1].Uri.Port, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.That((await EntryAsync(server.Log, 10)).Message, Does.StartWith("GET /a from 127.0.0.1: 308 in "));
    }

    [Test]
    [Logs(6)]
    public async Task An_exception_is_logged_where_it_is_reported()
    {
        await using RunningServer server = await RunningServer.StartAsync(_ => { });
        var exception = new InvalidOperationException("expected");
        server.Server.ReportException(exception, "a test");
        (LogLevel level, _, string message, Exception? logged) = await EntryAsync(server.Log, 6);
        Assert.That((level, message), Is.EqualTo((LogLevel.Error, "An exception has left a test.")));
        Assert.That(logged, Is.SameAs(exception));
    }

    [Test]
    public async Task A_logger_that_throws_harms_nobody()
    {
        using var log = new ThrowingLog();
        CivetWebServerOptions options = ListenTests.With("http://127.0.0.1:0");
        options.LoggerFactory = log;
        await using var server = new CivetWebServer(options);
        await server.StartAsync();
        Assert.That(await ListenTests.AskAsync(server.EndPoints[0].EndPoint), Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(() => server.ReportException(new InvalidOperationException("expected"), "a test"), Throws.Nothing);
        await server.StopAsync();
        Assert.That(log.Calls, Is.GreaterThanOrEqualTo(4));
    }

    [TestCase("plain ünïcode 日本 😀", "plain ünïcode 日本 😀")]
    [TestCase("a\r\nb\tc\0d", "a\\r\\nb\\tc\\u0000d")]
    [TestCase("\u001b[31m\u007f\u009b", "\\u001B[31m\\u007F\\u009B")]
    [TestCase("\u2028\u2029\u202e\u200b\ufeff", "\\u2028\\u2029\\u202E\\u200B\\uFEFF")]
    [TestCase("\\n", "\\\\n")]
    [TestCase("", "")]
    [TestCase(null, "")]
    public void Text_of_clients_cannot_forge_lines(string? text, string expected) => Assert.That(new ServerLogText(text).ToString(), Is.EqualTo(expected));

    [Test]
    public void Half_a_character_is_escaped()
    {
        // Not as test cases: attributes are kept as UTF-8, which has no halves.
        Assert.That(new ServerLogText("x\n😀\ud83d").ToString(), Is.EqualTo("x\\n😀\\uD83D"));
        Assert.That(new ServerLogText("\ude00😀").ToString(), Is.EqualTo("\\uDE00😀"));
    }

    [Test]
    public void Text_of_clients_is_not_endless()
    {
        Assert.That(new ServerLogText(new string('x', 1024)).ToString(), Is.EqualTo(new string('x', 1024)));
        Assert.That(new ServerLogText(new string('x', 1025)).ToString(), Is.EqualTo(new string('x', 1024) + "…"));
        Assert.That(new ServerLogText(new string('\n', 100_000)).ToString(), Has.Length.LessThan(1100));
    }

    [Test]
    public void Every_event_is_documented_and_no_other()
    {
        (string, int, LogLevel)[] events =
        [
            .. typeof(ServerLog).GetMethods(BindingFlags.Static | BindingFlags.Public)
                .Select(method => (method.Name, Event: method.GetCustomAttribute<LoggerMessageAttribute>()))
                .Where(method => method.Event is not null)
                .Select(method => (method.Name, method.Event!.EventId, method.Event.Level)),
        ];
        IEnumerable<(string, int, LogLevel)> rows = File.ReadLines(Path.Combine(Repository.Root, "docs", "logging.md"))
            .Where(line => line.StartsWith("| `", StringComparison.Ordinal))
            .Select(line => line.Trim('|').Split('|', StringSplitOptions.TrimEntries))
            .Select(cells => (cells[0].Trim('`'), int.Parse(cells[1], System.Globalization.CultureInfo.InvariantCulture), Enum.Parse<LogLevel>(cells[2])));
        Assert.That(events, Is.Not.Empty);
        Assert.That(rows, Is.EquivalentTo(events));
        Assert.That(events.Select(e => e.Item2), Is.Unique);
        Assert.That(File.ReadAllText(Path.Combine(Repository.Root, "docs", "logging.md")), Does.Contain(ServerLog.Category));
    }

    [Test]
    public async Task Nothing_is_written_to_the_console()
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("File descriptors are swapped with Linux's libc.");
        }

        string file = Path.Combine(Path.GetTempPath(), $"civetweb-net-{Guid.NewGuid():N}.out");
        byte[] path = Encoding.UTF8.GetBytes(file + "\0");
        int target = Creat(path, 0x180);
        Assert.That(target, Is.Not.Negative);
        (int output, int errors) = (Dup(1), Dup(2));
        try
        {
            _ = FFlush(0);
            _ = Dup2(target, 1);
            _ = Dup2(target, 2);
            _ = Puts("control"u8.ToArray().Append((byte)0).ToArray());
            await MakeNoiseAsync();
            _ = FFlush(0);
        }
        finally
        {
            _ = Dup2(output, 1);
            _ = Dup2(errors, 2);
            foreach (int descriptor in (int[])[target, output, errors])
            {
                _ = Close(descriptor);
            }
        }

        string written = await File.ReadAllTextAsync(file);
        File.Delete(file);
        Assert.That(written, Is.EqualTo("control\n"));
    }

    /// <summary>All that would make CivetWeb or the library speak, without a LoggerFactory.</summary>
    private static async Task MakeNoiseAsync()
    {
        using var certificate = new ServerCertificate();
        CivetWebServerOptions options = ListenTests.With("http://127.0.0.1:0", "https://127.0.0.1:0");
        options.DangerousRawOptions["ssl_certificate"] = certificate.Path;
        options.RequestHeadersTimeout = TimeSpan.FromMilliseconds(300);
        await using var server = new CivetWebServer(options);
        await server.StartAsync();
        int port = server.EndPoints[0].Uri.Port;
        foreach (string request in (string[])["nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\n" + new string('x', 20000), "GET", RawClient.UpgradeRequest("/none")])
        {
            using var client = new RawClient(port);
            client.Send(request);
            client.Socket.Shutdown(SocketShutdown.Send);
            client.ReadToEnd();
        }

        RawClient.ExchangeUnchecked(server.EndPoints[1].Uri.Port, "GET / HTTP/1.1\r\nHost: no TLS here\r\n\r\n");
        server.ReportException(new InvalidOperationException("expected"), "a test");
        Assert.ThrowsAsync<SocketException>(() => new CivetWebServer(ListenTests.With($"http://127.0.0.1:{port}")).StartAsync());
    }

    private static async Task<(LogLevel Level, EventId Event, string Message, Exception? Exception)> EntryAsync(LogCollector log, int id)
    {
        await Eventually.IsTrueAsync(() => log.Entries.Any(entry => entry.Event.Id == id), $"event {id} is logged");
        return log.Entries.First(entry => entry.Event.Id == id);
    }

    [DllImport("libc", EntryPoint = "creat")]
    private static extern int Creat(byte[] path, int mode);

    [DllImport("libc", EntryPoint = "dup")]
    private static extern int Dup(int descriptor);

    [DllImport("libc", EntryPoint = "dup2")]
    private static extern int Dup2(int from, int to);

    [DllImport("libc", EntryPoint = "close")]
    private static extern int Close(int descriptor);

    [DllImport("libc", EntryPoint = "puts")]
    private static extern int Puts(byte[] text);

    [DllImport("libc", EntryPoint = "fflush")]
    private static extern int FFlush(nint stream);

    private sealed class ThrowingLog : ILoggerFactory, ILogger
    {
        private int _calls;

        public int Calls => _calls;

        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            System.Threading.Interlocked.Increment(ref _calls);
            throw new IOException("The disk is full.");
        }

        public void Dispose()
        {
        }
    }
}
