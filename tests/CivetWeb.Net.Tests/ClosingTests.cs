using System;
using System.Collections.Concurrent;
using System.Linq;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Closing from either side, and what remains of a connection after it.</summary>
public sealed class ClosingTests
{
    [TestCase(1000, "")]
    [TestCase(1001, "going away")]
    [TestCase(3000, "é")]
    [TestCase(4999, "ours")]
    public async Task The_client_closes_with_a_code_and_gets_it_back(int code, string reason)
    {
        using var server = new TestServer();
        var closed = new TaskCompletionSource<(int?, string, int?)>();
        string? shown = null;
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            null,
            (_, bits, data, _) =>
            {
                shown = bits == 8 ? Encoding.UTF8.GetString(data[2..]) : shown;
                return 1;
            },
            (c, _) => closed.TrySetResult((c.RemoteCloseCode, c.RemoteCloseReason, c.LocalCloseCode)));
        using ClientWebSocket client = await server.ConnectAsync();
        await client.CloseAsync((WebSocketCloseStatus)code, reason, CancellationToken.None);
        Assert.That((int?)client.CloseStatus, Is.EqualTo(code));
        Assert.That(await closed.Task.WaitAsync(TestServer.Patience), Is.EqualTo(((int?)code, reason, (int?)code)));
        Assert.That(shown, Is.EqualTo(reason), "the data callback sees the close");
    }

    [TestCase(Api.Callbacks, 1000, "")]
    [TestCase(Api.Callbacks, 1012, "restart")]
    [TestCase(Api.Callbacks, 3000, "é")]
    [TestCase(Api.Server, 1000, "")]
    [TestCase(Api.Server, 1012, "restart")]
    [TestCase(Api.Server, 3000, "é")]
    public async Task The_client_is_told_the_code_and_reason_and_the_end_is_in_order(Api api, int code, string reason)
    {
        using EchoTarget server = EchoTarget.Start(api);
        EchoCounts counts = server.MapClosing("/closing", code, reason);
        using RawClient client = RawClient.Open(server.Port, "/closing");
        (int first, byte[] payload) = client.ReadFrame();
        Assert.That(first, Is.EqualTo(0x88));
        Assert.That(payload, Is.EqualTo((byte[])[(byte)(code >> 8), (byte)code, .. Encoding.UTF8.GetBytes(reason)]));
        Assert.That(counts.Closes, Is.Zero, "it waits for the client");
        client.SendFrame(0x88, payload);
        Assert.That(client.ReadsCleanEnd());
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) == 1, "the close callback, or the end of the handler");
    }

    [Test]
    public async Task The_server_closes_with_a_code_and_a_reason()
    {
        using var server = new TestServer();
        var closed = new TaskCompletionSource<Connection>();
        int afterClose = 0, second = 0, write = 0;
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            null,
            (c, _, _, _) =>
            {
                Http.CloseWebSocket(c, 4000, "enough");
                second = Http.CloseWebSocket(c);
                write = Http.WriteTextToWebSocket(c, "late");
                Interlocked.Increment(ref afterClose);
                return 1;
            },
            (c, _) => closed.TrySetResult(c));
        using ClientWebSocket client = await server.ConnectAsync();
        await client.SendTextAsync("close me");
        await client.SendTextAsync("not delivered");
        (WebSocketMessageType type, _) = await client.ReceiveMessageAsync();
        Assert.That(type, Is.EqualTo(WebSocketMessageType.Close));
        Assert.That((int?)client.CloseStatus, Is.EqualTo(4000));
        Assert.That(client.CloseStatusDescription, Is.EqualTo("enough"));
        await client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", CancellationToken.None);
        Connection connection = await closed.Task.WaitAsync(TestServer.Patience);
        Assert.Multiple(() =>
        {
            Assert.That(connection.LocalCloseCode, Is.EqualTo(4000));
            Assert.That(connection.RemoteCloseCode, Is.EqualTo(1000));
            Assert.That(second, Is.EqualTo(-1));
            Assert.That(write, Is.EqualTo(-1));
            Assert.That(afterClose, Is.EqualTo(1), "nothing is delivered after a close");
        });
    }

    [Test]
    public async Task A_data_callback_that_returns_0_closes_with_1000()
    {
        using var server = new TestServer();
        Http.SetWebSocketHandler(server.Context, "/ws", null, null, (_, _, _, _) => 0, null);
        using ClientWebSocket client = await server.ConnectAsync();
        await client.SendTextAsync("x");
        await client.ReceiveMessageAsync();
        Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.NormalClosure));
    }

    [TestCase("ready")]
    [TestCase("data")]
    [TestCase("close")]
    public async Task An_exception_in_a_callback_closes_with_1011_and_harms_nobody(string where)
    {
        using var server = new TestServer();
        int closes = 0;
        Http.SetWebSocketHandler(
            server.Context,
            "/bad",
            null,
            (_, _) => ThrowIf(where == "ready"),
            (_, bits, _, _) =>
            {
                ThrowIf(where == "data" && bits == 1);
                return 1;
            },
            (_, _) =>
            {
                Interlocked.Increment(ref closes);
                ThrowIf(where == "close");
            });
        server.MapEcho();
        using ClientWebSocket other = await server.ConnectAsync();
        using ClientWebSocket client = await server.ConnectAsync("/bad");
        if (where == "data")
        {
            await client.SendTextAsync("x");
        }

        if (where == "close")
        {
            await client.CloseNormallyAsync();
        }
        else
        {
            await client.ReceiveMessageAsync();
            Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.InternalServerError));
            await client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", CancellationToken.None);
        }

        await Eventually.IsTrueAsync(() => Volatile.Read(ref closes) == 1 && !server.Exceptions.IsEmpty, "close callback and report");
        Assert.That(server.Exceptions.TryDequeue(out Exception? e) ? e.Message : null, Is.EqualTo("thrown on purpose"));
        await other.SendTextAsync("still here");
        Assert.That(await other.ReceiveTextAsync(), Is.EqualTo("still here"));

        static void ThrowIf(bool condition)
        {
            if (condition)
            {
                throw new InvalidOperationException("thrown on purpose");
            }
        }
    }

    [Test]
    public async Task Every_write_after_the_close_returns_minus_one_and_the_request_can_still_be_read()
    {
        using var server = new TestServer();
        var closed = new TaskCompletionSource<Connection>();
        int inClose = 0;
        Http.SetWebSocketHandler(server.Context, "/ws", null, null, null, (c, _) =>
        {
            inClose = Http.WriteTextToWebSocket(c, "late");
            closed.TrySetResult(c);
        });
        using (ClientWebSocket client = await server.ConnectAsync("/ws?who=me"))
        {
            await client.CloseNormallyAsync();
        }

        Connection kept = await closed.Task.WaitAsync(TestServer.Patience);

        // The slot now serves somebody else: what is written to the old connection must not reach the new client.
        server.MapEcho();
        using RawClient next = RawClient.Open(server.Port);
        Assert.Multiple(() =>
        {
            Assert.That(inClose, Is.EqualTo(-1));
            Assert.That(Http.WriteTextToWebSocket(kept, "x"), Is.EqualTo(-1));
            Assert.That(Http.WriteTextToWebSocket(kept, "x"u8), Is.EqualTo(-1));
            Assert.That(Http.WriteBinaryToWebSocket(kept, [1]), Is.EqualTo(-1));
            Assert.That(Http.WriteToWebSocket(kept, 9, []), Is.EqualTo(-1));
            Assert.That(Http.CloseWebSocket(kept), Is.EqualTo(-1));
            Assert.That(Http.Print(kept, "x"), Is.EqualTo(-1));
            Assert.That(Http.Read(kept, new byte[1]), Is.EqualTo(-1));
            Assert.That(Http.SendFile(kept, "/etc/hostname"), Is.EqualTo(-1));
            Assert.That(kept.IsOpen, Is.False);
            Assert.That(Http.GetVariable(kept, "who"), Is.EqualTo("me"));
            Assert.That(kept.RemoteCloseCode, Is.EqualTo(1000));
        });
        next.SendFrame(0x81, "mine"u8);
        Assert.That(next.ReadFrame().Payload, Is.EqualTo("mine"u8.ToArray()));
    }

    [Test]
    public async Task A_client_that_vanishes_gives_one_close_callback([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api);
        EchoCounts counts = server.Counts;
        for (int i = 0; i < 20; i++)
        {
            using RawClient client = RawClient.Open(server.Port);
            if (i % 2 == 0)
            {
                client.Socket.LingerState = new System.Net.Sockets.LingerOption(true, 0); // a reset instead of an end
            }
        }

        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) == 20, "20 close callbacks, or ends of handlers");
        Assert.That(counts.Readies, Is.EqualTo(20));
        await Eventually.IsTrueAsync(() => server.WebSocketCount == 0, "all places to be free");
    }

    [Test]
    public void Misuse_is_an_exception_that_says_what_is_wrong()
    {
        using var server = new TestServer();
        Connection? connection = null;
        var done = new ManualResetEventSlim();
        var errors = new ConcurrentQueue<string>();
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            (c, _) =>
            {
                connection = c;
                Expect<ArgumentOutOfRangeException>(() => Http.WriteToWebSocket(c, 3, []), "opcode");
                Expect<ArgumentException>(() => Http.WriteToWebSocket(c, 9, new byte[126]), "125");
                Expect<ArgumentException>(() => Http.WriteTextToWebSocket(c, [0xC3]), "UTF-8");
                Expect<ArgumentException>(() => Http.WriteToWebSocket(c, 8, [3]), "close payload");
                Expect<ArgumentException>(() => Http.WriteToWebSocket(c, 8, [3, 0xED]), "close payload");
                Expect<ArgumentOutOfRangeException>(() => Http.CloseWebSocket(c, 1005, ""), "1000 to 1003");
                Expect<ArgumentException>(() => Http.CloseWebSocket(c, 1000, new string('x', 124)), "123");
                done.Set();

                void Expect<T>(Func<int> action, string part)
                    where T : Exception
                {
                    try
                    {
                        action();
                        errors.Enqueue($"no exception: {part}");
                    }
                    catch (T e) when (e.Message.Contains(part, StringComparison.Ordinal))
                    {
                        // as it should be
                    }
                }
            },
            null,
            null);
        using RawClient client = RawClient.Open(server.Port);
        Assert.That(done.Wait(TestServer.Patience));
        Assert.That(errors, Is.Empty);
        Assert.That(Http.WriteToWebSocket(connection!, 8, [0x0F, 0xA0]), Is.EqualTo(2), "a valid close payload is a close");
        Assert.That(client.ReadClose(), Is.EqualTo(4000));
    }
}
