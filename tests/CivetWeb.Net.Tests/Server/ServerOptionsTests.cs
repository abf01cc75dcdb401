using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The typed options: what is wrong with one is said by its name, and the right ones reach CivetWeb.</summary>
[TestFixture]
internal sealed class ServerOptionsTests
{
    private static readonly TimeSpan Millisecond = TimeSpan.FromMilliseconds(1);

    private static readonly TestCaseData[] Wrong =
    [
        Case(o => o.MaxConnections = 0, "MaxConnections", "0", "1 to 65535"),
        Case(o => o.MaxConnections = 65536, "MaxConnections", "65536", "1 to 65535"),
        Case(o => o.MaxConnections = 65535, "MaxConnections", "ReservedHttpThreads", "65536"),
        Case(o => o.ReservedHttpThreads = 0, "ReservedHttpThreads", "0", "1 to 65535"),
        Case(o => o.ReservedHttpThreads = 65536, "ReservedHttpThreads", "65536", "1 to 65535"),
        Case(o => o.MaxConnectionsPerAddress = 0, "MaxConnectionsPerAddress", "0", "1 to 65535"),
        Case(o => o.MaxConnectionsPerAddress = 65536, "MaxConnectionsPerAddress", "65536", "1 to 65535"),
        Case(o => o.MaxRequestHeadSize = 1023, "MaxRequestHeadSize", "1023", "1024 to 1048576"),
        Case(o => o.MaxRequestHeadSize = 1048577, "MaxRequestHeadSize", "1048577", "1024 to 1048576"),
        Case(o => o.MaxRequestBodySize = -1, "MaxRequestBodySize", "-1", "0 to 9223372036854775807"),
        Case(o => o.MinRequestBodyRate = -1, "MinRequestBodyRate", "-1", "0 to 2147483647"),
        Case(o => o.ListenBacklog = 0, "ListenBacklog", "0", "1 to 65535"),
        Case(o => o.ListenBacklog = 65536, "ListenBacklog", "65536", "1 to 65535"),
        Case(o => o.HttpsRedirectPort = 0, "HttpsRedirectPort", "0", "1 to 65535"),
        Case(o => o.HttpsRedirectPort = 65536, "HttpsRedirectPort", "65536", "1 to 65535"),
        Case(o => o.RequestHeadersTimeout = TimeSpan.Zero, "RequestHeadersTimeout", "00:00:00", "00:00:00.0010000 to 24.20:31:23.6470000"),
        Case(o => o.RequestHeadersTimeout = System.Threading.Timeout.InfiniteTimeSpan, "RequestHeadersTimeout", "-00:00:00.0010000", "to 24."),
        Case(o => o.RequestHeadersTimeout = TimeSpan.FromDays(25), "RequestHeadersTimeout", "25.00:00:00", "to 24."),
        Case(o => o.WriteTimeout = TimeSpan.FromTicks(1), "WriteTimeout", "00:00:00.0000001", "00:00:00.0010000 to 24."),
        Case(o => o.KeepAliveTimeout = -Millisecond, "KeepAliveTimeout", "-00:00:00.0010000", "00:00:00 to 24."),
        Case(o => o.KeepAliveTimeout = TimeSpan.MaxValue, "KeepAliveTimeout", TimeSpan.MaxValue.ToString(), "to 24."),
        Case(o => o.ShutdownTimeout = -Millisecond, "ShutdownTimeout", "-00:00:00.0010000", "00:00:00 to 24."),
        Case(o => o.StaticFileMaxAge = -Millisecond, "StaticFileMaxAge", "-00:00:00.0010000", "00:00:00 to 24855.03:14:07"),
        Case(o => o.UnixSocketMode = UnixFileMode.SetUser, "UnixSocketMode", "SetUser", "read, write and execute"),
        Case(o => o.TrustedProxies.Add("example.org"), "TrustedProxies", "'example.org'", "10.0.0.0/8"),
        Case(o => o.TrustedProxies.Add("10.0.0.1/8"), "TrustedProxies", "'10.0.0.1/8'", "10.0.0.0/8"),
        Case(o => o.TrustedProxies.Add("10.0.0.1,10.0.0.2"), "TrustedProxies", "'10.0.0.1,10.0.0.2'", "10.0.0.0/8"),
        Case(o => o.TrustedProxies.Add(""), "TrustedProxies", "''", "unix"),
        Case(o => o.TrustedProxies.Add(null!), "TrustedProxies", "''", "unix"),
        Case(o => o.ProxyProtocol = true, "ProxyProtocol", "true", "TrustedProxies"),
        Case(o => AddAll(o, proxy: "127.0.0.1", listen: "https://127.0.0.1:0", certificate: "x"), "ProxyProtocol", "https", "handshake"),
        Case(o => o.Listen.Add("https://127.0.0.1:0"), "Listen", "'https://127.0.0.1:0'", "CivetWebServerOptions.Tls"),
        Case(o => o.Listen.Add("WSS://127.0.0.1:0"), "Listen", "'WSS://127.0.0.1:0'", "CivetWebServerOptions.Tls"),
        Case(o => AddAll(o, allowed: "10.0.0.0/8", listen: "http://unix:/tmp/s"), "AllowedAddresses", "'http://unix:/tmp/s'", "UnixSocketMode"),
        Case(o => o.DangerousRawOptions["num_threads"] = "5", "DangerousRawOptions", "'num_threads'", "MaxConnections and ReservedHttpThreads"),
        Case(o => o.DangerousRawOptions["websocket_ping_interval_ms"] = "5", "DangerousRawOptions", "'websocket_ping_interval_ms'", "CivetWebServerOptions.WebSockets.KeepAliveInterval"),
        Case(o => o.DangerousRawOptions["protect_uri"] = "/=/etc/passwd", "DangerousRawOptions", "'protect_uri'", "would do nothing"),
        Case(o => o.DangerousRawOptions["no_such_option"] = "5", "no_such_option", "'no_such_option'", ""),
        Case(o => o.DangerousRawOptions["tcp_nodelay"] = "2", "tcp_nodelay", "'2'", "0 or 1"),
    ];

    [TestCaseSource(nameof(Wrong))]
    public void What_is_wrong_is_named_with_its_value_and_its_range(Action<CivetWebServerOptions> configure, string name, string value, string allowed)
    {
        var options = new CivetWebServerOptions();
        configure(options);
        if (options.Listen.Count == 0)
        {
            options.Listen.Add("http://127.0.0.1:0");
        }

        ArgumentException? error = Assert.ThrowsAsync<ArgumentException>(() => new CivetWebServer(options).StartAsync());
        Assert.That(error!.Message, Does.Contain(name).And.Contain(value).And.Contain(allowed));
        Assert.That(error.ParamName, Is.Null, "StartAsync has no parameter for options");
    }

    [Test]
    public void Everything_that_is_wrong_is_listed_at_once()
    {
        var options = new CivetWebServerOptions
        {
            Listen = ["http://127.0.0.1:0", "ftp://127.0.0.1", "http://example.org"],
            RedirectToHttps = ["nonsense"],
            MaxConnections = 0,
            WriteTimeout = TimeSpan.Zero,
            AllowedHosts = ["https://example.org"],
            AllowedAddresses = ["10.0.0.1/8"],
            TrustedProxies = ["nginx"],
            DangerousRawOptions = new Dictionary<string, string> { ["num_threads"] = "5", ["no_such_option"] = "", ["tcp_nodelay"] = "2" },
            Tls = new TlsOptions { ClientCertificateMaxDepth = 101 },
        };
        options.WebSockets.Subprotocols = ["two words", "a,b"];
        options.WebSockets.MaxMessageSize = 0;
        string[] lines = Assert.ThrowsAsync<ArgumentException>(() => new CivetWebServer(options).StartAsync())!.Message.Split('\n');
        string[] expected =
        [
            "'ftp://127.0.0.1'", "'http://example.org'", "'nonsense'", "'num_threads'", "'no_such_option'", "'tcp_nodelay'", "MaxConnections is 0",
            "WriteTimeout", "'10.0.0.1/8'", "'https://example.org'", "'nginx'", "'two words'", "'a,b'", "WebSockets.MaxMessageSize", "Tls has no certificate", "Tls.ClientCertificateMaxDepth",
        ];
        Assert.That(lines[0], Is.EqualTo($"{expected.Length} options are not valid:"));
        Assert.That(lines, Has.Length.EqualTo(expected.Length + 1));
        Assert.Multiple(() =>
        {
            for (int i = 0; i < expected.Length; i++)
            {
                Assert.That(lines[i + 1], Does.StartWith("- ").And.Contain(expected[i]));
            }
        });
    }

    [Test]
    public void Everything_wrong_with_one_endpoint_is_listed_at_once()
    {
        var server = new CivetWebServer();
        ArgumentException? error = Assert.Throws<ArgumentException>(
            () => server.MapWebSocket("/", _ => Task.CompletedTask, new() { MaxMessageSize = 0, AllowedOrigins = ["x"], SendTimeout = TimeSpan.Zero }));
        Assert.That(error!.Message, Does.StartWith("3 options are not valid:").And.Contain("MaxMessageSize").And.Contain("'x'").And.Contain("SendTimeout"));
    }

    [Test]
    public async Task A_list_can_be_assigned_and_is_copied_at_the_start()
    {
        var options = new CivetWebServerOptions { Listen = ["http://127.0.0.1:0"], AllowedHosts = ["one.example"] };
        options.AllowedHosts.Add("two.example");
        await using var server = new CivetWebServer(options);
        server.MapGet("/", (_, response) => response.WriteText("in"));
        await server.StartAsync();
        options.AllowedHosts.Clear();
        options.AllowedHosts = ["three.example"];
        int port = server.EndPoints.Single().Uri.Port;
        foreach ((string host, string status) in ((string, string)[])[("one.example", "200"), ("two.example", "200"), ("three.example", "421"), ("localhost", "421")])
        {
            Assert.That(RawClient.Exchange(port, $"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"), Does.StartWith($"HTTP/1.1 {status} "), host);
        }
    }

    [Test]
    public void No_list_can_be_null()
    {
        PropertyInfo[] lists = [.. typeof(CivetWebServerOptions).GetProperties().Where(property => IsCollection(property.PropertyType))];
        Assert.That(lists, Has.Length.EqualTo(6));
        foreach (PropertyInfo list in lists)
        {
            Assert.That(() => list.SetValue(new CivetWebServerOptions(), null), Throws.TypeOf<TargetInvocationException>().With.InnerException.TypeOf<ArgumentNullException>(), list.Name);
        }
    }

    [Test]
    public void The_borders_themselves_are_allowed()
    {
        Assert.DoesNotThrow(() => Native(o =>
        {
            o.MaxConnections = 1;
            o.ReservedHttpThreads = 65535;
            o.MaxConnectionsPerAddress = 65535;
            o.MaxRequestHeadSize = 1024;
            o.MaxRequestBodySize = null;
            o.MinRequestBodyRate = 0;
            o.ListenBacklog = 1;
            o.RequestHeadersTimeout = o.WriteTimeout = Millisecond;
            o.KeepAliveTimeout = o.ShutdownTimeout = o.StaticFileMaxAge = TimeSpan.Zero;
        }));
        Assert.DoesNotThrow(() => Native(o =>
        {
            o.MaxConnections = 65535;
            o.ReservedHttpThreads = 1;
            o.MaxRequestHeadSize = 1024 * 1024;
            o.MaxRequestBodySize = long.MaxValue;
            o.ListenBacklog = 65535;
            o.RequestHeadersTimeout = o.WriteTimeout = o.KeepAliveTimeout = o.ShutdownTimeout = TimeSpan.FromMilliseconds(int.MaxValue);
            o.StaticFileMaxAge = TimeSpan.FromSeconds(int.MaxValue);
        }));
    }

    [Test]
    public void CivetWeb_is_told_the_defaults() => Assert.That(Native(_ => { }), Is.SupersetOf(new Dictionary<string, string>
    {
        ["num_threads"] = "256",
        ["request_timeout_ms"] = "10000",
        ["enable_keep_alive"] = "yes",
        ["keep_alive_timeout_ms"] = "2000",
        ["max_request_size"] = "16384",
        ["listen_backlog"] = "1024",
        ["static_file_max_age"] = "3600",
        ["tcp_nodelay"] = "1",
    }).And.None.Matches<KeyValuePair<string, string>>(option => option.Key == "access_control_list"));

    [Test]
    public void CivetWeb_is_told_what_was_set()
    {
        Dictionary<string, string> native = Native(o =>
        {
            o.MaxConnections = 10;
            o.ReservedHttpThreads = 3;
            o.RequestHeadersTimeout = TimeSpan.FromSeconds(1.5);
            o.KeepAliveTimeout = TimeSpan.Zero;
            o.MaxRequestHeadSize = 4096;
            o.ListenBacklog = 7;
            o.StaticFileMaxAge = TimeSpan.FromMinutes(2);
            o.AllowedAddresses.Add("10.0.0.0/8");
            o.AllowedAddresses.Add("2001:db8::/32");
            o.DangerousRawOptions["tcp_nodelay"] = "0";
            o.DangerousRawOptions["throttle"] = "*=1m";
        });
        Assert.That(native, Is.SupersetOf(new Dictionary<string, string>
        {
            ["num_threads"] = "13",
            ["request_timeout_ms"] = "1500",
            ["enable_keep_alive"] = "no",
            ["max_request_size"] = "4096",
            ["listen_backlog"] = "7",
            ["static_file_max_age"] = "120",
            ["access_control_list"] = "+10.0.0.0/8,+[::ffff:10.0.0.0]/104,+[2001:db8::]/32",
            ["tcp_nodelay"] = "0",
            ["throttle"] = "*=1m",
        }));
        Assert.That(native.ContainsKey("keep_alive_timeout_ms"), Is.False);
    }

    [Test]
    public void Limits_of_WebSockets_follow_the_options()
    {
        ServerSettings settings = Settings(o => (o.MaxConnections, o.ReservedHttpThreads, o.MaxConnectionsPerAddress) = (10, 1, 4));
        Assert.That((settings.MaxConnections, settings.MaxConnectionsPerAddress), Is.EqualTo((10, 4)));
        settings = Settings(o => o.MaxConnections = 10);
        Assert.That((settings.MaxConnections, settings.MaxConnectionsPerAddress), Is.EqualTo((10, 10)));
    }

    [Test]
    public void Trusted_proxies_are_trusted()
    {
        ServerSettings settings = Settings(o =>
        {
            o.TrustedProxies.Add("10.0.0.0/8");
            o.TrustedProxies.Add("::1");
            o.TrustedProxies.Add("unix");
            o.ProxyProtocol = true;
        });
        Assert.That(settings.ReadsProxyProtocol);
        Assert.That(((string[])["10.1.2.3", "::1", "*", "11.0.0.1"]).Select(settings.TrustedProxies!.Contains), Is.EqualTo((bool[])[true, true, true, false]));
        Assert.That(Settings(_ => { }).TrustedProxies, Is.Null);
    }

    [TestCase("http://127.0.0.1:0", "127.0.0.0/8", true)]
    [TestCase("http://127.0.0.1:0", "127.0.0.1/32", true)]
    [TestCase("http://127.0.0.1:0", "10.0.0.0/8", false)]
    [TestCase("http://127.0.0.1:0", "::/0", false)]
    [TestCase("http://*:0", "127.0.0.0/8", true, Description = "an IPv4 client of an IPv6 socket")]
    [TestCase("http://*:0", "10.0.0.0/8", false)]
    [Logs(5)]
    public async Task Only_allowed_addresses_are_let_in(string listen, string network, bool allowed)
    {
        await using RunningServer server = await RunningServer.StartAsync(_ => { }, options =>
        {
            options.Listen.Add(listen);
            options.AllowedAddresses.Add(network);
        });
        using var client = new RawClient(server.Port);
        string response = "";
        try
        {
            client.Send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            response = System.Text.Encoding.UTF8.GetString(client.ReadToEnd());
        }
        catch (SocketException)
        {
            Assert.That(allowed, Is.False, "cut while it was sending");
        }

        Assert.That(response, allowed ? Does.StartWith("HTTP/1.1 404 ") : Is.Empty);
    }

    [Test]
    public void A_copy_is_independent()
    {
        var options = new CivetWebServerOptions();
        CivetWebServerOptions copy = options.Copy();
        foreach (PropertyInfo property in typeof(CivetWebServerOptions).GetProperties().Where(property => IsCollection(property.PropertyType)))
        {
            Assert.That(property.GetValue(copy), Is.Not.SameAs(property.GetValue(options)), property.Name);
        }
    }

    [Test]
    public void Every_option_is_documented_with_its_default_and_no_other()
    {
        var rows = new Dictionary<string, string[]>();
        foreach (string line in File.ReadLines(Path.Combine(Repository.Root, "docs", "server-options.md")).Where(line => line.StartsWith("| `", StringComparison.Ordinal)))
        {
            string[] cells = [.. line.Trim('|').Split(" | ").Select(cell => cell.Trim())];
            rows.Add(cells[0].Trim('`'), cells);
        }

        var options = new CivetWebServerOptions();
        PropertyInfo[] properties = typeof(CivetWebServerOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance);
        Assert.That(rows.Keys, Is.EquivalentTo(properties.Select(property => property.Name)));
        Assert.Multiple(() =>
        {
            foreach (PropertyInfo property in properties.Where(property => property.Name is not nameof(options.WebSockets)))
            {
                object? value = property.GetValue(options);
                string expected = property.Name == nameof(options.Listen) ? $"`{ListenPlan.Default}`" : Text(value);
                Assert.That(rows[property.Name][1], Is.EqualTo(expected), $"default of {property.Name}");
            }

            Assert.That(rows.Values.Select(cells => cells.Length), Is.All.EqualTo(4), "name, default, allowed, what it does");
        });
    }

    /// <summary>The numbers of Microsoft.AspNetCore.Http.SameSiteMode, so that a cast or a number in a configuration means the same.</summary>
    [TestCase(-1, "Unspecified", "n=v; Path=/; Secure; HttpOnly")]
    [TestCase(0, "None", "n=v; Path=/; Secure; HttpOnly; SameSite=None")]
    [TestCase(1, "Lax", "n=v; Path=/; Secure; HttpOnly; SameSite=Lax")]
    [TestCase(2, "Strict", "n=v; Path=/; Secure; HttpOnly; SameSite=Strict")]
    public void SameSite_has_the_numbers_of_ASP_NET_Core(int number, string name, string cookie)
    {
        Assert.That(((CookieSameSite)number).ToString(), Is.EqualTo(name));
        Assert.That(ResponseCookie.Format("n", "v", new CookieOptions { Secure = true, SameSite = (CookieSameSite)number }), Is.EqualTo(cookie));
    }

    [TestCase(-2)]
    [TestCase(3)]
    public void SameSite_outside_its_range_is_refused(int number) => Assert.That(
        () => ResponseCookie.Format("n", "v", new CookieOptions { SameSite = (CookieSameSite)number }),
        Throws.ArgumentException.With.Message.Contains("Unspecified, None, Lax or Strict"));

    private static string Text(object? value) => value switch
    {
        null => "none",
        bool flag => flag ? "true" : "false",
        TimeSpan time => time.TotalSeconds.ToString(CultureInfo.InvariantCulture) + " s",
        string text => text,
        IEnumerable => "none",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString()!,
    };

    private static bool IsCollection(Type type) => type != typeof(string) && typeof(IEnumerable).IsAssignableFrom(type);

    private static ServerSettings Settings(Action<CivetWebServerOptions> configure)
    {
        CivetWebServerOptions options = ListenTests.With("http://127.0.0.1:0");
        configure(options);
        ListenPlan plan = ServerOptionsCheck.Run(options);
        return ServerSettings.Parse(ServerOptionsReader.Read(options, plan));
    }

    private static Dictionary<string, string> Native(Action<CivetWebServerOptions> configure) => new(Settings(configure).NativeOptions);

    private static void AddAll(CivetWebServerOptions options, string listen, string? proxy = null, string? certificate = null, string? allowed = null)
    {
        options.Listen.Add(listen);
        if (proxy is not null)
        {
            options.TrustedProxies.Add(proxy);
            options.ProxyProtocol = true;
        }

        if (certificate is not null)
        {
            options.DangerousRawOptions["ssl_certificate"] = certificate;
        }

        if (allowed is not null)
        {
            options.AllowedAddresses.Add(allowed);
        }
    }

    private static TestCaseData Case(Action<CivetWebServerOptions> configure, string name, string value, string allowed) =>
        new TestCaseData(configure, name, value, allowed).SetArgDisplayNames(name, value);
}
