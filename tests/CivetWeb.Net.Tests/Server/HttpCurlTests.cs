using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The server, asked by curl.</summary>
[TestFixture]
internal sealed class HttpCurlTests
{
    private string _folder = "";
    private string _upload = "";
    private RunningServer _server = null!;

    [SetUp]
    public async Task Start()
    {
        if (!EchoServerProcess.TryRun("curl", "--version"))
        {
            Repository.Missing("curl is missing (Debian, Ubuntu: apt-get install curl)");
        }

        _folder = Directory.CreateTempSubdirectory("civetweb-net-").FullName;
        File.WriteAllText(Path.Combine(_folder, "digits.txt"), "0123456789");
        _upload = Path.Combine(_folder, "upload.bin");
        File.WriteAllBytes(_upload, [.. Enumerable.Range(0, 2_000_000).Select(i => (byte)(i * 11 / 7))]);
        _server = await RunningServer.StartAsync(server =>
        {
            server.MapStaticFiles("/files", _folder);
            server.MapGet("/hello", (_, response) => response.WriteText("Hello"));
            server.MapGet("/stream", async (_, response) =>
            {
                for (int i = 0; i < 5; i++)
                {
                    await response.WriteTextAsync($"{i}\n");
                    await response.FlushAsync();
                    await Task.Yield();
                }
            });
            server.MapPut("/upload", async (request, response) =>
            {
                byte[] body = await request.ReadBytesAsync();
                byte[] sent = await File.ReadAllBytesAsync(_upload);
                bool same = body.SequenceEqual(sent);
                response.WriteText($"{same} {request.ContentLength?.ToString() ?? "chunked"} {request.Headers["Expect"]}");
            });
            server.MapPost("/form", async (request, response) =>
            {
                await request.ReadMultipartAsync(async part =>
                {
                    using var content = new MemoryStream();
                    await part.Body.CopyToAsync(content);
                    response.WriteText($"{part.Name} {part.FileName} {content.Length}\n");
                });
            });
            server.MapGet("/old", (_, response) => response.Redirect("/hello"));
        });
    }

    [TearDown]
    public async Task Stop()
    {
        if (_server is not null)
        {
            await _server.DisposeAsync();
            Directory.Delete(_folder, recursive: true);
        }
    }

    [TestCase("--http1.1")]
    [TestCase("--http1.0")]
    public async Task Gets(string version) => Assert.That(await CurlAsync("/hello", version, "-f"), Is.EqualTo("Hello"));

    [TestCase("--http1.1", "chunked")]
    [TestCase("--http1.0", "close")]
    public async Task Gets_a_stream(string version, string sign)
    {
        string output = await CurlAsync("/stream", version, "-f", "-i");
        Assert.That(output, Does.Contain(sign).And.EndWith("0\n1\n2\n3\n4\n"));
    }

    [Test]
    public async Task Gets_twice_over_one_connection()
    {
        string output = await CurlAsync("/hello", "-f", "-w", "[%{num_connects}]", "-o", "-", $"http://127.0.0.1:{_server.Port}/hello");
        Assert.That(output, Is.EqualTo("Hello[1]Hello[0]"));
    }

    [Test]
    public async Task Asks_for_the_head() =>
        Assert.That(await CurlAsync("/hello", "-f", "-I"), Does.StartWith("HTTP/1.1 200 OK\r\n").And.Contain("Content-Length: 5\r\n").And.EndWith("\r\n\r\n"));

    [Test]
    public async Task Asks_for_options() =>
        Assert.That(await CurlAsync("/hello", "-f", "-i", "-X", "OPTIONS"), Does.StartWith("HTTP/1.1 204 No Content\r\n").And.Contain("Allow: GET, HEAD, OPTIONS\r\n"));

    [TestCase("2-4", "234")]
    [TestCase("-3", "789")]
    [TestCase("7-", "789")]
    public async Task Gets_a_range(string range, string expected) =>
        Assert.That(await CurlAsync("/files/digits.txt", "-f", "-r", range, "-w", " %{http_code}"), Is.EqualTo(expected + " 206"));

    [Test]
    public async Task Resumes_a_download()
    {
        string copy = Path.Combine(_folder, "copy.txt");
        await File.WriteAllTextAsync(copy, "0123");
        await CurlAsync("/files/digits.txt", "-f", "-C", "-", "-o", copy);
        Assert.That(await File.ReadAllTextAsync(copy), Is.EqualTo("0123456789"));
    }

    [Test]
    public async Task Uploads_a_file() => Assert.That(await CurlAsync("/upload", "-f", "-T", _upload), Does.StartWith("True 2000000"));

    [Test]
    public async Task Uploads_in_chunks() =>
        Assert.That(await CurlAsync("/upload", "-f", "-T", _upload, "-H", "Transfer-Encoding: chunked"), Does.StartWith("True chunked"));

    [Test]
    public async Task Waits_to_be_told_to_continue() =>
        Assert.That(
            await CurlAsync("/upload", "-f", "-T", _upload, "-H", "Expect: 100-continue", "--expect100-timeout", "60"),
            Is.EqualTo("True 2000000 100-continue"));

    [Test]
    public async Task Sends_a_form_with_a_file() =>
        Assert.That(await CurlAsync("/form", "-f", "-F", "text=value", "-F", $"file=@{_upload}"), Is.EqualTo("text  5\nfile upload.bin 2000000\n"));

    [Test]
    public async Task Follows_a_redirect() => Assert.That(await CurlAsync("/old", "-f", "-L"), Is.EqualTo("Hello"));

    private async Task<string> CurlAsync(string path, params string[] arguments)
    {
        string[] command = ["curl", "-sS", "--noproxy", "*", "--max-time", "60", .. arguments, $"http://127.0.0.1:{_server.Port}{path}"];
        using Process process = Process.Start(EchoServerProcess.StartInfo(command))!;
        process.StandardInput.Close();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.That(process.ExitCode, Is.Zero, await errors);
        return output;
    }
}
