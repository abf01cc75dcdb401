using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Serialization;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Status, headers, cookies and bodies of responses.</summary>
[TestFixture]
internal sealed partial class HttpResponseTests
{
    [Test]
    public async Task A_small_body_has_its_length_and_the_date()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            response.WriteText("Grüße, ");
            response.WriteText("alle");
            Assert.That(response.HasStarted, Is.False);
        }));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri());
        Assert.That(response.Content.Headers.ContentLength, Is.EqualTo(13));
        Assert.That(response.Headers.TransferEncodingChunked, Is.Not.True);
        Assert.That(response.Headers.Date, Is.EqualTo(DateTimeOffset.UtcNow).Within(TimeSpan.FromMinutes(1)));
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("Grüße, alle"));
    }

    [Test]
    public async Task An_empty_answer_says_so()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, _) => { }));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri());
        Assert.That((int)response.StatusCode, Is.EqualTo(200));
        Assert.That(response.Content.Headers.ContentLength, Is.Zero);
    }

    [TestCase(65_536, false)]
    [TestCase(65_537, true)]
    [TestCase(1_000_003, true)]
    public async Task A_large_body_is_streamed(int size, bool chunked)
    {
        byte[] body = Bytes(size);
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            for (int i = 0; i < body.Length; i += 997)
            {
                response.Write(body.AsSpan(i, Math.Min(997, body.Length - i)));
            }
        }));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri());
        Assert.That(response.Headers.TransferEncodingChunked ?? false, Is.EqualTo(chunked));
        Assert.That(await response.Content.ReadAsByteArrayAsync(), Is.EqualTo(body));
    }

    [Test]
    public async Task A_declared_length_is_sent_and_the_body_streamed()
    {
        byte[] body = Bytes(300_000);
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", async (_, response) =>
        {
            response.ContentLength = body.Length;
            await response.WriteAsync(body);
        }));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri());
        Assert.That(response.Content.Headers.ContentLength, Is.EqualTo(body.Length));
        Assert.That(await response.Content.ReadAsByteArrayAsync(), Is.EqualTo(body));
    }

    [Test]
    public async Task Flushing_sends_what_there_is()
    {
        var goOn = new TaskCompletionSource();
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", async (_, response) =>
        {
            await using var writer = new StreamWriter(response.Body) { AutoFlush = false };
            await writer.WriteAsync("one");
            await writer.FlushAsync();
            Assert.That(response.HasStarted);
            await goOn.Task;
            await writer.WriteAsync("two");
        }));
        using var client = new RawClient(server.Port);
        client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        Assert.That(client.ReadHead(), Does.Contain("\r\nTransfer-Encoding: chunked\r\n").And.Not.Contain("Content-Length"));
        Assert.That(Encoding.ASCII.GetString(client.ReadExactly(8)), Is.EqualTo("3\r\none\r\n"));
        goOn.SetResult();
        Assert.That(Encoding.ASCII.GetString(client.ReadExactly(13)), Is.EqualTo("3\r\ntwo\r\n0\r\n\r\n"));
    }

    [Test]
    public async Task For_http_1_0_a_streamed_body_ends_with_the_connection()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            response.WriteText("one");
            response.Body.Flush();
            response.WriteText("two");
        }));
        string answer = RawClient.Exchange(server.Port, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        Assert.That(answer, Does.Contain("\r\nConnection: close\r\n").And.Not.Contain("Transfer-Encoding").And.EndWith("\r\n\r\nonetwo"));
    }

    [Test]
    public async Task Head_of_a_flushed_body_has_no_body()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            response.WriteText("one");
            response.Flush();
            response.WriteText("two");
        }));
        string answer = RawClient.Exchange(server.Port, "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Assert.That(answer, Does.StartWith("HTTP/1.1 200 OK\r\n").And.EndWith("\r\n\r\n"));
    }

    [TestCase(204)]
    [TestCase(304)]
    public async Task Some_statuses_have_no_body(int status)
    {
        InvalidOperationException? thrown = null;
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            response.StatusCode = status;
            thrown = Assert.Throws<InvalidOperationException>(() => response.Write("x"u8));
        }));
        string answer = RawClient.Exchange(server.Port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Assert.That(thrown!.Message, Does.Contain($"{status}"));
        Assert.That(answer, Does.StartWith($"HTTP/1.1 {status} ").And.EndWith("\r\n\r\n").And.Not.Contain("Content-Length").And.Not.Contain("Transfer-Encoding"));
    }

    [Test]
    public async Task More_than_the_declared_length_ends_the_connection()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            response.ContentLength = 5;
            response.WriteText("abc");
            response.Flush();
            response.WriteText("def");
        }));
        string answer = RawClient.ExchangeUnchecked(server.Port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        Assert.That(answer, Does.Not.Contain("def"));
        Assert.That((await server.Log.ErrorAsync()).Exception, Is.TypeOf<InvalidOperationException>());
    }

    [Test]
    public async Task Less_than_the_declared_length_ends_the_connection()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            response.ContentLength = 5;
            response.WriteText("abc");
            response.Flush();
        }));
        Assert.That(
            async () => await server.Client.GetStringAsync(server.Uri()),
            Throws.TypeOf<HttpRequestException>().Or.InstanceOf<IOException>());
        Assert.That((await server.Log.ErrorAsync()).Exception, Is.TypeOf<InvalidOperationException>());
    }

    [Test]
    [Logs(12)]
    public async Task A_wrong_length_of_which_nothing_was_sent_is_an_error()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapGet("/less", (_, response) =>
            {
                response.ContentLength = 5;
                response.WriteText("abc");
            });
            server.MapGet("/more", (_, response) =>
            {
                response.ContentLength = 5;
                response.WriteText("abcdef");
            });
        });
        foreach (string path in (string[])["/less", "/more"])
        {
            using HttpResponseMessage response = await server.Client.GetAsync(server.Uri(path));
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.InternalServerError));
        }
    }

    [Test]
    public async Task An_exception_in_the_middle_of_a_body_cuts_it([Values("1.0", "1.1")] string version)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            response.WriteText("begun");
            response.Flush();
            throw new FormatException("on purpose");
        }));
        using var client = new RawClient(server.Port);
        client.Send($"GET / HTTP/{version}\r\nHost: x\r\n\r\n");

        // The reset can overtake the beginning. What must never come is an end in order.
        SocketException? reset = null;
        try
        {
            byte[] buffer = new byte[1024];
            while (client.Socket.Receive(buffer) > 0)
            {
            }
        }
        catch (SocketException e)
        {
            reset = e;
        }

        Assert.That(reset?.SocketErrorCode, Is.EqualTo(SocketError.ConnectionReset));
        Assert.That((await server.Log.ErrorAsync()).Exception, Is.TypeOf<FormatException>());
    }

    [TestCase("X-A", "a\r\nX-B: b")]
    [TestCase("X-A", "a\nb")]
    [TestCase("X-A", "a\0b")]
    [TestCase("X-A", "a\u0085b")]
    [TestCase("X-A", "a\u007f")]
    [TestCase("X A", "a")]
    [TestCase("X-A:", "a")]
    [TestCase("X-A\r\nX-B", "a")]
    [TestCase("", "a")]
    [TestCase("Ü", "a")]
    [TestCase("Content-Length", "5")]
    [TestCase("content-length", "5")]
    [TestCase("Transfer-Encoding", "chunked")]
    [TestCase("Connection", "close")]
    [TestCase("Upgrade", "h2c")]
    public async Task A_header_that_would_be_more_is_refused(string name, string value)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            Assert.That(() => response.Headers.Add(name, value), Throws.ArgumentException);
            Assert.That(() => response.Headers[name] = value, Throws.ArgumentException);
            response.WriteText("ok");
        }));
        Assert.That(await server.Client.GetStringAsync(server.Uri()), Is.EqualTo("ok"));
    }

    [Test]
    public async Task Headers_can_be_added_replaced_and_removed_until_the_head_is_sent()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            response.Headers.Add("X-Many", "1");
            response.Headers.Add("x-many", "2");
            response.Headers["X-One"] = "1";
            response.Headers["x-one"] = "grün\t2";
            response.Headers["X-None"] = "1";
            response.Headers["X-None"] = null;
            response.Headers["Date"] = "Thu, 01 Jan 1970 00:00:00 GMT";
            Assert.That(response.Headers.GetValues("X-MANY"), Is.EqualTo((string[])["1", "2"]));
            response.Flush();
            Assert.That(() => response.Headers["X-Late"] = "1", Throws.InvalidOperationException);
            Assert.That(() => response.Headers["X-One"] = null, Throws.InvalidOperationException);
            Assert.That(() => response.Headers.Add("X-Late", "1"), Throws.InvalidOperationException);
            Assert.That(() => response.Headers.Remove("X-One"), Throws.InvalidOperationException);
            Assert.That(() => response.Headers.Clear(), Throws.InvalidOperationException);
            Assert.That(response.Headers["X-One"], Is.EqualTo("grün\t2"));
            Assert.That(() => response.StatusCode = 201, Throws.InvalidOperationException);
            Assert.That(() => response.ContentLength = 1, Throws.InvalidOperationException);
            Assert.That(() => response.Redirect("/"), Throws.InvalidOperationException);
        }));
        string answer = RawClient.Exchange(server.Port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Assert.That(answer, Does.Contain("X-Many: 1\r\nx-many: 2\r\nx-one: grün\t2\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nTransfer"));
        Assert.That(server.Log.Errors, Is.Empty);
    }

    [Test]
    public async Task Json_is_written()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapGet("/sync", (_, response) => response.WriteJson(new Point(1, 2), JsonTypes.Default.Point));
            server.MapGet("/async", async (_, response) => await response.WriteJsonAsync(new Point(3, 4), JsonTypes.Default.Point));
        });
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri("/sync"));
        Assert.That(response.Content.Headers.ContentType!.MediaType, Is.EqualTo("application/json"));
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("""{"X":1,"Y":2}"""));
        Assert.That(await server.Client.GetStringAsync(server.Uri("/async")), Is.EqualTo("""{"X":3,"Y":4}"""));
    }

    [TestCase(false, false, 302)]
    [TestCase(true, false, 301)]
    [TestCase(false, true, 307)]
    [TestCase(true, true, 308)]
    public async Task Redirects(bool permanent, bool preserveMethod, int status)
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
            server.MapGet("/", (_, response) => response.Redirect("/über uns?a=%20", permanent, preserveMethod)));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri());
        Assert.That((int)response.StatusCode, Is.EqualTo(status));
        Assert.That(response.Headers.Location!.OriginalString, Is.EqualTo("/%C3%BCber%20uns?a=%20"));
    }

    [TestCase("/a\r\nSet-Cookie: x=y")]
    [TestCase("/a\0")]
    [TestCase("")]
    public async Task A_redirect_cannot_become_another_header(string url)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            Assert.That(() => response.Redirect(url), Throws.ArgumentException);
            response.WriteText("ok");
        }));
        Assert.That(await server.Client.GetStringAsync(server.Uri()), Is.EqualTo("ok"));
    }

    [Test]
    public async Task Cookies_are_set_and_deleted()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (request, response) =>
        {
            response.SetCookie("plain", "value");
            response.SetCookie("full", "", new CookieOptions
            {
                Path = "/a",
                Domain = "example.com",
                MaxAge = TimeSpan.FromHours(1),
                Expires = DateTimeOffset.UnixEpoch,
                Secure = true,
                HttpOnly = false,
                SameSite = CookieSameSite.None,
            });
            response.DeleteCookie("old", new CookieOptions { Path = "/b" });
            response.WriteText(request.Cookies["old"] ?? "");
        }));
        using var request = new HttpRequestMessage(HttpMethod.Get, server.Uri());
        request.Headers.Add("Cookie", "old=1; other=2");
        using HttpResponseMessage response = await server.Client.SendAsync(request);
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("1"));
        Assert.That(response.Headers.GetValues("Set-Cookie"), Is.EqualTo((string[])
        [
            "plain=value; Path=/; HttpOnly; SameSite=Lax",
            "full=; Max-Age=3600; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Domain=example.com; Path=/a; Secure; SameSite=None",
            "old=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/b; HttpOnly; SameSite=Lax",
        ]));
    }

    [Test]
    public async Task Cookies_that_would_be_something_else_are_refused()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            Assert.Multiple(() =>
            {
                foreach (string value in (string[])["a;b", "a b", "a,b", "a\"b", "a\\b", "a\r\nb", "ä", "a\0"])
                {
                    Assert.That(() => response.SetCookie("name", value), Throws.ArgumentException.With.Message.Contains("value of a cookie"), value);
                }

                foreach (string name in (string[])["", "a b", "a=b", "a;b", "a\n", "ä"])
                {
                    Assert.That(() => response.SetCookie(name, "value"), Throws.ArgumentException, name);
                }

                foreach (CookieOptions options in (CookieOptions[])
                [
                    new() { Path = "/;x" }, new() { Path = "" }, new() { Domain = "a\r\nb" }, new() { SameSite = CookieSameSite.None },
                ])
                {
                    Assert.That(() => response.SetCookie("name", "value", options), Throws.ArgumentException);
                }

                foreach (string name in (string[])["__Secure-a", "__secure-a", "__SECURE-", "__Host-a", "__host-a", "__hOsT-"])
                {
                    Assert.That(() => response.SetCookie(name, "b"), Throws.ArgumentException.With.Message.Contains("must be Secure"), name);
                }

                Assert.That(() => response.SetCookie("__host-a", "b", new CookieOptions { Secure = true, Domain = "example.org" }), Throws.ArgumentException);
                Assert.That(() => response.SetCookie("__Host-a", "b", new CookieOptions { Secure = true, Path = "/x" }), Throws.ArgumentException);
                Assert.That(() => response.SetCookie("__Host-a", "b", new CookieOptions { Secure = true }), Throws.Nothing);
            });
        }));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri());
        Assert.That(response.Headers.GetValues("Set-Cookie"), Is.EqualTo((string[])["__Host-a=b; Path=/; Secure; HttpOnly; SameSite=Lax"]));
    }

    [TestCase(100)]
    [TestCase(199)]
    [TestCase(600)]
    [TestCase(-1)]
    public async Task Other_statuses_are_refused(int status)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            Assert.That(() => response.StatusCode = status, Throws.TypeOf<ArgumentOutOfRangeException>());
            response.WriteText("ok");
        }));
        Assert.That(await server.Client.GetStringAsync(server.Uri()), Is.EqualTo("ok"));
    }

    [Test]
    public async Task A_client_that_does_not_read_loses_its_connection()
    {
        var ended = new TaskCompletionSource<Exception?>();
        await using RunningServer server = await RunningServer.StartAsync(
            server => server.MapGet("/", (_, response) =>
            {
                try
                {
                    for (int i = 0; i < 10_000; i++)
                    {
                        response.Write(new byte[16 * 1024]);
                    }

                    ended.SetResult(null);
                }
                catch (IOException e)
                {
                    ended.SetResult(e);
                    throw;
                }
            }),
            options => options.WriteTimeout = TimeSpan.FromMilliseconds(300));
        using var client = new RawClient(server.Port);
        client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        Assert.That(await ended.Task.WaitAsync(TestServer.Patience), Is.InstanceOf<IOException>());
        await server.DisposeAsync();
        Assert.That(server.Log.Errors, Is.Empty); // clients that vanish are no errors
    }

    private static byte[] Bytes(int count)
    {
        byte[] bytes = new byte[count];
        new Random(count).NextBytes(bytes);
        return bytes;
    }

    internal sealed record Point(int X, int Y);

    [JsonSerializable(typeof(Point))]
    internal sealed partial class JsonTypes : JsonSerializerContext;
}
