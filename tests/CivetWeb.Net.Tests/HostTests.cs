using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>For which hosts a server answers: <see cref="CivetWebServerOptions.AllowedHosts"/>, <c>allowed_hosts</c>.</summary>
[TestFixture]
internal sealed class HostTests
{
    private const string Refusal =
        "This server does not answer for the host of the request. (Its option for that is AllowedHosts, or allowed_hosts.)\n";

    private static readonly (string Hosts, string? Host, int Status)[] Hosts =
    [
        // the default, on loopback
        ("", "localhost", 200),
        ("", "localhost:8080", 200),
        ("", "LocalHost", 200),
        ("", "localhost.", 200),
        ("", "localhost.:80", 200),
        ("", "app.localhost", 200),
        ("", "a.b.LOCALHOST.:1", 200),
        ("", "127.0.0.1", 200),
        ("", "127.255.3.4:65535", 200),
        ("", "[::1]", 200),
        ("", "[0:0:0:0:0:0:0:1]:80", 200),
        ("", "[::ffff:127.0.0.1]", 200),
        ("", "rebound.example", 421),
        ("", "rebound.example:8080", 421),
        ("", "localhost.rebound.example", 421),
        ("", "127.0.0.1.rebound.example", 421),
        ("", "notlocalhost", 421),
        ("", "128.0.0.1", 421),
        ("", "0.0.0.0", 421),
        ("", "127.1", 421),
        ("", "[::2]", 421),
        ("", "[::]", 421),
        ("", "[::ffff:192.0.2.1]", 421),
        ("", "", 400),
        ("", "localhost..", 400),
        ("", ".localhost", 400),
        ("", "a..localhost", 400),
        ("", "localhost:x", 400),
        ("", "localhost:65536", 400),
        ("", "localhost:-1", 400),
        ("", "localhost, rebound.example", 400),
        ("", "localhost rebound.example", 400),
        ("", "user@localhost", 400),
        ("", "localhost/", 400),
        ("", "[::1", 400),
        ("", "::1", 400),
        ("", "[::1%1]", 400),
        ("", "[127.0.0.1]", 400),
        ("", "loc\u00e4lhost", 400),

        // configured
        ("example.com", "example.com", 200),
        ("Example.COM.", "eXample.com:1", 200),
        ("example.com", "example.com.", 200),
        ("example.com", "www.example.com", 421),
        ("example.com", "localhost", 421),
        ("example.com", "127.0.0.1", 421),
        ("*.example.com", "www.example.com", 200),
        ("*.example.com", "a.b.EXAMPLE.com.:8", 200),
        ("*.example.com", "example.com", 421),
        ("*.example.com", "wwwexample.com", 421),
        ("*.example.com", ".example.com", 400),
        ("*.example.com,example.com", "example.com", 200),
        ("192.0.2.1,[2001:DB8:0::1]", "192.0.2.1:80", 200),
        ("192.0.2.1,[2001:DB8:0::1]", "[2001:db8::1]:80", 200),
        ("192.0.2.1,[2001:DB8:0::1]", "[2001:db8::2]", 421),
        ("*", "rebound.example", 200),
        ("example.com,*", "rebound.example", 200),
    ];

    public enum Api
    {
        Server,
        Callback,
    }

    private static IEnumerable<TestCaseData> Cases =>
        from api in Enum.GetValues<Api>()
        from c in Hosts
        select new TestCaseData(api, c.Hosts, c.Host, c.Status).SetArgDisplayNames(api.ToString(), c.Hosts, $"'{c.Host}'", $"{c.Status}");

    [TestCaseSource(nameof(Cases))]
    public async Task A_request_for_another_host_is_refused(Api api, string hosts, string host, int status)
    {
        await using var server = await Server.StartAsync(api, hosts);
        foreach (string request in new[]
        {
            $"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
            $"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n",
            $"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
            RawClient.UpgradeRequest().Replace("Host: localhost", $"Host: {host}", StringComparison.Ordinal),
        })
        {
            bool upgrades = request.Contains("Upgrade:", StringComparison.Ordinal);
            int reached = server.Reached;
            string answer = server.Exchange(request);
            AssertAnswer(answer, upgrades && status == 200 ? 418 : status);
            Assert.That(server.Reached - reached, Is.EqualTo(status == 200 ? 1 : 0), "reached a handler");
        }
    }

    [Test]
    public async Task A_refusal_has_no_body_for_HEAD_and_is_logged([Values] Api api)
    {
        await using var server = await Server.StartAsync(api, "");
        string answer = server.Exchange("HEAD /x HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
        Assert.That(answer, Does.StartWith("HTTP/1.1 421 ").And.EndWith("\r\n\r\n"));
        Assert.That(server.Log, Has.Some.Contains("Refused HEAD /x from 127.0.0.1").And.Some.Contains("with 421"));
    }

    [TestCase(Api.Server, "", 200)] // no browser
    [TestCase(Api.Callback, "", 200)]
    [TestCase(Api.Server, "example.com", 400)]
    [TestCase(Api.Callback, "example.com", 400)]
    [TestCase(Api.Server, "*", 200)]
    [TestCase(Api.Callback, "*", 200)]
    public async Task A_request_without_a_host_passes_unless_hosts_are_named(Api api, string hosts, int status)
    {
        await using var server = await Server.StartAsync(api, hosts);
        AssertAnswer(server.Exchange("GET / HTTP/1.0\r\n\r\n"), status);
    }

    [Test]
    public async Task Of_two_hosts_none_counts([Values] Api api, [Values("", "localhost")] string hosts)
    {
        await using var server = await Server.StartAsync(api, hosts);
        AssertAnswer(server.Exchange("GET / HTTP/1.1\r\nHost: localhost\r\nHost: rebound.example\r\nConnection: close\r\n\r\n"), 400);
        AssertAnswer(server.Exchange("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n"), 400);
        AssertAnswer(server.Exchange(RawClient.UpgradeRequest(extraHeaders: "hOST: rebound.example\r\n")), 400);
        Assert.That(server.Reached, Is.Zero);
    }

    /// <summary>RFC 9112, section 3.2.2: the host of the target is what is asked for. Both have to be right.</summary>
    [Test]
    public async Task A_whole_URL_as_target_names_a_host_too()
    {
        await using var server = await Server.StartAsync(Api.Server, "");
        string Ask(string target, string host) =>
            server.Exchange($"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        AssertAnswer(Ask($"http://localhost:{server.Port}/", "localhost"), 200);
        AssertAnswer(Ask($"http://rebound.example:{server.Port}/", "localhost"), 421);
        AssertAnswer(Ask($"http://localhost:{server.Port}/", "rebound.example"), 421);
        Assert.That(server.Reached, Is.EqualTo(1));
    }

    /// <summary>The target of the callback API's own domain (authentication_domain).</summary>
    [Test]
    public async Task A_whole_URL_as_target_names_a_host_in_the_callback_API_too()
    {
        await using var server = await Server.StartAsync(Api.Callback, "localhost");
        AssertAnswer(server.Exchange($"GET http://mydomain.com:{server.Port}/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), 421);
        Assert.That(server.Reached, Is.Zero);
    }

    [TestCase(Api.Server, "http://*:0")]
    [TestCase(Api.Server, "http://0.0.0.0:0")]
    [TestCase(Api.Callback, "0")]
    [TestCase(Api.Callback, "+0")]
    [TestCase(Api.Callback, "0.0.0.0:0")]
    public async Task Elsewhere_than_on_loopback_every_host_is_served_unless_hosts_are_named(Api api, string listen)
    {
        await using (var open = await Server.StartAsync(api, "", listen))
        {
            AssertAnswer(open.Exchange("GET / HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n"), 200);
        }

        await using var closed = await Server.StartAsync(api, "example.com", listen);
        AssertAnswer(closed.Exchange("GET / HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n"), 421);
    }

    /// <summary>Each address has its rule: a neighbour that is open does not open the one on loopback.</summary>
    [TestCase(Api.Server, "http://127.0.0.1:0 http://*:0")]
    [TestCase(Api.Callback, "127.0.0.1:0,+0")]
    [TestCase(Api.Callback, "127.0.0.1:0,0")]
    public async Task An_open_neighbour_opens_no_loopback_address(Api api, string listen)
    {
        await using var server = await Server.StartAsync(api, "", listen);
        const string Request = "GET / HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n";
        AssertAnswer(RawClient.Exchange(server.Ports[0], Request), 421);
        AssertAnswer(RawClient.Exchange(server.Ports[1], Request), 200);
    }

    [Test]
    public async Task On_IPv6_loopback_it_is_the_same([Values] Api api)
    {
        await using var server = await Server.StartAsync(api, "", api == Api.Server ? "http://[::1]:0" : "[::1]:0");
        using var client = new TcpClient(AddressFamily.InterNetworkV6);
        await client.ConnectAsync(IPAddress.IPv6Loopback, server.Port);
        await client.GetStream().WriteAsync("GET / HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n"u8.ToArray());
        using var reader = new StreamReader(client.GetStream());
        AssertAnswer(await reader.ReadToEndAsync(), 421);
    }

    [Test]
    public async Task On_a_Unix_domain_socket_every_host_is_served_unless_hosts_are_named([Values] Api api)
    {
        DirectoryInfo folder = SocketFolder.Create();
        try
        {
            foreach ((string hosts, int status) in new[] { ("", 200), ("example.com", 421) })
            {
                string path = Path.Combine(folder.FullName, "s");
                await using var server = await Server.StartAsync(api, hosts, (api == Api.Server ? "http://unix:" : "x") + path);
                using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
                await socket.SendAsync("GET / HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n"u8.ToArray());
                using var reader = new StreamReader(new NetworkStream(socket));
                AssertAnswer(await reader.ReadToEndAsync(), status);
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [TestCase("")]
    [TestCase(" ")]
    [TestCase("example.com,,a.example")]
    [TestCase("http://example.com")]
    [TestCase("example.com:80")]
    [TestCase("example.com/")]
    [TestCase("example..com")]
    [TestCase(".example.com")]
    [TestCase("*example.com")]
    [TestCase("*.")]
    [TestCase("www.*.com")]
    [TestCase("*.[::1]")]
    [TestCase("::1")]
    [TestCase("[::1%lo]")]
    [TestCase("b\u00fccher.example")]
    [TestCase("example.com;example.org")]
    public void An_entry_that_is_none_is_refused_at_the_start(string entry)
    {
        ArgumentException refusal = Assert.Throws<ArgumentException>(() => Http.StartServer(_ => 0, ["listening_ports", "127.0.0.1:0", "allowed_hosts", entry]))!;
        Assert.That(refusal.Message, Does.Contain("'allowed_hosts'").And.Contain("*.example.com"));
        var server = new CivetWebServer(new CivetWebServerOptions { Listen = { "http://127.0.0.1:0" }, AllowedHosts = { entry } });
        refusal = Assert.ThrowsAsync<ArgumentException>(() => server.StartAsync())!;
        Assert.That(refusal.Message, Does.Contain("CivetWebServerOptions.AllowedHosts").And.Contain($"'{entry}'"));
    }

    [Test]
    public void A_null_is_refused_at_the_start()
    {
        var server = new CivetWebServer(new CivetWebServerOptions { Listen = { "http://127.0.0.1:0" }, AllowedHosts = { null! } });
        Assert.That(() => server.StartAsync(), Throws.ArgumentException.With.Message.Contains("AllowedHosts"));
    }

    private static void AssertAnswer(string answer, int status)
    {
        Assert.That(answer, Does.StartWith($"HTTP/1.1 {status} "));
        int end = answer.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4;
        string[] length = [.. answer[..end].Split("\r\n").Where(line => line.StartsWith("Content-Length: ", StringComparison.Ordinal))];
        Assert.That(length, Is.EqualTo((string[])[$"Content-Length: {answer.Length - end}"]), "a complete response, and nothing behind it");
        if (status == 421)
        {
            Assert.That(answer, Does.EndWith(Refusal));
        }
    }

    private sealed class Server : IAsyncDisposable
    {
        private readonly ConcurrentQueue<string> _messages = new();
        private readonly LogCollector _log = new();
        private CivetWebServer? _server;
        private Context? _context;
        private int _reached;

        public int[] Ports => _server is null
            ? [.. _context!.Ports.Select(port => port.Port)]
            : [.. _server.EndPoints.Select(endPoint => endPoint.EndPoint).OfType<IPEndPoint>().Select(endPoint => endPoint.Port)];

        public int Port => Ports[0];

        public int Reached => _reached;

        public string[] Log => [.. _messages, .. _log.Entries.Select(entry => entry.Message)];

        public static async Task<Server> StartAsync(Api api, string hosts, string? listen = null)
        {
            var server = new Server();
            await server.BeginAsync(api, hosts, listen);
            return server;
        }

        public string Exchange(string request) => RawClient.Exchange(Port, request);

        public async ValueTask DisposeAsync()
        {
            _context?.Dispose();
            if (_server is not null)
            {
                await _server.DisposeAsync();
            }
        }

        private async Task BeginAsync(Api api, string hosts, string? listen)
        {
            if (api == Api.Callback)
            {
                var options = new Dictionary<string, string> { ["listening_ports"] = listen ?? "127.0.0.1:0", ["num_threads"] = "4" };
                if (hosts.Length > 0)
                {
                    options["allowed_hosts"] = hosts;
                }

                _context = Http.StartServer(
                    new Callbacks
                    {
                        BeginRequest = Answer,
                        LogMessage = (_, message) =>
                        {
                            _messages.Enqueue(message);
                            return 1;
                        },
                    },
                    options);
                return;
            }

            var server = new CivetWebServerOptions { MaxConnections = 4, LoggerFactory = _log };
            foreach (string entry in (listen ?? "http://127.0.0.1:0").Split(' '))
            {
                server.Listen.Add(entry);
            }

            foreach (string host in hosts.Split(',', StringSplitOptions.RemoveEmptyEntries))
            {
                server.AllowedHosts.Add(host);
            }

            server.WebSockets.OnHandshake = handshake =>
            {
                _reached++;
                handshake.Reject(418, "in");
                return Task.CompletedTask;
            };
            _server = new CivetWebServer(server);
            _server.Use((_, response) =>
            {
                _reached++;
                response.WriteText("in");
            });
            _server.MapWebSocket("/ws", _ => Task.CompletedTask);
            await _server.StartAsync();
        }

        private int Answer(Connection connection)
        {
            _reached++;
            int status = Http.GetRequestInfo(connection).GetHeader("Upgrade") is null ? 200 : 418;
            Http.Write(connection, Encoding.ASCII.GetBytes($"HTTP/1.1 {status} In\r\nContent-Length: 2\r\nConnection: close\r\n\r\nin"));
            return status;
        }
    }
}
