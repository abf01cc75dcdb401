using System;
using System.Buffers;

namespace CivetWeb.Net.Core;

/// <summary>
/// A web origin (RFC 6454): scheme, host and port, in one spelling. The port is the scheme's own where none is given, 0
/// for a scheme that has none.
/// </summary>
internal sealed record Origin(string Scheme, string Host, int Port)
{
    private static readonly SearchValues<char> SchemeCharacters =
        SearchValues.Create("+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    /// <summary>Null when the text is not an origin: one has no path, user or query.</summary>
    public static Origin? TryParse(string text)
    {
        int colon = text.IndexOf("://", StringComparison.Ordinal);
        if (colon <= 0 || !char.IsAsciiLetter(text[0]) || text.AsSpan(0, colon).ContainsAnyExcept(SchemeCharacters))
        {
            return null;
        }

        return TryParse(text[..colon].ToLowerInvariant(), text.AsSpan(colon + 3));
    }

    /// <summary>The origin that pages of this scheme and authority (<c>host[:port]</c>) have; null when that is not an origin.</summary>
    public static Origin? TryParse(string scheme, ReadOnlySpan<char> authority)
    {
        int usual = scheme switch
        {
            "http" => 80,
            "https" => 443,
            _ => 0,
        };
        return Authority.TryParse(authority, out string host, out int? port) ? new Origin(scheme, host, port ?? usual) : null;
    }
}
