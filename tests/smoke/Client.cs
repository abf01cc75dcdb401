using System;
using System.Linq;
using System.Net.Http;
using System.Net.Security;
using System.Net.WebSockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net.Smoke;

/// <summary>.NET's own clients. With TLS they take the one certificate and no other.</summary>
internal sealed class Client(X509Certificate2? certificate)
{
    /// <summary>Short, longer than a frame's first two lengths, and longer than one read.</summary>
    private static readonly int[] Lengths = [0, 5, 300, 100_000];

    public async Task EchoAsync(Uri address, CancellationToken cancel)
    {
        using var client = new ClientWebSocket();
        client.Options.Proxy = null;
        client.Options.RemoteCertificateValidationCallback = IsTheOne;
        await client.ConnectAsync(address, cancel);
        foreach (int length in Lengths)
        {
            await EchoAsync(client, Encoding.UTF8.GetBytes("Grüße 👋 " + new string('x', length)), WebSocketMessageType.Text, cancel);
            await EchoAsync(client, [.. Enumerable.Range(0, length).Select(i => (byte)i)], WebSocketMessageType.Binary, cancel);
        }

        await client.CloseAsync(WebSocketCloseStatus.NormalClosure, null, cancel);
        if (client.CloseStatus != WebSocketCloseStatus.NormalClosure)
        {
            throw new InvalidOperationException($"{address} answered the close with {client.CloseStatus}.");
        }
    }

    public async Task GetPageAsync(Uri address, CancellationToken cancel)
    {
        using var client = new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            SslOptions = new SslClientAuthenticationOptions { RemoteCertificateValidationCallback = IsTheOne },
        });
        string page = await client.GetStringAsync(new UriBuilder(address) { Scheme = address.Scheme == "wss" ? "https" : "http", Path = "/page" }.Uri, cancel);
        if (page != Servers.Page)
        {
            throw new InvalidOperationException($"{address} served '{page}'.");
        }
    }

    private bool IsTheOne(object sender, X509Certificate? shown, X509Chain? chain, SslPolicyErrors errors) =>
        certificate is not null && shown is not null && shown.GetRawCertData().AsSpan().SequenceEqual(certificate.RawData);

    private static async Task EchoAsync(ClientWebSocket client, byte[] sent, WebSocketMessageType type, CancellationToken cancel)
    {
        await client.SendAsync(sent, type, true, cancel);
        (WebSocketMessageType receivedType, byte[] received) = await ReceiveAsync(client, cancel);
        if (received.AsSpan().SequenceEqual("Welcome!"u8))
        {
            // EchoServer greets.
            (receivedType, received) = await ReceiveAsync(client, cancel);
        }

        if (receivedType != type || !received.AsSpan().SequenceEqual(sent))
        {
            throw new InvalidOperationException($"{type} of {sent.Length} bytes came back as {receivedType} of {received.Length} bytes, or changed.");
        }
    }

    private static async Task<(WebSocketMessageType Type, byte[] Message)> ReceiveAsync(ClientWebSocket client, CancellationToken cancel)
    {
        byte[] message = new byte[200_000];
        int length = 0;
        while (true)
        {
            ValueWebSocketReceiveResult part = await client.ReceiveAsync(message.AsMemory(length), cancel);
            length += part.Count;
            if (part.EndOfMessage)
            {
                return (part.MessageType, message[..length]);
            }
        }
    }
}
