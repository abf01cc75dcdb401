using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// Requests whose end two programs could see at different places (RFC 9112, section 11.2) are refused, by both APIs; behind
/// each is the request that would be smuggled.
/// </summary>
[TestFixture]
internal sealed class HttpFramingTests
{
    private const string Smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

    private static readonly TestCaseData[] Ambiguous =
    [
        Case("both", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Case("both, the other way", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
        Case("two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n"),
        Case("a list of lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 5\r\n\r\n"),
        Case("a signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n"),
        Case("a negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        Case("a hexadecimal length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\n"),
        Case("a length and more", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0 5\r\n\r\n"),
        Case("no length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n"),
        Case("a length beyond 63 bits", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n"),
        Case("another coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        Case("identity", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n"),
        Case("identity and a length", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n"),
        Case("chunked twice", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Case("identity first", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Case("a coding that is none", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        Case("chunks in 1.0", "POST / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Case("a space before the colon", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 0\r\n\r\n"),
        Case("two spaces before the colon", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding  : chunked\r\n\r\n0\r\n\r\n"),
        Case("a folded line hides a length", "POST / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
        Case("empty lines first", "\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
        Case("too many headers hide a length", "POST / HTTP/1.1\r\nHost: x\r\n" + string.Concat(Enumerable.Repeat("A: b\r\n", 63)) + "Content-Length: 0\r\n\r\n"),
        Case("too many headers hide chunks", "POST / HTTP/1.1\r\nHost: x\r\n" + string.Concat(Enumerable.Repeat("A: b\r\n", 70)) + "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        Case("too many headers, one folded", "POST / HTTP/1.1\r\nHost: x\r\n" + string.Concat(Enumerable.Repeat("A: b\r\n", 70)) + " b\r\nC: d\r\n\r\n"),
    ];

    [TestCaseSource(nameof(Ambiguous))]
    public async Task The_server_refuses(string request)
    {
        int handled = 0;
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.Use((_, _) => handled++);
            server.MapPost("/", async (r, response) => response.WriteText(await r.ReadTextAsync()));
        });
        Check(RawClient.Exchange(server.Port, request + Smuggled));
        Assert.That(handled, Is.Zero);
    }

    [TestCaseSource(nameof(Ambiguous))]
    public void The_callbacks_never_see(string request)
    {
        int handled = 0;
        using var server = new TestServer(
            new Callbacks
            {
                BeginRequest = connection =>
                {
                    handled++;
                    Http.Print(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                    return 200;
                },
            },
            ("enable_keep_alive", "yes"));
        Check(RawClient.Exchange(server.Port, request + Smuggled));
        Assert.That(handled, Is.Zero);
    }

    [TestCase("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "abc")]
    [TestCase("POST / HTTP/1.1\r\nHost: x\r\nContent-Length:3 \r\n\r\nabc", "abc")]
    [TestCase("POST / HTTP/1.1\r\nHost: x\r\nContent-Length:  003\r\n\r\nabc", "abc")]
    [TestCase("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc")]
    [TestCase("\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "abc")]
    [TestCase("POST / HTTP/1.1\r\nHost: x\r\nX:\r\nY: \r\nContent-Length: 3\r\n\r\nabc", "abc")]
    [TestCase("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX:\r\n\r\nabc", "abc")]
    public async Task What_has_one_meaning_is_served(string request, string body)
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
            server.MapPost("/", async (r, response) => response.WriteText(await r.ReadTextAsync())));
        using var client = new RawClient(server.Port);
        client.Send(request + request);
        for (int i = 0; i < 2; i++)
        {
            Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n"));
            Assert.That(System.Text.Encoding.ASCII.GetString(client.ReadExactly(body.Length)), Is.EqualTo(body));
        }
    }

    [Test]
    public async Task As_many_headers_as_CivetWeb_takes_are_served()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
            server.MapGet("/", (request, response) => response.WriteText($"{request.Headers.Count}")));
        string request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + string.Concat(Enumerable.Repeat("A: b\r\n", 62)) + "\r\n";
        Assert.That(RawClient.Exchange(server.Port, request), Does.EndWith("\r\n\r\n64"));
    }

    /// <summary>Those beyond are not seen: not the page's origin, not the proxy's word about the client.</summary>
    [TestCase("Accept: a")]
    [TestCase("Origin: https://evil.example")]
    [TestCase("Authorization: Basic YTpi")]
    [TestCase("Host: evil.example")]
    [TestCase("X-Forwarded-For: 192.0.2.1")]
    public async Task One_header_more_is_refused_in_both_APIs(string header)
    {
        string rest = string.Concat(Enumerable.Repeat("A: b\r\n", 62)) + header + "\r\n\r\n";
        string page = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + rest;
        string upgrade = RawClient.UpgradeRequest(extraHeaders: string.Concat(Enumerable.Repeat("A: b\r\n", 59)) + header + "\r\n");
        int reached = 0;
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.Use((_, _) => { reached++; });
            server.MapWebSocket("/ws", _ =>
            {
                reached++;
                return Task.CompletedTask;
            });
        });
        using var callback = new TestServer(new Callbacks { BeginRequest = _ => ++reached });
        EchoCounts echo = callback.MapEcho();
        foreach (int port in new[] { server.Port, callback.Port })
        {
            Assert.That(RawClient.Exchange(port, page), Does.StartWith("HTTP/1.1 431 ").And.EndWith("There are too many headers.\n"));
            Assert.That(RawClient.Exchange(port, upgrade), Does.StartWith("HTTP/1.1 431 ").And.EndWith("There are too many headers.\n"));
        }

        Assert.That((reached, echo.Connects), Is.EqualTo((0, 0)));
    }

    private static void Check(string answer)
    {
        // CivetWeb itself has 411 for a length that is none.
        Assert.That(answer, Does.Match("^HTTP/1\\.[01] (400|411|431) "));
        Assert.That(Regex.Count(answer, "HTTP/1\\.[01] [0-9]"), Is.EqualTo(1), answer);
    }

    private static TestCaseData Case(string name, string request) => new TestCaseData(request).SetArgDisplayNames(name);
}
