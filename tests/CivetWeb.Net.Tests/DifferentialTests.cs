using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// The same bytes, good and bad, cut at random, into our server and into .NET's own server-side WebSocket: the messages
/// delivered, the pongs and the code of the closing must agree. The server API's WebSocket is .NET's too: there it is what we do around
/// it that must change nothing.
/// </summary>
/// <remarks>
/// Where they differ by intent, the generator leaves the case out, and ConformanceTests covers it:
/// lengths not in their shortest form (section 5.2 forbids them, .NET takes them); a close without code (.NET makes
/// 1000 of it, section 7.1.5 wants 1005); the code for invalid UTF-8 in a close
/// reason and for reserved close codes (.NET fails all bad close payloads with 1002).
/// </remarks>
public sealed class DifferentialTests
{
    [Test]
    public async Task Random_streams_have_the_same_outcome_as_in_dotnets_own_websocket([Values] Api api, [Range(1, 8)] int seed)
    {
        var random = new Random(seed);
        using var server = new Listener(api);
        for (int round = 0; round < 40; round++)
        {
            byte[] stream = RandomStream(random);
            server.Lines.Clear();
            List<string> answers;
            using (RawClient client = RawClient.Open(server.Port))
            {
                answers = SendInPieces(client, stream, random);
            }

            Assert.That(await server.Done.WaitAsync(TestServer.Patience), "the close callback, or the end of the handler");
            List<string> expected = await ByDotNet(stream);
            Assert.That(
                (List<string>)[.. server.Lines, .. answers],
                Is.EqualTo(expected),
                $"seed {seed}, round {round}: {Convert.ToHexString(stream.AsSpan(0, Math.Min(stream.Length, 400)))}");
        }
    }

    private static string Describe(bool text, ReadOnlySpan<byte> data) =>
        $"{(text ? "text" : "binary")} {data.Length} {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(data))[..16]}";

    private static string Describe(int firstByte, byte[] payload) => firstByte == 0x88
        ? $"close {(payload.Length == 0 ? "without code" : BinaryPrimitives.ReadUInt16BigEndian(payload))}"
        : $"0x{firstByte:X2} {Convert.ToHexString(payload)}";

    /// <summary>Sends all, and returns the frames that come back, to the Close frame.</summary>
    private static List<string> SendInPieces(RawClient client, byte[] stream, Random random)
    {
        Task sender = Task.Run(() =>
        {
            try
            {
                for (int i = 0; i < stream.Length;)
                {
                    int n = Math.Min(stream.Length - i, 1 + random.Next(random.Next(3) == 0 ? 20_000 : 20));
                    client.Send(stream.AsSpan(i, n));
                    i += n;
                }
            }
            catch (System.Net.Sockets.SocketException)
            {
                // closed on a mistake in the middle
            }
        });
        var answers = new List<string>();
        int first;
        do
        {
            (first, byte[] payload) = client.ReadFrame();
            answers.Add(Describe(first, payload));
        }
        while (first != 0x88);

        sender.Wait();
        return answers;
    }

    private static async Task<List<string>> ByDotNet(byte[] stream)
    {
        var log = new List<string>();
        var duplex = new ScriptedStream(stream);
        using WebSocket socket = WebSocket.CreateFromStream(duplex, new WebSocketCreationOptions { IsServer = true, KeepAliveInterval = TimeSpan.Zero });
        var message = new MemoryStream();
        byte[] buffer = new byte[4096];
        string? close = null; // .NET's own is among the frames it has written
        try
        {
            while (true)
            {
                ValueWebSocketReceiveResult result = await socket.ReceiveAsync(buffer.AsMemory(), CancellationToken.None);
                if (result.MessageType == WebSocketMessageType.Close)
                {
                    close = $"close {(int)socket.CloseStatus!.Value}";
                    break;
                }

                message.Write(buffer, 0, result.Count);
                if (result.EndOfMessage)
                {
                    log.Add(Describe(result.MessageType == WebSocketMessageType.Text, message.ToArray()));
                    message.SetLength(0);
                }
            }
        }
        catch (WebSocketException)
        {
            // it has sent a Close of its own, which the stream has caught
        }

        log.AddRange(duplex.WrittenFrames());
        if (close is not null)
        {
            log.Add(close);
        }

        return log;
    }

    private static byte[] RandomStream(Random random)
    {
        var stream = new MemoryStream();
        int messages = random.Next(1, 12);
        for (int m = 0; m < messages; m++)
        {
            bool text = random.Next(2) == 0;
            int fragments = random.Next(1, 5);
            for (int f = 0; f < fragments; f++)
            {
                byte[] payload = text ? RandomText(random) : RandomBytes(random);
                WriteFrame(stream, random, (f == 0 ? (text ? 1 : 2) : 0) | (f == fragments - 1 ? 0x80 : 0), payload);
                if (random.Next(4) == 0)
                {
                    WriteFrame(stream, random, random.Next(2) == 0 ? 0x89 : 0x8A, RandomBytes(random).AsSpan(0, random.Next(3)).ToArray());
                }

                if (random.Next(25) == 0)
                {
                    WriteMistake(stream, random);
                    return stream.ToArray();
                }
            }
        }

        int[] codes = [1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999];
        int code = codes[random.Next(codes.Length)];
        WriteFrame(stream, random, 0x88, [(byte)(code >> 8), (byte)code, .. random.Next(2) == 0 ? ""u8 : "reason"u8]);
        return stream.ToArray();
    }

    private static void WriteMistake(MemoryStream stream, Random random)
    {
        switch (random.Next(6))
        {
            case 0: // reserved bit
                WriteFrame(stream, random, 0x80 | 0x09 | (0x10 << random.Next(3)), []);
                break;
            case 1: // reserved opcode
                WriteFrame(stream, random, 0x80 | (random.Next(2) == 0 ? 3 + random.Next(5) : 11 + random.Next(5)), []);
                break;
            case 2: // not masked
                stream.Write([0x89, 0x01, 0x00]);
                break;
            case 3: // fragmented control frame
                WriteFrame(stream, random, 0x09, []);
                break;
            case 4: // control frame too large
                WriteFrame(stream, random, 0x89, new byte[126]);
                break;
            default: // a close with one byte
                WriteFrame(stream, random, 0x88, [3]);
                break;
        }

        // .NET looks at whole headers only: give it one.
        stream.Write(new byte[20]);
    }

    private static byte[] RandomText(Random random)
    {
        var text = new StringBuilder();
        for (int i = random.Next(random.Next(5) == 0 ? 5000 : 40); i > 0; i--)
        {
            text.Append(random.Next(5) switch { 0 => "é", 1 => "€", 2 => "😀", _ => "a" });
        }

        byte[] bytes = Encoding.UTF8.GetBytes(text.ToString());
        if (bytes.Length > 0 && random.Next(30) == 0)
        {
            bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
        }

        return bytes;
    }

    private static byte[] RandomBytes(Random random)
    {
        byte[] bytes = new byte[random.Next(8) == 0 ? random.Next(70_000) : 3 + random.Next(200)];
        random.NextBytes(bytes);
        return bytes;
    }

    private static void WriteFrame(MemoryStream stream, Random random, int first, byte[] payload)
    {
        byte[] mask = new byte[4];
        random.NextBytes(mask);
        stream.WriteByte((byte)first);
        switch (payload.Length)
        {
            case < 126:
                stream.WriteByte((byte)(0x80 | payload.Length));
                break;
            case <= 0xFFFF:
                stream.Write([0xFE, (byte)(payload.Length >> 8), (byte)payload.Length]);
                break;
            default:
                stream.Write([0xFF, 0, 0, 0, 0, (byte)(payload.Length >> 24), (byte)(payload.Length >> 16), (byte)(payload.Length >> 8), (byte)payload.Length]);
                break;
        }

        stream.Write(mask);
        stream.Write([.. payload.Select((b, i) => (byte)(b ^ mask[i % 4]))]);
    }

    /// <summary>A server at /ws that writes down what it gets.</summary>
    private sealed class Listener : IDisposable
    {
        private readonly TestServer? _callbacks;
        private readonly RunningServer? _server;

        public Listener(Api api)
        {
            if (api == Api.Callbacks)
            {
                _callbacks = new TestServer(("num_threads", "8"));
                Http.SetWebSocketHandler(_callbacks.Context, "/ws", null, null, (_, bits, data, _) => Receive(bits, data), (_, _) => Done.Release());
            }
            else
            {
                _server = RunningServer.StartAsync(s => s.MapWebSocket("/ws", ReceiveAsync)).Result;
            }
        }

        public int Port => _callbacks?.Port ?? _server!.Port;

        /// <summary>The messages of the client; complete when it is done.</summary>
        public List<string> Lines { get; } = [];

        public SemaphoreSlim Done { get; } = new(0);

        public void Dispose()
        {
            _callbacks?.Dispose();
            _server?.DisposeAsync().AsTask().Wait();
            Done.Dispose();
        }

        private int Receive(int bits, ReadOnlySpan<byte> data)
        {
            if (bits is 1 or 2)
            {
                Lines.Add(Describe(bits == 1, data));
            }

            return 1;
        }

        private async Task ReceiveAsync(ServerWebSocketContext context)
        {
            try
            {
                await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
                {
                    Lines.Add(Describe(message.MessageType == WebSocketMessageType.Text, message.Data.Span));
                }
            }
            finally
            {
                Done.Release();
            }
        }
    }

    /// <summary>Reads what was scripted, then the end; keeps what is written.</summary>
    private sealed class ScriptedStream(byte[] script) : Stream
    {
        private readonly MemoryStream _written = new();
        private int _position;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        /// <summary>The control frames .NET has written.</summary>
        public IEnumerable<string> WrittenFrames()
        {
            byte[] all = _written.ToArray();
            for (int i = 0; i < all.Length; i += 2 + all[i + 1])
            {
                yield return Describe(all[i], all[(i + 2)..(i + 2 + all[i + 1])]);
            }
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            int n = Math.Min(count, script.Length - _position);
            script.AsSpan(_position, n).CopyTo(buffer.AsSpan(offset));
            _position += n;
            return n;
        }

        public override void Write(byte[] buffer, int offset, int count) => _written.Write(buffer, offset, count);

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
