using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>A certificate replaced while the server runs.</summary>
public sealed class TlsReloadTests
{
    private const int Reloaded = 30;
    private const int NotReloaded = 31;

    private TestCertificates _certificates = null!;
    private X509Certificate2 _second = null!;

    [SetUp]
    public void SetUp()
    {
        _certificates = new TestCertificates();
        _second = _certificates.AnotherServer("second");
    }

    [TearDown]
    public void TearDown()
    {
        _second.Dispose();
        _certificates.Dispose();
    }

    [Test]
    public async Task Changed_files_are_noticed_and_open_connections_stay()
    {
        await using RunningServer server = await TlsServers.StartAsync(TlsServers.FileOptions(_certificates));
        using TlsClient open = await TlsClient.ConnectAsync(server.Port);

        WriteSecond();
        await LoggedAsync(server, Reloaded, 1);
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("second"));

        Assert.That(open.ServerName, Is.EqualTo("first"));
        Assert.That(await open.RequestAsync(), Does.StartWith("HTTP/1.1 404"));
    }

    [Test]
    [Logs(31)]
    public async Task A_certificate_whose_key_comes_later_is_used_when_it_is_there()
    {
        await using RunningServer server = await TlsServers.StartAsync(TlsServers.FileOptions(_certificates));

        _certificates.Write("server.pem", TestCertificates.Pem(_second));
        await LoggedAsync(server, NotReloaded, 1);
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("first"));
        Assert.That(Messages(server, NotReloaded), Has.One.Contains("does not belong to the certificate 'CN=second'"));

        _certificates.Write("server.key", TestCertificates.KeyPem(_second));
        await LoggedAsync(server, Reloaded, 1);
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("second"));
    }

    /// <summary>The change that comes while the one before is being read must not be lost.</summary>
    [Test]
    public async Task What_changes_during_a_reload_is_noticed()
    {
        string path = _certificates.Write("watched", "first");
        using var watch = new CertificateFileWatcher(path);
        var reads = new ConcurrentQueue<string>();
        var last = new TaskCompletionSource();
        watch.Start(TimeSpan.FromMilliseconds(5), () =>
        {
            reads.Enqueue(File.ReadAllText(path));
            if (reads.Count == 1)
            {
                File.WriteAllText(path, "third, of another size");
            }
            else
            {
                last.TrySetResult();
            }
        });
        File.Move(_certificates.Write("next", "second time"), path, overwrite: true); // never half of it
        await last.Task.WaitAsync(TestServer.Patience);
        Assert.That(reads, Is.EqualTo((string[])["second time", "third, of another size"]));
    }

    [Test]
    [Logs(31)]
    public async Task A_pipe_in_the_place_of_the_file_keeps_the_old_certificate_and_nobody_waiting()
    {
        TlsOptions tls = TlsServers.FileOptions(_certificates);
        RunningServer server = await TlsServers.StartAsync(tls);
        File.Delete(tls.CertificatePath!);
        if (OperatingSystem.IsWindows() || !EchoServerProcess.TryRun("mkfifo", tls.CertificatePath!))
        {
            Assert.Ignore("There is no mkfifo here.");
        }

        await LoggedAsync(server, NotReloaded, 1);
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("first"));
        await server.DisposeAsync().AsTask().WaitAsync(TestServer.Patience);
    }

    [TestCase("half")]
    [TestCase("noise")]
    [TestCase("gone")]
    [Logs(31)]
    public async Task A_file_that_cannot_be_used_leaves_the_old_certificate(string how)
    {
        TlsOptions tls = TlsServers.FileOptions(_certificates);
        await using RunningServer server = await TlsServers.StartAsync(tls);
        string pem = File.ReadAllText(tls.CertificatePath!);
        switch (how)
        {
            case "half":
                _certificates.Write("server.pem", pem[..(pem.Length / 3)]);
                break;
            case "noise":
                _certificates.Write("server.pem", "noise");
                break;
            default:
                File.Delete(tls.CertificatePath!);
                break;
        }

        await LoggedAsync(server, NotReloaded, 1);
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("first"));

        WriteSecond();
        await LoggedAsync(server, Reloaded, 1);
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("second"));
    }

    [Test]
    public async Task A_link_that_comes_to_point_elsewhere_is_a_change()
    {
        string first = _certificates.Write("first.pem", TestCertificates.Pem(_certificates.Server) + TestCertificates.KeyPem(_certificates.Server));
        string second = _certificates.Write("second.pem", TestCertificates.Pem(_second) + TestCertificates.KeyPem(_second));
        File.SetLastWriteTimeUtc(second, File.GetLastWriteTimeUtc(first).AddSeconds(1));
        string link = _certificates.PathOf("live.pem");
        File.CreateSymbolicLink(link, first);
        await using RunningServer server = await TlsServers.StartAsync(
            new TlsOptions { CertificatePath = link, ReloadInterval = TimeSpan.FromMilliseconds(20) });
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("first"));

        File.CreateSymbolicLink(link + ".new", second);
        File.Move(link + ".new", link, overwrite: true);
        await LoggedAsync(server, Reloaded, 1);
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("second"));
    }

    [Test]
    public async Task Files_are_not_watched_when_told_so()
    {
        TlsOptions tls = TlsServers.FileOptions(_certificates);
        var unwatched = new TlsOptions { CertificatePath = tls.CertificatePath, KeyPath = tls.KeyPath, ReloadInterval = tls.ReloadInterval, ReloadOnChange = false };
        await using RunningServer watching = await TlsServers.StartAsync(tls);
        await using RunningServer server = await TlsServers.StartAsync(unwatched);

        WriteSecond();
        await LoggedAsync(watching, Reloaded, 1);
        for (int i = 1; i <= 3; i++)
        {
            // So many looks later the other has had its chance.
            File.SetLastWriteTimeUtc(tls.CertificatePath!, DateTime.UtcNow.AddMinutes(i));
            await LoggedAsync(watching, Reloaded, 1 + i);
        }

        Assert.That(await TlsClient.AskAsync(watching.Port), Is.EqualTo("second"));
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("first"));

        server.Server.ReloadCertificate();
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("second"));
    }

    [Test]
    public async Task Reloading_by_hand_throws_what_is_wrong_and_keeps_the_old()
    {
        TlsOptions tls = TlsServers.FileOptions(_certificates);
        tls.ReloadOnChange = false;
        await using RunningServer server = await TlsServers.StartAsync(tls);
        _certificates.Write("server.key", TestCertificates.KeyPem(_second));
        Assert.That(server.Server.ReloadCertificate, Throws.TypeOf<CryptographicException>().With.Message.Contains("does not belong"));
        File.Delete(tls.KeyPath!);
        Assert.That(server.Server.ReloadCertificate, Throws.TypeOf<FileNotFoundException>());
        tls.Certificate = _second;
        Assert.That(server.Server.ReloadCertificate, Throws.ArgumentException);
        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("first"));
    }

    [Test]
    public async Task A_certificate_object_is_replaced_by_hand()
    {
        TlsOptions tls = TlsServers.Options(_certificates);
        await using RunningServer server = await TlsServers.StartAsync(tls);
        tls.Certificate = _second;
        tls.CertificateChain = null;
        server.Server.ReloadCertificate();
        using TlsClient client = await TlsClient.ConnectAsync(server.Port);
        Assert.That(client.ServerName, Is.EqualTo("second"));
        Assert.That(client.Chain, Is.Empty);
    }

    [Test]
    public async Task There_is_nothing_to_reload_before_the_start_after_the_end_and_without_TLS()
    {
        var options = new CivetWebServerOptions { Tls = TlsServers.Options(_certificates) };
        options.Listen.Add("https://127.0.0.1:0");
        await using var server = new CivetWebServer(options);
        Assert.That(server.ReloadCertificate, Throws.InvalidOperationException);
        await server.StartAsync();
        server.ReloadCertificate();
        await server.StopAsync();
        Assert.That(server.ReloadCertificate, Throws.InvalidOperationException);

        await using RunningServer plain = await RunningServer.StartAsync(_ => { });
        Assert.That(plain.Server.ReloadCertificate, Throws.InvalidOperationException);
    }

    [Test]
    public async Task Many_handshakes_and_reloads_at_once_disturb_nobody()
    {
        const int Clients = 4;
        const int Least = 25;
        TlsOptions tls = TlsServers.Options(_certificates);
        await using RunningServer server = await TlsServers.StartAsync(tls);
        var names = new ConcurrentDictionary<string, int>();
        bool Done() => names.GetValueOrDefault("first", 0) >= Least && names.GetValueOrDefault("second", 0) >= Least;

        Task[] clients = [.. Enumerable.Range(0, Clients).Select(i => Task.Run(async () =>
        {
            while (!Done())
            {
                string name = await TlsClient.AskAsync(server.Port, protocols: i % 2 == 0 ? SslProtocols.Tls12 : SslProtocols.Tls13);
                names.AddOrUpdate(name, 1, (_, n) => n + 1);
            }
        }))];
        Task all = Task.WhenAll(clients);
        for (int i = 0; !all.IsCompleted; i++)
        {
            tls.Certificate = i % 2 == 0 ? _second : _certificates.Server;
            server.Server.ReloadCertificate();
        }

        await all;
        Assert.That(names.Keys.Order(), Is.EqualTo((string[])["first", "second"]));
    }

    private static async Task LoggedAsync(RunningServer server, int id, int times)
    {
        int atStart = id == Reloaded ? 1 : 0;
        await Eventually.IsTrueAsync(
            () => server.Log.Entries.Count(e => e.Event.Id == id) >= atStart + times, $"{times} log entries with id {id}");
    }

    private static string[] Messages(RunningServer server, int id) =>
        [.. server.Log.Entries.Where(e => e.Event.Id == id).Select(e => e.Exception?.Message ?? e.Message)];

    private void WriteSecond()
    {
        _certificates.Write("server.key", TestCertificates.KeyPem(_second));
        _certificates.Write("server.pem", TestCertificates.Pem(_second, _certificates.Issuer));
    }
}
