using System.Collections.Concurrent;
using System.Linq;
using System.Reflection;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The names for the numbers of the callback API, used where the documented numbers are.</summary>
[TestFixture]
internal sealed class CallbackNamesTests
{
    [Test]
    public void Names_stand_for_the_documented_numbers()
    {
        Assert.That(
            typeof(WebSocketOpcode).GetFields().Select(Pair),
            Is.EquivalentTo((string[])["Text 1", "Binary 2", "Close 8", "Ping 9", "Pong 10"]));
        Assert.That(
            typeof(CallbackResult).GetFields().Select(Pair),
            Is.EquivalentTo((string[])["NotHandled 0", "Accept 0", "Reject 1", "Close 0", "KeepOpen 1"]));

        static string Pair(FieldInfo field) => $"{field.Name} {field.GetRawConstantValue()}";
    }

    [Test]
    public void A_program_without_numbers()
    {
        var seen = new ConcurrentQueue<int>();
        using var server = new TestServer(new Callbacks { BeginRequest = _ => CallbackResult.NotHandled });
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            (connection, _) => Http.GetHeader(connection, "X-No") is null ? CallbackResult.Accept : CallbackResult.Reject,
            null,
            (connection, bits, data, _) =>
            {
                seen.Enqueue(bits);
                switch (bits)
                {
                    case WebSocketOpcode.Text:
                        Http.WriteToWebSocket(connection, WebSocketOpcode.Binary, data);
                        return CallbackResult.KeepOpen;
                    case WebSocketOpcode.Binary:
                        return CallbackResult.Close;
                    default:
                        return CallbackResult.KeepOpen;
                }
            },
            null);
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest("/ws", extraHeaders: "X-No: 1\r\n")), Does.StartWith("HTTP/1.1 403 "));
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest("/ws"));
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 101 "));
        client.SendFrame(0x89, "p"u8);
        Assert.That(client.ReadFrame().Payload, Is.EqualTo("p"u8.ToArray()), "the pong");
        client.SendFrame(0x81, "t"u8);
        Assert.That(client.ReadFrame().FirstByte, Is.EqualTo(0x80 | WebSocketOpcode.Binary));
        client.SendFrame(0x82, "b"u8);
        Assert.That(client.ReadFrame().Payload, Is.EqualTo((byte[])[0x03, 0xE8]), "1000");
        Assert.That(seen, Is.EqualTo((int[])[WebSocketOpcode.Ping, WebSocketOpcode.Text, WebSocketOpcode.Binary]));
    }
}
