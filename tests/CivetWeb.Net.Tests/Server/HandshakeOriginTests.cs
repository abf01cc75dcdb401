using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Whose pages may open a WebSocket.</summary>
[TestFixture]
internal sealed class HandshakeOriginTests
{
    // The host is the Host header's; without TLS.
    [TestCase("http://example.org", "example.org", true)]
    [TestCase("http://example.org:80", "example.org", true)]
    [TestCase("http://example.org", "example.org:80", true)]
    [TestCase("http://EXAMPLE.org", "Example.ORG", true)]
    [TestCase("http://example.org:8080", "example.org:8080", true)]
    [TestCase("http://127.0.0.1:8080", "127.0.0.1:8080", true)]
    [TestCase("http://[::1]:8080", "[0:0::1]:8080", true)]
    [TestCase("https://example.org", "example.org", true)] // a proxy has ended the TLS
    [TestCase("https://example.org", "example.org:443", true)]
    [TestCase("https://example.org", "example.org:80", false)]
    [TestCase("http://example.org", "example.org:8080", false)]
    [TestCase("http://example.org:8080", "example.org", false)]
    [TestCase("http://example.org:8080", "example.org:8081", false)]
    [TestCase("http://evil.example", "example.org", false)]
    [TestCase("http://example.org.evil.example", "example.org", false)]
    [TestCase("http://evil-example.org", "example.org", false)]
    [TestCase("http://www.example.org", "example.org", false)]
    [TestCase("http://example.org@evil.example", "example.org", false)]
    [TestCase("http://example.org/", "example.org", false)]
    [TestCase("http://example.org http://evil.example", "example.org", false)]
    [TestCase("ftp://example.org", "example.org", false)]
    [TestCase("chrome-extension://example.org", "example.org", false)]
    [TestCase("example.org", "example.org", false)]
    [TestCase("//example.org", "example.org", false)]
    [TestCase("null", "null", false)]
    [TestCase("", "example.org", false)]
    public async Task Only_own_pages_are_let_in_unless_others_are_named(string origin, string host, bool allowed)
    {
        await using RunningServer server = await StartAsync(null);
        string request = RawClient.UpgradeRequest(extraHeaders: $"Origin: {origin}\r\n").Replace("Host: localhost", $"Host: {host}");
        AssertAnswer(server, request, allowed);
    }

    [TestCase("https://example.org", true)]
    [TestCase("https://example.org:443", true)]
    [TestCase("HTTPS://EXAMPLE.ORG", true)]
    [TestCase("http://example.org", false)]
    [TestCase("https://example.org:444", false)]
    [TestCase("http://other.example:8080", true)]
    [TestCase("http://other.example", false)]
    [TestCase("app://local", true)]
    [TestCase("http://localhost", false)] // its own pages, but the list does not have them
    [TestCase("null", false)]
    public async Task A_list_names_them_all(string origin, bool allowed)
    {
        await using RunningServer server = await StartAsync(["https://example.org", "http://other.example:8080", "app://local"]);
        AssertAnswer(server, RawClient.UpgradeRequest(extraHeaders: $"Origin: {origin}\r\n"), allowed);
    }

    [TestCase("https://anybody.example")]
    [TestCase("null")]
    [TestCase("what is this?")]
    public async Task An_asterisk_is_everybody(string origin)
    {
        await using RunningServer server = await StartAsync(["*"]);
        AssertAnswer(server, RawClient.UpgradeRequest(extraHeaders: $"Origin: {origin}\r\n"), allowed: true);
    }

    [Test]
    public async Task A_client_without_origin_is_let_in_and_one_with_two_is_not([Values] bool listed)
    {
        await using RunningServer server = await StartAsync(listed ? ["http://localhost"] : null);
        AssertAnswer(server, RawClient.UpgradeRequest(), allowed: true);
        AssertAnswer(server, RawClient.UpgradeRequest(extraHeaders: "Origin: http://localhost\r\n"), allowed: true);
        AssertAnswer(server, RawClient.UpgradeRequest(extraHeaders: "Origin: http://localhost\r\nOrigin: http://localhost\r\n"), allowed: false);
    }

    [Test]
    public async Task An_empty_list_is_nobody()
    {
        await using RunningServer server = await StartAsync([]);
        AssertAnswer(server, RawClient.UpgradeRequest(extraHeaders: "Origin: http://localhost\r\n"), allowed: false);
        AssertAnswer(server, RawClient.UpgradeRequest(), allowed: true);
    }

    [TestCase("https://example.org", true)]
    [TestCase("http://example.org", false)] // anybody on its way could have written that page
    [TestCase("http://example.org:443", false)]
    public void Over_TLS_only_pages_over_TLS_are_its_own(string origin, bool allowed)
    {
        RequestHead head = RequestHeads.Of([new("Host", "example.org"), new("Origin", origin)], isTls: true);
        Assert.That(new OriginPolicy(null).Allows(head), Is.EqualTo(allowed));
    }

    private static Task<RunningServer> StartAsync(IEnumerable<string>? origins) => RunningServer.StartAsync(s =>
        s.MapWebSocket("/ws", _ => Task.CompletedTask, new WebSocketEndpointOptions
        {
            AllowedOrigins = origins?.ToList(),
            OnHandshake = handshake =>
            {
                handshake.Reject(418, "let in");
                return Task.CompletedTask;
            },
        }));

    private static void AssertAnswer(RunningServer server, string request, bool allowed)
    {
        string response = RawClient.Exchange(server.Port, request);
        Assert.That(response, Does.StartWith(allowed ? "HTTP/1.1 418 " : "HTTP/1.1 403 Forbidden\r\n"));
        Assert.That(response, Does.EndWith(allowed ? "let in" : "This origin is not allowed.\n"));
    }
}
