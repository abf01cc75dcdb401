using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Reflection;
using System.Security.Authentication;
using System.Threading.Tasks;
using Microsoft.Extensions.Configuration;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Options from Microsoft.Extensions.Configuration: what decides who may connect is bound, or the start is refused.</summary>
[TestFixture]
internal sealed class ConfigurationTests
{
    [Test]
    public void All_that_decides_who_may_connect_is_bound()
    {
        CivetWebServerOptions options = Bind(new()
        {
            ["Listen:0"] = "http://127.0.0.1:8080",
            ["Listen:1"] = "https://127.0.0.1:8443",
            ["RedirectToHttps:0"] = "http://127.0.0.1:8081",
            ["HttpsRedirectPort"] = "443",
            ["UnixSocketMode"] = "UserRead, UserWrite",
            ["TrustedProxies:0"] = "127.0.0.1",
            ["TrustedProxies:1"] = "unix",
            ["ProxyProtocol"] = "true",
            ["AllowedAddresses:0"] = "10.0.0.0/8",
            ["AllowedAddresses:1"] = "2001:db8::1",
            ["AllowedHosts:0"] = "example.com",
            ["AllowedHosts:1"] = "*.example.org",
            ["MaxConnections"] = "7",
            ["MaxConnectionsPerAddress"] = "3",
            ["WebSockets:AllowedOrigins:0"] = "https://example.com",
            ["WebSockets:Subprotocols:0"] = "echo",
            ["WebSockets:MaxConnections"] = "2",
            ["DangerousRawOptions:tcp_nodelay"] = "0",
            ["Tls:CertificatePath"] = "cert.pem",
            ["Tls:KeyPath"] = "key.pem",
            ["Tls:Password"] = "secret",
            ["Tls:MinimumVersion"] = "Tls13",
            ["Tls:CipherList"] = "ECDHE+AESGCM",
            ["Tls:ClientCertificates"] = "Required",
            ["Tls:ClientCertificateAuthoritiesPath"] = "ca.pem",
            ["Tls:ClientCertificateMaxDepth"] = "1",
        });
        Assert.Multiple(() =>
        {
            Assert.That(options.Listen, Is.EqualTo((string[])["http://127.0.0.1:8080", "https://127.0.0.1:8443"]));
            Assert.That(options.RedirectToHttps, Is.EqualTo((string[])["http://127.0.0.1:8081"]));
            Assert.That(options.HttpsRedirectPort, Is.EqualTo(443));
            Assert.That(options.UnixSocketMode, Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
            Assert.That(options.TrustedProxies, Is.EqualTo((string[])["127.0.0.1", "unix"]));
            Assert.That(options.ProxyProtocol, Is.True);
            Assert.That(options.AllowedAddresses, Is.EqualTo((string[])["10.0.0.0/8", "2001:db8::1"]));
            Assert.That(options.AllowedHosts, Is.EqualTo((string[])["example.com", "*.example.org"]));
            Assert.That(options.MaxConnections, Is.EqualTo(7));
            Assert.That(options.MaxConnectionsPerAddress, Is.EqualTo(3));
            Assert.That(options.WebSockets.AllowedOrigins, Is.EqualTo((string[])["https://example.com"]));
            Assert.That(options.WebSockets.Subprotocols, Is.EqualTo((string[])["echo"]));
            Assert.That(options.WebSockets.MaxConnections, Is.EqualTo(2));
            Assert.That(options.DangerousRawOptions, Is.EqualTo(new Dictionary<string, string> { ["tcp_nodelay"] = "0" }));
            TlsOptions tls = options.Tls!;
            Assert.That((tls.CertificatePath, tls.KeyPath, tls.Password), Is.EqualTo(("cert.pem", "key.pem", "secret")));
            Assert.That((tls.MinimumVersion, tls.CipherList), Is.EqualTo((SslProtocols.Tls13, "ECDHE+AESGCM")));
            Assert.That(tls.ClientCertificates, Is.EqualTo(TlsClientCertificates.Required));
            Assert.That((tls.ClientCertificateAuthoritiesPath, tls.ClientCertificateMaxDepth), Is.EqualTo(("ca.pem", 1)));
        });
    }

    /// <summary>A plain list would be left empty by a single text, as if nobody had been named, which is everybody.</summary>
    [Test]
    public void Every_list_is_of_the_type_that_takes_a_single_text()
    {
        PropertyInfo[] lists =
        [
            .. new[] { typeof(CivetWebServerOptions), typeof(WebSocketEndpointOptions) }.SelectMany(type => type.GetProperties())
                .Where(property => property.PropertyType != typeof(string) && typeof(IEnumerable<string>).IsAssignableFrom(property.PropertyType)),
        ];
        Assert.That(lists, Has.Length.EqualTo(7).And.All.Matches<PropertyInfo>(list => list.PropertyType == typeof(OptionList)));
        foreach (PropertyInfo list in lists)
        {
            string key = (list.DeclaringType == typeof(WebSocketEndpointOptions) ? "WebSockets:" : "") + list.Name;
            CivetWebServerOptions options = Bind(new() { [key] = "text" });
            object owner = list.DeclaringType == typeof(WebSocketEndpointOptions) ? options.WebSockets : options;
            Assert.That(list.GetValue(owner), Is.EqualTo((string[])["text"]), key);
        }
    }

    /// <summary>As JSON has it: [] and "" come to the binder as the same empty text.</summary>
    [Test]
    public void An_empty_list_is_a_list_without_entries()
    {
        CivetWebServerOptions options = Bind(new() { ["WebSockets:AllowedOrigins"] = "", ["WebSockets:Subprotocols"] = "", ["AllowedHosts"] = "" });
        Assert.That(options.WebSockets.AllowedOrigins, Is.Not.Null.And.Empty);
        Assert.That(options.WebSockets.Subprotocols, Is.Not.Null.And.Empty);
        Assert.That(options.AllowedHosts, Is.Empty);
    }

    [TestCase("127.0.0.2")]
    [TestCase("10.0.0.0/8")]
    public async Task A_single_text_keeps_others_out(string allowed)
    {
        CivetWebServerOptions options = Bind(new() { ["Listen"] = "http://127.0.0.1:0", ["AllowedAddresses"] = allowed });
        await using var server = new CivetWebServer(options);
        server.MapGet("/", (_, response) => response.WriteText("in"));
        await server.StartAsync();
        Assert.That(await IsLetInAsync(server), Is.False);
    }

    [Test]
    public async Task A_single_host_is_the_only_host()
    {
        CivetWebServerOptions options = Bind(new() { ["Listen"] = "http://127.0.0.1:0", ["AllowedHosts"] = "example.org" });
        await using var server = new CivetWebServer(options);
        await server.StartAsync();
        int port = server.EndPoints[0].Uri.Port;
        Assert.That(RawClient.Exchange(port, "GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n"), Does.StartWith("HTTP/1.1 404 "));
        Assert.That(RawClient.Exchange(port, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), Does.StartWith("HTTP/1.1 421 "));
    }

    [TestCase("AllowedHosts", "example.org;example.com")]
    [TestCase("AllowedHosts", "example.org,example.com")]
    [TestCase("AllowedAddresses", "10.0.0.0/8, 127.0.0.1")]
    [TestCase("TrustedProxies", "10.0.0.1,10.0.0.2")]
    [TestCase("WebSockets:AllowedOrigins", "https://a.example,https://b.example")]
    [TestCase("Listen", "http://127.0.0.1:0;http://127.0.0.1:0")]
    public void Several_in_one_text_are_refused(string key, string value)
    {
        CivetWebServerOptions options = Bind(new() { ["Listen"] = "http://127.0.0.1:0", [key] = value });
        Assert.That(() => new CivetWebServer(options).StartAsync(), Throws.ArgumentException.With.Message.Contains(key.Split(':')[^1]).And.Message.Contains($"'{value}'"));
    }

    [Test]
    public void A_misspelled_name_is_an_error_when_the_binder_is_asked_to_say_so() => Assert.That(
        () => new ConfigurationBuilder().AddInMemoryCollection([new("AllowedHost", "example.org")]).Build()
            .Bind(new CivetWebServerOptions(), binder => binder.ErrorOnUnknownConfiguration = true),
        Throws.InvalidOperationException.With.Message.Contains("AllowedHost"));

    [TestCase("Tls:MinimumVersion", "Tls99")]
    [TestCase("MaxConnections", "many")]
    [TestCase("WebSockets:SendTimeout", "soon")]
    [TestCase("UnixSocketMode", "rw")]
    public void A_value_of_another_type_is_an_error_of_the_binder(string key, string value) =>
        Assert.That(() => Bind(new() { [key] = value }), Throws.InvalidOperationException.With.Message.Contains(key.Split(':')[^1]));

    /// <summary>What only a program can set is left out by the binder; the start then misses it.</summary>
    [Test]
    public void A_certificate_as_text_is_missed_at_the_start()
    {
        CivetWebServerOptions options = Bind(new() { ["Listen"] = "https://127.0.0.1:0", ["Tls:CertificatePath"] = "cert.pem", ["Tls:ClientCertificates"] = "Required", ["Tls:ClientCertificateAuthorities"] = "ca.pem" });
        Assert.That(() => new CivetWebServer(options).StartAsync(), Throws.ArgumentException.With.Message.Contains("ClientCertificateAuthorities"));
    }

    [TestCase("AllowedAddresses:0", "10.0.0.1/8")]
    [TestCase("AllowedAddresses:0", "10.0.0.0/33")]
    [TestCase("AllowedAddresses:0", "localhost")]
    [TestCase("AllowedAddresses:0", "127.1")]
    [TestCase("AllowedAddresses:0", "")]
    [TestCase("AllowedAddresses:1", "10.0.0.0/8,")]
    [TestCase("AllowedHosts:0", "https://example.com")]
    [TestCase("AllowedHosts:0", "")]
    [TestCase("TrustedProxies:0", "nginx")]
    [TestCase("WebSockets:AllowedOrigins:0", "example.com")]
    public void What_cannot_be_read_is_refused_and_named(string key, string value)
    {
        CivetWebServerOptions options = Bind(new() { ["Listen:0"] = "http://127.0.0.1:0", [key] = value });
        var server = new CivetWebServer(options);
        string property = key.Split(':')[^2];
        Assert.That(() => server.StartAsync(), Throws.ArgumentException.With.Message.Contains(property).And.Message.Contains($"'{value}'"));
    }

    [TestCase("127.0.0.0/8", true)]
    [TestCase("127.0.0.1", true)]
    [TestCase("127.0.0.2", false)]
    [TestCase("10.0.0.0/8", false)]
    public async Task An_address_from_the_configuration_lets_in_or_keeps_out(string allowed, bool expected)
    {
        CivetWebServerOptions options = Bind(new() { ["Listen:0"] = "http://127.0.0.1:0", ["AllowedAddresses:0"] = allowed });
        await using var server = new CivetWebServer(options);
        server.MapGet("/", (_, response) => response.WriteText("in"));
        await server.StartAsync();
        Assert.That(await IsLetInAsync(server), Is.EqualTo(expected));
    }

    private static async Task<bool> IsLetInAsync(CivetWebServer server)
    {
        using var client = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        try
        {
            return await client.GetStringAsync(server.EndPoints[0].Uri) == "in";
        }
        catch (HttpRequestException e) when (e.StatusCode is null)
        {
            return false; // disconnected without an answer
        }
    }

    private static CivetWebServerOptions Bind(Dictionary<string, string?> settings)
    {
        var options = new CivetWebServerOptions();
        new ConfigurationBuilder().AddInMemoryCollection(settings).Build().Bind(options);
        return options;
    }
}
