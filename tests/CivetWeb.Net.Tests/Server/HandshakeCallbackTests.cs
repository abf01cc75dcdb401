using System;
using System.Collections.Generic;
using System.Linq;
using System.Net.WebSockets;
using System.Security.Principal;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>OnHandshake: what the application can say before a WebSocket is opened, and what comes of it.</summary>
[TestFixture]
internal sealed class HandshakeCallbackTests
{
    [Test]
    public async Task The_response_is_as_the_application_wants_it()
    {
        await using RunningServer server = await StartAsync(async handshake =>
        {
            await Task.Yield();
            handshake.Subprotocol = "second";
            handshake.ResponseHeaders.Add("Set-Cookie", "a=1; HttpOnly");
            handshake.SetCookie("b", "2", new() { Secure = true, MaxAge = TimeSpan.FromMinutes(1) });
            handshake.ResponseHeaders.Add("X-Text", "any \"text\"\t~");
        });
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest(extraHeaders: "Sec-WebSocket-Protocol: first, second\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"));
        Assert.That(client.ReadHead(), Is.EqualTo(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            + "Sec-WebSocket-Protocol: second\r\nSet-Cookie: a=1; HttpOnly\r\nSet-Cookie: b=2; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax\r\nX-Text: any \"text\"\t~\r\n\r\n"));
    }

    [Test]
    public async Task What_it_finds_out_is_known_to_the_handler()
    {
        var seen = new TaskCompletionSource<string>();
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket(
            "/room/{id}",
            context =>
            {
                seen.SetResult($"{context.User!.Identity!.Name} {context.IsAuthenticated} {context.Items["key"]} {context.Subprotocol} {context.Route["id"]}");
                return Task.CompletedTask;
            },
            With(handshake =>
            {
                handshake.User = new GenericPrincipal(new GenericIdentity("anna", "test"), []);
                handshake.Request.Items["key"] = handshake.Request.Route["id"] + "!";
                handshake.Subprotocol = handshake.RequestedSubprotocols[1];
                return Task.CompletedTask;
            })));
        using ClientWebSocket client = await server.ConnectAsync("/room/7", o =>
        {
            o.AddSubProtocol("x");
            o.AddSubProtocol("y");
        });
        Assert.That(await seen.Task.WaitAsync(TestServer.Patience), Is.EqualTo("anna True 7! y 7"));
        Assert.That(client.SubProtocol, Is.EqualTo("y"));
    }

    [Test]
    public async Task A_rejection_is_a_complete_response()
    {
        await using RunningServer server = await StartAsync(handshake =>
        {
            handshake.ResponseHeaders.Add("Location", "https://example.org/");
            handshake.Reject(500, "not this one");
            handshake.Reject(302, "<p>gr\u00FC\u00DFe</p>", "text/html");
            Assert.That(handshake.IsRejected, Is.True);
            handshake.ResponseHeaders.Add("X-After", "too");
            return Task.CompletedTask;
        });
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest());
        Assert.That(Encoding.UTF8.GetString(client.ReadToEnd()), Is.EqualTo(
            "HTTP/1.1 302 Found\r\nContent-Type: text/html\r\nContent-Length: 14\r\nConnection: close\r\n"
            + "Location: https://example.org/\r\nX-After: too\r\n\r\n<p>gr\u00FC\u00DFe</p>"));
        Assert.That(server.Server.WebSocketCount, Is.Zero);
    }

    [TestCase(300, "Multiple Choices")]
    [TestCase(401, "Unauthorized")]
    [TestCase(499, "Status")]
    [TestCase(599, "Status")]
    public async Task A_rejection_needs_no_body(int status, string reason)
    {
        await using RunningServer server = await StartAsync(handshake =>
        {
            handshake.Reject(status);
            return Task.CompletedTask;
        });
        Assert.That(
            RawClient.Exchange(server.Port, RawClient.UpgradeRequest()),
            Is.EqualTo($"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    }

    [Test]
    public async Task A_rejection_with_large_headers_and_body_arrives_whole()
    {
        await using RunningServer server = await StartAsync(handshake =>
        {
            for (int i = 0; i < 100; i++)
            {
                handshake.ResponseHeaders.Add($"X-{i}", new string('h', 100));
            }

            handshake.Reject(403, new string('b', 1_000_000));
            return Task.CompletedTask;
        });
        string response = RawClient.Exchange(server.Port, RawClient.UpgradeRequest());
        Assert.That(response, Does.StartWith("HTTP/1.1 403 Forbidden\r\n"));
        Assert.That(response, Does.Contain("X-99: hhh"));
        Assert.That(response.Length - response.IndexOf("\r\n\r\n", StringComparison.Ordinal) - 4, Is.EqualTo(1_000_000));
    }

    [Test]
    public async Task A_client_library_is_told_the_status()
    {
        await using RunningServer server = await StartAsync(handshake =>
        {
            handshake.Reject(401, "who are you?");
            return Task.CompletedTask;
        });
        using var client = new ClientWebSocket();
        client.Options.CollectHttpResponseDetails = true;
        Assert.ThrowsAsync<WebSocketException>(() => client.ConnectAsync(server.WebSocketUri(), CancellationToken.None));
        Assert.That((int)client.HttpStatusCode, Is.EqualTo(401));
    }

    [TestCase("Name", "a\r\nInjected: x")]
    [TestCase("Name", "a\nb")]
    [TestCase("Name", "a\0b")]
    [TestCase("Name", "gr\u00FC\u00DFe")]
    [TestCase("Name", "\u007F")]
    [TestCase("Na me", "a")]
    [TestCase("Name:", "a")]
    [TestCase("N\r\nX", "a")]
    [TestCase("N\u00E4me", "a")]
    [TestCase("", "a")]
    [TestCase("Connection", "close")]
    [TestCase("upgrade", "h2c")]
    [TestCase("Content-Length", "1")]
    [TestCase("Content-Type", "text/html")]
    [TestCase("Transfer-Encoding", "chunked")]
    [TestCase("Sec-WebSocket-Accept", "x")]
    [TestCase("sec-websocket-protocol", "x")]
    [TestCase("Sec-WebSocket-Extensions", "x")]
    public void Headers_that_would_break_the_response_are_refused(string name, string value)
    {
        WebSocketHandshake handshake = Unanswered();
        Assert.Throws<ArgumentException>(() => handshake.ResponseHeaders.Add(name, value));
        Assert.That(handshake.ResponseHeaders, Is.Empty);
    }

    [Test]
    public void Rejections_that_are_none_are_refused()
    {
        WebSocketHandshake handshake = Unanswered();
        foreach (int status in (int[])[-1, 0, 101, 200, 299, 600])
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => handshake.Reject(status));
        }

        foreach (string contentType in (string[])["", "text/html\r\nX: y", "text/ht\u00FCml"])
        {
            Assert.Throws<ArgumentException>(() => handshake.Reject(400, "x", contentType));
        }

        Assert.That(handshake.IsRejected, Is.False);
    }

    [Test]
    public void A_subprotocol_must_be_one_the_client_asked_for()
    {
        WebSocketHandshake handshake = Unanswered(new("Sec-WebSocket-Protocol", "a, b"), new("sec-websocket-protocol", "c,bad name"));
        Assert.That(handshake.RequestedSubprotocols, Is.EqualTo((string[])["a", "b", "c", "bad name"]));
        Assert.That(Assert.Throws<ArgumentException>(() => handshake.Subprotocol = "d")!.Message, Does.Contain("'a', 'b', 'c'"));
        Assert.Throws<ArgumentException>(() => handshake.Subprotocol = "A");
        Assert.Throws<ArgumentException>(() => handshake.Subprotocol = "bad name");
        handshake.Subprotocol = "c";
        Assert.That(handshake.Subprotocol, Is.EqualTo("c"));
        handshake.Subprotocol = null;
        Assert.That(handshake.Subprotocol, Is.Null);
        Assert.That(Assert.Throws<ArgumentException>(() => Unanswered().Subprotocol = "a")!.Message, Does.Contain("asks for none"));
    }

    [TestCase("b,a", "b")]
    [TestCase("x, a", "a")]
    [TestCase("x\r\nSec-WebSocket-Protocol: b", "b")]
    [TestCase("x", null)]
    [TestCase("A", null)]
    [TestCase(null, null)]
    public async Task The_first_subprotocol_of_the_client_that_the_path_speaks_is_agreed_on(string? asked, string? agreed)
    {
        var options = new WebSocketEndpointOptions { Subprotocols = ["a", "b"] };
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", Echo, options));
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest(extraHeaders: asked is null ? "" : $"Sec-WebSocket-Protocol: {asked}\r\n"));
        string head = client.ReadHead();
        Assert.That(head, Does.StartWith("HTTP/1.1 101 "));
        Assert.That(head.Split("\r\n").Where(l => l.StartsWith("Sec-WebSocket-Protocol", StringComparison.Ordinal)), Is.EqualTo(agreed is null ? [] : (string[])[$"Sec-WebSocket-Protocol: {agreed}"]));
    }

    [Test]
    public async Task Once_it_is_over_nothing_can_be_changed_but_all_can_be_read()
    {
        WebSocketHandshake? kept = null;
        await using RunningServer server = await StartAsync(handshake =>
        {
            kept = handshake;
            handshake.ResponseHeaders.Add("X-A", "b");
            handshake.Reject(403);
            return Task.CompletedTask;
        });
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest(extraHeaders: "Sec-WebSocket-Protocol: p\r\n")), Does.StartWith("HTTP/1.1 403 "));
        Assert.Throws<InvalidOperationException>(() => kept!.ResponseHeaders.Add("X", "y"));
        Assert.Throws<InvalidOperationException>(() => kept!.Reject(400));
        Assert.Throws<InvalidOperationException>(() => kept!.User = null);
        Assert.Throws<InvalidOperationException>(() => kept!.Subprotocol = "p");
        Assert.That(kept!.ResponseHeaders, Is.EqualTo((KeyValuePair<string, string>[])[new("X-A", "b")]));
        Assert.That(kept.RequestedSubprotocols, Is.EqualTo((string[])["p"]));
        Assert.That(kept.IsRejected, Is.True);
        Assert.That(kept.Request.Path, Is.EqualTo("/ws"));
    }

    public static IEnumerable<TestCaseData> Failures()
    {
        yield return new TestCaseData((Func<WebSocketHandshake, Task>)(_ => throw new InvalidOperationException("my mistake"))).SetArgDisplayNames("at once");
        yield return new TestCaseData((Func<WebSocketHandshake, Task>)(async _ =>
        {
            await Task.Delay(20);
            throw new InvalidOperationException("my mistake");
        })).SetArgDisplayNames("later");
        yield return new TestCaseData((Func<WebSocketHandshake, Task>)(h =>
        {
            h.Reject(403);
            h.ResponseHeaders.Add("X-Secret", "x");
            throw new InvalidOperationException("my mistake");
        })).SetArgDisplayNames("after rejecting");
        yield return new TestCaseData((Func<WebSocketHandshake, Task>)(_ => null!)).SetArgDisplayNames("no task");
        yield return new TestCaseData((Func<WebSocketHandshake, Task>)(_ => Task.FromCanceled(new CancellationToken(true)))).SetArgDisplayNames("cancelled by itself");
    }

    [TestCaseSource(nameof(Failures))]
    [Logs(6)]
    public async Task A_failure_is_500_and_reported_and_the_server_goes_on(Func<WebSocketHandshake, Task> fail)
    {
        await using RunningServer server = await StartAsync(handshake => handshake.Request.QueryString == "fail" ? fail(handshake) : Rejecting(handshake, 418));
        string response = RawClient.Exchange(server.Port, RawClient.UpgradeRequest("/ws?fail"));
        Assert.That(response, Does.StartWith("HTTP/1.1 500 Internal Server Error\r\n"));
        Assert.That(response, Does.EndWith("\r\n\r\nThe WebSocket could not be opened.\n"));
        Assert.That(response, Does.Not.Contain("X-Secret").And.Not.Contain("mistake"));
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest()), Does.StartWith("HTTP/1.1 418 "));
        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "its place is free");
        Assert.That(server.Log.Entries.Count(e => e.Exception is InvalidOperationException or OperationCanceledException), Is.EqualTo(1));
    }

    [Test]
    [Logs(5, 6)]
    public async Task Who_takes_too_long_is_not_waited_for()
    {
        var aborted = new TaskCompletionSource();
        WebSocketHandshake? kept = null;
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", Echo, With(
            async handshake =>
            {
                kept = handshake;
                handshake.ResponseHeaders.Add("X-Unfinished", "yes");
                handshake.Aborted.Register(aborted.SetResult);
                await aborted.Task;
                throw new InvalidOperationException("too late");
            },
            TimeSpan.FromMilliseconds(50))));
        string response = RawClient.Exchange(server.Port, RawClient.UpgradeRequest());
        Assert.That(response, Does.StartWith("HTTP/1.1 503 Service Unavailable\r\n"));
        Assert.That(response, Does.Contain("\r\nRetry-After: 5\r\n"));
        Assert.That(response, Does.Not.Contain("X-Unfinished"));
        await aborted.Task.WaitAsync(TestServer.Patience);
        Assert.Throws<InvalidOperationException>(() => kept!.Reject(400));
        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "its place is free");
        await Eventually.IsTrueAsync(() => server.Log.Entries.Any(e => e.Exception?.Message == "too late"), "the late exception is reported");
    }

    [Test]
    public async Task Stopping_ends_the_waiting()
    {
        var asked = new TaskCompletionSource();
        RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", Echo, With(
            async handshake =>
            {
                asked.SetResult();
                await Task.Delay(Timeout.Infinite, handshake.Aborted);
            },
            Timeout.InfiniteTimeSpan)));
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest());
        await asked.Task.WaitAsync(TestServer.Patience);
        Assert.That(server.Server.WebSocketCount, Is.EqualTo(1));
        Task stopped = server.DisposeAsync().AsTask();
        string response = Encoding.UTF8.GetString(client.ReadToEnd());
        Assert.That(response, Does.StartWith("HTTP/1.1 503 "));
        Assert.That(response, Does.EndWith("The server is stopping.\n"));
        await stopped.WaitAsync(TestServer.Patience);
        Assert.That(server.Log.Entries.Where(e => e.Exception is not null), Is.Empty);
    }

    [Test]
    public async Task It_runs_on_the_connections_thread_without_a_synchronization_context()
    {
        var seen = new TaskCompletionSource<(SynchronizationContext? Context, bool PoolThread, bool CanStop)>();
        await using RunningServer server = await StartAsync(handshake =>
        {
            bool canStop = true;
            try
            {
                _ = handshake.Request.Server.StopAsync();
            }
            catch (InvalidOperationException)
            {
                canStop = false;
            }

            seen.SetResult((SynchronizationContext.Current, Thread.CurrentThread.IsThreadPoolThread, canStop));
            return Rejecting(handshake, 418);
        });
        RawClient.Exchange(server.Port, RawClient.UpgradeRequest());
        Assert.That(await seen.Task.WaitAsync(TestServer.Patience), Is.EqualTo(((SynchronizationContext?)null, false, false)));
    }

    private static Task Rejecting(WebSocketHandshake handshake, int status)
    {
        handshake.Reject(status);
        return Task.CompletedTask;
    }

    private static Task Echo(ServerWebSocketContext context) => Task.CompletedTask;

    private static Task<RunningServer> StartAsync(Func<WebSocketHandshake, Task> onHandshake) =>
        RunningServer.StartAsync(s => s.MapWebSocket("/ws", Echo, With(onHandshake)));

    private static WebSocketEndpointOptions With(Func<WebSocketHandshake, Task> onHandshake, TimeSpan? timeout = null) =>
        new() { OnHandshake = onHandshake, HandshakeTimeout = timeout ?? TestServer.Patience };

    private static WebSocketHandshake Unanswered(params KeyValuePair<string, string>[] headers) =>
        new(new ServerRequest(null!, null!, RequestHeads.Of(headers)), null);
}
