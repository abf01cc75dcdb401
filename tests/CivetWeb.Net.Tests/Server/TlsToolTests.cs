using System;
using System.Diagnostics;
using System.Linq;
using System.Security.Cryptography.X509Certificates;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>What openssl and curl, which know nothing of .NET, see of the server.</summary>
public sealed class TlsToolTests
{
    private TestCertificates _certificates = null!;

    [SetUp]
    public void SetUp() => _certificates = new TestCertificates();

    [TearDown]
    public void TearDown() => _certificates.Dispose();

    [TestCase("-tls1", false)]
    [TestCase("-tls1_1", false)]
    [TestCase("-tls1_2", true)]
    [TestCase("-tls1_3", true)]
    [Logs(5)]
    public async Task Openssl_is_spoken_to_from_TLS_1_2_on(string version, bool accepted)
    {
        await using RunningServer server = await TlsServers.StartAsync(TlsServers.Options(_certificates));

        // SECLEVEL=0: or it would be the client that refuses the old ones
        string output = await OpensslAsync(server, version, "-cipher", "ALL:@SECLEVEL=0");
        Assert.That(output, accepted ? Does.Contain("Verify return code: 0 (ok)") : Does.Contain("Cipher is (NONE)"));
        if (!accepted)
        {
            Assert.That(output, Does.Contain("alert protocol version"), "the server's word");
        }
    }

    [Test]
    public async Task Openssl_gets_the_chain_and_verifies_it_up_to_the_root()
    {
        await using RunningServer server = await TlsServers.StartAsync(TlsServers.FileOptions(_certificates));
        string output = await OpensslAsync(server, "-showcerts", "-verify_return_error");
        Assert.That(Regex.Matches(output, @"^ *\d s:CN ?= ?(.*)$", RegexOptions.Multiline).Select(m => m.Groups[1].Value.Trim()),
            Is.EqualTo((string[])["first", "Test Issuer"]));
        Assert.That(output, Does.Contain("Verify return code: 0 (ok)"));
    }

    [TestCase(null, "ECDHE-ECDSA-AES128-GCM-SHA256", true)]
    [TestCase(null, "ECDHE-ECDSA-AES128-SHA", false)]
    [TestCase("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", true)]
    [TestCase("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", false)]
    [Logs(5)]
    public async Task The_ciphers_of_TLS_1_2_are_those_of_the_list(string? list, string offered, bool accepted)
    {
        TlsOptions tls = TlsServers.Options(_certificates);
        tls.CipherList = list;
        await using RunningServer server = await TlsServers.StartAsync(tls);
        string output = await OpensslAsync(server, "-tls1_2", "-cipher", offered);
        Assert.That(output, Does.Contain(accepted ? $"Cipher is {offered}" : "Cipher is (NONE)"));
    }

    [TestCase("-tls1_2")]
    [TestCase("-tls1_3")]
    public async Task A_session_is_resumed_even_where_clients_show_certificates(string version)
    {
        TlsOptions tls = TlsServers.Options(_certificates);
        tls.ClientCertificates = TlsClientCertificates.Required;
        tls.ClientCertificateAuthorities = new X509Certificate2Collection(_certificates.Issuer);
        await using RunningServer server = await TlsServers.StartAsync(tls);
        using X509Certificate2 client = _certificates.Client("alice");
        string[] own =
        [
            version, "-cert", _certificates.Write("alice.pem", TestCertificates.Pem(client)),
            "-key", _certificates.Write("alice.key", TestCertificates.KeyPem(client)),
        ];
        string session = _certificates.PathOf("session");
        string first = await OpensslAsync(server, [.. own, "-sess_out", session]);
        Assert.That(first, Does.Contain("New, TLSv1").And.Contain("HTTP/1.1 404"));
        string second = await OpensslAsync(server, [.. own, "-sess_in", session]);
        Assert.That(second, Does.Contain("Reused, TLSv1").And.Contain("HTTP/1.1 404"));
    }

    [Test]
    public async Task TLS_1_2_has_the_extended_master_secret_and_no_renegotiation()
    {
        // CivetWeb's options for OpenSSL 1.0 would switch off the one and on the other in OpenSSL 3.
        await using RunningServer server = await TlsServers.StartAsync(TlsServers.Options(_certificates));
        string output = await OpensslAsync(server, "-tls1_2");
        Assert.That(output, Does.Contain("Extended master secret: yes"));
        string renegotiated = await RunAsync(
            "R\n",
            "openssl", "s_client", "-connect", $"127.0.0.1:{server.Port}", "-tls1_2");
        Assert.That(renegotiated, Does.Contain("RENEGOTIATING").And.Contain("no renegotiation"));
    }

    [Test]
    public async Task The_authorities_are_named_to_clients()
    {
        TlsOptions tls = TlsServers.Options(_certificates);
        tls.ClientCertificates = TlsClientCertificates.Optional;
        tls.ClientCertificateAuthorities = new X509Certificate2Collection(_certificates.Issuer);
        await using RunningServer server = await TlsServers.StartAsync(tls);
        string output = await OpensslAsync(server, "-tls1_2");
        Assert.That(output, Does.Match("Acceptable client certificate CA names\\s+CN ?= ?Test Issuer"));
    }

    [Test]
    public async Task A_traditionally_encrypted_key_is_read()
    {
        string plain = _certificates.Write("plain.key", TestCertificates.KeyPem(_certificates.Server));
        string encrypted = _certificates.PathOf("traditional.key");
        await RunAsync("", "openssl", "ec", "-aes128", "-passout", "pass:secret", "-in", plain, "-out", encrypted);
        Assert.That(System.IO.File.ReadAllText(encrypted), Does.Contain("Proc-Type: 4,ENCRYPTED"));
        TlsOptions tls = TlsServers.FileOptions(_certificates);
        tls.KeyPath = encrypted;
        Assert.That(() => TlsServers.StartAsync(tls), Throws.Exception.With.Message.Contains("is encrypted, but Tls.Password is not set"));
        tls.Password = "secret";
        await using RunningServer server = await TlsServers.StartAsync(tls);
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("first"));
    }

    [Test]
    public async Task An_Ed25519_key_does_as_well()
    {
        string key = _certificates.PathOf("ed.key");
        string certificate = _certificates.PathOf("ed.pem");
        await RunAsync("", "openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=edwards", "-days", "3", "-keyout", key, "-out", certificate);
        await using RunningServer server = await TlsServers.StartAsync(new TlsOptions { CertificatePath = certificate, KeyPath = key });
        Assert.That(await OpensslAsync(server), Does.Match("Peer signature type: (Ed|ed)25519").And.Contain("HTTP/1.1 404"));
    }

    [TestCase(TlsClientCertificates.Required, "alice", true)]
    [TestCase(TlsClientCertificates.Required, null, false)]
    [TestCase(TlsClientCertificates.Required, "mallory", false)]
    [TestCase(TlsClientCertificates.Optional, null, true)]
    [TestCase(TlsClientCertificates.Optional, "mallory", false)]
    [Logs(5)]
    public async Task Curl_shows_its_certificate(TlsClientCertificates mode, string? who, bool accepted)
    {
        TlsOptions tls = TlsServers.Options(_certificates);
        tls.ClientCertificates = mode;
        tls.ClientCertificateAuthorities = [_certificates.Root, _certificates.Issuer];
        await using RunningServer server = await TlsServers.StartAsync(tls);
        using X509Certificate2 other = TestCertificates.Authority("Other", null);
        using X509Certificate2 client = _certificates.Client(who ?? "nobody", who == "mallory" ? other : null);
        string[] own = who is null
            ? []
            : ["--cert", _certificates.Write("own.pem", TestCertificates.Pem(client)), "--key", _certificates.Write("own.key", TestCertificates.KeyPem(client))];
        string output = await RunAsync(
            "",
            [
                "curl", "-sS", "--noproxy", "*", "--max-time", "30", "-o", _certificates.PathOf("out"), "-w", "status %{http_code}\n",
                "--cacert", _certificates.Write("root.pem", TestCertificates.Pem(_certificates.Root)), .. own, $"https://localhost:{server.Port}/",
            ]);
        Assert.That(output, Does.Contain(accepted ? "status 404" : "status 000"));
    }

    /// <summary>One request by openssl s_client, which trusts the test's root; all it has said.</summary>
    private Task<string> OpensslAsync(RunningServer server, params string[] arguments) =>
        RunAsync(
            "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            [
                "openssl", "s_client", "-connect", $"127.0.0.1:{server.Port}", "-servername", "localhost", "-ign_eof",
                "-CAfile", _certificates.Write("root.pem", TestCertificates.Pem(_certificates.Root)), .. arguments,
            ]);

    private static async Task<string> RunAsync(string input, params string[] command)
    {
        try
        {
            using Process process = Process.Start(EchoServerProcess.StartInfo(command))!;
            using var timeout = new CancellationTokenSource(TestServer.Patience);
            try
            {
                Task<string> errors = process.StandardError.ReadToEndAsync(timeout.Token);
                Task<string> output = process.StandardOutput.ReadToEndAsync(timeout.Token);
                try
                {
                    await process.StandardInput.WriteAsync(input);
                    process.StandardInput.Close();
                }
                catch (System.IO.IOException)
                {
                    // It has ended already: its output says why.
                }

                string all = await output + await errors;
                await process.WaitForExitAsync(timeout.Token);
                return all;
            }
            finally
            {
                if (!process.HasExited)
                {
                    process.Kill();
                }
            }
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Repository.Missing($"{command[0]} is missing (Debian, Ubuntu: apt-get install {command[0]})");
            throw;
        }
    }
}
