using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Text;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Files: alone and in folders.</summary>
[TestFixture]
internal sealed class HttpStaticFilesTests
{
    private const string Text = "0123456789";

    private string _root = "";
    private string _folder = "";
    private RunningServer _server = null!;

    [SetUp]
    public async Task Start()
    {
        _root = Directory.CreateTempSubdirectory("civetweb-net-").FullName;
        _folder = Path.Combine(_root, "public");
        Directory.CreateDirectory(Path.Combine(_folder, "sub", ".hidden"));
        Directory.CreateDirectory(Path.Combine(_folder, "empty"));
        Directory.CreateDirectory(_folder + "-other");
        Write("digits.txt", Text);
        Write("page.html", "<p>page</p>");
        Write("sub/index.html", "<p>index</p>");
        Write("with space+ü.txt", "odd name");
        Write(".htpasswd", "secret");
        Write("sub/.hidden/file.txt", "secret");
        Write("run.shtml", "<!--#exec \"id\" -->");
        Write("run.cgi", "#!/bin/sh\necho");
        Write("../secret.txt", "secret");
        Write("../public-other/secret.txt", "secret");
        File.WriteAllBytes(Path.Combine(_folder, "large.bin"), Large);
        File.CreateSymbolicLink(Path.Combine(_folder, "link.txt"), Path.Combine(_root, "secret.txt"));
        _server = await RunningServer.StartAsync(server =>
        {
            server.MapStaticFiles("/static", _folder);
            server.MapStaticFiles("/static/sub/deeper", _folder + "-other");
            server.MapGet("/static/page.html", (_, response) => response.WriteText("route"));
            server.MapPost("/static/digits.txt", (_, response) => response.WriteText("posted"));
            server.MapGet("/file", (_, response) =>
            {
                response.Headers["X-Own"] = "1";
                response.SetCookie("a", "b");
                response.SendFile(Path.Combine(_folder, "digits.txt"), "text/x-digits");
            });
            server.MapGet("/file-async", async (_, response) =>
            {
                await Task.Yield();
                response.ContentType = "text/x-async";
                await response.SendFileAsync(Path.Combine(_folder, "digits.txt"));
            });
            server.MapGet("/missing", (_, response) => response.SendFile(Path.Combine(_folder, "nothing.txt")));
            server.MapGet("/folder", (_, response) => response.SendFile(_folder));
            server.MapPost("/upload", async (request, response) =>
            {
                await request.ReadBytesAsync();
                response.SendFile(Path.Combine(_folder, "digits.txt"));
            });
        });
    }

    [TearDown]
    public async Task Stop()
    {
        await _server.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    private static byte[] Large { get; } = [.. Enumerable.Range(0, 1_000_000).Select(i => (byte)(i * 7 / 3))];

    [Test]
    public async Task A_file_is_sent_with_its_type_and_validators()
    {
        using HttpResponseMessage response = await GetAsync("/static/digits.txt");
        Assert.That((int)response.StatusCode, Is.EqualTo(200));
        Assert.That(response.Content.Headers.ContentType!.MediaType, Is.EqualTo("text/plain"));
        Assert.That(response.Content.Headers.ContentLength, Is.EqualTo(10));
        Assert.That(response.Content.Headers.LastModified, Is.Not.Null);
        Assert.That(response.Headers.ETag, Is.Not.Null);
        Assert.That(response.Headers.Date, Is.Not.Null);
        Assert.That(response.Headers.AcceptRanges, Is.EqualTo((string[])["bytes"]));
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo(Text));
    }

    [Test]
    public async Task A_large_file_is_intact()
    {
        using HttpResponseMessage response = await GetAsync("/static/large.bin");
        Assert.That(await response.Content.ReadAsByteArrayAsync(), Is.EqualTo(Large));
    }

    [Test]
    public async Task Head_of_a_file()
    {
        using var client = new RawClient(_server.Port);
        client.Send("HEAD /static/digits.txt HTTP/1.1\r\nHost: x\r\n\r\nGET /static/digits.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n").And.Contain("\r\nContent-Length: 10\r\n"));
        string next = Encoding.ASCII.GetString(client.ReadToEnd());
        Assert.That(next, Does.StartWith("HTTP/1.1 200 OK\r\n").And.EndWith("\r\n\r\n" + Text));
    }

    [TestCase("bytes=0-0", 206, "0", "bytes 0-0/10")]
    [TestCase("bytes=2-4", 206, "234", "bytes 2-4/10")]
    [TestCase("bytes=5-", 206, "56789", "bytes 5-9/10")]
    [TestCase("bytes=-3", 206, "789", "bytes 7-9/10")]
    [TestCase("bytes=-100", 206, Text, "bytes 0-9/10")]
    [TestCase("bytes=5-10", 206, "56789", "bytes 5-9/10")]
    [TestCase("bytes=0-99999", 206, Text, "bytes 0-9/10")]
    [TestCase("bytes=9-9223372036854775807", 206, "9", "bytes 9-9/10")]
    [TestCase("bytes=10-", 416, "", "bytes */10")]
    [TestCase("bytes=100-200", 416, "", "bytes */10")]
    [TestCase("bytes=-0", 416, "", "bytes */10")]
    [TestCase("bytes=4-2", 200, Text, null)]
    [TestCase("bytes=a-b", 200, Text, null)]
    [TestCase("bytes=0-1,3-4", 200, Text, null)]
    [TestCase("lines=0-1", 200, Text, null)]
    [TestCase("bytes=--1", 200, Text, null)]
    public async Task Ranges(string range, int status, string body, string? contentRange)
    {
        using var client = new RawClient(_server.Port);
        client.Send($"GET /static/digits.txt HTTP/1.1\r\nHost: x\r\nRange: {range}\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        string head = client.ReadHead();
        Assert.That(head, Does.StartWith($"HTTP/1.1 {status} ").And.Contain($"\r\nContent-Length: {body.Length}\r\n"));
        Assert.That(head, contentRange is null ? Does.Not.Contain("Content-Range") : Does.Contain($"\r\nContent-Range: {contentRange}\r\n"));
        Assert.That(Encoding.ASCII.GetString(client.ReadExactly(body.Length)), Is.EqualTo(body));
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 404 ")); // it was neither more nor less
    }

    [Test]
    public async Task A_range_of_something_else_than_the_file_is_not_taken()
    {
        using HttpResponseMessage first = await GetAsync("/static/digits.txt");
        string etag = first.Headers.ETag!.ToString();
        Assert.That(await StatusAsync(("Range", "bytes=0-1"), ("If-Range", etag)), Is.EqualTo(206));
        Assert.That(await StatusAsync(("Range", "bytes=0-1"), ("If-Range", "\"other\"")), Is.EqualTo(200));
        Assert.That(await StatusAsync(("Range", "bytes=0-1"), ("If-Range", first.Content.Headers.LastModified!.Value.ToString("r"))), Is.EqualTo(206));
        Assert.That(await StatusAsync(("Range", "bytes=0-1"), ("If-Range", "Thu, 01 Jan 1970 00:00:00 GMT")), Is.EqualTo(200));
    }

    /// <summary>"Wed" begins as a weak entity tag does.</summary>
    [Test]
    public async Task A_date_is_a_date_on_every_day_of_the_week([Range(23, 29)] int day)
    {
        var changed = new DateTime(2026, 11, day, 8, 20, 19, DateTimeKind.Utc);
        File.SetLastWriteTimeUtc(Path.Combine(_folder, "digits.txt"), changed);
        Assert.That(await StatusAsync(("Range", "bytes=0-1"), ("If-Range", changed.ToString("r"))), Is.EqualTo(206));
        Assert.That(await StatusAsync(("Range", "bytes=0-1"), ("If-Range", changed.AddSeconds(1).ToString("r"))), Is.EqualTo(200));
        Assert.That(await StatusAsync(("If-Modified-Since", changed.ToString("r"))), Is.EqualTo(304));
    }

    [Test]
    public async Task What_the_client_has_is_not_sent_again()
    {
        using HttpResponseMessage first = await GetAsync("/static/digits.txt");
        string etag = first.Headers.ETag!.ToString();
        string modified = first.Content.Headers.LastModified!.Value.ToString("r");
        Assert.That(await StatusAsync(("If-None-Match", etag)), Is.EqualTo(304));
        Assert.That(await StatusAsync(("If-None-Match", $"\"a\", W/{etag}")), Is.EqualTo(304));
        Assert.That(await StatusAsync(("If-None-Match", "*")), Is.EqualTo(304));
        Assert.That(await StatusAsync(("If-None-Match", "\"a\"")), Is.EqualTo(200));
        Assert.That(await StatusAsync(("If-Modified-Since", modified)), Is.EqualTo(304));
        Assert.That(await StatusAsync(("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")), Is.EqualTo(200));
        Assert.That(await StatusAsync(("If-Modified-Since", modified), ("If-None-Match", "\"a\"")), Is.EqualTo(200), "RFC 9110, section 13.1.3");
    }

    [Test]
    public async Task An_own_response_with_a_file_keeps_its_headers()
    {
        using HttpResponseMessage response = await GetAsync("/file");
        Assert.That(response.Content.Headers.ContentType!.ToString(), Is.EqualTo("text/x-digits"));
        Assert.That(response.Headers.GetValues("X-Own").Single(), Is.EqualTo("1"));
        Assert.That(response.Headers.GetValues("Set-Cookie").Single(), Does.StartWith("a=b"));
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo(Text));

        using var request = new HttpRequestMessage(HttpMethod.Get, _server.Uri("/file"));
        request.Headers.TryAddWithoutValidation("If-None-Match", response.Headers.ETag!.ToString());
        using HttpResponseMessage cached = await _server.Client.SendAsync(request);
        Assert.That((int)cached.StatusCode, Is.EqualTo(304));
        Assert.That(cached.Headers.GetValues("X-Own").Single(), Is.EqualTo("1"));

        using HttpResponseMessage later = await GetAsync("/file-async");
        Assert.That(later.Content.Headers.ContentType!.ToString(), Is.EqualTo("text/x-async"));
        Assert.That(await later.Content.ReadAsStringAsync(), Is.EqualTo(Text));
    }

    [Test]
    public async Task A_file_answers_an_upload_that_waited()
    {
        using var client = new RawClient(_server.Port);
        client.Send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 100 "));
        client.Send("x");
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 "));
        Assert.That(Encoding.ASCII.GetString(client.ReadExactly(10)), Is.EqualTo(Text));
    }

    [TestCase("/missing")]
    [TestCase("/folder")]
    public async Task A_missing_file_is_an_exception_of_the_handler(string path)
    {
        using HttpResponseMessage response = await GetAsync(path);
        Assert.That((int)response.StatusCode, Is.EqualTo(500));
        Assert.That(_server.Log.Errors.Last().Exception, Is.TypeOf<FileNotFoundException>());
    }

    [TestCase("/static/sub/", "<p>index</p>")]
    [TestCase("/static/sub/index.html", "<p>index</p>")]
    [TestCase("/static/page.html", "route")]
    [TestCase("/static/with%20space+%C3%BC.txt", "odd name")]
    [TestCase("/static/run.shtml", "<!--#exec \"id\" -->")]
    [TestCase("/static/run.cgi", "#!/bin/sh\necho")]
    [TestCase("/static/link.txt", "secret")]
    [TestCase("/static/sub/deeper/secret.txt", "secret")]
    [TestCase("/static/sub/../digits.txt", Text)]
    public async Task Served(string path, string content)
    {
        string answer = RawClient.Exchange(_server.Port, $"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Assert.That(answer, Does.StartWith("HTTP/1.1 200 OK\r\n").And.EndWith("\r\n\r\n" + content));
    }

    [TestCase("/static/sub", "/static/sub/")]
    [TestCase("/static/sub?a=b", "/static/sub/?a=b")]
    public async Task A_folder_gets_its_slash(string path, string location)
    {
        using HttpResponseMessage response = await GetAsync(path);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.MovedPermanently));
        Assert.That(response.Headers.Location!.OriginalString, Is.EqualTo(location));
    }

    [TestCase("/static/nothing.txt")]
    [TestCase("/static/")]
    [TestCase("/static/empty/")]
    [TestCase("/static/empty")]
    [TestCase("/staticdigits.txt")]
    [TestCase("/Static/digits.txt")]
    [TestCase("/digits.txt")]
    [TestCase("/static/digits.txt/")]
    [TestCase("/static/.htpasswd")]
    [TestCase("/static/%2ehtpasswd")]
    [TestCase("/static/sub/.hidden/file.txt")]
    [TestCase("/static/../secret.txt")]
    [TestCase("/static/%2e%2e/secret.txt")]
    [TestCase("/static/%2e%2e%2fsecret.txt")]
    [TestCase("/static/..%2fsecret.txt")]
    [TestCase("/static/..%5csecret.txt")]
    [TestCase("/static/%5c..%5csecret.txt")]
    [TestCase("/static/sub/../../secret.txt")]
    [TestCase("/static/%252e%252e/secret.txt")]
    [TestCase("/static/..;/secret.txt")]
    [TestCase("/static/../public-other/secret.txt")]
    [TestCase("/static-other/secret.txt")]
    [TestCase("/static-digits.txt")]
    [TestCase("/static//etc/passwd")]
    [TestCase("/static/%2fetc/passwd")]
    [TestCase("/static/sub%2Findex.html")]
    [TestCase("/static/sub%5cindex.html")]
    [TestCase("/static/sub%252Findex.html")]
    [TestCase("/static/digits.txt.")]
    [TestCase("/static./digits.txt")]
    [TestCase("/static//digits.txt")]
    [TestCase("//static/digits.txt")]
    [TestCase("/static/digits.txt%C2%85")]
    [TestCase("/static/sub%2F")]
    public async Task Not_served(string path)
    {
        string answer = RawClient.Exchange(_server.Port, $"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Assert.That(answer, Does.StartWith("HTTP/1.1 404 "));
        Assert.That(answer, Does.Not.Contain("secret").And.Not.Contain("root:"));
    }

    [TestCase("/static/digits.txt%00.html")]
    [TestCase("/static/%00")]
    [TestCase("/static/digits.txt%01")]
    [TestCase("/static/digits.txt%7F")]
    [TestCase("/static/digits.txt%ff")]
    [TestCase("/static/\\digits.txt")]
    public async Task A_control_character_or_what_is_no_UTF_8_is_malformed(string path) =>
        Assert.That(
            RawClient.Exchange(_server.Port, $"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), Does.StartWith("HTTP/1.1 400 "));

    /// <summary>Those of ASCII do not come as far; NEL is a control character too, and some read it as the end of a line.</summary>
    [Test]
    public async Task A_file_with_a_control_character_in_its_name_is_not_served()
    {
        Write("a\u0085b.txt", "secret");
        string answer = RawClient.Exchange(_server.Port, "GET /static/a%C2%85b.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Assert.That(answer, Does.StartWith("HTTP/1.1 404 ").And.Not.Contain("secret"));
    }

    [Test]
    public async Task A_pipe_is_not_waited_for()
    {
        string pipe = Path.Combine(_folder, "pipe");
        if (OperatingSystem.IsWindows() || !EchoServerProcess.TryRun("mkfifo", pipe))
        {
            Assert.Ignore("There is no mkfifo here.");
        }

        using HttpResponseMessage response = await GetAsync("/static/pipe");
        Assert.That((int)response.StatusCode, Is.EqualTo(404));
    }

    [Test]
    public async Task Other_methods_are_told()
    {
        using HttpResponseMessage put = await _server.Client.PutAsync(_server.Uri("/static/sub/"), new StringContent("x"));
        Assert.That((int)put.StatusCode, Is.EqualTo(405));
        Assert.That(put.Content.Headers.Allow, Is.EqualTo((string[])["GET", "HEAD", "OPTIONS"]));
        using HttpResponseMessage options = await _server.Client.SendAsync(new HttpRequestMessage(HttpMethod.Options, _server.Uri("/static/digits.txt")));
        Assert.That((int)options.StatusCode, Is.EqualTo(204));
        Assert.That(options.Content.Headers.Allow, Is.EqualTo((string[])["GET", "HEAD", "POST", "OPTIONS"]));
        using HttpResponseMessage get = await GetAsync("/static/digits.txt");
        Assert.That(await get.Content.ReadAsStringAsync(), Is.EqualTo(Text), "the route at the path is for POST alone");
    }

    [Test]
    public async Task Wrong_folders_are_refused_at_once()
    {
        await using var server = new CivetWebServer();
        Assert.Multiple(() =>
        {
            Assert.That(() => server.MapStaticFiles("/x", Path.Combine(_root, "nothing")), Throws.ArgumentException.With.Message.Contains("nothing"));
            Assert.That(() => server.MapStaticFiles("x", _folder), Throws.ArgumentException);
            Assert.That(() => server.MapStaticFiles("/{x}", _folder), Throws.ArgumentException);
            Assert.That(() => server.MapStaticFiles("/a//b", _folder), Throws.ArgumentException);
            Assert.That(() => server.MapStaticFiles("", _folder), Throws.ArgumentException);
        });
    }

    [Test]
    public async Task Of_two_folders_that_have_the_file_the_one_with_the_longer_path_counts([Values] bool longerFirst)
    {
        Directory.CreateDirectory(Path.Combine(_folder, "sub", "deeper"));
        Write("sub/deeper/twice.txt", "shorter");
        Write("../public-other/twice.txt", "longer");
        (string Path, string Folder)[] maps = [("/static", _folder), ("/static/sub/deeper", _folder + "-other")];
        await using RunningServer server = await RunningServer.StartAsync(server =>
            Array.ForEach(longerFirst ? [.. maps.Reverse()] : maps, m => server.MapStaticFiles(m.Path, m.Folder)));
        Assert.That(await server.Client.GetStringAsync(server.Uri("/static/sub/deeper/twice.txt")), Is.EqualTo("longer"));
    }

    [Test]
    public async Task A_folder_can_be_at_the_root()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapStaticFiles("/", Path.Combine(_folder, "sub")));
        Assert.That(await server.Client.GetStringAsync(server.Uri()), Is.EqualTo("<p>index</p>"));
    }

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(_folder, name), text);

    private Task<HttpResponseMessage> GetAsync(string path) => _server.Client.GetAsync(_server.Uri(path));

    private async Task<int> StatusAsync(params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, _server.Uri("/static/digits.txt"));
        foreach ((string name, string value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        using HttpResponseMessage response = await _server.Client.SendAsync(request);
        return (int)response.StatusCode;
    }
}
