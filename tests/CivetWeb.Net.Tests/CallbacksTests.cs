using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Security;
using System.Net.WebSockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The callbacks of a server and its connections: when they come, what they are given, what they may do.</summary>
public sealed class CallbacksTests
{
    /// <summary>Every callback a server without TLS calls, by the name an exception is reported under.</summary>
    private static readonly string[] Names =
    [
        "InitContext", "InitThread", "InitConnection", "BeginRequest", "LogMessage", "HttpError", "EndRequest", "LogAccess",
        "connect", "ready", "data", "close", "ConnectionClose", "ConnectionClosed", "ExitThread", "ExitContext",
    ];

    private DirectoryInfo _directory = null!;

    [SetUp]
    public void CreateDirectory()
    {
        _directory = Directory.CreateTempSubdirectory("civetweb-callbacks-");
        Directory.CreateDirectory(Root);

        // CivetWeb logs that it cannot find this file.
        File.WriteAllText(Path.Combine(Root, "page.shtml"), "<!--#include file=\"missing.txt\" -->");
    }

    [TearDown]
    public void DeleteDirectory() => _directory.Delete(recursive: true);

    private string Root => Path.Combine(_directory.FullName, "root");

    [Test]
    public void Every_member_of_the_set_is_tested_here()
    {
        // InitSsl needs TLS and has tests of its own.
        string[] members = [.. typeof(Callbacks).GetProperties().Select(p => p.Name).Except(["InitSsl", "UnhandledException"])];
        Assert.That(Names.Where(name => char.IsUpper(name[0])), Is.EquivalentTo(members));
    }

    // ---- order and arguments ----

    [Test]
    public void A_request_has_its_callbacks_in_order()
    {
        using Recorder recorder = Start();
        string response = RawClient.Exchange(recorder.Port, "GET /nothing?x=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\n\r\n");
        Assert.That(response, Does.StartWith("HTTP/1.1 404 "));
        recorder.WaitForClosed(1);
        Assert.That(
            recorder.ConnectionEvents,
            Is.EqualTo("InitConnection, BeginRequest /nothing, HttpError 404, EndRequest 404, LogAccess, ConnectionClose, ConnectionClosed"));
        Assert.That(recorder.Connections, Has.Count.EqualTo(1), "one connection, one object");
        Assert.That(recorder.AccessLog, Does.Match("^127\\.0\\.0\\.1 .*\"GET /nothing\\?x=1 HTTP/1\\.1\" 404 .*\"?test\"?$"));
    }

    [Test]
    public void A_request_the_callback_answers_has_no_error()
    {
        using Recorder recorder = Start();
        Assert.That(RawClient.Exchange(recorder.Port, "GET /answer HTTP/1.1\r\nHost: localhost\r\n\r\n"), Does.StartWith("HTTP/1.1 202 "));
        recorder.WaitForClosed(1);
        Assert.That(
            recorder.ConnectionEvents,
            Is.EqualTo("InitConnection, BeginRequest /answer, EndRequest 202, LogAccess, ConnectionClose, ConnectionClosed"));
    }

    [Test]
    public void What_is_no_request_has_an_error_only()
    {
        using Recorder recorder = Start();
        Assert.That(RawClient.Exchange(recorder.Port, "NONSENSE\r\n\r\n"), Does.Match("^HTTP/1.[01] 400 "));
        recorder.WaitForClosed(1);
        Assert.That(recorder.ConnectionEvents, Is.EqualTo("InitConnection, HttpError 400, ConnectionClose, ConnectionClosed"));
    }

    [Test]
    public void A_connection_without_a_request_is_opened_and_closed()
    {
        using Recorder recorder = Start();
        new RawClient(recorder.Port).Dispose();
        recorder.WaitForClosed(1);
        Assert.That(recorder.ConnectionEvents, Is.EqualTo("InitConnection, ConnectionClose, ConnectionClosed"));
    }

    [Test]
    public void Requests_on_a_kept_connection_share_its_opening_and_closing()
    {
        using Recorder recorder = Start(null, ("enable_keep_alive", "yes"), ("keep_alive_timeout_ms", "60000"));
        using (var client = new RawClient(recorder.Port))
        {
            for (int i = 0; i < 2; i++)
            {
                client.Send("GET /answer HTTP/1.1\r\nHost: localhost\r\n\r\n");
                Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 202 "));
            }
        }

        recorder.WaitForClosed(1);
        Assert.That(
            recorder.ConnectionEvents,
            Is.EqualTo(
                "InitConnection, BeginRequest /answer, EndRequest 202, LogAccess, BeginRequest /answer, EndRequest 202, LogAccess, "
                + "ConnectionClose, ConnectionClosed"));
        Assert.That(recorder.Connections, Has.Count.EqualTo(1));
    }

    [Test]
    public void A_WebSocket_has_its_callbacks_in_order()
    {
        using Recorder recorder = Start();
        using (RawClient client = RawClient.Open(recorder.Port))
        {
            client.SendFrame(0x81, "text"u8);
            Assert.That(client.ReadFrame().Payload, Is.EqualTo("text"u8.ToArray()));
            client.SendFrame(0x89, "ping"u8);
            Assert.That(client.ReadFrame().FirstByte, Is.EqualTo(0x8A));
            client.SendFrame(0x88, [0x03, 0xE8]);
            Assert.That(client.ReadClose(), Is.EqualTo(1000));
            client.ReadToEnd();
        }

        recorder.WaitForClosed(1);
        Assert.That(
            recorder.ConnectionEvents,
            Is.EqualTo(
                "InitConnection, BeginRequest /ws, connect, ready, data 1, data 9, data 8, close, EndRequest -1, LogAccess, ConnectionClose, ConnectionClosed"));
        Assert.That(recorder.Connections, Has.Count.EqualTo(1));
        Assert.That(recorder.Connections.Single().IsWebSocket);
    }

    [Test]
    public void A_rejected_WebSocket_is_never_ready_nor_closed()
    {
        using Recorder recorder = Start();
        Http.SetWebSocketHandler(recorder.Context, "/rejected", (_, _) => 1, (_, _) => recorder.Hit("ready"), null, (_, _) => recorder.Hit("close"));
        Assert.That(RawClient.Exchange(recorder.Port, RawClient.UpgradeRequest("/rejected")), Does.StartWith("HTTP/1.1 403 "));
        recorder.WaitForClosed(1);
        Assert.That(recorder.ConnectionEvents, Does.Not.Contain("ready").And.Not.Contain(", close,"));
        Assert.That(recorder.ConnectionEvents, Does.StartWith("InitConnection, BeginRequest /rejected, ").And.EndsWith("ConnectionClose, ConnectionClosed"));
    }

    [Test]
    public void A_server_begins_and_ends_in_order()
    {
        Recorder recorder = Start(null, ("num_threads", "3"));
        Assert.That(recorder.ServerEvents[0], Is.EqualTo("InitContext"), "before any thread");
        recorder.Dispose();
        string[] events = recorder.ServerEvents;
        Assert.That(
            events,
            Is.EquivalentTo("InitContext,InitThread 0,InitThread 1,InitThread 1,InitThread 1,ExitThread 0,ExitThread 1,ExitThread 1,ExitThread 1,ExitContext".Split(',')));
        Assert.That(events[^1], Is.EqualTo("ExitContext"), "after every thread");
    }

    [Test]
    public void The_context_callbacks_are_given_the_server()
    {
        var contexts = new ConcurrentBag<Context>();
        bool running = true;
        var callbacks = new Callbacks
        {
            InitContext = context =>
            {
                contexts.Add(context);
                running = context.IsRunning;
            },
            InitThread = (context, _) => contexts.Add(context),
            ExitThread = (context, _) => contexts.Add(context),
            ExitContext = contexts.Add,
        };
        var server = new TestServer(callbacks, ("num_threads", "2"));
        server.Dispose();
        Assert.That(contexts, Has.Count.EqualTo(1 + 3 + 3 + 1).And.All.SameAs(server.Context));
        Assert.That(running, Is.False, "not yet, when it is being set up");
        Assert.That(server.Context.UserData, Is.SameAs(server));
    }

    [Test]
    public void Every_connection_knows_its_server()
    {
        Connection seen = null!;
        using var server = new TestServer(new Callbacks { InitConnection = connection => seen = connection });
        RawClient.Exchange(server.Port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.That(seen.Context, Is.SameAs(server.Context));
    }

    [Test]
    public void The_set_is_read_once()
    {
        var callbacks = new Callbacks { BeginRequest = _ => throw new InvalidOperationException("not this one"), UnhandledException = (_, _) => { } };
        using var server = new TestServer(callbacks);
        callbacks.BeginRequest = null;
        Assert.That(RawClient.Exchange(server.Port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), Does.StartWith("HTTP/1.1 500 "));
    }

    [Test]
    public async Task A_handler_set_in_InitContext_is_there_from_the_first_moment()
    {
        var callbacks = new Callbacks
        {
            InitContext = context => Http.SetWebSocketHandler(
                context, "/ws", null, null, (connection, bits, data, _) => Http.WriteToWebSocket(connection, bits == 1 ? 1 : 10, data), null),
        };
        using var server = new TestServer(callbacks);
        using ClientWebSocket client = await server.ConnectAsync();
        await client.SendTextAsync("hello");
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("hello"));
        await client.CloseNormallyAsync();
    }

    // ---- return values ----

    [TestCase(0, true)]
    [TestCase(1, false)]
    [TestCase(-1, false)]
    public void LogMessage_tells_whether_the_error_log_file_is_written(int returned, bool written)
    {
        string log = Path.Combine(_directory.FullName, "error.log");
        var messages = new ConcurrentQueue<(Connection? Connection, string Message)>();
        var callbacks = new Callbacks
        {
            LogMessage = (connection, message) =>
            {
                messages.Enqueue((connection, message));
                return returned;
            },
        };
        using (var server = new TestServer(callbacks, ("error_log_file", log), ("document_root", Root), ("ssi_pattern", "**.shtml$")))
        {
            RawClient.Exchange(server.Port, "GET /page.shtml HTTP/1.1\r\nHost: localhost\r\n\r\n");
            Assert.That(messages.Single().Message, Does.Contain("missing.txt"));
            Assert.That(messages.Single().Connection?.Context, Is.SameAs(server.Context));
        }

        Assert.That(File.Exists(log) && File.ReadAllText(log).Contains("missing.txt", StringComparison.Ordinal), Is.EqualTo(written));
    }

    [Test]
    public void A_message_about_no_connection_has_none()
    {
        var messages = new ConcurrentQueue<(Connection? Connection, string Message)>();
        var callbacks = new Callbacks
        {
            LogMessage = (connection, message) =>
            {
                messages.Enqueue((connection, message));
                return 0;
            },
        };

        // Refused when it is accepted: there is no request, and no connection object.
        using var server = new TestServer(callbacks, ("access_control_list", "-0.0.0.0/0"));
        using var client = new RawClient(server.Port);
        Assert.That(client.ReadToEnd(), Is.Empty);
        Eventually.IsTrueAsync(() => !messages.IsEmpty, "the message").GetAwaiter().GetResult();
        Assert.That(messages.First().Connection, Is.Null);
        Assert.That(messages.First().Message, Does.Contain("127.0.0.1"));
    }

    [TestCase(0, true)]
    [TestCase(1, false)]
    public void LogAccess_tells_whether_the_access_log_file_is_written(int returned, bool written)
    {
        string log = Path.Combine(_directory.FullName, "access.log");
        using (var server = new TestServer(new Callbacks { LogAccess = (_, _) => returned }, ("access_log_file", log)))
        {
            RawClient.Exchange(server.Port, "GET /logged HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }

        Assert.That(File.Exists(log) && File.ReadAllText(log).Contains("GET /logged", StringComparison.Ordinal), Is.EqualTo(written));
    }

    [Test]
    public void Without_callbacks_the_log_files_are_written()
    {
        string access = Path.Combine(_directory.FullName, "access.log");
        string error = Path.Combine(_directory.FullName, "error.log");
        using (var server = new TestServer(("access_log_file", access), ("error_log_file", error), ("document_root", Root), ("ssi_pattern", "**.shtml$")))
        {
            RawClient.Exchange(server.Port, "GET /page.shtml HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }

        Assert.That(File.ReadAllText(access), Does.Contain("GET /page.shtml"));
        Assert.That(File.ReadAllText(error), Does.Contain("missing.txt"));
    }

    [TestCase(0, "HTTP/1.1 404 Mine\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmine")]
    [TestCase(1, "HTTP/1.1 404 Not Found\r\n")]
    [TestCase(-1, "HTTP/1.1 404 Not Found\r\n")]
    public void HttpError_tells_whether_it_has_answered(int returned, string expected)
    {
        (int Status, string Message) seen = default;
        var callbacks = new Callbacks
        {
            HttpError = (connection, status, message) =>
            {
                seen = (status, message);
                if (returned == 0)
                {
                    Http.Print(connection, "HTTP/1.1 404 Mine\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmine");
                }

                return returned;
            },
        };
        using var server = new TestServer(callbacks);
        string response = RawClient.Exchange(server.Port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.That(response, returned == 0 ? Is.EqualTo(expected) : Does.StartWith(expected));
        Assert.That(seen.Status, Is.EqualTo(404));
        Assert.That(seen.Message, Is.Not.Empty);
    }

    // ---- exceptions ----

    [TestCaseSource(nameof(Names))]
    public void An_exception_in_a_callback_is_reported_and_does_no_harm(string name)
    {
        var reported = new ConcurrentQueue<(Exception Exception, string Name)>();
        int thrown = 0;
        using (Recorder recorder = Start(
            (at, _) =>
            {
                if (at == name && Interlocked.Exchange(ref thrown, 1) == 0)
                {
                    throw new InvalidDataException("thrown in " + at);
                }
            },
            reported.Enqueue))
        {
            // Once with the exception, whatever that means for the client, and once without.
            Use(recorder, strict: false);
            Use(recorder, strict: true);
        }

        Assert.That(thrown, Is.EqualTo(1), "the callback was called");
        Assert.That(reported, Has.Count.EqualTo(1));
        Assert.That(reported.Single().Name, Is.EqualTo(name));
        Assert.That(reported.Single().Exception, Is.InstanceOf<InvalidDataException>().With.Message.EqualTo("thrown in " + name));
    }

    [TestCase("connect", "HTTP/1.1 500 ")]
    [TestCase("ready", "HTTP/1.1 101 ")]
    [TestCase("data", "HTTP/1.1 101 ")]
    public void A_client_is_told_of_an_exception(string name, string expected)
    {
        using Recorder recorder = Start(
            (at, _) =>
            {
                if (at == name)
                {
                    throw new InvalidDataException();
                }
            },
            _ => { });
        using (var client = new RawClient(recorder.Port))
        {
            client.Send(RawClient.UpgradeRequest());
            Assert.That(client.ReadHead(), Does.StartWith(expected));
            if (name != "connect")
            {
                client.SendFrame(0x81, "text"u8);
                Assert.That(client.ReadClose(), Is.EqualTo(1011));
                client.SendFrame(0x88, [0x03, 0xF3]);
            }

            client.ReadToEnd();
        }

        recorder.WaitForClosed(1);
        Assert.That(recorder.ConnectionEvents.Contains(", close,", StringComparison.Ordinal), Is.EqualTo(name != "connect"), "who was accepted is closed");
    }

    [Test]
    public void An_exception_in_HttpError_leaves_the_usual_page()
    {
        using Recorder recorder = Start(
            (at, _) =>
            {
                if (at == "HttpError")
                {
                    throw new InvalidDataException();
                }
            },
            _ => { });
        Assert.That(RawClient.Exchange(recorder.Port, "GET /missing HTTP/1.1\r\nHost: localhost\r\n\r\n"), Does.StartWith("HTTP/1.1 404 Not Found\r\n"));
    }

    [Test]
    public void An_exception_in_the_reporting_itself_is_lost()
    {
        var callbacks = new Callbacks
        {
            BeginRequest = _ => throw new InvalidDataException(),
            UnhandledException = (_, _) => throw new InvalidOperationException(),
        };
        using var server = new TestServer(callbacks);
        for (int i = 0; i < 2; i++)
        {
            Assert.That(RawClient.Exchange(server.Port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), Does.StartWith("HTTP/1.1 500 "));
        }
    }

    [Test]
    public void Without_a_reporting_callback_exceptions_go_to_the_standard_error_stream()
    {
        TextWriter original = Console.Error;
        using var text = new StringWriter();
        Console.SetError(TextWriter.Synchronized(text));
        try
        {
            using Context context = Http.StartServer(_ => throw new InvalidDataException("shown"), "127.0.0.1:0");
            RawClient.Exchange(context.Port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }
        finally
        {
            Console.SetError(original);
        }

        Assert.That(text.ToString(), Does.Contain("BeginRequest").And.Contain("shown"));
    }

    // ---- what callbacks may do ----

    [TestCaseSource(nameof(Names))]
    public void A_server_cannot_be_stopped_inside_a_callback(string name)
    {
        int called = 0;
        int refused = 0;
        using (Recorder recorder = Start((at, context) =>
        {
            if (at == name)
            {
                Interlocked.Increment(ref called);
                Assert.That(() => Http.StopServer(context), Throws.InvalidOperationException.With.Message.Contains("callback"));
                Assert.That(context.Dispose, Throws.InvalidOperationException);
                Interlocked.Increment(ref refused);
            }
        }))
        {
            Use(recorder, strict: true);
            Assert.That(recorder.Context.IsRunning);
        }

        Assert.That(called, Is.GreaterThan(0));
        Assert.That(refused, Is.EqualTo(called));
    }

    [TestCaseSource(nameof(Names))]
    public void Another_server_can_be_started_inside_a_callback(string name)
    {
        Context? other = null;
        int started = 0;
        using (Recorder recorder = Start((at, _) =>
        {
            if (at == name && Interlocked.Exchange(ref started, 1) == 0)
            {
                other = Http.StartServer(
                    connection =>
                    {
                        Http.Print(connection, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nother");
                        return 200;
                    },
                    ["listening_ports", "127.0.0.1:0", "num_threads", "2"]);
                Assert.That(RawClient.Exchange(other.Port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), Does.EndWith("\r\n\r\nother"));
            }
        }))
        {
            Use(recorder, strict: true);
            Use(recorder, strict: true);
        }

        Assert.That(other, Is.Not.Null);
        Assert.That(RawClient.Exchange(other!.Port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), Does.EndWith("\r\n\r\nother"));
        other.Dispose();
    }

    [Test]
    public void A_start_that_fails_inside_a_callback_throws_there()
    {
        using Recorder recorder = Start((at, _) =>
        {
            if (at == "BeginRequest")
            {
                Assert.That(() => Http.StartServer(_ => 0, "not a port"), Throws.ArgumentException);
            }
        });
        Use(recorder, strict: true);
    }

    // ---- TLS ----

    [Test]
    public async Task InitSsl_is_given_the_TLS_context_and_the_user_data()
    {
        string certificate = CreateCertificate();
        var calls = new ConcurrentQueue<(nint Context, object? UserData)>();
        var callbacks = new Callbacks
        {
            InitSsl = (context, userData) =>
            {
                calls.Enqueue((context, userData));
                return 0;
            },
        };
        using var server = new TestServer(callbacks, ("listening_ports", "127.0.0.1:0s"), ("ssl_certificate", certificate));
        Assert.That(calls, Has.Count.EqualTo(1));
        Assert.That(calls.Single().Context, Is.Not.Zero);
        Assert.That(calls.Single().UserData, Is.SameAs(server));
        using var client = new RawClient(server.Port);
        await using SslStream stream = await HandshakeAsync(client);
        Assert.That(stream.IsEncrypted);
    }

    [TestCase(-1)]
    [TestCase(-2)]
    public void InitSsl_can_fail_the_start(int returned)
    {
        string certificate = CreateCertificate();
        var callbacks = new Callbacks { InitSsl = (_, _) => returned };
        Assert.That(
            () => Http.StartServer(callbacks, ["listening_ports", "127.0.0.1:0s", "ssl_certificate", certificate]),
            Throws.InstanceOf<CivetWebException>());
    }

    [Test]
    public async Task InitSsl_can_do_everything_itself()
    {
        string certificate = CreateCertificate();
        using var server = new TestServer(
            new Callbacks { InitSsl = (_, _) => 1 }, ("listening_ports", "127.0.0.1:0s"), ("ssl_certificate", certificate));

        // It said so, but did nothing: without a certificate no client can come in, and none does any harm.
        for (int i = 0; i < 3; i++)
        {
            using var client = new RawClient(server.Port);
            Assert.That(async () => await HandshakeAsync(client), Throws.InstanceOf<AuthenticationException>().Or.InstanceOf<IOException>());
        }

        await Task.CompletedTask;
    }

    [Test]
    public void An_exception_in_InitSsl_is_reported_and_fails_the_start()
    {
        string certificate = CreateCertificate();
        var reported = new ConcurrentQueue<string>();
        var callbacks = new Callbacks
        {
            InitSsl = (_, _) => throw new InvalidDataException(),
            UnhandledException = (_, name) => reported.Enqueue(name),
        };
        Assert.That(
            () => Http.StartServer(callbacks, ["listening_ports", "127.0.0.1:0s", "ssl_certificate", certificate]),
            Throws.InstanceOf<CivetWebException>());
        Assert.That(reported.Single(), Is.EqualTo("InitSsl"));
    }

    /// <summary>What a client can do with the server, so that each callback is called; strict: and all of it must work.</summary>
    private static void Use(Recorder recorder, bool strict)
    {
        string ssi = RawClient.Exchange(recorder.Port, "GET /page.shtml HTTP/1.1\r\nHost: localhost\r\n\r\n");
        string missing = RawClient.Exchange(recorder.Port, "GET /missing HTTP/1.1\r\nHost: localhost\r\n\r\n");
        using var client = new RawClient(recorder.Port);
        client.Send(RawClient.UpgradeRequest());
        bool open = client.ReadHead().StartsWith("HTTP/1.1 101 ", StringComparison.Ordinal);
        (int FirstByte, byte[] Payload) frame = default;
        if (open)
        {
            client.SendFrame(0x81, "text"u8);
            frame = client.ReadFrame();
            client.SendFrame(0x88, [0x03, 0xE8]);
        }

        client.ReadToEnd();
        if (strict)
        {
            Assert.That(ssi, Does.StartWith("HTTP/1.1 200 "));
            Assert.That(missing, Does.StartWith("HTTP/1.1 404 "));
            Assert.That(open, "the handshake");
            Assert.That((frame.FirstByte, Encoding.UTF8.GetString(frame.Payload ?? [])), Is.EqualTo((0x81, "text")));
        }
    }

    private static async Task<SslStream> HandshakeAsync(RawClient client)
    {
        var stream = new SslStream(new System.Net.Sockets.NetworkStream(client.Socket), leaveInnerStreamOpen: false);
        try
        {
            using var deadline = new CancellationTokenSource(TestServer.Patience);

            // Made a moment ago, for this test: nobody has signed it.
            var options = new SslClientAuthenticationOptions
            {
                TargetHost = "localhost",
                RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate?.Subject == "CN=localhost",
            };
            await stream.AuthenticateAsClientAsync(options, deadline.Token);
            return stream;
        }
        catch
        {
            await stream.DisposeAsync();
            throw;
        }
    }

    /// <summary>A self-signed certificate with its key in one PEM file, as CivetWeb wants it.</summary>
    private string CreateCertificate()
    {
        if (!System.Runtime.InteropServices.NativeLibrary.TryLoad("libssl.so.3", out nint library))
        {
            Repository.Missing("OpenSSL 3 (libssl.so.3) is needed for TLS");
        }

        System.Runtime.InteropServices.NativeLibrary.Free(library);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        string file = Path.Combine(_directory.FullName, "server.pem");
        File.WriteAllText(file, certificate.ExportCertificatePem() + "\n" + key.ExportPkcs8PrivateKeyPem() + "\n");
        return file;
    }

    private Recorder Start(Action<string, Context>? hit = null, params (string Name, string Value)[] options) => new(Root, hit, null, options);

    private Recorder Start(Action<string, Context> hit, Action<(Exception Exception, string Name)> report) => new(Root, hit, report, []);

    /// <summary>A server that notes its callbacks and answers /answer, with an echo at /ws.</summary>
    private sealed class Recorder : IDisposable
    {
        private readonly TestServer _server;
        private readonly Action<string, Context>? _hit;
        private readonly ConcurrentQueue<string> _serverEvents = new();
        private readonly ConcurrentQueue<string> _connectionEvents = new();
        private readonly ConcurrentDictionary<Connection, int> _connections = new();
        private int _closed;

        public Recorder(
            string root, Action<string, Context>? hit, Action<(Exception Exception, string Name)>? report, (string Name, string Value)[] options)
        {
            _hit = hit;
            var callbacks = new Callbacks
            {
                InitContext = context =>
                {
                    Http.SetWebSocketHandler(context, "/ws", OnConnect, OnReady, OnData, OnClose);
                    OnServer("InitContext", context);
                },
                ExitContext = context => OnServer("ExitContext", context),
                InitThread = (context, kind) => OnServer("InitThread", context, $" {kind}"),
                ExitThread = (context, kind) => OnServer("ExitThread", context, $" {kind}"),
                InitConnection = connection => OnConnection("InitConnection", connection),
                BeginRequest = OnRequest,
                EndRequest = (connection, status) => OnConnection("EndRequest", connection, $" {status}"),
                LogAccess = (connection, line) =>
                {
                    AccessLog = line;
                    OnConnection("LogAccess", connection!);
                    return 0;
                },
                LogMessage = (connection, _) =>
                {
                    OnConnection("LogMessage", connection!);
                    return 0;
                },
                HttpError = (connection, status, _) =>
                {
                    OnConnection("HttpError", connection, $" {status}");
                    return 1;
                },
                ConnectionClose = connection => OnConnection("ConnectionClose", connection),
                ConnectionClosed = connection =>
                {
                    try
                    {
                        OnConnection("ConnectionClosed", connection);
                    }
                    finally
                    {
                        Interlocked.Increment(ref _closed);
                    }
                },
                UnhandledException = report is null ? null : (exception, name) => report((exception, name)),
            };
            _server = new TestServer(callbacks, [("document_root", root), ("ssi_pattern", "**.shtml$"), ("num_threads", "4"), .. options]);
        }

        public Context Context => _server.Context;

        public int Port => _server.Port;

        public string AccessLog { get; private set; } = "";

        public ICollection<Connection> Connections => _connections.Keys;

        public string ConnectionEvents => string.Join(", ", _connectionEvents);

        public string[] ServerEvents => [.. _serverEvents];

        public void Hit(string name) => _connectionEvents.Enqueue(name);

        public void WaitForClosed(int count) =>
            Eventually.IsTrueAsync(() => Volatile.Read(ref _closed) == count, "connections closed").GetAwaiter().GetResult();

        public void Dispose() => _server.Dispose();

        private int OnRequest(Connection connection)
        {
            string path = Http.GetRequestInfo(connection).LocalUri;
            OnConnection("BeginRequest", connection, " " + path);
            if (path != "/answer")
            {
                return 0;
            }

            Http.Print(connection, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
            return 202;
        }

        private int OnConnect(Connection connection, object? userData)
        {
            OnConnection("connect", connection);
            return 0;
        }

        private void OnReady(Connection connection, object? userData) => OnConnection("ready", connection);

        private int OnData(Connection connection, int bits, ReadOnlySpan<byte> data, object? userData)
        {
            OnConnection("data", connection, $" {bits}");
            return bits != 1 || Http.WriteTextToWebSocket(connection, data) >= 0 ? 1 : 0;
        }

        private void OnClose(Connection connection, object? userData) => OnConnection("close", connection);

        private void OnServer(string name, Context context, string detail = "")
        {
            _serverEvents.Enqueue(name + detail);
            _hit?.Invoke(name, context);
        }

        private void OnConnection(string name, Connection connection, string detail = "")
        {
            _connectionEvents.Enqueue(name + detail);
            _connections.TryAdd(connection, 0);
            _hit?.Invoke(name, connection.Context);
        }
    }
}
