using System.IO;
using System.Text;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The reader of answers: what it must not overlook.</summary>
public sealed class HttpAnswersTests
{
    private const string Get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    [TestCase("")]
    [TestCase("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]
    [TestCase("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n")]
    [TestCase("HTTP/1.1 200 OK\r\nX:\r\nConnection: close\r\n\r\nto the end")]
    [TestCase("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n")]
    [TestCase("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n")]
    [TestCase("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\u0088\0")]
    public void What_is_right_passes(string answer) => Read(answer);

    [TestCase("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", "1 of 2 bytes")]
    [TestCase("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay", "head does not end")]
    [TestCase("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nokay", "2 bytes follow")]
    [TestCase("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "one number")]
    [TestCase("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "one number")]
    [TestCase("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", "one number")]
    [TestCase("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "beside")]
    [TestCase("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "chunked")]
    [TestCase("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "status 204")]
    [TestCase("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\nbody", "4 bytes follow")]
    [TestCase("HTTP/1.1 304 Not Modified\r\n\r\nbody", "head does not end")]
    [TestCase("HTTP/1.1 200 OK\r\n\r\nendless", "without length")]
    [TestCase("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "status line")]
    [TestCase("HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", "status line")]
    [TestCase("http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "status line")]
    [TestCase("HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", "status line")]
    [TestCase("HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n", "status line")]
    [TestCase("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "control character")]
    [TestCase("HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n", "control character")]
    [TestCase("HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n", "field line")]
    [TestCase("HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n", "field line")]
    [TestCase("HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n", "field line")]
    [TestCase("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "does not end")]
    [TestCase("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n", "as it should")]
    [TestCase("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n", "chunk size")]
    [TestCase("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n", "chunk size")]
    [TestCase("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n", "trailers")]
    public void What_is_forbidden_is_seen(string answer, string what) =>
        Assert.That(() => Read(answer), Throws.TypeOf<InvalidDataException>().With.Message.Contains(what));

    [Test]
    public void What_depends_on_the_request_is_seen_too()
    {
        Assert.That(() => Read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HEAD / HTTP/1.1\r\n\r\n"), Throws.TypeOf<InvalidDataException>());
        Assert.That(() => Read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n"), Throws.Nothing);
        Assert.That(
            () => Read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"), Throws.TypeOf<InvalidDataException>());
        Assert.That(() => Read("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf", Get, wasReset: true), Throws.TypeOf<InvalidDataException>());
    }

    private static void Read(string answer, string request = Get, bool wasReset = false) =>
        HttpAnswers.Check(Encoding.Latin1.GetBytes(answer), request, wasReset);
}
