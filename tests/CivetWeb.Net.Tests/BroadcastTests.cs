using System.Collections.Concurrent;
using System.Text;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Whom <see cref="Http.BroadcastToWebSockets"/> reaches, and how many it says it has reached.</summary>
public sealed class BroadcastTests
{
    [Test]
    public void Only_WebSockets_of_the_path_get_a_broadcast_to_it()
    {
        using var server = new TestServer();
        EchoCounts cats = server.MapEcho("/cats"), dogs = server.MapEcho("/dogs");
        using RawClient cat = RawClient.Open(server.Port, "/cats"), dog = RawClient.Open(server.Port, "/dogs");
        AwaitReady(cats);
        AwaitReady(dogs);
        Assert.Multiple(() =>
        {
            Assert.That(Http.BroadcastToWebSockets(server.Context, "/cats", 1, "meow"u8), Is.EqualTo(1));
            Assert.That(Http.BroadcastToWebSockets(server.Context, "/mice", 1, "squeak"u8), Is.Zero);
            Assert.That(Http.BroadcastToWebSockets(server.Context, null, 1, "all"u8), Is.EqualTo(2));
            Assert.That(ReadText(cat), Is.EqualTo("meow"));
            Assert.That(ReadText(cat), Is.EqualTo("all"));
            Assert.That(ReadText(dog), Is.EqualTo("all"));
        });
    }

    [Test]
    public async Task A_WebSocket_that_is_closing_is_not_counted()
    {
        var ready = new ConcurrentQueue<Connection>();
        using var server = new TestServer();
        Http.SetWebSocketHandler(server.Context, "/ws", null, (connection, _) => ready.Enqueue(connection), null, null);
        using RawClient closing = RawClient.Open(server.Port);
        await Eventually.IsTrueAsync(() => ready.Count == 1, "the first is ready");
        Assert.That(ready.TryPeek(out Connection? first));
        Assert.That(Http.CloseWebSocket(first!), Is.Zero);
        using RawClient open = RawClient.Open(server.Port);
        await Eventually.IsTrueAsync(() => ready.Count == 2, "the second is ready");
        Assert.That(Http.BroadcastToWebSockets(server.Context, "/ws", 1, "hello"u8), Is.EqualTo(1));
        Assert.That(ReadText(open), Is.EqualTo("hello"));
        Assert.That(closing.ReadClose(), Is.EqualTo(1000));
    }

    private static void AwaitReady(EchoCounts counts) => Eventually.IsTrueAsync(() => System.Threading.Volatile.Read(ref counts.Readies) == 1, "it is ready").Wait();

    private static string ReadText(RawClient client)
    {
        (int first, byte[] payload) = client.ReadFrame();
        Assert.That(first, Is.EqualTo(0x81));
        return Encoding.UTF8.GetString(payload);
    }
}
