using System;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Where the callback API's server sends its clients by itself: to itself, by the name they have used.</summary>
[TestFixture]
internal sealed class RedirectToSelfTests
{
    private DirectoryInfo _root;
    private string _pem;

    [OneTimeSetUp]
    public void Create()
    {
        _root = Directory.CreateTempSubdirectory("civetweb-net-");
        _pem = HazardTests.CreateCertificate();
        foreach (string folder in new[] { "d", "with space+ü%", "d/inner", "a:b", "locked" })
        {
            Directory.CreateDirectory(Path.Combine(_root.FullName, folder));
            File.WriteAllText(Path.Combine(_root.FullName, folder, "index.html"), folder);
        }

        File.WriteAllText(Path.Combine(_root.FullName, "locked", ".htpasswd"), "user:mydomain.com:939e7578ed9e3c518a452acee763bce9\n");
        File.WriteAllText(Path.Combine(_root.FullName, "file.txt"), "file");
    }

    [OneTimeTearDown]
    public void Delete()
    {
        _root.Delete(recursive: true);
        File.Delete(_pem);
    }

    [TestCase("/d", "/d/")]
    [TestCase("/d?a=b%2F&c", "/d/?a=b%2F&c")]
    [TestCase("/d?", "/d/?")]
    [TestCase("/d/inner", "/d/inner/")]
    [TestCase("/d/../d", "/d/../d/")]
    [TestCase("/a:b", "/a:b/")]
    [TestCase("/with%20space+%C3%BC%25", "/with%20space+%C3%BC%25/")]
    [TestCase("/%64?<\"'>", "/%64/?%3C%22'%3E")]
    public async Task A_folder_gets_its_slash_at_the_host_asked_for(string target, string location)
    {
        foreach (bool isTls in new[] { false, true })
        {
            await using EitherServer server = Serve(isTls);
            foreach (string host in new[] { "localhost", "example.org:81", "[::1]" })
            {
                using StreamClient client = server.Connect();
                client.Send($"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
                string head = client.ReadHead();
                Assert.That(head, Does.StartWith("HTTP/1.1 301 ").And.Contain($"\r\nLocation: {location}\r\n"));
            }
        }
    }

    [TestCase("/file.txt", 200)]
    [TestCase("/d/", 200)]
    [TestCase("/d/index.html", 200)]
    [TestCase("/none", 404)]
    [TestCase("//d", 404)]
    [TestCase("//d/", 404)]
    [TestCase("/d//index.html", 404)]
    [TestCase("/d%2Findex.html", 404)]
    [TestCase("/d%5Cindex.html", 404)]
    [TestCase("/d%2f", 404)]
    [TestCase("/file.txt%C2%85", 404)]
    [TestCase("/file.txt.", 404)]
    [TestCase("/d./index.html", 404)]
    [TestCase("/locked", 401)]
    [TestCase("/locked/index.html", 401)]
    [TestCase("//locked/index.html", 404)]
    [TestCase("/file.txt%00", 400)]
    [TestCase("/file.txt%01", 400)]
    public async Task Other_paths_are_what_they_are(string target, int status)
    {
        await using EitherServer server = Serve(isTls: false);
        using StreamClient client = server.Connect();
        client.Send($"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        string head = client.ReadHead();
        Assert.That(StreamClient.Status(head), Is.EqualTo(status));
        Assert.That(head, Does.Not.Contain("Location:"));
    }

    [TestCase("localhost", "https://localhost")]
    [TestCase("example.org:8080", "https://example.org")]
    [TestCase("[2001:db8::1]:80", "https://[2001:db8::1]")]
    public void A_redirecting_port_leads_to_the_host_asked_for(string host, string origin)
    {
        using TestServer server = ServeRedirecting(out int http, out int https);
        foreach (string target in new[] { "/", "/a%20b/../%2Fc?d=%20&e", "/d.?" })
        {
            foreach (string upgrade in new[] { "", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + RawClient.Key + "\r\n" })
            {
                Assert.That(
                    RawClient.Exchange(http, $"GET {target} HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n"),
                    Does.StartWith("HTTP/1.1 308 ").And.Contain($"\r\nLocation: {origin}:{https}{target}\r\n"));
            }
        }
    }

    [TestCase("")]
    [TestCase("Host: a\r\nHost: b\r\n")]
    [TestCase("Host: a/b\r\n")]
    [TestCase("Host: a b\r\n")]
    public void A_redirecting_port_needs_to_know_the_host(string headers)
    {
        using TestServer server = ServeRedirecting(out int http, out _);
        Assert.That(RawClient.Exchange(http, $"GET / HTTP/1.1\r\n{headers}\r\n"), Does.StartWith("HTTP/1.1 400 ").And.Not.Contain("Location"));
    }

    [Test]
    public void A_redirecting_port_leads_nobody_to_where_another_client_wanted_to()
    {
        using TestServer server = ServeRedirecting(out int http, out _);
        string body = "GET /hunter2 HTTP/1.1\r\nHost: hunter2\r\n\r\n";
        for (int length = 2; length < 100; length++)
        {
            RawClient.Exchange(http, $"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {body.Length}\r\n\r\n{body}");
            Assert.That(RawClient.Exchange(http, string.Concat(Enumerable.Repeat("\r\n", length))), Does.Match("^HTTP/1.[01] 400 ").And.Not.Contain("hunter2"));
        }
    }

    private EitherServer Serve(bool isTls) => EitherServer.Start(false, isTls, [("document_root", _root.FullName)], _ => 0);

    private TestServer ServeRedirecting(out int http, out int https)
    {
        var server = new TestServer(
            new Callbacks { BeginRequest = _ => throw new InvalidOperationException("Not for the application.") },
            ("listening_ports", "127.0.0.1:0r,127.0.0.1:0s"),
            ("num_threads", "1"),
            ("allowed_hosts", "*"),
            ("ssl_certificate", _pem));
        http = server.Context.Ports.Single(port => port.IsRedirect).Port;
        https = server.Context.Ports.Single(port => port.IsTls).Port;
        return server;
    }
}
