using System;
using System.Collections.Concurrent;
using System.Net.WebSockets;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>WebSockets over TLS (wss).</summary>
public sealed class TlsWebSocketTests
{
    private TestCertificates _certificates = null!;

    [SetUp]
    public void SetUp() => _certificates = new TestCertificates();

    [TearDown]
    public void TearDown() => _certificates.Dispose();

    [Test]
    public async Task Messages_of_all_sizes_come_back()
    {
        await using RunningServer server = await TlsServers.StartAsync(
            TlsServers.Options(_certificates), s => s.MapWebSocket("/ws", ServerEchoTests.EchoAsync));
        using ClientWebSocket client = await ConnectAsync(server);
        foreach (int size in (int[])[0, 1, 125, 126, 16_384, 65_536, 1_000_000])
        {
            await EchoesAsync(client, size);
        }

        await client.CloseNormallyAsync();
    }

    [Test]
    public async Task An_open_one_stays_open_while_the_certificate_is_replaced()
    {
        TlsOptions tls = TlsServers.Options(_certificates);
        await using RunningServer server = await TlsServers.StartAsync(tls, s => s.MapWebSocket("/ws", ServerEchoTests.EchoAsync));
        using ClientWebSocket client = await ConnectAsync(server);
        await EchoesAsync(client, 1000);
        using X509Certificate2 second = _certificates.AnotherServer("second");
        for (int i = 0; i < 20; i++)
        {
            tls.Certificate = i % 2 == 0 ? _certificates.Server : second;
            server.Server.ReloadCertificate();
            await EchoesAsync(client, 1000);
        }

        Assert.That(await TlsClient.AskAsync(server.Port), Is.EqualTo("second"));
        await EchoesAsync(client, 1000);
    }

    [Test]
    public async Task The_handler_sees_the_clients_certificate()
    {
        TlsOptions tls = TlsServers.Options(_certificates);
        tls.ClientCertificates = TlsClientCertificates.Optional;
        tls.ClientCertificateAuthorities = new X509Certificate2Collection(_certificates.Issuer);
        var seen = new ConcurrentQueue<string?>();
        await using RunningServer server = await TlsServers.StartAsync(tls, s => s.MapWebSocket("/ws", context =>
        {
            seen.Enqueue(context.ClientCertificate?.Thumbprint);
            return ServerEchoTests.EchoAsync(context);
        }));
        using X509Certificate2 alice = _certificates.Client("alice");
        using (ClientWebSocket client = await ConnectAsync(server, alice))
        {
            await EchoesAsync(client, 10);
        }

        using (ClientWebSocket client = await ConnectAsync(server))
        {
            await EchoesAsync(client, 10);
        }

        Assert.That(seen, Is.EqualTo((string?[])[alice.Thumbprint, null]));
    }

    private static async Task<ClientWebSocket> ConnectAsync(RunningServer server, X509Certificate2? certificate = null)
    {
        var client = new ClientWebSocket();
        client.Options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
        if (certificate is not null)
        {
            client.Options.ClientCertificates.Add(certificate);
        }

        using var timeout = new CancellationTokenSource(TestServer.Patience);
        await client.ConnectAsync(new Uri($"wss://127.0.0.1:{server.Port}/ws"), timeout.Token);
        return client;
    }

    private static async Task EchoesAsync(ClientWebSocket client, int size)
    {
        byte[] sent = new byte[size];
        Random.Shared.NextBytes(sent);
        await client.SendBinaryAsync(sent);
        (WebSocketMessageType type, byte[] received) = await client.ReceiveMessageAsync();
        Assert.That(type, Is.EqualTo(WebSocketMessageType.Binary));
        Assert.That(received.AsSpan().SequenceEqual(sent), $"{size} bytes");
    }
}
