using System;
using System.Collections.Generic;
using System.IO;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>What is wrong with a server's TLS is said when it starts, in words.</summary>
public sealed class TlsStartErrorTests
{
    private TestCertificates _certificates = null!;

    [SetUp]
    public void SetUp() => _certificates = new TestCertificates();

    [TearDown]
    public void TearDown() => _certificates.Dispose();

    [Test]
    public void Https_needs_the_option_Tls_and_the_other_way_round()
    {
        Assert.That(
            () => RunningServer.StartAsync(_ => { }, options => options.Listen.Add("https://127.0.0.1:0")),
            Throws.ArgumentException.With.Message.Contains("https").And.Message.Contains("set CivetWebServerOptions.Tls"));
        Assert.That(
            () => RunningServer.StartAsync(_ => { }, options => options.Tls = TlsServers.Options(_certificates)),
            Throws.ArgumentException.With.Message.Contains("no entry of Listen begins with https"));
    }

    /// <summary>Opening it would wait until somebody writes into it.</summary>
    [Test]
    public async Task A_pipe_is_no_certificate()
    {
        string pipe = _certificates.PathOf("pipe");
        if (OperatingSystem.IsWindows() || !EchoServerProcess.TryRun("mkfifo", pipe))
        {
            Assert.Ignore("There is no mkfifo here.");
        }

        foreach (Action<TlsOptions> use in new Action<TlsOptions>[]
        {
            tls => tls.CertificatePath = pipe,
            tls => tls.KeyPath = pipe,
            tls =>
            {
                tls.ClientCertificates = TlsClientCertificates.Required;
                tls.ClientCertificateAuthoritiesPath = pipe;
            },
        })
        {
            TlsOptions tls = TlsServers.FileOptions(_certificates);
            use(tls);
            Task start = Task.Run(() => TlsServers.StartAsync(tls));
            IOException refusal = Assert.ThrowsAsync<IOException>(() => start.WaitAsync(TestServer.Patience))!;
            Assert.That(refusal.Message, Does.Contain($"'{pipe}'").And.Contain("is not a regular file"));
        }

        foreach (string option in new[] { "ssl_certificate", "ssl_certificate_chain", "ssl_ca_file" })
        {
            Task start = Task.Run(() => ServerSettings.Parse([new(option, pipe)]));
            ArgumentException refusal = Assert.ThrowsAsync<ArgumentException>(() => start.WaitAsync(TestServer.Patience))!;
            Assert.That(refusal.Message, Does.Contain($"'{option}'").And.Contain("not a pipe"));
        }

        await Task.CompletedTask;
    }

    [TestCase("ssl_certificate")]
    [TestCase("ssl_verify_peer")]
    [TestCase("ssl_short_trust")]
    public void CivetWebs_own_options_do_not_go_with_it(string name)
    {
        Assert.That(
            () => RunningServer.StartAsync(
                _ => { },
                options =>
                {
                    options.Listen.Add("https://127.0.0.1:0");
                    options.Tls = TlsServers.Options(_certificates);
                    options.DangerousRawOptions[name] = "no";
                }),
            Throws.ArgumentException.With.Message.Contains($"'{name}'"));
    }

    [TestCase("no certificate", "Tls has no certificate")]
    [TestCase("two certificates", "Tls has two certificates")]
    [TestCase("a certificate without its key", "has no private key")]
    [TestCase("an object and a password", "Tls.KeyPath and Tls.Password go with Tls.CertificatePath")]
    [TestCase("a file and a chain", "Tls.CertificateChain goes with Tls.Certificate")]
    [TestCase("pfx and key", "is a PKCS #12 file, which has its key itself")]
    [TestCase("TLS 1.1", "Tls.MinimumVersion is Tls11, but it must be Tls12 or Tls13")]
    [TestCase("unknown cipher", "the cipher list: no cipher match. (Tls.CipherList is 'NO-SUCH-CIPHER'.)")]
    [TestCase("no cipher", "Tls.CipherList is empty")]
    [TestCase("cipher of 1.3", "the cipher list: no cipher match")]
    [TestCase("clients without authorities", "the system's authorities do not count")]
    [TestCase("authorities without clients", "Tls.ClientCertificates is None")]
    [TestCase("depth", "Tls.ClientCertificateMaxDepth is -1, but it must be from 0 to 100")]
    [TestCase("mode", "Tls.ClientCertificates is 7")]
    [TestCase("NUL", "Tls.Password contains a NUL character")]
    public void A_mistake_in_the_options_is_an_ArgumentException(string mistake, string message)
    {
        var noKey = X509CertificateLoader.LoadCertificate(_certificates.Server.RawData);
        TlsOptions tls = TlsServers.Options(_certificates);
        TlsOptions files = TlsServers.FileOptions(_certificates);
        var authorities = new X509Certificate2Collection(_certificates.Root);
        switch (mistake)
        {
            case "no certificate":
                tls = new TlsOptions();
                break;
            case "two certificates":
                tls = files;
                tls.Certificate = _certificates.Server;
                break;
            case "a certificate without its key":
                tls.Certificate = noKey;
                break;
            case "an object and a password":
                tls.Password = "secret";
                break;
            case "a file and a chain":
                tls = files;
                tls.CertificateChain = authorities;
                break;
            case "pfx and key":
                tls = files;
                tls.CertificatePath = _certificates.Write("all.pfx", _certificates.Server.Export(X509ContentType.Pkcs12));
                break;
            case "TLS 1.1":
#pragma warning disable SYSLIB0039, CA5397 // outdated, which is the point
                tls.MinimumVersion = SslProtocols.Tls11;
#pragma warning restore SYSLIB0039, CA5397
                break;
            case "unknown cipher":
                tls.CipherList = "NO-SUCH-CIPHER";
                break;
            case "no cipher":
                tls.CipherList = "";
                break;
            case "cipher of 1.3":
                tls.CipherList = "TLS_AES_128_GCM_SHA256";
                break;
            case "clients without authorities":
                tls.ClientCertificates = TlsClientCertificates.Optional;
                break;
            case "authorities without clients":
                tls.ClientCertificateAuthorities = authorities;
                break;
            case "depth":
                tls.ClientCertificateMaxDepth = -1;
                break;
            case "mode":
                tls.ClientCertificates = (TlsClientCertificates)7;
                break;
            default:
                tls = files;
                tls.Password = "a\0b";
                break;
        }

        Assert.That(() => TlsServers.StartAsync(tls), Throws.ArgumentException.With.Message.Contains(message));
        noKey.Dispose();
    }

    [TestCase("CertificatePath")]
    [TestCase("KeyPath")]
    [TestCase("ClientCertificateAuthoritiesPath")]
    public void A_missing_file_is_named(string option)
    {
        TlsOptions tls = TlsServers.FileOptions(_certificates);
        string missing = _certificates.PathOf(Path.Combine("nowhere", "missing.pem"));
        switch (option)
        {
            case "CertificatePath":
                tls.CertificatePath = missing;
                break;
            case "KeyPath":
                tls.KeyPath = missing;
                break;
            default:
                tls.ClientCertificates = TlsClientCertificates.Required;
                tls.ClientCertificateAuthoritiesPath = missing;
                break;
        }

        FileNotFoundException? error = Assert.ThrowsAsync<FileNotFoundException>(() => TlsServers.StartAsync(tls));
        Assert.That(error!.Message, Does.Contain($"'{missing}'").And.Contain($"Tls.{option}"));
        Assert.That(error.FileName, Is.EqualTo(missing));
    }

    [Test]
    public void A_file_that_is_a_directory_cannot_be_read()
    {
        TlsOptions tls = TlsServers.FileOptions(_certificates);
        tls.KeyPath = Path.GetDirectoryName(tls.KeyPath);
        Assert.That(() => TlsServers.StartAsync(tls), Throws.TypeOf<UnauthorizedAccessException>().With.Message.Contains("Tls.KeyPath"));
    }

    private static IEnumerable<TestCaseData> UnusableFiles()
    {
        const string Wrong = "Tls.Password is wrong, or the file is damaged";
        yield return Case("an empty file", "is neither a PEM file with a block 'CERTIFICATE' nor a PKCS #12 file", (c, tls) => tls.CertificatePath = c.Write("x", ""));
        yield return Case("noise", "is neither a PEM file", (c, tls) => tls.CertificatePath = c.Write("x", [0x30, 1, 2, 3]));
        yield return Case("a certificate in DER", "is neither a PEM file", (c, tls) => tls.CertificatePath = c.Write("x.cer", c.Server.RawData));
        yield return Case("no certificate", "there is no block 'CERTIFICATE' in it", (c, tls) => tls.CertificatePath = tls.KeyPath);
        yield return Case("half a certificate", "is incomplete", (c, tls) => tls.CertificatePath = c.Write("x", TestCertificates.Pem(c.Server, c.Issuer)[..^80]));
        yield return Case("a damaged certificate", "The certificates of", (c, tls) => tls.CertificatePath = c.Write("x", PemEncoding.WriteString("CERTIFICATE", [0x30, 3, 1, 2, 3])));
        yield return Case("no key", "contains no private key", (c, tls) => tls.KeyPath = tls.CertificatePath);
        yield return Case("no key in the one file", "name the PEM file that has it in Tls.KeyPath", (c, tls) => tls.KeyPath = null);
        yield return Case("a damaged key", "cannot be read. (OpenSSL says", (c, tls) => tls.KeyPath = c.Write("x", PemEncoding.WriteString("PRIVATE KEY", [0x30, 3, 1, 2, 3])));
        yield return Case("another's key", "does not belong to the certificate 'CN=first'", (c, tls) =>
        {
            using X509Certificate2 other = c.AnotherServer("other");
            tls.KeyPath = c.Write("x", TestCertificates.KeyPem(other));
        });
        yield return Case("the issuer first", "does not belong to the certificate 'CN=Test Issuer'", (c, tls) => tls.CertificatePath = c.Write("x", TestCertificates.Pem(c.Issuer, c.Server)));
        yield return Case("an encrypted key without password", "is encrypted, but Tls.Password is not set", (c, tls) => tls.KeyPath = c.Write("x", TestCertificates.EncryptedKeyPem(c.Server, "secret")));
        yield return Case("an encrypted key with another password", Wrong, (c, tls) =>
        {
            tls.KeyPath = c.Write("x", TestCertificates.EncryptedKeyPem(c.Server, "secret"));
            tls.Password = "Secret";
        });
        yield return Case("a short key", "OpenSSL refuses the certificate 'CN=short'", (c, tls) =>
        {
            using RSA key = RSA.Create(1024);
            using X509Certificate2 certificate = TestCertificates.SelfSigned("short", key);
            tls.CertificatePath = c.Write("x", TestCertificates.Pem(certificate));
            tls.KeyPath = c.Write("y", key.ExportPkcs8PrivateKeyPem());
        });
        yield return Case("pfx without password", "set Tls.Password", (c, tls) => Pfx(c, tls, null));
        yield return Case("pfx with another password", "that is wrong, or the file is damaged", (c, tls) => Pfx(c, tls, "Secret"));
        yield return Case("pfx without key", "contains no certificate with a private key", (c, tls) =>
        {
            Pfx(c, tls, null);
            using X509Certificate2 noKey = X509CertificateLoader.LoadCertificate(c.Server.RawData);
            tls.CertificatePath = c.Write("x.pfx", noKey.Export(X509ContentType.Pkcs12));
        });
        yield return Case("authorities without certificates", "Tls.ClientCertificateAuthoritiesPath", (c, tls) =>
        {
            tls.ClientCertificates = TlsClientCertificates.Required;
            tls.ClientCertificateAuthoritiesPath = tls.KeyPath;
        });

        static TestCaseData Case(string name, string message, Action<TestCertificates, TlsOptions> prepare) =>
            new TestCaseData(message, prepare).SetArgDisplayNames(name);

        static void Pfx(TestCertificates c, TlsOptions tls, string? password)
        {
            tls.CertificatePath = c.Write("x.pfx", c.Server.Export(X509ContentType.Pkcs12, "secret"));
            tls.KeyPath = null;
            tls.Password = password;
        }
    }

    [TestCaseSource(nameof(UnusableFiles))]
    public void What_a_file_lacks_is_a_CryptographicException(string message, object prepare)
    {
        TlsOptions tls = TlsServers.FileOptions(_certificates);
        ((Action<TestCertificates, TlsOptions>)prepare)(_certificates, tls);
        Assert.That(() => TlsServers.StartAsync(tls), Throws.TypeOf<CryptographicException>().With.Message.Contains(message));
    }

    [Test]
    public async Task After_a_failed_start_nothing_is_left_behind()
    {
        await using RunningServer running = await TlsServers.StartAsync(TlsServers.Options(_certificates));

        // the port is taken: CivetWeb fails after TLS was set up; LeakCheck looks for the rest
        Assert.That(
            () => RunningServer.StartAsync(
                _ => { },
                options =>
                {
                    options.Listen.Add($"https://127.0.0.1:{running.Port}");
                    options.Tls = TlsServers.Options(_certificates);
                }),
            Throws.TypeOf<System.Net.Sockets.SocketException>());
    }
}
