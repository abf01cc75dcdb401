using System;
using System.Collections;
using System.Collections.Generic;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>The headers of a response, in their order; names without regard to case, each as often as it was added.</summary>
/// <remarks>
/// What frames the response on the connection is the server's: Content-Length is <see cref="ServerResponse.ContentLength"/>,
/// Connection and Transfer-Encoding follow from the request.
/// </remarks>
public sealed class ResponseHeaderCollection : IReadOnlyCollection<KeyValuePair<string, string>>
{
    private readonly List<KeyValuePair<string, string>> _headers = [];

    internal ResponseHeaderCollection()
    {
    }

    /// <inheritdoc/>
    public int Count => _headers.Count;

    internal bool IsReadOnly { get; set; }

    /// <summary>The value of the first header of that name, null without one. Setting replaces all of that name; null removes them.</summary>
    /// <param name="name">The header's name, a token (RFC 9110, section 5.6.2).</param>
    /// <exception cref="ArgumentException">
    /// The name is not valid or is one of the server's own (Content-Length, Connection, ...), or the value has control characters.
    /// </exception>
    /// <exception cref="InvalidOperationException">The response has been begun.</exception>
    public string? this[string name]
    {
        get
        {
            ArgumentNullException.ThrowIfNull(name);
            int i = IndexOf(name);
            return i < 0 ? null : _headers[i].Value;
        }

        set
        {
            if (value is null)
            {
                Remove(name);
                return;
            }

            Check(name, value);
            int i = IndexOf(name);
            if (i < 0)
            {
                _headers.Add(new(name, value));
                return;
            }

            Remove(name);
            _headers.Insert(i, new(name, value));
        }
    }

    /// <summary>Adds a header, beside others of that name.</summary>
    /// <param name="name">The header's name, a token (RFC 9110, section 5.6.2).</param>
    /// <param name="value">Its value; what is not ASCII is sent as UTF-8.</param>
    /// <exception cref="ArgumentException">
    /// The name is not valid or is one of the server's own (Content-Length, Connection, ...), or the value has control characters.
    /// </exception>
    /// <exception cref="InvalidOperationException">The response has been begun.</exception>
    public void Add(string name, string value)
    {
        Check(name, value);
        _headers.Add(new(name, value));
    }

    /// <summary>Removes all headers of that name; whether there was one.</summary>
    /// <param name="name">The header's name.</param>
    /// <exception cref="InvalidOperationException">The response has been begun.</exception>
    public bool Remove(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        ThrowIfReadOnly();
        return _headers.RemoveAll(h => string.Equals(h.Key, name, StringComparison.OrdinalIgnoreCase)) > 0;
    }

    /// <summary>Removes all headers.</summary>
    /// <exception cref="InvalidOperationException">The response has been begun.</exception>
    public void Clear()
    {
        ThrowIfReadOnly();
        _headers.Clear();
    }

    /// <summary>The values of all headers of that name.</summary>
    /// <param name="name">The header's name.</param>
    public IEnumerable<string> GetValues(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        foreach ((string key, string value) in _headers)
        {
            if (string.Equals(key, name, StringComparison.OrdinalIgnoreCase))
            {
                yield return value;
            }
        }
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, string>> GetEnumerator() => _headers.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private static bool IsServersOwn(string name) => name.ToUpperInvariant() is
        "CONTENT-LENGTH" or "TRANSFER-ENCODING" or "CONNECTION" or "KEEP-ALIVE" or "PROXY-CONNECTION" or "TE" or "TRAILER" or "UPGRADE";

    private int IndexOf(string name) => _headers.FindIndex(h => string.Equals(h.Key, name, StringComparison.OrdinalIgnoreCase));

    private void Check(string name, string value)
    {
        HeaderText.CheckName(name, nameof(name));
        HeaderText.CheckValue(value, nameof(value));
        if (IsServersOwn(name))
        {
            throw new ArgumentException(
                $"The header {name} is set by the server itself; the length of a body is set with ServerResponse.ContentLength.", nameof(name));
        }

        ThrowIfReadOnly();
    }

    private void ThrowIfReadOnly()
    {
        if (IsReadOnly)
        {
            throw new InvalidOperationException("The head of the response has been sent; its headers cannot be changed any more.");
        }
    }
}
