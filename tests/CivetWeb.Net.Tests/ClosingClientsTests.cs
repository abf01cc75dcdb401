using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.WebSockets;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// What a browser and other clients see when either side closes: code, reason, <c>wasClean</c>, and no error event. The
/// clients are in tests/clients/closing.mjs.
/// </summary>
[TestFixture]
internal sealed class ClosingClientsTests
{
    private static readonly TimeSpan BrowserPatience = 2 * TestServer.Patience;

    /// <summary>What the client does, and what it sees then.</summary>
    private static readonly (string Close, string Seen)[] ByClient =
    [
        ("[]", "1005 '' clean"),
        ("[1000]", "1000 '' clean"),
        ("[1000,\"bye\"]", "1000 '' clean"), // the answer has the code alone
        ("[3000]", "3000 '' clean"),
        ("[4000,\"x\"]", "4000 '' clean"),
        ("[4999,\"Grüße 👋\"]", "4999 '' clean"),
    ];

    /// <summary>What the server closes with, at the path /close/INDEX, and what the client sees.</summary>
    private static readonly (int? Code, string Reason, string Seen)[] ByServer =
    [
        (null, "", "1005 '' clean"),
        (1000, "", "1000 '' clean"),
        (1001, "going away", "1001 'going away' clean"),
        (1011, "", "1011 '' clean"),
        (1012, "restart", "1012 'restart' clean"),
        (3000, "", "3000 '' clean"),
        (4000, "x", "4000 'x' clean"),
        (4999, "Grüße 👋", "4999 'Grüße 👋' clean"),
        (1000, new string('r', 123), $"1000 '{new string('r', 123)}' clean"),
    ];

    [Test]
    [Logs(5)] // of the certificate, which the browser refuses before it goes on
    public async Task Every_end_is_clean_and_has_its_code(
        [Values("chromium", "ws", "node")] string client, [Values] Api api, [Values] bool tls)
    {
        string[] command = Command(client, tls);
        using var certificate = new ServerCertificate();
        await using Closer server = await Closer.StartAsync(api, tls ? certificate.Path : null);
        using var process = new LineProcess(
        [
            .. command,
            $"{(tls ? "wss" : "ws")}://127.0.0.1:{server.Port}/",
            .. ByClient.Select(c => c.Close),
            .. ByServer.Select((_, i) => $"/close/{i}"),
        ]);
        Assert.That(
            await process.FinishAsync(BrowserPatience),
            Is.EqualTo((string[])[.. ByClient.Select(c => c.Seen), .. ByServer.Select(c => c.Seen)]));
    }

    private static string[] Command(string client, bool tls)
    {
        if (client == "chromium")
        {
            BrowserTests.Find();
        }

        // One of those that ClientPrograms knows: it skips the test where the client is missing.
        string[] known = ClientPrograms.Command(client == "node" ? "node" : "node-ws", "echo", "");
        string[] node = [.. known.TakeWhile(part => !part.EndsWith(".mjs", StringComparison.Ordinal))];
        string[] anyCertificate = client == "node" && tls ? ["env", "NODE_TLS_REJECT_UNAUTHORIZED=0", "NODE_NO_WARNINGS=1"] : [];
        return [.. anyCertificate, .. node, Path.Combine(Repository.Root, "tests", "clients", "closing.mjs"), client];
    }

    /// <summary>A page, an echo that answers what the client closes with, and paths that close at once.</summary>
    private sealed class Closer : IAsyncDisposable
    {
        private readonly TestServer? _callbacks;
        private readonly RunningServer? _server;

        private Closer(TestServer? callbacks, RunningServer? server)
        {
            _callbacks = callbacks;
            _server = server;
        }

        public int Port => _callbacks?.Port ?? _server!.Port;

        public static async Task<Closer> StartAsync(Api api, string? certificate) => api == Api.Callbacks
            ? new Closer(StartCallbacks(certificate), null)
            : new Closer(null, await StartServerAsync(certificate));

        public async ValueTask DisposeAsync()
        {
            _callbacks?.Dispose();
            if (_server is not null)
            {
                await _server.DisposeAsync();
            }
        }

        private static TestServer StartCallbacks(string? certificate)
        {
            var options = new List<(string, string)>();
            if (certificate is not null)
            {
                options.AddRange([("listening_ports", "127.0.0.1:0s"), ("ssl_certificate", certificate)]);
            }

            var server = new TestServer(
                new Callbacks
                {
                    BeginRequest = connection =>
                    {
                        if (Http.GetRequestInfo(connection).LocalUri != "/")
                        {
                            return 0;
                        }

                        Http.Write(connection, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"u8);
                        return 200;
                    },
                },
                [.. options]);
            server.MapEcho();
            for (int i = 0; i < ByServer.Length; i++)
            {
                (int? code, string reason, _) = ByServer[i];
                Http.SetWebSocketHandler(
                    server.Context,
                    $"/close/{i}",
                    null,
                    (connection, _) =>
                    {
                        if (code is null)
                        {
                            Http.WriteToWebSocket(connection, 8, []);
                        }
                        else
                        {
                            Http.CloseWebSocket(connection, code.Value, reason);
                        }
                    },
                    null,
                    null);
            }

            return server;
        }

        private static Task<RunningServer> StartServerAsync(string? certificate) => RunningServer.StartAsync(
            server =>
            {
                server.MapGet("/", (_, response) => response.WriteText(""));
                server.MapWebSocket("/ws", ServerEchoTests.EchoAsync);
                server.MapWebSocket("/close/{index}", context =>
                {
                    (int? code, string reason, _) = ByServer[int.Parse(context.Route["index"], CultureInfo.InvariantCulture)];
                    return context.WebSocket.CloseAsync((WebSocketCloseStatus?)code ?? WebSocketCloseStatus.Empty, reason, context.Aborted);
                });
            },
            options =>
            {
                if (certificate is not null)
                {
                    options.Listen.Add("https://127.0.0.1:0");
                    options.DangerousRawOptions["ssl_certificate"] = certificate;
                }
            });
    }
}
