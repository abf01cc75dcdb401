using System;
using System.Buffers.Binary;

namespace CivetWeb.Net;

/// <summary>
/// Follows the frame headers in what a client sends, for what .NET's WebSocket leaves to others: refusing a frame as soon as
/// its header is wrong or makes the message too long (RFC 6455, section 5.2), and knowing whether a frame that has begun makes
/// progress.
/// </summary>
/// <param name="maxMessageSize">Bytes of a message, all fragments together.</param>
/// <param name="isCompressed">Whether permessage-deflate was agreed on: RSV1 is allowed, and a frame's size says nothing of the message's.</param>
internal sealed class FrameHeaderInspector(long maxMessageSize, bool isCompressed)
{
    /// <summary>Receiving less than this of a frame does not count as progress: a client that sends a byte now and then must not hold a thread for ever.</summary>
    private const int Progress = 4096;

    /// <summary>A message may have empty fragments; one that has nothing else, for ever, may not be. As frame_reader.c counts them.</summary>
    private const int MaxEmptyFragments = 1024;

    private const int MaskSize = 4;
    private const int MaxHeader = 10; // without the mask, which is followed as part of the payload

    private readonly byte[] _header = new byte[MaxHeader];
    private int _headerSize; // received so far
    private long _payloadLeft;
    private long _messageSize;
    private bool _isClosed;
    private int _emptyFragments; // one after the other, up to here
    private int _trickle;
    private long _seenAt = Environment.TickCount64; // when something came last

    /// <summary>Whether a frame has begun and not ended.</summary>
    public bool IsInsideFrame => _headerSize > 0 || _payloadLeft > 0;

    /// <summary>
    /// When the client last sent something worth the name or began a frame, as <see cref="Environment.TickCount64"/>, later by
    /// the time in which nobody wanted to read.
    /// </summary>
    public long ProgressAt { get; private set; } = Environment.TickCount64;

    /// <summary>The close code for what was wrong; 0: nothing.</summary>
    public int Violation { get; private set; }

    /// <summary>Whether the Close frame that came had no code; .NET's WebSocket shows it as 1000.</summary>
    public bool IsCloseWithoutCode { get; private set; }

    /// <summary>
    /// The client is waited for from now on. What has passed since something came is not its fault; the rest is, or each byte
    /// of a trickle would buy it more time.
    /// </summary>
    public void Resume()
    {
        long now = Environment.TickCount64;
        ProgressAt += now - _seenAt;
        _seenAt = now;
    }

    /// <summary>Looks at what has come; how many of the bytes are in order.</summary>
    public int Follow(ReadOnlySpan<byte> bytes)
    {
        if (Violation != 0)
        {
            return 0;
        }

        _seenAt = Environment.TickCount64;
        if (!IsInsideFrame)
        {
            ProgressAt = _seenAt;
            _trickle = 0;
        }

        _trickle += bytes.Length;
        bool progress = _trickle >= Progress;
        int i = 0;
        while (i < bytes.Length)
        {
            if (_isClosed && !IsInsideFrame)
            {
                break; // nothing counts behind a Close frame (section 5.5.1), not even another one
            }

            if (_payloadLeft > 0)
            {
                int n = (int)Math.Min(_payloadLeft, bytes.Length - i);
                _payloadLeft -= n;
                i += n;
                progress |= _payloadLeft == 0;
                continue;
            }

            int start = i;
            if (_headerSize == 0 && !IsFirstByteValid(bytes[i]))
            {
                Violation = 1002;
                return start;
            }

            while (i < bytes.Length && _headerSize < HeaderLength())
            {
                _header[_headerSize++] = bytes[i++];
            }

            if (_headerSize < HeaderLength())
            {
                break;
            }

            if (!BeginPayload())
            {
                return start;
            }

            progress |= _payloadLeft == 0;
        }

        if (progress)
        {
            _trickle = 0;
            ProgressAt = _seenAt;
        }

        return bytes.Length;
    }

    private int HeaderLength() => _headerSize < 2 ? 2 : (_header[1] & 0x7F) switch
    {
        126 => 4,
        127 => 10,
        _ => 2,
    };

    private bool BeginPayload()
    {
        const int Close = 8;
        int opcode = _header[0] & 0x0F;
        int form = _header[1] & 0x7F;
        ulong size = form switch
        {
            126 => BinaryPrimitives.ReadUInt16BigEndian(_header.AsSpan(2)),
            127 => BinaryPrimitives.ReadUInt64BigEndian(_header.AsSpan(2)),
            _ => (ulong)form,
        };
        if ((form == 126 && size < 126) || (form == 127 && size <= 0xFFFF) || size > long.MaxValue)
        {
            Violation = 1002;
            return false;
        }

        bool isLast = (_header[0] & 0x80) != 0;
        if (opcode < Close)
        {
            _emptyFragments = isLast || size > 0 ? 0 : _emptyFragments + 1;
            if (_emptyFragments > MaxEmptyFragments)
            {
                Violation = 1008;
                return false;
            }
        }

        if (opcode < Close && !isCompressed)
        {
            if (size > (ulong)(maxMessageSize - _messageSize))
            {
                Violation = 1009;
                return false;
            }

            _messageSize = isLast ? 0 : _messageSize + (long)size;
        }

        if (opcode == Close)
        {
            _isClosed = true;
            IsCloseWithoutCode = size == 0;
        }

        _payloadLeft = Math.Min((long)size, long.MaxValue - MaskSize) + ((_header[1] & 0x80) != 0 ? MaskSize : 0);
        _headerSize = 0;
        return true;
    }

    /// <summary>Whether the first byte of a header may be one.</summary>
    private bool IsFirstByteValid(byte first)
    {
        // RSV1 marks the first frame of a compressed message, nothing else (RFC 7692, section 6).
        int reserved = first & (isCompressed && ((first & 0x0F) is 1 or 2) ? 0x30 : 0x70);
        return reserved == 0 && ((first & 0x0F) is <= 2 or (>= 8 and <= 10));
    }
}
