using System.Collections.Generic;
using System.IO;

namespace CivetWeb.Net;

/// <summary>One part of a <c>multipart/form-data</c> body: a field or a file.</summary>
public sealed class MultipartPart
{
    internal MultipartPart(string name, string? fileName, IReadOnlyDictionary<string, string> headers, Stream body)
    {
        Name = name;
        FileName = fileName;
        Headers = headers;
        Body = body;
    }

    /// <summary>The name of the form's field.</summary>
    public string Name { get; }

    /// <summary>
    /// The name the client gives its file, exactly as sent; null for an ordinary field. Never use it as a path: it may
    /// be one, to anywhere.
    /// </summary>
    public string? FileName { get; }

    /// <summary>The media type, as the client says; null when it does not.</summary>
    public string? ContentType => Headers.GetValueOrDefault("Content-Type");

    /// <summary>The headers of the part, names without regard to case.</summary>
    public IReadOnlyDictionary<string, string> Headers { get; }

    /// <summary>What is in it, as it comes; until the handler's task has ended.</summary>
    public Stream Body { get; }
}
