using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Plain HTTP: what a request callback can read and write, and what becomes of what it returns.</summary>
public sealed class HttpTests
{
    private DirectoryInfo _directory = null!;

    [SetUp]
    public void CreateDirectory() => _directory = Directory.CreateTempSubdirectory("civetweb-http-");

    [TearDown]
    public void DeleteDirectory() => _directory.Delete(recursive: true);

    // ---- Print, Write ----

    [Test]
    public async Task A_page_of_the_callback_reaches_HttpClient()
    {
        using TestServer server = Serve(connection => Answer(connection, "Grüße, 世界 \U0001F600"));
        using HttpClient client = Client();
        using HttpResponseMessage response = await client.GetAsync(Url(server, "/page"));
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("Grüße, 世界 \U0001F600"));
    }

    [Test]
    public void Print_returns_the_number_of_UTF8_bytes()
    {
        var results = new List<int>();
        string response = Ask(
            connection =>
            {
                results.Add(Http.Print(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"));
                results.Add(Http.Print(connection, "aé€\U0001F600"));
                results.Add(Http.Print(connection, ""));
                results.Add(Http.Print(connection, "%s%n%d"));
                return 200;
            },
            Get("/"));
        Assert.That(string.Join(' ', results), Is.EqualTo("38 10 0 6"));
        Assert.That(Body(response), Is.EqualTo("aé€\U0001F600%s%n%d"));
    }

    [Test]
    public void Write_sends_every_byte_value_as_it_is()
    {
        byte[] bytes = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];
        var results = new List<int>();
        using TestServer server = Serve(connection =>
        {
            Http.Print(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            results.Add(Http.Write(connection, bytes));
            results.Add(Http.Write(connection, []));
            return 200;
        });
        using var client = new RawClient(server.Port);
        client.Send(Get("/"));
        client.ReadHead();
        Assert.That(client.ReadToEnd(), Is.EqualTo(bytes));
        Assert.That(string.Join(' ', results), Is.EqualTo("256 0"));
    }

    [Test]
    public void A_response_of_several_megabytes_arrives_whole()
    {
        byte[] bytes = new byte[8 * 1024 * 1024];
        new Random(1).NextBytes(bytes);
        int written = 0;
        using TestServer server = Serve(connection =>
        {
            Http.Print(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            written = Http.Write(connection, bytes);
            return 200;
        });
        using var client = new RawClient(server.Port);
        client.Send(Get("/"));
        client.ReadHead();
        Assert.That(client.ReadToEnd().AsSpan().SequenceEqual(bytes));
        Assert.That(written, Is.EqualTo(bytes.Length));
    }

    [Test]
    public void Null_arguments_are_refused()
    {
        Assert.That(() => Http.Print(null!, ""), Throws.ArgumentNullException);
        Assert.That(() => Http.Write(null!, []), Throws.ArgumentNullException);
        Assert.That(() => Http.Read(null!, new byte[1]), Throws.ArgumentNullException);
        Assert.That(() => Http.SendFile(null!, "x"), Throws.ArgumentNullException);
        Assert.That(() => Http.GetRequestInfo(null!), Throws.ArgumentNullException);
        Assert.That(() => Http.GetHeader(null!, "x"), Throws.ArgumentNullException);
        Assert.That(() => Http.GetCookie(null!, "x"), Throws.ArgumentNullException);
        Assert.That(() => Http.GetVariable((Connection)null!, "x"), Throws.ArgumentNullException);
        Inspect(
            connection =>
            {
                Assert.That(() => Http.Print(connection, null!), Throws.ArgumentNullException);
                Assert.That(() => Http.SendFile(connection, null!), Throws.ArgumentNullException);
                Assert.That(() => Http.GetHeader(connection, null!), Throws.ArgumentNullException);
                Assert.That(() => Http.GetCookie(connection, null!), Throws.ArgumentNullException);
                Assert.That(() => Http.GetCookie(connection, ""), Throws.ArgumentException);
                Assert.That(() => Http.GetVariable(connection, null!), Throws.ArgumentNullException);
                return 0;
            },
            Get("/"));
    }

    // ---- Read ----

    [Test]
    public void A_body_with_a_content_length_is_read_to_its_end()
    {
        byte[] body = new byte[100_000];
        new Random(2).NextBytes(body);
        using TestServer server = Serve(connection =>
        {
            byte[] got = ReadAll(connection, 777, out int last);
            return Answer(connection, $"{got.AsSpan().SequenceEqual(body)} {last}");
        });
        using var client = new RawClient(server.Port);
        client.Send($"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {body.Length}\r\n\r\n");
        client.Send(body);
        Assert.That(Body(Encoding.UTF8.GetString(client.ReadToEnd())), Is.EqualTo("True 0"));
    }

    [Test]
    public void A_chunked_body_is_read_without_its_frame()
    {
        string response = Ask(
            connection => Answer(
                connection, $"{Encoding.UTF8.GetString(ReadAll(connection, 5, out int last))} {last} {Http.GetRequestInfo(connection).ContentLength}"),
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\nA;x=y\r\n, chunked \r\n5\r\nworld\r\n0\r\n\r\n");
        Assert.That(Body(response), Is.EqualTo("Hello, chunked world 0 -1"));
    }

    [Test]
    public async Task A_chunked_body_of_HttpClient_is_read()
    {
        byte[] body = new byte[300_000];
        new Random(3).NextBytes(body);
        using TestServer server = Serve(connection => Answer(connection, ReadAll(connection, 4096, out _).AsSpan().SequenceEqual(body).ToString()));
        using HttpClient client = Client();
        using var request = new HttpRequestMessage(HttpMethod.Post, Url(server, "/"));
        request.Headers.TransferEncodingChunked = true;
        request.Content = new StreamContent(new MemoryStream(body));
        using HttpResponseMessage response = await client.SendAsync(request);
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("True"));
    }

    [Test]
    public void Chunked_bodies_of_one_connection_are_each_read_from_their_beginning()
    {
        const string Head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        using TestServer server = ServeKeepAlive(connection => AnswerKeepAlive(connection, Encoding.UTF8.GetString(ReadAll(connection, 5, out _))));
        using var client = new RawClient(server.Port);
        client.Send($"{Head}5\r\nfirst\r\n0\r\n\r\n");
        Assert.That(ReadResponse(client), Is.EqualTo("first"));
        client.Send($"{Head}6\r\nsecond\r\n0\r\n\r\n");
        Assert.That(ReadResponse(client), Is.EqualTo("second"));
    }

    [TestCase("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [TestCase("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")]
    [TestCase("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")]
    public void An_empty_body_ends_at_once(string request) =>
        Assert.That(Inspect(connection => Http.Read(connection, new byte[10]), request), Is.Zero);

    [Test]
    public void Reading_into_nothing_returns_0_and_loses_nothing()
    {
        string response = Ask(
            connection => Answer(connection, Http.Read(connection, []) + Encoding.UTF8.GetString(ReadAll(connection, 10, out _))),
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody");
        Assert.That(Body(response), Is.EqualTo("0body"));
    }

    [Test]
    public void A_body_that_breaks_off_ends_without_an_exception()
    {
        var done = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        using TestServer server = Serve(connection =>
        {
            done.TrySetResult($"{Encoding.UTF8.GetString(ReadAll(connection, 10, out int last))} {last <= 0}");
            return 200;
        });
        using (var client = new RawClient(server.Port))
        {
            client.Send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf");
        }

        Assert.That(done.Task.Wait(TestServer.Patience));
        Assert.That(done.Task.Result, Is.EqualTo("half True"));
    }

    // ---- SendFile ----

    [Test]
    public void A_file_is_sent_with_the_type_of_its_extension()
    {
        string file = CreateFile("page.html", "<p>0123456789</p>");
        string response = Ask(connection => SendFile(connection, file), Get("/"));
        Assert.That(response, Does.StartWith("HTTP/1.1 200 OK\r\n"));
        Assert.That(response, Does.Contain("Content-Type: text/html\r\n"));
        Assert.That(response, Does.Contain("Content-Length: 17\r\n"));
        Assert.That(Body(response), Is.EqualTo("<p>0123456789</p>"));
    }

    [Test]
    public void A_file_is_sent_with_the_type_given()
    {
        string file = CreateFile("page.html", "text");
        string response = Ask(connection => SendFile(connection, file, "application/x-test; charset=utf-8"), Get("/"));
        Assert.That(response, Does.StartWith("HTTP/1.1 200 OK\r\n"));
        Assert.That(response, Does.Contain("Content-Type: application/x-test; charset=utf-8\r\n"));
        Assert.That(Body(response), Is.EqualTo("text"));
    }

    [Test]
    public void A_file_name_may_have_any_characters()
    {
        string file = CreateFile("Ünïcode 世界 %41.txt", "found");
        Assert.That(Body(Ask(connection => SendFile(connection, file), Get("/"))), Is.EqualTo("found"));
    }

    [Test]
    public void An_empty_file_is_sent()
    {
        string file = CreateFile("empty.txt", "");
        string response = Ask(connection => SendFile(connection, file), Get("/"));
        Assert.That(response, Does.StartWith("HTTP/1.1 200 OK\r\n"));
        Assert.That(Body(response), Is.Empty);
    }

    [Test]
    public void A_missing_file_is_a_404()
    {
        string file = Path.Combine(_directory.FullName, "missing.txt");
        string response = Ask(connection => SendFile(connection, file), Get("/"));
        Assert.That(response, Does.StartWith("HTTP/1.1 404 Not Found\r\n"));
        Assert.That(response, Does.Not.Contain(_directory.FullName), "where it was looked for is nobody's business");
    }

    [Test]
    public void A_folder_is_not_sent()
    {
        CreateFile("inside.txt", "");
        string response = Ask(connection => SendFile(connection, _directory.FullName), Get("/"));
        Assert.That(response, Does.Match("^HTTP/1.1 40[34] "));
        Assert.That(response, Does.Not.Contain("inside.txt"));
    }

    [TestCase("bytes=2-4", "234", "bytes 2-4/10")]
    [TestCase("bytes=7-", "789", "bytes 7-9/10")]
    public void A_range_of_a_file_is_a_206(string range, string expected, string contentRange)
    {
        string file = CreateFile("digits.txt", "0123456789");
        string response = Ask(connection => SendFile(connection, file), Get("/", $"Range: {range}\r\n"));
        Assert.That(response, Does.StartWith("HTTP/1.1 206 Partial Content\r\n"));
        Assert.That(response, Does.Contain($"Content-Range: {contentRange}\r\n"));
        Assert.That(Body(response), Is.EqualTo(expected));
    }

    [Test]
    public void HEAD_gets_the_head_of_a_file_only()
    {
        string file = CreateFile("digits.txt", "0123456789");
        string response = Ask(connection => SendFile(connection, file), "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.That(response, Does.StartWith("HTTP/1.1 200 OK\r\n"));
        Assert.That(response, Does.Contain("Content-Length: 10\r\n"));
        Assert.That(Body(response), Is.Empty);
    }

    [Test]
    public void Text_that_would_end_early_or_split_a_header_is_refused()
    {
        string file = CreateFile("page.html", "text");
        Inspect(
            connection =>
            {
                Assert.That(() => Http.SendFile(connection, file + "\0.png"), Throws.ArgumentException);
                Assert.That(() => Http.SendFile(connection, file, "text/plain\0"), Throws.ArgumentException);
                Assert.That(() => Http.SendFile(connection, file, "text/plain\r\nSet-Cookie: a=b"), Throws.ArgumentException);
                Assert.That(() => Http.SendFile(connection, file, "text/plain\nSet-Cookie: a=b"), Throws.ArgumentException);
                Assert.That(() => Http.SendFile(connection, file, "text/plain\r"), Throws.ArgumentException);
                Assert.That(() => Http.GetVariable(connection, "a\0b"), Throws.ArgumentException);
                return 0;
            },
            Get("/?a=1"));
    }

    // ---- GetCookie, GetHeader, GetVariable ----

    [TestCase("id=1; aid=2; id2=3", "id", "1")]
    [TestCase("aid=2; id=1", "id", "1", Description = "the end of another name")]
    [TestCase("id2=3; id=1", "id", "1", Description = "the beginning of another name")]
    [TestCase("x=id=5; id=1", "id", "1", Description = "within another value")]
    [TestCase("aid=2;id=1", "id", "1", Description = "no space after the semicolon")]
    [TestCase("id=\"quoted value\"; x=y", "id", "quoted value")]
    [TestCase("id=\"", "id", "\"")]
    [TestCase("id=a=b==", "id", "a=b==")]
    [TestCase("id=", "id", "")]
    [TestCase("id=1; id=2", "id", "1", Description = "the first of several")]
    [TestCase("ID=1", "id", null, Description = "case matters")]
    [TestCase("aid=1", "id", null)]
    [TestCase("id", "id", null)]
    [TestCase("", "id", null)]
    public void A_cookie_is_found_by_its_whole_name(string header, string name, string? expected) =>
        Assert.That(Inspect(connection => Http.GetCookie(connection, name), Get("/", $"Cookie: {header}\r\n")), Is.EqualTo(expected));

    [Test]
    public void Without_a_cookie_header_there_is_no_cookie() =>
        Assert.That(Inspect(connection => Http.GetCookie(connection, "id"), Get("/")), Is.Null);

    [Test]
    public void Cookies_may_come_in_several_headers() =>
        Assert.That(Inspect(connection => Http.GetCookie(connection, "b"), Get("/", "Cookie: a=1\r\ncookie: b=2\r\n")), Is.EqualTo("2"));

    [TestCase("X-Test", "value")]
    [TestCase("x-test", "value")]
    [TestCase("X-TEST", "value")]
    [TestCase("X-Tes", null)]
    [TestCase("X-Test2", null)]
    [TestCase("", null)]
    [TestCase("X-Empty", "")]
    public void A_header_is_found_whatever_its_case(string name, string? expected) =>
        Assert.That(
            Inspect(connection => Http.GetHeader(connection, name), Get("/", "X-Test: value\r\nX-Test: second\r\nX-Empty:\r\n")), Is.EqualTo(expected));

    [TestCase("X-Test:value")]
    [TestCase("X-Test:   value")]
    [TestCase("X-Test: value  ", Description = "RFC 9110, section 5.5")]
    public void White_space_around_a_value_is_not_part_of_it(string header) =>
        Assert.That(Inspect(connection => Http.GetHeader(connection, "X-Test"), Get("/", header + "\r\n")), Is.EqualTo("value"));

    [Test]
    public void A_header_may_have_bytes_that_are_no_UTF8()
    {
        string? value = null;
        using TestServer server = Serve(connection =>
        {
            value = Http.GetHeader(connection, "X-Test");
            return Answer(connection, "");
        });
        using var client = new RawClient(server.Port);
        client.Send([.. "GET / HTTP/1.1\r\nHost: localhost\r\nX-Test: a"u8, 0xE9, .. "b\r\n\r\n"u8]);
        client.ReadToEnd();
        Assert.That(value, Is.EqualTo("a\uFFFDb"));
    }

    [TestCase("a=1&b=2", "b", "2")]
    [TestCase("a=1&b=2", "A", "1", Description = "case does not matter")]
    [TestCase("ab=1&b=2", "b", "2")]
    [TestCase("a=1&a=2", "a", "1")]
    [TestCase("a=%41%20%2B+x", "a", "A + x")]
    [TestCase("a=%C3%BC%E2%82%AC", "a", "ü€")]
    [TestCase("a=", "a", "")]
    [TestCase("a=&b=2", "a", "")]
    [TestCase("b=2", "a", null)]
    [TestCase("", "a", null)]
    [TestCase("a=1=2", "a", "1=2")]
    [TestCase("a=%", "a", "%")]
    [TestCase("a=%4", "a", "%4")]
    [TestCase("a=%zz", "a", "%zz")]
    [TestCase("a=x%00y", "a", "x\0y")]
    [TestCase("a=%26b%3D2", "b", null, Description = "decoded after splitting")]
    public void A_variable_of_the_query_is_decoded(string query, string name, string? expected)
    {
        Assert.That(Inspect(connection => Http.GetVariable(connection, name), Get("/?" + query)), Is.EqualTo(expected), "query");
        Assert.That(Http.GetVariable(Encoding.UTF8.GetBytes(query), name), Is.EqualTo(expected), "form data");
    }

    [Test]
    public void Without_a_query_there_is_no_variable() =>
        Assert.That(Inspect(connection => Http.GetVariable(connection, "a"), Get("/")), Is.Null);

    [Test]
    public void A_long_value_is_not_cut()
    {
        string value = new('x', 100_000);
        Assert.That(Http.GetVariable(Encoding.UTF8.GetBytes($"a=1&long={value}&b=2"), "long"), Is.EqualTo(value));
    }

    [Test]
    public async Task A_variable_of_a_form_body_is_read()
    {
        using TestServer server = Serve(connection =>
        {
            byte[] form = ReadAll(connection, 100, out _);
            return Answer(connection, $"{Http.GetVariable(form, "name")}|{Http.GetVariable(form, "missing") ?? "null"}");
        });
        using HttpClient client = Client();
        using var form = new FormUrlEncodedContent([new("other", "1"), new("name", "Jörg & Ωmega + 1=2")]);
        using HttpResponseMessage response = await client.PostAsync(Url(server, "/"), form);
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("Jörg & Ωmega + 1=2|null"));
    }

    // ---- GetRequestInfo ----

    [Test]
    public void The_request_info_has_all_there_is_to_know()
    {
        object data = new();
        RequestInfo info = null!;
        var callbacks = new Callbacks
        {
            InitConnection = connection => connection.Data = data,
            BeginRequest = connection =>
            {
                info = Http.GetRequestInfo(connection);
                return Answer(connection, "");
            },
        };
        using var server = new TestServer(callbacks);
        using var client = new RawClient(server.Port);
        client.Send("PUT /a%20b/%C3%BC?x=%41&y=+ HTTP/1.0\r\nHost: localhost\r\nContent-Length: 3\r\nX-One: 1\r\nx-two:  2\r\nX-One: 3\r\n\r\nabc");
        client.ReadToEnd();

        Assert.That(info.Method, Is.EqualTo("PUT"));
        Assert.That(info.Uri, Is.EqualTo("/a%20b/%C3%BC"));
        Assert.That(info.LocalUriRaw, Is.EqualTo("/a%20b/%C3%BC"));
        Assert.That(info.LocalUri, Is.EqualTo("/a b/ü"));
        Assert.That(info.HttpVersion, Is.EqualTo("1.0"));
        Assert.That(info.QueryString, Is.EqualTo("x=%41&y=+"));
        Assert.That(info.RemoteUser, Is.Null);
        Assert.That(info.RemoteAddress, Is.EqualTo("127.0.0.1"));
        Assert.That(info.RemotePort, Is.EqualTo(((IPEndPoint)client.Socket.LocalEndPoint!).Port));
        Assert.That(info.ServerPort, Is.EqualTo(server.Port));
        Assert.That(info.ContentLength, Is.EqualTo(3));
        Assert.That(info.IsTls, Is.False);
        Assert.That(info.Subprotocol, Is.Null);
        Assert.That(info.UserData, Is.SameAs(server));
        Assert.That(info.ConnectionData, Is.SameAs(data));
        Assert.That(info.Headers, Is.EqualTo(new KeyValuePair<string, string>[]
        {
            new("Host", "localhost"), new("Content-Length", "3"), new("X-One", "1"), new("x-two", "2"), new("X-One", "3"),
        }));
    }

    [Test]
    public void What_a_request_does_not_have_is_null_or_minus_1()
    {
        RequestInfo info = Inspect(Http.GetRequestInfo, Get("/"));
        Assert.That(info.QueryString, Is.Null);
        Assert.That(info.ContentLength, Is.EqualTo(-1));
        Assert.That(info.ConnectionData, Is.Null);
        Assert.That(Inspect(Http.GetRequestInfo, Get("/?")).QueryString, Is.Empty);
    }

    [Test]
    public void The_callback_is_given_the_user_data()
    {
        object data = new();
        object? seen = null;
        using Context context = Http.StartServer(
            (connection, userData) =>
            {
                seen = userData;
                return Answer(connection, "");
            },
            "127.0.0.1:0",
            data);
        RawClient.Exchange(context.Port, Get("/"));
        Assert.That(seen, Is.SameAs(data));
        Assert.That(context.UserData, Is.SameAs(data));
    }

    [TestCase("/a/./b/../c", "/a/c")]
    [TestCase("/%2e%2e/", "/")]
    [TestCase("/a/%2e%2E/b", "/b")]
    [TestCase("/a%2Fb", "/a%2Fb")]
    [TestCase("/a/%2e%2e%2f%2e%2e%2fb", "/a/..%2f..%2fb")]
    [TestCase("/%252e%252e/", "/%2e%2e/", Description = "decoded once")]
    [TestCase("/a+b", "/a+b", Description = "a plus is a plus in a path")]
    [TestCase("/%", "/%")]
    [TestCase("/%4", "/%4")]
    [TestCase("/%zz", "/%zz")]
    [TestCase("/%41", "/A")]
    public void The_local_uri_is_decoded_and_has_no_dot_segments(string path, string expected)
    {
        RequestInfo info = Inspect(Http.GetRequestInfo, Get(path));
        Assert.That(info.LocalUri, Is.EqualTo(expected));
        Assert.That(info.LocalUriRaw, Is.EqualTo(path));
    }

    [Test]
    public void The_local_uri_stays_encoded_when_decode_url_is_no()
    {
        RequestInfo info = null!;
        using var server = new TestServer(
            new Callbacks
            {
                BeginRequest = connection =>
                {
                    info = Http.GetRequestInfo(connection);
                    return Answer(connection, "");
                },
            },
            ("decode_url", "no"));
        RawClient.Exchange(server.Port, Get("/a%20b"));
        Assert.That(info.LocalUri, Is.EqualTo("/a%20b"));
    }

    [TestCase("/%00")]
    [TestCase("/a%00b")]
    [TestCase("/a%0d%0aSet-Cookie:x")]
    [TestCase("/a%0Ab")]
    [TestCase("/%09")]
    [TestCase("/%7f")]
    public void A_path_with_an_encoded_control_character_is_refused_before_the_callback(string path)
    {
        bool called = false;
        string response = Ask(
            connection =>
            {
                called = true;
                return Answer(connection, "");
            },
            Get(path));
        Assert.That(response, Does.StartWith("HTTP/1.1 400 Bad Request\r\n"));
        Assert.That(called, Is.False);
    }

    // ---- a connection outside its callback ----

    [Test]
    public void After_its_callback_a_connection_writes_nothing()
    {
        string file = CreateFile("file.txt", "text");
        Connection kept = null!;
        string response = Ask(
            connection =>
            {
                kept = connection;
                return Answer(connection, "done");
            },
            Get("/"),
            server =>
            {
                AssertCannotBeUsed(kept, file);
                Assert.That(() => Http.GetRequestInfo(kept), Throws.InvalidOperationException);
                Assert.That(() => Http.GetHeader(kept, "Host"), Throws.InvalidOperationException);
                Assert.That(() => Http.GetCookie(kept, "a"), Throws.InvalidOperationException);
                Assert.That(() => Http.GetVariable(kept, "a"), Throws.InvalidOperationException);
            });
        Assert.That(Body(response), Is.EqualTo("done"));

        // The server is gone, too.
        AssertCannotBeUsed(kept, file);
    }

    [Test]
    public void A_request_info_read_in_the_callback_stays()
    {
        Connection kept = null!;
        RequestInfo info = null!;
        Ask(
            connection =>
            {
                kept = connection;
                info = Http.GetRequestInfo(connection);
                return Answer(connection, "done");
            },
            Get("/kept?a=1"));
        Assert.That(info.LocalUri, Is.EqualTo("/kept"));
        Assert.That(Http.GetRequestInfo(kept).LocalUri, Is.EqualTo("/kept"));
        Assert.That(Http.GetVariable(kept, "a"), Is.EqualTo("1"));
    }

    [Test]
    public void Before_its_request_a_connection_cannot_be_used()
    {
        string file = CreateFile("file.txt", "text");
        int checks = 0;
        var callbacks = new Callbacks
        {
            InitConnection = connection =>
            {
                AssertCannotBeUsed(connection, file);
                Assert.That(() => Http.GetRequestInfo(connection), Throws.InvalidOperationException);
                checks++;
            },
            BeginRequest = connection => Answer(connection, "done"),
        };
        using var server = new TestServer(callbacks);
        Assert.That(Body(RawClient.Exchange(server.Port, Get("/"))), Is.EqualTo("done"));
        Assert.That(checks, Is.EqualTo(1));
    }

    [Test]
    public void Another_thread_can_answer_while_the_callback_waits()
    {
        string response = Ask(
            connection => Task.Run(() => Answer(connection, $"{Http.GetRequestInfo(connection).LocalUri} {Http.GetHeader(connection, "Host")}")).GetAwaiter().GetResult(),
            Get("/other"));
        Assert.That(Body(response), Is.EqualTo("/other localhost"));
    }

    [Test]
    public void Another_thread_that_comes_too_late_gets_minus_1()
    {
        using var stop = new CancellationTokenSource();
        Connection kept = null!;
        Task<bool>? writer = null;
        Ask(
            connection =>
            {
                kept = connection;
                Http.Print(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");

                // Writes on and on, across the end of the callback; once it has failed it must never succeed again.
                writer = Task.Run(() =>
                {
                    bool failed = false;
                    while (!stop.IsCancellationRequested || !failed)
                    {
                        bool fails = Http.Write(connection, "x"u8) == -1;
                        if (failed && !fails)
                        {
                            return false;
                        }

                        failed = fails;
                    }

                    return true;
                });
                return 200;
            },
            Get("/"));
        stop.Cancel();
        Assert.That(writer!.Wait(TestServer.Patience));
        Assert.That(writer.Result);
        Assert.That(Http.Write(kept, "x"u8), Is.EqualTo(-1));
    }

    // ---- keep-alive ----

    [Test]
    public void Two_requests_on_a_connection_each_have_their_own_info()
    {
        var connections = new ConcurrentQueue<Connection>();
        using TestServer server = ServeKeepAlive(connection =>
        {
            connections.Enqueue(connection);
            return AnswerKeepAlive(connection, Describe(connection));
        });
        using var client = new RawClient(server.Port);
        client.Send("POST /first?a=1 HTTP/1.1\r\nHost: localhost\r\nX-Test: one\r\nContent-Length: 4\r\n\r\nbody");
        Assert.That(ReadResponse(client), Is.EqualTo("POST /first a=1 one 4 body"));
        client.Send("GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.That(ReadResponse(client), Is.EqualTo("GET /second   -1 "));
        Assert.That(connections, Has.Count.EqualTo(2));
        Assert.That(connections.First(), Is.SameAs(connections.Last()), "one connection, one object");
    }

    [Test]
    public void Requests_sent_at_once_are_answered_in_turn()
    {
        using TestServer server = ServeKeepAlive(connection => AnswerKeepAlive(connection, Describe(connection)));
        using var client = new RawClient(server.Port);
        client.Send(
            "GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            + "POST /2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
            + "GET /3?x=y HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.That(ReadResponse(client), Is.EqualTo("GET /1   -1 "));
        Assert.That(ReadResponse(client), Is.EqualTo("POST /2   5 hello"));
        Assert.That(ReadResponse(client), Is.EqualTo("GET /3 x=y  -1 "));
    }

    [Test]
    public void Between_two_requests_a_connection_cannot_be_used()
    {
        Connection kept = null!;
        using TestServer server = ServeKeepAlive(connection =>
        {
            kept = connection;
            return AnswerKeepAlive(connection, "ok");
        });
        using var client = new RawClient(server.Port);
        client.Send(Get("/"));
        Assert.That(ReadResponse(client), Is.EqualTo("ok"));

        // The answer may be here before the callback has returned.
        Eventually.IsTrueAsync(() => Http.Write(kept, []) == -1, "the callback returns").GetAwaiter().GetResult();
        AssertCannotBeUsed(kept, "file");
        client.Send(Get("/"));
        Assert.That(ReadResponse(client), Is.EqualTo("ok"), "nothing has been mixed in");
    }

    [Test]
    public void A_bad_request_after_a_good_one_does_not_show_the_good_ones_info()
    {
        string? seen = null;
        var callbacks = new Callbacks
        {
            BeginRequest = connection => AnswerKeepAlive(connection, Http.GetRequestInfo(connection).LocalUri),
            HttpError = (connection, _, _) =>
            {
                try
                {
                    seen = Http.GetRequestInfo(connection).LocalUri;
                }
                catch (InvalidOperationException)
                {
                    seen = "(none)";
                }

                return 1;
            },
        };
        using var server = new TestServer(callbacks, ("enable_keep_alive", "yes"), ("keep_alive_timeout_ms", "60000"));
        using var client = new RawClient(server.Port);
        client.Send(Get("/good"));
        Assert.That(ReadResponse(client), Is.EqualTo("/good"));
        client.Send("NONSENSE\r\n\r\n");
        Assert.That(client.ReadHead(), Does.Match("^HTTP/1.[01] 400 "));
        client.ReadToEnd();
        Assert.That(seen, Is.Not.EqualTo("/good"));
    }

    [Test]
    public async Task HttpClient_keeps_its_connection()
    {
        var ports = new ConcurrentQueue<int>();
        using TestServer server = ServeKeepAlive(connection =>
        {
            ports.Enqueue(Http.GetRequestInfo(connection).RemotePort);
            return AnswerKeepAlive(connection, "ok");
        });
        using HttpClient client = Client();
        for (int i = 0; i < 5; i++)
        {
            Assert.That(await client.GetStringAsync(Url(server, "/")), Is.EqualTo("ok"));
        }

        Assert.That(ports, Has.Count.EqualTo(5));
        Assert.That(ports.Distinct().Count(), Is.EqualTo(1));
    }

    // ---- WebSockets ----

    [Test]
    public async Task The_HTTP_helpers_write_nothing_to_an_open_WebSocket()
    {
        string file = CreateFile("file.txt", "text");
        Connection kept = null!;
        var checks = new ConcurrentQueue<string>();
        using var server = new TestServer();
        Http.SetWebSocketHandler(
            server.Context,
            "/ws",
            null,
            (connection, _) =>
            {
                kept = connection;
                AssertCannotBeUsed(connection, file);
                checks.Enqueue("ready");
            },
            (connection, bits, _, _) =>
            {
                AssertCannotBeUsed(connection, file);
                checks.Enqueue($"data {bits}");
                return bits == 1 && Http.WriteTextToWebSocket(connection, "answer") < 0 ? 0 : 1;
            },
            (connection, _) =>
            {
                AssertCannotBeUsed(connection, file);
                checks.Enqueue("close");
            });
        using (ClientWebSocket client = await server.ConnectAsync())
        {
            await client.SendTextAsync("question");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("answer"));
            AssertCannotBeUsed(kept, file);
            await client.SendTextAsync("question");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("answer"), "nothing has been mixed in");
            await client.CloseNormallyAsync();
        }

        await Eventually.IsTrueAsync(() => checks.Count == 5, "close");
        Assert.That(string.Join(", ", checks), Is.EqualTo("ready, data 1, data 1, data 8, close"));
        AssertCannotBeUsed(kept, file);
    }

    [Test]
    public async Task Nothing_can_be_written_to_a_WebSocket_in_its_end_request_callback()
    {
        var result = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var server = new TestServer(new Callbacks { EndRequest = (connection, _) => result.TrySetResult(Http.Print(connection, "not a frame")) });
        server.MapEcho();
        using (RawClient client = RawClient.Open(server.Port))
        {
            client.SendFrame(0x88, [0x03, 0xE8]);
            Assert.That(client.ReadClose(), Is.EqualTo(1000));
            Assert.That(Encoding.UTF8.GetString(client.ReadToEnd()), Is.Empty);
        }

        Assert.That(await result.Task.WaitAsync(TestServer.Patience), Is.EqualTo(-1));
    }

    [Test]
    public async Task The_request_of_a_WebSocket_can_be_read_at_any_time()
    {
        Connection kept = null!;
        using var server = new TestServer();
        Http.SetWebSocketHandler(server.Context, "/ws", null, (connection, _) => kept = connection, null, null);
        using (ClientWebSocket client = await server.ConnectAsync("/ws?token=t%20u", options => options.SetRequestHeader("Cookie", "id=7; x=y")))
        {
            await Eventually.IsTrueAsync(() => Volatile.Read(ref kept) is not null, "ready");
            AssertReadable();
            await client.CloseNormallyAsync();
        }

        await Eventually.IsTrueAsync(() => server.Context.WebSocketCount == 0, "closed");
        AssertReadable();

        void AssertReadable()
        {
            Assert.That(Http.GetVariable(kept, "token"), Is.EqualTo("t u"));
            Assert.That(Http.GetCookie(kept, "id"), Is.EqualTo("7"));
            Assert.That(Http.GetHeader(kept, "upgrade"), Is.EqualTo("websocket"));
            Assert.That(Http.GetRequestInfo(kept).LocalUri, Is.EqualTo("/ws"));
        }
    }

    [Test]
    public void The_WebSocket_helpers_write_nothing_to_a_plain_connection()
    {
        string response = Ask(
            connection =>
            {
                int[] results =
                [
                    Http.WriteTextToWebSocket(connection, "x"), Http.WriteBinaryToWebSocket(connection, "x"u8), Http.WriteToWebSocket(connection, 9, []),
                    Http.CloseWebSocket(connection),
                ];
                return Answer(connection, string.Join(' ', results));
            },
            Get("/"));
        Assert.That(Body(response), Is.EqualTo("-1 -1 -1 -1"));
    }

    [Test]
    public async Task HTTP_and_WebSocket_share_a_port()
    {
        using TestServer server = Serve(connection => Http.GetRequestInfo(connection).LocalUri == "/page" ? Answer(connection, "page") : 0);
        server.MapEcho();
        using ClientWebSocket socket = await server.ConnectAsync();
        using HttpClient client = Client();
        for (int i = 0; i < 3; i++)
        {
            await socket.SendTextAsync($"text {i}");
            Assert.That(await client.GetStringAsync(Url(server, "/page")), Is.EqualTo("page"));
            Assert.That(await socket.ReceiveTextAsync(), Is.EqualTo($"text {i}"));
        }

        Assert.That(RawClient.Exchange(server.Port, Get("/ws")), Does.StartWith("HTTP/1.1 404 "), "no upgrade asked for");
        await socket.CloseNormallyAsync();
    }

    [Test]
    public async Task The_request_callback_sees_upgrades_and_can_answer_them()
    {
        var seen = new ConcurrentQueue<string>();
        using TestServer server = Serve(connection =>
        {
            string path = Http.GetRequestInfo(connection).LocalUri;
            seen.Enqueue(path);
            if (path != "/locked")
            {
                return 0;
            }

            Http.Print(connection, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return 401;
        });
        EchoCounts open = server.MapEcho("/open");
        EchoCounts locked = server.MapEcho("/locked");
        using ClientWebSocket socket = await server.ConnectAsync("/open");
        using var refused = new RawClient(server.Port);
        refused.Send(RawClient.UpgradeRequest("/locked"));
        Assert.That(refused.ReadHead(), Does.StartWith("HTTP/1.1 401 Unauthorized\r\n"));
        Assert.That(string.Join(' ', seen), Is.EqualTo("/open /locked"));
        Assert.That((open.Connects, locked.Connects), Is.EqualTo((1, 0)));
        await socket.CloseNormallyAsync();
    }

    // ---- what the callback returns ----

    [Test]
    public void Zero_leaves_the_request_to_CivetWeb() =>
        Assert.That(Ask(_ => 0, Get("/nothing")), Does.StartWith("HTTP/1.1 404 Not Found\r\n"));

    [Test]
    public void A_server_without_a_callback_answers_404()
    {
        using var server = new TestServer();
        Assert.That(RawClient.Exchange(server.Port, Get("/")), Does.StartWith("HTTP/1.1 404 Not Found\r\n"));
    }

    [TestCase(1, 1)]
    [TestCase(200, 200)]
    [TestCase(999, 999)]
    [TestCase(1000, 500)]
    [TestCase(-1, 500)]
    [TestCase(int.MinValue, 500)]
    [TestCase(int.MaxValue, 500)]
    public async Task Anything_else_means_handled(int returned, int logged)
    {
        var status = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        var callbacks = new Callbacks
        {
            BeginRequest = connection =>
            {
                Answer(connection, "answer");
                return returned;
            },
            EndRequest = (_, s) => status.TrySetResult(s),
        };
        using var server = new TestServer(callbacks);
        string response = RawClient.Exchange(server.Port, Get("/"));
        Assert.That(response, Does.StartWith("HTTP/1.1 200 OK\r\n"));
        Assert.That(Body(response), Is.EqualTo("answer"), "and nothing of CivetWeb's after it");
        Assert.That(await status.Task.WaitAsync(TestServer.Patience), Is.EqualTo(logged));
    }

    [TestCase(-1)]
    [TestCase(200)]
    [TestCase(1000)]
    public void Handled_without_an_answer_hangs_up(int returned) => Assert.That(Ask(_ => returned, Get("/")), Is.Empty);

    [Test]
    public void An_exception_is_a_complete_500()
    {
        var reported = new ConcurrentQueue<(Exception Exception, string Name)>();
        var callbacks = new Callbacks
        {
            BeginRequest = _ => throw new InvalidDataException("secret"),
            UnhandledException = (exception, name) => reported.Enqueue((exception, name)),
        };
        using var server = new TestServer(callbacks);
        string response = RawClient.Exchange(server.Port, Get("/"));
        Assert.That(response, Does.StartWith("HTTP/1.1 500 Internal Server Error\r\n"));
        Assert.That(response, Does.Contain($"Content-Length: {Body(response).Length}\r\n"));
        Assert.That(response, Does.Contain("Connection: close\r\n"));
        Assert.That(response, Does.Not.Contain("secret"));
        Assert.That(reported.Single().Exception, Is.InstanceOf<InvalidDataException>().With.Message.EqualTo("secret"));
        Assert.That(reported.Single().Name, Is.EqualTo("BeginRequest"));
        Assert.That(RawClient.Exchange(server.Port, Get("/")), Does.StartWith("HTTP/1.1 500 "), "the server goes on");
    }

    [Test]
    public void An_exception_after_the_answer_has_begun_adds_nothing_to_it()
    {
        var callbacks = new Callbacks
        {
            BeginRequest = connection =>
            {
                Http.Print(connection, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                throw new InvalidDataException();
            },
            UnhandledException = (_, _) => { },
        };
        using var server = new TestServer(callbacks, ("enable_keep_alive", "yes"));
        Assert.That(Body(RawClient.ExchangeUnchecked(server.Port, Get("/"))), Is.EqualTo("half"), "and the connection is closed: the client sees the loss");
    }

    [Test]
    public void An_exception_on_an_upgrade_request_is_a_complete_500()
    {
        var callbacks = new Callbacks
        {
            BeginRequest = _ => throw new InvalidDataException(),
            UnhandledException = (_, _) => { },
        };
        using var server = new TestServer(callbacks);
        EchoCounts echo = server.MapEcho();
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest());
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 500 Internal Server Error\r\n"));
        client.ReadToEnd();
        Assert.That(echo.Connects, Is.Zero);
    }

    // ---- files ----

    [Test]
    public void Files_of_the_document_root_are_served()
    {
        using TestServer server = ServeFiles();
        string response = RawClient.Exchange(server.Port, Get("/public/page.html"));
        Assert.That(response, Does.StartWith("HTTP/1.1 200 OK\r\n"));
        Assert.That(response, Does.Contain("Content-Type: text/html\r\n"));
        Assert.That(response, Does.Not.Contain("Access-Control-Allow"), "other origins have not been allowed");
        Assert.That(Body(response), Is.EqualTo("public"));
        Assert.That(Body(RawClient.Exchange(server.Port, Get("/public/%70age.html"))), Is.EqualTo("public"));
        Assert.That(Body(RawClient.Exchange(server.Port, Get("/public/../public/page.html"))), Is.EqualTo("public"));
        Assert.That(RawClient.Exchange(server.Port, Get("/public/none.html")), Does.StartWith("HTTP/1.1 404 "));
    }

    [TestCase("/../secret.txt")]
    [TestCase("/../../secret.txt")]
    [TestCase("/public/../../secret.txt")]
    [TestCase("/%2e%2e/secret.txt")]
    [TestCase("/%2E%2E/secret.txt")]
    [TestCase("/.%2e/secret.txt")]
    [TestCase("/..%2fsecret.txt")]
    [TestCase("/%2e%2e%2fsecret.txt")]
    [TestCase("/public/%2e%2e/%2e%2e/secret.txt")]
    [TestCase("/public%2f..%2f..%2fsecret.txt")]
    [TestCase("/..%5csecret.txt")]
    [TestCase("/..\\secret.txt")]
    [TestCase("/public/..%5c..%5csecret.txt")]
    [TestCase("//../secret.txt")]
    [TestCase("/%2f%2e%2e/secret.txt")]
    [TestCase("/%252e%252e/secret.txt")]
    [TestCase("/%c0%ae%c0%ae/secret.txt")]
    [TestCase("/.../secret.txt")]
    [TestCase("/....//secret.txt")]
    [TestCase("/..;/secret.txt")]
    [TestCase("/../secret.txt%00.html")]
    [TestCase("../secret.txt")]
    [TestCase("http://localhost/../secret.txt")]
    [TestCase("http://localhost/%2e%2e/secret.txt")]
    public void Nothing_outside_the_document_root_is_served(string path)
    {
        using TestServer server = ServeFiles();
        string response = RawClient.Exchange(server.Port, Get(path));
        Assert.That(response, Does.Not.Contain("SECRET"));
        Assert.That(response, Is.Empty.Or.Matches("^HTTP/1.1 4[0-9][0-9] "));
    }

    [Test]
    public void A_folder_is_not_listed()
    {
        using TestServer server = ServeFiles();
        foreach (string path in "/ /public/".Split(' '))
        {
            string response = RawClient.Exchange(server.Port, Get(path));
            Assert.That(response, Does.Match("^HTTP/1.1 40[34] "), path);
            Assert.That(response, Does.Not.Contain("page.html"), path);
        }
    }

    [Test]
    public void A_folder_is_listed_when_asked_to()
    {
        using TestServer server = ServeFiles(("enable_directory_listing", "yes"));
        Assert.That(RawClient.Exchange(server.Port, Get("/public/")), Does.StartWith("HTTP/1.1 200 ").And.Contain("page.html"));
    }

    [Test]
    public void Nothing_in_a_file_is_executed()
    {
        using TestServer server = ServeFiles();
        string ssi = RawClient.Exchange(server.Port, Get("/public/page.shtml"));
        Assert.That(Body(ssi), Is.EqualTo("<!--#exec \"echo executed\" -->"));
        string cgi = RawClient.Exchange(server.Port, Get("/public/page.cgi"));
        Assert.That(cgi, Does.Not.Contain("\nexecuted\n"));
    }

    [TestCase("PUT")]
    [TestCase("DELETE")]
    [TestCase("MKCOL")]
    [TestCase("PROPFIND")]
    [TestCase("PATCH")]
    public void Files_are_not_changed(string method)
    {
        using TestServer server = ServeFiles();
        string response = RawClient.Exchange(
            server.Port, $"{method} /public/page.html HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nOTHER");
        Assert.That(response, Does.Match("^HTTP/1.1 [45][0-9][0-9] "));
        Assert.That(File.ReadAllText(Path.Combine(_directory.FullName, "root", "public", "page.html")), Is.EqualTo("public"));
    }

    [Test]
    public void Password_files_are_hidden()
    {
        using TestServer server = ServeFiles();
        string response = RawClient.Exchange(server.Port, Get("/public/x.htpasswd"));
        Assert.That(response, Does.StartWith("HTTP/1.1 404 "));
        Assert.That(response, Does.Not.Contain("hash"));
    }

    [Test]
    public void A_file_and_its_age_are_answered_as_HTTP_has_it()
    {
        using TestServer server = ServeFiles();
        string response = RawClient.Exchange(server.Port, Get("/public/page.html"));
        string tag = response.Split("\r\n").Single(line => line.StartsWith("Etag: ", StringComparison.OrdinalIgnoreCase))["Etag: ".Length..];
        string again = RawClient.Exchange(server.Port, Get("/public/page.html", $"If-None-Match: {tag}\r\n"));
        Assert.That(again, Does.StartWith("HTTP/1.1 304 Not Modified\r\n"));
        Assert.That(Body(again), Is.Empty);
    }

    private static TestServer Serve(RequestCallback callback) => new(new Callbacks { BeginRequest = callback });

    private static TestServer ServeKeepAlive(RequestCallback callback) =>
        new(new Callbacks { BeginRequest = callback }, ("enable_keep_alive", "yes"), ("keep_alive_timeout_ms", "60000"));

    /// <summary>A document root with something beside it that must stay private.</summary>
    private TestServer ServeFiles(params (string Name, string Value)[] options)
    {
        CreateFile("secret.txt", "SECRET");
        CreateFile("root/public/page.html", "public");
        CreateFile("root/public/page.shtml", "<!--#exec \"echo executed\" -->");
        CreateFile("root/public/page.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nexecuted\\n'\n");
        CreateFile("root/public/x.htpasswd", "user:domain:hash");
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(Path.Combine(_directory.FullName, "root", "public", "page.cgi"), (UnixFileMode)0b111_101_101);
        }

        return new TestServer([("document_root", Path.Combine(_directory.FullName, "root")), .. options]);
    }

    private string CreateFile(string name, string content)
    {
        string file = Path.Combine(_directory.FullName, name);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, content);
        return file;
    }

    /// <summary>One request to a server with that callback; the whole response. <paramref name="then"/> runs before the server stops.</summary>
    private static string Ask(RequestCallback callback, string request, Action<TestServer>? then = null)
    {
        using TestServer server = Serve(callback);
        string response = RawClient.Exchange(server.Port, request);
        then?.Invoke(server);
        return response;
    }

    /// <summary>What a callback sees; an assertion that fails in there fails the test.</summary>
    private static T Inspect<T>(Func<Connection, T> look, string request)
    {
        T result = default!;
        Assert.That(
            Ask(
                connection =>
                {
                    result = look(connection);
                    return Answer(connection, "");
                },
                request),
            Does.StartWith("HTTP/1.1 200 "));
        return result;
    }

    private static void AssertCannotBeUsed(Connection connection, string file)
    {
        Assert.That(Http.Print(connection, "x"), Is.EqualTo(-1), "Print");
        Assert.That(Http.Write(connection, "x"u8), Is.EqualTo(-1), "Write");
        Assert.That(Http.Read(connection, new byte[1]), Is.EqualTo(-1), "Read");
        Assert.That(Http.SendFile(connection, file), Is.EqualTo(-1), "SendFile");
    }

    private static string Get(string path, string headers = "") => $"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n";

    private static string Body(string response)
    {
        int end = response.IndexOf("\r\n\r\n", StringComparison.Ordinal);
        return end < 0 ? throw new InvalidDataException($"No head in '{response}'.") : response[(end + 4)..];
    }

    private static int Answer(Connection connection, string body)
    {
        Http.Print(connection, $"HTTP/1.1 200 OK\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\nConnection: close\r\n\r\n{body}");
        return 200;
    }

    private static int AnswerKeepAlive(Connection connection, string body)
    {
        Http.Print(connection, $"HTTP/1.1 200 OK\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\nConnection: keep-alive\r\n\r\n{body}");
        return 200;
    }

    private static int SendFile(Connection connection, string file, string? mimeType = null) =>
        Http.SendFile(connection, file, mimeType) == 0 ? 200 : throw new InvalidOperationException("SendFile failed");

    private static string Describe(Connection connection)
    {
        RequestInfo info = Http.GetRequestInfo(connection);
        return $"{info.Method} {info.LocalUri} {info.QueryString} {info.GetHeader("X-Test")} {info.ContentLength} {Encoding.UTF8.GetString(ReadAll(connection, 100, out _))}";
    }

    private static byte[] ReadAll(Connection connection, int step, out int last)
    {
        var all = new MemoryStream();
        byte[] buffer = new byte[step];
        while ((last = Http.Read(connection, buffer)) > 0)
        {
            all.Write(buffer, 0, last);
        }

        return all.ToArray();
    }

    private static string ReadResponse(RawClient client)
    {
        const string Length = "Content-Length: ";
        string head = client.ReadHead();
        string length = head.Split("\r\n").Single(line => line.StartsWith(Length, StringComparison.Ordinal))[Length.Length..];
        return Encoding.UTF8.GetString(client.ReadExactly(int.Parse(length, System.Globalization.CultureInfo.InvariantCulture)));
    }

    private static Uri Url(TestServer server, string path) => new($"http://127.0.0.1:{server.Port}{path}");

    /// <summary>A proxy of the environment is none of the test's business.</summary>
    private static HttpClient Client() => new(new SocketsHttpHandler { UseProxy = false }) { Timeout = TestServer.Patience };
}
