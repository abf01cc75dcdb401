using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>Takes a multipart body apart (RFC 2046, section 5.1), as it comes, in one buffer.</summary>
internal sealed class MultipartReader
{
    private readonly Stream _stream;
    private readonly FormOptions _options;
    private readonly byte[] _delimiter;
    private readonly byte[] _buffer;
    private int _start;
    private int _end;
    private int _parts;
    private bool _atDelimiter; // [_start, _end) begins with it: the part has ended

    public MultipartReader(Stream stream, string boundary, FormOptions options)
    {
        _stream = stream;
        _options = options;
        _delimiter = Encoding.ASCII.GetBytes($"\r\n--{boundary}");
        _buffer = new byte[Math.Max(16 * 1024, options.MaxPartHeaderSize) + _delimiter.Length];

        // The first delimiter has no line before it to end; with this one it is as all others.
        "\r\n"u8.CopyTo(_buffer);
        _end = 2;
    }

    /// <summary>The next part, after the rest of the one before; null after the last.</summary>
    public async Task<MultipartPart?> ReadPartAsync(CancellationToken cancellationToken)
    {
        while (await ReadDataAsync(_buffer.Length, cancellationToken).ConfigureAwait(false) is { Length: > 0 })
        {
            // the preamble, or what the handler has left
        }

        _start += _delimiter.Length;
        _atDelimiter = false;
        if (!await ReadDelimiterEndAsync(cancellationToken).ConfigureAwait(false))
        {
            _parts++; // the last part has ended as well
            await DiscardEpilogueAsync(cancellationToken).ConfigureAwait(false);
            return null;
        }

        if (++_parts > _options.MaxFields)
        {
            throw FormReader.TooMany();
        }

        Dictionary<string, string> headers = await ReadHeadersAsync(cancellationToken).ConfigureAwait(false);
        string disposition = headers.GetValueOrDefault("Content-Disposition", "");
        if (!MediaType.Is(disposition, "form-data") || MediaType.GetParameter(disposition, "name") is not { } name)
        {
            throw Malformed("a part does not say what it is (Content-Disposition: form-data; name=...)");
        }

        return new MultipartPart(name, MediaType.GetParameter(disposition, "filename"), headers, new PartStream(this, _parts));
    }

    private static BadRequestException Malformed(string what) => new(400, $"The multipart body is malformed: {what}.");

    /// <summary>The next bytes of the part, at most so many; empty at its end. Valid until the next call.</summary>
    private async ValueTask<ReadOnlyMemory<byte>> ReadDataAsync(int count, CancellationToken cancellationToken)
    {
        while (!_atDelimiter)
        {
            int found = _buffer.AsSpan(_start, _end - _start).IndexOf(_delimiter);
            _atDelimiter = found == 0;

            // What could be the beginning of the delimiter waits for the rest of it.
            int available = found >= 0 ? found : Math.Max(0, _end - _start - _delimiter.Length + 1);
            if (available > 0)
            {
                int n = Math.Min(available, count);
                _start += n;
                return _buffer.AsMemory(_start - n, n);
            }

            if (!_atDelimiter)
            {
                await FillAsync("it ends before its last boundary", cancellationToken).ConfigureAwait(false);
            }
        }

        return default;
    }

    /// <summary>What follows a delimiter: a line break (true) or two dashes (false).</summary>
    private async ValueTask<bool> ReadDelimiterEndAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            while (_end - _start < 2)
            {
                await FillAsync("it ends before its last boundary", cancellationToken).ConfigureAwait(false);
            }

            switch (_buffer[_start], _buffer[_start + 1])
            {
                case ((byte)'-', (byte)'-'):
                    _start += 2;
                    return false;
                case ((byte)'\r', (byte)'\n'):
                    _start += 2;
                    return true;
                case ((byte)' ' or (byte)'\t', _):
                    _start++;
                    break;
                default:
                    throw Malformed("a line begins with the boundary and goes on");
            }
        }
    }

    /// <summary>Reads to the end, so that the connection can be used again; nothing there means anything.</summary>
    private async ValueTask DiscardEpilogueAsync(CancellationToken cancellationToken)
    {
        while (await _stream.ReadAsync(_buffer, cancellationToken).ConfigureAwait(false) > 0)
        {
        }
    }

    private async ValueTask<Dictionary<string, string>> ReadHeadersAsync(CancellationToken cancellationToken)
    {
        var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        int left = _options.MaxPartHeaderSize;
        while (true)
        {
            int length;
            while ((length = _buffer.AsSpan(_start, _end - _start).IndexOf("\r\n"u8)) < 0)
            {
                if (_end - _start > left)
                {
                    throw TooLarge();
                }

                await FillAsync("it ends within the headers of a part", cancellationToken).ConfigureAwait(false);
            }

            if (length == 0)
            {
                // This line break may be the one before a delimiter: the part is empty.
                _atDelimiter = await StartsWithDelimiterAsync(cancellationToken).ConfigureAwait(false);
                _start += _atDelimiter ? 0 : 2;
                return headers;
            }

            left -= length + 2;
            if (left < 0)
            {
                throw TooLarge();
            }

            string line = Encoding.UTF8.GetString(_buffer.AsSpan(_start, length));
            _start += length + 2;
            int colon = line.IndexOf(':');
            if (colon <= 0 || !HeaderText.IsToken(line.AsSpan(0, colon)) || !headers.TryAdd(line[..colon], line[(colon + 1)..].Trim()))
            {
                throw Malformed("a header of a part is not valid, or is there twice");
            }
        }
    }

    private async ValueTask<bool> StartsWithDelimiterAsync(CancellationToken cancellationToken)
    {
        while (_end - _start < _delimiter.Length && _delimiter.AsSpan().StartsWith(_buffer.AsSpan(_start, _end - _start)))
        {
            await FillAsync("it ends before its last boundary", cancellationToken).ConfigureAwait(false);
        }

        return _buffer.AsSpan(_start, _end - _start).StartsWith(_delimiter);
    }

    private async ValueTask FillAsync(string ifEnded, CancellationToken cancellationToken)
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }

        int n = await _stream.ReadAsync(_buffer.AsMemory(_end), cancellationToken).ConfigureAwait(false);
        if (n == 0)
        {
            throw Malformed(ifEnded);
        }

        _end += n;
    }

    private static BadRequestException TooLarge() => new(413, "The headers of a part of the form are too large.");

    /// <summary>What is in a part.</summary>
    private sealed class PartStream(MultipartReader reader, int number) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException("The length of a part is not known before its end.");

        public override long Position
        {
            get => throw new NotSupportedException("A part cannot be sought in.");
            set => throw new NotSupportedException("A part cannot be sought in.");
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            ValidateBufferArguments(buffer, offset, count);
            return ReadAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        {
            ValidateBufferArguments(buffer, offset, count);
            return ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            ObjectDisposedException.ThrowIf(number != reader._parts, typeof(MultipartPart));
            if (buffer.IsEmpty)
            {
                return 0;
            }

            ReadOnlyMemory<byte> data = await reader.ReadDataAsync(buffer.Length, cancellationToken).ConfigureAwait(false);
            data.CopyTo(buffer);
            return data.Length;
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("A part cannot be sought in.");

        public override void SetLength(long value) => throw new NotSupportedException("A part can only be read.");

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("A part can only be read.");
    }
}
