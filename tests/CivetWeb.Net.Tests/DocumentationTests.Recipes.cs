using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Net.WebSockets;
using System.Text;
using System.Threading.Tasks;
using Microsoft.Extensions.Configuration;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

// The recipes do what they are for.
internal sealed partial class DocumentationTests
{
    [Test]
    public async Task The_recipe_for_broadcasts_runs()
    {
        using Context context = Http.StartServer(_ => 0, "127.0.0.1:0");
        RecipeExamples.Broadcast(context);
        using ClientWebSocket one = await ConnectAsync(context.Port, "/news");
        using ClientWebSocket other = await ConnectAsync(context.Port, "/news");

        // The answer to a handshake arrives before the WebSocket can be sent to.
        await other.SendTextAsync("I am here");
        Assert.That(await NextAsync(other, "I am here"), Is.True);
        await one.SendTextAsync("news");
        Assert.That(await NextAsync(one, "news"), Is.True);
        Assert.That(await NextAsync(other, "news"), Is.True);
    }

    [Test]
    public async Task The_recipe_for_rooms_runs()
    {
        await using RunningServer server = await RunningServer.StartAsync(RecipeExamples.Rooms);
        using ClientWebSocket one = await server.ConnectAsync("/rooms/a");
        using ClientWebSocket other = await server.ConnectAsync("/rooms/a");
        using ClientWebSocket stranger = await server.ConnectAsync("/rooms/b");
        foreach (ClientWebSocket member in (ClientWebSocket[])[one, other, stranger])
        {
            await member.SendTextAsync("I am here");
            Assert.That(await NextAsync(member, "I am here"), Is.True);
        }

        Assert.That(await server.Client.GetStringAsync(server.Uri("/rooms")), Is.EqualTo("{\"a\":2,\"b\":1}").Or.EqualTo("{\"b\":1,\"a\":2}"));
        await one.SendTextAsync("in a");
        Assert.That(await NextAsync(other, "in a"), Is.True);
        await stranger.SendTextAsync("in b");
        Assert.That(await stranger.ReceiveTextAsync(), Is.EqualTo("in b"), "not what was said in a");
        await other.CloseNormallyAsync();
        await one.SendTextAsync("alone");
        Assert.That(await NextAsync(one, "alone"), Is.True);
    }

    [Test]
    public async Task The_recipe_for_REST_runs()
    {
        await using RunningServer server = await RunningServer.StartAsync(RecipeExamples.Rest);
        Assert.That(await SendAsync(HttpMethod.Get, "/notes", null), Is.EqualTo((HttpStatusCode.OK, "[]")));
        Assert.That(await SendAsync(HttpMethod.Post, "/notes", "{\"Text\":\"tea\"}"), Is.EqualTo((HttpStatusCode.Created, "{\"Id\":1,\"Text\":\"tea\"}")));
        Assert.That(await SendAsync(HttpMethod.Get, "/notes/1", null), Is.EqualTo((HttpStatusCode.OK, "{\"Id\":1,\"Text\":\"tea\"}")));
        Assert.That(await SendAsync(HttpMethod.Get, "/notes", null), Is.EqualTo((HttpStatusCode.OK, "[{\"Id\":1,\"Text\":\"tea\"}]")));
        Assert.That((await SendAsync(HttpMethod.Get, "/notes/2", null)).Status, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That((await SendAsync(HttpMethod.Get, "/notes/x", null)).Status, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That((await SendAsync(HttpMethod.Post, "/notes", "{}")).Status, Is.EqualTo(HttpStatusCode.BadRequest));
        Assert.That((await SendAsync(HttpMethod.Post, "/notes", "{")).Status, Is.EqualTo(HttpStatusCode.BadRequest));
        Assert.That((await SendAsync(HttpMethod.Put, "/notes", "{}")).Status, Is.EqualTo(HttpStatusCode.MethodNotAllowed));
        Assert.That((await SendAsync(HttpMethod.Delete, "/notes/1", null)).Status, Is.EqualTo(HttpStatusCode.NoContent));
        Assert.That((await SendAsync(HttpMethod.Delete, "/notes/1", null)).Status, Is.EqualTo(HttpStatusCode.NotFound));

        async Task<(HttpStatusCode Status, string Body)> SendAsync(HttpMethod method, string path, string? json)
        {
            using var request = new HttpRequestMessage(method, server.Uri(path));
            request.Content = json is null ? null : new StringContent(json, Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
            using HttpResponseMessage response = await server.Client.SendAsync(request);
            return (response.StatusCode, await response.Content.ReadAsStringAsync());
        }
    }

    [Test]
    public async Task The_recipes_for_files_run()
    {
        string before = Environment.CurrentDirectory;
        DirectoryInfo directory = Directory.CreateTempSubdirectory("civetweb-docs-");
        string folder = directory.CreateSubdirectory("uploads").FullName;
        await File.WriteAllTextAsync(Path.Combine(directory.CreateSubdirectory("wwwroot").FullName, "index.html"), "home");
        try
        {
            Environment.CurrentDirectory = directory.FullName;
            await using RunningServer server = await RunningServer.StartAsync(server =>
            {
                RecipeExamples.Site(server);
                RecipeExamples.Upload(server, folder);
            });
            using HttpResponseMessage home = await server.Client.GetAsync(server.Uri("/"));
            Assert.That(await home.Content.ReadAsStringAsync(), Is.EqualTo("home"));
            Assert.That(home.Headers.GetValues("X-Content-Type-Options"), Is.EqualTo((string[])["nosniff"]));
            using HttpResponseMessage missing = await server.Client.GetAsync(server.Uri("/missing"));
            Assert.That((missing.StatusCode, missing.Content.Headers.ContentType?.MediaType), Is.EqualTo((HttpStatusCode.NotFound, "text/html")));
            Assert.That(await missing.Content.ReadAsStringAsync(), Does.Contain("Error 404"));

            using var form = new MultipartFormDataContent { { new StringContent("not a file"), "text" }, { new ByteArrayContent(new byte[100_000]), "file", "../name.bin" } };
            using HttpResponseMessage uploaded = await server.Client.PostAsync(server.Uri("/upload"), form);
            string name = await uploaded.Content.ReadAsStringAsync();
            Assert.That(new FileInfo(Path.Combine(folder, name)), Has.Length.EqualTo(100_000));
            Assert.That(directory.GetFiles("name.bin", SearchOption.AllDirectories), Is.Empty);
        }
        finally
        {
            Environment.CurrentDirectory = before;
            directory.Delete(recursive: true);
        }
    }

    [Test]
    public async Task The_recipe_for_nginx_shows_the_client_and_answers_for_the_site()
    {
        CivetWebServerOptions options = RecipeExamples.Proxied();
        options.Listen = ["http://127.0.0.1:0"];
        await using var server = new CivetWebServer(options);
        server.MapGet("/", (request, response) => response.WriteText($"{request.RemoteEndPoint}"));
        await server.StartAsync();
        int port = server.EndPoints[0].Uri.Port;
        Assert.That(Ask("example.org"), Does.Match("\r\n\r\n192\\.0\\.2\\.7:"));
        Assert.That(Ask("localhost"), Does.StartWith("HTTP/1.1 421 "));

        string Ask(string host) => RawClient.Exchange(port, $"GET / HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 192.0.2.7\r\nConnection: close\r\n\r\n");
    }

    [Test]
    public async Task The_recipe_for_TLS_serves_and_redirects()
    {
        using var certificates = new TestCertificates();
        CivetWebServerOptions options = RecipeExamples.Secure();
        options.Listen = ["https://127.0.0.1:0"];
        options.RedirectToHttps = ["http://127.0.0.1:0"];
        options.Tls!.CertificatePath = certificates.Write("fullchain.pem", TestCertificates.Pem(certificates.Server));
        options.Tls.KeyPath = certificates.Write("privkey.pem", TestCertificates.KeyPem(certificates.Server));
        await using var server = new CivetWebServer(options);
        server.MapGet("/", (_, response) => response.WriteText("secure"));
        await server.StartAsync();
        using var handler = new SocketsHttpHandler { UseProxy = false };
        handler.SslOptions.RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate!.GetRawCertData().AsSpan().SequenceEqual(certificates.Server.RawData);
        using var client = new HttpClient(handler) { Timeout = TestServer.Patience };
        Assert.That(await client.GetStringAsync(server.EndPoints.Single(endPoint => endPoint.RedirectsToHttps).Uri), Is.EqualTo("secure"));
    }

    [TestCase("TERM")]
    [TestCase("INT")]
    public async Task The_recipe_for_signals_stops_in_order(string signal)
    {
        // A shell's background jobs, these tests perhaps among them, ignore SIGINT, and so would the program.
        string[] unignored = ["env", $"--default-signal={signal}"];
        string[] command = TestProgram.SignalsCommand();
        using var program = new LineProcess(EchoServerProcess.TryRun([.. unignored, "true"]) ? [.. unignored, .. command] : command);
        await Eventually.IsTrueAsync(() => program.Lines.Length > 0 || program.HasExited, "the program listens");
        using ClientWebSocket client = await ConnectAsync(new Uri(program.Lines[0].Split(' ')[^1]).Port, "/ws");
        EchoServerProcess.Signal(program.Id, signal);
        Assert.That((await client.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
        Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.EndpointUnavailable));
        await client.CloseNormallyAsync();
        Assert.That((await program.FinishAsync(TestServer.Patience))[^1], Is.EqualTo("stopped"));
    }

    /// <summary>The JSON of docs/server-options.md, bound by its C#.</summary>
    [Test]
    public void The_configuration_of_the_documents_is_bound()
    {
        string json = string.Join('\n', Markdown.Blocks("docs/server-options.md", "json").Single());
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(json));
        using var document = System.Text.Json.JsonDocument.Parse(json);
        IConfiguration configuration = new ConfigurationBuilder().AddInMemoryCollection(Flatten("", document.RootElement)).Build();
        CivetWebServerOptions options = RecipeExamples.Configured(configuration);
        Assert.That(options.Listen, Is.EqualTo((string[])["http://127.0.0.1:8080"]));
        Assert.That(options.AllowedHosts, Is.EqualTo((string[])["example.com"]));
        Assert.That(options.AllowedAddresses, Is.EqualTo((string[])["10.0.0.0/8", "127.0.0.1"]));
        Assert.That(options.WebSockets.AllowedOrigins, Is.EqualTo((string[])["self", "https://example.com"]));
        Assert.That(options.WebSockets.MaxMessageSize, Is.EqualTo(65536));
        Assert.That(() => ServerOptionsCheck.Run(options), Throws.Nothing);
    }

    /// <summary>As Microsoft.Extensions.Configuration.Json does.</summary>
    private static IEnumerable<KeyValuePair<string, string?>> Flatten(string path, System.Text.Json.JsonElement element) => element.ValueKind switch
    {
        System.Text.Json.JsonValueKind.Object => element.EnumerateObject().SelectMany(property => Flatten(path.Length == 0 ? property.Name : $"{path}:{property.Name}", property.Value)),
        System.Text.Json.JsonValueKind.Array => element.EnumerateArray().SelectMany((item, i) => Flatten($"{path}:{i}", item)),
        _ => [new(path, element.ToString())],
    };
}
