using System;
using System.IO;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net;

// The body. It can be read once, by one thread at a time, until the handler has ended.
public sealed partial class ServerRequest
{
    private RequestBody? _received;
    private RequestThread? _thread;
    private ServerResponse? _response;

    /// <summary>The length of the body in bytes, 0 without one; null when the client has not said it (<c>Transfer-Encoding: chunked</c>).</summary>
    public long? ContentLength => _received?.Length ?? (_received is null ? 0 : null);

    /// <summary>The media type of the body, as the client says; null when it does not.</summary>
    public string? ContentType => Headers["Content-Type"];

    /// <summary>
    /// The body, as it comes: what the client has not sent yet is waited for. Reading throws
    /// <see cref="BadRequestException"/> when the body is malformed (400), too large (413) or too slow (408),
    /// <see cref="IOException"/> when the client is lost, and <see cref="ObjectDisposedException"/> when the request has ended.
    /// </summary>
    /// <remarks>A client that asked for it (<c>Expect: 100-continue</c>) is told to send the body with the first read.</remarks>
    public Stream Body => _received is null ? Stream.Null : new RequestBodyStream(_received, Thread);

    /// <summary>
    /// How large the body may be, in bytes; null: no limit. <see cref="CivetWebServerOptions.MaxRequestBodySize"/> unless
    /// set before the body is read.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The size is negative.</exception>
    /// <exception cref="InvalidOperationException">The body has been begun.</exception>
    public long? MaxBodySize
    {
        get => _received?.MaxSize;
        set
        {
            if (_received is null)
            {
                throw new InvalidOperationException("A request for a WebSocket has no body.");
            }

            _received.MaxSize = value;
        }
    }

    internal bool ResponseHasStarted => _response?.HasStarted ?? false;

    internal RequestBody ReceivedBody => _received!;

    internal RequestThread Thread => _thread!;

    /// <summary>Reads the body, or what is left of it, to its end.</summary>
    /// <param name="cancellationToken">Ends the reading between two parts of the body.</param>
    /// <exception cref="BadRequestException">The body is malformed, too large or too slow.</exception>
    /// <exception cref="IOException">The client is lost.</exception>
    public async Task<byte[]> ReadBytesAsync(CancellationToken cancellationToken = default)
    {
        // As much as the client says there is, but only as fast as it comes.
        using var bytes = new MemoryStream((int)Math.Min(ContentLength ?? 0, 64 * 1024));
        await Body.CopyToAsync(bytes, 16 * 1024, cancellationToken).ConfigureAwait(false);
        return bytes.ToArray();
    }

    /// <summary>Reads the body as UTF-8 text, or in the charset of its Content-Type: US-ASCII and ISO-8859-1 besides UTF-8.</summary>
    /// <param name="cancellationToken">Ends the reading between two parts of the body.</param>
    /// <exception cref="BadRequestException">The body is malformed, too large or too slow, or in another charset (415).</exception>
    /// <exception cref="IOException">The client is lost.</exception>
    public async Task<string> ReadTextAsync(CancellationToken cancellationToken = default)
    {
        Encoding encoding = MediaType.GetEncoding(ContentType);
        byte[] bytes = await ReadBytesAsync(cancellationToken).ConfigureAwait(false);
        int mark = bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? Encoding.UTF8.Preamble.Length : 0;
        return encoding.GetString(bytes.AsSpan(mark));
    }

    /// <summary>Reads the body as JSON (UTF-8).</summary>
    /// <typeparam name="T">The type read.</typeparam>
    /// <param name="typeInfo">How it is read; from a <see cref="System.Text.Json.Serialization.JsonSerializerContext"/>.</param>
    /// <param name="cancellationToken">Ends the reading between two parts of the body.</param>
    /// <returns>The value; null when the body says so.</returns>
    /// <exception cref="BadRequestException">The body is malformed, too large or too slow, or no such JSON (400).</exception>
    /// <exception cref="IOException">The client is lost.</exception>
    public async Task<T?> ReadJsonAsync<T>(JsonTypeInfo<T> typeInfo, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(typeInfo);
        try
        {
            return await JsonSerializer.DeserializeAsync(Body, typeInfo, cancellationToken).ConfigureAwait(false);
        }
        catch (JsonException e)
        {
            throw new BadRequestException(400, "The body of the request is not the JSON that was expected.", e);
        }
    }

    /// <summary>
    /// Reads a form: <c>application/x-www-form-urlencoded</c>, or the text fields of <c>multipart/form-data</c> (its files
    /// are skipped; <see cref="ReadMultipartAsync"/> gives them).
    /// </summary>
    /// <param name="options">Limits; null for the defaults.</param>
    /// <param name="cancellationToken">Ends the reading between two parts of the body.</param>
    /// <exception cref="BadRequestException">
    /// The body is malformed, too large or too slow, over a limit of the options (413), or no form (415).
    /// </exception>
    /// <exception cref="IOException">The client is lost.</exception>
    public Task<RequestVariableCollection> ReadFormAsync(FormOptions? options = null, CancellationToken cancellationToken = default) =>
        FormReader.ReadAsync(this, options ?? new FormOptions(), cancellationToken);

    /// <summary>Reads <c>multipart/form-data</c> (RFC 7578) part by part, as it comes: files of any size.</summary>
    /// <param name="handler">Gets each part; what it leaves unread of <see cref="MultipartPart.Body"/> is skipped when its task has ended.</param>
    /// <param name="options">Limits; null for the defaults.</param>
    /// <param name="cancellationToken">Ends the reading between two parts of the body.</param>
    /// <exception cref="BadRequestException">
    /// The body is malformed, too large or too slow, over a limit of the options (413), or of another type (415).
    /// </exception>
    /// <exception cref="IOException">The client is lost.</exception>
    public async Task ReadMultipartAsync(
        Func<MultipartPart, Task> handler, FormOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(handler);
        var reader = new MultipartReader(Body, MediaType.GetBoundary(ContentType), options ?? new FormOptions());
        while (await reader.ReadPartAsync(cancellationToken).ConfigureAwait(false) is { } part)
        {
            await handler(part).ConfigureAwait(false);
        }
    }

    /// <summary>Takes the connection's thread from a handler that only awaits.</summary>
    internal void GiveThreadBack() => _thread?.GiveBack();

    /// <summary>The request is to be answered by a handler on this thread.</summary>
    internal void Attach(RequestThread thread, ServerResponse response)
    {
        _thread = thread;
        _response = response;
        _received = new RequestBody(this);
    }
}
