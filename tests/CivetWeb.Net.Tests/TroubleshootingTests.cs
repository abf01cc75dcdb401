using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// Every message that docs/troubleshooting.md quotes (a block <c>```text name</c>) is provoked here, and is as quoted; … stands
/// for what differs each time.
/// </summary>
[TestFixture]
internal sealed partial class TroubleshootingTests
{
    private static readonly Dictionary<string, string> Quoted = ReadQuoted();

    private static readonly string OtherHost = RawClient.UpgradeRequest().Replace("localhost", "example.org", StringComparison.Ordinal);

    private static readonly Dictionary<string, Func<Task<string>>> Provoked = new()
    {
        ["refused"] = RefusedAsync,
        ["listening"] = () => LoggedAsync(1, _ => Task.CompletedTask),
        ["in-use"] = InUseAsync,
        ["permission"] = () => Task.FromResult(Permission()),
        ["not-mine"] = () => StartFailsAsync(options => options.Listen.Add("http://192.0.2.1:0")),
        ["host-name"] = () => StartFailsAsync(options => options.Listen.Add("http://example.org:8080")),
        ["socket-in-use"] = SocketInUseAsync,
        ["origin"] = () => RefusedHandshakeAsync(RawClient.UpgradeRequest("/ws", "Origin: https://example.com\r\n")),
        ["origin-log"] = () => LoggedAsync(22, server => Exchange(server, RawClient.UpgradeRequest("/ws", "Origin: https://example.com\r\n"))),
        ["host"] = () => RefusedHandshakeAsync(OtherHost, Loopback),
        ["host-log"] = () => LoggedAsync(11, server => Exchange(server, OtherHost), Loopback),
        ["no-path"] = () => RefusedHandshakeAsync(RawClient.UpgradeRequest("/elsewhere")),
        ["dropped-upgrade"] = () => RefusedHandshakeAsync("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\n\r\n"),
        ["half-upgrade"] = () => RefusedHandshakeAsync("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n"),
        ["old-http"] = () => RefusedHandshakeAsync(RawClient.UpgradeRequest().Replace("HTTP/1.1", "HTTP/1.0", StringComparison.Ordinal)),
        ["version"] = () => RefusedHandshakeAsync(RawClient.UpgradeRequest().Replace("Version: 13", "Version: 8", StringComparison.Ordinal)),
        ["rejected"] = () => LoggedAsync(
            22,
            server => Exchange(server, RawClient.UpgradeRequest()),
            options => options.WebSockets.OnHandshake = HandshakeAuthentication.Basic("x", (_, _) => ValueTask.FromResult(false))),
        ["full"] = FullAsync,
        ["full-log"] = () => LoggedAsync(27, FillAsync, options => options.MaxConnections = 1),
        ["subprotocol"] = SubprotocolAsync,
        ["wss-to-ws"] = TlsToPlainAsync,
        ["ws-to-wss"] = PlainToTlsAsync,
        ["untrusted"] = UntrustedAsync,
        ["handler-failed"] = () => LoggedAsync(24, server => TalkAsync(server, "/fails", client => client.SendFrame(0x81, "x"u8))),
        ["no-pong"] = () => LoggedAsync(26, NoPongAsync, options =>
        {
            options.WebSockets.KeepAliveInterval = TimeSpan.FromMilliseconds(50);
            options.WebSockets.KeepAliveTimeout = TimeSpan.FromMilliseconds(100);
        }),
        ["no-frame"] = () => LoggedAsync(
            26, server => SilentAsync(server, client => client.Send([0x82, 0xFE, 0x10, 0x00])), options => options.WebSockets.FrameTimeout = TimeSpan.FromMilliseconds(100)),
        ["no-reading"] = () => LoggedAsync(26, server => SilentAsync(server, _ => { }, "/flood"), options => options.WebSockets.SendTimeout = TimeSpan.FromMilliseconds(100)),
        ["no-close"] = () => LoggedAsync(26, server => SilentAsync(server, _ => { }, "/closes"), options => options.WebSockets.CloseTimeout = TimeSpan.FromMilliseconds(100)),
        ["lost"] = () => LoggedAsync(25, server => TalkAsync(server, "/ws", _ => { })),
        ["closed"] = () => LoggedAsync(21, async server =>
        {
            using ClientWebSocket client = await server.ConnectAsync();
            await client.CloseNormallyAsync();
        }),
        ["too-large"] = () => LoggedAsync(23, TooLargeAsync, options => options.WebSockets.MaxMessageSize = 1000),
        ["no-utf8"] = () => LoggedAsync(26, server => TalkAsync(server, "/ws", client => client.SendFrame(0x81, [0xC3, 0x28]), 1007)),
        ["no-frame-of-ours"] = () => LoggedAsync(21, server => TalkAsync(server, "/ws", client => client.SendFrame(0xF1, "x"u8), 1002)),
        ["write-no-utf8"] = () => Task.FromResult(WriteNoUtf8()),
        ["library-missing"] = () => LibraryAsync("/opt/example/libcivetweb_net.so"),
        ["library-wrong"] = () => LibraryAsync("libm.so.6"),
        ["openssl-missing"] = OpenSslMissingAsync,
        ["certificate-missing"] = () => TlsFailsAsync((_, tls) => tls.CertificatePath = "/etc/ssl/example/fullchain.pem"),
        ["certificate-needed"] = () => StartFailsAsync(options => options.Listen.Add("https://127.0.0.1:0")),
        ["key-of-another"] = () => TlsFailsAsync((certificates, tls) =>
        {
            using X509Certificate2 other = certificates.AnotherServer("other");
            tls.KeyPath = certificates.Write("other.key", TestCertificates.KeyPem(other));
        }),
        ["expired"] = ExpiredAsync,
        ["reload-failed"] = ReloadFailedAsync,
        ["stop-inside"] = StopInsideAsync,
        ["stop-inside-callback"] = () => Task.FromResult(StopInsideCallback()),
        ["body-too-large"] = () => AnsweredAsync("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n", options => options.MaxRequestBodySize = 1000),
        ["body-too-slow"] = () => AnsweredAsync("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n", options => options.RequestHeadersTimeout = TimeSpan.FromMilliseconds(200)),
        ["head-too-large"] = () => AnsweredAsync($"GET / HTTP/1.1\r\nHost: x\r\nX: {new string('x', 2000)}\r\nConnection: close\r\n\r\n", options => options.MaxRequestHeadSize = 1024),
        ["too-many-headers"] = () => AnsweredAsync($"GET / HTTP/1.1\r\nHost: x\r\n{string.Concat(Enumerable.Repeat("X: x\r\n", 64))}\r\n", _ => { }),
        ["body-log"] = () => LoggedAsync(
            11, server => Exchange(server, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n"), options => options.MaxRequestBodySize = 1000),
        ["raw-option"] = () => StartFailsAsync(options => options.DangerousRawOptions["num_threads"] = "512"),
        ["unknown-option"] = () => Task.FromResult(Thrown(Assert.Throws<ArgumentException>(() => Http.StartServer(_ => 0, ["websocket_timeout", "5"]))!)),
    };

    private static string[] Names => [.. Quoted.Keys.Union(Provoked.Keys)];

    [TestCaseSource(nameof(Names))]
    [Logs(5, 24, 27, 31, 32)]
    public async Task A_message_is_as_quoted(string name)
    {
        Assert.That(Provoked, Contains.Key(name), "is provoked by a test");
        string actual = Normalise(await Provoked[name]());
        await TestContext.Out.WriteLineAsync(actual);
        Assert.That(Quoted, Contains.Key(name), $"is quoted by docs/troubleshooting.md:\n{actual}");
        string pattern = string.Join(".*", Normalise(Quoted[name]).Split('…').Select(Regex.Escape));
        Assert.That(actual, Does.Match($"^{pattern}$"));
    }

    // ---- starting ----

    private static async Task<string> RefusedAsync()
    {
        using var client = new ClientWebSocket();
        client.Options.Proxy = null;
        WebSocketException e = Assert.ThrowsAsync<WebSocketException>(() => client.ConnectAsync(new Uri($"ws://127.0.0.1:{FreePort.Choose()}/ws"), CancellationToken.None))!;
        await Task.CompletedTask;
        return $"{Thrown(e)}\n{Thrown(e.InnerException!)}";
    }

    private static async Task<string> InUseAsync()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        return await StartFailsAsync(options => options.Listen.Add($"http://127.0.0.1:{((IPEndPoint)other.LocalEndpoint).Port}"));
    }

    private static string Permission()
    {
        string[] asNobody = ["unshare", "-n", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        if (!EchoServerProcess.TryRun([.. asNobody, "test", "-r", typeof(TroubleshootingTests).Assembly.Location]))
        {
            Assert.Ignore("Being nobody in a network namespace takes root, unshare and setpriv, and a checkout that nobody can read.");
        }

        string[] command = [.. asNobody, .. TestProgram.DeploymentCommand("http://127.0.0.1:80")];
        (_, string output) = Tool.Run(command[0], command[1..]);
        string line = output.Split('\n').First(line => line.StartsWith("Unhandled exception.", StringComparison.Ordinal));
        return line.Replace("Unhandled exception. System.Net.Sockets.SocketException (13): ", "SocketException: ", StringComparison.Ordinal);
    }

    private static async Task<string> SocketInUseAsync()
    {
        DirectoryInfo folder = SocketFolder.Create();
        try
        {
            string entry = $"http://unix:{folder.FullName}/web.sock";
            await using RunningServer first = await RunningServer.StartAsync(_ => { }, options => options.Listen.Add(entry));
            return await StartFailsAsync(options => options.Listen.Add(entry));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static async Task<string> StartFailsAsync(Action<CivetWebServerOptions> configure)
    {
        try
        {
            await using RunningServer server = await RunningServer.StartAsync(_ => { }, configure);
        }
        catch (Exception e) when (e is not AssertionException)
        {
            return Thrown(e);
        }

        throw new AssertionException("The server has started.");
    }

    // ---- handshakes ----

    private static void Loopback(CivetWebServerOptions options) => options.AllowedHosts.Add("localhost");

    private static async Task<string> RefusedHandshakeAsync(string request, Action<CivetWebServerOptions>? configure = null)
    {
        await using RunningServer server = await StartAsync(configure);
        return Answer(RawClient.Exchange(server.Port, request));
    }

    private static async Task<string> FullAsync()
    {
        await using RunningServer server = await StartAsync(options => options.MaxConnections = 1);
        using RawClient first = RawClient.Open(server.Port);
        return Answer(RawClient.Exchange(server.Port, RawClient.UpgradeRequest()));
    }

    private static Task FillAsync(RunningServer server)
    {
        using RawClient first = RawClient.Open(server.Port);
        RawClient.Exchange(server.Port, RawClient.UpgradeRequest());
        return Task.CompletedTask;
    }

    private static async Task<string> SubprotocolAsync()
    {
        await using RunningServer server = await StartAsync(options => options.WebSockets.Subprotocols = ["orders.v2"]);
        return await LoggedAsync(server, 20, () => Exchange(server, RawClient.UpgradeRequest("/ws", "Sec-WebSocket-Protocol: orders.v1\r\n"), reads: false));
    }

    private static async Task<string> TlsToPlainAsync()
    {
        await using RunningServer server = await StartAsync();
        using var client = new ClientWebSocket();
        client.Options.Proxy = null;
        WebSocketException e = Assert.ThrowsAsync<WebSocketException>(
            () => client.ConnectAsync(new UriBuilder(server.WebSocketUri()) { Scheme = "wss" }.Uri, CancellationToken.None))!;
        return $"{Thrown(e)}\n{Thrown(e.InnerException!)}\n{Thrown(e.InnerException!.InnerException!)}";
    }

    private static async Task<string> PlainToTlsAsync()
    {
        using var certificates = new TestCertificates();
        await using RunningServer server = await TlsServers.StartAsync(TlsServers.Options(certificates));
        return await LoggedAsync(server, 5, () => Exchange(server, RawClient.UpgradeRequest()));
    }

    private static async Task<string> UntrustedAsync()
    {
        using var certificates = new TestCertificates();
        await using RunningServer server = await TlsServers.StartAsync(TlsServers.Options(certificates));
        using var client = new ClientWebSocket();
        client.Options.Proxy = null;
        WebSocketException e = Assert.ThrowsAsync<WebSocketException>(() => client.ConnectAsync(new Uri($"wss://localhost:{server.Port}/ws"), CancellationToken.None))!;
        Exception innermost = e;
        while (innermost is not AuthenticationException)
        {
            innermost = innermost.InnerException!;
        }

        return Thrown(innermost);
    }

    // ---- connections ----

    /// <summary>Opens a WebSocket, does something, and goes without a word; waits before that for a close code if one is given.</summary>
    private static async Task TalkAsync(RunningServer server, string path, Action<RawClient> act, int? code = null)
    {
        using RawClient client = RawClient.Open(server.Port, path);
        await Eventually.IsTrueAsync(() => server.Log.Entries.Any(entry => entry.Event.Id == 20), "it is open");
        act(client);
        if (code is not null)
        {
            Assert.That(client.ReadClose(), Is.EqualTo(code));
        }
    }

    /// <summary>Opens a WebSocket, does something, and stays, without reading.</summary>
    private static async Task SilentAsync(RunningServer server, Action<RawClient> act, string path = "/ws")
    {
        using RawClient client = RawClient.Open(server.Port, path);
        act(client);
        await Eventually.IsTrueAsync(() => server.Log.Entries.Any(entry => entry.Event.Id is 21 or 25 or 26), "it is over");
    }

    // The loss that the missing pong brings about can be noticed before its reason, and is event 25 then: the document says so.
    private static async Task NoPongAsync(RunningServer server)
    {
        using RawClient client = RawClient.Open(server.Port);
        await Eventually.IsTrueAsync(() => server.Log.Entries.Any(entry => entry.Event.Id is 21 or 25 or 26), "it is over");
    }

    private static Task TooLargeAsync(RunningServer server) => TalkAsync(server, "/ws", client => client.SendFrame(0x82, new byte[1001]), 1009);

    private static string WriteNoUtf8()
    {
        string message = "";
        using var server = new TestServer();
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            (connection, _) => message = Thrown(Assert.Throws<ArgumentException>(() => Http.WriteTextToWebSocket(connection, [0xC3, 0x28]))!),
            null,
            null);
        using (RawClient client = RawClient.Open(server.Port))
        {
            client.SendFrame(0x88, [0x03, 0xE8]);
            client.ReadToEnd();
        }

        return message;
    }

    // ---- libraries and certificates ----

    private static async Task<string> LibraryAsync(string file)
    {
        using EchoServerProcess server = await EchoServerProcess.RunCommandAsync("env", $"CIVETWEB_NET_LIBRARY={file}", Repository.EchoServer, "--port", "0");
        return $"CivetWebException: {string.Join('\n', server.Errors.Select(line => line[(line.IndexOf("The native", StringComparison.Ordinal) is var at and > 0 ? at : 0)..]))}";
    }

    private static async Task<string> OpenSslMissingAsync()
    {
        if (Environment.UserName != "root" || !EchoServerProcess.TryRun("unshare", "-m", "mount", "--bind", "/dev/null", "/etc/hostname"))
        {
            Assert.Ignore("Hiding OpenSSL takes root and mount namespaces (unshare -m).");
        }

        string[] libraries =
        [
            .. ((string[])["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"]).Where(Directory.Exists)
                .SelectMany(folder => Directory.EnumerateFiles(folder, "lib*.so*", new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true, AttributesToSkip = FileAttributes.ReparsePoint }))
                .Where(file => Path.GetFileName(file).StartsWith("libssl.so", StringComparison.Ordinal) || Path.GetFileName(file).StartsWith("libcrypto.so", StringComparison.Ordinal)),
        ];
        const string Script = """
            while [ "$1" != -- ]; do mount --bind /dev/null "$1" || exit 1; shift; done
            shift
            exec "$@"
            """;
        using var certificates = new TestCertificates();
        string file = certificates.Write("all.pem", TestCertificates.Pem(certificates.Server) + TestCertificates.KeyPem(certificates.Server));
        using var program = new LineProcess(["unshare", "-m", "bash", "-c", Script, "bash", .. libraries, "--", .. TestProgram.TlsCommand(file)]);
        return $"CivetWebException: {string.Join('\n', await program.FinishAsync(TestServer.Patience))}";
    }

    private static async Task<string> TlsFailsAsync(Action<TestCertificates, TlsOptions> spoil)
    {
        using var certificates = new TestCertificates();
        TlsOptions tls = TlsServers.FileOptions(certificates);
        spoil(certificates, tls);
        return await StartFailsAsync(options =>
        {
            options.Listen.Add("https://127.0.0.1:0");
            options.Tls = tls;
        });
    }

    private static async Task<string> ExpiredAsync()
    {
        using var certificates = new TestCertificates();
        using X509Certificate2 old = certificates.AnotherServer("old", DateTimeOffset.UtcNow.AddHours(-1));
        await using RunningServer server = await TlsServers.StartAsync(new TlsOptions { Certificate = old });
        return await LoggedAsync(server, 32, () => Task.CompletedTask);
    }

    private static async Task<string> ReloadFailedAsync()
    {
        using var certificates = new TestCertificates();
        await using RunningServer server = await TlsServers.StartAsync(TlsServers.FileOptions(certificates));
        return await LoggedAsync(server, 31, () =>
        {
            certificates.Write("server.pem", "half of a cert");
            return Task.CompletedTask;
        });
    }

    // ---- stopping ----

    private static async Task<string> StopInsideAsync()
    {
        string message = "";
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/stop", (_, _) =>
            message = Thrown(Assert.Throws<InvalidOperationException>(() => server.StopAsync().GetAwaiter().GetResult())!)));
        await server.Client.GetAsync(server.Uri("/stop"));
        return message;
    }

    private static string StopInsideCallback()
    {
        string message = "";
        using var server = new TestServer(new Callbacks
        {
            BeginRequest = connection =>
            {
                message = Thrown(Assert.Throws<InvalidOperationException>(() => Http.StopServer(connection.Context))!);
                return 0;
            },
        });
        RawClient.Exchange(server.Port, "GET / HTTP/1.0\r\n\r\n");
        return message;
    }

    // ---- the frame of a test ----

    private static Task<RunningServer> StartAsync(Action<CivetWebServerOptions>? configure = null) => RunningServer.StartAsync(
        server =>
        {
            server.MapPost("/upload", async (request, response) => response.WriteText($"{(await request.ReadBytesAsync()).Length}"));
            server.MapWebSocket("/ws", async context =>
            {
                await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
                {
                    await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
                }
            });
            server.MapWebSocket("/fails", async context =>
            {
                await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync())
                {
                    throw new InvalidOperationException("no such order");
                }
            });
            server.MapWebSocket("/closes", context => context.WebSocket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, default));
            server.MapWebSocket("/flood", async context =>
            {
                while (true)
                {
                    await context.WebSocket.SendAsync(new byte[1 << 20], WebSocketMessageType.Binary, true, default);
                }
            });
        },
        configure);

    private static Task Exchange(RunningServer server, string request) => Exchange(server, request, reads: true);

    private static Task Exchange(RunningServer server, string request, bool reads)
    {
        using var client = new RawClient(server.Port);
        client.Send(request);
        _ = reads ? client.ReadToEnd() : Encoding.ASCII.GetBytes(client.ReadHead());
        return Task.CompletedTask;
    }

    private static async Task<string> AnsweredAsync(string request, Action<CivetWebServerOptions> configure)
    {
        await using RunningServer server = await StartAsync(configure);
        return Answer(RawClient.Exchange(server.Port, request));
    }

    private static async Task<string> LoggedAsync(int id, Func<RunningServer, Task> act, Action<CivetWebServerOptions>? configure = null)
    {
        await using RunningServer server = await StartAsync(configure);
        return await LoggedAsync(server, id, () => act(server));
    }

    /// <summary>The first event of that id, as Microsoft.Extensions.Logging.Console writes it.</summary>
    private static async Task<string> LoggedAsync(RunningServer server, int id, Func<Task> act)
    {
        await act();
        await Eventually.IsTrueAsync(() => server.Log.Entries.Any(entry => entry.Event.Id == id || entry.Event.Id is 21 or 25 or 26), $"event {id}");
        Assert.That(server.Log.Entries.Select(entry => entry.Event.Id), Has.Member(id), string.Join('\n', server.Log.Entries.Select(entry => entry.Message)));
        (LogLevel level, _, string message, Exception? exception) = server.Log.Entries.First(entry => entry.Event.Id == id);
        string name = level switch
        {
            LogLevel.Debug => "dbug",
            LogLevel.Information => "info",
            LogLevel.Warning => "warn",
            _ => "fail",
        };
        string log = $"{name}: {ServerLog.Category}[{id}]\n{message}";
        return exception is null ? log : $"{log}\n{exception.GetType().FullName}: {exception.Message}";
    }

    private static string Answer(string response)
    {
        string[] parts = response.Split("\r\n\r\n", 2);
        return $"{parts[0].Split("\r\n")[0]}\n{parts[1]}";
    }

    private static string Thrown(Exception e) => $"{e.GetType().Name}: {e.Message}";

    private static string Normalise(string text) => Whitespace().Replace(text, " ").Trim();

    private static Dictionary<string, string> ReadQuoted()
    {
        var quoted = new Dictionary<string, string>();
        string[] lines = File.ReadAllLines(Path.Combine(Repository.Root, "docs", "troubleshooting.md"));
        for (int i = 0; i < lines.Length; i++)
        {
            if (lines[i].StartsWith("```text ", StringComparison.Ordinal))
            {
                quoted.Add(lines[i]["```text ".Length..], string.Join('\n', lines.Skip(i + 1).TakeWhile(line => line != "```")));
            }
        }

        return quoted;
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Whitespace();
}
