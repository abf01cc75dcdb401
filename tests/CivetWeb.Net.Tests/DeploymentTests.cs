using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// What docs/deployment.md shows is what runs here: its program, its nginx and haproxy configurations, the commands of its
/// Dockerfile, its unit.
/// </summary>
[TestFixture]
internal sealed class DeploymentTests
{
    private const string Document = "docs/deployment.md";
    private const string ClientAddress = "127.0.0.2";

    // ---- the program ----

    [TestCase("TERM")]
    [TestCase("INT")]
    public async Task The_program_tells_its_clients_and_stops_when_it_gets(string signal)
    {
        // A shell's background jobs, these tests perhaps among them, ignore SIGINT, and so would the program.
        string[] unignored = ["env", $"--default-signal={signal}"];
        string[] command = TestProgram.DeploymentCommand("http://127.0.0.1:0");
        using var program = new LineProcess(EchoServerProcess.TryRun([.. unignored, "true"]) ? [.. unignored, .. command] : command);
        await StopsInOrderAsync(program, () => EchoServerProcess.Signal(program.Id, signal));
    }

    [Test]
    public async Task The_program_stops_in_order_as_process_1_of_a_container()
    {
        string[] asFirst = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
        if (!EchoServerProcess.TryRun([.. asFirst, "true"]))
        {
            Assert.Ignore("A process namespace takes root and unshare.");
        }

        using var unshare = new LineProcess([.. asFirst, .. TestProgram.DeploymentCommand("http://127.0.0.1:0")]);
        await StopsInOrderAsync(unshare, () =>
        {
            string child = File.ReadAllText($"/proc/{unshare.Id}/task/{unshare.Id}/children").Trim();
            EchoServerProcess.Signal(int.Parse(child, CultureInfo.InvariantCulture), "TERM");
        });
    }

    [Test]
    public async Task The_needs_of_the_program_are_as_in_the_table()
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("/proc is Linux's.");
        }

        const int Clients = 50;
        using var program = new LineProcess(TestProgram.DeploymentCommand("http://127.0.0.1:0"));
        int port = await ListeningAsync(program);
        var options = new CivetWebServerOptions();
        int threads = options.MaxConnections + options.ReservedHttpThreads;
        var clients = new List<RawClient> { RawClient.Open(port, "/echo") }; // what is made once is there after the first
        clients[0].SendFrame(0x81, "x"u8);
        clients[0].ReadFrame();
        try
        {
            int descriptors = Descriptors();
            long memory = Status("VmRSS");
            Assert.That(Status("Threads"), Is.InRange(threads, threads + 40));
            Assert.That(descriptors, Is.LessThan(120));
            for (int i = 0; i < Clients; i++)
            {
                clients.Add(RawClient.Open(port, "/echo"));
                clients[^1].SendFrame(0x81, "x"u8);
                clients[^1].ReadFrame();
            }

            Assert.That(Descriptors() - descriptors, Is.EqualTo(Clients).Within(Clients / 4), "one for each WebSocket");
            Assert.That((Status("VmRSS") - memory) / Clients, Is.LessThan(400), "KiB for each WebSocket");
            Assert.That(Status("Threads"), Is.InRange(threads, threads + 40));
        }
        finally
        {
            clients.ForEach(client => client.Dispose());
        }

        int Descriptors() => Directory.GetFiles($"/proc/{program.Id}/fd").Length;

        long Status(string name) => long.Parse(
            File.ReadLines($"/proc/{program.Id}/status").First(line => line.StartsWith(name + ":", StringComparison.Ordinal)).Split(['\t', ' '], StringSplitOptions.RemoveEmptyEntries)[1],
            CultureInfo.InvariantCulture);
    }

    // ---- the proxies ----

    [Test]
    public async Task Nginx_as_documented_serves_pages_and_WebSockets_over_TLS()
    {
        await using var server = await StartAsync(DeploymentExamples.Forwarded());
        using var certificates = new TestCertificates();
        using DocumentedProxy proxy = await NginxAsync(certificates, $"127.0.0.1:{server.Port}");
        await EchoesAsync(proxy, certificates, expectedClient: $"{ClientAddress}:0");
    }

    [Test]
    public async Task Nginx_as_documented_serves_a_Unix_domain_socket()
    {
        DirectoryInfo folder = SocketFolder.Create();
        try
        {
            string path = Path.Combine(folder.FullName, "web.sock");
            CivetWebServerOptions options = DeploymentExamples.UnixSocket();
            options.Listen[0] = $"http://unix:{path}";
            await using var server = await StartAsync(options);
            string[] blocks = [.. Blocks("nginx")];
            Assert.That(blocks, Has.Length.EqualTo(2), "the whole configuration, and the other upstream");
            using var certificates = new TestCertificates();
            using DocumentedProxy proxy = await NginxAsync(
                certificates,
                change: text => Replace(text, Upstream(blocks[0]), Replace(blocks[1].Trim(), "/run/example/web.sock", path)));
            await EchoesAsync(proxy, certificates, expectedClient: $"{ClientAddress}:0");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [TestCase("proxy_http_version 1.1;", 400, "A WebSocket needs HTTP/1.1.")]
    [TestCase("proxy_set_header Upgrade $http_upgrade;", 400, "")]
    [TestCase("proxy_set_header Host $http_host;", 421, "This server does not answer for the host of the request.")]
    public async Task Without_a_line_of_nginx_conf_WebSockets_are_refused(string line, int status, string text)
    {
        await using var server = await StartAsync(DeploymentExamples.Forwarded());
        using var certificates = new TestCertificates();
        using DocumentedProxy proxy = await NginxAsync(certificates, $"127.0.0.1:{server.Port}", configuration => Replace(configuration, line, ""));
        using HttpClient http = Client(certificates);
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri($"https://127.0.0.1:{proxy.Port}/echo"));
        request.Headers.Add("Origin", $"https://127.0.0.1:{proxy.Port}");
        request.Headers.Add("Connection", "Upgrade");
        request.Headers.Add("Upgrade", "websocket");
        request.Headers.Add("Sec-WebSocket-Version", "13");
        request.Headers.Add("Sec-WebSocket-Key", RawClient.Key);
        using HttpResponseMessage answer = await http.SendAsync(request);
        Assert.That((int)answer.StatusCode, Is.EqualTo(status));
        Assert.That(await answer.Content.ReadAsStringAsync(), Does.Contain(text));
    }

    [Test]
    public async Task Haproxy_as_documented_serves_pages_and_WebSockets_over_TLS()
    {
        await using var server = await StartAsync(DeploymentExamples.ProxyProtocol());
        using var certificates = new TestCertificates();
        string pem = certificates.Write("all.pem", TestCertificates.Pem(certificates.Server, certificates.Issuer) + TestCertificates.KeyPem(certificates.Server));
        int port = FreePort.Choose();
        string configuration = Replace(Blocks("haproxy").Single(), "bind :443", $"bind 127.0.0.1:{port}");
        configuration = Replace(configuration, "/etc/ssl/example/all.pem", pem);
        configuration = Replace(configuration, "127.0.0.1:8080", $"127.0.0.1:{server.Port}");
        using DocumentedProxy proxy = await DocumentedProxy.StartAsync("/usr/sbin/haproxy", "haproxy", port, configuration, file => ["-db", "-f", file]);
        await EchoesAsync(proxy, certificates, expectedClient: ClientAddress);
    }

    [Test]
    public void The_proxies_time_outs_are_longer_than_the_interval_of_pings()
    {
        double interval = WebSocketSettings.Create(new WebSocketEndpointOptions(), new WebSocketEndpointOptions()).KeepAliveInterval.TotalSeconds;
        string[] times =
        [
            .. Blocks("nginx").Concat(Blocks("haproxy")).SelectMany(block => block.Split('\n')).Select(line => line.Trim().TrimEnd(';'))
                .Where(line => line.StartsWith("proxy_read_timeout", StringComparison.Ordinal) || line.StartsWith("timeout tunnel", StringComparison.Ordinal)),
        ];
        Assert.That(times, Has.Length.EqualTo(2));
        Assert.That(times.Select(line => double.Parse(line.Split(' ')[^1].TrimEnd('s'), CultureInfo.InvariantCulture)), Has.All.GreaterThan(2 * interval));
    }

    [Test]
    public void The_options_of_the_callback_API_are_taken()
    {
        string[] options = DeploymentExamples.CallbackOptions();
        options[1] = "127.0.0.1:0";
        using Context context = Http.StartServer(_ => 0, options);
        Assert.That(context.Port, Is.GreaterThan(0));
    }

    // ---- container and service manager ----

    [Test]
    public async Task The_commands_of_the_Dockerfile_are_ones_the_program_understands()
    {
        string[] lines = [.. Blocks("dockerfile").Single().Split('\n').Select(line => line.Trim())];
        string publish = lines.Single(line => line.Contains("dotnet publish", StringComparison.Ordinal));
        string copy = lines.Single(line => line.StartsWith("COPY --from=", StringComparison.Ordinal));
        string[] entry = Command(lines, "ENTRYPOINT ");
        string[] health = Command(lines, "HEALTHCHECK CMD ");
        string project = Path.GetFileNameWithoutExtension(publish.Split(' ').Single(word => word.EndsWith(".csproj", StringComparison.Ordinal)));
        string output = publish.Split(' ')[^1];
        Assert.Multiple(() =>
        {
            Assert.That(copy, Does.StartWith("COPY --from=build ").And.Contains($" {output} "));
            Assert.That(lines, Has.Some.EndsWith(" AS build"));
            Assert.That(entry[..2], Is.EqualTo((string[])["dotnet", $"{copy.Split(' ')[^1]}/{project}.dll"]));
            Assert.That(health[..2], Is.EqualTo(entry[..2]));
            Assert.That(lines, Has.Member($"EXPOSE {new Uri(entry[2]).Port}"));
            Assert.That(new Uri(health[3]).Port, Is.EqualTo(new Uri(entry[2]).Port));
        });

        string url = new UriBuilder(entry[2]) { Port = 0 }.Uri.GetLeftPart(UriPartial.Authority);
        string page;
        using (var program = new LineProcess(TestProgram.DeploymentCommand(url)))
        {
            int port = await ListeningAsync(program);
            page = new UriBuilder(health[3]) { Port = port }.Uri.ToString();
            using var healthy = new LineProcess(TestProgram.DeploymentCommand(health[2], page));
            await healthy.FinishAsync(TestServer.Patience);
        }

        (int exitCode, _) = Tool.Run("dotnet", TestProgram.DeploymentCommand(health[2], page).Skip(1));
        Assert.That(exitCode, Is.EqualTo(1), "a server that is gone is not healthy");
    }

    [Test]
    public void The_unit_is_one_for_systemd()
    {
        string unit = Blocks("systemd").Single();
        string exec = unit.Split('\n').Single(line => line.StartsWith("ExecStart=", StringComparison.Ordinal))["ExecStart=".Length..];
        Assert.That(Uri.TryCreate(exec.Split(' ')[^1], UriKind.Absolute, out _));
        var options = new CivetWebServerOptions();
        Assert.That(Value("TasksMax"), Is.GreaterThan(options.MaxConnections + options.ReservedHttpThreads + 50));
        Assert.That(Value("TimeoutStopSec"), Is.GreaterThan(options.ShutdownTimeout.TotalSeconds + 2));
        if (!EchoServerProcess.TryRun("systemd-analyze", "--version"))
        {
            Assert.Ignore("systemd-analyze is not there.");
        }

        // Programs that are not there are complained of.
        DirectoryInfo folder = Directory.CreateTempSubdirectory("civetweb-unit-");
        try
        {
            string file = Path.Combine(folder.FullName, "example.service");
            File.WriteAllText(file, Replace(unit, "/usr/bin/dotnet", "/bin/true"));
            (int exitCode, string output) = Tool.Run("systemd-analyze", ["verify", "--man=no", file]);
            Assert.That(output, Does.Not.Contain("example.service"));
            Assert.That(exitCode, Is.Zero, output);
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        int Value(string name) => int.Parse(
            unit.Split('\n').Single(line => line.StartsWith(name + "=", StringComparison.Ordinal)).Split('=')[1], CultureInfo.InvariantCulture);
    }

    /// <summary>A client is connected; then the program is told to stop.</summary>
    private static async Task StopsInOrderAsync(LineProcess program, Action signal)
    {
        int port = await ListeningAsync(program);
        using var client = new ClientWebSocket();
        client.Options.Proxy = null;
        using var timeout = new CancellationTokenSource(TestServer.Patience);
        await client.ConnectAsync(new Uri($"ws://127.0.0.1:{port}/echo"), timeout.Token);
        await client.SendTextAsync("Hello!");
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Hello!"));

        signal();
        Assert.That((await client.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
        Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.EndpointUnavailable));
        await client.CloseNormallyAsync();
        Assert.That((await program.FinishAsync(TestServer.Patience))[^1], Is.EqualTo("Stopped."));
    }

    private static async Task<int> ListeningAsync(LineProcess program)
    {
        await Eventually.IsTrueAsync(() => program.Lines.Length > 0 || program.HasExited, "the program listens");
        Assert.That(program.Lines, Is.Not.Empty);
        return new Uri(program.Lines[0].Split(' ')[^1]).Port;
    }

    private static Task<RunningServer> StartAsync(CivetWebServerOptions documented) => RunningServer.StartAsync(
        server =>
        {
            server.MapGet("/who", (request, response) => response.WriteText($"{request.RemoteEndPoint}"));
            server.MapWebSocket("/echo", async context =>
            {
                await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
                {
                    await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
                }
            });
        },
        options =>
        {
            if (documented.AllowedHosts.Count > 0)
            {
                options.AllowedHosts.Add("127.0.0.1"); // where the tests' proxy listens
            }

            // What the document listens on, but for the port.
            options.Listen.Add(documented.Listen[0].Replace("8080", "0", StringComparison.Ordinal));
            options.UnixSocketMode = documented.UnixSocketMode;
            options.ProxyProtocol = documented.ProxyProtocol;
            foreach (string proxy in documented.TrustedProxies)
            {
                options.TrustedProxies.Add(proxy);
            }
        });

    private static async Task EchoesAsync(DocumentedProxy proxy, TestCertificates certificates, string expectedClient)
    {
        using HttpClient http = Client(certificates);
        Assert.That(await http.GetStringAsync(new Uri($"https://127.0.0.1:{proxy.Port}/who")), Does.StartWith(expectedClient));

        using var timeout = new CancellationTokenSource(TestServer.Patience);
        var uri = new Uri($"wss://127.0.0.1:{proxy.Port}/echo");
        using (var own = new ClientWebSocket())
        {
            own.Options.SetRequestHeader("Origin", $"https://127.0.0.1:{proxy.Port}");
            await own.ConnectAsync(uri, http, timeout.Token);
            await own.SendTextAsync("Hello! 👋");
            Assert.That(await own.ReceiveTextAsync(), Is.EqualTo("Hello! 👋"));
            await own.CloseNormallyAsync();
        }

        using var foreign = new ClientWebSocket();
        foreign.Options.SetRequestHeader("Origin", "https://example.com");
        foreign.Options.CollectHttpResponseDetails = true;
        Assert.ThrowsAsync<WebSocketException>(() => foreign.ConnectAsync(uri, http, timeout.Token));
        Assert.That(foreign.HttpStatusCode, Is.EqualTo(HttpStatusCode.Forbidden));
    }

    /// <summary>A client with an address of its own that trusts the test's certificate.</summary>
    private static HttpClient Client(TestCertificates certificates) => new(new SocketsHttpHandler
    {
        UseProxy = false,
        SslOptions = new()
        {
            RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate!.GetRawCertData().AsSpan().SequenceEqual(certificates.Server.RawData),
        },
        ConnectCallback = async (context, cancellation) =>
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Parse(ClientAddress), 0));
                await socket.ConnectAsync(context.DnsEndPoint, cancellation);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        },
    }) { Timeout = TestServer.Patience };

    private static Task<DocumentedProxy> NginxAsync(TestCertificates certificates, string? backend = null, Func<string, string>? change = null)
    {
        int port = FreePort.Choose();
        string folder = Path.GetDirectoryName(certificates.PathOf("x"))!;
        string configuration = Blocks("nginx").First();
        configuration = Replace(configuration, "listen 443 ssl", $"listen 127.0.0.1:{port} ssl");
        configuration = Replace(configuration, "/etc/ssl/example/fullchain.pem", certificates.Write("chain.pem", TestCertificates.Pem(certificates.Server, certificates.Issuer)));
        configuration = Replace(configuration, "/etc/ssl/example/privkey.pem", certificates.Write("key.pem", TestCertificates.KeyPem(certificates.Server)));
        configuration = change?.Invoke(configuration) ?? configuration;
        configuration = backend is null ? configuration : Replace(configuration, "server 127.0.0.1:8080;", $"server {backend};");

        // Where it may write, which a test has to say and a system's nginx knows.
        string folders = string.Concat(((string[])["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]).Select(name => $" {name}_temp_path {folder}/{name};"));
        configuration = Replace(configuration, "http {", $"http {{ access_log off;{folders}");
        return DocumentedProxy.StartAsync(
            "/usr/sbin/nginx",
            "nginx",
            port,
            configuration,
            file => ["-p", folder, "-c", file, "-e", "stderr", "-g", $"daemon off; master_process off; pid {folder}/pid; error_log stderr warn;"]);
    }

    private static string Upstream(string configuration)
    {
        int begin = configuration.IndexOf("upstream example {", StringComparison.Ordinal);
        return configuration[begin..(configuration.IndexOf('}', begin) + 1)];
    }

    private static string Replace(string text, string old, string with)
    {
        Assert.That(text, Does.Contain(old), $"{Document} has it");
        return text.Replace(old, with, StringComparison.Ordinal);
    }

    private static string[] Command(string[] lines, string instruction) => JsonSerializer.Deserialize<string[]>(
        lines.Single(line => line.StartsWith(instruction, StringComparison.Ordinal))[instruction.Length..])!;

    private static IEnumerable<string> Blocks(string language)
    {
        string[] parts = File.ReadAllText(Path.Combine(Repository.Root, Document)).Split("\n```");
        return parts.Where(part => part.StartsWith(language + "\n", StringComparison.Ordinal)).Select(part => part[(language.Length + 1)..] + "\n");
    }

    /// <summary>nginx or haproxy with a configuration of the document.</summary>
    private sealed class DocumentedProxy : IDisposable
    {
        private readonly DirectoryInfo _directory;
        private readonly LineProcess _process;

        private DocumentedProxy(DirectoryInfo directory, LineProcess process, int port)
        {
            _directory = directory;
            _process = process;
            Port = port;
        }

        public int Port { get; }

        public static async Task<DocumentedProxy> StartAsync(string program, string package, int port, string configuration, Func<string, string[]> arguments)
        {
            if (!File.Exists(program))
            {
                Repository.Missing($"{program} is missing (Debian, Ubuntu: apt-get install {package})");
            }

            DirectoryInfo directory = Directory.CreateTempSubdirectory("civetweb-proxy-");
            string file = Path.Combine(directory.FullName, "proxy.conf");
            await File.WriteAllTextAsync(file, configuration);
            var proxy = new DocumentedProxy(directory, new LineProcess([program, .. arguments(file)]), port);
            try
            {
                await Eventually.IsTrueAsync(() => proxy._process.HasExited || proxy.Accepts(), $"{package} accepts");
                if (proxy._process.HasExited)
                {
                    await proxy._process.FinishAsync(TestServer.Patience);
                }

                return proxy;
            }
            catch
            {
                proxy.Dispose();
                throw;
            }
        }

        public void Dispose()
        {
            _process.Dispose();
            _directory.Delete(recursive: true);
        }

        private bool Accepts()
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Connect(IPAddress.Loopback, Port);
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        }
    }
}
