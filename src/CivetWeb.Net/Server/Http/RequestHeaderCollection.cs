using System;
using System.Collections;
using System.Collections.Generic;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>The headers of a request, in the order they came; names without regard to case.</summary>
public sealed class RequestHeaderCollection : IReadOnlyCollection<KeyValuePair<string, string>>
{
    private readonly RequestHead _info;

    internal RequestHeaderCollection(RequestHead info) => _info = info;

    /// <inheritdoc/>
    public int Count => _info.Headers.Count;

    /// <summary>The value of the first header of that name; null without one.</summary>
    /// <param name="name">The header's name.</param>
    public string? this[string name] => _info.GetHeader(name);

    /// <summary>The values of all headers of that name.</summary>
    /// <param name="name">The header's name.</param>
    /// <exception cref="ArgumentNullException"><paramref name="name"/> is null.</exception>
    public IEnumerable<string> GetValues(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        foreach ((string key, string value) in _info.Headers)
        {
            if (string.Equals(key, name, StringComparison.OrdinalIgnoreCase))
            {
                yield return value;
            }
        }
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, string>> GetEnumerator() => _info.Headers.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
