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
            Assert.That(string.Join('\n', server.Lines), Does.Contain("--port").And.Contain("--host").And.Contain("--quiet")
                .And.Contain("--log").And.Contain("--origins").And.Contain("--max-message").And.Contain("Examples:").And.Contain("SIGUSR1"));
            Assert.That(server.Lines, Has.All.Length.LessThanOrEqualTo(100));
            Assert.That(server.Errors, Is.Empty);
        });
    }

    [TestCase("'--prot'", "--prot", "8080")]
    [TestCase("--port", "--port")]
    [TestCase("'abc'", "--port", "abc")]
    [TestCase("'65536'", "--port", "65536")]
    [TestCase("'-1'", "--port", "-1")]
    [TestCase("--host", "--host")]
    [TestCase("'127.0.0.1:1,[::1]'", "--host", "127.0.0.1:1,[::1]")]
    [TestCase("'loud'", "--log", "loud")]
    [TestCase("'example.org'", "--origins", "https://example.org,example.org")]
    [TestCase("'https://example.org/'", "--origins", "https://example.org/")]
    [TestCase("''", "--origins", "")]
    [TestCase("'0'", "--max-message", "0")]
    [TestCase("'2147483648'", "--max-message", "2147483648")]
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
            Assert.That(server.Errors, Has.All.Contains("in use").And.All.Contains(port.ToString(CultureInfo.InvariantCulture)).And.All.Contains("--port"));
            Assert.That(server.Lines, Is.Empty);
        });
    }

    [Test]
    [Platform("Linux")]
    public async Task A_port_without_permission_is_one_line_that_says_so()
    {
        // A network namespace of its own: there ports below 1024 are privileged, whatever they are here.
        string[] asNobody = ["unshare", "-n", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        if (!EchoServerProcess.TryRun([.. asNobody, "test", "-x", Repository.EchoServer]))
        {
            Assert.Ignore("Being nobody in a network namespace takes root, unshare and setpriv, and a checkout that nobody can read.");
        }

        using EchoServerProcess server = await EchoServerProcess.RunCommandAsync(
            [.. asNobody, Repository.EchoServer, "--host", "0.0.0.0", "--port", "80"]);
        Assert.Multiple(() =>
        {
            Assert.That(server.ExitCode, Is.EqualTo(1));
            Assert.That(server.Errors, Has.Length.EqualTo(1));
            Assert.That(server.Errors, Has.All.Contains("Port 80").And.All.Contains("permission denied").And.All.Contains("--port"));
            Assert.That(server.Lines, Is.Empty);
        });
    }

    [TestCase("nosuch.invalid")]
    [TestCase("198.51.100.7")] // an address for documentation: nobody's
    [TestCase("1.2.3")]
    [TestCase("2001:db8::7")]
    public async Task A_host_that_is_none_is_one_line(string host)
    {
        using EchoServerProcess server = await EchoServerProcess.RunAsync("--port", "0", "--host", host);
        Assert.Multiple(() =>
        {
            Assert.That(server.ExitCode, Is.EqualTo(1));
            Assert.That(server.Errors, Has.Length.EqualTo(1));
            Assert.That(server.Errors, Has.All.Contains($"'{host}'"));
            Assert.That(server.Lines, Is.Empty);
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
        using var ask = new HttpRequestMessage(HttpMethod.Head, server.PageUri);
        using HttpResponseMessage head = await http.SendAsync(ask);
        string wholeHead = RawClient.Exchange(server.Port, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.Multiple(() =>
        {
            Assert.That(page.StatusCode, Is.EqualTo(HttpStatusCode.OK));
            Assert.That(page.Content.Headers.ContentType?.ToString(), Is.EqualTo("text/html; charset=utf-8"));
            Assert.That(body, Is.EqualTo(File.ReadAllBytes(Path.Combine(Repository.Root, "src", "EchoServer", "index.html"))));
            Assert.That(page.Headers.CacheControl?.ToString(), Is.EqualTo("no-cache"));
            Assert.That(head.StatusCode, Is.EqualTo(HttpStatusCode.OK));
            Assert.That(head.Content.Headers.ContentLength, Is.EqualTo(body.Length));
            Assert.That(head.Headers.CacheControl?.ToString(), Is.EqualTo("no-cache"));
            Assert.That(wholeHead, Does.EndWith("\r\n\r\n"), "no body");
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
        string text = "\e[2J\r\na\tb\u202E" + new string('x', 1000);
        await client.SendTextAsync(text);
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo(text));
        await client.CloseNormallyAsync();
        string[] lines = await server.LinesAsync(4);
        Assert.That(lines, Has.Length.EqualTo(4));
        Assert.That(lines[2], Does.Match("^Received message: \\.\\[2J\\.\\.a\\.b\\.x+\\.\\.\\.$").And.Length.LessThan(250));
    }

    [TestCase("--quiet")]
    [TestCase("--log", "quiet")]
    public async Task Quiet_writes_no_line_for_a_connection(params string[] arguments)
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync(arguments);
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

    [Test]
    public async Task The_banner_is_two_urls()
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync();
        await Eventually.IsTrueAsync(() => server.Banner.Length == 2, "two lines");
        Assert.That(
            server.Banner,
            Is.EqualTo((string[])
            [
                $"Listening on http://localhost:{server.Port}/ - press Ctrl+C to stop.",
                $"Listening on ws://localhost:{server.Port}/websocket - subprotocols echo.v1, echo.v2 or none.",
            ]));
    }

    [Test]
    public async Task Debug_adds_requests_pings_pongs_and_closes_with_times()
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync("--log", "debug");
        RawClient.Exchange(server.Port, "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
        using (RawClient client = RawClient.Open(server.Port, "/websocket", "Origin: https://example.org\r\n"))
        {
            client.SendFrame(0x89, "12345"u8);
            client.SendFrame(0x8A, "123"u8);
            client.SendFrame(0x82, "1234"u8);
            client.SendFrame(0x81, "Hello!"u8);
            client.SendFrame(0x88, [0x03, 0xE8, .. "bye"u8]);
            client.ReadToEnd();
        }

        await Eventually.IsTrueAsync(() => server.Lines.Any(line => line.EndsWith("WebSocket client disconnected", StringComparison.Ordinal)), "the end");
        string[] lines = server.Lines;
        Assert.That(lines, Has.All.Match(@"^\d\d:\d\d:\d\d\.\d\d\d [^\e]+$"));
        Assert.That(lines, Has.Some.Contains("CivetWeb: ").And.Some.Contains("/nothing").And.Some.Contains("origin https://example.org"));
        string[] expected =
        [
            "WebSocket client connected: 127.0.0.1", "WebSocket connection ready", "Ping of 5 bytes", "Pong of 3 bytes",
            "Received 4 bytes of binary", "Received message: Hello!", "Close 1000 bye", "WebSocket client disconnected",
        ];
        Assert.That(lines.Select(line => line[13..]).Where(expected.Contains), Is.EqualTo(expected));
    }

    [Test]
    public async Task SIGUSR1_shows_the_counters([Values("quiet", "normal", "debug")] string level)
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync("--log", level);
        using (ClientWebSocket gone = await ConnectAsync(server))
        {
            await gone.CloseNormallyAsync();
        }

        using ClientWebSocket client = await ConnectAsync(server);
        await client.SendTextAsync("Hello!");
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Hello!"));
        await client.SendBinaryAsync(new byte[1000]);
        Assert.That((await client.ReceiveMessageAsync()).Data, Has.Length.EqualTo(1000));

        // The close callback, and the count after a write, may come a moment after the client has seen their effect.
        string pattern = @"^Counters: connections 1 open, 2 total; messages 2; bytes 1006 in, 1022 out; up 0:\d\d:\d\d$";
        string[] counters = [];
        for (int tries = 1; counters.Length == 0 || !System.Text.RegularExpressions.Regex.IsMatch(counters[^1], pattern); tries++)
        {
            Assert.That(tries, Is.LessThan(100), string.Join(" | ", counters));
            server.Signal("USR1");
            await Eventually.IsTrueAsync(() => server.Lines.Count(IsCounters) == tries, "the counters");
            counters = [.. server.Lines.Where(IsCounters)];
        }

        await client.CloseNormallyAsync();
        server.Signal("TERM");
        await server.WaitForExitAsync();
        Assert.That(server.ExitCode, Is.Zero);
        Assert.That(server.Errors, Is.Empty);

        static bool IsCounters(string line) => line.StartsWith("Counters: ", StringComparison.Ordinal);
    }

    [Test]
    [Platform("Linux")]
    public async Task On_a_terminal_there_are_colours_and_a_key_for_the_counters([Values("", "1")] string noColor)
    {
        if (!EchoServerProcess.TryRun("/usr/bin/python3", "-c", "import pty"))
        {
            Repository.Missing("/usr/bin/python3 is missing, which makes a terminal (Debian, Ubuntu: apt-get install python3)");
        }

        // A terminal of its own; s is typed when it says it can be, Ctrl+C when the counters are there.
        const string Script = """
            import os, pty, sys
            child, terminal = pty.fork()
            if child == 0:
                os.execv(sys.argv[1], [sys.argv[1], "--port", "0"])
            seen, keys = b"", [(b"Press s", b"S"), (b"Counters: ", b"s"), (b"up 0:", b"\x03")]
            while True:
                try:
                    part = os.read(terminal, 4096)
                except OSError:
                    break
                if not part:
                    break
                seen += part
                while keys and keys[0][0] in seen:
                    os.write(terminal, keys.pop(0)[1])
            sys.stdout.buffer.write(seen.replace(b"\r\n", b"\n"))
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            """;
        using EchoServerProcess terminal = await EchoServerProcess.RunCommandAsync(
            "env", "--default-signal=INT", "TERM=xterm-256color", $"NO_COLOR={noColor}", "/usr/bin/python3", "-c", Script, Repository.EchoServer);
        string output = string.Join('\n', (string[])[.. terminal.Banner, .. terminal.Lines]);
        Assert.Multiple(() =>
        {
            Assert.That(terminal.ExitCode, Is.Zero, output);
            Assert.That(output, noColor.Length == 0 ? Does.Contain("Listening on \e[36mhttp://localhost:") : Does.Contain("Listening on http://localhost:"));
            Assert.That(output.Contains("\e[36m", StringComparison.Ordinal), Is.EqualTo(noColor.Length == 0));
            Assert.That(output, Does.Contain("Press s for counters.").And.Contain("Counters: connections 0 open, 0 total; ").And.Contain("Stopping."));
        });
    }

    [Test]
    public async Task Redirected_there_are_no_colours_and_no_key()
    {
        using EchoServerProcess server = await EchoServerProcess.StartCommandAsync("env", "TERM=xterm-256color", Repository.EchoServer, "--port", "0");
        using (ClientWebSocket client = await ConnectAsync(server))
        {
            await client.CloseNormallyAsync();
        }

        await server.LinesAsync(3);
        Assert.That((string[])[.. server.Banner, .. server.Lines], Has.None.Contains("\e").And.None.Contains("Press s"));
    }

    [Test]
    [Platform("Linux")]
    public async Task The_service_manager_is_told_when_it_is_ready_and_when_it_stops([Values] bool isAbstract)
    {
        string name = $"cwn-notify-{Environment.ProcessId}-{Guid.NewGuid():N}";
        string path = Path.Combine(Path.GetTempPath(), name);
        using var manager = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified)
        {
            ReceiveTimeout = (int)TestServer.Patience.TotalMilliseconds,
        };
        manager.Bind(new UnixDomainSocketEndPoint(isAbstract ? $"\0{name}" : path));
        try
        {
            using EchoServerProcess server = await EchoServerProcess.StartCommandAsync(
                "env", $"NOTIFY_SOCKET={(isAbstract ? $"@{name}" : path)}", Repository.EchoServer, "--port", "0");
            Assert.That(Receive(), Is.EqualTo("READY=1"));
            using (ClientWebSocket client = await ConnectAsync(server))
            {
                await client.CloseNormallyAsync();
            }

            Assert.That(manager.Available, Is.Zero);
            server.Signal("TERM");
            Assert.That(Receive(), Is.EqualTo("STOPPING=1"));
            await server.WaitForExitAsync();
            Assert.That(server.ExitCode, Is.Zero);
            Assert.That(server.Errors, Is.Empty);
            Assert.That(manager.Available, Is.Zero);
        }
        finally
        {
            File.Delete(path);
        }

        string Receive()
        {
            byte[] datagram = new byte[1024];
            return System.Text.Encoding.UTF8.GetString(datagram, 0, manager.Receive(datagram));
        }
    }

    [Test]
    [Platform("Linux")]
    public async Task A_service_manager_that_is_not_there_is_a_line_and_no_obstacle()
    {
        using EchoServerProcess server = await EchoServerProcess.StartCommandAsync(
            "env", "NOTIFY_SOCKET=/nonexistent/notify", Repository.EchoServer, "--port", "0");
        await Eventually.IsTrueAsync(() => server.Errors.Length == 1, "the line");
        Assert.That(server.Errors[0], Does.Contain("NOTIFY_SOCKET").And.Contain("/nonexistent/notify"));
        using ClientWebSocket client = await ConnectAsync(server);
        await client.CloseNormallyAsync();
    }

    [Test]
    [Platform("Linux")]
    public async Task As_process_1_of_a_container_without_terminal_SIGTERM_stops_it()
    {
        string[] container = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
        if (!EchoServerProcess.TryRun([.. container, "true"]))
        {
            Assert.Ignore("A process namespace takes root and unshare.");
        }

        using EchoServerProcess server = await EchoServerProcess.StartCommandAsync([.. container, Repository.EchoServer, "--port", "0"]);
        string children = await File.ReadAllTextAsync($"/proc/{server.Id}/task/{server.Id}/children");
        int process = int.Parse(children.Trim(), CultureInfo.InvariantCulture);
        Assert.That(await File.ReadAllTextAsync($"/proc/{process}/status"), Does.Match(@"NSpid:\t\d+(\t\d+)*\t1\n"));
        using ClientWebSocket client = await ConnectAsync(server);
        EchoServerProcess.Signal(process, "TERM");
        Assert.That((await client.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
        Assert.That((int?)client.CloseStatus, Is.EqualTo(1001));
        await client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", CancellationToken.None);
        await server.WaitForExitAsync();
        Assert.That(server.ExitCode, Is.Zero);
        Assert.That(server.Lines, Has.One.EqualTo("Stopping."));
    }

    [TestCase("echo.v1", "echo.v1")]
    [TestCase("echo.v2", "echo.v2")]
    [TestCase("echo.v2, echo.v1", "echo.v2")]
    [TestCase("chat, echo.v1", "echo.v1")]
    [TestCase("chat", null)]
    [TestCase(null, null)]
    public async Task It_speaks_two_subprotocols(string? asked, string? agreed)
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync();
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest("/websocket", asked is null ? "" : $"Sec-WebSocket-Protocol: {asked}\r\n"));
        string head = client.ReadHead();
        Assert.That(head, Does.StartWith("HTTP/1.1 101 "));
        string[] answers = [.. head.Split("\r\n").Where(line => line.StartsWith("Sec-WebSocket-Protocol:", StringComparison.OrdinalIgnoreCase))];
        Assert.That(answers.Select(line => line.Split(':')[1].Trim()), Is.EqualTo(agreed is null ? Array.Empty<string>() : [agreed]));
    }

    [Test]
    public async Task A_message_over_the_limit_closes_with_1009()
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync("--max-message", "1000");
        using ClientWebSocket client = await ConnectAsync(server);
        string longest = new('x', 1000);
        await client.SendTextAsync(longest);
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo(longest));
        await client.SendTextAsync(longest + "x");
        Assert.That((await client.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
        Assert.That((int?)client.CloseStatus, Is.EqualTo(1009));
    }

    [TestCase("http://localhost:8080", "101")]
    [TestCase("https://example.org", "101")]
    [TestCase("https://evil.example", "403")]
    [TestCase("null", "403")]
    [TestCase(null, "101")]
    public async Task Pages_of_other_origins_get_403(string? origin, string status)
    {
        using EchoServerProcess server = await EchoServerProcess.StartAsync("--origins", "http://localhost:8080, https://example.org");
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest("/websocket", origin is null ? "" : $"Origin: {origin}\r\n"));
        Assert.That(client.ReadHead(), Does.StartWith($"HTTP/1.1 {status} "));
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
