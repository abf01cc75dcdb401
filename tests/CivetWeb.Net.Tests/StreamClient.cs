using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;

namespace CivetWeb.Net.Tests;

/// <summary>Sends bytes as they are, plain or over TLS, and reads responses to the letter: what is no response is an exception.</summary>
internal sealed class StreamClient : IDisposable
{
    private readonly TcpClient _tcp = new() { NoDelay = true };
    private readonly Stream _stream;

    public StreamClient(int port, bool isTls)
    {
        int patience = (int)TestServer.Patience.TotalMilliseconds;
        _tcp.ReceiveTimeout = patience;
        _tcp.SendTimeout = patience;
        _tcp.Connect(IPAddress.Loopback, port);
        _stream = _tcp.GetStream();
        if (isTls)
        {
            var tls = new SslStream(_stream);
            tls.AuthenticateAsClient(new SslClientAuthenticationOptions
            {
                TargetHost = "localhost",
                AllowTlsResume = false,
                RemoteCertificateValidationCallback = (_, _, _, _) => true,
            });
            _stream = tls;
        }
    }

    public void Send(string text) => Send(Encoding.Latin1.GetBytes(text));

    public void Send(ReadOnlySpan<byte> bytes) => _stream.Write(bytes);

    /// <summary>Nothing more will come; over TLS with a close_notify.</summary>
    public void EndSending()
    {
        if (_stream is SslStream tls)
        {
            tls.ShutdownAsync().GetAwaiter().GetResult();
        }

        _tcp.Client.Shutdown(SocketShutdown.Send);
    }

    /// <summary>Closes with a reset.</summary>
    public void Reset()
    {
        _tcp.Client.LingerState = new LingerOption(true, 0);
        _tcp.Client.Close();
    }

    /// <summary>A response with a length.</summary>
    public (int Status, byte[] Body) ReadResponse()
    {
        string head = ReadHead();
        string[] lines = head.Split("\r\n");
        int length = int.Parse(lines.Single(line => line.StartsWith("Content-Length: ", StringComparison.OrdinalIgnoreCase))[16..], NumberStyles.None, CultureInfo.InvariantCulture);
        byte[] body = new byte[length];
        _stream.ReadExactly(body);
        return (Status(head), body);
    }

    /// <summary>The head of a response, with its empty line.</summary>
    public string ReadHead()
    {
        var head = new List<byte>();
        while (head.Count < 4 || !head.TakeLast(4).SequenceEqual("\r\n\r\n"u8.ToArray()))
        {
            int c = _stream.ReadByte();
            head.Add(c >= 0 ? (byte)c : throw new EndOfStreamException($"The server hung up after {head.Count} bytes of a head."));
        }

        return Encoding.Latin1.GetString([.. head]);
    }

    public static int Status(string head) => head.StartsWith("HTTP/1.1 ", StringComparison.Ordinal)
        ? int.Parse(head.AsSpan(9, 3), NumberStyles.None, CultureInfo.InvariantCulture)
        : throw new InvalidDataException($"No response: {head}");

    /// <summary>All that comes until the end of the connection, be it an orderly one or a reset.</summary>
    public string ReadToEnd()
    {
        var all = new MemoryStream();
        byte[] buffer = new byte[4096];
        try
        {
            int n;
            while ((n = _stream.Read(buffer)) > 0)
            {
                all.Write(buffer, 0, n);
            }
        }
        catch (IOException e) when (e.InnerException is not SocketException { SocketErrorCode: SocketError.TimedOut })
        {
            // a reset, or TLS without a close_notify
        }

        return Encoding.Latin1.GetString(all.ToArray());
    }

    public void Dispose()
    {
        _stream.Dispose();
        _tcp.Dispose();
    }
}
