using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.WebSockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;
using StreamJsonRpc;

namespace CivetWeb.Net.Tests;

// The examples of the server API do what the documents say.
internal sealed partial class DocumentationTests
{
    [Test]
    public async Task The_start_of_the_server_API_runs()
    {
        string before = Environment.CurrentDirectory;
        DirectoryInfo directory = Directory.CreateTempSubdirectory("civetweb-docs-");
        string page = Path.Combine(directory.CreateSubdirectory("wwwroot").FullName, "index.html");
        await File.WriteAllTextAsync(page, "<!DOCTYPE html><title>home</title>");
        try
        {
            Environment.CurrentDirectory = directory.FullName;
            await RunAsync(args => ServerExamples.Start(args).GetAwaiter().GetResult(), "http://127.0.0.1:0", async output =>
            {
                var root = new Uri(output.Lines[0].Split(' ')[2]);
                using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = TestServer.Patience };
                Assert.That(await http.GetStringAsync(new Uri(root, "/hello/you")), Is.EqualTo("Hello you"));
                Assert.That(await http.GetStringAsync(root), Does.Contain("home"));

                using var timeout = new CancellationTokenSource(TestServer.Patience);
                using var client = new ClientWebSocket();
                client.Options.Proxy = null;
                await client.ConnectAsync(new UriBuilder(root) { Scheme = "ws", Path = "/echo" }.Uri, timeout.Token);
                await client.SendTextAsync("Hello! 👋");
                Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Hello! 👋"));
                await client.CloseNormallyAsync();
                Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.NormalClosure));
            });
        }
        finally
        {
            Environment.CurrentDirectory = before;
            directory.Delete(recursive: true);
        }
    }

    [Test]
    public async Task The_WebSockets_of_the_server_API_run()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            ServerExamples.Chat(server);
            ServerExamples.Handshake(server);
            ServerExamples.Rpc(server);
        });

        using ClientWebSocket one = await server.ConnectAsync("/chat");
        using ClientWebSocket other = await server.ConnectAsync("/chat");

        // The answer to a handshake arrives before its handler has run: wait until each is a member.
        await other.SendTextAsync("I am here");
        Assert.That(await NextAsync(other, "I am here"), Is.True);
        await one.SendTextAsync("everybody?");
        Assert.That(await NextAsync(one, "everybody?"), Is.True);
        Assert.That(await NextAsync(other, "everybody?"), Is.True);
        await one.CloseNormallyAsync();
        await other.SendTextAsync("alone");
        Assert.That(await NextAsync(other, "alone"), Is.True);
        await other.CloseNormallyAsync();

        using ClientWebSocket alice = await server.ConnectAsync("/orders", client =>
        {
            client.SetRequestHeader("Cookie", "session=4711");
            client.SetRequestHeader("Origin", "https://example.org");
            client.AddSubProtocol("orders.v1");
            client.CollectHttpResponseDetails = true;
        });
        Assert.That(await alice.ReceiveTextAsync(), Is.EqualTo("alice speaks orders.v1"));
        Assert.That(alice.HttpResponseHeaders!["Set-Cookie"], Has.Some.StartsWith("last-visit="));
        foreach ((string origin, string cookie) in ((string, string)[])[("https://example.org", "session=1"), ("https://example.com", "session=4711")])
        {
            using var stranger = new ClientWebSocket();
            stranger.Options.SetRequestHeader("Origin", origin);
            stranger.Options.SetRequestHeader("Cookie", cookie);
            stranger.Options.CollectHttpResponseDetails = true;
            Assert.That(() => stranger.ConnectAsync(server.WebSocketUri("/orders"), CancellationToken.None), Throws.TypeOf<WebSocketException>());
            Assert.That(stranger.HttpStatusCode, Is.EqualTo(HttpStatusCode.Forbidden));
        }

        using ClientWebSocket socket = await server.ConnectAsync("/rpc");
        using var rpc = new JsonRpc(new WebSocketMessageHandler(socket));
        rpc.StartListening();
        using var deadline = new CancellationTokenSource(TestServer.Patience);
        Assert.That(await rpc.InvokeWithCancellationAsync<int>("Add", [1, 2], deadline.Token), Is.EqualTo(3));
    }

    [Test]
    public async Task The_pages_of_the_server_API_run()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("civetweb-docs-");
        try
        {
            await using RunningServer server = await RunningServer.StartAsync(server => ServerExamples.Pages(server, folder.FullName));
            using (HttpResponseMessage created = await PostAsync(server, "{\"Name\":\"tea\",\"Count\":2}"))
            {
                Assert.That(created.StatusCode, Is.EqualTo(HttpStatusCode.Created));
                Assert.That(created.Headers.GetValues("X-Content-Type-Options"), Is.EqualTo((string[])["nosniff"]));
                Assert.That(await created.Content.ReadAsStringAsync(), Is.EqualTo("{\"Name\":\"tea\",\"Count\":2}"));
            }

            using (HttpResponseMessage refused = await PostAsync(server, "{\"Name\":\"tea\",\"Count\":0}"))
            {
                Assert.That(refused.StatusCode, Is.EqualTo(HttpStatusCode.BadRequest));
                Assert.That(await refused.Content.ReadAsStringAsync(), Is.EqualTo("400: An order has a count of at least 1."));
            }

            using var form = new MultipartFormDataContent { { new ByteArrayContent(new byte[300_000]), "file", "../name.bin" } };
            using (HttpResponseMessage uploaded = await server.Client.PostAsync(server.Uri("/upload"), form))
            {
                Assert.That(await uploaded.Content.ReadAsStringAsync(), Is.EqualTo("300000 bytes"));
            }

            Assert.That(folder.GetFiles(), Has.Length.EqualTo(1).And.Exactly(1).Property("Length").EqualTo(300_000));

            using HttpResponseMessage clock = await server.Client.GetAsync(server.Uri("/clock"), HttpCompletionOption.ResponseHeadersRead);
            using var reader = new StreamReader(await clock.Content.ReadAsStreamAsync());
            Assert.That(await reader.ReadLineAsync(), Does.StartWith("data: "));
            using HttpResponseMessage missing = await server.Client.GetAsync(server.Uri("/nothing"));
            Assert.That(await missing.Content.ReadAsStringAsync(), Is.EqualTo("404: sorry"));

            await server.Server.StopAsync();
            Assert.That(await reader.ReadToEndAsync(), Does.Not.Contain("sorry"), "the stream has ended in order");
            Assert.That(server.Log.Errors, Is.Empty);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Test]
    public async Task The_TLS_of_the_server_API_runs()
    {
        using var certificates = new TestCertificates();
        CivetWebServerOptions options = ServerExamples.Tls();
        options.Listen[0] = "https://127.0.0.1:0";
        options.RedirectToHttps[0] = "http://127.0.0.1:0";
        options.Tls!.CertificatePath = certificates.Write("fullchain.pem", TestCertificates.Pem(certificates.Server, certificates.Issuer));
        options.Tls.KeyPath = certificates.Write("privkey.pem", TestCertificates.KeyPem(certificates.Server));
        await using var server = new CivetWebServer(options);
        ServerExamples.ClientCertificates(server, options.Tls);
        options.Tls.ClientCertificateAuthoritiesPath = certificates.Write("clients.pem", TestCertificates.Pem(certificates.Issuer));
        await server.StartAsync();

        using X509Certificate2 alice = certificates.Client("alice");
        using var http = new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            SslOptions = new SslClientAuthenticationOptions
            {
                RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate!.GetRawCertData().AsSpan().SequenceEqual(certificates.Server.RawData),
                LocalCertificateSelectionCallback = (_, _, _, _, _) => alice,
            },
        }) { Timeout = TestServer.Patience };
        Assert.That(server.EndPoints[1].RedirectsToHttps);
        Assert.That(await http.GetStringAsync(new Uri(server.EndPoints[0].Uri, "/me")), Is.EqualTo("CN=alice"));

        using var plain = new HttpClient(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false }) { Timeout = TestServer.Patience };
        using HttpResponseMessage redirect = await plain.GetAsync(new Uri(server.EndPoints[1].Uri, "/me"));
        Assert.That((int)redirect.StatusCode, Is.EqualTo(308));
        Assert.That(redirect.Headers.Location, Is.EqualTo(new Uri(server.EndPoints[0].Uri, "/me")));
    }

    [TestCase('S')]
    [TestCase('L')]
    public void The_hazards_of_the_server_API_and_of_leaders_name_only_files_and_tests_that_exist(char kind)
    {
        string[] native = ["tls", "leaders", "soak", "pull_soak"];
        string[][] rows =
        [
            .. File.ReadLines(Path.Combine(Repository.Root, "docs", "hazards.md"))
                .Where(line => line.StartsWith($"| {kind}", StringComparison.Ordinal) && char.IsAsciiDigit(line[3])).Select(line => line.Split('|')),
        ];
        HashSet<string> names =
        [
            .. typeof(DocumentationTests).Assembly.GetTypes().SelectMany(t => t.GetMethods().Select(m => m.Name).Append(t.Name)),
        ];
        Assert.That(rows.Select(row => row[1].Trim()), Is.Not.Empty.And.EqualTo(Enumerable.Range(1, rows.Length).Select(i => $"{kind}{i}")));
        Assert.Multiple(() =>
        {
            foreach (string[] row in rows)
            {
                string[] files = Quoted(row[4]);
                string[] tests = [.. Quoted(row[5]).Except(native)];
                Assert.That(files, Is.Not.Empty);
                Assert.That(Quoted(row[5]), Is.Not.Empty, row[1]);
                Assert.That(tests, Is.SubsetOf(names), row[1]);
                foreach (string file in files)
                {
                    string path = file.StartsWith("native/", StringComparison.Ordinal) ? file : "src/CivetWeb.Net/" + file;
                    Assert.That(Path.Combine(Repository.Root, path), Does.Exist, row[1]);
                }
            }
        });

        static string[] Quoted(string cell) => [.. cell.Split('`').Where((_, i) => i % 2 == 1)];
    }

    private static async Task<HttpResponseMessage> PostAsync(RunningServer server, string json)
    {
        using var content = new StringContent(json, Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
        return await server.Client.PostAsync(server.Uri("/orders"), content);
    }

    private static async Task<bool> NextAsync(ClientWebSocket client, string text)
    {
        while (await client.ReceiveTextAsync() != text)
        {
        }

        return true;
    }
}
