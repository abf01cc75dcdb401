using System;
using System.IO;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>The answer to a <see cref="ServerRequest"/>: status and headers first, then the body.</summary>
/// <remarks>
/// A body up to 64 KiB waits for its end and is sent in one piece, with Content-Length; a longer one, or one that is
/// flushed, is sent as it is written: with the <see cref="ContentLength"/> that was set, else chunked. The answer to HEAD is
/// that to GET without the body: what is written is only counted. From any thread, one at a time, until the handler has
/// ended.
/// </remarks>
public sealed partial class ServerResponse
{
    private readonly ServerRequest _request;
    private readonly RequestThread _thread;
    private readonly ResponseWriter _writer;
    private ResponseBodyStream? _body;
    private int _statusCode = 200;

    internal ServerResponse(ServerRequest request, RequestThread thread)
    {
        _request = request;
        _thread = thread;
        _writer = new ResponseWriter(this, request);
    }

    /// <summary>The status, 200 to 599. 200 unless set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is not one of these.</exception>
    /// <exception cref="InvalidOperationException">The response has been begun.</exception>
    public int StatusCode
    {
        get => _statusCode;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 200);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, 599);
            ThrowIfStarted();
            _statusCode = value;
            IsAnswer = true;
        }
    }

    /// <summary>The headers; no control character gets into them.</summary>
    public ResponseHeaderCollection Headers { get; } = new();

    /// <summary>The media type of the body, such as <c>text/html; charset=utf-8</c>.</summary>
    /// <exception cref="ArgumentException">The value has control characters.</exception>
    /// <exception cref="InvalidOperationException">The response has been begun.</exception>
    public string? ContentType
    {
        get => Headers["Content-Type"];
        set => Headers["Content-Type"] = value;
    }

    /// <summary>
    /// How long the body will be; null: not said. Writing more, or ending with less, throws and ends the connection, since
    /// the client could not tell where the next response begins.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is negative.</exception>
    /// <exception cref="InvalidOperationException">The response has been begun.</exception>
    public long? ContentLength
    {
        get => _writer.DeclaredLength;
        set
        {
            if (value is { } length)
            {
                ArgumentOutOfRangeException.ThrowIfNegative(length, nameof(value));
            }

            ThrowIfStarted();
            _writer.DeclaredLength = value;
        }
    }

    /// <summary>Whether its head has been sent: status and headers are final.</summary>
    public bool HasStarted => _writer.HasStarted;

    /// <summary>The body as a stream; flushing sends what there is.</summary>
    public Stream Body => _body ??= new ResponseBodyStream(this);

    /// <summary>Whether a handler has answered: nobody else need.</summary>
    internal bool IsAnswer { get; private set; }

    internal ResponseWriter Writer => _writer;

    /// <summary>Writes text as UTF-8; as <c>text/plain; charset=utf-8</c> when <see cref="ContentType"/> has not been set.</summary>
    /// <param name="text">The text, or some of it.</param>
    /// <exception cref="InvalidOperationException">The status allows no body, or it would be longer than <see cref="ContentLength"/>.</exception>
    /// <exception cref="IOException">The client is gone, or did not take it in time.</exception>
    /// <exception cref="ObjectDisposedException">The request has ended.</exception>
    public void WriteText(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        SetDefaultContentType("text/plain; charset=utf-8");
        using var utf8 = new PooledUtf8(text);
        Write(utf8.Bytes);
    }

    /// <summary>As <see cref="WriteText"/>, without blocking a thread of the pool; it throws the same, at once or through its task.</summary>
    /// <param name="text">The text, or some of it.</param>
    /// <param name="cancellationToken">Looked at before, not while it is sent.</param>
    public Task WriteTextAsync(string text, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        SetDefaultContentType("text/plain; charset=utf-8");
        return WriteAsync(Encoding.UTF8.GetBytes(text), cancellationToken);
    }

    /// <summary>Writes a value as JSON; as <c>application/json</c> when <see cref="ContentType"/> has not been set.</summary>
    /// <typeparam name="T">The value's type.</typeparam>
    /// <param name="value">The value.</param>
    /// <param name="typeInfo">How it is written; from a <see cref="System.Text.Json.Serialization.JsonSerializerContext"/>.</param>
    /// <exception cref="InvalidOperationException">The status allows no body, or it would be longer than <see cref="ContentLength"/>.</exception>
    /// <exception cref="IOException">The client is gone, or did not take it in time.</exception>
    /// <exception cref="ObjectDisposedException">The request has ended.</exception>
    public void WriteJson<T>(T value, JsonTypeInfo<T> typeInfo)
    {
        ArgumentNullException.ThrowIfNull(typeInfo);
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(value, typeInfo);
        SetDefaultContentType("application/json");
        Write(json);
    }

    /// <summary>As <see cref="WriteJson{T}"/>, without blocking a thread of the pool; it throws the same, at once or through its task.</summary>
    /// <typeparam name="T">The value's type.</typeparam>
    /// <param name="value">The value.</param>
    /// <param name="typeInfo">How it is written.</param>
    /// <param name="cancellationToken">Looked at before, not while it is sent.</param>
    public Task WriteJsonAsync<T>(T value, JsonTypeInfo<T> typeInfo, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(typeInfo);
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(value, typeInfo);
        SetDefaultContentType("application/json");
        return WriteAsync(json, cancellationToken);
    }

    /// <summary>Writes bytes of the body.</summary>
    /// <param name="data">The bytes, or some of them.</param>
    /// <exception cref="InvalidOperationException">The status allows no body, or it would be longer than <see cref="ContentLength"/>.</exception>
    /// <exception cref="IOException">The client is gone, or did not take it in time.</exception>
    /// <exception cref="ObjectDisposedException">The request has ended.</exception>
    public void Write(ReadOnlySpan<byte> data)
    {
        _thread.ThrowIfOver();
        IsAnswer = true;
        if (_writer.TryBuffer(data))
        {
            return;
        }

        byte[] copy = data.ToArray(); // the thread it is sent on may be another
        _thread.Run(() => _writer.Write(copy));
    }

    /// <summary>As <see cref="Write"/>, without blocking a thread of the pool; it throws the same, at once or through its task.</summary>
    /// <param name="data">The bytes, or some of them; not to be changed before the task has completed.</param>
    /// <param name="cancellationToken">Looked at before, not while it is sent.</param>
    public Task WriteAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        _thread.ThrowIfOver();
        IsAnswer = true;
        return _writer.TryBuffer(data.Span) ? Task.CompletedTask : _thread.RunAsync(() => _writer.Write(data.Span));
    }

    /// <summary>Sends what has been written so far, and the head before it.</summary>
    /// <exception cref="IOException">The client is gone, or did not take it in time.</exception>
    /// <exception cref="ObjectDisposedException">The request has ended.</exception>
    public void Flush()
    {
        IsAnswer = true;
        _thread.Run(_writer.Flush);
    }

    /// <summary>As <see cref="Flush"/>, without blocking a thread of the pool; it throws the same, at once or through its task.</summary>
    /// <param name="cancellationToken">Looked at before, not while it is sent.</param>
    public Task FlushAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        IsAnswer = true;
        return _thread.RunAsync(_writer.Flush);
    }

    /// <summary>Sends the client to another address, with status 302, 301 (permanent), 307 or 308 (the same with the method preserved).</summary>
    /// <param name="url">The address, absolute or relative; what is not ASCII is percent-encoded.</param>
    /// <param name="permanent">Whether the client may remember it.</param>
    /// <param name="preserveMethod">Whether it must send the same method and body there; else it will use GET.</param>
    /// <exception cref="ArgumentException">The address is empty or has control characters.</exception>
    /// <exception cref="InvalidOperationException">The response has been begun.</exception>
    public void Redirect(string url, bool permanent = false, bool preserveMethod = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(url);
        HeaderText.CheckValue(url, nameof(url));
        StatusCode = (permanent, preserveMethod) switch
        {
            (false, false) => 302,
            (true, false) => 301,
            (false, true) => 307,
            (true, true) => 308,
        };
        var location = new StringBuilder();
        foreach (Rune rune in url.EnumerateRunes())
        {
            location.Append(rune.Value is > ' ' and < 0x7F ? rune.ToString() : Uri.EscapeDataString(rune.ToString()));
        }

        Headers["Location"] = location.ToString();
    }

    /// <summary>Gives the client a cookie (RFC 6265); unless told otherwise for all paths, hidden from scripts, not sent for other sites.</summary>
    /// <param name="name">Its name, a token.</param>
    /// <param name="value">Its value: ASCII without spaces, quotes, commas, semicolons and backslashes.</param>
    /// <param name="options">What else holds for it; null for the defaults.</param>
    /// <exception cref="ArgumentException">Name, value or an option is not allowed.</exception>
    /// <exception cref="InvalidOperationException">The response has been begun.</exception>
    public void SetCookie(string name, string value, CookieOptions? options = null) =>
        Headers.Add("Set-Cookie", ResponseCookie.Format(name, value, options ?? new CookieOptions()));

    /// <summary>Makes the client forget a cookie.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="options">Path, Domain and the rest as they were when it was set; null for the defaults.</param>
    /// <exception cref="ArgumentException">Name or an option is not allowed.</exception>
    /// <exception cref="InvalidOperationException">The response has been begun.</exception>
    public void DeleteCookie(string name, CookieOptions? options = null)
    {
        options ??= new CookieOptions();
        SetCookie(name, "", new CookieOptions
        {
            Path = options.Path,
            Domain = options.Domain,
            Secure = options.Secure,
            HttpOnly = options.HttpOnly,
            SameSite = options.SameSite,
            MaxAge = TimeSpan.Zero,
            Expires = DateTimeOffset.UnixEpoch,
        });
    }

    /// <summary>Forgets what has been written but not sent, for an error's own response.</summary>
    /// <param name="status">Its status.</param>
    /// <param name="keepsHeaders">Whether what handlers have set stays: unless one of them has failed, they meant it.</param>
    internal void Reset(int status, bool keepsHeaders)
    {
        _writer.Reset();
        if (!keepsHeaders)
        {
            Headers.Clear();
        }

        _statusCode = status;
    }

    private void SetDefaultContentType(string contentType)
    {
        if (!HasStarted && ContentType is null)
        {
            ContentType = contentType;
        }
    }

    private void ThrowIfStarted()
    {
        _thread.ThrowIfOver();
        if (HasStarted)
        {
            throw new InvalidOperationException("The head of the response has been sent; it cannot be changed any more.");
        }
    }
}
