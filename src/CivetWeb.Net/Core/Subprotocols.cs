using System;
using System.Collections.Generic;

namespace CivetWeb.Net.Core;

/// <summary>Sec-WebSocket-Protocol (RFC 6455, sections 1.9 and 4.2.2).</summary>
internal static class Subprotocols
{
    /// <summary>The first the client asks for that the server speaks: the client's order is its preference.</summary>
    public static string? Choose(RequestHead info, string[] supported)
    {
        if (supported.Length == 0)
        {
            return null;
        }

        foreach (string wanted in Asked(info))
        {
            if (Array.IndexOf(supported, wanted) >= 0)
            {
                return wanted;
            }
        }

        return null;
    }

    /// <summary>All the client asks for, in its order.</summary>
    public static IEnumerable<string> Asked(RequestHead info)
    {
        foreach ((string name, string value) in info.Headers)
        {
            if (string.Equals(name, "Sec-WebSocket-Protocol", StringComparison.OrdinalIgnoreCase))
            {
                foreach (string part in value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
                {
                    yield return part;
                }
            }
        }
    }

    /// <summary>Throws unless every name is a token (RFC 9110, section 5.6.2): it becomes part of a header.</summary>
    public static void Validate(string[] names, string parameterName)
    {
        ArgumentNullException.ThrowIfNull(names, parameterName);
        foreach (string name in names)
        {
            if (!HeaderText.IsToken(name))
            {
                throw new ArgumentException($"'{name}' is not a subprotocol name: it must be a token of RFC 9110, without spaces, commas or line breaks.", parameterName);
            }
        }
    }
}
