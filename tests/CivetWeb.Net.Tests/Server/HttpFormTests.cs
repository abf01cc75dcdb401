using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Forms: encoded in the URL's manner, and in parts.</summary>
[TestFixture]
internal sealed class HttpFormTests
{
    private static readonly TestCaseData[] MalformedParts =
    [
        Case("no boundary in it", "nothing"),
        Case("nothing", ""),
        Case("no end", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx"),
        Case("no end of the last boundary", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b"),
        Case("half a boundary", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b-"),
        Case("a boundary that goes on", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--bx\r\n--b--"),
        Case("no disposition", "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--"),
        Case("another disposition", "--b\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nx\r\n--b--"),
        Case("no name", "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"),
        Case("no header", "--b\r\nnonsense\r\n\r\nx\r\n--b--"),
        Case("a header without name", "--b\r\n: a\r\n\r\nx\r\n--b--"),
        Case("a header with a space", "--b\r\nContent Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b--"),
        Case("a header twice", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\ncontent-disposition: form-data; name=\"b\"\r\n\r\nx\r\n--b--"),
        Case("an end in the headers", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n"),
    ];

    [Test]
    public async Task An_encoded_form_is_read()
    {
        (int status, string text) = await PostAsync(new FormUrlEncodedContent((KeyValuePair<string, string>[])
        [
            new("a", "1 + 1 = 2"), new("b", "grün&rot"), new("a", "again"), new("empty", ""),
        ]));
        Assert.That((status, text), Is.EqualTo((200, "a=1 + 1 = 2|b=grün&rot|a=again|empty=")));
    }

    [TestCase("a=1&&b&=2&c=%zz&d=%00", "a=1|b=|=2|c=%zz|d=\0")]
    [TestCase("", "")]
    [TestCase("&&&", "")]
    public async Task An_odd_form_is_read_as_browsers_read_queries(string body, string expected)
    {
        using var content = new StringContent(body);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/x-www-form-urlencoded");
        (int status, string text) = await PostAsync(content);
        Assert.That((status, text), Is.EqualTo((200, expected)));
    }

    [Test]
    public async Task Text_fields_of_parts_are_read_and_files_read_over()
    {
        using var content = new MultipartFormDataContent
        {
            { new StringContent("grün"), "a" },
            { new ByteArrayContent(new byte[100_000]), "file", "x.bin" },
            { new StringContent(""), "b" },
        };
        (int status, string text) = await PostAsync(content);
        Assert.That((status, text), Is.EqualTo((200, "a=grün|b=")));
    }

    [TestCase("text/plain")]
    [TestCase(null)]
    [TestCase("multipart/mixed; boundary=b")]
    public async Task What_is_no_form_is_refused(string? type)
    {
        using var content = new ByteArrayContent("a=b"u8.ToArray());
        if (type is not null)
        {
            content.Headers.TryAddWithoutValidation("Content-Type", type);
        }

        Assert.That((await PostAsync(content)).Status, Is.EqualTo(415));
    }

    [Test]
    public async Task Names_of_types_headers_and_parameters_are_without_regard_to_case()
    {
        using var content = new ByteArrayContent("--b\r\nCONTENT-disposition: Form-Data; NAME=a\r\n\r\n1\r\n--b--"u8.ToArray());
        content.Headers.TryAddWithoutValidation("Content-Type", "Multipart/Form-DATA; BOUNDARY=b");
        Assert.That(await PostAsync(content), Is.EqualTo((200, "a=1")));
    }

    [TestCase("multipart/form-data")]
    [TestCase("multipart/form-data; boundary=")]
    [TestCase("multipart/form-data; boundary=\"\"")]
    [TestCase("multipart/form-data; boundary=\"a \"")]
    [TestCase("multipart/form-data; boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    public async Task A_wrong_boundary_is_refused(string type)
    {
        using var content = new ByteArrayContent("--\r\n"u8.ToArray());
        content.Headers.TryAddWithoutValidation("Content-Type", type);
        Assert.That((await PostAsync(content)).Status, Is.EqualTo(400));
    }

    [Test]
    public async Task Limits_of_forms_hold()
    {
        var options = new FormOptions { MaxFields = 2, MaxTextSize = 20, MaxPartHeaderSize = 200 };
        Assert.That((await PostAsync(Encoded("a=1&b=2"), options)).Status, Is.EqualTo(200));
        Assert.That((await PostAsync(Encoded("a=1&b=2&c=3"), options)).Status, Is.EqualTo(413));
        Assert.That((await PostAsync(Encoded("a=" + new string('x', 19)), options)).Status, Is.EqualTo(413));
        Assert.That((await PostAsync(Parts(("a", "1"), ("b", "2")), options)).Status, Is.EqualTo(200));
        Assert.That((await PostAsync(Parts(("a", "1"), ("b", "2"), ("c", "3")), options)).Status, Is.EqualTo(413));
        Assert.That((await PostAsync(Parts(("a", new string('x', 11)), ("b", new string('x', 11))), options)).Status, Is.EqualTo(413));
        Assert.That((await PostAsync(Parts((new string('n', 300), "1")), options)).Status, Is.EqualTo(413));
        Assert.Multiple(() =>
        {
            Assert.That(() => new FormOptions { MaxFields = 0 }, Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(() => new FormOptions { MaxTextSize = -1 }, Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(() => new FormOptions { MaxPartHeaderSize = 0 }, Throws.TypeOf<ArgumentOutOfRangeException>());
        });
    }

    /// <summary>RFC 2046, section 5.1.1: 70 characters, of a set that has blanks.</summary>
    [TestCase(1, 200)]
    [TestCase(70, 200)]
    [TestCase(71, 400)]
    public async Task A_boundary_has_70_characters_at_most(int length, int status)
    {
        string boundary = new('b', length);
        using var content = new ByteArrayContent(Encoding.ASCII.GetBytes(
            $"--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--{boundary}--\r\n"));
        content.Headers.TryAddWithoutValidation("Content-Type", $"multipart/form-data; boundary={boundary}");
        (int answered, string text) = await PostAsync(content);
        Assert.That(answered, Is.EqualTo(status));
        Assert.That(text, status == 200 ? Is.EqualTo("a=1") : Does.Contain("boundary"));
    }

    /// <summary>All header lines of a part with their line ends; in one line, and in two.</summary>
    [TestCase(0, 200)]
    [TestCase(1, 413)]
    public async Task The_headers_of_a_part_may_be_as_large_as_the_limit(int over, int status)
    {
        const string Line = "Content-Disposition: form-data; name=\"a\"\r\n";
        foreach (string lines in new[] { Line, Line + "Content-Type: text/plain\r\n" })
        {
            using var content = new ByteArrayContent(Encoding.ASCII.GetBytes($"--b\r\n{lines}\r\n1\r\n--b--\r\n"));
            content.Headers.TryAddWithoutValidation("Content-Type", "multipart/form-data; boundary=b");
            (int answered, string text) = await PostAsync(content, new FormOptions { MaxPartHeaderSize = lines.Length - over });
            Assert.That(answered, Is.EqualTo(status), text);
        }
    }

    [TestCaseSource(nameof(MalformedParts))]
    public async Task Malformed_parts_are_refused(string body)
    {
        using var content = new ByteArrayContent(Encoding.ASCII.GetBytes(body));
        content.Headers.TryAddWithoutValidation("Content-Type", "multipart/form-data; boundary=b");
        (int status, string text) = await PostAsync(content);
        Assert.That(status, Is.EqualTo(400), text);
        Assert.That(text, Does.Contain("multipart body is malformed"));
    }

    [Test]
    public async Task Files_are_streamed_intact_whatever_they_contain()
    {
        const string Boundary = "------b";
        byte[][] contents =
        [
            [],
            "\r\n"u8.ToArray(),
            "\r\n--"u8.ToArray(),
            Encoding.ASCII.GetBytes($"\r\n--{Boundary[..^1]}"),
            Encoding.ASCII.GetBytes($"x--{Boundary}--\r\n"),
            Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("\r\n--\r\n-----", 10_000))),
            Random(1_000_000),
            Random(16 * 1024),
            [.. Random(16 * 1024 - 3), (byte)'\r'],
        ];
        var got = new List<(string Name, string? FileName, string? Type, byte[] Content)>();
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", (request, response) =>
            request.ReadMultipartAsync(async part =>
            {
                using var content = new MemoryStream();
                await part.Body.CopyToAsync(content);
                got.Add((part.Name, part.FileName, part.ContentType, content.ToArray()));
                Assert.That(part.Headers["content-DISPOSITION"], Does.StartWith("form-data"));
            })));
        foreach (bool chunked in (bool[])[false, true])
        {
            got.Clear();
            using var content = new MultipartFormDataContent(Boundary);
            for (int i = 0; i < contents.Length; i++)
            {
                var file = new ByteArrayContent(contents[i]);
                file.Headers.ContentType = new MediaTypeHeaderValue("image/png");
                content.Add(file, $"file{i}", $"f{i}.png");
            }

            using var request = new HttpRequestMessage(HttpMethod.Post, server.Uri()) { Content = content };
            request.Headers.TransferEncodingChunked = chunked;
            using HttpResponseMessage response = await server.Client.SendAsync(request);
            Assert.That((int)response.StatusCode, Is.EqualTo(200));
            Assert.That(got.Select(g => (g.Name, g.FileName, g.Type)), Is.EqualTo(contents.Select((_, i) => ($"file{i}", $"f{i}.png", "image/png"))));
            Assert.That(got.Select(g => g.Content), Is.EqualTo(contents));
        }
    }

    [Test]
    public async Task Parts_are_found_wherever_the_reads_end()
    {
        const string Body = "preamble\r\n--not it\r\n--b  \r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--b\r\n"
            + "CONTENT-DISPOSITION: form-data;filename=\"C:\\dir\\\\\\\"x\\\".txt\" ; name=b c\r\n\r\n\r\ntwo\r\n\r\n--b\r\n"
            + "Content-Disposition: form-data; name=\"\"\r\n\r\n--b--\r\nepilogue";
        byte[] bytes = Encoding.ASCII.GetBytes(Body);
        for (int step = 1; step < 40; step++)
        {
            var parts = new List<string>();
            var reader = new MultipartReader(new Trickle(bytes, step), "b", new FormOptions());
            while (await reader.ReadPartAsync(default) is { } part)
            {
                using var text = new StreamReader(part.Body);
                parts.Add($"{part.Name}|{part.FileName}|{await text.ReadToEndAsync()}");
            }

            Assert.That(parts, Is.EqualTo((string[])["a||one", "b c|C:\\dir\\\\\"x\".txt|\r\ntwo\r\n", "||"]), $"{step} bytes at a time");
        }
    }

    [Test]
    public async Task What_a_handler_leaves_of_a_part_is_read_over_and_the_part_is_over()
    {
        var names = new List<string>();
        Stream? kept = null;
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", async (request, response) =>
        {
            await request.ReadMultipartAsync(async part =>
            {
                if (kept is not null)
                {
                    Assert.That(async () => await kept.ReadAsync(new byte[1]), Throws.TypeOf<ObjectDisposedException>());
                }

                names.Add(part.Name);
                kept = part.Body;
                await kept.ReadExactlyAsync(new byte[1]);
            });
            Assert.That(async () => await kept!.ReadAsync(new byte[1]), Throws.TypeOf<ObjectDisposedException>());
        }));
        using HttpResponseMessage response = await server.Client.PostAsync(server.Uri(), Parts(("a", new string('x', 100_000)), ("b", "y"), ("c", "zz")));
        Assert.That((int)response.StatusCode, Is.EqualTo(200));
        Assert.That(names, Is.EqualTo((string[])["a", "b", "c"]));
    }

    private static StringContent Encoded(string body) => new(body, Encoding.UTF8, "application/x-www-form-urlencoded");

    private static MultipartFormDataContent Parts(params (string Name, string Value)[] fields)
    {
        var content = new MultipartFormDataContent();
        foreach ((string name, string value) in fields)
        {
            content.Add(new StringContent(value), name);
        }

        return content;
    }

    private static async Task<(int Status, string Text)> PostAsync(HttpContent content, FormOptions? options = null)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", async (request, response) =>
        {
            RequestVariableCollection form = await request.ReadFormAsync(options);
            await response.WriteTextAsync(string.Join('|', form.Select(v => $"{v.Key}={v.Value}")));
        }));
        using HttpResponseMessage response = await server.Client.PostAsync(server.Uri(), content);
        Assert.That(server.Log.Errors, Is.Empty);
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    private static byte[] Random(int count)
    {
        byte[] bytes = new byte[count];
        new Random(count).NextBytes(bytes);
        return bytes;
    }

    private static TestCaseData Case(string name, string body) => new TestCaseData(body).SetArgDisplayNames(name);

    /// <summary>So many bytes at a time.</summary>
    private sealed class Trickle(byte[] bytes, int step) : MemoryStream(bytes)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, System.Threading.CancellationToken cancellationToken = default) =>
            base.ReadAsync(buffer[..Math.Min(step, buffer.Length)], cancellationToken);
    }
}
