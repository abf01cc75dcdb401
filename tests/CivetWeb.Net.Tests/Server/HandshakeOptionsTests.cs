using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The options of WebSockets: what is refused, and whose value holds.</summary>
[TestFixture]
internal sealed class HandshakeOptionsTests
{
    public static IEnumerable<TestCaseData> Mistakes()
    {
        static TestCaseData Case(string name, Action<WebSocketEndpointOptions> set, params string[] told) =>
            new TestCaseData(set, name, told).SetArgDisplayNames($"{name}: {told[0]}");

        yield return Case("MaxMessageSize", o => o.MaxMessageSize = 0, "is 0", "from 1 to 2147483647");
        yield return Case("MaxConnections", o => o.MaxConnections = -1, "is -1", "from 1 to 2147483647");
        yield return Case("HandshakeTimeout", o => o.HandshakeTimeout = TimeSpan.Zero, "is 00:00:00", "from 1 ms to 2147483647 ms", "InfiniteTimeSpan");
        yield return Case("KeepAliveInterval", o => o.KeepAliveInterval = TimeSpan.FromSeconds(-1), "is -00:00:01", "from 1 ms");
        yield return Case("KeepAliveTimeout", o => o.KeepAliveTimeout = TimeSpan.FromDays(25), "is 25.00:00:00", "from 1 ms");
        yield return Case("FrameTimeout", o => o.FrameTimeout = TimeSpan.Zero, "is 00:00:00", "from 1 ms");
        yield return Case("SendTimeout", o => o.SendTimeout = TimeSpan.FromTicks(1), "is 00:00:00.0000001", "from 1 ms");
        yield return Case("CloseTimeout", o => o.CloseTimeout = TimeSpan.MaxValue, "from 1 ms");
        yield return Case("Subprotocols", o => o.Subprotocols = ["two words"], "'two words'", "token");
        yield return Case("Subprotocols", o => o.Subprotocols = [""], "''", "token");
        yield return Case("Subprotocols", o => o.Subprotocols = [null!], "''", "token");
        yield return Case("Subprotocols", o => o.Subprotocols = ["a\r\nX: y"], "token");
        yield return Case("AllowedOrigins", o => o.AllowedOrigins = ["example.org"], "'example.org'", "scheme://host[:port]");
        yield return Case("AllowedOrigins", o => o.AllowedOrigins = ["https://example.org/"], "'https://example.org/'");
        yield return Case("AllowedOrigins", o => o.AllowedOrigins = ["https://user@example.org"], "'https://user@example.org'");
        yield return Case("AllowedOrigins", o => o.AllowedOrigins = ["https://*.example.org"], "'https://*.example.org'");
        yield return Case("AllowedOrigins", o => o.AllowedOrigins = ["https://example.org:65536"], "65536");
        yield return Case("AllowedOrigins", o => o.AllowedOrigins = ["https://"], "'https://'");
        yield return Case("AllowedOrigins", o => o.AllowedOrigins = ["null"], "'null'");
        yield return Case("AllowedOrigins", o => o.AllowedOrigins = ["https://bücher.example"], "ASCII");
        yield return Case("DangerousDeflate.ClientMaxWindowBits", o => o.DangerousDeflate = new() { ClientMaxWindowBits = 8 }, "is 8", "from 9 to 15");
        yield return Case("DangerousDeflate.ServerMaxWindowBits", o => o.DangerousDeflate = new() { ServerMaxWindowBits = 16 }, "is 16", "from 9 to 15");
    }

    [TestCaseSource(nameof(Mistakes))]
    public async Task A_mistake_is_told_when_the_path_is_mapped(Action<WebSocketEndpointOptions> set, string name, string[] told)
    {
        var options = new WebSocketEndpointOptions();
        set(options);
        await using var server = new CivetWebServer();
        ArgumentException e = Assert.Throws<ArgumentException>(() => server.MapWebSocket("/ws", _ => Task.CompletedTask, options))!;
        Check(e, $"Option '{name}'", told, "options");
        Assert.That(server.RemoveWebSocket("/ws"), Is.False);
    }

    [TestCaseSource(nameof(Mistakes))]
    public async Task A_mistake_for_all_is_told_when_the_server_starts(Action<WebSocketEndpointOptions> set, string name, string[] told)
    {
        var options = new CivetWebServerOptions();
        options.Listen.Add("http://127.0.0.1:0");
        await using var server = new CivetWebServer(options);
        set(options.WebSockets);
        ArgumentException e = Assert.ThrowsAsync<ArgumentException>(() => server.StartAsync())!;
        Check(e, $"Option 'WebSockets.{name}'", told, null);
    }

    [Test]
    public void What_is_not_set_has_the_documented_value()
    {
        WebSocketSettings settings = WebSocketSettings.Create(new(), new());
        Assert.Multiple(() =>
        {
            Assert.That(settings.Subprotocols, Is.Empty);
            Assert.That(settings.OnHandshake, Is.Null);
            Assert.That(settings.HandshakeTimeout, Is.EqualTo(TimeSpan.FromSeconds(10)));
            Assert.That(settings.MaxConnections, Is.Null);
            Assert.That(settings.MaxMessageSize, Is.EqualTo(16 * 1024 * 1024));
            Assert.That(settings.KeepAliveInterval, Is.EqualTo(TimeSpan.FromSeconds(30)));
            Assert.That(settings.KeepAliveTimeout, Is.EqualTo(TimeSpan.FromSeconds(20)));
            Assert.That(settings.FrameTimeout, Is.EqualTo(TimeSpan.FromSeconds(20)));
            Assert.That(settings.SendTimeout, Is.EqualTo(TimeSpan.FromSeconds(10)));
            Assert.That(settings.CloseTimeout, Is.EqualTo(TimeSpan.FromSeconds(5)));
            Assert.That(settings.Deflate, Is.Null);
        });
    }

    [Test]
    public void The_path_goes_before_the_server()
    {
        WebSocketEndpointOptions server = Options(1);
        AssertHolds(WebSocketSettings.Create(new(), server), 1);
        AssertHolds(WebSocketSettings.Create(Options(2), server), 2);

        static WebSocketEndpointOptions Options(int n)
        {
            var options = new WebSocketEndpointOptions
            {
                Subprotocols = [$"p{n}"],
                OnHandshake = n == 1 ? First : Second,
                HandshakeTimeout = TimeSpan.FromSeconds(n),
                MaxConnections = n,
                MaxMessageSize = n,
                KeepAliveInterval = TimeSpan.FromSeconds(n),
                KeepAliveTimeout = Timeout.InfiniteTimeSpan,
                FrameTimeout = TimeSpan.FromSeconds(n),
                SendTimeout = TimeSpan.FromSeconds(n),
                CloseTimeout = TimeSpan.FromSeconds(n),
                DangerousDeflate = new() { ServerMaxWindowBits = 10 + n },
            };
            return options;
        }

        static void AssertHolds(WebSocketSettings settings, int n) => Assert.Multiple(() =>
        {
            Assert.That(settings.Subprotocols, Is.EqualTo((string[])[$"p{n}"]));
            Assert.That(settings.OnHandshake, Is.EqualTo(n == 1 ? (Func<WebSocketHandshake, Task>)First : Second));
            Assert.That(settings.HandshakeTimeout, Is.EqualTo(TimeSpan.FromSeconds(n)));
            Assert.That(settings.MaxConnections, Is.EqualTo(n));
            Assert.That(settings.MaxMessageSize, Is.EqualTo(n));
            Assert.That(settings.KeepAliveInterval, Is.EqualTo(TimeSpan.FromSeconds(n)));
            Assert.That(settings.KeepAliveTimeout, Is.EqualTo(Timeout.InfiniteTimeSpan));
            Assert.That(settings.FrameTimeout, Is.EqualTo(TimeSpan.FromSeconds(n)));
            Assert.That(settings.SendTimeout, Is.EqualTo(TimeSpan.FromSeconds(n)));
            Assert.That(settings.CloseTimeout, Is.EqualTo(TimeSpan.FromSeconds(n)));
            Assert.That(settings.Deflate!.ServerMaxWindowBits, Is.EqualTo(10 + n));
        });

        static Task First(WebSocketHandshake handshake) => Task.CompletedTask;
        static Task Second(WebSocketHandshake handshake) => Task.CompletedTask;
    }

    /// <summary>Each option: what the server switches on, and what a path sets to be without it.</summary>
    private static readonly TestCaseData[] Switches =
    [
        Switch("Subprotocols", o => o.Subprotocols = ["p"], o => o.Subprotocols = [], s => s.Subprotocols.Length > 0),
        Switch("OnHandshake", o => o.OnHandshake = Reject, o => o.OnHandshake = _ => Task.CompletedTask, s => s.OnHandshake == Reject),
        Switch("HandshakeTimeout", o => o.HandshakeTimeout = TimeSpan.FromSeconds(1), o => o.HandshakeTimeout = Timeout.InfiniteTimeSpan, s => s.HandshakeTimeout > TimeSpan.Zero),
        Switch("MaxConnections", o => o.MaxConnections = 1, o => o.MaxConnections = int.MaxValue, s => s.MaxConnections == 1),
        Switch("MaxMessageSize", o => o.MaxMessageSize = 1, o => o.MaxMessageSize = int.MaxValue, s => s.MaxMessageSize == 1),
        Switch("KeepAliveInterval", o => o.KeepAliveInterval = TimeSpan.FromSeconds(1), o => o.KeepAliveInterval = Timeout.InfiniteTimeSpan, s => s.KeepAliveInterval > TimeSpan.Zero),
        Switch("KeepAliveTimeout", o => o.KeepAliveTimeout = TimeSpan.FromSeconds(1), o => o.KeepAliveTimeout = Timeout.InfiniteTimeSpan, s => s.KeepAliveTimeout > TimeSpan.Zero),
        Switch("FrameTimeout", o => o.FrameTimeout = TimeSpan.FromSeconds(1), o => o.FrameTimeout = Timeout.InfiniteTimeSpan, s => s.FrameTimeout > TimeSpan.Zero),
        Switch("SendTimeout", o => o.SendTimeout = TimeSpan.FromSeconds(1), o => o.SendTimeout = Timeout.InfiniteTimeSpan, s => s.SendTimeout > TimeSpan.Zero),
        Switch("CloseTimeout", o => o.CloseTimeout = TimeSpan.FromSeconds(1), o => o.CloseTimeout = Timeout.InfiniteTimeSpan, s => s.CloseTimeout > TimeSpan.Zero),
        Switch("DangerousDeflate", o => o.DangerousDeflate = new(), o => o.DangerousDeflate = new() { Enabled = false }, s => s.Deflate is not null),
        Switch("AllowedOrigins", o => o.AllowedOrigins = ["https://other.example"], o => o.AllowedOrigins = ["self"], s => Allows(s, "https://other.example")),
        Switch("AllowedOrigins: nobody", o => o.AllowedOrigins = ["*"], o => o.AllowedOrigins = [], s => Allows(s, "https://own.example")),
    ];

    [TestCaseSource(nameof(Switches))]
    public void A_path_can_switch_off_what_the_server_switches_on(
        Action<WebSocketEndpointOptions> on, Action<WebSocketEndpointOptions> off, Func<WebSocketSettings, bool> isOn)
    {
        WebSocketEndpointOptions server = new(), nothing = new(), without = new(), with = new();
        on(server);
        off(without);
        on(with);
        Assert.That(isOn(WebSocketSettings.Create(nothing, server)), Is.True, "null is the server's value");
        Assert.That(isOn(WebSocketSettings.Create(without, server)), Is.False, "switched off");
        Assert.That(isOn(WebSocketSettings.Create(with, without)), Is.True, "switched on where the server has it off");
    }

    [Test]
    public void Every_option_can_be_switched_off() => Assert.That(
        Switches.Select(data => ((string)data.Properties.Get("Option")!).Split(':')[0]).Distinct(),
        Is.EquivalentTo(typeof(WebSocketEndpointOptions).GetProperties().Select(property => property.Name)));

    [Test]
    public async Task A_path_for_everybody_beside_others_that_ask_who_it_is()
    {
        await using RunningServer server = await RunningServer.StartAsync(
            s =>
            {
                s.MapWebSocket("/private", _ => Task.CompletedTask);
                s.MapWebSocket("/public", _ => Task.CompletedTask, new() { OnHandshake = _ => Task.CompletedTask, Subprotocols = [] });
            },
            o =>
            {
                o.WebSockets.OnHandshake = Reject;
                o.WebSockets.Subprotocols = ["p"];
            });
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest("/private")), Does.StartWith("HTTP/1.1 401 "));
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest("/public", extraHeaders: "Sec-WebSocket-Protocol: p\r\n"));
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 101 ").And.Not.Contain("Sec-WebSocket-Protocol"));
    }

    [Test]
    public async Task Of_the_server_counts_what_is_set_when_it_starts_and_of_the_path_when_it_is_mapped()
    {
        var options = new CivetWebServerOptions();
        var own = new WebSocketEndpointOptions { OnHandshake = Refusing(409) };
        await using RunningServer server = await RunningServer.StartAsync(
            s =>
            {
                s.MapWebSocket("/own", _ => Task.CompletedTask, own);
                s.MapWebSocket("/shared", _ => Task.CompletedTask);
                options.WebSockets.OnHandshake = Refusing(410); // after mapping, before starting
            },
            o => options = o);
        own.OnHandshake = Refusing(500);
        options.WebSockets.OnHandshake = Refusing(501);
        server.Server.MapWebSocket("/late", _ => Task.CompletedTask);
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest("/own")), Does.StartWith("HTTP/1.1 409 "));
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest("/shared")), Does.StartWith("HTTP/1.1 410 "));
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest("/late")), Does.StartWith("HTTP/1.1 410 "));

        static Func<WebSocketHandshake, Task> Refusing(int status) => handshake =>
        {
            handshake.Reject(status);
            return Task.CompletedTask;
        };
    }

    private static TestCaseData Switch(
        string name, Action<WebSocketEndpointOptions> on, Action<WebSocketEndpointOptions> off, Func<WebSocketSettings, bool> isOn) =>
        new TestCaseData(on, off, isOn).SetArgDisplayNames(name).SetProperty("Option", name);

    private static Task Reject(WebSocketHandshake handshake)
    {
        handshake.Reject(401);
        return Task.CompletedTask;
    }

    private static bool Allows(WebSocketSettings settings, string origin) =>
        settings.Origins.Allows(RequestHeads.Of([new("Host", "own.example"), new("Origin", origin)]));

    private static void Check(ArgumentException e, string name, string[] told, string? parameter)
    {
        Assert.That(e.ParamName, Is.EqualTo(parameter));
        Assert.That(e.Message, Does.StartWith(name));
        foreach (string part in told)
        {
            Assert.That(e.Message, Does.Contain(part));
        }
    }
}
