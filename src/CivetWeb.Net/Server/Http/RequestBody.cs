using System;
using System.Diagnostics;
using System.IO;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net;

/// <summary>The body of a request as it comes from the client, with its limits.</summary>
internal sealed class RequestBody
{
    /// <summary>What a handler leaves unread is skipped up to this size; beyond it the connection is closed.</summary>
    private const int DrainLimit = 64 * 1024;

    /// <summary>How long that may take, and how long a client may go on sending when the connection is closed.</summary>
    private static readonly TimeSpan DrainTime = TimeSpan.FromSeconds(1);

    private readonly ServerRequest _request;
    private readonly ServerConnection _connection;
    private readonly CivetWebServerOptions _options;
    private readonly long[] _chunk = new long[2];
    private readonly bool _expectsContinue;
    private long? _maxSize;
    private long _received;
    private TimeSpan _readTime;
    private bool _begun;
    private bool _ended;
    private IOException? _failure;

    public RequestBody(ServerRequest request)
    {
        _request = request;
        _connection = request.Connection;
        _options = request.Server.Options;
        _maxSize = _options.MaxRequestBodySize;
        Length = _connection.BodyLength is >= 0 and var length ? length : null;
        _ended = Length == 0;
        _expectsContinue = !_ended && request.HttpVersion == "1.1"
            && string.Equals(request.Headers["Expect"], "100-continue", StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>The Content-Length, 0 without a body, null when it is chunked.</summary>
    public long? Length { get; }

    public long? MaxSize
    {
        get => _maxSize;
        set
        {
            if (value is { } size)
            {
                ArgumentOutOfRangeException.ThrowIfNegative(size);
            }

            if (_begun)
            {
                throw new InvalidOperationException("The limit of the body must be set before the body is read.");
            }

            _maxSize = value;
        }
    }

    /// <summary>
    /// Whether the connection can go on after the request. One whose client waits to be told to send a body cannot: it
    /// may send it all the same.
    /// </summary>
    public bool AllowsKeepAlive =>
        _ended || (_failure is null && (!_expectsContinue || _begun) && (Length is null || Length - _received <= DrainLimit));

    /// <summary>Whether the client was gone before the body had come.</summary>
    public bool IsLost => _failure is not null and not BadRequestException;

    /// <summary>What is there, waiting for the first byte; 0 at the end. On one thread at a time.</summary>
    public int Read(Span<byte> buffer)
    {
        if (_failure is not null)
        {
            throw Again(_failure);
        }

        if (_ended || buffer.IsEmpty)
        {
            return 0;
        }

        if (!_begun)
        {
            Begin();
        }

        long start = Stopwatch.GetTimestamp();
        int n = _connection.ReadBody(buffer, timeout: -1, _chunk);
        _readTime += Stopwatch.GetElapsedTime(start);
        switch (n)
        {
            case 0:
                _ended = true;
                return 0;
            case > 0:
                _received += n;
                _ended = Length == _received;
                CheckLimits();
                return n;
            case NativeBody.TimedOut:
                throw Fail(408, "The body of the request did not come in time.");
            case NativeBody.Malformed:
                throw Fail(400, "The body of the request is malformed: its chunks are wrong.");
            default:
                throw _failure = new IOException("The connection was lost before the body of the request had come.");
        }
    }

    /// <summary>After the response: reads over what is left, or closes the connection.</summary>
    /// <param name="keepAlive">Whether the client was told that the connection goes on.</param>
    public void Finish(bool keepAlive)
    {
        if (keepAlive && TryDrain())
        {
            return;
        }

        if (_ended)
        {
            _connection.EndAfterRequest();
        }
        else
        {
            _connection.CloseAfterResponse((int)DrainTime.TotalMilliseconds);
        }
    }

    private static IOException Again(IOException failure) =>
        failure is BadRequestException bad ? new BadRequestException(bad.StatusCode, bad.Message, bad) : new IOException(failure.Message, failure);

    private bool TryDrain()
    {
        if (_ended)
        {
            return true;
        }

        if (!AllowsKeepAlive)
        {
            return false;
        }

        Span<byte> sink = stackalloc byte[4096];
        long start = Stopwatch.GetTimestamp();
        int drained = 0;
        while (drained <= DrainLimit)
        {
            TimeSpan left = DrainTime - Stopwatch.GetElapsedTime(start);
            int n = left <= TimeSpan.Zero ? NativeBody.TimedOut : _connection.ReadBody(sink, (int)left.TotalMilliseconds + 1, _chunk);
            if (n <= 0)
            {
                return _ended = n == 0;
            }

            drained += n;
        }

        return false;
    }

    private void Begin()
    {
        if (Length > MaxSize)
        {
            throw TooLarge();
        }

        _begun = true;
        if (_expectsContinue && !_request.ResponseHasStarted
            && !_connection.WriteResponse("HTTP/1.1 100 Continue\r\n\r\n"u8, _options.WriteTimeoutMilliseconds))
        {
            throw _failure = new IOException("The connection was lost before the body of the request had come.");
        }
    }

    private void CheckLimits()
    {
        if (_received > MaxSize)
        {
            throw TooLarge();
        }

        if (!_ended && _options.MinRequestBodyRate > 0 && _readTime > _options.RequestBodyGrace
            && _received < _options.MinRequestBodyRate * _readTime.TotalSeconds)
        {
            throw Fail(408, "The body of the request came too slowly.");
        }
    }

    private BadRequestException TooLarge() => Fail(413, $"The body of the request is larger than {MaxSize} bytes.");

    private BadRequestException Fail(int status, string message)
    {
        var exception = new BadRequestException(status, message);
        _failure = exception;
        return exception;
    }
}
