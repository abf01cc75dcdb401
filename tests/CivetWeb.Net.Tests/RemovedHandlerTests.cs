using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>A WebSocket handler that is taken away while clients are there.</summary>
public sealed class RemovedHandlerTests
{
    [Test]
    public async Task Its_WebSockets_are_closed_and_those_of_other_paths_go_on()
    {
        using var server = new TestServer();
        EchoCounts cats = server.MapEcho("/cats"), dogs = server.MapEcho("/dogs");
        using RawClient cat = RawClient.Open(server.Port, "/cats"), dog = RawClient.Open(server.Port, "/dogs");
        await Eventually.IsTrueAsync(() => Volatile.Read(ref cats.Readies) == 1 && Volatile.Read(ref dogs.Readies) == 1, "both are ready");
        Http.SetWebSocketHandler(server.Context, "/cats", null, null, null, null);
        Assert.That(cat.ReadClose(), Is.EqualTo(1001));
        cat.SendFrame(0x88, [0x03, 0xE9]);
        await Eventually.IsTrueAsync(() => Volatile.Read(ref cats.Closes) == 1, "the close callback");
        dog.SendFrame(0x81, "woof"u8);
        (int first, byte[] payload) = dog.ReadFrame();
        Assert.That((first, Encoding.UTF8.GetString(payload)), Is.EqualTo((0x81, "woof")));
        Assert.That(Volatile.Read(ref dogs.Closes), Is.Zero);
    }
}
