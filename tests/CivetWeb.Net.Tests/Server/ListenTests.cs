using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using System.Text;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>What a server listens on: each form of an entry, its real end points, and what is no entry.</summary>
[TestFixture]
internal sealed class ListenTests
{
    private DirectoryInfo _directory = null!;

    [SetUp]
    public void CreateDirectory() => _directory = CreateSocketDirectory();

    [TearDown]
    public void DeleteDirectory() => _directory.Delete(recursive: true);

    // ---- forms ----

    [TestCase("http://127.0.0.1:0")]
    [TestCase("http://127.0.0.1:0/")]
    [TestCase("HTTP://127.0.0.1:0")]
    [TestCase("ws://127.0.0.1:0")]
    public async Task An_IPv4_address(string entry)
    {
        await using RunningServer server = await StartAsync(entry);
        ServerEndPoint only = server.Server.EndPoints.Single();
        Assert.That(only.EndPoint, Is.EqualTo(new IPEndPoint(IPAddress.Loopback, server.Port)));
        Assert.That(only.Uri, Is.EqualTo(new Uri($"http://127.0.0.1:{server.Port}/")));
        Assert.That((only.IsTls, only.RedirectsToHttps, only.Listen), Is.EqualTo((false, false, entry)));
        Assert.That(server.Port, Is.Positive);
        Assert.That(await AskAsync(only.EndPoint), Is.EqualTo(HttpStatusCode.NotFound));
    }

    [Test]
    public async Task An_IPv6_address()
    {
        SkipWithoutIPv6();
        await using RunningServer server = await StartAsync("http://[::1]:0");
        Assert.That(server.Server.EndPoints.Single().EndPoint, Is.EqualTo(new IPEndPoint(IPAddress.IPv6Loopback, server.Port)));
        Assert.That(server.Server.EndPoints.Single().Uri, Is.EqualTo(new Uri($"http://[::1]:{server.Port}/")));
        Assert.That(await AskAsync(new IPEndPoint(IPAddress.IPv6Loopback, server.Port)), Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(Refuses(new IPEndPoint(IPAddress.Loopback, server.Port)), "IPv6 only");
    }

    [Test]
    public async Task Localhost_is_both_loopback_addresses_on_one_port()
    {
        SkipWithoutIPv6();
        await using RunningServer server = await StartAsync("http://localhost:0");
        Assert.That(
            server.Server.EndPoints.Select(endPoint => endPoint.EndPoint),
            Is.EqualTo((IPEndPoint[])[new(IPAddress.Loopback, server.Port), new(IPAddress.IPv6Loopback, server.Port)]));
        Assert.That(server.Server.EndPoints.Select(endPoint => endPoint.Uri), Is.All.EqualTo(new Uri($"http://localhost:{server.Port}/")));
        foreach (ServerEndPoint endPoint in server.Server.EndPoints)
        {
            Assert.That(await AskAsync(endPoint.EndPoint), Is.EqualTo(HttpStatusCode.NotFound), endPoint.ToString());
        }
    }

    [TestCase("http://*:0")]
    [TestCase("http://+:0")]
    public async Task All_addresses_are_IPv4_and_IPv6(string entry)
    {
        SkipWithoutIPv6();
        await using RunningServer server = await StartAsync(entry);
        Assert.That(server.Server.EndPoints.Single().EndPoint, Is.EqualTo(new IPEndPoint(IPAddress.IPv6Any, server.Port)));
        Assert.That(server.Server.EndPoints.Single().Uri, Is.EqualTo(new Uri($"http://localhost:{server.Port}/")));
        Assert.That(await AskAsync(new IPEndPoint(IPAddress.IPv6Loopback, server.Port)), Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(await AskAsync(new IPEndPoint(IPAddress.Loopback, server.Port)), Is.EqualTo(HttpStatusCode.NotFound));
    }

    [Test]
    public async Task All_IPv4_addresses()
    {
        await using RunningServer server = await StartAsync("http://0.0.0.0:0");
        Assert.That(server.Server.EndPoints.Single().EndPoint, Is.EqualTo(new IPEndPoint(IPAddress.Any, server.Port)));
        Assert.That(server.Server.EndPoints.Single().Uri, Is.EqualTo(new Uri($"http://127.0.0.1:{server.Port}/")));
        Assert.That(await AskAsync(new IPEndPoint(IPAddress.Parse("127.0.0.2"), server.Port)), Is.EqualTo(HttpStatusCode.NotFound));
        if (HasIPv6)
        {
            Assert.That(Refuses(new IPEndPoint(IPAddress.IPv6Loopback, server.Port)), "IPv4 only");
        }
    }

    [Test]
    public async Task All_IPv6_addresses()
    {
        SkipWithoutIPv6();
        await using RunningServer server = await StartAsync("http://[::]:0");
        Assert.That(server.Server.EndPoints.Single().Uri, Is.EqualTo(new Uri($"http://[::1]:{server.Port}/")));
        Assert.That(await AskAsync(new IPEndPoint(IPAddress.IPv6Loopback, server.Port)), Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(Refuses(new IPEndPoint(IPAddress.Loopback, server.Port)), "IPv6 only");
    }

    [TestCase("https://127.0.0.1:0")]
    [TestCase("wss://127.0.0.1:0")]
    public async Task An_address_with_TLS(string entry)
    {
        using var certificate = new ServerCertificate();
        await using RunningServer server = await RunningServer.StartAsync(_ => { }, options =>
        {
            options.Listen.Add(entry);
            options.DangerousRawOptions["ssl_certificate"] = certificate.Path;
        });
        ServerEndPoint only = server.Server.EndPoints.Single();
        Assert.That((only.IsTls, only.Uri), Is.EqualTo((true, new Uri($"https://127.0.0.1:{server.Port}/"))));
        using var handler = new SocketsHttpHandler { UseProxy = false };
        handler.SslOptions.RemoteCertificateValidationCallback = (_, _, _, _) => true;
        using var client = new HttpClient(handler) { Timeout = TestServer.Patience };
        using HttpResponseMessage response = await client.GetAsync(only.Uri);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
    }

    [Test]
    public async Task End_points_are_in_the_order_of_the_entries()
    {
        using var certificate = new ServerCertificate();
        string[] entries = [$"http://unix:{SocketPath("b")}", "http://127.0.0.1:0", "https://127.0.0.1:0", $"http://unix:{SocketPath("a")}", "http://0.0.0.0:0"];
        await using RunningServer server = await RunningServer.StartAsync(_ => { }, options =>
        {
            foreach (string entry in entries)
            {
                options.Listen.Add(entry);
            }

            options.DangerousRawOptions["ssl_certificate"] = certificate.Path;
        });
        IReadOnlyList<ServerEndPoint> endPoints = server.Server.EndPoints;
        Assert.That(endPoints.Select(endPoint => endPoint.Listen), Is.EqualTo(entries));
        Assert.That(endPoints.Select(endPoint => endPoint.IsTls), Is.EqualTo((bool[])[false, false, true, false, false]));
        foreach (int plain in (int[])[0, 1, 3, 4])
        {
            Assert.That(await AskAsync(endPoints[plain].EndPoint), Is.EqualTo(HttpStatusCode.NotFound), entries[plain]);
        }
    }

    [Test]
    public async Task A_given_port_is_used()
    {
        int port = FreePort.Choose();
        await using RunningServer server = await StartAsync($"http://127.0.0.1:{port}");
        Assert.That(server.Port, Is.EqualTo(port));
    }

    [Test]
    public void Nothing_given_is_this_machine_only()
    {
        var plan = ListenPlan.Create(new CivetWebServerOptions(), hasIPv6: true);
        Assert.That(plan.ToNative(), Is.EqualTo("127.0.0.1:8080,[::1]:8080"));
    }

    [TestCase("http://localhost:81", "127.0.0.1:81")]
    [TestCase("http://localhost:0", "127.0.0.1:0")]
    [TestCase("http://*:81", "0.0.0.0:81")]
    public void Without_IPv6_there_is_IPv4(string entry, string native)
    {
        var plan = ListenPlan.Create(With(entry), hasIPv6: false);
        Assert.That((plan.ToNative(), plan.ChoosesPorts), Is.EqualTo((native, false)));
    }

    [TestCase("http://127.0.0.1", "127.0.0.1:80")]
    [TestCase("https://127.0.0.1", "127.0.0.1:443s")]
    [TestCase("wss://[2001:DB8::1]/", "[2001:db8::1]:443s")]
    [TestCase("http://+:081", "+81", Description = "octal to CivetWeb")]
    public void Ports_are_what_a_Uri_makes_them(string entry, string native) =>
        Assert.That(ListenPlan.Create(With(entry), hasIPv6: true).ToNative(), Is.EqualTo(native));

    // ---- no entries ----

    [TestCase("", "does not begin with")]
    [TestCase("8080", "does not begin with")]
    [TestCase("127.0.0.1:8080", "does not begin with")]
    [TestCase("ftp://127.0.0.1:8080", "does not begin with")]
    [TestCase("http:/127.0.0.1:8080", "does not begin with")]
    [TestCase("http://", "no host")]
    [TestCase("http://:8080", "no host")]
    [TestCase("http://example.org:8080", "host name 'example.org'")]
    [TestCase("http://localhost.:8080", "host name")]
    [TestCase("http://127.1:8080", "not an IPv4 address")]
    [TestCase("http://0x7f000001:8080", "not an IPv4 address")]
    [TestCase("http://010.0.0.1:8080", "not an IPv4 address")]
    [TestCase("http://[127.0.0.1]:8080", "not an IPv6 address")]
    [TestCase("http://[::1:8080", "")]
    [TestCase("http://[::g]:8080", "not an IPv6 address")]
    [TestCase("http://::1:8080", "without brackets")]
    [TestCase("http://[fe80::1%eth0]:8080", "network interface")]
    [TestCase("http://[::ffff:127.0.0.1]:8080", "write 127.0.0.1")]
    [TestCase("http://127.0.0.1:", "the port ''")]
    [TestCase("http://127.0.0.1:65536", "the port '65536'")]
    [TestCase("http://127.0.0.1:-1", "the port '-1'")]
    [TestCase("http://127.0.0.1:80s", "the port '80s'")]
    [TestCase("http://127.0.0.1:80,127.0.0.1:81", "")]
    [TestCase("http://127.0.0.1:8080/path", "has a path")]
    [TestCase("http://127.0.0.1:8080//", "has a path")]
    [TestCase("http://127.0.0.1:8080?q", "has a query")]
    [TestCase("http://127.0.0.1:8080#f", "has a fragment")]
    [TestCase("http://user@127.0.0.1:8080", "has a user name")]
    [TestCase("http://unix:", "absolute path")]
    [TestCase("http://unix:relative.sock", "absolute path")]
    [TestCase("http://unix:/tmp/a,b", "comma")]
    [TestCase("http://unix:/tmp/a:b", "colon")]
    [TestCase("http://unix:/tmp/a\nb", "control character")]
    [TestCase("http://unix:/tmp/a ", "blank")]
    [TestCase("http://unix:/tmp/", "folder")]
    [TestCase("http://unix:/no/such/folder/s", "folder '/no/such/folder'")]
    [TestCase("https://unix:/tmp/s", "TLS")]
    public void What_is_no_entry_is_quoted(string entry, string what)
    {
        ArgumentException? error = Assert.ThrowsAsync<ArgumentException>(() => new CivetWebServer(With(entry)).StartAsync());
        Assert.That(error!.Message, Does.Contain($"'{entry}'").And.Contain("CivetWebServerOptions.Listen").And.Contain(what).And.Contain("http://"));
    }

    [Test]
    public void Null_is_no_entry() =>
        Assert.That(() => ListenPlan.Create(With((string)null!)), Throws.ArgumentException.With.Message.Contains("Listen").And.Message.Contains("null"));

    [TestCase("http://127.0.0.1:0", "http://127.0.0.1:0")]
    [TestCase("http://127.0.0.1:81", "ws://127.0.0.1:81")]
    [TestCase("http://127.0.0.1:443", "https://127.0.0.1")]
    [TestCase("http://localhost:81", "http://127.0.0.1:81")]
    [TestCase("http://[::1]:81", "http://localhost:81")]
    [TestCase("http://*:81", "http://+:81")]
    [TestCase("http://*:81", "http://[::]:81")]
    [TestCase("http://unix:/tmp/s", "http://unix:/tmp/s")]
    public void Two_of_a_kind_are_a_mistake(string first, string second) =>
        Assert.That(
            () => ListenPlan.Create(With(first, second), hasIPv6: true),
            Throws.ArgumentException.With.Message.Contains($"'{first}'").And.Message.Contains(first == second ? "twice" : $"'{second}'"));

    [Test]
    public void Equal_ports_of_the_systems_choice_are_different()
    {
        var plan = ListenPlan.Create(With("http://127.0.0.1:0", "https://127.0.0.1:0", "http://localhost:0", "http://0.0.0.0:0"), hasIPv6: false);
        Assert.That(plan.ToNative(), Is.EqualTo("127.0.0.1:0,127.0.0.1:0s,127.0.0.1:0,0.0.0.0:0"));
    }

    [Test]
    public void There_is_a_limit()
    {
        string[] entries = [.. Enumerable.Range(1, 65).Select(port => $"http://127.0.0.1:{port}")];
        Assert.That(() => ListenPlan.Create(With(entries)), Throws.ArgumentException.With.Message.Contains("65").And.Message.Contains("64"));
        Assert.That(ListenPlan.Create(With(entries[1..])).Bindings, Has.Count.EqualTo(64));
    }

    // ---- Unix domain sockets ----

    [Test]
    public async Task A_Unix_domain_socket_is_there_while_the_server_runs()
    {
        string path = SocketPath("web socket.sock");
        await using (RunningServer server = await StartAsync($"http://unix:{path}"))
        {
            ServerEndPoint only = server.Server.EndPoints.Single();
            Assert.That(only.EndPoint, Is.EqualTo(new UnixDomainSocketEndPoint(path)));
            Assert.That((only.Uri.Scheme, Uri.UnescapeDataString(only.Uri.AbsolutePath)), Is.EqualTo(("unix", path)));
            Assert.That(await AskAsync(only.EndPoint), Is.EqualTo(HttpStatusCode.NotFound));
        }

        Assert.That(File.Exists(path), Is.False);
    }

    [TestCase(UnixFileMode.UserRead | UnixFileMode.UserWrite)]
    [TestCase(UnixFileMode.UserWrite | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)]
    public async Task A_Unix_domain_socket_has_the_permissions_asked_for(UnixFileMode mode)
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("Files have no such permissions here.");
            return;
        }

        string path = SocketPath("s");
        await using RunningServer server = await RunningServer.StartAsync(_ => { }, options =>
        {
            options.Listen.Add($"http://unix:{path}");
            options.UnixSocketMode = mode;
        });
        Assert.That(File.GetUnixFileMode(path), Is.EqualTo(mode));
    }

    [Test]
    public async Task The_longest_path_has_106_bytes()
    {
        string path = SocketPath("ü");
        path += new string('x', 106 - Encoding.UTF8.GetByteCount(path));
        ArgumentException? error = Assert.ThrowsAsync<ArgumentException>(() => new CivetWebServer(With($"http://unix:{path}x")).StartAsync());
        Assert.That(error!.Message, Does.Contain("107 bytes").And.Contain("106"));
        await using RunningServer server = await StartAsync($"http://unix:{path}");
        Assert.That(await AskAsync(new UnixDomainSocketEndPoint(path)), Is.EqualTo(HttpStatusCode.NotFound));
    }

    [Test]
    [Logs(4)]
    public async Task A_stale_socket_is_replaced()
    {
        string path = SocketPath("s");
        using (var killed = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            killed.Bind(new UnixDomainSocketEndPoint(path));
            File.Move(path, path + ".old"); // .NET removes the file of a socket it closes, if it is where it was
        }

        File.Move(path + ".old", path);
        await using RunningServer server = await StartAsync($"http://unix:{path}");
        Assert.That(await AskAsync(new UnixDomainSocketEndPoint(path)), Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(server.Log.Entries.Select(entry => (entry.Event.Id, entry.Message.Contains(path, StringComparison.Ordinal))), Has.Member((4, true)));
    }

    [Test]
    public async Task A_socket_in_use_is_left_alone()
    {
        string path = SocketPath("s");
        await using RunningServer first = await StartAsync($"http://unix:{path}");
        SocketException? error = Assert.ThrowsAsync<SocketException>(() => new CivetWebServer(With($"http://unix:{path}")).StartAsync());
        Assert.That(error!.SocketErrorCode, Is.EqualTo(SocketError.AddressAlreadyInUse));
        Assert.That(error.Message, Does.Contain(path));
        Assert.That(await AskAsync(new UnixDomainSocketEndPoint(path)), Is.EqualTo(HttpStatusCode.NotFound));
    }

    [TestCase(true, Description = "a link could lead anywhere")]
    [TestCase(false)]
    public void What_is_no_socket_is_left_alone(bool isLink)
    {
        string path = SocketPath("s");
        if (isLink)
        {
            File.CreateSymbolicLink(path, SocketPath("elsewhere"));
        }
        else
        {
            File.WriteAllText(path, "precious");
        }

        ArgumentException? error = Assert.ThrowsAsync<ArgumentException>(() => new CivetWebServer(With($"http://unix:{path}")).StartAsync());
        Assert.That(error!.Message, Does.Contain(path).And.Contain("not a socket"));
        Assert.That(new FileInfo(path).LinkTarget, Is.EqualTo(isLink ? SocketPath("elsewhere") : null));
        Assert.That(isLink || File.ReadAllText(path) == "precious");
    }

    /// <summary>The shortest there are; they need no folder of their own to be refused.</summary>
    [TestCase("/1r")]
    [TestCase("/1s")]
    public void A_name_that_is_nothing_but_such_a_port_needs_TLS_too(string path)
    {
        ArgumentException? error = Assert.ThrowsAsync<ArgumentException>(() => new CivetWebServer(With($"http://unix:{path}")).StartAsync());
        Assert.That(error!.Message, Does.StartWith($"'http://unix:{path}' in CivetWebServerOptions.Listen has a digit before an s or r in its path"));
    }

    [TestCase("port8s")]
    [TestCase("2rooms")]
    [TestCase("1r")]
    public async Task A_name_that_CivetWeb_takes_for_a_TLS_port_needs_TLS(string name)
    {
        string path = SocketPath(name);
        ArgumentException? error = Assert.ThrowsAsync<ArgumentException>(() => new CivetWebServer(With($"http://unix:{path}")).StartAsync());
        Assert.That(error!.Message, Does.Contain(path).And.Contain("digit"));
        using var certificate = new ServerCertificate();
        await using RunningServer server = await RunningServer.StartAsync(_ => { }, options =>
        {
            options.Listen.Add($"http://unix:{path}");
            options.Listen.Add("https://127.0.0.1:0");
            options.DangerousRawOptions["ssl_certificate"] = certificate.Path;
        });
        Assert.That(await AskAsync(new UnixDomainSocketEndPoint(path)), Is.EqualTo(HttpStatusCode.NotFound));
    }

    internal static DirectoryInfo CreateSocketDirectory() =>
        Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), $"cwl-{Guid.NewGuid():N}"));

    internal static bool HasIPv6
    {
        get
        {
            try
            {
                using var probe = new TcpListener(IPAddress.IPv6Loopback, 0);
                probe.Start();
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        }
    }

    internal static void SkipWithoutIPv6()
    {
        if (!HasIPv6)
        {
            Assert.Ignore("There is no IPv6 here.");
        }
    }

    /// <summary>A port that nobody has; another program may take it, but hardly in this moment.</summary>
    internal static CivetWebServerOptions With(params string[] listen)
    {
        var options = new CivetWebServerOptions();
        foreach (string entry in listen)
        {
            options.Listen.Add(entry);
        }

        return options;
    }

    internal static async Task<HttpStatusCode> AskAsync(EndPoint server)
    {
        using var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            ConnectCallback = async (_, cancellationToken) =>
            {
                var socket = new Socket(server.AddressFamily, SocketType.Stream, server.AddressFamily == AddressFamily.Unix ? ProtocolType.Unspecified : ProtocolType.Tcp);
                EndPoint target = server is IPEndPoint { Port: var port, Address: var address } && address.Equals(IPAddress.Any) ? new IPEndPoint(IPAddress.Loopback, port) : server;
                await socket.ConnectAsync(target, cancellationToken);
                return new NetworkStream(socket, ownsSocket: true);
            },
        };
        using var client = new HttpClient(handler) { Timeout = TestServer.Patience };
        using HttpResponseMessage response = await client.GetAsync(new Uri("http://localhost/nothing-here"));
        return response.StatusCode;
    }

    private static Task<RunningServer> StartAsync(params string[] listen) => RunningServer.StartAsync(_ => { }, options =>
    {
        foreach (string entry in listen)
        {
            options.Listen.Add(entry);
        }
    });

    private static bool Refuses(IPEndPoint server)
    {
        using var socket = new Socket(server.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Connect(server);
            return false;
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            return true;
        }
    }

    private string SocketPath(string name) => Path.Combine(_directory.FullName, name);
}
