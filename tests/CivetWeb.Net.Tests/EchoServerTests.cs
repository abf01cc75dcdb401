using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The console server, from outside: its command line, its output, its signals.</summary>
[TestFixture]
internal sealed class EchoServerTests
{
    [Test]
    public async Task Help_tells_the_arguments([Values("--help", "-h")] string argument)
    {
        using EchoServerProcess server = await EchoServerProcess.RunAsync(argument);
        Assert.Multiple(() =>
        {
            Assert.That(server.ExitCode, Is.Zero);
            Assert.That(server.Lines[0], Does.StartWith("Usage: EchoServer "));
            Assert.That(string.Join('\n', server.Lines), Does.Contain("--port").And.Contain("--host").And.Contain("--quiet"));
            Assert.That(server.Errors, Is.Empty);
        });
    }

    [TestCase("'--prot'", "--prot", "8080")]
    [TestCase("--port", "--port")]
    [TestCase("'abc'", "--port", "abc")]
    [TestCase("'65536'", "--port", "65536")]
    [TestCase("'-1'", "--port", "-1")]
    [TestCase("--host", "--host")]
    public async Task A_bad_argument_is_one_line_that_names_it(string named, params string[] arguments)
    {
        using EchoServerProcess server = await EchoServerProcess.RunAsync(arguments);
        Assert.Multiple(() =>
        {
            Assert.That(server.ExitCode, Is.EqualTo(2));
            Assert.That(server.Errors, Has.Length.EqualTo(1));
            Assert.That(server.Errors, Has.All.Contains(named));
            Assert.That(server.Lines, Is.Empty);
        });
    }

    [Test]
    public async Task A_busy_port_is_one_line_that_says_so()
    {
        using var occupant = new TcpListener(IPAddress.Loopback, 0);
        occupant.Start();
        int port = ((IPEndPoint)occupant.LocalEndpoint).Port;
        using EchoServerProcess server = await EchoServerProcess.RunAsync("--port", port.ToString(CultureInfo.InvariantCulture));
        Assert.Multiple(() =>
        {
            Assert.That(server.ExitCode, Is.EqualTo(1));
            Assert.That(server.Errors, Has.Length.EqualTo(1));
            Assert.That(server.Errors, Has.All.Contains("in use").And.All.Contains(port.ToString(CultureInfo.InvariantCulture)));
            Assert.That(server.Lines, Is.Empty);
        });
    }

    [Test]
    public async Task A_host_that_is_none_is_one_line()
    {
        using EchoServerProcess server = await EchoServerProcess.RunAsync("--port", "0", "--host", "nosuch.invalid");
        Assert.Multiple(() =>
        {
            Assert.That(server.ExitCode, Is.EqualTo(1));
            Assert.That(server.Errors, Has.Length.EqualTo(1));
            Assert.That(server.Errors, Has.All.Contains("nosuch.invalid"));
        });
    }

    [TestCase("127.0.0.1", "http://localhost:")]
    [TestCase("0.0.0.0", "http://localhost:")]
    [TestCase("+", "http://localhost:")]
    [TestCase("127.0.0.2", "http://127.0.0.2:")]
    [TestCase("::1", "http://[::1]:")]
    public async Task It_listens_where_it_is_told_and_prints_an_address_that_works(string host, string expected)
    {
        if (host is "::1" or "+" && !Socket.OSSupportsIPv6)
        {
            Assert.Ignore("There is no IPv6 here.");
        }

        using EchoServerProcess server = await EchoServerProcess.StartAsync("--host", host);
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = TestServer.Patience };
        Assert.That(await http.GetStringAsync(new Uri($"{expected}{server.Port}/")), Does.Contain("<title>WebSocket echo"));
    }

    [Test]
    public async Task The_page_is_at_the_root_and_only_there()
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync();
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = TestServer.Patience };
        using HttpResponseMessage page = await http.GetAsync(server.PageUri);
        byte[] body = await page.Content.ReadAsByteArrayAsync();
        using HttpResponseMessage other = await http.GetAsync(new Uri(server.PageUri, "/other"));
        using HttpResponseMessage plain = await http.GetAsync(new Uri(server.PageUri, "/websocket"));
        using var noBody = new ByteArrayContent([]);
        using HttpResponseMessage posted = await http.PostAsync(server.PageUri, noBody);
        Assert.Multiple(() =>
        {
            Assert.That(page.StatusCode, Is.EqualTo(HttpStatusCode.OK));
            Assert.That(page.Content.Headers.ContentType?.ToString(), Is.EqualTo("text/html; charset=utf-8"));
            Assert.That(body, Is.EqualTo(File.ReadAllBytes(Path.Combine(Repository.Root, "src", "EchoServer", "index.html"))));
            Assert.That(other.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
            Assert.That(plain.IsSuccessStatusCode, Is.False);
            Assert.That(posted.IsSuccessStatusCode, Is.False);
            Assert.That(server.Errors, Is.Empty);
        });
    }

    [Test]
    public async Task A_connection_is_four_lines()
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync();
        using ClientWebSocket client = await ConnectAsync(server);
        await client.SendTextAsync("Grüße 👋");
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Grüße 👋"));
        await client.CloseNormallyAsync();
        Assert.That(
            await server.LinesAsync(4),
            Is.EqualTo((string[])
            [
                "WebSocket client connected: 127.0.0.1",
                "WebSocket connection ready",
                "Received message: Grüße 👋",
                "WebSocket client disconnected",
            ]));
    }

    [Test]
    public async Task A_message_stays_on_its_line_and_is_shown_in_short()
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync();
        using ClientWebSocket client = await ConnectAsync(server);
        string text = "\e[2J\r\na\tb" + new string('x', 1000);
        await client.SendTextAsync(text);
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo(text));
        await client.CloseNormallyAsync();
        string[] lines = await server.LinesAsync(4);
        Assert.That(lines, Has.Length.EqualTo(4));
        Assert.That(lines[2], Does.Match("^Received message: \\.\\[2J\\.\\.a\\.bx+\\.\\.\\.$").And.Length.LessThan(250));
    }

    [Test]
    public async Task Quiet_writes_no_line_for_a_connection()
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync("--quiet");
        using (ClientWebSocket client = await ConnectAsync(server))
        {
            await client.SendTextAsync("Hello!");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Hello!"));
            await client.CloseNormallyAsync();
        }

        server.Signal("TERM");
        await server.WaitForExitAsync();
        Assert.That(server.Lines, Is.EqualTo((string[])["Stopping."]));
    }

    [Test]
    public async Task A_signal_stops_it_and_clients_are_told([Values("INT", "TERM")] string signal)
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync();
        var clients = new List<ClientWebSocket>();
        try
        {
            for (int i = 0; i < 10; i++)
            {
                clients.Add(await ConnectAsync(server));
            }

            server.Signal(signal);
            foreach (ClientWebSocket client in clients)
            {
                Assert.That((await client.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
                Assert.That((int?)client.CloseStatus, Is.EqualTo(1001));
                await client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", CancellationToken.None);
            }

            await server.WaitForExitAsync();
        }
        finally
        {
            clients.ForEach(client => client.Dispose());
        }

        Assert.Multiple(() =>
        {
            Assert.That(server.ExitCode, Is.Zero);
            Assert.That(server.Errors, Is.Empty);
            Assert.That(server.Lines, Has.One.EqualTo("Stopping."));
            Assert.That(server.Lines.Count(line => line == "WebSocket client disconnected"), Is.EqualTo(10));
        });
    }

    [Test]
    public async Task A_second_signal_does_no_harm()
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync();
        using ClientWebSocket client = await ConnectAsync(server);
        server.Signal("INT");
        Assert.That((await client.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
        server.Signal("INT"); // while it waits for the client's half of the closing
        await client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", CancellationToken.None);
        await server.WaitForExitAsync();
        Assert.That(server.ExitCode, Is.Zero);
    }

    [Test]
    [Platform("Linux")]
    public async Task A_plain_upgrade_loads_no_OpenSsl()
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync();
        using ClientWebSocket client = await ConnectAsync(server);
        string maps = await File.ReadAllTextAsync($"/proc/{server.Id}/maps");
        Assert.That(maps, Does.Contain("libcivetweb_net.so").And.Not.Contain("libssl").And.Not.Contain("libcrypto"));
        await client.CloseNormallyAsync();
    }

    [Test]
    [Platform("Linux")]
    public async Task A_plain_upgrade_works_where_OpenSsl_cannot_be_loaded()
    {
        string[] folders = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib"];
        string[] libraries = [.. folders
            .Where(Directory.Exists)
            .SelectMany(folder => Directory.EnumerateFiles(
                folder,
                "lib*.so*",
                new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true, AttributesToSkip = FileAttributes.ReparsePoint }))
            .Where(file => Path.GetFileName(file).StartsWith("libssl.so", StringComparison.Ordinal)
                || Path.GetFileName(file).StartsWith("libcrypto.so", StringComparison.Ordinal))];
        if (Environment.UserName != "root" || !EchoServerProcess.TryRun("unshare", "-m", "mount", "--bind", "/dev/null", "/etc/hostname"))
        {
            Assert.Ignore("Hiding OpenSSL takes root and mount namespaces (unshare -m).");
        }

        // Every OpenSSL is an empty file there.
        const string Script = """
            server=$1; shift
            for file in "$@"; do
                mount --bind /dev/null "$file" && [ ! -s "$file" ] || exit 1
            done
            exec "$server" --port 0
            """;
        using EchoServerProcess server = await EchoServerProcess.StartCommandAsync(
            ["unshare", "-m", "bash", "-c", Script, "bash", Repository.EchoServer, .. libraries]);
        using ClientWebSocket client = await ConnectAsync(server);
        await client.SendTextAsync("Hello!");
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Hello!"));
        await client.CloseNormallyAsync();
        server.Signal("TERM");
        await server.WaitForExitAsync();
        Assert.That(server.ExitCode, Is.Zero);
    }

    /// <summary>A client that has been greeted.</summary>
    private static async Task<ClientWebSocket> ConnectAsync(EchoServerProcess server)
    {
        var client = new ClientWebSocket();
        client.Options.Proxy = null;
        using var timeout = new CancellationTokenSource(TestServer.Patience);
        await client.ConnectAsync(server.WebSocketUri, timeout.Token);
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Welcome!"));
        return client;
    }
}
