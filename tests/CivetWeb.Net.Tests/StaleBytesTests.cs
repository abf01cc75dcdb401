using System;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// A thread's buffer has had other clients' requests in it. CivetWeb's parser gets all of it, and skips empty lines: nobody may
/// be shown, told or sent what another client has sent.
/// </summary>
[TestFixture(false, false)]
[TestFixture(false, true)]
[TestFixture(true, false)]
[TestFixture(true, true)]
internal sealed class StaleBytesTests(bool isServerApi, bool isTls)
{
    private const string Secret = "hunter2";

    private EitherServer _server;

    /// <summary>Bodies: a form, requests that would be served, redirected, refused in words that quote them, or answered unrouted.</summary>
    private static readonly string[] Bodies =
    [
        $"--B\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nalice\r\n--B\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n{Secret}\r\n--B--\r\n",
        $"{Secret} /{Secret} HTTP/1.1\r\nHost: {Secret}\r\n\r\n",
        $"GET /{Secret}?{Secret} HTTP/1.1\r\nHost: {Secret}\r\nUser-Agent: {Secret}\r\nReferer: {Secret}\r\n\r\n",
        $"GET /{Secret} HTTP/{Secret}\r\nHost: x\r\n\r\n",
        $"OPTIONS * HTTP/1.1\r\nHost: {Secret}\r\n\r\n",
        $"GET http://{Secret}/{Secret} HTTP/1.1\r\nHost: {Secret}\r\n\r\n",
        $"GET /{Secret} HTTP/1.1\r\nHost: {Secret}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {RawClient.Key}\r\n\r\n",
    ];

    [SetUp]
    public void Start() => _server = EitherServer.Start(isServerApi, isTls, hasFewThreads: true);

    [TearDown]
    public async Task Stop() => await _server.DisposeAsync();

    [Test]
    public void Empty_lines_show_nothing_of_other_clients([Range(0, 6)] int body, [Values("\r\n", "\n", " \r\n", " ")] string blank)
    {
        int step = isTls ? 7 : 1;
        for (int length = 1; length < 230; length += step)
        {
            if (length % 50 == 1)
            {
                Victim(Bodies[body]);
            }

            using StreamClient attacker = _server.Connect();
            attacker.Send(string.Concat(Enumerable.Repeat(blank, length)) + (blank == " " ? "\r\n\r\n" : ""));
            attacker.EndSending();
            Check(attacker.ReadToEnd(), $"{length} times");
        }
    }

    [Test]
    public void Empty_lines_after_a_request_show_nothing_of_other_clients([Range(0, 6)] int body)
    {
        for (int length = 2; length < 230; length += isTls ? 9 : 2)
        {
            Victim(Bodies[body]);
            using StreamClient attacker = _server.Connect();
            attacker.Send("GET /a?b=c HTTP/1.1\r\nHost: localhost\r\n\r\n");
            Assert.That(attacker.ReadResponse().Status, Is.EqualTo(200));
            attacker.Send(string.Concat(Enumerable.Repeat("\r\n", length)));
            attacker.EndSending();
            Check(attacker.ReadToEnd(), $"{length} times");
        }
    }

    [Test]
    public void Half_a_head_after_a_request_shows_nothing_of_other_clients()
    {
        for (int length = 1; length < 300; length += isTls ? 11 : 3)
        {
            Victim(new string('-', 50) + string.Concat(Enumerable.Repeat(Secret, 50)));
            using StreamClient attacker = _server.Connect();
            attacker.Send("GET /a?b=c HTTP/1.1\r\nHost: localhost\r\n\r\n");
            Assert.That(attacker.ReadResponse().Status, Is.EqualTo(200));
            attacker.Send(new string('A', length));
            attacker.EndSending();
            Check(attacker.ReadToEnd(), $"{length} bytes");
        }
    }

    [Test]
    public void Half_a_head_shows_nothing_of_the_last_client()
    {
        for (int length = 1; length < 40; length++)
        {
            Victim(Bodies[0]);
            using StreamClient attacker = _server.Connect();
            attacker.Send("GET /whatever/it/is HTTP/1.1\r\nHost: localhost\r\n\r\n"[..length]);
            attacker.EndSending();
            Check(attacker.ReadToEnd(), $"{length} bytes");
        }
    }

    [Test]
    public void One_empty_line_before_a_request_is_skipped()
    {
        using StreamClient client = _server.Connect();
        client.Send("\r\nGET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.That(client.ReadResponse().Status, Is.EqualTo(200)); // RFC 9112, section 2.2
        client.Send("\r\nGET /b HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (int status, byte[] body) = client.ReadResponse();
        Assert.That((status, Encoding.UTF8.GetString(body)), Is.EqualTo((200, "/b\n/b")));
    }

    [Test]
    public void A_request_behind_empty_lines_is_refused_and_shown_to_nobody()
    {
        using StreamClient client = _server.Connect();
        client.Send("\r\n\r\nGET /behind HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.That(StreamClient.Status(client.ReadHead()), Is.EqualTo(400));
        client.ReadToEnd();
        Assert.That(_server.TakeSeen(), Does.Not.Contain("behind"));
    }

    [Test]
    public void Empty_lines_after_a_PROXY_header_show_nothing_of_other_clients()
    {
        if (isServerApi || isTls)
        {
            Assert.Ignore("The header and TLS exclude each other; the server API reads it in the same place.");
        }

        using var server = new TestServer(
            new Callbacks
            {
                HttpError = (connection, _, _) =>
                {
                    RequestInfo info = Http.GetRequestInfo(connection);
                    _server.Seen.Enqueue($"{info.Method} {info.Uri} {info.LocalUriRaw} {info.QueryString}");
                    return 1;
                },
            },
            ("num_threads", "1"),
            ("allowed_hosts", "*"),
            ("trusted_proxies", "127.0.0.1"),
            ("proxy_protocol", "yes"));
        const string Header = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
        for (int length = 2; length < 230; length++)
        {
            RawClient.Exchange(server.Port, Header + Post(Bodies[0]));
            Check(RawClient.Exchange(server.Port, Header + string.Concat(Enumerable.Repeat("\r\n", length))), $"{length} times");
        }
    }

    private static string Post(string body) =>
        $"POST /login HTTP/1.1\r\nHost: bank\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: {body.Length}\r\n\r\n{body}";

    private void Victim(string body)
    {
        for (int i = 0; i < EitherServer.FewestThreads(isServerApi); i++)
        {
            using StreamClient victim = _server.Connect();
            victim.Send(Post(body));
            Assert.That(victim.ReadToEnd(), Does.StartWith("HTTP/1.1 200 "));
        }

        _server.TakeSeen();
    }

    private void Check(string received, string what)
    {
        Assert.That(received, Does.Not.Contain(Secret), what);
        Assert.That(received, Is.Empty.Or.Match("^HTTP/1.[01] 4"), what);
        Assert.That(_server.TakeSeen(), Does.Not.Contain(Secret), what);
    }
}
