using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// RFC 6455, sections 5 to 8 and 10, rule by rule, from a raw socket. Every failure is a Close frame with the code the
/// RFC gives and an end in order, not a reset.
/// </summary>
[TestFixture(Api.Callbacks)]
[TestFixture(Api.Server)]
public sealed class ConformanceTests(Api api)
{
    private EchoTarget _server = null!;
    private EchoCounts _counts = null!;

    [SetUp]
    public void Start()
    {
        _server = EchoTarget.Start(api, maxMessageSize: 100_000);
        _counts = _server.Counts;
    }

    [TearDown]
    public void Stop() => _server.Dispose();

    // 5.1 Overview

    [Test]
    public void S5_1_an_unmasked_frame_fails_the_connection() => Fails(1002, [0x81, 0x05, .. "hello"u8]);

    // 5.2 Base framing protocol

    [Test]
    public void S5_2_a_reserved_bit_fails_the_connection([Values(1, 2, 3, 4, 5, 6, 7)] int bits, [Values(0x81, 0x82, 0x88, 0x89, 0x8A)] int first) =>
        Fails(1002, client => client.Frame(first | (bits << 4), "x"u8));

    [Test]
    public void S5_2_a_reserved_opcode_fails_the_connection([Values(3, 4, 5, 6, 7, 11, 12, 13, 14, 15)] int opcode, [Values] bool fin) =>
        Fails(1002, client => client.Frame((fin ? 0x80 : 0) | opcode, "x"u8));

    [Test]
    public void S5_2_what_came_before_a_bad_frame_is_answered()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.Send([.. client.Frame(0x81, "first"u8), .. client.Frame(0xC1, "bad"u8), .. client.Frame(0x89, "never"u8)]);
        Assert.That(client.ReadFrame().Payload, Is.EqualTo("first"u8.ToArray()));
        Assert.That(client.ReadClose(), Is.EqualTo(1002));
        Assert.That(client.ReadsCleanEnd());
    }

    [Test]
    public void S5_2_a_length_not_in_its_shortest_form_fails_the_connection()
    {
        Fails(1002, [0x82, 0xFE, 0x00, 0x7D]);
        Fails(1002, [0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]);
    }

    [Test]
    public void S5_2_a_length_with_its_top_bit_set_fails_the_connection() => Fails(1002, [0x82, 0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0]);

    [Test]
    public void S5_2_every_length_form_is_understood_and_used([Values(0, 125, 126, 127, 65535, 65536, 100_000)] int size)
    {
        using RawClient client = RawClient.Open(_server.Port);
        byte[] payload = new byte[size];
        new Random(size).NextBytes(payload);
        client.SendFrame(0x82, payload);
        Assert.That(client.ReadFrame().Payload.AsSpan().SequenceEqual(payload));
    }

    // 5.3 Client-to-server masking

    [Test]
    public void S5_3_a_mask_of_zeros_is_a_mask()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.Send([0x81, 0x82, 0, 0, 0, 0, (byte)'h', (byte)'i']);
        Assert.That(client.ReadFrame().Payload, Is.EqualTo("hi"u8.ToArray()));
    }

    // 5.4 Fragmentation

    [Test]
    public void S5_4_fragments_of_any_size_make_one_message([Values(1, 2, 7, 1000)] int size)
    {
        using RawClient client = RawClient.Open(_server.Port);
        byte[] message = [.. Enumerable.Range(0, 3000).Select(i => (byte)('a' + i % 26))];
        byte[][] parts = [.. message.Chunk(size)];
        for (int i = 0; i < parts.Length; i++)
        {
            client.SendFrame((i == 0 ? 1 : 0) | (i == parts.Length - 1 ? 0x80 : 0), parts[i]);
        }

        (int first, byte[] payload) = client.ReadFrame();
        Assert.That(first, Is.EqualTo(0x81));
        Assert.That(payload.AsSpan().SequenceEqual(message));
    }

    [Test]
    public void S5_4_control_frames_between_fragments_are_answered_at_once()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.SendFrame(0x01, "a"u8);
        for (int i = 0; i < 10; i++)
        {
            client.SendFrame(0x89, [(byte)i]);
            Assert.That(client.ReadFrame().Payload, Is.EqualTo(new[] { (byte)i }));
        }

        client.SendFrame(0x80, "b"u8);
        Assert.That(client.ReadFrame().Payload, Is.EqualTo("ab"u8.ToArray()));
    }

    [Test]
    public void S5_4_a_continuation_of_nothing_fails_the_connection([Values] bool fin) =>
        Fails(1002, client => client.Frame(fin ? 0x80 : 0x00, "x"u8));

    [Test]
    public void S5_4_a_continuation_after_the_last_fragment_fails_the_connection()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.SendFrame(0x01, "a"u8);
        client.SendFrame(0x80, "b"u8);
        Assert.That(client.ReadFrame().Payload, Is.EqualTo("ab"u8.ToArray()));
        client.SendFrame(0x80, "c"u8);
        ExpectClose(client, 1002);
    }

    [Test]
    public void S5_4_a_message_inside_a_message_fails_the_connection([Values(0x81, 0x82, 0x01)] int first) =>
        Fails(1002, client => [.. client.Frame(0x01, "a"u8), .. client.Frame(first, "b"u8)]);

    [Test]
    public void S5_4_an_empty_fragmented_message_is_an_empty_message()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.SendFrame(0x01, []);
        client.SendFrame(0x00, []);
        client.SendFrame(0x80, []);
        (int first, byte[] payload) = client.ReadFrame();
        Assert.That((first, payload.Length), Is.EqualTo((0x81, 0)));
    }

    // 5.5 Control frames

    [Test]
    public void S5_5_a_control_frame_over_125_bytes_fails_the_connection([Values(0x88, 0x89, 0x8A)] int first) =>
        Fails(1002, client => client.Frame(first, new byte[126]));

    [Test]
    public void S5_5_a_fragmented_control_frame_fails_the_connection([Values(0x08, 0x09, 0x0A)] int first) =>
        Fails(1002, client => client.Frame(first, []));

    [Test]
    public void S5_5_1_a_close_is_answered_with_its_code_and_ends_everything()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.Send([.. client.Frame(0x88, [0x0B, 0xB8, .. "bye"u8]), .. client.Frame(0x81, "late"u8), .. client.Frame(0x89, "late"u8)]);
        ExpectClose(client, 3000);
        Assert.That(_counts.Frames, Is.EqualTo(1), "only the close is delivered");
    }

    [Test]
    public void S5_5_1_a_close_without_code_is_answered_without_code()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.SendFrame(0x88, []);
        ExpectClose(client, null);
    }

    [Test]
    public void S5_5_1_a_close_behind_a_close_says_nothing([Values(1000, 4000, null)] int? code, [Values(1000, null)] int? second)
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.Send([.. client.Frame(0x88, Payload(code)), .. client.Frame(0x88, Payload(second))]);
        ExpectClose(client, code);
        static byte[] Payload(int? code) => code is null ? [] : Code(code.Value);
    }

    [Test]
    public void S5_5_1_what_comes_behind_a_close_is_not_looked_at([Values(1000, null)] int? code)
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.Send([.. client.Frame(0x88, code is null ? [] : Code(code.Value)), 0xFF, 0xFF, 0xFF, 0xFF]);
        ExpectClose(client, code);
    }

    [Test]
    public void S5_5_1_a_close_inside_a_fragmented_message_ends_the_connection()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.SendFrame(0x01, "never finished"u8);
        client.SendFrame(0x88, [0x03, 0xE8]);
        ExpectClose(client, 1000);
    }

    [Test]
    public void S5_5_1_a_close_payload_of_one_byte_fails_the_connection() => Fails(1002, client => client.Frame(0x88, [0x03]));

    [Test]
    public void S5_5_1_a_close_reason_of_123_bytes_is_fine()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.SendFrame(0x88, [0x03, 0xE8, .. Enumerable.Repeat((byte)'r', 123)]);
        ExpectClose(client, 1000);
    }

    [Test]
    public void S5_5_2_a_ping_is_answered_with_its_payload([Values(0, 1, 125)] int size)
    {
        using RawClient client = RawClient.Open(_server.Port);
        byte[] payload = [.. Enumerable.Range(0, size).Select(i => (byte)(i * 3))];
        client.SendFrame(0x89, payload);
        (int first, byte[] back) = client.ReadFrame();
        Assert.That(first, Is.EqualTo(0x8A));
        Assert.That(back, Is.EqualTo(payload));
    }

    [Test]
    public void S5_5_2_ten_pings_in_one_packet_are_ten_pongs_in_order()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.Send([.. Enumerable.Range(0, 10).SelectMany(i => client.Frame(0x89, [(byte)i]))]);
        for (int i = 0; i < 10; i++)
        {
            Assert.That(client.ReadFrame().Payload, Is.EqualTo(new[] { (byte)i }));
        }
    }

    [Test]
    public void S5_5_3_an_unsolicited_pong_needs_no_answer()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.SendFrame(0x8A, "unasked"u8);
        client.SendFrame(0x89, "asked"u8);
        Assert.That(client.ReadFrame().Payload, Is.EqualTo("asked"u8.ToArray()));
    }

    [Test]
    public void S5_frames_in_pieces_of_one_byte_are_frames()
    {
        using RawClient client = RawClient.Open(_server.Port);
        foreach (byte b in client.Frame(0x81, "byte by byte"u8).Concat(client.Frame(0x89, "p"u8)))
        {
            client.Send([b]);
        }

        Assert.That(client.ReadFrame().Payload, Is.EqualTo("byte by byte"u8.ToArray()));
        Assert.That(client.ReadFrame().FirstByte, Is.EqualTo(0x8A));
    }

    // 5.6 Data frames, 6.1 Sending

    [Test]
    public void S5_6_the_type_of_a_message_is_that_of_its_first_frame()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.SendFrame(0x02, [0xFF]);
        client.SendFrame(0x80, [0xFE]);
        (int first, byte[] payload) = client.ReadFrame();
        Assert.That((first, payload.Length), Is.EqualTo((0x82, 2)));
    }

    // 7.1 Closing the connection

    [Test]
    public void S7_1_1_a_close_arrives_even_when_more_is_sent_behind_the_mistake()
    {
        using RawClient client = RawClient.Open(_server.Port);
        byte[] noise = new byte[200_000];
        Task sender = Task.Run(() =>
        {
            try
            {
                client.Send([0x81, 0x00, .. noise]);
            }
            catch (System.Net.Sockets.SocketException)
            {
                // the server may stop reading at some point
            }
        });
        Assert.That(client.ReadClose(), Is.EqualTo(1002));
        sender.Wait();
    }

    [Test]
    public async Task S7_1_4_the_end_of_the_stream_without_a_close_is_an_end()
    {
        using (RawClient client = RawClient.Open(_server.Port))
        {
            client.SendFrame(0x01, "half a message"u8);
        }

        await Eventually.IsTrueAsync(() => _counts.Closes == 1, "the close callback");
    }

    // 7.4 Status codes

    [Test]
    public void S7_4_codes_a_client_may_send_are_echoed(
        [Values(1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)] int code)
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.SendFrame(0x88, Code(code));
        ExpectClose(client, code);
    }

    [Test]
    public void S7_4_codes_nobody_may_send_fail_the_connection(
        [Values(0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)] int code) =>
        Fails(1002, client => client.Frame(0x88, Code(code)));

    // 8.1 Errors in UTF-8-encoded data

    private static readonly byte[][] InvalidText =
    [
        [0x80], [0xBF], [0xC0, 0xAF], [0xC1, 0xBF], [0xC3, 0x28], [0xE0, 0x80, 0xAF], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80],
        [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0xAF], [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
        [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFE], [0xFF], [0xE2, 0x82], [0xF0, 0x9F, 0x98],
    ];

    [Test]
    public void S8_1_invalid_text_fails_the_connection_with_1007([ValueSource(nameof(InvalidText))] byte[] bytes) =>
        Fails(1007, client => client.Frame(0x81, [.. "ok "u8, .. bytes]));

    [Test]
    public void S8_1_invalid_text_split_over_fragments_fails_too([ValueSource(nameof(InvalidText))] byte[] bytes) =>
        Fails(1007, client => [.. client.Frame(0x01, bytes.AsSpan(0, 1)), .. client.Frame(0x80, bytes.AsSpan(1))]);

    [Test]
    public void S8_1_invalid_text_fails_at_the_first_impossible_byte_not_at_the_end_of_the_message()
    {
        if (api == Api.Callbacks)
        {
            // .NET's WebSocket looks at a frame when it is whole.
            using RawClient client = RawClient.Open(_server.Port);
            byte[] frame = client.Frame(0x81, [.. "abc"u8, 0xF4, 0x90, .. new byte[500]]);
            client.Send(frame.AsSpan(0, 2 + 2 + 4 + 5)); // header, length, mask, and the payload up to the bad byte
            ExpectClose(client, 1007);
        }

        using RawClient fragmented = RawClient.Open(_server.Port);
        fragmented.SendFrame(0x01, api == Api.Server ? [0xF4, 0x90, 0x80, 0x80] : [0xF4, 0x90]);
        ExpectClose(fragmented, 1007);
    }

    [Test]
    public void S8_1_characters_may_be_split_anywhere()
    {
        byte[] text = "κόσμε 😀 \uFFFD \U0010FFFF"u8.ToArray();
        for (int split = 0; split <= text.Length; split++)
        {
            using RawClient client = RawClient.Open(_server.Port);
            client.SendFrame(0x01, text.AsSpan(0, split));
            client.SendFrame(0x80, text.AsSpan(split));
            Assert.That(client.ReadFrame().Payload, Is.EqualTo(text));
        }
    }

    [Test]
    public void S8_1_binary_messages_are_not_looked_at()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.SendFrame(0x82, [0xFF, 0xFE, 0xC0]);
        Assert.That(client.ReadFrame().Payload, Is.EqualTo(new byte[] { 0xFF, 0xFE, 0xC0 }));
    }

    [Test]
    public void S8_1_a_close_reason_that_is_not_utf8_fails_the_connection() =>
        Fails(api == Api.Server ? 1002 : 1007, client => client.Frame(0x88, [0x03, 0xE8, 0xC3, 0x28])); // .NET calls it a protocol error

    // 10.4 Implementation-specific limits

    [Test]
    public void S10_4_a_frame_over_the_limit_is_refused_from_its_header()
    {
        Fails(1009, [0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0x86, 0xA1]); // 100,001
        Fails(1009, [0x82, 0xFF, 0, 0, 0, 0, 0x7F, 0xFF, 0, 0]);
        Fails(1009, [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    }

    [Test]
    public void S10_4_a_message_over_the_limit_is_refused_from_the_header_that_exceeds_it()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.SendFrame(0x02, new byte[60_000]);
        client.Send([0x80, 0xFE, 0x9C, 0x41]); // 40,001
        ExpectClose(client, 1009);
    }

    [Test]
    public void S10_4_many_fragments_below_the_limit_are_bounded_as_a_whole()
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.SendFrame(0x01, "x"u8);
        Task<int?> close = Task.Run(client.ReadClose);
        for (int i = 0; i < 101 && !close.IsCompleted; i++)
        {
            try
            {
                client.SendFrame(0x00, Enumerable.Repeat((byte)'x', 1000).ToArray());
            }
            catch (System.Net.Sockets.SocketException)
            {
                break; // the server has hung up already
            }
        }

        Assert.That(close.Result, Is.EqualTo(1009));
    }

    // 10.7 Handling of invalid data

    [Test]
    public async Task S10_7_a_broken_client_harms_no_other()
    {
        using System.Net.WebSockets.ClientWebSocket other = await _server.ConnectAsync();
        Fails(1002, [0xF3, 0xFF]);
        await other.SendTextAsync("fine");
        Assert.That(await other.ReceiveTextAsync(), Is.EqualTo("fine"));
    }

    private static byte[] Code(int code)
    {
        byte[] payload = new byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(payload, (ushort)code);
        return payload;
    }

    private static void ExpectClose(RawClient client, int? code)
    {
        Assert.That(client.ReadClose(), Is.EqualTo(code));
        Assert.That(client.ReadsCleanEnd(), "an end in order");
    }

    private void Fails(int code, byte[] bytes) => Fails(code, _ => bytes);

    private void Fails(int code, Func<RawClient, byte[]> bytes)
    {
        using RawClient client = RawClient.Open(_server.Port);
        client.Send(bytes(client));
        ExpectClose(client, code);
    }
}
