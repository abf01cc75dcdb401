using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Security;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Interop;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The hazards of docs/hazards.md, by number, as far as no other test shows their guard.</summary>
public sealed class HazardTests
{
    [Test]
    public async Task H01_a_kept_connection_never_reaches_the_client_that_uses_its_slot_now()
    {
        // One WebSocket at a time: every client gets the slot of the one before it, more often than not.
        using var server = new TestServer(("num_threads", "2"), ("websocket_max_connections", "1"));
        var kept = new ConcurrentQueue<Connection>();
        Http.SetWebSocketHandler(
            server.Context, "/ws", null, (c, _) => kept.Enqueue(c), (c, bits, data, _) => bits == 1 ? Http.WriteTextToWebSocket(c, data) : 1, null);
        for (int i = 0; i < 20; i++)
        {
            using RawClient client = RawClient.Open(server.Port);
            await Eventually.IsTrueAsync(() => kept.Count == i + 1, "ready");
            foreach (Connection old in kept.Take(i))
            {
                Assert.That(Http.WriteTextToWebSocket(old, "for somebody else"), Is.EqualTo(-1));
                Assert.That(Http.CloseWebSocket(old), Is.EqualTo(-1));
            }

            client.SendFrame(0x81, "mine"u8);
            Assert.That(client.ReadFrame().Payload, Is.EqualTo("mine"u8.ToArray()));
            client.SendFrame(0x88, []);
            client.ReadToEnd();
            client.Dispose(); // the server need not wait for it to hang up
            await Eventually.IsTrueAsync(() => server.Context.WebSocketCount == 0, "its end");
        }
    }

    [Test]
    public async Task H02_everything_of_a_stopped_server_can_still_be_called()
    {
        var server = new TestServer();
        Connection? connection = null;
        Http.SetWebSocketHandler(server.Context, "/ws", null, (c, _) => connection = c, null, null);
        using (RawClient client = RawClient.Open(server.Port))
        {
            await Eventually.IsTrueAsync(() => Volatile.Read(ref connection) is not null, "ready");
        }

        int port = server.Port;
        server.Dispose();
        Assert.Multiple(() =>
        {
            Assert.That(Http.WriteTextToWebSocket(connection!, "x"), Is.EqualTo(-1));
            Assert.That(Http.PostToWebSocket(connection!, 1, "x"u8), Is.EqualTo(-1));
            Assert.That(Http.CloseWebSocket(connection!), Is.EqualTo(-1));
            Assert.That(Http.GetRequestInfo(connection!).LocalUri, Is.EqualTo("/ws"));
            Assert.That(Http.BroadcastToWebSockets(server.Context, null, 1, "x"u8), Is.Zero);
            Assert.That(server.Context.Port, Is.EqualTo(port));
            Assert.That(server.Context.WebSocketCount, Is.Zero);
            Assert.That(server.Context.IsRunning, Is.False);
        });
    }

    [Test]
    public async Task H03_writers_and_closers_of_all_connections_do_not_deadlock_with_their_ends()
    {
        using var server = new TestServer(new Callbacks { ConnectionClose = c => Http.BroadcastToWebSockets(c.Context, null, 1, "somebody left"u8) });
        server.MapEcho();
        using var stop = new CancellationTokenSource();
        Task broadcaster = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                Http.BroadcastToWebSockets(server.Context, "/ws", 1, "hello"u8);
            }
        });
        for (int i = 0; i < 200; i++)
        {
            await Eventually.IsTrueAsync(() => server.Context.WebSocketCount < 40, "places to be free");
            using RawClient client = RawClient.Open(server.Port);
        }

        await stop.CancelAsync();
        await broadcaster.WaitAsync(TestServer.Patience);
    }

    [Test]
    public async Task H04_tls_is_read_and_written_by_different_threads_without_loss()
    {
        string pem = CreateCertificate();
        try
        {
            using var server = new TestServer(("listening_ports", "127.0.0.1:0s"), ("ssl_certificate", pem));
            var ready = new TaskCompletionSource<Connection>();
            Http.SetWebSocketHandler(
                server.Context,
                "/ws",
                null,
                (c, _) => ready.TrySetResult(c),
                (c, bits, data, _) => bits == 2 && Http.WriteBinaryToWebSocket(c, data) < 0 ? 0 : 1,
                null);
            using var client = new ClientWebSocket();
            client.Options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
            await client.ConnectAsync(new Uri($"wss://127.0.0.1:{server.Port}/ws"), CancellationToken.None);
            Connection connection = await ready.Task.WaitAsync(TestServer.Patience);
            Assert.That(Http.GetRequestInfo(connection).IsTls);

            const int Each = 300;
            Task pushing = Task.Run(() =>
            {
                for (int i = 0; i < Each; i++)
                {
                    Assert.That(Http.WriteTextToWebSocket(connection, $"push {i}"), Is.GreaterThan(0));
                }
            });
            Task sending = Task.Run(async () =>
            {
                for (int i = 0; i < Each; i++)
                {
                    await client.SendBinaryAsync(Enumerable.Repeat((byte)i, i * 100).ToArray());
                }
            });
            int pushes = 0, echoes = 0;
            while (pushes + echoes < 2 * Each)
            {
                (WebSocketMessageType type, byte[] data) = await client.ReceiveMessageAsync();
                if (type == WebSocketMessageType.Text)
                {
                    Assert.That(Encoding.ASCII.GetString(data), Is.EqualTo($"push {pushes++}"));
                }
                else
                {
                    Assert.That(type, Is.EqualTo(WebSocketMessageType.Binary), $"{client.CloseStatus} {client.CloseStatusDescription}");
                    Assert.That(data, Has.Length.EqualTo(echoes * 100));
                    Assert.That(data, Is.All.EqualTo((byte)echoes++));
                }
            }

            await pushing;
            await sending;
            await client.CloseNormallyAsync();
            Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.NormalClosure));
        }
        finally
        {
            File.Delete(pem);
        }
    }

    [Test]
    public void H06_no_trampoline_lets_an_exception_out()
    {
        // Every function C can call has one try around all it does; its IL begins with the protected region.
        MethodInfo[] trampolines = [.. typeof(NativeLibraryLoader).Assembly.GetTypes()
            .SelectMany(t => t.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            .Where(m => m.GetCustomAttribute<UnmanagedCallersOnlyAttribute>() is not null)];
        Assert.That(trampolines, Has.Length.GreaterThanOrEqualTo(15));
        foreach (MethodInfo trampoline in trampolines)
        {
            var clauses = trampoline.GetMethodBody()!.ExceptionHandlingClauses;
            Assert.That(
                clauses.Any(c => c.Flags == ExceptionHandlingClauseOptions.Clause && c.CatchType == typeof(Exception)), trampoline.Name);
        }
    }

    [Test]
    public async Task H11_subprotocol_names_outlive_the_array_they_came_in()
    {
        using var server = new TestServer();
        Register(server.Context);
        for (int i = 0; i < 10; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            using ClientWebSocket client = await server.ConnectAsync(configure: o => o.AddSubProtocol("name.1"));
            Assert.That(client.SubProtocol, Is.EqualTo("name.1"));
        }

        // Replacing the handler does not pull the name from under those who use it.
        using ClientWebSocket open = await server.ConnectAsync(configure: o => o.AddSubProtocol("name.1"));
        Register(server.Context);
        Assert.That(open.SubProtocol, Is.EqualTo("name.1"));

        static void Register(Context context)
        {
            string[] names = [.. Enumerable.Range(0, 20).Select(i => $"name.{i}")];
            Http.SetWebSocketHandlerWithSubprotocols(context, "/ws", names, (_, _) => 0, null, null, null);
            Array.Clear(names);
        }
    }

    [Test]
    public void H12_paths_are_matched_exactly_whatever_the_client_encodes()
    {
        using var server = new TestServer();
        server.MapEcho("/exact");
        foreach (string path in (string[])["/Exact", "/exact/", "/exactly", "/exact%00", "/exact%00more", "/%65xact/x", "/exact%2fx", "//exact", "/exact.", "/%2Fexact"])
        {
            string response = RawClient.Exchange(server.Port, RawClient.UpgradeRequest(path));
            Assert.That(response, Does.StartWith("HTTP/1.1 404 ").Or.StartWith("HTTP/1.1 400 "), path);
        }

        using RawClient encoded = RawClient.Open(server.Port, "/%65xact");
        using RawClient dots = RawClient.Open(server.Port, "/x/%2e%2e/exact");
    }

    [Test]
    public void H13_a_key_that_civetweb_would_fail_on_after_connect_never_reaches_connect()
    {
        using var server = new TestServer();
        EchoCounts counts = server.MapEcho();
        string request = RawClient.UpgradeRequest().Replace(RawClient.Key, new string('A', 100), StringComparison.Ordinal);
        Assert.That(RawClient.Exchange(server.Port, request), Does.StartWith("HTTP/1.1 400 "));
        Assert.That(counts.Connects, Is.Zero);
        Assert.That(server.Context.WebSocketCount, Is.Zero);
    }

    [Test]
    public void H16_after_a_partial_write_nothing_more_is_sent()
    {
        using var server = new TestServer(("websocket_send_timeout_ms", "200"));
        Connection? connection = null;
        using var ready = new ManualResetEventSlim();
        Http.SetWebSocketHandler(server.Context, "/ws", null, (c, _) =>
        {
            connection = c;
            ready.Set();
        }, null, null);
        using RawClient client = RawClient.Open(server.Port);
        Assert.That(ready.Wait(TestServer.Patience));
        Assert.That(Http.WriteBinaryToWebSocket(connection!, new byte[64 << 20]), Is.EqualTo(-1), "more than any socket takes");
        Assert.That(Http.WriteTextToWebSocket(connection!, "behind half a frame"), Is.EqualTo(-1));
        Assert.That(client.ReadToEnd().AsSpan().IndexOf("behind half a frame"u8), Is.EqualTo(-1));
    }

    [Test]
    public void H21_every_refusal_of_an_upgrade_is_a_complete_http_response()
    {
        using var server = new TestServer();
        Http.SetWebSocketHandler(server.Context, "/ws", (_, _) => 1, null, null, null);
        string good = RawClient.UpgradeRequest();
        foreach ((string request, int status) in ((string, int)[])
            [
                (good, 403),
                (RawClient.UpgradeRequest("/none"), 404),
                (good.Replace("GET", "POST", StringComparison.Ordinal), 405),
                (good.Replace("HTTP/1.1", "HTTP/1.0", StringComparison.Ordinal), 400),
                (good.Replace("Version: 13", "Version: 12", StringComparison.Ordinal), 426),
                (good.Replace("Sec-WebSocket-Version: 13\r\n", "", StringComparison.Ordinal), 426),
                (good.Replace("Host: localhost\r\n", "", StringComparison.Ordinal), 400),
                (good.Replace($"Sec-WebSocket-Key: {RawClient.Key}\r\n", "", StringComparison.Ordinal), 400),
                (good.Replace(RawClient.Key, "short", StringComparison.Ordinal), 400),
                (good.Replace("Upgrade: websocket", "Upgrade: websockets", StringComparison.Ordinal), 400),
            ])
        {
            string response = RawClient.Exchange(server.Port, request);
            Assert.That(response, Does.StartWith($"HTTP/1.1 {status} "), request);
            int body = response.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4;
            Assert.That(response, Does.Contain($"Content-Length: {response.Length - body}\r\n"), request);
            if (status == 426)
            {
                Assert.That(response, Does.Contain("Sec-WebSocket-Version: 13\r\n"));
            }
        }
    }

    [Test]
    public void H22_with_all_places_taken_plain_http_is_still_served()
    {
        using var server = new TestServer(
            new Callbacks
            {
                BeginRequest = c =>
                {
                    if (Http.GetRequestInfo(c).LocalUri != "/")
                    {
                        return 0;
                    }

                    Http.Print(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
                    return 204;
                },
            },
            ("num_threads", "20"));
        server.MapEcho();
        var clients = new List<RawClient>();
        string refusal = "";
        while (refusal.Length == 0)
        {
            var client = new RawClient(server.Port);
            clients.Add(client);
            client.Send(RawClient.UpgradeRequest());
            string head = client.ReadHead();
            refusal = head.StartsWith("HTTP/1.1 101", StringComparison.Ordinal) ? "" : head;
        }

        Assert.That(refusal, Does.StartWith("HTTP/1.1 503 "));
        Assert.That(clients, Has.Count.EqualTo(18 + 1), "20 threads less a reserve of 2, and the one refused");
        for (int i = 0; i < 20; i++)
        {
            Assert.That(RawClient.Exchange(server.Port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Does.StartWith("HTTP/1.1 204 "));
        }

        foreach (RawClient client in clients)
        {
            client.Dispose();
        }
    }

    [Test]
    public void H25_bytes_that_are_no_utf8_are_shown_with_replacement_characters_never_thrown()
    {
        var header = new TaskCompletionSource<string?>();
        using var server = new TestServer(new Callbacks
        {
            BeginRequest = c =>
            {
                header.TrySetResult(Http.GetHeader(c, "X-Bytes"));
                return 0;
            },
        });
        using var client = new RawClient(server.Port);
        client.Send([.. "GET / HTTP/1.1\r\nHost: x\r\nX-Bytes: a"u8, 0xFF, 0xC3, .. "b\r\n\r\n"u8]);
        client.ReadToEnd();
        Assert.That(header.Task.Result, Is.EqualTo("a\uFFFD\uFFFDb"));
    }

    [Test]
    public async Task H28_a_server_with_tls_survives_a_client_that_speaks_something_else()
    {
        string pem = CreateCertificate();
        try
        {
            using var server = new TestServer(("listening_ports", "127.0.0.1:0s"), ("ssl_certificate", pem));
            server.MapEcho();
            for (int i = 0; i < 20; i++)
            {
                using var client = new RawClient(server.Port);
                client.Send("GET / HTTP/1.1\r\n\r\n");
            }

            using var tcp = new TcpClient("127.0.0.1", server.Port);
            await using var tls = new SslStream(tcp.GetStream(), false, (_, _, _, _) => true);
            await tls.AuthenticateAsClientAsync("localhost");
            await tls.WriteAsync(Encoding.ASCII.GetBytes("GET /none HTTP/1.1\r\nHost: x\r\n\r\n"));
            byte[] start = new byte[12];
            await tls.ReadExactlyAsync(start);
            Assert.That(Encoding.ASCII.GetString(start), Is.EqualTo("HTTP/1.1 404"));
        }
        finally
        {
            File.Delete(pem);
        }
    }

    [Test]
    public void H30_no_native_call_suppresses_the_gc_transition()
    {
        // Most of them block or call back, which a suppressed transition forbids.
        MethodInfo[] methods = [.. typeof(NativeMethods).GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic),
            .. typeof(CwnMethods).GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic)];
        Assert.That(methods.Where(m => m.GetCustomAttribute<SuppressGCTransitionAttribute>() is not null), Is.Empty);
    }

    [Test]
    public void The_table_of_hazards_names_all_of_them_and_only_files_and_tests_that_exist()
    {
        string[] lines = [.. File.ReadLines(Path.Combine(Repository.Root, "docs", "hazards.md")).Where(l => l.StartsWith("| H", StringComparison.Ordinal))];
        Assert.That(lines.Select(l => l.Split('|')[1].Trim()), Is.EqualTo(Enumerable.Range(1, 38).Select(i => $"H{i}")));
        string[] names = [.. typeof(HazardTests).Assembly.GetTypes().SelectMany(t => t.GetMethods()).Select(m => m.Name),
            .. typeof(HazardTests).Assembly.GetTypes().Select(t => t.Name)];
        foreach (string line in lines)
        {
            string[] cells = line.Split('|');
            foreach (string file in Quoted(cells[4]))
            {
                string below = file.StartsWith("native/", StringComparison.Ordinal) ? file : Path.Combine("src", "CivetWeb.Net", file);
                string path = Path.Combine(Repository.Root, below);
                Assert.That(File.Exists(path) || Directory.Exists(path), $"{cells[1]}: {file}");
            }

            foreach (string test in Quoted(cells[5]).Where(t => t.Contains("Tests", StringComparison.Ordinal) || t.Count(c => c == '_') > 2))
            {
                Assert.That(names.Contains(test), $"{cells[1]}: there is no {test}");
            }
        }

        static string[] Quoted(string cell) => [.. cell.Split('`').Where((_, i) => i % 2 == 1)];
    }

    /// <summary>A key and its self-signed certificate in one PEM file, as ssl_certificate wants them.</summary>
    internal static string CreateCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        string path = Path.Combine(Path.GetTempPath(), $"civetweb-net-{Guid.NewGuid():N}.pem");
        File.WriteAllText(path, certificate.ExportCertificatePem() + "\n" + key.ExportPkcs8PrivateKeyPem() + "\n");
        return path;
    }
}
