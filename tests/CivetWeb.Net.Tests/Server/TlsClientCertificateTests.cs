using System;
using System.Collections.Concurrent;
using System.Linq;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Clients that show certificates, good and bad ones, or none.</summary>
public sealed class TlsClientCertificateTests
{
    private TestCertificates _certificates = null!;

    [SetUp]
    public void SetUp() => _certificates = new TestCertificates();

    [TearDown]
    public void TearDown() => _certificates.Dispose();

    [Test]
    [Logs(5)]
    public async Task Required_lets_in_who_has_one_from_the_authorities(
        [Values(SslProtocols.Tls12, SslProtocols.Tls13)] SslProtocols protocol, [Values] bool fromFile)
    {
        TlsOptions tls = Options(TlsClientCertificates.Required);
        if (fromFile)
        {
            tls.ClientCertificateAuthorities = null;
            tls.ClientCertificateAuthoritiesPath = _certificates.Write("authorities.pem", TestCertificates.Pem(_certificates.Root, _certificates.Issuer));
        }

        await using RunningServer server = await TlsServers.StartAsync(tls);
        using X509Certificate2 client = _certificates.Client("alice");
        Assert.That(await TlsClient.AskAsync(server.Port, client, protocol), Is.EqualTo("first"));
        Assert.That(await TlsClient.IsRefusedAsync(server.Port, null, protocol), "without a certificate");
    }

    [Test]
    public async Task Optional_lets_in_who_has_none([Values(SslProtocols.Tls12, SslProtocols.Tls13)] SslProtocols protocol)
    {
        await using RunningServer server = await TlsServers.StartAsync(Options(TlsClientCertificates.Optional));
        using X509Certificate2 client = _certificates.Client("alice");
        Assert.That(await TlsClient.AskAsync(server.Port, client, protocol), Is.EqualTo("first"));
        Assert.That(await TlsClient.AskAsync(server.Port, null, protocol), Is.EqualTo("first"));
    }

    [TestCase("another authority")]
    [TestCase("self-signed")]
    [TestCase("expired")]
    [TestCase("a server's")]
    [TestCase("the same authority's name")]
    [Logs(5)]
    public async Task A_certificate_that_is_not_good_ends_the_handshake_even_where_it_is_optional(string what)
    {
        using X509Certificate2 other = TestCertificates.Authority(what == "another authority" ? "Other" : "Test Issuer", null);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 client = what switch
        {
            "self-signed" => TestCertificates.SelfSigned("alice", key),
            "expired" => _certificates.Client("alice", notAfter: DateTimeOffset.UtcNow.AddDays(-1)),
            "a server's" => _certificates.AnotherServer("alice"),
            _ => _certificates.Client("alice", other),
        };
        foreach (TlsClientCertificates mode in (TlsClientCertificates[])[TlsClientCertificates.Optional, TlsClientCertificates.Required])
        {
            await using RunningServer server = await TlsServers.StartAsync(Options(mode));
            Assert.That(await TlsClient.IsRefusedAsync(server.Port, client), $"{mode}");
        }
    }

    [Test]
    public async Task An_authority_need_not_be_a_root()
    {
        TlsOptions tls = Options(TlsClientCertificates.Required);
        tls.ClientCertificateAuthorities = new X509Certificate2Collection(_certificates.Issuer);
        await using RunningServer server = await TlsServers.StartAsync(tls);
        using X509Certificate2 client = _certificates.Client("alice");
        Assert.That(await TlsClient.AskAsync(server.Port, client), Is.EqualTo("first"));
    }

    [TestCase(0, true)]
    [TestCase(1, false)]
    [Logs(5)]
    public async Task The_depth_counts_the_issuers_in_between(int depth, bool refused)
    {
        // Root is the only authority, so that the issuer is in between; OpenSSL finds it among the authorities of neither.
        using X509Certificate2 between = TestCertificates.Authority("Between", _certificates.Root);
        using X509Certificate2 client = _certificates.Client("alice", between);
        TlsOptions tls = Options(TlsClientCertificates.Required);
        tls.ClientCertificateAuthorities = new X509Certificate2Collection(_certificates.Root);
        tls.ClientCertificateMaxDepth = depth;
        await using RunningServer server = await TlsServers.StartAsync(tls);
        Assert.That(await TlsClient.IsRefusedAsync(server.Port, client, chain: between), Is.EqualTo(refused));
    }

    [Test]
    public async Task The_request_has_the_certificate()
    {
        TlsOptions tls = Options(TlsClientCertificates.Optional);
        var seen = new ConcurrentQueue<string>();
        using TlsService service = TlsService.Create(tls, NullLogger.Instance);
        var callbacks = new Callbacks
        {
            InitSsl = (sslContext, _) => service.HandleInitSsl(sslContext),
            BeginRequest = connection =>
            {
                using X509Certificate2? certificate = service.ReadClientCertificate(connection.Inner);
                seen.Enqueue(certificate is null ? "none" : $"{certificate.Subject} {certificate.Thumbprint} {certificate.HasPrivateKey}");
                return connection.Inner.Refuse(404, null, "Nothing.\n");
            },
        };
        using Context context = Context.Start(callbacks, ServerSettings.Parse([new("listening_ports", "127.0.0.1:0s")], hasCertificate: true), null);
        using X509Certificate2 client = _certificates.Client("alice");
        using X509Certificate2 large = _certificates.Client(new string('x', 60), extraNames: 400);
        Assert.That(large.RawData, Has.Length.GreaterThan(8000), "more than the usual buffer");
        await TlsClient.AskAsync(context.Port, client);
        await TlsClient.AskAsync(context.Port);
        await TlsClient.AskAsync(context.Port, large);
        Assert.That(seen, Is.EqualTo((string[])[$"CN=alice {client.Thumbprint} False", "none", $"{large.Subject} {large.Thumbprint} False"]));
    }

    private TlsOptions Options(TlsClientCertificates mode)
    {
        TlsOptions tls = TlsServers.Options(_certificates);
        tls.ClientCertificates = mode;
        tls.ClientCertificateAuthorities = [_certificates.Root, _certificates.Issuer];
        return tls;
    }
}
