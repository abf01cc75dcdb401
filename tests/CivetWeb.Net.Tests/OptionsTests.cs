using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using CivetWeb.Net.Interop;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Options: what is wrong with one is said before anything has been opened.</summary>
public sealed class OptionsTests
{
    private DirectoryInfo _directory = null!;

    [SetUp]
    public void CreateDirectory() => _directory = SocketFolder.Create();

    [TearDown]
    public void DeleteDirectory() => _directory.Delete(recursive: true);

    // ---- names and pairs ----

    [Test]
    public void An_unknown_option_is_named()
    {
        ArgumentException error = Refused("no_such_option", "1");
        Assert.That(error.Message, Does.Contain("'no_such_option'").And.Contain("websocket_max_message_size"));
        Assert.That(error.ParamName, Is.Null);
    }

    [Test]
    public void Everything_that_is_wrong_is_listed_at_once()
    {
        string[] options =
        [
            "listening_ports", "http", "no_such_option", "1", "num_threads", "0", "tcp_nodelay", "2", "tcp_nodelay", "1", "allowed_hosts", "https://a", "trusted_proxies", "nginx",
            "websocket_allowed_origins", "a", "websocket_max_message_size", "0", "proxy_protocol", "maybe", "websocket_keep_thread", "maybe",
        ];
        string[] lines = Assert.Throws<ArgumentException>(() => Http.StartServer(_ => 0, options))!.Message.Split('\n');
        string[] names = ["no_such_option", "num_threads", "tcp_nodelay", "tcp_nodelay", "websocket_allowed_origins", "allowed_hosts", "listening_ports", "trusted_proxies", "proxy_protocol", "websocket_max_message_size", "websocket_keep_thread"];
        Assert.That(lines[0], Is.EqualTo("11 options are not valid:"));
        Assert.That(lines, Has.Length.EqualTo(names.Length + 1));
        Assert.Multiple(() =>
        {
            for (int i = 0; i < names.Length; i++)
            {
                Assert.That(lines[i + 1], Does.StartWith("- ").And.Contain($"'{names[i]}'"));
            }
        });
    }

    [TestCase("Num_Threads")]
    [TestCase("num_threads ")]
    [TestCase("")]
    public void Names_are_exact(string name) => Assert.That(Refused(name, "5").Message, Does.Contain($"'{name}'"));

    /// <summary>Threads that WebSockets may not take: for pages, and for telling clients that the server is full.</summary>
    [TestCase(1, 1)]
    [TestCase(2, 1)]
    [TestCase(3, 1)]
    [TestCase(4, 2)]
    [TestCase(20, 18)]
    [TestCase(29, 27)]
    [TestCase(30, 27)]
    [TestCase(256, 231)]
    public void WebSockets_leave_some_threads_to_others(int threads, int connections)
    {
        ServerSettings settings = ServerSettings.Parse(ServerSettings.ToPairs(["num_threads", $"{threads}"]));
        Assert.That((settings.MaxConnections, settings.MaxConnectionsPerAddress), Is.EqualTo((connections, connections)));
    }

    /// <summary>CivetWeb's own two options for pings keep their meaning.</summary>
    [TestCase("yes", 1234u)]
    [TestCase("no", 0u)]
    public void Pings_are_as_often_as_websocket_timeout_ms_says_unless_enable_websocket_ping_pong_is_no(string pingPong, uint interval)
    {
        ServerSettings settings = ServerSettings.Parse(
            ServerSettings.ToPairs(["websocket_timeout_ms", "1234", "enable_websocket_ping_pong", pingPong]));
        Assert.That(settings.Session.ping_interval_ms, Is.EqualTo(interval));
    }

    [Test]
    public void Null_is_refused()
    {
        Assert.That(Refused("num_threads", null!).Message, Does.Contain("'num_threads'").And.Contain("null"));
        Assert.That(Refused(null!, "1").Message, Does.Contain("null"));
        Assert.That(() => Http.StartServer(_ => 0, (string[])null!), Throws.ArgumentNullException);
        Assert.That(() => Http.StartServer(_ => 0, (IEnumerable<KeyValuePair<string, string>>)null!), Throws.ArgumentNullException);
        Assert.That(() => Http.StartServer(_ => 0, (string)null!), Throws.ArgumentNullException);
        Assert.That(() => Http.StartServer((RequestCallback)null!, "127.0.0.1:0"), Throws.ArgumentNullException);
        Assert.That(() => Http.StartServer((RequestCallbackWithUserData)null!, "127.0.0.1:0", null), Throws.ArgumentNullException);
        Assert.That(() => Http.StartServer((Callbacks)null!, ["listening_ports", "127.0.0.1:0"]), Throws.ArgumentNullException);
    }

    [Test]
    public void An_option_given_twice_is_named()
    {
        Assert.That(
            () => Http.StartServer(_ => 0, ["listening_ports", "127.0.0.1:0", "num_threads", "2", "num_threads", "3"]),
            Throws.ArgumentException.With.Message.Contains("'num_threads'").And.Message.Contains("twice"));
    }

    [Test]
    public void An_odd_number_of_strings_is_refused() =>
        Assert.That(() => Http.StartServer(_ => 0, ["listening_ports", "127.0.0.1:0", "num_threads"]), Throws.ArgumentException.With.Message.Contains('3'));

    [Test]
    public void A_value_with_a_NUL_is_refused()
    {
        Assert.That(Refused("authentication_domain", "a\0b").Message, Does.Contain("'authentication_domain'").And.Contain("NUL"));
        Assert.That(Refused("websocket_allowed_origins", "a\0b").Message, Does.Contain("'websocket_allowed_origins'"));
    }

    // ---- kinds of values ----

    [Test]
    public void Every_number_of_CivetWeb_is_checked()
    {
        string[] names = NamesOf(mg_config_type.NUMBER);
        Assert.That(names, Has.Length.GreaterThan(10));
        foreach (string name in names)
        {
            foreach (string value in "abc||1x|x1|1.5|-3|99999999999|0x10| ".Split('|'))
            {
                ArgumentException error = Refused(name, value);
                Assert.That(error.Message, Does.Contain($"'{name}' is '{value}'"));
                Assert.That(error.Message, Does.Contain("whole number").Or.Contain("0 or 1"), "what is allowed");
            }
        }
    }

    [TestCase("num_threads", "0", "1")]
    [TestCase("num_threads", "65537", "65536")]
    [TestCase("connection_queue", "0", "1")]
    [TestCase("listen_backlog", "0", "1")]
    [TestCase("request_timeout_ms", "0", "1")]
    [TestCase("max_request_size", "1023", "1024")]
    [TestCase("tcp_nodelay", "2", "0 or 1")]
    [TestCase("tcp_nodelay", "yes", "whole number")]
    [TestCase("keep_alive_timeout_ms", "-1", "0")]
    [TestCase("websocket_timeout_ms", "-1", "0")]
    [TestCase("websocket_max_message_size", "0", "from 1 to 2147483647")]
    [TestCase("websocket_max_message_size", "2147483648", "from 1 to 2147483647")]
    [TestCase("websocket_max_message_size", "abc", "from 1 to 2147483647")]
    [TestCase("websocket_max_message_size", "", "from 1 to 2147483647")]
    [TestCase("websocket_ping_interval_ms", "-1", "from 0 to 2147483647")]
    [TestCase("websocket_pong_timeout_ms", "-1", "from 0 to 2147483647")]
    [TestCase("websocket_frame_timeout_ms", "1s", "from 0 to 2147483647")]
    [TestCase("websocket_send_timeout_ms", "-1", "from 0 to 2147483647")]
    [TestCase("websocket_close_timeout_ms", "-1", "from 0 to 2147483647")]
    [TestCase("websocket_max_connections", "0", "from 1 to")]
    [TestCase("websocket_max_connections_per_address", "0", "from 1 to")]
    public void A_number_out_of_range_is_named_with_the_range(string name, string value, string allowed) =>
        Assert.That(Refused(name, value).Message, Does.Contain($"'{name}' is '{value}'").And.Contain(allowed));

    [Test]
    public void There_cannot_be_more_WebSockets_than_threads()
    {
        Assert.That(
            () => Http.StartServer(_ => 0, ["listening_ports", "127.0.0.1:0", "num_threads", "5", "websocket_max_connections", "6"]),
            Throws.ArgumentException.With.Message.Contains("websocket_max_connections").And.Message.Contains("from 1 to 5"));
    }

    [Test]
    public void Every_boolean_is_checked()
    {
        string[] names = [.. NamesOf(mg_config_type.BOOLEAN).Where(name => !name.StartsWith("cgi", StringComparison.Ordinal))];
        Assert.That(names, Has.Length.GreaterThan(5));
        foreach (string name in names)
        {
            foreach (string value in "true|1||y|on|yes ".Split('|'))
            {
                Assert.That(Refused(name, value).Message, Does.Contain($"'{name}' is '{value}'").And.Contain("'yes' or 'no'"));
            }
        }
    }

    [Test]
    public void Every_choice_is_checked()
    {
        string[] names = NamesOf(mg_config_type.YES_NO_OPTIONAL);
        Assert.That(names, Is.Not.Empty);
        foreach (string name in names)
        {
            foreach (string value in "maybe||true|Optional".Split('|'))
            {
                Assert.That(Refused(name, value).Message, Does.Contain($"'{name}' is '{value}'").And.Contain("'optional'"));
            }
        }
    }

    [Test]
    public void A_missing_folder_or_file_is_named()
    {
        string missing = Path.Combine(_directory.FullName, "missing");
        Assert.That(Refused("document_root", missing).Message, Does.Contain("'document_root'").And.Contain(missing).And.Contain("existing directory"));
        Assert.That(Refused("ssl_certificate", missing).Message, Does.Contain("'ssl_certificate'").And.Contain(missing).And.Contain("existing file"));
        Assert.That(Refused("ssl_ca_file", missing).Message, Does.Contain("'ssl_ca_file'").And.Contain("existing file"));
    }

    [TestCase("cgi_pattern", "**.cgi$")]
    [TestCase("cgi_interpreter", "/bin/sh")]
    [TestCase("cgi2_pattern", "**.cgi$")]
    [TestCase("cgi_buffering", "yes")]
    public void CGI_is_refused(string name, string value) => Assert.That(Refused(name, value).Message, Does.Contain($"'{name}'").And.Contain("CGI"));

    [Test]
    public void Changing_the_user_of_the_process_is_refused() =>
        Assert.That(Refused("run_as_user", "nobody").Message, Does.Contain("'run_as_user'").And.Contain("process"));

    [Test]
    public void What_CivetWeb_has_by_default_is_accepted()
    {
        using var server = new TestServer([.. CivetWebDefaults()]);
        Assert.That(RawClient.Exchange(server.Port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), Does.StartWith("HTTP/1.1 404 "));
    }

    [TestCase("enable_keep_alive", "YES")]
    [TestCase("enable_keep_alive", "no")]
    [TestCase("ssl_verify_peer", "optional")]
    [TestCase("linger_timeout_ms", "-2")]
    [TestCase("static_file_max_age", "-1")]
    [TestCase("websocket_max_message_size", "2147483647")]
    [TestCase("websocket_ping_interval_ms", "0")]
    [TestCase("num_threads", "1")]
    public void The_limits_of_a_range_are_accepted(string name, string value) => Http.StartServer(_ => 0, ["listening_ports", "127.0.0.1:0", name, value]).Dispose();

    // ---- ports ----

    [TestCase("")]
    [TestCase("abc")]
    [TestCase("-1")]
    [TestCase("65536")]
    [TestCase("127.0.0.1:65536")]
    [TestCase("127.0.0.1:")]
    [TestCase("127.0.0.1")]
    [TestCase("127.0.0.1:0,")]
    [TestCase(",127.0.0.1:0")]
    [TestCase("127.0.0.1:0,abc")]
    [TestCase("127.0.0.1:80x")]
    [TestCase("127.0.0.1:8 0")]
    [TestCase("127.0.0.1:0x50")]
    [TestCase("127.0.0.1:+80")]
    [TestCase("010", Description = "CivetWeb would take it for octal, and listen on 8")]
    [TestCase("[::1]")]
    [TestCase("[::1]:")]
    [TestCase("x")]
    [TestCase("\u0661")]
    [TestCase("8080sr", Description = "it cannot be both")]
    [TestCase("8080rs")]
    [TestCase("8080ss")]
    [TestCase("8080rr")]
    public void A_bad_port_is_named(string ports)
    {
        ArgumentException? error = Assert.Throws<ArgumentException>(() => Http.StartServer(_ => 0, ports).Dispose());
        Assert.That(error!.Message, Does.Contain("listening_ports"));
    }

    [TestCase("1.2.3:0")]
    [TestCase("300.0.0.1:0")]
    [TestCase("::1:0")]
    [TestCase("[::g]:0")]
    [TestCase("[::1:0")]
    [TestCase("127.0.0.1:0ss")]
    [TestCase("127.0.0.1:0rs")]
    [TestCase("no-such-host.invalid:0")]
    public void A_bad_address_does_not_start(string ports)
    {
        string certificate = CreateFile("any.pem", "");
        Assert.That(
            () => Http.StartServer(_ => 0, ["listening_ports", ports, "ssl_certificate", certificate]).Dispose(),
            Throws.ArgumentException.Or.InstanceOf<CivetWebException>().Or.InstanceOf<SocketException>());
    }

    [TestCase("8080sr")]
    [TestCase("8080rs")]
    [TestCase("8080ss")]
    [TestCase("8080s r")]
    [TestCase("s")]
    public void A_port_has_one_mark_at_most(string port)
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => Http.StartServer(_ => 0, ["listening_ports", port]))!;
        Assert.That(error.Message, Does.StartWith($"'{port}' in option 'listening_ports' is not a port"));
    }

    [TestCase(-1)]
    [TestCase(65536)]
    public void A_port_number_out_of_range_is_refused(int port)
    {
        Assert.That(() => Http.StartServer(_ => 0, port), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => Http.StartServer((_, _) => 0, port, null), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [TestCase("/tmp/app1server.sock")]
    [TestCase("/tmp/2r")]
    [TestCase("/1r")]
    [TestCase("1r")]
    [TestCase("1s")]
    public void A_path_that_CivetWeb_would_take_for_a_TLS_port_is_refused(string path)
    {
        ArgumentException? error = Assert.Throws<ArgumentException>(() => Http.StartServer(_ => 0, "x" + path));
        Assert.That(error!.Message, Does.Contain(path).And.Contains("a digit followed by s or r"));
    }

    [Test]
    public void A_path_too_long_for_a_socket_is_refused()
    {
        string path = "/" + new string('p', 106);
        ArgumentException? error = Assert.Throws<ArgumentException>(() => Http.StartServer(_ => 0, "x" + path));
        Assert.That(error!.Message, Does.Contain("106 bytes"));
    }

    [TestCase("127.0.0.1:0s")]
    [TestCase("127.0.0.1:0r")]
    [TestCase("127.0.0.1:0,127.0.0.1:0s")]
    public void A_TLS_port_needs_a_certificate(string ports)
    {
        ArgumentException? error = Assert.Throws<ArgumentException>(() => Http.StartServer(_ => 0, ports));
        Assert.That(error!.Message, Does.Contain("ssl_certificate"));
    }

    [Test]
    public void A_redirecting_port_needs_one_to_lead_to()
    {
        string certificate = CreateFile("any.pem", "");
        ArgumentException? error = Assert.Throws<ArgumentException>(
            () => Http.StartServer(_ => 0, ["listening_ports", "127.0.0.1:0r,127.0.0.1:0", "ssl_certificate", certificate]));
        Assert.That(error!.Message, Does.Contain("ends in r").And.Contains("there is none"));
    }

    [Test]
    public void A_certificate_that_is_none_does_not_start_nor_keep_the_port()
    {
        string certificate = CreateFile("text.pem", "This is no certificate.\n");
        int port = FreePort.Choose();
        Assert.That(
            () => Http.StartServer(_ => 0, ["listening_ports", $"127.0.0.1:{port}s", "ssl_certificate", certificate]),
            Throws.InstanceOf<CivetWebException>().With.Message.Not.Empty);
        AssertFree(port);
    }

    [Test]
    public void A_port_in_use_is_a_SocketException_with_CivetWebs_reason()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        int port = ((IPEndPoint)other.LocalEndpoint).Port;
        SocketException? error = Assert.Throws<SocketException>(() => Http.StartServer(_ => 0, $"127.0.0.1:{port}"));
        Assert.That(error!.SocketErrorCode, Is.EqualTo(SocketError.AddressAlreadyInUse));
        Assert.That(error.Message, Does.Contain($"cannot bind to 127.0.0.1:{port}").And.Contain("in use"));
    }

    [Test]
    public void When_one_of_several_ports_is_in_use_none_is_kept()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        int used = ((IPEndPoint)other.LocalEndpoint).Port;
        int free = FreePort.Choose();
        SocketException? error = Assert.Throws<SocketException>(() => Http.StartServer(_ => 0, $"127.0.0.1:{free},127.0.0.1:{used}"));
        Assert.That(error!.SocketErrorCode, Is.EqualTo(SocketError.AddressAlreadyInUse));
        AssertFree(free);
    }

    [Test]
    public void An_address_of_another_machine_is_not_available()
    {
        // 192.0.2.0/24 is for documentation (RFC 5737).
        SocketException? error = Assert.Throws<SocketException>(() => Http.StartServer(_ => 0, "192.0.2.1:0"));
        Assert.That(error!.SocketErrorCode, Is.EqualTo(SocketError.AddressNotAvailable));
    }

    [Test]
    public void A_stopped_server_has_given_its_port_back()
    {
        Context context = Http.StartServer(Answer, "127.0.0.1:0");
        int port = context.Port;
        Ask(port);
        context.Dispose();
        using Context again = Http.StartServer(Answer, $"127.0.0.1:{port}");
        Assert.That(again.Port, Is.EqualTo(port));
        Ask(port);
    }

    [Test]
    public void Port_0_is_the_systems_choice()
    {
        using Context first = Http.StartServer(Answer, "127.0.0.1:0");
        using Context second = Http.StartServer(Answer, "127.0.0.1:0");
        Assert.That(first.Port, Is.InRange(1, 65535).And.Not.EqualTo(second.Port));
        Ask(first.Port);
        Ask(second.Port);
    }

    [Test]
    public void Several_ports_are_listed_in_order()
    {
        int fixedPort = FreePort.Choose();
        using Context context = Http.StartServer(Answer, $"127.0.0.1:0, 127.0.0.1:{fixedPort},127.0.0.1:0");
        Assert.That(context.Ports, Has.Count.EqualTo(3));
        Assert.That(context.Ports[1], Is.EqualTo(new ServerPort(fixedPort, false, false)));
        Assert.That(context.Port, Is.EqualTo(context.Ports[0].Port));
        foreach (ServerPort port in context.Ports)
        {
            Ask(port.Port);
        }
    }

    [Test]
    public void An_IPv6_address_can_be_listened_on()
    {
        SkipWithoutIPv6();
        using Context context = Http.StartServer(Answer, "[::1]:0");
        Assert.That(Ask(new IPEndPoint(IPAddress.IPv6Loopback, context.Port)), Does.EndWith("\r\n\r\n::1"));
        Assert.That(Refuses(new IPEndPoint(IPAddress.Loopback, context.Port)), "IPv6 only");
    }

    [Test]
    public void A_plus_means_IPv4_and_IPv6()
    {
        SkipWithoutIPv6();
        using Context context = Http.StartServer(Answer, "+0");
        Assert.That(Ask(new IPEndPoint(IPAddress.IPv6Loopback, context.Port)), Does.EndWith("\r\n\r\n::1"));
        Assert.That(Ask(new IPEndPoint(IPAddress.Loopback, context.Port)), Does.Match("\r\n\r\n(::ffff:)?127\\.0\\.0\\.1$"));
    }

    [Test]
    public void A_host_name_can_be_listened_on()
    {
        using Context context = Http.StartServer(Answer, "localhost:0");
        Assert.That(context.Port, Is.Not.Zero);
    }

    [Test]
    public void A_Unix_domain_socket_can_be_listened_on()
    {
        string path = Path.Combine(_directory.FullName, "s");
        using (Context context = Http.StartServer(Answer, "x" + path))
        {
            Assert.That(context.Ports, Is.Empty);
            Assert.That(context.Port, Is.Zero);
            Assert.That(Ask(new UnixDomainSocketEndPoint(path)), Does.EndWith("\r\n\r\n*"));
        }

        Assert.That(File.Exists(path), Is.False, "the server takes its socket away");
    }

    [Test]
    public void A_Unix_domain_socket_and_a_port_share_a_server()
    {
        // Ends in s, as a TLS port does.
        string path = Path.Combine(_directory.FullName, "socks");
        using Context context = Http.StartServer(Answer, $"127.0.0.1:0,x{path}");
        Assert.That(context.Ports, Has.Count.EqualTo(1));
        Ask(context.Port);
        Assert.That(Ask(new UnixDomainSocketEndPoint(path)), Does.EndWith("\r\n\r\n*"));
    }

    [Test]
    public void A_Unix_domain_socket_in_use_is_said_to_be()
    {
        string path = Path.Combine(_directory.FullName, "s");
        using Context context = Http.StartServer(Answer, "x" + path);
        SocketException? error = Assert.Throws<SocketException>(() => Http.StartServer(_ => 0, "x" + path));
        Assert.That(error!.SocketErrorCode, Is.EqualTo(SocketError.AddressAlreadyInUse));
        Assert.That(Ask(new UnixDomainSocketEndPoint(path)), Does.StartWith("HTTP/1.1 200 "), "the first one is not disturbed");
    }

    // ---- access control ----

    [TestCase("")]
    [TestCase("127.0.0.1")]
    [TestCase("+")]
    [TestCase("+abc")]
    [TestCase("+1")]
    [TestCase("+127.1")]
    [TestCase("+0x7f000001")]
    [TestCase("+127.0.0.1/33")]
    [TestCase("+127.0.0.1/")]
    [TestCase("+127.0.0.1/8", Description = "bits beyond the subnet: CivetWeb would never match it")]
    [TestCase("+010.0.0.1", Description = "octal or decimal?")]
    [TestCase("+127.0.0.1/8/8")]
    [TestCase("+127.0.0.1/255.0.0.0")]
    [TestCase("-0.0.0.0/0,abc")]
    [TestCase("-0.0.0.0/0,")]
    [TestCase("+[::1]:80")]
    [TestCase("+[::1")]
    [TestCase("+::1]")]
    [TestCase("+fe80::1%1")]
    [TestCase("+[::1]/129")]
    [TestCase("+[127.0.0.1]")]
    [TestCase("*127.0.0.1")]
    [TestCase("+1.2.3.4 5")]
    public void A_bad_access_list_is_named_and_the_port_is_not_kept(string list)
    {
        int port = FreePort.Choose();
        ArgumentException? error = Assert.Throws<ArgumentException>(
            () => Http.StartServer(_ => 0, ["listening_ports", $"127.0.0.1:{port}", "access_control_list", list]).Dispose());

        // Our own check, not CivetWeb's: that one comes after the port has been opened, which it then keeps.
        Assert.That(error!.Message, Does.Contain($"'access_control_list' is '{list}'"));
        AssertFree(port);
    }

    [TestCase("+127.0.0.1", true)]
    [TestCase("-0.0.0.0/0,+127.0.0.0/8", true)]
    [TestCase("-0.0.0.0/0, +127.0.0.1", true)]
    [TestCase("+0.0.0.0/0,-127.0.0.1/32", false)]
    [TestCase("-0.0.0.0/0", false)]
    [TestCase("+10.0.0.0/8", false)]
    [TestCase("+[::1],+[2001:db8::]/32,+127.0.0.1", true)]
    [TestCase("+::1,+127.0.0.1", true)]
    [TestCase("+2001:db8::/32,+127.0.0.1", true)]
    public void An_access_list_lets_in_whom_it_names(string list, bool allowed)
    {
        using var server = new TestServer(new Callbacks { BeginRequest = Answer }, ("access_control_list", list));
        string response = RawClient.Exchange(server.Port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.That(response.StartsWith("HTTP/1.1 200 ", StringComparison.Ordinal), Is.EqualTo(allowed), response);
    }

    // ---- origins ----

    [TestCase(null, "https://any.example", true, Description = "not asked for: anyone")]
    [TestCase("https://a.example", "https://a.example", true)]
    [TestCase("https://a.example", "HTTPS://A.EXAMPLE", true)]
    [TestCase("https://a.example", "https://b.example", false)]
    [TestCase("https://a.example", "http://a.example", false)]
    [TestCase("https://a.example", "https://a.example:444", false)]
    [TestCase("https://a.example", "https://a.example.evil", false)]
    [TestCase("https://a.example", "https://a.example:443", true)]
    [TestCase("http://a.example:80", "http://a.example", true)]
    [TestCase("http://[0:0::1]:8080", "http://[::1]:8080", true)]
    [TestCase("https://a.example", "https://a.example/", false)]
    [TestCase("https://a.example", "https://a.example\r\nOrigin: https://b.example", false, Description = "two")]
    [TestCase("*", "https://a.example\r\nOrigin: https://a.example", false, Description = "two")]
    [TestCase("https://a.example", "null", false)]
    [TestCase("https://a.example", "", false)]
    [TestCase("https://a.example, https://b.example:8443", "https://b.example:8443", true)]
    [TestCase("https://a.example", null, true, Description = "no browser")]
    [TestCase("", "https://a.example", false, Description = "nobody")]
    [TestCase("*", "https://any.example", true)]
    public void A_page_of_another_origin_is_kept_out(string? allowed, string? origin, bool expected)
    {
        using var server = new TestServer(allowed is null ? [] : [("websocket_allowed_origins", allowed)]);
        EchoCounts echo = server.MapEcho();
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest(extraHeaders: origin is null ? "" : $"Origin: {origin}\r\n"));
        Assert.That(client.ReadHead(), Does.StartWith(expected ? "HTTP/1.1 101 " : "HTTP/1.1 403 "));
        if (expected)
        {
            client.SendFrame(0x88, [0x03, 0xE8]);
        }

        client.ReadToEnd();
        Assert.That(echo.Connects, Is.EqualTo(expected ? 1 : 0));
    }

    [TestCase("a.example")]
    [TestCase("https://a.example/")]
    [TestCase("https://a.example, null")]
    [TestCase("https://*.example")]
    [TestCase("https://a.example:65536")]
    public void What_is_no_origin_is_refused(string origins)
    {
        ArgumentException refusal = Refused("websocket_allowed_origins", origins);
        Assert.That(refusal.Message, Does.Contain("'websocket_allowed_origins'").And.Contain($"'{origins.Split(',')[^1].Trim()}'"));
    }

    // ---- overloads ----

    [Test]
    public void Every_overload_starts_a_server()
    {
        var pairs = new Dictionary<string, string> { ["listening_ports"] = "127.0.0.1:0" };
        string[] strings = ["listening_ports", "127.0.0.1:0"];
        object data = new();
        int withData = 0;
        int AnswerWithData(Connection connection, object? userData)
        {
            withData += ReferenceEquals(userData, data) && ReferenceEquals(Http.GetRequestInfo(connection).UserData, data) ? 1 : 0;
            return Answer(connection);
        }

        Func<Context>[] starts =
        [
            () => Http.StartServer(Answer, "127.0.0.1:0"),
            () => Http.StartServer(Answer, 0),
            () => Http.StartServer(Answer, strings),
            () => Http.StartServer(Answer, pairs),
            () => Http.StartServer(AnswerWithData, "127.0.0.1:0", data),
            () => Http.StartServer(AnswerWithData, 0, data),
            () => Http.StartServer(AnswerWithData, strings, data),
            () => Http.StartServer(AnswerWithData, pairs, data),
            () => Http.StartServer(new Callbacks { BeginRequest = Answer }, strings),
            () => Http.StartServer(new Callbacks { BeginRequest = Answer }, pairs, data),
        ];
        Assert.That(starts, Has.Length.EqualTo(typeof(Http).GetMethods().Count(method => method.Name == nameof(Http.StartServer))));
        foreach (Func<Context> start in starts)
        {
            using Context context = start();
            Assert.That(context.IsRunning);
            Ask(context.Port);
        }

        Assert.That(withData, Is.EqualTo(4));
    }

    /// <summary>Answers with the client's address.</summary>
    private static int Answer(Connection connection)
    {
        string body = Http.GetRequestInfo(connection).RemoteAddress;
        Http.Print(connection, $"HTTP/1.1 200 OK\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n{body}");
        return 200;
    }

    private static void Ask(int port) => Assert.That(Ask(new IPEndPoint(IPAddress.Loopback, port)), Does.StartWith("HTTP/1.1 200 OK\r\n"));

    private static string Ask(EndPoint server)
    {
        using var socket = new Socket(
            server.AddressFamily, SocketType.Stream, server.AddressFamily == AddressFamily.Unix ? ProtocolType.Unspecified : ProtocolType.Tcp)
        {
            ReceiveTimeout = (int)TestServer.Patience.TotalMilliseconds,
        };
        socket.Connect(server);
        socket.Send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"u8);
        using var stream = new NetworkStream(socket);
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }

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

    private static ArgumentException Refused(string name, string value)
    {
        KeyValuePair<string, string>[] options = [new("listening_ports", "127.0.0.1:0"), new(name, value)];
        ArgumentException? error = Assert.Throws<ArgumentException>(() => Http.StartServer(_ => 0, options).Dispose(), $"{name}={value}");
        return error!;
    }

    /// <summary>A port that nobody has; another program may take it, but hardly in this moment.</summary>
    private static void AssertFree(int port)
    {
        using var probe = new TcpListener(IPAddress.Loopback, port);
        Assert.That(probe.Start, Throws.Nothing, $"port {port} is still bound");
    }

    private static void SkipWithoutIPv6()
    {
        try
        {
            using var probe = new TcpListener(IPAddress.IPv6Loopback, 0);
            probe.Start();
        }
        catch (SocketException e)
        {
            Assert.Ignore($"There is no IPv6 here: {e.Message}");
        }
    }

    private static unsafe string[] NamesOf(mg_config_type type)
    {
        NativeLibraryLoader.EnsureLoaded();
        var names = new List<string>();
        for (mg_option* option = NativeMethods.mg_get_valid_options(); option->name != null; option++)
        {
            if (option->type == type)
            {
                names.Add(NativeText.FromPointer(option->name)!);
            }
        }

        return [.. names];
    }

    private static unsafe List<(string Name, string Value)> CivetWebDefaults()
    {
        NativeLibraryLoader.EnsureLoaded();
        var defaults = new List<(string Name, string Value)>();
        for (mg_option* option = NativeMethods.mg_get_valid_options(); option->name != null; option++)
        {
            string name = NativeText.FromPointer(option->name)!;
            if (NativeText.FromPointer(option->default_value) is { } value && name != "listening_ports" && !name.StartsWith("cgi", StringComparison.Ordinal))
            {
                defaults.Add((name, value));
            }
        }

        return defaults;
    }

    private string CreateFile(string name, string content)
    {
        string file = Path.Combine(_directory.FullName, name);
        File.WriteAllText(file, content);
        return file;
    }
}
