using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace CivetWeb.Net.Tests;

/// <summary>A client that sends whatever bytes it is told to: what a well-behaved library cannot be made to do.</summary>
internal sealed class RawClient : IDisposable
{
    public const string Key = "dGhlIHNhbXBsZSBub25jZQ==";

    private readonly byte[] _mask = [0x37, 0xFA, 0x21, 0x3D];

    /// <param name="port">Of the server.</param>
    /// <param name="receiveBufferSize">0: the system's choice. A small one must be there before the connection is: it limits what the server may send ahead.</param>
    public RawClient(int port, int receiveBufferSize = 0)
    {
        Socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            NoDelay = true,
            ReceiveTimeout = (int)TestServer.Patience.TotalMilliseconds,
            SendTimeout = (int)TestServer.Patience.TotalMilliseconds,
        };
        if (receiveBufferSize != 0)
        {
            Socket.ReceiveBufferSize = receiveBufferSize;
        }

        Socket.Connect(IPAddress.Loopback, port);
    }

    public Socket Socket { get; }

    public static string UpgradeRequest(string path = "/ws", string extraHeaders = "") =>
        $"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + $"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {Key}\r\n{extraHeaders}\r\n";

    /// <summary>A client whose handshake has succeeded.</summary>
    public static RawClient Open(int port, string path = "/ws", string extraHeaders = "", int receiveBufferSize = 0)
    {
        var client = new RawClient(port, receiveBufferSize);
        client.Send(UpgradeRequest(path, extraHeaders));
        string head = client.ReadHead();
        if (!head.StartsWith("HTTP/1.1 101 ", StringComparison.Ordinal))
        {
            client.Dispose();
            throw new InvalidDataException($"The handshake was answered with: {head}");
        }

        return client;
    }

    /// <summary>A masked frame; the first byte is given whole, so that it can be wrong.</summary>
    public byte[] Frame(int firstByte, ReadOnlySpan<byte> payload)
    {
        var frame = new List<byte> { (byte)firstByte };
        switch (payload.Length)
        {
            case < 126:
                frame.Add((byte)(0x80 | payload.Length));
                break;
            case <= 0xFFFF:
                frame.Add(0x80 | 126);
                frame.AddRange([(byte)(payload.Length >> 8), (byte)payload.Length]);
                break;
            default:
                frame.Add(0x80 | 127);
                byte[] length = new byte[8];
                BinaryPrimitives.WriteInt64BigEndian(length, payload.Length);
                frame.AddRange(length);
                break;
        }

        frame.AddRange(_mask);
        for (int i = 0; i < payload.Length; i++)
        {
            frame.Add((byte)(payload[i] ^ _mask[i % 4]));
        }

        return [.. frame];
    }

    public void Send(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[Socket.Send(bytes)..];
        }
    }

    public void Send(string text) => Send(Encoding.UTF8.GetBytes(text));

    public void SendFrame(int firstByte, ReadOnlySpan<byte> payload) => Send(Frame(firstByte, payload));

    /// <summary>The next frame of the server.</summary>
    /// <exception cref="EndOfStreamException">The server has hung up.</exception>
    public (int FirstByte, byte[] Payload) ReadFrame()
    {
        byte[] header = ReadExactly(2);
        if ((header[1] & 0x80) != 0)
        {
            throw new InvalidDataException("A server must not mask (RFC 6455, section 5.1).");
        }

        if ((header[0] & 0x30) != 0 || (header[0] & 0x0F) is not (<= 2 or (>= 8 and <= 10)))
        {
            throw new InvalidDataException($"No frame begins with 0x{header[0]:X2} (section 5.2).");
        }

        int length = header[1] switch
        {
            126 => BinaryPrimitives.ReadUInt16BigEndian(ReadExactly(2)),
            127 => checked((int)BinaryPrimitives.ReadInt64BigEndian(ReadExactly(8))),
            byte b => b,
        };
        if (header[1] >= 126 && length <= (header[1] == 126 ? 125 : 0xFFFF))
        {
            throw new InvalidDataException($"{length} is not in its shortest form (section 5.2).");
        }

        if ((header[0] & 0x08) != 0 && ((header[0] & 0xF0) != 0x80 || length > 125))
        {
            throw new InvalidDataException($"A control frame begins with 0x{header[0]:X2} and has {length} bytes (section 5.5).");
        }

        byte[] payload = ReadExactly(length);
        if (header[0] == 0x88)
        {
            CheckClose(payload);
        }

        return (header[0], payload);
    }

    /// <summary>The code of the Close frame that comes next; null when it has none.</summary>
    public int? ReadClose() => ReadWholeClose()?.Code;

    /// <summary>What the Close frame that comes next says; null when it is empty.</summary>
    public (int Code, string Reason)? ReadWholeClose()
    {
        (int first, byte[] payload) = ReadFrame();
        if (first != 0x88)
        {
            throw new InvalidDataException($"A Close frame was expected, but 0x{first:X2} with {payload.Length} bytes came.");
        }

        return payload.Length == 0 ? null : (BinaryPrimitives.ReadUInt16BigEndian(payload), Encoding.UTF8.GetString(payload.AsSpan(2)));
    }

    /// <summary>Whether the server hangs up in order: end of stream, no reset, nothing more before it.</summary>
    public bool ReadsCleanEnd()
    {
        try
        {
            return Socket.Receive(new byte[1]) == 0;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Reads to the end, whatever comes; returns what came.</summary>
    public byte[] ReadToEnd() => ReadToEnd(out _);

    /// <summary>The same, and whether the end was a reset.</summary>
    public byte[] ReadToEnd(out bool wasReset)
    {
        wasReset = false;
        var all = new MemoryStream();
        byte[] buffer = new byte[4096];
        try
        {
            int n;
            while ((n = Socket.Receive(buffer)) > 0)
            {
                all.Write(buffer, 0, n);
            }
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset)
        {
            wasReset = true; // an abort: also an end
        }

        return all.ToArray();
    }

    /// <summary>A response's head, up to and with the empty line, as RFC 9112 has it.</summary>
    public string ReadHead()
    {
        var head = new List<byte>();
        while (!(head.Count >= 4 && head[^4] == '\r' && head[^3] == '\n' && head[^2] == '\r' && head[^1] == '\n'))
        {
            head.Add(ReadExactly(1)[0]);
        }

        HttpAnswers.ReadHead([.. head]);
        return Encoding.Latin1.GetString([.. head]);
    }

    public byte[] ReadExactly(int count)
    {
        byte[] bytes = new byte[count];
        int got = 0;
        while (got < count)
        {
            int n = Socket.Receive(bytes, got, count - got, SocketFlags.None);
            got += n > 0 ? n : throw new EndOfStreamException($"The server hung up after {got} of {count} bytes.");
        }

        return bytes;
    }

    /// <summary>
    /// Sends a request and returns the whole response; for servers that close. It fails on what RFC 9112 forbids in one
    /// (<see cref="HttpAnswers"/>).
    /// </summary>
    public static string Exchange(int port, string request)
    {
        byte[] answer = Exchange(port, request, out bool wasReset);
        HttpAnswers.Check(answer, request, wasReset);
        return Encoding.UTF8.GetString(answer);
    }

    /// <summary>The same for what is no whole response, or none at all; nothing is checked.</summary>
    public static string ExchangeUnchecked(int port, string request) => Encoding.UTF8.GetString(Exchange(port, request, out _));

    public void Dispose() => Socket.Dispose();

    private static byte[] Exchange(int port, string request, out bool wasReset)
    {
        using var client = new RawClient(port);
        client.Send(request);
        return client.ReadToEnd(out wasReset);
    }

    /// <summary>Sections 5.5.1 and 7.4: what a server may put into a Close frame.</summary>
    private static void CheckClose(byte[] payload)
    {
        if (payload.Length == 0)
        {
            return;
        }

        int code = payload.Length == 1 ? -1 : BinaryPrimitives.ReadUInt16BigEndian(payload);
        bool mayBeSent = code is >= 1000 and <= 1014 and not (1004 or 1005 or 1006) or >= 3000 and <= 4999;
        if (!mayBeSent || !System.Text.Unicode.Utf8.IsValid(payload.AsSpan(2)))
        {
            throw new InvalidDataException($"No server may send the Close payload {Convert.ToHexString(payload)} (section 7.4).");
        }
    }
}
