using System;
using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace CivetWeb.Net;

/// <summary>
/// A web origin (RFC 6454): scheme, host and port, in one spelling. The port is the scheme's own where none is given, 0
/// for a scheme that has none.
/// </summary>
internal sealed record Origin(string Scheme, string Host, int Port)
{
    private static readonly SearchValues<char> SchemeCharacters =
        SearchValues.Create("+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    private static readonly SearchValues<char> HostCharacters =
        SearchValues.Create("-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    /// <summary>Null when the text is no origin: a path, user or query makes it something else.</summary>
    public static Origin? TryParse(string text)
    {
        int colon = text.IndexOf("://", StringComparison.Ordinal);
        if (colon <= 0 || !char.IsAsciiLetter(text[0]) || text.AsSpan(0, colon).ContainsAnyExcept(SchemeCharacters))
        {
            return null;
        }

        return TryParse(text[..colon].ToLowerInvariant(), text.AsSpan(colon + 3));
    }

    /// <summary>The origin that pages of this scheme and authority (<c>host[:port]</c>) have; null when it is none.</summary>
    public static Origin? TryParse(string scheme, ReadOnlySpan<char> authority)
    {
        int bracket = authority.LastIndexOf(']');
        int colon = authority.LastIndexOf(':');
        ReadOnlySpan<char> host = colon > bracket ? authority[..colon] : authority;
        int port = scheme switch
        {
            "http" => 80,
            "https" => 443,
            _ => 0,
        };
        if (colon > bracket
            && (!int.TryParse(authority[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out port) || port > 65535))
        {
            return null;
        }

        if (host is ['[', .. var inner, ']'])
        {
            // One spelling of many: [0:0::1] is [::1].
            return IPAddress.TryParse(inner, out IPAddress? address) && address.AddressFamily == AddressFamily.InterNetworkV6 && !inner.Contains('%')
                ? new Origin(scheme, $"[{address}]", port)
                : null;
        }

        return host.IsEmpty || host.ContainsAnyExcept(HostCharacters) ? null : new Origin(scheme, host.ToString().ToLowerInvariant(), port);
    }
}
