using System;
using System.Buffers.Text;
using System.IO;
using System.Text;

namespace CivetWeb.Net;

/// <summary>
/// A response on the connection: head, framing, body. Used by one thread at a time: the connection's own, or the one
/// that <see cref="RequestThread"/> lets in.
/// </summary>
/// <remarks>States: gathering (the head can change) → streaming → complete; or failed, the connection cut.</remarks>
internal sealed class ResponseWriter(ServerResponse response, ServerRequest request)
{
    private const int GatherSize = 64 * 1024;
    private const int SendSize = 16 * 1024; // a TLS record; what the time-out is for
    private const int FrontSize = 8; // a chunk's size: at most five digits and a line break
    private const int BackSize = 7; // the end of a chunk, and the last chunk

    private readonly bool _isHead = request.Method == "HEAD";
    private byte[] _buffer = [];
    private int _buffered;
    private long _length;
    private bool _chunked;
    private bool _complete;
    private int _unseen; // bytes of a body that nobody gets, since the client was looked for

    public long? DeclaredLength { get; set; }

    public bool HasStarted { get; private set; }

    /// <summary>Whether the client cannot be answered any more.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>Whether the handler has been told that nobody receives what it goes on to write: the client has all it gets.</summary>
    public bool HasEndedEarly { get; private set; }

    /// <summary>What the client was told.</summary>
    public bool KeepsAlive { get; private set; }

    /// <summary>Whether anything was written.</summary>
    public bool HasContent => _length > 0;

    private bool HasNoBody => response.StatusCode is 204 or 304;

    private bool Discards => _isHead || HasNoBody;

    private int Limit => HasStarted ? SendSize : GatherSize;

    /// <summary>Keeps the bytes if they need not be sent yet.</summary>
    /// <exception cref="InvalidOperationException">There can be no such body.</exception>
    public bool TryBuffer(ReadOnlySpan<byte> data)
    {
        if (!Discards && _buffered + (long)data.Length > Limit)
        {
            return false;
        }

        Count(data.Length);
        if (Discards)
        {
            Discard(data.Length);
        }
        else
        {
            Append(data);
        }

        return true;
    }

    /// <summary>Writes what did not fit the buffer.</summary>
    public int Write(ReadOnlySpan<byte> data)
    {
        Count(data.Length);
        int size = data.Length;
        while (!data.IsEmpty)
        {
            int n = Math.Min(data.Length, Limit - _buffered);
            if (n > 0)
            {
                Append(data[..n]);
                data = data[n..];
            }

            if (!data.IsEmpty)
            {
                Send(isLast: false);
            }
        }

        return size;
    }

    public int Flush()
    {
        ThrowIfFailed();
        if (HasStarted && Discards)
        {
            EndEarly();
        }

        if (!HasStarted || _buffered > 0)
        {
            Send(isLast: false);
        }

        return 0;
    }

    /// <summary>The handler has ended: sends what is left.</summary>
    /// <exception cref="InvalidOperationException">The body is shorter than was declared.</exception>
    public void Complete()
    {
        if (_complete || HasFailed || HasEndedEarly)
        {
            return;
        }

        if (DeclaredLength is { } declared && declared != _length && !HasNoBody && !(_isHead && _length == 0))
        {
            if (HasStarted)
            {
                Fail();
            }

            throw new InvalidOperationException($"The body of the response is {_length} bytes long, but its ContentLength was set to {declared}.");
        }

        Send(isLast: true);
        _complete = true;
    }

    /// <summary>The response is sent by CivetWeb.</summary>
    public void BeginFile()
    {
        if (HasStarted || _length > 0 || DeclaredLength is not null)
        {
            throw new InvalidOperationException("A file is a response of its own: nothing can be written before it, and its length is known.");
        }
    }

    public void SetKeepAlive()
    {
        KeepsAlive = request.Connection.CanKeepAlive && request.ReceivedBody.AllowsKeepAlive;
        if (!KeepsAlive)
        {
            request.Connection.EndAfterRequest();
        }
    }

    public void EndFile()
    {
        HasStarted = true;
        _complete = true;
        response.Headers.IsReadOnly = true;
    }

    /// <summary>Cuts the connection: what was sent must not be taken for the whole.</summary>
    public void Fail()
    {
        HasFailed = true;
        KeepsAlive = false;
        request.Connection.Cut();
    }

    public void Reset()
    {
        _buffered = 0;
        _length = 0;
        DeclaredLength = null;
    }

    private void ThrowIfFailed()
    {
        if (HasFailed)
        {
            throw new IOException("The response cannot be sent any more: the connection has been lost.");
        }
    }

    private void Count(int size)
    {
        ThrowIfFailed();
        if (_complete)
        {
            throw new InvalidOperationException("The response is complete: a file has been sent.");
        }

        if (HasNoBody && size > 0)
        {
            throw new InvalidOperationException($"A response with status {response.StatusCode} has no body.");
        }

        if (DeclaredLength is { } declared && size > declared - _length)
        {
            if (HasStarted)
            {
                Fail();
            }

            throw new InvalidOperationException($"The body of the response would be longer than its ContentLength, {declared} bytes.");
        }

        _length += size;
    }

    /// <summary>No send will fail for want of a client: a handler that writes without end has to be told in another way.</summary>
    private void Discard(int size)
    {
        _unseen = (int)Math.Min((long)_unseen + size, int.MaxValue);
        if (_unseen < GatherSize)
        {
            return;
        }

        _unseen = 0;
        if (HasStarted)
        {
            EndEarly();
        }

        if (request.IsClientGone)
        {
            Fail();
            ThrowIfFailed();
        }
    }

    private void EndEarly()
    {
        HasEndedEarly = true;
        throw new IOException("The response has no body, and its head has been sent: nobody receives what is written now.");
    }

    private void Append(ReadOnlySpan<byte> data)
    {
        int needed = FrontSize + _buffered + data.Length + BackSize;
        if (_buffer.Length < needed)
        {
            Array.Resize(ref _buffer, Math.Max(needed, Math.Min(_buffer.Length * 2, GatherSize + FrontSize + BackSize)));
        }

        data.CopyTo(_buffer.AsSpan(FrontSize + _buffered));
        _buffered += data.Length;
    }

    /// <summary>Sends the head if it is due, and what is buffered.</summary>
    private void Send(bool isLast)
    {
        byte[] head = HasStarted ? [] : Begin(isLast);
        ReadOnlySpan<byte> body = Frame(isLast);
        _buffered = 0;
        if (head.Length > 0 && head.Length + body.Length <= SendSize)
        {
            SendPieces([.. head, .. body]); // one packet, if it fits
        }
        else
        {
            SendPieces(head);
            SendPieces(body);
        }
    }

    private void SendPieces(ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            int n = Math.Min(data.Length, SendSize);
            if (!request.Connection.WriteResponse(data[..n], request.Server.Options.WriteTimeoutMilliseconds))
            {
                Fail();
                ThrowIfFailed();
            }

            data = data[n..];
        }
    }

    private ReadOnlySpan<byte> Frame(bool isLast)
    {
        if (Discards)
        {
            return [];
        }

        if (!_chunked)
        {
            return _buffered == 0 ? [] : _buffer.AsSpan(FrontSize, _buffered);
        }

        Append([]); // room for the frame, even around nothing
        int start = FrontSize;
        int end = FrontSize + _buffered;
        if (_buffered > 0)
        {
            Span<byte> size = stackalloc byte[FrontSize];
            Utf8Formatter.TryFormat(_buffered, size, out int digits, new System.Buffers.StandardFormat('x'));
            "\r\n"u8.CopyTo(size[digits..]);
            start -= digits + 2;
            size[..(digits + 2)].CopyTo(_buffer.AsSpan(start));
            "\r\n"u8.CopyTo(_buffer.AsSpan(end));
            end += 2;
        }

        if (isLast)
        {
            "0\r\n\r\n"u8.CopyTo(_buffer.AsSpan(end));
            end += 5;
        }

        return _buffer.AsSpan(start, end - start);
    }

    private byte[] Begin(bool isLast)
    {
        SetKeepAlive();
        long? length = DeclaredLength ?? (isLast ? _length : null);
        _chunked = length is null && request.HttpVersion != "1.0" && !HasNoBody;
        if (length is null && !_chunked && !HasNoBody && KeepsAlive)
        {
            // HTTP/1.0: the end of the connection is the end of the body.
            KeepsAlive = false;
            request.Connection.EndAfterRequest();
        }

        var head = new StringBuilder();
        head.Append("HTTP/1.1 ").Append(response.StatusCode).Append(' ').Append(ReasonPhrases.Of(response.StatusCode)).Append("\r\n");
        foreach ((string name, string value) in response.Headers)
        {
            head.Append(name).Append(": ").Append(value).Append("\r\n");
        }

        if (response.Headers["Date"] is null)
        {
            head.Append("Date: ").Append(ResponseDate.Now).Append("\r\n");
        }

        if (_chunked)
        {
            head.Append("Transfer-Encoding: chunked\r\n");
        }
        else if (length is { } size && !HasNoBody)
        {
            head.Append("Content-Length: ").Append(size).Append("\r\n");
        }

        head.Append(KeepsAlive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
        HasStarted = true;
        response.Headers.IsReadOnly = true;
        return Encoding.UTF8.GetBytes(head.ToString());
    }
}
