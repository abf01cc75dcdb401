using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Addresses whose clients are sent to https.</summary>
[TestFixture]
internal sealed class RedirectTests
{
    private ServerCertificate _certificate = null!;

    [OneTimeSetUp]
    public void CreateCertificate() => _certificate = new ServerCertificate();

    [OneTimeTearDown]
    public void DeleteCertificate() => _certificate.Dispose();

    [TestCase("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "example.org", "/")]
    [TestCase("GET /a%20b/?x=%31&y=<z> HTTP/1.1\r\nHost: example.org\r\n\r\n", "example.org", "/a%20b/?x=%31&y=%3Cz%3E")]
    [TestCase("GET /a HTTP/1.1\r\nhost:  EXAMPLE.org:8080 \r\n\r\n", "EXAMPLE.org", "/a")]
    [TestCase("GET //evil.example/ HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", "[2001:db8::1]", null)]
    [TestCase("GET /a HTTP/1.0\r\nHost: 192.0.2.1\r\n\r\n", "192.0.2.1", "/a")]
    [TestCase("DELETE /a?b?c HTTP/1.1\r\nHost: example.org\r\n\r\n", "example.org", "/a?b?c")]
    [TestCase("POST /a HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\nhello", "example.org", "/a")]
    public async Task Every_request_is_redirected(string request, string host, string? target)
    {
        await using RunningServer server = await StartAsync();
        (int from, int to) = Ports(server);
        string response = RawClient.Exchange(from, request);
        Assert.That(response, Does.StartWith("HTTP/1.1 308 Permanent Redirect\r\n"));
        Assert.That(Location(response), target is null ? Does.StartWith($"https://{host}:{to}/") : Is.EqualTo($"https://{host}:{to}{target}"));
        Assert.That(response, Does.Contain("\r\nConnection: close\r\n").And.EndWith("\r\n\r\nThis is to be found with https.\n"));
    }

    [Test]
    public async Task A_request_for_a_WebSocket_is_redirected()
    {
        await using RunningServer server = await StartAsync();
        (int from, int to) = Ports(server);
        string response = RawClient.Exchange(from, RawClient.UpgradeRequest("/ws?a=b"));
        Assert.That(response, Does.StartWith("HTTP/1.1 308 "));
        Assert.That(Location(response), Is.EqualTo($"https://localhost:{to}/ws?a=b"));
    }

    [Test]
    public async Task A_redirect_can_be_followed()
    {
        await using RunningServer server = await StartAsync();
        using var handler = new SocketsHttpHandler { UseProxy = false };
        handler.SslOptions.RemoteCertificateValidationCallback = (_, _, _, _) => true;
        using var client = new HttpClient(handler) { Timeout = TestServer.Patience };
        using HttpResponseMessage response = await client.GetAsync(new Uri($"http://127.0.0.1:{Ports(server).From}/x?y"));
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(response.RequestMessage!.RequestUri, Is.EqualTo(new Uri($"https://127.0.0.1:{Ports(server).To}/x?y")));
    }

    [Test]
    public async Task A_HEAD_request_gets_no_body()
    {
        await using RunningServer server = await StartAsync();
        string response = RawClient.Exchange(Ports(server).From, "HEAD / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        Assert.That(response, Does.StartWith("HTTP/1.1 308 ").And.Contain("Location: https://example.org:").And.EndWith("\r\n\r\n"));
    }

    [TestCase("GET", 1400)]
    [TestCase("GET", 2000)]
    [TestCase("GET", 15000)]
    [TestCase("HEAD", 15000)]
    public async Task A_long_target_stays_whole(string method, int length)
    {
        await using RunningServer server = await StartAsync();
        (int from, int to) = Ports(server);
        string target = "/" + new string('a', length);
        string response = RawClient.Exchange(from, $"{method} {target} HTTP/1.1\r\nHost: example.org\r\n\r\n");
        Assert.That(response, Does.StartWith("HTTP/1.1 308 "));
        Assert.That(Location(response), Is.EqualTo($"https://example.org:{to}{target}"));
        Assert.That(response, Does.EndWith(method == "HEAD" ? "\r\n\r\n" : "\r\n\r\nThis is to be found with https.\n"));
    }

    [TestCase("GET / HTTP/1.0\r\n\r\n")]
    [TestCase("GET / HTTP/1.1\r\n\r\n")]
    [TestCase("GET / HTTP/1.1\r\nHost:\r\n\r\n")]
    [TestCase("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")]
    [TestCase("GET / HTTP/1.1\r\nHost: user@example.org\r\n\r\n")]
    [TestCase("GET / HTTP/1.1\r\nHost: example.org/path\r\n\r\n")]
    [TestCase("GET / HTTP/1.1\r\nHost: example.org evil\r\n\r\n")]
    [TestCase("GET / HTTP/1.1\r\nHost: example.org:80x\r\n\r\n")]
    [TestCase("GET / HTTP/1.1\r\nHost: a:b:80\r\n\r\n")]
    [TestCase("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n")]
    [TestCase("GET / HTTP/1.1\r\nHost: [evil]\r\n\r\n")]
    [TestCase("GET / HTTP/1.1\r\nHost: exämple.org\r\n\r\n")]
    public async Task A_host_that_is_none_is_not_sent_back(string request)
    {
        await using RunningServer server = await StartAsync();
        string response = RawClient.Exchange(Ports(server).From, request);
        Assert.That(response, Does.StartWith("HTTP/1.1 400 "));
        Assert.That(response, Does.Not.Contain("Location:"));
    }

    [Test]
    public void A_line_end_is_no_part_of_a_host() =>
        Assert.That(HttpsLocation.ReadHost([new KeyValuePair<string, string>("Host", "a\r\nSet-Cookie: x")]), Is.Null);

    [Test]
    public async Task Other_addresses_do_not_redirect()
    {
        await using RunningServer server = await StartAsync(options => options.Listen.Add("http://127.0.0.1:0"));
        int plain = server.Server.EndPoints.Single(endPoint => endPoint is { IsTls: false, RedirectsToHttps: false }).Uri.Port;
        Assert.That(RawClient.Exchange(plain, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), Does.StartWith("HTTP/1.1 404 "));
    }

    [TestCase("127.0.0.1", "127.0.0.2")]
    [TestCase("[::1]", "127.0.0.1")]
    [TestCase("0.0.0.0", "[::1]")]
    public async Task A_port_number_shared_by_two_addresses_redirects_on_one(string redirecting, string serving)
    {
        if (redirecting.Contains(':', StringComparison.Ordinal) || serving.Contains(':', StringComparison.Ordinal))
        {
            ListenTests.SkipWithoutIPv6();
        }

        int port = FreePort.Choose();
        await using RunningServer server = await StartAsync(options =>
        {
            options.Listen.Add($"http://{serving}:{port}");
            options.RedirectToHttps[0] = $"http://{redirecting}:{port}";
        });
        foreach (ServerEndPoint endPoint in server.Server.EndPoints.Where(endPoint => !endPoint.IsTls))
        {
            HttpStatusCode expected = endPoint.RedirectsToHttps ? HttpStatusCode.PermanentRedirect : HttpStatusCode.NotFound;
            using HttpResponseMessage response = await server.Client.GetAsync(endPoint.Uri);
            Assert.That(response.StatusCode, Is.EqualTo(expected), endPoint.ToString());
        }
    }

    [Test]
    public async Task A_dual_stack_address_redirects_both_families()
    {
        ListenTests.SkipWithoutIPv6();
        await using RunningServer server = await StartAsync(options => options.RedirectToHttps[0] = "http://*:0");
        int port = Ports(server).From;
        foreach (string host in (string[])["127.0.0.1", "[::1]"])
        {
            using HttpResponseMessage response = await server.Client.GetAsync(new Uri($"http://{host}:{port}/a"));
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.PermanentRedirect));
            Assert.That(response.Headers.Location, Is.EqualTo(new Uri($"https://{host}:{Ports(server).To}/a")));
        }
    }

    [TestCase(443, "https://example.org/a")]
    [TestCase(8443, "https://example.org:8443/a")]
    public async Task The_port_seen_from_outside_can_be_given(int port, string location)
    {
        await using RunningServer server = await StartAsync(options => options.HttpsRedirectPort = port);
        Assert.That(Location(RawClient.Exchange(Ports(server).From, "GET /a HTTP/1.1\r\nHost: example.org\r\n\r\n")), Is.EqualTo(location));
    }

    [TestCase("https://127.0.0.1:0", "https already")]
    [TestCase("http://unix:/tmp/s", "Unix domain socket")]
    [TestCase("http://example.org", "host name")]
    public void Only_http_addresses_redirect(string entry, string what)
    {
        CivetWebServerOptions options = ListenTests.With("https://127.0.0.1:0");
        options.RedirectToHttps.Add(entry);
        Assert.That(
            () => ListenPlan.Create(options),
            Throws.ArgumentException.With.Message.Contains($"'{entry}'").And.Message.Contains("RedirectToHttps").And.Message.Contains(what));
    }

    [Test]
    public void There_must_be_https_to_redirect_to()
    {
        CivetWebServerOptions options = ListenTests.With("http://127.0.0.1:0");
        options.RedirectToHttps.Add("http://127.0.0.1:81");
        Assert.That(() => ListenPlan.Create(options), Throws.ArgumentException.With.Message.Contains("RedirectToHttps").And.Message.Contains("https://"));
    }

    private static string Location(string response) =>
        response.Split("\r\n").Single(line => line.StartsWith("Location: ", StringComparison.Ordinal))["Location: ".Length..];

    private static (int From, int To) Ports(RunningServer server) => (
        server.Server.EndPoints.Single(endPoint => endPoint.RedirectsToHttps).Uri.Port,
        server.Server.EndPoints.Single(endPoint => endPoint.IsTls).Uri.Port);

    private Task<RunningServer> StartAsync(Action<CivetWebServerOptions>? configure = null) => RunningServer.StartAsync(_ => { }, options =>
    {
        options.Listen.Add("https://127.0.0.1:0");
        options.RedirectToHttps.Add("http://127.0.0.1:0");
        options.DangerousRawOptions["ssl_certificate"] = _certificate.Path;
        configure?.Invoke(options);
    });
}
