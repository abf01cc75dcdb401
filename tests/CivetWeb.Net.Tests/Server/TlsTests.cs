using System;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Where a certificate may come from, what of it is sent, and which versions are spoken.</summary>
public sealed class TlsTests
{
    private TestCertificates _certificates = null!;

    [SetUp]
    public void SetUp() => _certificates = new TestCertificates();

    [TearDown]
    public void TearDown() => _certificates.Dispose();

    [Test]
    public async Task A_client_that_trusts_the_root_gets_an_answer()
    {
        await using RunningServer server = await TlsServers.StartAsync(TlsServers.Options(_certificates));
        Assert.That(server.Server.EndPoints[0].Uri.Scheme, Is.EqualTo("https"));
        using var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            SslOptions = new SslClientAuthenticationOptions
            {
                CertificateChainPolicy = new X509ChainPolicy
                {
                    TrustMode = X509ChainTrustMode.CustomRootTrust,
                    CustomTrustStore = { _certificates.Root },
                    RevocationMode = X509RevocationMode.NoCheck,
                },
            },
        };
        using var client = new HttpClient(handler) { Timeout = TestServer.Patience };
        using HttpResponseMessage response = await client.GetAsync(server.Server.EndPoints[0].Uri);
        Assert.That((int)response.StatusCode, Is.EqualTo(404));
    }

    [TestCase("object")]
    [TestCase("pem")]
    [TestCase("pem with key")]
    [TestCase("key before the certificates")]
    [TestCase("encrypted key")]
    [TestCase("encrypted key in the same file")]
    [TestCase("pfx")]
    [TestCase("pfx without a password")]
    [TestCase("pfx by another name")]
    public async Task The_certificate_and_its_chain_are_sent(string source)
    {
        string chain = TestCertificates.Pem(_certificates.Server, _certificates.Issuer);
        string key = TestCertificates.KeyPem(_certificates.Server);
        string encrypted = TestCertificates.EncryptedKeyPem(_certificates.Server, "päss word");
        using X509Certificate2 root = X509CertificateLoader.LoadCertificate(_certificates.Root.RawData); // without its key
        using X509Certificate2 issuer = X509CertificateLoader.LoadCertificate(_certificates.Issuer.RawData);
        var all = new X509Certificate2Collection { root, issuer, _certificates.Server };
        TlsOptions tls = source switch
        {
            "object" => TlsServers.Options(_certificates),
            "pem" => TlsServers.FileOptions(_certificates),
            "pem with key" => new TlsOptions { CertificatePath = _certificates.Write("all.pem", chain + key) },
            "key before the certificates" => new TlsOptions { CertificatePath = _certificates.Write("all.pem", "A comment\n" + key + chain) },
            "encrypted key" => new TlsOptions
            {
                CertificatePath = _certificates.Write("server.pem", chain),
                KeyPath = _certificates.Write("server.key", encrypted),
                Password = "päss word",
            },
            "encrypted key in the same file" => new TlsOptions { CertificatePath = _certificates.Write("all.pem", chain + encrypted), Password = "päss word" },
            "pfx" => new TlsOptions { CertificatePath = _certificates.Write("all.pfx", all.Export(X509ContentType.Pkcs12, "secret")!), Password = "secret" },
            "pfx without a password" => new TlsOptions { CertificatePath = _certificates.Write("all.p12", all.Export(X509ContentType.Pkcs12)!) },
            _ => new TlsOptions { CertificatePath = _certificates.Write("all.bin", all.Export(X509ContentType.Pkcs12, "secret")!), Password = "secret" },
        };
        await using RunningServer server = await TlsServers.StartAsync(tls);
        using TlsClient client = await TlsClient.ConnectAsync(server.Port);
        Assert.That(client.ServerName, Is.EqualTo("first"));
        Assert.That(client.Chain, Is.EqualTo((string[])["Test Issuer"]));
        Assert.That(await client.RequestAsync(), Does.StartWith("HTTP/1.1 404"));
        Assert.That(server.Log.Entries.Where(e => e.Level >= LogLevel.Warning), Is.Empty);
    }

    [Test]
    public async Task An_RSA_key_does_as_well([Values] bool fromFile, [Values(SslProtocols.Tls12, SslProtocols.Tls13)] SslProtocols protocol)
    {
        using RSA key = RSA.Create(2048);
        using X509Certificate2 certificate = TestCertificates.SelfSigned("rsa", key);

        // the algorithm's own form, "RSA PRIVATE KEY", rather than PKCS #8
        var tls = fromFile
            ? new TlsOptions { CertificatePath = _certificates.Write("rsa.pem", TestCertificates.Pem(certificate) + key.ExportRSAPrivateKeyPem()) }
            : new TlsOptions { Certificate = certificate };
        await using RunningServer server = await TlsServers.StartAsync(tls);
        using TlsClient client = await TlsClient.ConnectAsync(server.Port, protocols: protocol);
        Assert.That((client.ServerName, client.Protocol), Is.EqualTo(("rsa", protocol)));
        Assert.That(client.Chain, Is.Empty);
    }

    [Test]
    public async Task Without_a_chain_none_is_sent_not_even_from_the_authorities_for_clients()
    {
        await using RunningServer server = await TlsServers.StartAsync(new TlsOptions
        {
            Certificate = _certificates.Server,
            ClientCertificates = TlsClientCertificates.Optional,
            ClientCertificateAuthorities = new X509Certificate2Collection(_certificates.Issuer),
        });
        using TlsClient client = await TlsClient.ConnectAsync(server.Port);
        Assert.That(client.Chain, Is.Empty);
    }

    [TestCase(SslProtocols.Tls12, SslProtocols.Tls12, true)]
    [TestCase(SslProtocols.Tls12, SslProtocols.Tls13, true)]
    [TestCase(SslProtocols.Tls13, SslProtocols.Tls12, false)]
    [TestCase(SslProtocols.Tls13, SslProtocols.Tls13, true)]
    [Logs(5)]
    public async Task The_minimum_version_holds(SslProtocols minimum, SslProtocols spoken, bool accepted)
    {
        TlsOptions tls = TlsServers.Options(_certificates);
        tls.MinimumVersion = minimum;
        await using RunningServer server = await TlsServers.StartAsync(tls);
        Assert.That(await TlsClient.IsRefusedAsync(server.Port, protocols: spoken), Is.EqualTo(!accepted));
    }

    [Test]
    [Logs(32)]
    public async Task A_certificate_that_has_expired_is_served_with_a_warning()
    {
        using X509Certificate2 expired = _certificates.AnotherServer("expired", DateTimeOffset.UtcNow.AddDays(-1));
        await using RunningServer server = await TlsServers.StartAsync(new TlsOptions { Certificate = expired });
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("expired"));
        Assert.That(
            server.Log.Entries.Where(e => e.Level == LogLevel.Warning).Select(e => e.Message),
            Has.One.Contains("CN=expired").And.Contains("Tls.Certificate"));
    }

    [Test]
    public async Task The_application_may_dispose_of_its_certificate_once_the_server_runs()
    {
        X509Certificate2 certificate = _certificates.AnotherServer("gone");
        await using RunningServer server = await TlsServers.StartAsync(new TlsOptions { Certificate = certificate });
        certificate.Dispose();
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("gone"));
    }

    [Test]
    public async Task Nothing_is_written_beside_the_files()
    {
        TlsOptions tls = TlsServers.FileOptions(_certificates);
        await using RunningServer server = await TlsServers.StartAsync(tls);
        await TlsClient.AskAsync(server.Port);
        string[] files = [.. Directory.GetFiles(Path.GetDirectoryName(tls.CertificatePath)!).Select(f => Path.GetFileName(f)).Order()];
        Assert.That(files, Is.EqualTo((string[])["server.key", "server.pem"]));
    }
}
