using System;
using System.Collections.Generic;
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
        yield return Case("Subprotocols", o => o.Subprotocols.Add("two words"), "'two words'", "token");
        yield return Case("Subprotocols", o => o.Subprotocols.Add(""), "''", "token");
        yield return Case("Subprotocols", o => o.Subprotocols.Add("a\r\nX: y"), "token");
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
        Check(e, $"Option '{name}'", told);
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
        Check(e, $"Option 'WebSockets.{name}'", told);
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
            options.Subprotocols.Add($"p{n}");
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

    private static void Check(ArgumentException e, string name, string[] told)
    {
        Assert.That(e.ParamName, Is.EqualTo("options"));
        Assert.That(e.Message, Does.StartWith(name));
        foreach (string part in told)
        {
            Assert.That(e.Message, Does.Contain(part));
        }
    }
}
