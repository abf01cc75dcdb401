using System;
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading;

namespace CivetWeb.Net.Benchmarks;

/// <summary>
/// A WebSocket client of one message, on a blocking socket: echoing costs it no managed memory, so that all that is allocated
/// meanwhile is the server's, in the same process.
/// </summary>
internal sealed class EchoClient : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 60_000, SendTimeout = 60_000 };
    private readonly byte[] _frames;
    private readonly byte[] _input;
    private readonly int _answerSize;

    /// <param name="port">Of a server on 127.0.0.1.</param>
    /// <param name="path">Of its echo.</param>
    /// <param name="opcode">1 text, 2 binary.</param>
    /// <param name="size">Bytes of the message.</param>
    /// <param name="batch">So many are sent at once.</param>
    public EchoClient(int port, string path, int opcode, int size, int batch)
    {
        byte[] payload = new byte[size];
        payload.AsSpan().Fill((byte)'x');
        byte[] frame = Frame(opcode, payload);
        _frames = new byte[frame.Length * batch];
        for (int i = 0; i < batch; i++)
        {
            frame.CopyTo(_frames, i * frame.Length);
        }

        _answerSize = (frame.Length - 4) * batch;
        _input = new byte[_answerSize];
        _socket.Connect(IPAddress.Loopback, port);
        Upgrade(port, path);
    }

    /// <summary>Sends the batch and waits until all of it has come back.</summary>
    public void Echo()
    {
        for (int sent = 0; sent < _frames.Length;)
        {
            sent += _socket.Send(_frames.AsSpan(sent));
        }

        for (int got = 0; got < _answerSize;)
        {
            int n = _socket.Receive(_input.AsSpan(got));
            got += n > 0 ? n : throw new InvalidOperationException("The server has hung up.");
        }
    }

    /// <summary>From now on a thread throws away what comes.</summary>
    public void StartDraining()
    {
        var thread = new Thread(() =>
        {
            byte[] sink = new byte[256 * 1024];
            _socket.ReceiveTimeout = 0;
            try
            {
                while (_socket.Receive(sink) > 0)
                {
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // Disposed of.
            }
        });
        thread.IsBackground = true;
        thread.Start();
    }

    public void Dispose()
    {
        // A thread in Receive wakes up.
        _socket.Shutdown(SocketShutdown.Both);
        _socket.Dispose();
    }

    private static byte[] Frame(int opcode, byte[] payload)
    {
        ReadOnlySpan<byte> key = [0x37, 0xFA, 0x21, 0x3D];
        byte[] header = payload.Length switch
        {
            < 126 => [(byte)(0x80 | opcode), (byte)(0x80 | payload.Length)],
            <= 0xFFFF => [(byte)(0x80 | opcode), 0x80 | 126, (byte)(payload.Length >> 8), (byte)payload.Length],
            _ => [(byte)(0x80 | opcode), 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 0],
        };
        if (header.Length == 10)
        {
            BinaryPrimitives.WriteInt64BigEndian(header.AsSpan(2), payload.Length);
        }

        byte[] frame = [.. header, .. key, .. payload];
        for (int i = 0; i < payload.Length; i++)
        {
            frame[header.Length + 4 + i] ^= key[i % 4];
        }

        return frame;
    }

    private void Upgrade(int port, string path)
    {
        string request = $"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        _socket.Send(Encoding.ASCII.GetBytes(request));
        var head = new StringBuilder();
        Span<byte> one = stackalloc byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (_socket.Receive(one) == 0)
            {
                throw new InvalidOperationException("The server has hung up.");
            }

            head.Append((char)one[0]);
        }

        if (!head.ToString().StartsWith("HTTP/1.1 101", StringComparison.Ordinal))
        {
            throw new InvalidOperationException($"The upgrade was refused: {head}");
        }
    }
}
