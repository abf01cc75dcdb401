using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Bodies of requests: whole, in chunks, too large, too slow, left unread.</summary>
[TestFixture]
internal sealed class HttpBodyTests
{
    [TestCase(0)]
    [TestCase(1)]
    [TestCase(20_000)]
    [TestCase(3_000_000)]
    public async Task A_body_comes_whole(int size)
    {
        byte[] body = Bytes(size);
        await using RunningServer server = await StartEchoAsync();
        foreach (bool chunked in (bool[])[false, true])
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, server.Uri()) { Content = new ByteArrayContent(body) };
            request.Headers.TransferEncodingChunked = chunked;
            using HttpResponseMessage response = await server.Client.SendAsync(request);
            Assert.That(await response.Content.ReadAsByteArrayAsync(), Is.EqualTo(body));
            Assert.That(response.Headers.GetValues("X-Length").Single(), Is.EqualTo(chunked ? "none" : $"{size}"));
        }
    }

    [Test]
    public async Task A_body_is_read_as_it_comes()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", async (request, response) =>
        {
            byte[] buffer = new byte[100];
            int n;
            while ((n = await request.Body.ReadAsync(buffer)) > 0)
            {
                response.Write(buffer.AsSpan(0, n));
                await response.FlushAsync();
            }
        }));
        foreach (bool chunked in (bool[])[false, true])
        {
            using var client = new RawClient(server.Port);
            client.Send("POST / HTTP/1.1\r\nHost: x\r\n" + (chunked ? "Transfer-Encoding: chunked" : "Content-Length: 6") + "\r\n\r\n");
            client.Send(chunked ? "3\r\nabc\r\n" : "abc");
            client.ReadHead();
            Assert.That(Encoding.ASCII.GetString(client.ReadExactly(8)), Is.EqualTo("3\r\nabc\r\n"));
            client.Send(chunked ? "3\r\ndef\r\n0\r\n\r\n" : "def");
            Assert.That(Encoding.ASCII.GetString(client.ReadExactly(13)), Is.EqualTo("3\r\ndef\r\n0\r\n\r\n"));
        }
    }

    [TestCase("3\r\nabc\r\n0\r\n\r\n", "abc")]
    [TestCase("3;a=b\r\nabc\r\n0;x\r\n\r\n", "abc")]
    [TestCase("003 ; a=\"b c\"\r\nabc\r\n00\r\n\r\n", "abc")]
    [TestCase("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789")]
    [TestCase("3\r\nabc\r\n0\r\nTrailer: 1\r\nOther: 2\r\n\r\n", "abc")]
    [TestCase("0\r\n\r\n", "")]
    public async Task Chunks_in_all_their_forms_and_a_request_behind_them(string body, string expected)
    {
        await using RunningServer server = await StartEchoAsync();
        const string Head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        foreach (bool slowly in (bool[])[false, true])
        {
            using var client = new RawClient(server.Port);
            string pipelined = Head + body + Head + body;
            foreach (string piece in slowly ? pipelined.Select(c => c.ToString()) : [pipelined])
            {
                client.Send(piece);
            }

            for (int i = 0; i < 2; i++)
            {
                Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n").And.Contain($"\r\nContent-Length: {expected.Length}\r\n"));
                Assert.That(Encoding.ASCII.GetString(client.ReadExactly(expected.Length)), Is.EqualTo(expected));
            }
        }
    }

    [TestCase("x\r\nabc\r\n0\r\n\r\n")]
    [TestCase("-3\r\nabc\r\n0\r\n\r\n")]
    [TestCase("+3\r\nabc\r\n0\r\n\r\n")]
    [TestCase("0x3\r\nabc\r\n0\r\n\r\n")]
    [TestCase(" 3\r\nabc\r\n0\r\n\r\n")]
    [TestCase("\r\nabc\r\n0\r\n\r\n")]
    [TestCase("3\nabc\n0\n\n")]
    [TestCase("3\r\nabcX\r\n0\r\n\r\n")]
    [TestCase("3\r\nabc0\r\n\r\n")]
    [TestCase("3\r\nabc\n0\r\n\r\n")]
    [TestCase("3\rXabc\r\n0\r\n\r\n")]
    [TestCase("3;a\nb\r\nabc\r\n0\r\n\r\n")]
    [TestCase("FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n")]
    [TestCase("3\r\nabc\r\n0\r\nTrailer: 1\n\r\n")]
    public async Task Malformed_chunks_are_answered_with_400_and_the_end(string body)
    {
        await using RunningServer server = await StartEchoAsync();
        string answer = RawClient.Exchange(server.Port, $"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        Assert.That(answer, Does.StartWith("HTTP/1.1 400 ").And.Contain("\r\nConnection: close\r\n"));
        Assert.That(server.Log.Errors, Is.Empty);
    }

    [Test]
    public async Task Endless_extensions_and_trailers_are_malformed()
    {
        await using RunningServer server = await StartEchoAsync();
        const string Head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        using var extension = new RawClient(server.Port);
        extension.Send(Head + "3;" + new string('x', 2000));
        Assert.That(extension.ReadHead(), Does.StartWith("HTTP/1.1 400 "));
        using var trailer = new RawClient(server.Port);
        trailer.Send(Head + "0\r\n" + string.Concat(Enumerable.Repeat("Trailer: value\r\n", 1000)));
        Assert.That(trailer.ReadHead(), Does.StartWith("HTTP/1.1 400 "));
    }

    [Test]
    public async Task A_head_that_fills_the_buffer_leaves_chunks_readable()
    {
        await using RunningServer server = await StartEchoAsync();
        const string Start = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX: ";
        for (int room = 0; room < 6; room++)
        {
            // CivetWeb's buffer for a head: max_request_size, 16 KiB.
            string head = Start + new string('a', (16 * 1024) - Start.Length - 4 - room) + "\r\n\r\n";
            using var client = new RawClient(server.Port);
            client.Send(head + "5\r\nabcde\r\n2\r\nfg\r\n0\r\n\r\n");
            Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n"), $"{room} bytes of room");
            Assert.That(Encoding.ASCII.GetString(client.ReadExactly(7)), Is.EqualTo("abcdefg"));
            client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n!");
            Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n"));
        }
    }

    [Test]
    public async Task A_body_over_the_limit_is_refused([Values] bool chunked)
    {
        bool begun = false;
        await using RunningServer server = await RunningServer.StartAsync(
            server =>
            {
                server.MapPost("/", async (request, response) =>
                {
                    begun = true;
                    await response.WriteAsync(await request.ReadBytesAsync());
                });
                server.MapPost("/more", async (request, response) =>
                {
                    request.MaxBodySize = 2000;
                    await response.WriteAsync(await request.ReadBytesAsync());
                    Assert.That(() => request.MaxBodySize = 1, Throws.InvalidOperationException);
                });
                server.MapPost("/any", async (request, response) =>
                {
                    request.MaxBodySize = null;
                    await response.WriteTextAsync($"{(await request.ReadBytesAsync()).Length}");
                });
            },
            options => options.MaxRequestBodySize = 1000);
        Assert.That(await PostAsync("/", 1000), Is.EqualTo(200));
        Assert.That(await PostAsync("/", 1001), Is.EqualTo(413));
        Assert.That(await PostAsync("/more", 2000), Is.EqualTo(200));
        Assert.That(await PostAsync("/more", 2001), Is.EqualTo(413));
        Assert.That(await PostAsync("/any", 100_000), Is.EqualTo(200));
        Assert.That(begun);

        async Task<int> PostAsync(string path, int size)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, server.Uri(path)) { Content = new ByteArrayContent(new byte[size]) };
            request.Headers.TransferEncodingChunked = chunked;
            using HttpResponseMessage response = await server.Client.SendAsync(request);
            return (int)response.StatusCode;
        }
    }

    [Test]
    public async Task A_length_over_the_limit_is_refused_before_anything_is_sent()
    {
        await using RunningServer server = await StartEchoAsync();
        using var client = new RawClient(server.Port);
        client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30000001\r\nExpect: 100-continue\r\n\r\n");
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 413 ").And.Contain("\r\nConnection: close\r\n"));
    }

    [Test]
    public async Task A_client_that_stops_sending_is_told_408()
    {
        await using RunningServer server = await StartEchoAsync(options => options.RequestHeadersTimeout = TimeSpan.FromMilliseconds(500));
        string[] answers = await Task.WhenAll(((string[])["Content-Length: 10", "Transfer-Encoding: chunked"]).Select(header =>
            Task.Run(() => RawClient.Exchange(server.Port, $"POST / HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n5"))));
        Assert.That(answers, Has.All.StartsWith("HTTP/1.1 408 ").And.All.Contains("\r\nConnection: close\r\n"));
    }

    [Test]
    public async Task A_body_that_is_whole_is_taken_however_late_it_came()
    {
        await using RunningServer server = await StartEchoAsync(options =>
        {
            options.RequestBodyGrace = TimeSpan.FromMilliseconds(50);
            options.MinRequestBodyRate = 1_000_000;
        });
        using var client = new RawClient(server.Port);
        client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
        await Task.Delay(300);
        client.Send("abc");
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n"));
    }

    [Test]
    public async Task A_client_that_sends_too_slowly_is_told_408()
    {
        await using RunningServer server = await StartEchoAsync(options =>
        {
            options.RequestBodyGrace = TimeSpan.FromMilliseconds(200);
            options.MinRequestBodyRate = 1_000_000;
        });
        using var client = new RawClient(server.Port);
        client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
        Task<string> answer = Task.Run(client.ReadHead);
        for (int i = 0; i < 1000 && !answer.IsCompleted; i++)
        {
            try
            {
                client.Send("x");
            }
            catch (System.Net.Sockets.SocketException)
            {
                break; // closed already
            }

            await Task.Delay(20);
        }

        Assert.That(await answer, Does.StartWith("HTTP/1.1 408 "));
    }

    [Test]
    public async Task A_client_that_vanishes_is_no_error()
    {
        var failed = new TaskCompletionSource<Exception>();
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", async (request, _) =>
        {
            try
            {
                await request.ReadBytesAsync();
            }
            catch (IOException e)
            {
                failed.SetResult(e);
                throw;
            }
        }));
        using (var client = new RawClient(server.Port))
        {
            client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
        }

        Assert.That(await failed.Task.WaitAsync(TestServer.Patience), Is.TypeOf<IOException>());
        await server.DisposeAsync();
        Assert.That(server.Log.Errors, Is.Empty);
        (LogLevel level, _, string message, _) = server.Log.Entries.Single(entry => entry.Event.Id == 13);
        Assert.That((level, message), Is.EqualTo((LogLevel.Debug, "The client 127.0.0.1 has gone before POST / was answered.")));
    }

    [Test]
    public async Task A_client_that_waits_is_told_to_continue_when_the_body_is_read()
    {
        var read = new TaskCompletionSource();
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", async (request, response) =>
        {
            await read.Task;
            response.WriteText(await request.ReadTextAsync());
        }));
        using var client = new RawClient(server.Port);
        client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
        Assert.That(client.Socket.Poll(200_000, System.Net.Sockets.SelectMode.SelectRead), Is.False, "not before it is read");
        read.SetResult();
        Assert.That(client.ReadHead(), Is.EqualTo("HTTP/1.1 100 Continue\r\n\r\n"));
        client.Send("abc");
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n").And.Contain("keep-alive"));
        Assert.That(Encoding.ASCII.GetString(client.ReadExactly(3)), Is.EqualTo("abc"));
        client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n"));
    }

    [Test]
    public async Task A_client_that_waits_to_be_told_is_told_nothing_inside_a_response_that_has_begun()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", async (request, response) =>
        {
            response.WriteText("begun");
            await response.FlushAsync();
            response.Write(await request.ReadBytesAsync());
        }));
        using var client = new RawClient(server.Port);
        client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n"));
        Assert.That(Encoding.ASCII.GetString(client.ReadExactly(10)), Is.EqualTo("5\r\nbegun\r\n"));
        client.Send("abc");
        Assert.That(Encoding.ASCII.GetString(client.ReadToEnd()), Is.EqualTo("3\r\nabc\r\n0\r\n\r\n"));
    }

    [Test]
    public async Task A_client_that_waits_for_nothing_gets_its_answer_and_the_end()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", (_, response) => response.StatusCode = 403));
        string answer = RawClient.Exchange(server.Port, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
        Assert.That(answer, Does.StartWith("HTTP/1.1 403 ").And.Contain("\r\nConnection: close\r\n").And.Not.Contain("100 Continue"));
    }

    [TestCase("HTTP/1.1", "200-fine", 417)]
    [TestCase("HTTP/1.0", "100-continue", 200)]
    public async Task Other_expectations(string version, string expect, int status)
    {
        await using RunningServer server = await StartEchoAsync();
        string answer = RawClient.Exchange(
            server.Port, $"POST / {version}\r\nHost: x\r\nContent-Length: 3\r\nExpect: {expect}\r\nConnection: close\r\n\r\nabc");
        Assert.That(answer, Does.StartWith($"HTTP/1.1 {status} ").And.Not.Contain("100 Continue"));
    }

    [TestCase(10, true)]
    [TestCase(64 * 1024, true)]
    [TestCase(64 * 1024 + 1, false)]
    [TestCase(500_000, false)]
    public async Task A_body_left_unread_is_read_over_or_ends_the_connection(int size, bool keepsAlive)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", (_, response) => response.WriteText("no")));
        using var client = new RawClient(server.Port);
        Task<string> head = Task.Run(client.ReadHead);
        try
        {
            client.Send($"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n");
            client.Send(new byte[size]);
        }
        catch (System.Net.Sockets.SocketException) when (!keepsAlive)
        {
            // closed before all was sent
        }

        Assert.That(await head, Does.StartWith("HTTP/1.1 200 OK\r\n").And.Contain(keepsAlive ? "keep-alive" : "\r\nConnection: close\r\n"));
        client.ReadExactly(2);
        if (keepsAlive)
        {
            client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
            Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n"));
        }
    }

    /// <summary>What comes byte by byte does not begin the time for it anew.</summary>
    [Test]
    public async Task A_leftover_body_that_trickles_ends_the_connection()
    {
        const int Size = 3000;
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", (_, response) => response.WriteText("no")));
        using var client = new RawClient(server.Port);
        client.Send($"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {Size}\r\n\r\n");
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n").And.Contain("keep-alive"));
        client.ReadExactly(2);
        Task<byte[]> end = Task.Run(client.ReadToEnd);
        int sent = 0;
        try
        {
            for (; sent < Size - 1 && !end.IsCompleted; sent++)
            {
                client.Send("x"u8);
                await Task.WhenAny(end, Task.Delay(10));
            }
        }
        catch (System.Net.Sockets.SocketException)
        {
            // the server has hung up
        }

        Assert.That(sent, Is.LessThan(Size - 1), "all of it was waited for");
        Assert.That(await end.WaitAsync(TestServer.Patience), Is.Empty);
    }

    [TestCase("5\r\nabcde\r\n0\r\n\r\n", true)]
    [TestCase("nonsense\r\n", false)]
    public async Task Chunks_left_unread_are_read_over_or_end_the_connection(string body, bool keepsAlive)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", (_, response) => response.WriteText("no")));
        using var client = new RawClient(server.Port);
        client.Send($"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n"));
        client.ReadExactly(2);
        if (keepsAlive)
        {
            client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
            Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n"));
        }
        else
        {
            Assert.That(client.ReadToEnd(), Is.Empty);
        }
    }

    [TestCase(null, "grün", "grün")]
    [TestCase("text/plain; charset=utf-8", "grün", "grün")]
    [TestCase("text/plain; charset=\"UTF-8\"", "\uFEFFgrün", "grün")]
    public async Task Text_is_read(string? type, string text, string expected)
    {
        string? got = null;
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", async (request, _) => got = await request.ReadTextAsync()));
        using var content = new ByteArrayContent(Encoding.UTF8.GetBytes(text));
        if (type is not null)
        {
            content.Headers.TryAddWithoutValidation("Content-Type", type);
        }

        using HttpResponseMessage response = await server.Client.PostAsync(server.Uri(), content);
        Assert.That(got, Is.EqualTo(expected));
    }

    [Test]
    public async Task Text_in_latin_1_is_read_and_other_charsets_refused()
    {
        string? got = null;
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", async (request, _) => got = await request.ReadTextAsync()));
        using var latin = new ByteArrayContent([(byte)'g', 0xFC]);
        latin.Headers.TryAddWithoutValidation("Content-Type", "text/plain; charset=iso-8859-1");
        using HttpResponseMessage read = await server.Client.PostAsync(server.Uri(), latin);
        Assert.That(got, Is.EqualTo("gü"));
        using var other = new ByteArrayContent([1]);
        other.Headers.TryAddWithoutValidation("Content-Type", "text/plain; charset=utf-16");
        using HttpResponseMessage refused = await server.Client.PostAsync(server.Uri(), other);
        Assert.That(refused.StatusCode, Is.EqualTo(HttpStatusCode.UnsupportedMediaType));
    }

    [TestCase("""{"X":1,"Y":2}""", 200, "3")]
    [TestCase("""{"X":1,""", 400, null)]
    [TestCase("", 400, null)]
    [TestCase("""{"X":"a"}""", 400, null)]
    public async Task Json_is_read(string json, int status, string? answer)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", async (request, response) =>
        {
            HttpResponseTests.Point point = (await request.ReadJsonAsync(HttpResponseTests.JsonTypes.Default.Point))!;
            response.WriteText($"{point.X + point.Y}");
        }));
        using HttpResponseMessage response = await server.Client.PostAsync(server.Uri(), new StringContent(json));
        Assert.That((int)response.StatusCode, Is.EqualTo(status));
        string text = await response.Content.ReadAsStringAsync();
        Assert.That(text, answer is null ? Does.Not.Contain("System") : Is.EqualTo(answer));
        Assert.That(server.Log.Errors, Is.Empty);
    }

    [Test]
    public async Task A_large_body_takes_little_memory_and_arrives_intact()
    {
        const int Size = 20_000_000;
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPut("/", async (request, response) =>
        {
            long largest = 0;
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            byte[] buffer = new byte[8192];
            int n;
            while ((n = await request.Body.ReadAsync(buffer)) > 0)
            {
                largest = Math.Max(largest, n);
                hash.AppendData(buffer, 0, n);
            }

            response.WriteText(Convert.ToHexString(hash.GetHashAndReset()));
        }));
        byte[] body = Bytes(Size);
        foreach (bool chunked in (bool[])[false, true])
        {
            using var request = new HttpRequestMessage(HttpMethod.Put, server.Uri()) { Content = new ByteArrayContent(body) };
            request.Headers.TransferEncodingChunked = chunked;
            using HttpResponseMessage response = await server.Client.SendAsync(request);
            Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo(Convert.ToHexString(SHA256.HashData(body))));
        }
    }

    private static Task<RunningServer> StartEchoAsync(Action<CivetWebServerOptions>? configure = null) => RunningServer.StartAsync(
        server => server.MapPost("/", async (request, response) =>
        {
            response.Headers["X-Length"] = request.ContentLength is { } length ? $"{length}" : "none";
            await response.WriteAsync(await request.ReadBytesAsync());
        }),
        configure);

    private static byte[] Bytes(int count)
    {
        byte[] bytes = new byte[count];
        new Random(count).NextBytes(bytes);
        return bytes;
    }
}
