using System;
using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Who gets a WebSocket, and what the others are told.</summary>
public sealed class HandshakeTests
{
    [Test]
    public async Task The_first_subprotocol_the_client_wants_is_agreed_on_and_shown()
    {
        using var server = new TestServer();
        var seen = new TaskCompletionSource<(string?, string?)>();
        string? inConnect = null;
        Http.SetWebSocketHandlerWithSubprotocols(
            server.Context,
            "/ws",
            ["chat.v1", "chat.v2"],
            (connection, _) =>
            {
                inConnect = Http.GetRequestInfo(connection).Subprotocol;
                return 0;
            },
            (connection, _) => seen.TrySetResult((inConnect, Http.GetRequestInfo(connection).Subprotocol)),
            null,
            null);
        using ClientWebSocket client = await server.ConnectAsync(configure: o =>
        {
            o.AddSubProtocol("unknown");
            o.AddSubProtocol("chat.v2");
            o.AddSubProtocol("chat.v1");
        });
        Assert.That(client.SubProtocol, Is.EqualTo("chat.v2"));
        Assert.That(await seen.Task.WaitAsync(TestServer.Patience), Is.EqualTo(("chat.v2", "chat.v2")));
    }

    [Test]
    public void An_unknown_subprotocol_is_not_echoed()
    {
        using var server = new TestServer();
        Http.SetWebSocketHandlerWithSubprotocols(server.Context, "/ws", ["chat"], null, null, null, null, "any");
        Http.SetWebSocketHandlerWithSubprotocols(server.Context, "/ws2", ["chat"], (_, _) => 0, null, null, null);
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest("/ws2", "Sec-WebSocket-Protocol: Chat, chat2\r\n"));
        string head = client.ReadHead();
        Assert.That(head, Does.StartWith("HTTP/1.1 101 "));
        Assert.That(head, Does.Not.Contain("Sec-WebSocket-Protocol"));
    }

    [TestCase("")]
    [TestCase("a b")]
    [TestCase("a,b")]
    [TestCase("a\r\nX: y")]
    public void A_subprotocol_that_is_no_token_is_refused(string name)
    {
        using var server = new TestServer();
        Assert.That(
            () => Http.SetWebSocketHandlerWithSubprotocols(server.Context, "/ws", [name], (_, _) => 0, null, null, null),
            Throws.ArgumentException.With.Message.Contains("token"));
    }

    [Test]
    public void A_rejected_client_gets_a_complete_403()
    {
        using var server = new TestServer();
        int closes = 0;
        Http.SetWebSocketHandler(server.Context, "/ws", (_, _) => 1, null, null, (_, _) => closes++);
        string response = RawClient.Exchange(server.Port, RawClient.UpgradeRequest());
        Assert.That(response, Does.StartWith("HTTP/1.1 403 Forbidden\r\n"));
        Assert.That(response, Does.Contain("Content-Length: ").And.Contain("\r\n\r\n"));
        Assert.That(closes, Is.Zero, "what was not accepted is not closed");
        var thrown = Assert.ThrowsAsync<WebSocketException>(async () => await server.ConnectAsync());
        Assert.That(thrown!.Message, Does.Contain("403"));
    }

    [Test]
    public void A_connect_callback_may_write_its_own_refusal()
    {
        using var server = new TestServer();
        const string Refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n";
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            (connection, _) => Http.GetHeader(connection, "Authorization") == "Bearer good" ? 0 : Http.Print(connection, Refusal),
            null,
            null,
            null);
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest()), Is.EqualTo(Refusal));
        using RawClient allowed = RawClient.Open(server.Port, "/ws", "Authorization: Bearer good\r\n");
    }

    [Test]
    public void A_connect_callback_that_throws_rejects_with_500()
    {
        using var server = new TestServer();
        Http.SetWebSocketHandler(server.Context, "/ws", (_, _) => throw new InvalidOperationException("no"), null, null, null);
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest()), Does.StartWith("HTTP/1.1 500 "));
        Assert.That(server.Exceptions.TryDequeue(out Exception? e) ? e.Message : null, Is.EqualTo("no"));
    }

    [Test]
    public void A_path_without_handler_is_a_complete_404([Values] Api api, [Values("/nothing", "/WS", "/ws/", "/wsx", "/ws/more")] string path)
    {
        using EchoTarget server = EchoTarget.Start(api);
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest(path)), Does.StartWith("HTTP/1.1 404 Not Found\r\n"));
    }

    [Test]
    public void What_is_no_handshake_is_refused_with_a_complete_response([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api);
        string good = RawClient.UpgradeRequest();
        foreach ((string old, string changed, int status) in ((string, string, int)[])
            [
                ("GET", "POST", 405),
                ("GET", "HEAD", 405),
                ("HTTP/1.1", "HTTP/1.0", 400),
                ("Version: 13", "Version: 12", 426),
                ("Version: 13", "Version: 013", 426),
                ("Sec-WebSocket-Version: 13\r\n", "", 426),
                ("Host: localhost\r\n", "", 400),
                ($"Sec-WebSocket-Key: {RawClient.Key}\r\n", "", 400),
                (RawClient.Key, "short", 400),
                (RawClient.Key, new string('A', 100), 400),
                ("Upgrade: websocket", "Upgrade: websockets", 400),
                ("Sec-WebSocket-Version", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version", 400),
                ("Sec-WebSocket-Version", "Content-Length: 5\r\nSec-WebSocket-Version", 400),
                ("Sec-WebSocket-Version", "Transfer-Encoding: chunked\r\nSec-WebSocket-Version", 400),
            ])
        {
            string request = good.Replace(old, changed, StringComparison.Ordinal);
            string response = RawClient.Exchange(server.Port, request);
            Assert.That(response, Does.StartWith($"HTTP/1.1 {status} "), request);
            int body = response.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4;
            if (!request.StartsWith("HEAD", StringComparison.Ordinal))
            {
                Assert.That(response, Does.Contain($"Content-Length: {response.Length - body}\r\n"), request);
            }

            Assert.That(response.Contains("Sec-WebSocket-Version: 13\r\n", StringComparison.Ordinal), Is.EqualTo(status == 426), request);
        }

        Assert.That(server.Counts.Readies, Is.Zero);
        using RawClient client = RawClient.Open(server.Port);
        client.SendFrame(0x81, "fine"u8);
        Assert.That(client.ReadFrame().Payload, Is.EqualTo("fine"u8.ToArray()));
    }

    [Test]
    public async Task The_query_does_not_belong_to_the_path([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api);
        using ClientWebSocket client = await server.ConnectAsync("/ws?token=a%20b");
        await client.SendTextAsync("x");
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("x"));
    }

    [Test]
    public async Task Handlers_of_several_paths_do_not_mix()
    {
        using var server = new TestServer();
        for (int i = 0; i < 5; i++)
        {
            int number = i;
            Http.SetWebSocketHandler(
                server.Context, $"/{i}", null, (c, data) => Http.WriteTextToWebSocket(c, $"{number} {data}"), null, null, $"data {i}");
        }

        for (int i = 0; i < 5; i++)
        {
            using ClientWebSocket client = await server.ConnectAsync($"/{i}");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo($"{i} data {i}"));
        }
    }

    [Test]
    public async Task A_replaced_handler_serves_the_next_client_and_a_removed_one_nobody()
    {
        using var server = new TestServer();
        Http.SetWebSocketHandler(server.Context, "/ws", null, null, (c, _, _, _) => Http.WriteTextToWebSocket(c, "old"), null);
        using ClientWebSocket first = await server.ConnectAsync();
        Http.SetWebSocketHandler(server.Context, "/ws", null, null, (c, _, _, _) => Http.WriteTextToWebSocket(c, "new"), null);
        using ClientWebSocket second = await server.ConnectAsync();
        await first.SendTextAsync("x");
        await second.SendTextAsync("x");
        Assert.That(await first.ReceiveTextAsync(), Is.EqualTo("old"), "an open WebSocket keeps its callbacks");
        Assert.That(await second.ReceiveTextAsync(), Is.EqualTo("new"));

        Http.SetWebSocketHandler(server.Context, "/ws", null, null, null, null);
        (WebSocketMessageType type, _) = await first.ReceiveMessageAsync();
        Assert.That(type, Is.EqualTo(WebSocketMessageType.Close));
        Assert.That(first.CloseStatus, Is.EqualTo(WebSocketCloseStatus.EndpointUnavailable));
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest()), Does.StartWith("HTTP/1.1 404 "));
    }

    [Test]
    public async Task Over_the_limit_a_client_is_told_at_once_and_plain_http_goes_on()
    {
        using var server = new TestServer(
            new Callbacks { BeginRequest = c => Http.GetRequestInfo(c).LocalUri == "/" ? Answer(c) : 0 },
            ("num_threads", "8"),
            ("websocket_max_connections", "3"));
        EchoCounts counts = server.MapEcho();
        using ClientWebSocket a = await server.ConnectAsync();
        using ClientWebSocket b = await server.ConnectAsync();
        using ClientWebSocket c = await server.ConnectAsync();
        string response = RawClient.Exchange(server.Port, RawClient.UpgradeRequest());
        Assert.That(response, Does.StartWith("HTTP/1.1 503 Service Unavailable\r\n").And.Contain("Retry-After: "));
        Assert.That(RawClient.Exchange(server.Port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Does.StartWith("HTTP/1.1 200 "));

        await a.CloseNormallyAsync();
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) == 1, "the close callback");
        await Eventually.IsTrueAsync(() => server.Context.WebSocketCount == 2, "the place to be free again");
        using ClientWebSocket d = await server.ConnectAsync();
        await d.SendTextAsync("in");
        Assert.That(await d.ReceiveTextAsync(), Is.EqualTo("in"));

        static int Answer(Connection connection)
        {
            Http.Print(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return 200;
        }
    }

    [Test]
    [Logs(27)]
    public async Task At_the_limit_places_come_and_go([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { Threads = 8, MaxConnections = 3 });
        for (int round = 0; round < 3; round++)
        {
            using ClientWebSocket a = await server.ConnectAsync();
            using ClientWebSocket b = await server.ConnectAsync();
            using ClientWebSocket c = await server.ConnectAsync();
            string response = RawClient.Exchange(server.Port, RawClient.UpgradeRequest());
            Assert.That(response, Does.StartWith("HTTP/1.1 503 Service Unavailable\r\n").And.Contain("Retry-After: "));
            await a.SendTextAsync("in");
            Assert.That(await a.ReceiveTextAsync(), Is.EqualTo("in"));
            await a.CloseNormallyAsync();
            b.Abort();
            await c.CloseNormallyAsync();
            await Eventually.IsTrueAsync(() => server.WebSocketCount == 0, "the places to be free again");
        }

        Assert.That(server.Counts.Readies, Is.EqualTo(9), "the refused ones never got in");
    }

    [Test]
    [Logs(27)]
    public async Task The_limit_per_address_leaves_others_alone([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { MaxConnectionsPerAddress = 2 });
        using ClientWebSocket a = await server.ConnectAsync();
        using ClientWebSocket b = await server.ConnectAsync();
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest()), Does.StartWith("HTTP/1.1 503 "));

        using Socket other = ConnectFrom("127.0.0.2", server.Port, out string answer);
        Assert.That(answer, Is.EqualTo("HTTP/1.1 101"));
    }

    [Test]
    [Logs(27)]
    public void The_limit_of_all_holds_wherever_they_come_from([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { MaxConnections = 2, MaxConnectionsPerAddress = 2 });
        using Socket first = ConnectFrom("127.0.0.2", server.Port, out string firstAnswer);
        using Socket second = ConnectFrom("127.0.0.3", server.Port, out string secondAnswer);
        using Socket third = ConnectFrom("127.0.0.4", server.Port, out string thirdAnswer);
        Assert.That((firstAnswer, secondAnswer, thirdAnswer), Is.EqualTo(("HTTP/1.1 101", "HTTP/1.1 101", "HTTP/1.1 503")));
    }

    [Test]
    public async Task Of_several_patterns_that_match_the_newest_counts()
    {
        using var server = new TestServer();
        foreach (string pattern in (string[])["/a/**", "/a/*", "/a/b*"])
        {
            Http.SetWebSocketHandler(server.Context, pattern, null, (c, text) => Http.WriteTextToWebSocket(c, (string)text!), null, null, pattern);
            using ClientWebSocket client = await server.ConnectAsync("/a/bc");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo(pattern));
            await client.CloseNormallyAsync();
        }
    }

    /// <summary>All of 127.0.0.0/8 is this machine: another address, the same server.</summary>
    private static Socket ConnectFrom(string address, int port, out string answer)
    {
        var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = (int)TestServer.Patience.TotalMilliseconds };
        client.Bind(new IPEndPoint(IPAddress.Parse(address), 0));
        client.Connect(IPAddress.Loopback, port);
        client.Send(System.Text.Encoding.ASCII.GetBytes(RawClient.UpgradeRequest()));
        byte[] start = new byte[12];
        client.Receive(start);
        answer = System.Text.Encoding.ASCII.GetString(start);
        return client;
    }
}
