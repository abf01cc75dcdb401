using System;
using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace CivetWeb.Net.Core;

/// <summary>Host and port of an address, as a Host header and an origin have them (RFC 3986, section 3.2, without a user).</summary>
internal static class Authority
{
    private static readonly SearchValues<char> HostCharacters =
        SearchValues.Create("-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    /// <summary>Reads <c>host[:port]</c>. Escapes in a host name, which browsers never send, are refused.</summary>
    /// <param name="text">The text.</param>
    /// <param name="host">The host in lower case; an IPv6 address in brackets, in one spelling of many.</param>
    /// <param name="port">The port; null when there is no colon.</param>
    public static bool TryParse(ReadOnlySpan<char> text, out string host, out int? port)
    {
        host = "";
        port = null;
        int bracket = text.LastIndexOf(']');
        int colon = text.LastIndexOf(':');
        ReadOnlySpan<char> name = colon > bracket ? text[..colon] : text;
        if (colon > bracket)
        {
            if (!int.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int number) || number > ushort.MaxValue)
            {
                return false;
            }

            port = number;
        }

        if (name is ['[', .. var inner, ']'])
        {
            if (inner.Contains('%') || !IPAddress.TryParse(inner, out IPAddress? address) || address.AddressFamily != AddressFamily.InterNetworkV6)
            {
                return false;
            }

            host = $"[{address}]";
            return true;
        }

        host = name.ToString().ToLowerInvariant();
        return !name.IsEmpty && !name.ContainsAnyExcept(HostCharacters);
    }
}
