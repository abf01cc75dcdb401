using System;
using System.Collections;
using System.Collections.Generic;
using System.Text;
using System.Threading;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>Headers that go with the answer to a WebSocket's handshake, in the order they were added.</summary>
/// <remarks>Can be changed until <see cref="WebSocketEndpointOptions.OnHandshake"/> has ended.</remarks>
public sealed class WebSocketHandshakeHeaderCollection : IReadOnlyCollection<KeyValuePair<string, string>>
{
    private static readonly HashSet<string> OfTheHandshake = new(StringComparer.OrdinalIgnoreCase)
    {
        "Connection", "Content-Length", "Content-Type", "Keep-Alive", "Trailer", "Transfer-Encoding", "Upgrade",
    };

    private readonly List<KeyValuePair<string, string>> _headers = [];
    private bool _isReadOnly;

    internal WebSocketHandshakeHeaderCollection()
    {
    }

    /// <inheritdoc/>
    public int Count => _headers.Count;

    /// <summary>Adds a header, for example <c>Set-Cookie</c>. One of that name may be there already; both are sent.</summary>
    /// <param name="name">A token (RFC 9110, section 5.1), none of those that the handshake or the response itself sets.</param>
    /// <param name="value">Visible ASCII characters, spaces and tabs.</param>
    /// <exception cref="ArgumentException">The name or the value is not allowed.</exception>
    /// <exception cref="InvalidOperationException">OnHandshake has ended.</exception>
    public void Add(string name, string value)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(value);
        if (_isReadOnly)
        {
            throw WebSocketHandshake.IsOver();
        }

        if (!HeaderText.IsToken(name))
        {
            throw new ArgumentException($"'{name}' is not the name of a header: it must be a token of RFC 9110, without spaces, colons or line breaks.", nameof(name));
        }

        if (OfTheHandshake.Contains(name) || name.StartsWith("Sec-WebSocket-", StringComparison.OrdinalIgnoreCase))
        {
            throw new ArgumentException($"The header '{name}' is set by the handshake itself.", nameof(name));
        }

        foreach (char c in value)
        {
            if (c is not ('\t' or (>= ' ' and <= '~')))
            {
                throw new ArgumentException(
                    $"The value of the header '{name}' contains the character U+{(int)c:X4}, but only visible ASCII characters, spaces and tabs are allowed.", nameof(value));
            }
        }

        _headers.Add(new(name, value));
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, string>> GetEnumerator() => _headers.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    internal void MakeReadOnly() => Volatile.Write(ref _isReadOnly, true);

    internal void WriteTo(StringBuilder text)
    {
        foreach ((string name, string value) in _headers)
        {
            text.Append(name).Append(": ").Append(value).Append("\r\n");
        }
    }
}
