using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Security;
using System.Net.WebSockets;
using System.Security.Authentication;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

// The programs of the README and of the first steps, and the parts of one in the guide to the callback API.
internal sealed partial class DocumentationTests
{
    [Test]
    public async Task The_quick_start_of_the_server_API_runs()
    {
        string[] lines = await RunAsync(args => QuickStartExamples.Server(args).GetAwaiter().GetResult(), "http://127.0.0.1:0", async output =>
        {
            using ClientWebSocket client = await ConnectAsync(output, "/echo");
            await client.SendTextAsync("Hello! 👋");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Hello! 👋"));
            await client.CloseNormallyAsync();
        });
        Assert.That(lines, Has.Length.EqualTo(1).And.All.Match("^Listening on http://127\\.0\\.0\\.1:[0-9]+/ "));
    }

    [Test]
    public async Task The_quick_start_of_the_callback_API_runs()
    {
        string[] lines = await RunAsync(QuickStartExamples.Callbacks, "127.0.0.1:0", async output =>
        {
            using ClientWebSocket client = await ConnectAsync(output, "/echo");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Welcome!"));
            await client.SendTextAsync("Hello! 👋");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Hello! 👋"));
            await client.CloseNormallyAsync();
            await Eventually.IsTrueAsync(() => output.Lines.Length >= 2, "the close callback");
        });
        Assert.That(lines[1..], Is.EqualTo((string[])["A client has left."]));
    }

    [Test]
    public async Task The_first_steps_run_and_their_client_gets_its_echo()
    {
        string[] lines = await RunAsync(args => QuickStartExamples.Page(args).GetAwaiter().GetResult(), "http://127.0.0.1:0", async output =>
        {
            Uri root = Root(output);
            using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = TestServer.Patience };
            using HttpResponseMessage page = await http.GetAsync(root);
            Assert.That(page.Content.Headers.ContentType?.ToString(), Is.EqualTo("text/html; charset=utf-8"));
            Assert.That(await page.Content.ReadAsStringAsync(), Does.StartWith("<!DOCTYPE html>").And.Contains("new WebSocket("));

            int before = output.Lines.Length;
            await ServerExamples.Client([$"ws://127.0.0.1:{root.Port}/echo"]).WaitAsync(TestServer.Patience);
            Assert.That(output.Lines[before..], Has.Member("Hello!"));
            await Eventually.IsTrueAsync(() => output.Lines.Any(line => line.EndsWith("has closed.", StringComparison.Ordinal)), "the end of the handler");

        });
        Assert.That(lines[1], Does.Match("^127\\.0\\.0\\.1:[0-9]+ has connected\\.$"));
    }

    [Test]
    public async Task The_parts_of_the_guide_to_the_callback_API_run()
    {
        string before = Environment.CurrentDirectory;
        using StringWriter errors = new();
        TextWriter originalError = Console.Error;
        try
        {
            Environment.CurrentDirectory = Repository.Root; // of the file LICENSE
            Console.SetError(errors);
            await Task.Run(() => ReadmeExamples.Server(context => UseAsync(context).GetAwaiter().GetResult()));
        }
        finally
        {
            Console.SetError(originalError);
            Environment.CurrentDirectory = before;
        }

        Assert.That(errors.ToString(), Does.Not.Contain("in "), "exceptions");

        static async Task UseAsync(Context context)
        {
            ReadmeExamples.Subprotocols(context);
            ReadmeExamples.Sessions(context);
            var root = new Uri($"http://127.0.0.1:{context.Port}/");
            using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = TestServer.Patience };
            Assert.That(await http.GetStringAsync(new Uri(root, "/hello?name=J%C3%BCrgen")), Is.EqualTo("Hello Jürgen\n"));
            Assert.That(await http.GetStringAsync(new Uri(root, "/hello")), Is.EqualTo("Hello stranger\n"));
            Assert.That(await http.GetStringAsync(new Uri(root, "/licence")), Does.StartWith("MIT License"));
            Assert.That(await PostAsync(http, root, 123_456), Is.EqualTo((HttpStatusCode.OK, "123456\n")));
            using (HttpResponseMessage nothing = await http.GetAsync(new Uri(root, "/nothing")))
            {
                Assert.That(nothing.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
            }

            using ClientWebSocket news = await ConnectAsync(context.Port, "/news");
            Assert.That(await news.ReceiveTextAsync(), Is.EqualTo("Here is the news"));
            await news.CloseNormallyAsync();

            using ClientWebSocket orders = await ConnectAsync(context.Port, "/orders", client =>
            {
                client.AddSubProtocol("orders.v1");
                client.AddSubProtocol("orders.v2");
            });
            Assert.That(await orders.ReceiveTextAsync(), Is.EqualTo("speaking orders.v1"), "the client's order counts");
            await orders.CloseNormallyAsync();
            Assert.That(await StatusAsync(context.Port, "/orders", null), Is.EqualTo(HttpStatusCode.Forbidden));

            using ClientWebSocket alice = await ConnectAsync(context.Port, "/private", client => client.SetRequestHeader("Cookie", "session=4711"));
            Assert.That(await alice.ReceiveTextAsync(), Is.EqualTo("Hello alice"));
            await alice.CloseNormallyAsync();
            Assert.That(await StatusAsync(context.Port, "/private", "session=1"), Is.EqualTo(HttpStatusCode.Unauthorized));
        }
    }

    [Test]
    public async Task The_TLS_of_the_callback_API_runs()
    {
        using var certificates = new TestCertificates();
        string[] options = ReadmeExamples.Tls();
        options[1] = "127.0.0.1:0,127.0.0.1:0s";
        options[3] = certificates.Write("server.pem", TestCertificates.Pem(certificates.Server) + TestCertificates.KeyPem(certificates.Server));
        using Context context = Http.StartServer(
            connection =>
            {
                Http.Print(connection, $"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{Http.GetRequestInfo(connection).IsTls}");
                return 200;
            },
            options);
        Assert.That(context.Ports.Select(port => port.IsTls), Is.EqualTo((bool[])[false, true]));

        using var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            SslOptions = new SslClientAuthenticationOptions
            {
                EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
                RemoteCertificateValidationCallback = (stream, certificate, _, _) =>
                    ((SslStream)stream).SslProtocol == SslProtocols.Tls13 && certificate!.GetRawCertData().AsSpan().SequenceEqual(certificates.Server.RawData),
            },
        };
        using var http = new HttpClient(handler) { Timeout = TestServer.Patience };
        Assert.That(await http.GetStringAsync(new Uri($"https://127.0.0.1:{context.Ports[1].Port}/")), Is.EqualTo("True"));
        Assert.That(await http.GetStringAsync(new Uri($"http://127.0.0.1:{context.Ports[0].Port}/")), Is.EqualTo("False"));
    }

    private static Uri Root(LineWriter output) => new(output.Lines[0].Split(' ')[2]);

    private static Task<ClientWebSocket> ConnectAsync(LineWriter output, string path) => ConnectAsync(Root(output).Port, path);

    private static async Task<ClientWebSocket> ConnectAsync(int port, string path, Action<ClientWebSocketOptions>? configure = null)
    {
        using var timeout = new CancellationTokenSource(TestServer.Patience);
        var client = new ClientWebSocket();
        client.Options.Proxy = null;
        configure?.Invoke(client.Options);
        await client.ConnectAsync(new Uri($"ws://127.0.0.1:{port}{path}"), timeout.Token);
        return client;
    }

    private static async Task<HttpStatusCode> StatusAsync(int port, string path, string? cookie)
    {
        using var timeout = new CancellationTokenSource(TestServer.Patience);
        using var client = new ClientWebSocket();
        client.Options.Proxy = null;
        client.Options.CollectHttpResponseDetails = true;
        client.Options.SetRequestHeader("Cookie", cookie);
        Assert.That(() => client.ConnectAsync(new Uri($"ws://127.0.0.1:{port}{path}"), timeout.Token), Throws.TypeOf<WebSocketException>());
        return client.HttpStatusCode;
    }

    private static async Task<(HttpStatusCode Status, string Text)> PostAsync(HttpClient http, Uri root, int length)
    {
        using var content = new ByteArrayContent(Encoding.ASCII.GetBytes(new string('x', length)));
        using HttpResponseMessage response = await http.PostAsync(new Uri(root, "/length"), content);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }
}
