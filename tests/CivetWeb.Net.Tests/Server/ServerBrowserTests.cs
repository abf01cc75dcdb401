using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text.Json.Serialization;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// A site of a <see cref="CivetWebServer"/> in Debian's chromium. Each test is a scenario of tests/clients/site.mjs, which
/// tells what it saw in lines; the page is in tests/clients/site.
/// </summary>
[TestFixture]
internal sealed partial class ServerBrowserTests
{
    private static readonly TimeSpan BrowserPatience = 2 * TestServer.Patience;

    [OneTimeSetUp]
    public void FindBrowser() => BrowserTests.Find();

    [Test]
    public async Task Files_routes_JSON_cookies_and_uploads()
    {
        var uploaded = new List<string>();
        await using RunningServer server = await RunningServer.StartAsync(s =>
        {
            s.MapStaticFiles("/", Path.Combine(Repository.Root, "tests", "clients", "site"));
            s.MapPost("/sum/{name}", async (request, response) =>
            {
                Pair pair = (await request.ReadJsonAsync(BrowserJson.Default.Pair))!;
                await response.WriteJsonAsync(new Sum(request.Route["name"], pair.X + pair.Y), BrowserJson.Default.Sum);
            });
            s.MapPost("/login", async (request, response) =>
                response.SetCookie("name", (await request.ReadFormAsync())["name"]!, new CookieOptions { HttpOnly = true }));
            s.MapGet("/who", (request, response) => response.WriteText(request.Cookies["name"] ?? "nobody"));
            s.MapWebSocket("/hello", async context =>
            {
                await context.WebSocket.SendTextAsync($"Hello, {context.Request.Cookies["name"]}!");
                await ServerEchoTests.EchoAsync(context);
            });
            s.MapPost("/upload", async (request, response) =>
            {
                await request.ReadMultipartAsync(async part => uploaded.Add(await DescribeAsync(part)));
                response.Redirect("/done");
            });
            s.MapGet("/done", (_, response) => response.WriteText(string.Join('\n', uploaded)));
        });
        using LineProcess browser = Start("http", server.Uri());
        Assert.That(
            await browser.FinishAsync(BrowserPatience),
            Is.EqualTo((string[])["page, style and script", "JSON", "cookie, for requests and WebSockets", "upload"]));
        Assert.That(server.Log.Errors, Is.Empty);
    }

    [Test]
    public async Task Echoes_and_close_codes_of_either_side()
    {
        await using RunningServer server = await StartAsync();
        using LineProcess browser = Start("echoes", server.Uri());
        Assert.That(
            await browser.FinishAsync(BrowserPatience),
            Is.EqualTo((string[])["echoed", "closed 1000 true", "closed 3000 true", "closed 4999 true", "server: 4000 enough true"]));
        await AllClosedAsync(server);
    }

    [TestCase(null, "refused, 1006")]
    [TestCase("https://example.org", "refused, 1006")]
    [TestCase("https://example.org {0}", "there?")]
    [TestCase("*", "there?")]
    public async Task A_page_of_another_origin_gets_in_only_if_it_is_allowed(string? allowed, string answer)
    {
        await using RunningServer other = await StartAsync();
        string origin = $"http://127.0.0.1:{other.Port}"; // the other port makes it another origin
        string[]? origins = allowed is null ? null : string.Format(CultureInfo.InvariantCulture, allowed, origin).Split(' ');
        await using RunningServer server = await StartAsync(new WebSocketEndpointOptions { AllowedOrigins = origins });
        using LineProcess browser = Start("origin", other.Uri(), server.WebSocketUri().ToString());
        Assert.That(await browser.FinishAsync(BrowserPatience), Is.EqualTo((string[])["there?", answer]));
        await AllClosedAsync(server);
        await AllClosedAsync(other);
    }

    [Test]
    public async Task Compressed_messages_come_back()
    {
        await using RunningServer server = await StartAsync(new WebSocketEndpointOptions { DangerousDeflate = new() });
        using LineProcess browser = Start("deflate", server.Uri());
        Assert.That(await browser.FinishAsync(BrowserPatience), Is.EqualTo((string[])["echoed with permessage-deflate"]));
        await AllClosedAsync(server);
    }

    /// <summary>The page, an echo and a WebSocket that closes.</summary>
    private static Task<RunningServer> StartAsync(WebSocketEndpointOptions? options = null) => RunningServer.StartAsync(s =>
    {
        s.MapStaticFiles("/", Path.Combine(Repository.Root, "tests", "clients", "site"));
        s.MapWebSocket("/ws", ServerEchoTests.EchoAsync, options);
        s.MapWebSocket("/closing", context => context.WebSocket.CloseAsync((WebSocketCloseStatus)4000, "enough", context.Aborted));
    });

    private static async Task AllClosedAsync(RunningServer server)
    {
        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "all WebSockets are over");
        Assert.That(server.Log.Errors, Is.Empty);
    }

    private static async Task<string> DescribeAsync(MultipartPart part)
    {
        if (part.FileName is null)
        {
            using var reader = new StreamReader(part.Body);
            return $"{part.Name}: {await reader.ReadToEndAsync()}";
        }

        var data = new MemoryStream();
        await part.Body.CopyToAsync(data);
        return $"{part.Name}: {part.FileName}, {part.ContentType}, {data.Length} bytes, {Convert.ToHexStringLower(SHA256.HashData(data.ToArray()))}";
    }

    private static LineProcess Start(string scenario, Uri page, params string[] arguments) =>
        new(["node", Path.Combine(Repository.Root, "tests", "clients", "site.mjs"), scenario, page.ToString(), .. arguments]);

    private sealed record Pair(int X, int Y);

    private sealed record Sum(
        [property: JsonPropertyName("name")] string Name,
        [property: JsonPropertyName("sum")] int Total);

    [JsonSerializable(typeof(Pair))]
    [JsonSerializable(typeof(Sum))]
    private sealed partial class BrowserJson : JsonSerializerContext;
}
