using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// The EchoServer's page in Debian's chromium. Each test is a scenario of tests/clients/browser.mjs, which tells what it saw
/// in lines. Where the page needs another server than the EchoServer it comes from one of this process.
/// </summary>
[TestFixture]
internal sealed class BrowserTests
{
    private static readonly TimeSpan BrowserPatience = 2 * TestServer.Patience;

    [OneTimeSetUp]
    public void FindBrowser() => Find();

    /// <summary>Skips the test without a browser.</summary>
    public static void Find()
    {
        if (!EchoServerProcess.TryRun("node", "--version"))
        {
            Repository.Missing("Node.js is missing (Debian, Ubuntu: apt-get install nodejs npm)");
        }

        if (!File.Exists(Path.Combine(Repository.Root, "tests", "clients", "node_modules", "playwright-core", "package.json")))
        {
            Repository.Missing("the npm package playwright-core is missing (run tests/clients/install.sh)");
        }

        string chromium = Environment.GetEnvironmentVariable("CHROMIUM") ?? "/usr/bin/chromium";
        if (!File.Exists(chromium))
        {
            Repository.Missing($"{chromium} is missing (Debian: apt-get install chromium)");
        }
    }

    [Test]
    public async Task The_page_echoes_text_binary_emoji_and_1_MiB()
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync();
        using Browser browser = Start("echo", server.PageUri);
        Assert.That(
            await browser.FinishAsync(),
            Is.EqualTo((string[])["welcome", "echoed 4 texts", "echoed 5 binaries", "round trip", "closed 1000"]));
        await Eventually.IsTrueAsync(() => server.Lines.Contains("WebSocket client disconnected"), "the server sees the end");
        Assert.That(server.Errors, Is.Empty);
    }

    [Test]
    public async Task ArrayBuffer_view_and_Blob_come_back_byte_by_byte()
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync("--quiet");
        using Browser browser = Start("raw", server.PageUri);
        Assert.That(await browser.FinishAsync(), Is.EqualTo((string[])["binaries", "texts", "closed 4000 true"]));
    }

    [Test]
    public async Task The_page_is_told_when_the_server_stops()
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync();
        using Browser browser = Start("wait", server.PageUri);
        await browser.SaysAsync("welcome");
        server.Signal("TERM");
        Assert.That(await browser.FinishAsync(), Is.EqualTo((string[])["welcome", "closed 1001 going away"]));
        await server.WaitForExitAsync();
        Assert.That(server.ExitCode, Is.Zero);
    }

    [Test]
    public async Task The_page_closes_with_the_codes_it_may()
    {
        using TestServer server = ServePage();
        EchoCounts counts = MapEcho(server);
        using Browser browser = Start("codes", Page(server));
        Assert.That(
            await browser.FinishAsync(),
            Is.EqualTo((string[])["closed 1000", "closed 3000", "closed 4999", "5 refused by the page"]));
        await AllClosedAsync(counts, 4);
    }

    [Test]
    public async Task A_message_over_the_limit_is_1009()
    {
        using TestServer server = ServePage(("websocket_max_message_size", "65536"));
        EchoCounts counts = MapEcho(server);
        using Browser browser = Start("large", Page(server), "65536");
        Assert.That(await browser.FinishAsync(), Is.EqualTo((string[])["echoed", "closed 1009"]));
        await AllClosedAsync(counts, 1);
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task A_page_of_another_origin_gets_in_only_if_it_is_allowed(bool allowed)
    {
        using TestServer other = ServePage();
        MapEcho(other);
        string origins = allowed ? $"https://example.org, http://127.0.0.1:{other.Port}" : "https://example.org";
        using TestServer server = ServePage(("websocket_allowed_origins", origins));
        EchoCounts counts = MapEcho(server);
        using Browser browser = Start("origin", Page(other), server.Uri("/websocket").ToString());
        Assert.That(await browser.FinishAsync(), Is.EqualTo((string[])[allowed ? "connected" : "closed 1006"]));
        await AllClosedAsync(counts, allowed ? 1 : 0);
    }

    [Test]
    public async Task A_subprotocol_the_server_does_not_speak_fails()
    {
        using TestServer server = ServePage();
        EchoCounts counts = MapEcho(server, "echo.v1", "echo.v2");
        using Browser browser = Start("subprotocols", Page(server));
        Assert.That(
            await browser.FinishAsync(),
            Is.EqualTo((string[])
            [
                "echo.v1: connected, subprotocol echo.v1",
                "echo.v2: connected, subprotocol echo.v2",
                "echo.v2, echo.v1: connected, subprotocol echo.v2",
                "unheard.of: closed 1006",
            ]));
        await AllClosedAsync(counts, counts.Connects);
    }

    [Test]
    public async Task Reloading_the_page_ends_its_connection_and_opens_another()
    {
        using TestServer server = ServePage();
        EchoCounts counts = MapEcho(server);
        using Browser browser = Start("reload", Page(server));
        Assert.That(await browser.FinishAsync(), Is.EqualTo((string[])["reloaded 5 times"]));
        await AllClosedAsync(counts, 6);
    }

    [Test]
    public async Task Ten_tabs_at_once_each_get_their_own()
    {
        using TestServer server = ServePage(("num_threads", "32"));
        EchoCounts counts = MapEcho(server);
        using Browser browser = Start("tabs", Page(server));
        Assert.That(await browser.FinishAsync(), Is.EqualTo((string[])["10 tabs, 500 messages"]));
        await AllClosedAsync(counts, 10);
    }

    [Test]
    public async Task The_page_reconnects_when_the_server_is_back()
    {
        Browser? browser = null;
        try
        {
            int port;
            using (TestServer server = ServePage())
            {
                port = server.Port;
                MapEcho(server);
                browser = Start("reconnect", Page(server));
                await browser.SaysAsync("welcome");
            }

            await browser.SaysAsync("closed 1001, then 1006");
            using TestServer again = ServePage(("listening_ports", $"127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}"));
            MapEcho(again);
            Assert.That(
                await browser.FinishAsync(),
                Is.EqualTo((string[])["welcome", "closed 1001, then 1006", "welcome again", "closed 1000"]));
        }
        finally
        {
            browser?.Dispose();
        }
    }

    [Test]
    public async Task Messages_are_text_the_log_is_limited_and_the_keyboard_does()
    {
        using TestServer server = ServePage();
        EchoCounts counts = MapEcho(server);
        using Browser browser = Start("behaviour", Page(server));
        Assert.That(
            await browser.FinishAsync(),
            Is.EqualTo((string[])["messages are text", "the log is limited and follows", "keyboard"]));
        await AllClosedAsync(counts, 1);
    }

    [Test]
    public async Task Screenshots_of_desktop_and_phone_light_and_dark()
    {
        string folder = Path.Combine(Repository.Root, "artifacts", "screenshots");
        using TestServer server = ServePage();
        MapEcho(server, "echo.v1", "echo.v2");
        using Browser browser = Start("screenshots", Page(server), folder);
        Assert.That(
            await browser.FinishAsync(),
            Is.EqualTo((string[])["desktop light", "desktop dark", "phone light", "phone dark"]));
        foreach (string name in (string[])["desktop-light", "desktop-dark", "phone-light", "phone-dark"])
        {
            var file = new FileInfo(Path.Combine(folder, name + ".png"));
            Assert.That(file.Exists && file.Length > 10_000, $"{file} is a picture");
            TestContext.AddTestAttachment(file.FullName);
        }
    }

    private static Uri Page(TestServer server) => new($"http://127.0.0.1:{server.Port}/");

    /// <summary>A server with the EchoServer's page at its root.</summary>
    private static TestServer ServePage(params (string Name, string Value)[] options)
    {
        byte[] page = File.ReadAllBytes(Path.Combine(Repository.Root, "src", "EchoServer", "index.html"));
        byte[] head = Encoding.ASCII.GetBytes(
            $"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {page.Length}\r\nConnection: close\r\n\r\n");
        byte[] response = [.. head, .. page];
        return new TestServer(
            new Callbacks
            {
                BeginRequest = connection =>
                {
                    if (Http.GetRequestInfo(connection).LocalUri != "/")
                    {
                        return 0;
                    }

                    Http.Write(connection, response);
                    return 200;
                },
            },
            options);
    }

    /// <summary>The EchoServer's WebSocket: a greeting, then an echo.</summary>
    private static EchoCounts MapEcho(TestServer server, params string[] subprotocols)
    {
        var counts = new EchoCounts();
        Http.SetWebSocketHandlerWithSubprotocols(
            server.Context,
            "/websocket",
            subprotocols,
            (_, _) =>
            {
                Interlocked.Increment(ref counts.Connects);
                return 0;
            },
            (connection, _) =>
            {
                Interlocked.Increment(ref counts.Readies);
                Http.WriteTextToWebSocket(connection, "Welcome!"u8);
            },
            (connection, bits, data, _) =>
            {
                Interlocked.Increment(ref counts.Frames);
                return bits is 1 or 2 && Http.WriteToWebSocket(connection, bits, data) != data.Length ? 0 : 1;
            },
            (_, _) => Interlocked.Increment(ref counts.Closes));
        return counts;
    }

    /// <summary>So many connections there were, and each was closed once.</summary>
    private static async Task AllClosedAsync(EchoCounts counts, int connections)
    {
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) >= connections, $"{connections} connections are closed");
        Assert.That((counts.Connects, counts.Closes), Is.EqualTo((connections, connections)));
    }

    private static Browser Start(string scenario, Uri page, params string[] arguments) =>
        new(["node", Path.Combine(Repository.Root, "tests", "clients", "browser.mjs"), scenario, page.ToString(), .. arguments]);

    /// <summary>A run of browser.mjs.</summary>
    private sealed class Browser(string[] command) : IDisposable
    {
        private readonly LineProcess _process = new(command);

        /// <summary>Waits for a line.</summary>
        public async Task SaysAsync(string line)
        {
            await Eventually.IsTrueAsync(() => _process.Lines.Contains(line) || _process.HasExited, $"the browser says '{line}'");
            if (!_process.Lines.Contains(line))
            {
                await FinishAsync();
                Assert.Fail($"The browser has ended without '{line}'.");
            }
        }

        /// <summary>What it saw; the test fails when it was not as it should be.</summary>
        public Task<string[]> FinishAsync() => _process.FinishAsync(BrowserPatience);

        public void Dispose() => _process.Dispose();
    }
}
