using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// A server behind Debian's nginx and haproxy, and a client behind an HTTP proxy. The proxies connect from 127.0.0.1, the
/// clients from other addresses of the loopback network.
/// </summary>
[TestFixture]
internal sealed class ProxyTests
{
    private const string ClientAddress = "127.0.0.2";
    private const string OtherClientAddress = "127.0.0.3";
    private const string Forged = "203.0.113.9";
    private const int LoadClients = 200;

    private static readonly ProxyKind[] All =
        [ProxyKind.Nginx, ProxyKind.NginxStream, ProxyKind.Haproxy, ProxyKind.HaproxyV1, ProxyKind.HaproxyV2];

    private static readonly ProxyKind[] OneOfEach = [ProxyKind.Nginx, ProxyKind.Haproxy];

    internal enum ProxyKind
    {
        /// <summary>nginx, X-Forwarded-For.</summary>
        Nginx,

        /// <summary>nginx, PROXY protocol 1.</summary>
        NginxStream,

        /// <summary>haproxy, X-Forwarded-For.</summary>
        Haproxy,

        /// <summary>haproxy, PROXY protocol 1.</summary>
        HaproxyV1,

        /// <summary>haproxy, PROXY protocol 2.</summary>
        HaproxyV2,
    }

    // ---- in front of the server ----

    [TestCaseSource(nameof(All))]
    public async Task A_WebSocket_passes_and_the_client_is_known(ProxyKind kind)
    {
        using TestServer server = Serve(kind);
        ConcurrentQueue<string> seen = MapWho(server);
        using ProxyProcess proxy = await ProxyProcess.StartAsync(kind, server.Port);
        using ClientWebSocket client = await ConnectAsync(proxy.Port, ClientAddress, Forged);
        byte[] large = [.. Enumerable.Range(0, 1 << 20).Select(i => (byte)(i * 7L % 251))];
        await client.SendTextAsync("Grüße, 世界 \U0001f600");
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Grüße, 世界 \U0001f600"));
        await client.SendBinaryAsync(large);
        Assert.That((await client.ReceiveMessageAsync()).Data.AsSpan().SequenceEqual(large));
        await client.CloseNormallyAsync();
        Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.NormalClosure));
        Assert.That(seen, Has.Count.EqualTo(1));
        seen.TryDequeue(out string? who);
        bool knowsPort = kind is not (ProxyKind.Nginx or ProxyKind.Haproxy);
        Assert.That(who, Is.EqualTo($"{ClientAddress} 127.0.0.1 {knowsPort}"), "client, peer, whether the port is known");
    }

    [TestCaseSource(nameof(OneOfEach))]
    public async Task Limits_by_address_are_about_the_clients_not_the_proxy(ProxyKind kind)
    {
        using TestServer server = Serve(kind, ("websocket_max_connections_per_address", "1"));
        server.MapEcho();
        using ProxyProcess proxy = await ProxyProcess.StartAsync(kind, server.Port);
        using ClientWebSocket first = await ConnectAsync(proxy.Port, ClientAddress);
        using ClientWebSocket other = await ConnectAsync(proxy.Port, OtherClientAddress);
        WebSocketException refused = Assert.ThrowsAsync<WebSocketException>(() => ConnectAsync(proxy.Port, ClientAddress, Forged))!;
        Assert.That(refused.Message, Does.Contain("503"));
        await first.CloseNormallyAsync();
        await other.CloseNormallyAsync();
    }

    [TestCaseSource(nameof(OneOfEach))]
    public async Task Pings_keep_an_idle_WebSocket_from_the_proxys_time_out(ProxyKind kind)
    {
        using TestServer server = Serve(kind, ("websocket_ping_interval_ms", "500"));
        server.MapEcho();
        using ProxyProcess proxy = await ProxyProcess.StartAsync(kind, server.Port);
        using ClientWebSocket client = await ConnectAsync(proxy.Port, ClientAddress);
        Task<string> received = client.ReceiveTextAsync(); // pongs are sent while it receives
        await Task.Delay(ProxyProcess.IdleTime * 2.5);
        Assert.That(received.IsCompleted, Is.False, "cut off");
        await client.SendTextAsync("still here");
        Assert.That(await received, Is.EqualTo("still here"));
        await client.CloseNormallyAsync();
    }

    [TestCaseSource(nameof(OneOfEach))]
    public async Task Without_pings_the_proxy_cuts_it_off_and_both_sides_hear_of_it(ProxyKind kind)
    {
        using TestServer server = Serve(kind, ("websocket_ping_interval_ms", "0"));
        EchoCounts counts = server.MapEcho();
        using ProxyProcess proxy = await ProxyProcess.StartAsync(kind, server.Port);
        using ClientWebSocket client = await ConnectAsync(proxy.Port, ClientAddress);
        Assert.That(async () => await client.ReceiveMessageAsync(), Throws.InstanceOf<WebSocketException>());
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) == 1, "the close callback");
    }

    [TestCaseSource(nameof(OneOfEach))]
    public async Task Two_hundred_clients_lose_no_message(ProxyKind kind)
    {
        string? configured = Environment.GetEnvironmentVariable("CIVETWEB_NET_PROXY_SECONDS");
        var time = TimeSpan.FromSeconds(configured is null ? 5 : double.Parse(configured, CultureInfo.InvariantCulture));
        using TestServer server = Serve(kind, ("num_threads", "256"), ("websocket_ping_interval_ms", "500"));
        EchoCounts counts = server.MapEcho();
        using ProxyProcess proxy = await ProxyProcess.StartAsync(kind, server.Port);
        using var connecting = new SemaphoreSlim(20);
        long sent = 0, echoed = 0;
        var clock = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, LoadClients).Select(i => Task.Run(async () =>
        {
            await connecting.WaitAsync();
            ClientWebSocket client;
            try
            {
                client = await ConnectAsync(proxy.Port, ClientAddress);
            }
            finally
            {
                connecting.Release();
            }

            using (client)
            {
                for (int n = 0; n == 0 || clock.Elapsed < time; n++)
                {
                    string text = $"client {i}, message {n} {new string('x', n % 50 == 49 ? 20_000 : i)}";
                    await client.SendTextAsync(text);
                    Interlocked.Increment(ref sent);
                    if (await client.ReceiveTextAsync() == text)
                    {
                        Interlocked.Increment(ref echoed);
                    }
                }

                await client.CloseNormallyAsync();
                Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.NormalClosure));
            }
        })));
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) == LoadClients, "every close callback");
        await TestContext.Out.WriteLineAsync(
            $"{kind}: {LoadClients} clients, {clock.Elapsed.TotalSeconds:F0} s, {sent} messages, {sent / clock.Elapsed.TotalSeconds:F0} a second, {sent - echoed} lost");
        Assert.That(echoed, Is.EqualTo(sent));
        Assert.That(counts.Connects, Is.EqualTo(LoadClients));
        Assert.That(counts.Readies, Is.EqualTo(LoadClients));
    }

    // ---- what a proxy forbids ----

    /// <summary>Ways to write a path that is, or looks like, one below /admin/: by dots, slashes, backslashes, escapes and their mixtures.</summary>
    private static readonly string[] Spellings =
    [
        "/admin/x", "/admin./x", "/admin../x", "/admin.../x", "/admin%2e/x", "/admin%2E%2e/x", "/admin.%2e./x", "/admin /x",
        "/admin%20/x", "/admin%20./x", "//admin/x", "///admin/x", "/admin//x", "/admin./", "/admin.", "/./admin/x", "/.//admin/x",
        "/x/../admin/x", "/x/..//admin/x", "/x/./../admin/x", "/x/.../admin/x", "/x/%2e%2e/admin/x", "/x/.%2e/admin/x", "/%2e/admin/x",
        "/x//../admin/x", "/x//../../admin/x", "/admin//../x", "/admin//%2e%2e/x", "/admin/.//../x", "/x/y//../../admin/x", "/../admin/x",
        "/x/..\\admin/x", "/x\\..\\admin\\x", "\\admin\\x", "/\\admin/x", "/admin\\x", "/admin\\..\\admin\\x", "/x/..%5cadmin/x", "/x%5c..%5cadmin%5cx",
        "/admin%5cx", "/admin%5C%2e%5Cx", "/%5cadmin/x", "/%5Cadmin%5Cx", "/x/..%2fadmin/x", "/x%2F..%2Fadmin%2Fx", "/public%2F..%2Fadmin",
        "/public%2F..%2Fadmin%2Fx", "/admin%2Fx", "/%2Fadmin/x", "/%2fadmin%2fx", "/admin%2f.%2fx", "/%61dmin/x", "/%61%64%6d%69%6e/x", "/admin%2f..%2fadmin/x",
        "/x#/../admin/x", "/#/../admin/x", "/x%23/../admin/x", "/x?/../admin/x", "/x%3f/../admin/x", "/admin;a=b/x", "/x/..;/admin/x",
        "/admin%00/x", "/admin%0a/x", "/x/..%00/admin/x", "/%c0%afadmin/x", "/x/%c0%ae%c0%ae/admin/x", "/x/..%c0%afadmin/x", "/admin%c0%af/x", "/%252e/admin/x",
        "/x/%252e%252e/admin/x", "/admin%252fx", "/ADMIN/x", "/Admin./x", "/x/../admin./x", "/admin./../admin./x", "/./admin./x", "/admin/./x", "/admin/../admin/x",
    ];

    /// <summary>What an honest client may send for something else, and the path it means.</summary>
    private static readonly (string Target, string Path)[] OtherPaths =
    [
        ("/", "/"), ("/administrator", "/administrator"), ("/x/admin/y", "/x/admin/y"), ("/report.", "/report."), ("/v1.../y", "/v1.../y"), ("/.well-known/x", "/.well-known/x"),
        ("/a%2Fb", "/a%2Fb"), ("/a%5Cb", "/a%5Cb"), ("/a%20b", "/a b"), ("/a+b", "/a+b"), ("/%C3%BC", "/ü"), ("/a;b=c,d", "/a;b=c,d"), ("/a:b@c", "/a:b@c"),
        ("/100%25", "/100%"), ("/a%23b", "/a#b"), ("/a%3Fb", "/a?b"), ("/a..b", "/a..b"), ("/..a/a..", "/..a/a.."), ("/~user/", "/~user/"), ("/x?https://example.org/../a//b", "/x"),
    ];

    [Test]
    public async Task No_spelling_of_a_path_that_a_proxy_forbids_gets_past_it_and_no_other_path_is_changed(
        [Values(ProxyKind.Nginx, ProxyKind.Haproxy)] ProxyKind kind, [Values] bool isServerApi)
    {
        Assert.That(Spellings, Has.Length.GreaterThanOrEqualTo(60).And.Unique);
        await using EitherServer server = EitherServer.Start(isServerApi, isTls: false);
        using ProxyProcess proxy = await ProxyProcess.StartAsync(kind, server.Port);
        string Ask(string target) =>
            Exchange(proxy.Port, $"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        foreach ((string target, string path) in OtherPaths)
        {
            Assert.That(Ask(target), Does.StartWith("HTTP/1.1 200 ").And.Contain($"\r\n\r\n{target}\n{path}"), target);
        }

        // What is below /admin without any proxy reaches the handler, so that the proxy is what keeps it out.
        Assert.That(server.Ask("/admin/x").Path, Is.EqualTo("/admin/x"));
        int answered = 0;
        foreach (string target in Spellings)
        {
            string answer = Ask(target);
            if (answer.StartsWith("HTTP/1.1 200 ", StringComparison.Ordinal))
            {
                string path = answer.Split("\r\n\r\n", 2)[1].Split('\n')[1];
                Assert.That(path, Is.Not.EqualTo("/admin").And.Not.StartWith("/admin/"), target);
                answered++;
            }
            else
            {
                Assert.That(answer, Is.Empty.Or.Match("^(HTTP/1.[01] 40[034] |<html>)"), target);
            }
        }

        await TestContext.Out.WriteLineAsync($"{kind}: {Spellings.Length} spellings, {answered} of them another path to both");
    }

    // ---- X-Forwarded-For ----

    [Test]
    public void What_untrusted_clients_say_is_ignored()
    {
        foreach (string? proxies in new[] { null, "", "192.0.2.1, ::1, unix" })
        {
            using TestServer server = Serve(proxies);
            Assert.That(Who(server.Port, $"X-Forwarded-For: {Forged}\r\n"), Does.StartWith("127.0.0.1 127.0.0.1 True"));
        }
    }

    [TestCase("", null)]
    [TestCase("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1")]
    [TestCase("x-forwarded-for: 203.0.113.9, 192.0.2.1\r\n", "192.0.2.1")]
    [TestCase("X-Forwarded-For: 203.0.113.9\r\nX-Other: 1\r\nX-Forwarded-For: 192.0.2.1, 10.1.2.3\r\n", "192.0.2.1")]
    [TestCase("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.1.2.3\r\nX-Forwarded-For: 2001:db8::5\r\n", "192.0.2.1")]
    [TestCase("X-Forwarded-For: 10.0.0.1 ,  10.0.0.2\r\n", "10.0.0.1")] // all of them ours: the farthest
    [TestCase("X-Forwarded-For: 192.0.2.1:8080\r\n", "192.0.2.1")]
    [TestCase("X-Forwarded-For: 2001:DB9::1\r\n", "2001:db9::1")]
    [TestCase("X-Forwarded-For: [2001:db9::1]\r\n", "2001:db9::1")]
    [TestCase("X-Forwarded-For: [2001:db9::1]:443\r\n", "2001:db9::1")]
    [TestCase("X-Forwarded-For: ::ffff:192.0.2.1\r\n", "192.0.2.1")]
    [TestCase("X-Forwarded-For: 192.0.2.1, ::ffff:10.0.0.1, [::ffff:10.0.0.2]:1\r\n", "192.0.2.1")]
    [TestCase("X-Forwarded-For: \r\n", null)]
    [TestCase("X-Forwarded-For: , ,\r\n", null)]
    [TestCase("X-Forwarded-For: unknown, 192.0.2.1,, \r\n", "192.0.2.1")] // RFC 9110, 5.6.1.2; what is left of the client is hearsay
    [TestCase("Forwarded: for=203.0.113.9\r\n", null)]
    public void The_client_is_the_first_from_the_right_that_is_no_proxy_of_ours(string headers, string? client)
    {
        using TestServer server = Serve("127.0.0.1, 10.0.0.0/8, 2001:db8::/32");
        Assert.That(Who(server.Port, headers), Is.EqualTo(client is null ? "127.0.0.1 127.0.0.1 True" : $"{client} 127.0.0.1 False"));
    }

    [TestCase("203.0.113.9, unknown")]
    [TestCase("203.0.113.9, unknown, 10.0.0.1")]
    [TestCase("127.0.0.1, _hidden, 127.0.0.1")]
    [TestCase("203.0.113.9, 1")]
    [TestCase("203.0.113.9, 192.0.2.01")]
    [TestCase("203.0.113.9, 0x7f000001")]
    [TestCase("203.0.113.9, 192.0.2.1:")]
    [TestCase("203.0.113.9, 192.0.2.1:65536")]
    [TestCase("203.0.113.9, [192.0.2.1]")]
    [TestCase("203.0.113.9, [2001:db9::1")]
    [TestCase("203.0.113.9, [2001:db9::1]1")]
    [TestCase("203.0.113.9, fe80::1%1")]
    public void A_client_whose_address_a_trusted_proxy_does_not_tell_is_refused(string forwarded)
    {
        int reached = 0;
        var log = new ConcurrentQueue<string>();
        var callbacks = new Callbacks
        {
            BeginRequest = _ => ++reached,
            LogMessage = (_, message) =>
            {
                log.Enqueue(message);
                return 1;
            },
        };
        using var server = new TestServer(callbacks, ("trusted_proxies", "127.0.0.1, 10.0.0.0/8, 2001:db8::/32"));
        EchoCounts echo = server.MapEcho();
        string answer = RawClient.Exchange(server.Port, $"GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {forwarded}\r\n\r\n");
        Assert.That(answer, Does.StartWith("HTTP/1.1 400 ").And.EndWith("X-Forwarded-For does not tell the client's address.\n"));
        answer = RawClient.Exchange(server.Port, RawClient.UpgradeRequest(extraHeaders: $"X-Forwarded-For: {forwarded}\r\n"));
        Assert.That(answer, Does.StartWith("HTTP/1.1 400 "));
        Assert.That((reached, echo.Connects), Is.EqualTo((0, 0)));
        Assert.That(log, Has.Count.EqualTo(2).And.All.StartsWith("Refused GET /"));
    }

    [Test]
    public void A_proxys_own_header_that_is_the_last_of_as_many_as_there_may_be_counts()
    {
        using TestServer server = Serve("127.0.0.1");
        string many = string.Concat(Enumerable.Range(0, 61).Select(i => $"X-{i}: 1\r\n"));
        Assert.That(Who(server.Port, $"X-Forwarded-For: {Forged}\r\n{many}X-Forwarded-For: 192.0.2.1\r\n"), Is.EqualTo("192.0.2.1 127.0.0.1 False"));
    }

    [Test]
    public void A_peer_on_a_Unix_domain_socket_can_be_trusted()
    {
        DirectoryInfo directory = SocketFolder.Create();
        try
        {
            string path = Path.Combine(directory.FullName, "s");
            foreach ((string proxies, string expected) in new[] { ("unix", "192.0.2.1 * False"), ("127.0.0.1, 0.0.0.0/0, ::/0", "* * ") })
            {
                using TestServer server = Serve(proxies, ("listening_ports", "x" + path));
                using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                socket.Connect(new UnixDomainSocketEndPoint(path));
                socket.Send("GET /who HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"u8);
                using var reader = new StreamReader(new NetworkStream(socket));
                Assert.That(reader.ReadToEnd().Split("\r\n\r\n")[1], Does.StartWith(expected));
            }
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    // ---- PROXY protocol ----

    [TestCase("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", "192.0.2.1 127.0.0.1 56324")]
    [TestCase("PROXY TCP6 2001:db8::1 2001:db8::2 1234 443\r\n", "2001:db8::1 127.0.0.1 1234")]
    [TestCase("PROXY TCP6 ::ffff:192.0.2.1 ::1 1234 443\r\n", "192.0.2.1 127.0.0.1 1234")]
    [TestCase("\r\n\r\n\0\r\nQUIT\n\u0021\u0011\0\u000F\u00C0\0\u0002\u0001\u00C6\u0033\u0064\u0007\u00DC\u0004\u0001\u00BBtlv", "192.0.2.1 127.0.0.1 56324")]
    [TestCase("PROXY UNKNOWN\r\n", "127.0.0.1 127.0.0.1 ")]
    [TestCase("\r\n\r\n\0\r\nQUIT\n\u0020\0\0\0", "127.0.0.1 127.0.0.1 ")]
    public void The_address_of_a_PROXY_header_is_the_clients(string header, string expected)
    {
        var logged = new ConcurrentQueue<string>();
        using TestServer server = Serve(
            new Callbacks
            {
                LogAccess = (_, message) =>
                {
                    logged.Enqueue(message);
                    return 1;
                },
            },
            "127.0.0.1",
            ("proxy_protocol", "yes"));
        byte[] all = Encoding.Latin1.GetBytes($"{header}GET /who HTTP/1.1\r\nHost: localhost\r\nX-Port: 1\r\n\r\n");
        foreach (int piece in new[] { all.Length, 1 })
        {
            using var client = new RawClient(server.Port);
            for (int i = 0; i < all.Length; i += piece)
            {
                client.Send(all.AsSpan(i, piece));
            }

            string response = Encoding.UTF8.GetString(client.ReadToEnd());
            Assert.That(response, Does.StartWith("HTTP/1.1 200 "));
            Assert.That(response.Split("\r\n\r\n")[1], Does.StartWith(expected));
        }

        server.Context.Dispose();
        Assert.That(logged, Has.Count.EqualTo(2).And.All.StartsWith(expected.Split(' ')[0] + " "), "CivetWeb's own log");
    }

    [Test]
    public void X_Forwarded_For_counts_after_a_PROXY_header_only_if_that_names_a_proxy_of_ours()
    {
        using TestServer server = Serve("127.0.0.1, 10.0.0.0/8", ("proxy_protocol", "yes"));
        const string Request = "GET /who HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
        Assert.That(Exchange(server.Port, "PROXY TCP4 10.0.0.5 10.0.0.6 1 2\r\n" + Request), Does.EndWith("192.0.2.1 127.0.0.1 False"));
        Assert.That(Exchange(server.Port, "PROXY TCP4 198.51.100.7 10.0.0.6 1 2\r\n" + Request), Does.EndWith("198.51.100.7 127.0.0.1 True"));
    }

    [TestCase("GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n", "malformed")]
    [TestCase("PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\nGET /who HTTP/1.1\r\nHost: localhost\r\n\r\n", "malformed")]
    [TestCase("PROXY TCP4 192.0.2.1", "in time")]
    [TestCase("", "in time")]
    public async Task A_trusted_proxy_without_its_header_gets_no_answer(string sent, string reason)
    {
        var logged = new ConcurrentQueue<string>();
        using TestServer server = Serve(
            new Callbacks
            {
                LogMessage = (_, message) =>
                {
                    logged.Enqueue(message);
                    return 1;
                },
            },
            "127.0.0.1",
            ("proxy_protocol", "yes"),
            ("request_timeout_ms", "300"));
        using var client = new RawClient(server.Port);
        client.Send(sent);
        Assert.That(client.ReadToEnd(), Is.Empty);
        await Eventually.IsTrueAsync(() => !logged.IsEmpty, "it is logged");
        Assert.That(logged, Has.Some.Contains("127.0.0.1 should have sent a PROXY protocol header, but").And.Some.Contains(reason));
        Assert.That(Exchange(server.Port, "PROXY UNKNOWN\r\nGET /who HTTP/1.1\r\nHost: localhost\r\n\r\n"), Does.StartWith("HTTP/1.1 200 "), "the next one");
    }

    [Test]
    public void An_untrusted_PROXY_header_is_a_bad_request_and_none_is_needed()
    {
        using TestServer server = Serve("192.0.2.1", ("proxy_protocol", "yes"));
        const string Request = "GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n";
        // Unchecked: CivetWeb takes what follows PROXY for the version of HTTP, and repeats it in its status line.
        string refusal = RawClient.ExchangeUnchecked(server.Port, "PROXY TCP4 203.0.113.9 10.0.0.6 1 2\r\n" + Request);
        Assert.That(refusal, Does.Contain(" 400 Bad Request\r\n"));
        Assert.That(Exchange(server.Port, Request), Does.EndWith("127.0.0.1 127.0.0.1 True"));
    }

    [Test]
    public void A_proxy_that_says_nothing_does_not_hold_up_stopping()
    {
        using TestServer server = Serve("127.0.0.1", ("proxy_protocol", "yes"), ("request_timeout_ms", "60000"));
        using var client = new RawClient(server.Port);
        client.Send("PROXY ");
        var clock = Stopwatch.StartNew();
        server.Dispose();
        Assert.That(clock.Elapsed, Is.LessThan(TimeSpan.FromSeconds(15)));
    }

    // ---- options ----

    [TestCase("127.0.0.1,,::1", "''")]
    [TestCase("localhost", "'localhost'")]
    [TestCase("127.1", "'127.1'")]
    [TestCase("10.0.0.1/8", "'10.0.0.1/8'")]
    [TestCase("10.0.0.0/33", "'10.0.0.0/33'")]
    [TestCase("10.0.0.0/", "'10.0.0.0/'")]
    [TestCase("10.0.0.0/8/8", "'10.0.0.0/8/8'")]
    [TestCase("10.0.0.0/-1", "'10.0.0.0/-1'")]
    [TestCase("[::1]", "'[::1]'")]
    [TestCase("fe80::1%1", "'fe80::1%1'")]
    [TestCase("2001:db8::1/64", "'2001:db8::1/64'")]
    [TestCase("::ffff:10.0.0.0/64", "'::ffff:10.0.0.0/64'")]
    [TestCase("Unix", "'Unix'")]
    public void A_trusted_proxy_that_is_none_is_named(string value, string named)
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => ServerSettings.Parse([KeyValuePair.Create("trusted_proxies", value)]))!;
        Assert.That(error.Message, Does.Contain("trusted_proxies").And.Contain(named));
    }

    [TestCase("127.0.0.1", "127.0.0.1", true)]
    [TestCase("127.0.0.1", "::ffff:127.0.0.1", true)]
    [TestCase("::ffff:127.0.0.1", "127.0.0.1", true)]
    [TestCase("::ffff:10.0.0.0/104", "10.9.9.9", true)]
    [TestCase("::ffff:10.0.0.0/104", "11.0.0.0", false)]
    [TestCase("::/0", "10.0.0.0", false)]
    [TestCase("0.0.0.0/0", "10.0.0.0", true)]
    [TestCase("0.0.0.0/0", "::1", false)]
    [TestCase("fe80::/10", "fe80::1%eth0", true)]
    [TestCase("10.0.0.0/8 , unix", "*", true)]
    [TestCase("10.0.0.0/8", "*", false)]
    [TestCase("0.0.0.0/0, ::/0, unix", "", false)]
    public void Who_is_trusted(string option, string address, bool expected) =>
        Assert.That(TrustedProxies.Parse(option)!.Contains(address), Is.EqualTo(expected));

    [Test]
    public void The_PROXY_protocol_needs_trusted_proxies_and_no_TLS()
    {
        Assert.That(Refusal(("proxy_protocol", "yes")), Does.Contain("'proxy_protocol'").And.Contain("'trusted_proxies'"));
        Assert.That(Refusal(("proxy_protocol", "yes"), ("trusted_proxies", "")), Does.Contain("'trusted_proxies'"));
        Assert.That(Refusal(("proxy_protocol", "on"), ("trusted_proxies", "::1")), Does.Contain("'proxy_protocol' is 'on'").And.Contain("'yes' or 'no'"));
        string certificate = Path.GetTempFileName();
        try
        {
            Assert.That(
                Refusal(("proxy_protocol", "yes"), ("trusted_proxies", "::1"), ("listening_ports", "8080,8443s"), ("ssl_certificate", certificate)),
                Does.Contain("'proxy_protocol'").And.Contain("TLS").And.Contain("'listening_ports'"));
        }
        finally
        {
            File.Delete(certificate);
        }

        ServerSettings settings = ServerSettings.Parse([KeyValuePair.Create("proxy_protocol", "yes"), KeyValuePair.Create("trusted_proxies", "unix")]);
        Assert.That(settings.ReadsProxyProtocol);
        Assert.That(settings.NativeOptions.Select(option => option.Key), Has.None.EqualTo("proxy_protocol").And.None.EqualTo("trusted_proxies"));
        Assert.That(ServerSettings.Parse([KeyValuePair.Create("proxy_protocol", "no")]).ReadsProxyProtocol, Is.False);
    }

    // ---- in front of the client ----

    [Test]
    public async Task ClientWebSocket_comes_through_an_HTTP_CONNECT_proxy()
    {
        using TestServer server = Serve("192.0.2.1");
        ConcurrentQueue<string> seen = MapWho(server);
        using var proxy = new ConnectProxy();
        using var client = new ClientWebSocket();
        client.Options.Proxy = new WebProxy(new Uri($"http://127.0.0.1:{proxy.Port}"));
        using (var timeout = new CancellationTokenSource(TestServer.Patience))
        {
            await client.ConnectAsync(server.Uri(), timeout.Token);
        }

        await client.SendTextAsync("through the tunnel");
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("through the tunnel"));
        await client.CloseNormallyAsync();
        Assert.That(proxy.Requests, Is.EqualTo((string[])[$"CONNECT 127.0.0.1:{server.Port} HTTP/1.1"]));
        Assert.That(seen, Is.EqualTo((string[])["127.0.0.1 127.0.0.1 True"]));
    }

    private static string Refusal(params (string Name, string Value)[] options) =>
        Assert.Throws<ArgumentException>(() => ServerSettings.Parse(options.Select(option => KeyValuePair.Create(option.Name, option.Value))))!.Message;

    private static TestServer Serve(ProxyKind kind, params (string Name, string Value)[] options) => kind is ProxyKind.Nginx or ProxyKind.Haproxy
        ? Serve("127.0.0.1", options)
        : Serve("127.0.0.1", [.. options, ("proxy_protocol", "yes")]);

    private static TestServer Serve(string? proxies, params (string Name, string Value)[] options) => Serve(new Callbacks(), proxies, options);

    private static TestServer Serve(Callbacks callbacks, string? proxies, params (string Name, string Value)[] options)
    {
        callbacks.BeginRequest = connection =>
        {
            RequestInfo info = Http.GetRequestInfo(connection);
            if (info.LocalUri != "/who")
            {
                return 0;
            }

            string body = info.GetHeader("X-Port") is null ? Describe(info) : $"{info.RemoteAddress} {info.PeerAddress} {info.RemotePort}";
            Http.Print(connection, $"HTTP/1.1 200 OK\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n{body}");
            return 200;
        };
        return new TestServer(callbacks, proxies is null ? options : [.. options, ("trusted_proxies", proxies)]);
    }

    private static string Describe(RequestInfo info) => $"{info.RemoteAddress} {info.PeerAddress} {info.RemotePort != 0}";

    /// <summary>An echo that notes who comes.</summary>
    private static ConcurrentQueue<string> MapWho(TestServer server)
    {
        var seen = new ConcurrentQueue<string>();
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            (connection, _) =>
            {
                seen.Enqueue(Describe(Http.GetRequestInfo(connection)));
                return 0;
            },
            null,
            (connection, bits, data, _) => bits is 1 or 2 && Http.WriteToWebSocket(connection, bits, data) < 0 ? 0 : 1,
            null);
        return seen;
    }

    private static string Who(int port, string headers) =>
        Exchange(port, $"GET /who HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").Split("\r\n\r\n")[1];

    private static string Exchange(int port, string request) => RawClient.Exchange(port, request);

    private static async Task<ClientWebSocket> ConnectAsync(int port, string from, string? forwardedFor = null)
    {
        using var timeout = new CancellationTokenSource(TestServer.Patience);
        using var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            ConnectCallback = async (context, cancellation) =>
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                try
                {
                    socket.Bind(new IPEndPoint(IPAddress.Parse(from), 0));
                    await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port), cancellation);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        };
        using var invoker = new HttpMessageInvoker(handler);
        var client = new ClientWebSocket();
        try
        {
            if (forwardedFor is not null)
            {
                client.Options.SetRequestHeader("X-Forwarded-For", forwardedFor);
            }

            await client.ConnectAsync(new Uri($"ws://127.0.0.1:{port}/ws"), invoker, timeout.Token);
            return client;
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    /// <summary>nginx or haproxy with a configuration of its own, in the foreground.</summary>
    private sealed class ProxyProcess : IDisposable
    {
        /// <summary>After which silence it cuts a connection off.</summary>
        public static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(2);

        private const string Nginx = "/usr/sbin/nginx";
        private const string Haproxy = "/usr/sbin/haproxy";
        private const string NginxStreamModule = "/usr/lib/nginx/modules/ngx_stream_module.so";

        private readonly DirectoryInfo _directory = SocketFolder.Create();
        private readonly StringBuilder _output = new();
        private readonly Process _process;

        private ProxyProcess(ProxyKind kind, int backend)
        {
            Port = FreePort.Choose();
            string configuration = Path.Combine(_directory.FullName, "proxy.conf");
            bool nginx = kind is ProxyKind.Nginx or ProxyKind.NginxStream;
            File.WriteAllText(configuration, nginx ? NginxConfiguration(kind, backend) : HaproxyConfiguration(kind, backend));
            _process = new Process
            {
                StartInfo = nginx
                    ? EchoServerProcess.StartInfo(Nginx, "-p", _directory.FullName, "-c", configuration, "-e", "stderr")
                    : EchoServerProcess.StartInfo(Haproxy, "-db", "-f", configuration),
            };
            _process.OutputDataReceived += (_, e) => Add(e.Data);
            _process.ErrorDataReceived += (_, e) => Add(e.Data);
            _process.Start();
            _process.StandardInput.Close();
            _process.BeginOutputReadLine();
            _process.BeginErrorReadLine();
        }

        public int Port { get; }

        public static async Task<ProxyProcess> StartAsync(ProxyKind kind, int backend)
        {
            (string tool, string package) = kind switch
            {
                ProxyKind.Nginx => (Nginx, "nginx"),
                ProxyKind.NginxStream => (NginxStreamModule, "libnginx-mod-stream"),
                _ => (Haproxy, "haproxy"),
            };
            if (!File.Exists(tool))
            {
                Repository.Missing($"{tool} is missing (Debian, Ubuntu: apt-get install {package})");
            }

            var proxy = new ProxyProcess(kind, backend);
            try
            {
                await Eventually.IsTrueAsync(() => proxy._process.HasExited || proxy.Accepts(), $"{kind} accepts");
                return proxy._process.HasExited ? throw new InvalidOperationException($"{kind} has ended: {proxy.Output}") : proxy;
            }
            catch
            {
                proxy.Dispose();
                throw;
            }
        }

        public void Dispose()
        {
            if (!_process.HasExited)
            {
                _process.Kill();
                _process.WaitForExit();
            }

            _process.Dispose();
            _directory.Delete(recursive: true);
        }

        private string Output
        {
            get
            {
                lock (_output)
                {
                    return _output.ToString();
                }
            }
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

        private void Add(string? line)
        {
            if (line is not null)
            {
                lock (_output)
                {
                    _output.AppendLine(line);
                }
            }
        }

        private string NginxConfiguration(ProxyKind kind, int backend) => $$"""
            daemon off;
            master_process off;
            pid {{_directory.FullName}}/pid;
            error_log stderr warn;
            {{(kind == ProxyKind.NginxStream ? $"load_module {NginxStreamModule};" : "")}}
            events { worker_connections 2048; }
            {{(kind == ProxyKind.NginxStream
                ? $$"""
                stream {
                    server {
                        listen 127.0.0.1:{{Port}};
                        proxy_pass 127.0.0.1:{{backend}};
                        proxy_protocol on;
                        proxy_timeout {{IdleTime.TotalSeconds}}s;
                    }
                }
                """
                : $$"""
                http {
                    access_log off;
                    client_body_temp_path {{_directory.FullName}}/body;
                    proxy_temp_path {{_directory.FullName}}/proxy;
                    fastcgi_temp_path {{_directory.FullName}}/fastcgi;
                    uwsgi_temp_path {{_directory.FullName}}/uwsgi;
                    scgi_temp_path {{_directory.FullName}}/scgi;
                    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
                    server {
                        listen 127.0.0.1:{{Port}};
                        location /admin/ { return 403; }
                        location / {
                            proxy_pass http://127.0.0.1:{{backend}};
                            proxy_http_version 1.1;
                            proxy_set_header Host $host;
                            proxy_set_header Upgrade $http_upgrade;
                            proxy_set_header Connection $connection_upgrade;
                            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                            proxy_read_timeout {{IdleTime.TotalSeconds}}s;
                        }
                    }
                }
                """)}}
            """;

        private string HaproxyConfiguration(ProxyKind kind, int backend)
        {
            string send = kind switch
            {
                ProxyKind.HaproxyV1 => "send-proxy",
                ProxyKind.HaproxyV2 => "send-proxy-v2",
                _ => "",
            };
            return $"""
                global
                    maxconn 2000
                    nbthread 1
                    expose-experimental-directives
                defaults
                    mode http
                    timeout connect 10s
                    timeout client 30s
                    timeout server 30s
                    timeout tunnel {IdleTime.TotalSeconds}s
                    {(kind == ProxyKind.Haproxy ? "option forwardfor" : "")}
                frontend clients
                    bind 127.0.0.1:{Port}
                    http-request set-var(txn.sent) url
                    http-request normalize-uri percent-decode-unreserved
                    http-request normalize-uri path-strip-dot
                    http-request normalize-uri path-merge-slashes
                    http-request normalize-uri path-strip-dotdot full
                    acl forbidden path_beg /admin/
                    http-request deny if forbidden
                    http-request set-uri %[var(txn.sent)]
                    default_backend servers
                backend servers
                    server one 127.0.0.1:{backend} {send}

                """;
        }
    }

    /// <summary>A proxy that knows CONNECT and nothing else.</summary>
    private sealed class ConnectProxy : IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

        public ConnectProxy()
        {
            _listener.Start();
            Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
            _ = AcceptAsync();
        }

        public int Port { get; }

        public ConcurrentQueue<string> Requests { get; } = new();

        public void Dispose() => _listener.Dispose();

        private async Task AcceptAsync()
        {
            try
            {
                while (true)
                {
                    _ = ServeAsync(await _listener.AcceptTcpClientAsync());
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // disposed of
            }
        }

        private async Task ServeAsync(TcpClient client)
        {
            using (client)
            {
                NetworkStream near = client.GetStream();
                string head = "";
                byte[] one = new byte[1];
                while (!head.EndsWith("\r\n\r\n", StringComparison.Ordinal) && await near.ReadAsync(one) == 1)
                {
                    head += (char)one[0];
                }

                string line = head.Split("\r\n")[0];
                Requests.Enqueue(line);
                using var server = new TcpClient();
                await server.ConnectAsync(IPEndPoint.Parse(line.Split(' ')[1]));
                NetworkStream far = server.GetStream();
                await near.WriteAsync("HTTP/1.1 200 Connection established\r\n\r\n"u8.ToArray());
                await Task.WhenAny(near.CopyToAsync(far), far.CopyToAsync(near));
            }
        }
    }
}
