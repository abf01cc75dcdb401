using System;
using System.Buffers;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Compressed messages (RFC 7692) both ways, and what a client must not do with them.</summary>
[TestFixture]
internal sealed class DeflateEchoTests
{
    private const byte Fin = 0x80;
    private const byte Compressed = 0x40;
    private const byte Text = 1;
    private const byte Binary = 2;

    private static readonly int[] Bits = [9, 11, 15];

    private static readonly int[] Sizes = [0, 1, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072, 1024 * 1024];

    /// <summary>The client asks for more or less than the server allows; the less of both must come out.</summary>
    [Test]
    public async Task Echoes_whatever_was_agreed_on(
        [ValueSource(nameof(Bits))] int clientBits,
        [ValueSource(nameof(Bits))] int serverBits,
        [Values] bool clientTakeover,
        [Values] bool serverTakeover)
    {
        await using RunningServer server = await StartEchoAsync(new()
        {
            ClientMaxWindowBits = clientBits,
            ServerMaxWindowBits = serverBits,
            ClientContextTakeover = clientTakeover,
            ServerContextTakeover = serverTakeover,
        });
        foreach (WebSocketDeflateOptions wanted in (WebSocketDeflateOptions[])
        [
            new(),
            new() { ClientMaxWindowBits = 10, ServerMaxWindowBits = 10, ClientContextTakeover = false, ServerContextTakeover = false },
        ])
        {
            using ClientWebSocket client = await server.ConnectAsync(configure: o =>
            {
                o.DangerousDeflateOptions = wanted;
                o.CollectHttpResponseDetails = true;
            });
            Assert.That(client.HttpResponseHeaders!["Sec-WebSocket-Extensions"].Single(), Does.StartWith("permessage-deflate"));
            foreach (int size in Sizes)
            {
                await EchoAsync(client, size, isText: true, repeats: 3);
                await EchoAsync(client, size, isText: false, repeats: 3);
            }

            await client.CloseNormallyAsync();
            Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.NormalClosure));
        }
    }

    [TestCase(16, 1000)]
    [TestCase(1024, 1000)]
    [TestCase(8192, 500)]
    [TestCase(131072, 50)]
    public async Task Echoes_many_messages_over_one_window(int size, int count)
    {
        await using RunningServer server = await StartEchoAsync(new());
        using ClientWebSocket client = await server.ConnectAsync(configure: o => o.DangerousDeflateOptions = new());
        await EchoAsync(client, size, isText: true, count);
        await EchoAsync(client, size, isText: false, count);
        await client.CloseNormallyAsync();
    }

    [Test]
    public async Task Echoes_compressed_fragments_and_uncompressed_messages_between_them()
    {
        await using RunningServer server = await StartEchoAsync(new());
        using ClientWebSocket client = await server.ConnectAsync(configure: o => o.DangerousDeflateOptions = new());
        byte[] data = Data(100_000, isText: false, seed: 1);
        for (int round = 0; round < 3; round++)
        {
            foreach (int fragment in (int[])[1, 100, 4096, 65536])
            {
                int length = Math.Min(data.Length, fragment * 50);
                for (int start = 0; start < length; start += fragment)
                {
                    int count = Math.Min(fragment, length - start);
                    await client.SendAsync(data.AsMemory(start, count), WebSocketMessageType.Binary, start + count == length, CancellationToken.None);
                }

                (_, byte[] echo) = await client.ReceiveMessageAsync();
                Assert.That(echo.AsSpan().SequenceEqual(data.AsSpan(0, length)), Is.True);
            }

            await client.SendAsync(
                "plain"u8.ToArray(), WebSocketMessageType.Text, WebSocketMessageFlags.EndOfMessage | WebSocketMessageFlags.DisableCompression, CancellationToken.None);
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("plain"));
        }

        await client.CloseNormallyAsync();
    }

    [Test]
    public async Task Understands_the_examples_of_the_RFC()
    {
        var inflater = new Inflater();
        await using RunningServer server = await StartEchoAsync(new());
        using RawClient client = RawClient.Open(server.Port, extraHeaders: "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        byte[] hello = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]; // section 7.2.3.1
        byte[] again = [0xF2, 0x00, 0x11, 0x00, 0x00]; // 7.2.3.2, with context takeover
        AssertEcho(Fin | Compressed | Text, hello);
        AssertEcho(Fin | Compressed | Text, again);
        AssertEcho(Fin | Compressed | Text, [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]); // 7.2.3.3, a block without compression
        AssertEcho(Fin | Compressed | Text, [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00]); // 7.2.3.5, two blocks
        client.SendFrame(Compressed | Text, hello.AsSpan(0, 3)); // two fragments, a ping between them
        client.SendFrame(Fin | 9, "p"u8);
        AssertEcho(Fin, hello.AsSpan(3));

        void AssertEcho(int firstByte, ReadOnlySpan<byte> payload)
        {
            client.SendFrame(firstByte, payload);
            (int first, byte[] answer) = client.ReadFrame();
            while (first == (Fin | 10))
            {
                (first, answer) = client.ReadFrame();
            }

            Assert.That(first, Is.EqualTo(Fin | Compressed | Text));
            Assert.That(answer, Is.Not.Empty);
            inflater.Feed(answer);
            Assert.That(inflater.Message(), Is.EqualTo("Hello"));
        }
    }

    [Test]
    public async Task Without_an_agreement_nothing_is_compressed()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", EchoAsync));
        using var client = new RawClient(server.Port);
        client.Send(RawClient.UpgradeRequest(extraHeaders: "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 101 ").And.Not.Contain("Extensions"));
        client.SendFrame(Fin | Text, "Hello"u8);
        (int first, byte[] answer) = client.ReadFrame();
        Assert.That((first, Encoding.UTF8.GetString(answer)), Is.EqualTo((Fin | Text, "Hello")));
        client.SendFrame(Fin | Compressed | Text, "Hello"u8);
        Assert.That(client.ReadClose(), Is.EqualTo(1002));
    }

    [Test]
    public async Task Malformed_extensions_are_400()
    {
        await using RunningServer server = await StartEchoAsync(new());
        Assert.That(
            RawClient.Exchange(server.Port, RawClient.UpgradeRequest(extraHeaders: "Sec-WebSocket-Extensions: permessage-deflate;\r\n")),
            Does.StartWith("HTTP/1.1 400 Bad Request\r\n").And.EndWith("Sec-WebSocket-Extensions is not well-formed.\n"));
        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "its place is free");
    }

    [TestCase(Fin | Compressed, "a continuation of nothing")]
    [TestCase(Fin | 0x20 | Text, "another reserved bit")]
    [TestCase(Fin | Compressed | 0x10 | Text, "two reserved bits")]
    public async Task Frames_that_must_not_be_compressed_are_1002(int firstByte, string what)
    {
        await using RunningServer server = await StartEchoAsync(new());
        using RawClient client = RawClient.Open(server.Port, extraHeaders: "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        client.SendFrame(firstByte, []);
        Assert.That(client.ReadClose(), Is.EqualTo(1002), what);
    }

    [Test]
    public async Task A_compressed_continuation_is_1002()
    {
        await using RunningServer server = await StartEchoAsync(new());
        using RawClient client = RawClient.Open(server.Port, extraHeaders: "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        client.SendFrame(Compressed | Text, [0xF2, 0x48]);
        client.SendFrame(Fin | Compressed, [0xCD, 0xC9, 0xC9, 0x07, 0x00]);
        Assert.That(client.ReadClose(), Is.EqualTo(1002));
    }

    /// <summary>
    /// A final block (RFC 7692, section 7.2.3.4) is valid, but .NET's WebSocket does not take it; no known client sends one.
    /// </summary>
    [TestCase(new byte[] { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF }, TestName = "Data_that_is_not_deflated_ends_its_own_connection")]
    [TestCase(new byte[] { 0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00 }, TestName = "A_final_block_ends_its_own_connection")]
    public async Task Data_that_is_not_understood_ends_its_own_connection(byte[] payload)
    {
        await using RunningServer server = await StartEchoAsync(new());
        using ClientWebSocket other = await server.ConnectAsync(configure: o => o.DangerousDeflateOptions = new());
        using RawClient client = RawClient.Open(server.Port, extraHeaders: "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        client.SendFrame(Fin | Compressed | Binary, payload);
        byte[] end = client.ReadToEnd();
        Assert.That(end.Length == 0 || end[0] == (Fin | 8), Is.True, "the end, or a Close frame before it; no echo");
        await EchoAsync(other, 1000, isText: true, 3);
        await other.CloseNormallyAsync();
        Assert.That(server.Log.Entries.Where(e => e.Exception is not null), Is.Empty, "a client's fault is none of the handler's");
    }

    [Test]
    public async Task Text_that_is_not_UTF8_when_inflated_is_1007()
    {
        await using RunningServer server = await StartEchoAsync(new());
        using RawClient client = RawClient.Open(server.Port, extraHeaders: "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        client.SendFrame(Fin | Compressed | Text, Deflate([[0xC3, 0x28]]));
        Assert.That(client.ReadClose(), Is.EqualTo(1007));
    }

    /// <summary>1 GB of zeros is about 1 MB on the wire; the server may have no more of it than its limit.</summary>
    [Test]
    public async Task A_bomb_is_1009_and_takes_no_memory([Values] bool small)
    {
        await using RunningServer server = await StartEchoAsync(new(), maxMessageSize: 1024 * 1024);
        byte[] block = new byte[1024 * 1024];
        byte[] bomb = Deflate(Enumerable.Repeat(block, small ? 2 : 1024));
        Assert.That(bomb, Has.Length.LessThan(1_100_000));
        using (RawClient client = RawClient.Open(server.Port, extraHeaders: "Sec-WebSocket-Extensions: permessage-deflate\r\n"))
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            Task sending = Task.Run(() =>
            {
                try
                {
                    client.SendFrame(Fin | Compressed | Binary, bomb);
                }
                catch (System.Net.Sockets.SocketException)
                {
                    // The server need not wait for the end of it.
                }
            });
            Assert.That(client.ReadClose(), Is.EqualTo(1009));
            await sending;
            Assert.That(GC.GetTotalAllocatedBytes(precise: true) - before, Is.LessThan(32 * 1024 * 1024));
        }

        using ClientWebSocket other = await server.ConnectAsync(configure: o => o.DangerousDeflateOptions = new());
        await EchoAsync(other, 1024 * 1024, isText: false, 1); // the limit itself
        await other.CloseNormallyAsync();
    }

    private static Task<RunningServer> StartEchoAsync(DangerousDeflateOptions deflate, int? maxMessageSize = null) =>
        RunningServer.StartAsync(s => s.MapWebSocket("/ws", EchoAsync, new WebSocketEndpointOptions { DangerousDeflate = deflate, MaxMessageSize = maxMessageSize }));

    /// <summary>Message by message, so that windows and fragments of the two directions differ.</summary>
    private static async Task EchoAsync(ServerWebSocketContext context)
    {
        var message = new ArrayBufferWriter<byte>();
        while (true)
        {
            ValueWebSocketReceiveResult result = await context.WebSocket.ReceiveAsync(message.GetMemory(64 * 1024), context.Aborted);
            if (result.MessageType == WebSocketMessageType.Close)
            {
                return;
            }

            message.Advance(result.Count);
            if (result.EndOfMessage)
            {
                await context.WebSocket.SendAsync(message.WrittenMemory, result.MessageType, true, context.Aborted);
                message.ResetWrittenCount();
            }
        }
    }

    private static async Task EchoAsync(ClientWebSocket client, int size, bool isText, int repeats)
    {
        for (int i = 0; i < repeats; i++)
        {
            byte[] data = Data(size, isText, i);
            if (isText)
            {
                await client.SendAsync(data.AsMemory(), WebSocketMessageType.Text, true, CancellationToken.None);
            }
            else
            {
                await client.SendBinaryAsync(data);
            }

            (WebSocketMessageType type, byte[] echo) = await client.ReceiveMessageAsync();
            Assert.That(type, Is.EqualTo(isText ? WebSocketMessageType.Text : WebSocketMessageType.Binary));
            Assert.That(echo.AsSpan().SequenceEqual(data), Is.True, $"{size} bytes, {type}, number {i}");
        }
    }

    /// <summary>Half of it repeats over any window, half of it is random; as text it is UTF-8.</summary>
    private static byte[] Data(int size, bool isText, int seed)
    {
        var random = new Random(seed * 7919 + size);
        byte[] data = new byte[size];
        for (int start = 0; start < size; start += 512)
        {
            Span<byte> part = data.AsSpan(start, Math.Min(512, size - start));
            if (random.Next(2) == 0)
            {
                part.Fill((byte)('a' + start / 512 % 26));
            }
            else if (isText)
            {
                for (int i = 0; i < part.Length; i++)
                {
                    part[i] = (byte)random.Next(' ', '~');
                }
            }
            else
            {
                random.NextBytes(part);
            }
        }

        return data;
    }

    /// <summary>A message as section 7.2.1 has it.</summary>
    private static byte[] Deflate(IEnumerable<byte[]> parts)
    {
        var output = new MemoryStream();
        using var deflate = new DeflateStream(output, CompressionLevel.Optimal, leaveOpen: true);
        foreach (byte[] part in parts)
        {
            deflate.Write(part);
        }

        deflate.Flush();
        byte[] message = output.ToArray();
        Assert.That(message[^4..], Is.EqualTo((byte[])[0x00, 0x00, 0xFF, 0xFF]));
        return message[..^4];
    }

    /// <summary>Inflates messages of one window, as a client would.</summary>
    private sealed class Inflater
    {
        private readonly MemoryStream _all = new();
        private int _read;

        public void Feed(byte[] payload)
        {
            _all.Write(payload);
            _all.Write([0x00, 0x00, 0xFF, 0xFF]);
        }

        /// <summary>What the newest message adds to the text of all.</summary>
        public string Message()
        {
            _all.Position = 0;
            var text = new MemoryStream();
            using (var inflate = new DeflateStream(_all, CompressionMode.Decompress, leaveOpen: true))
            {
                inflate.CopyTo(text);
            }

            _all.Position = _all.Length;
            string message = Encoding.UTF8.GetString(text.ToArray().AsSpan(_read));
            _read = (int)text.Length;
            return message;
        }
    }
}
