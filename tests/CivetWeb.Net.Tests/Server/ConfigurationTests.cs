using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
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

    /// <summary>A list that is not bound looks as if nobody had been named, which is everybody.</summary>
    [Test]
    public void No_list_is_of_a_type_that_configuration_leaves_out()
    {
        foreach (Type type in new[] { typeof(CivetWebServerOptions), typeof(WebSocketEndpointOptions) })
        {
            foreach (var property in type.GetProperties().Where(property => property.PropertyType.IsGenericType && property.PropertyType.Name.StartsWith("IList", StringComparison.Ordinal)))
            {
                Assert.That(property.PropertyType, Is.EqualTo(typeof(IList<string>)), property.Name);
            }
        }
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
        string answer = "";
        try
        {
            answer = RawClient.Exchange(server.EndPoints[0].Uri.Port, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        }
        catch (System.Net.Sockets.SocketException)
        {
            Assert.That(expected, Is.False, "cut while it was sending");
        }

        Assert.That(answer, expected ? Does.EndWith("\r\n\r\nin") : Is.Empty);
    }

    private static CivetWebServerOptions Bind(Dictionary<string, string?> settings)
    {
        var options = new CivetWebServerOptions();
        new ConfigurationBuilder().AddInMemoryCollection(settings).Build().Bind(options);
        return options;
    }
}
