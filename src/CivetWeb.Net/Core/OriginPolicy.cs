using System;
using System.Collections.Generic;
using System.Linq;

namespace CivetWeb.Net.Core;

/// <summary>Whose pages may open a WebSocket (RFC 6455, section 10.2).</summary>
internal sealed class OriginPolicy
{
    /// <summary>What an entry may be, for messages.</summary>
    public const string Allowed = "scheme://host[:port], without a path and in ASCII, such as https://example.org; self for pages of this server; or * for every page";

    private const string Self = "self";

    private readonly bool _all;
    private readonly bool _own;
    private readonly HashSet<Origin> _allowed;

    /// <param name="allowed">Valid origins, self or *; null: self.</param>
    public OriginPolicy(IEnumerable<string>? allowed)
    {
        string[] entries = allowed is null ? [Self] : [.. allowed];
        _all = entries.Contains("*");
        _own = entries.Contains(Self);
        _allowed = [.. entries.Where(entry => entry is not ("*" or Self)).Select(entry => Origin.TryParse(entry)!)];
    }

    /// <summary>Whether it can be an entry.</summary>
    public static bool IsEntry(string? entry) => entry is not null && (entry is "*" or Self || Origin.TryParse(entry) is not null);

    public bool Allows(RequestHead request)
    {
        string? text = null;
        foreach ((string name, string value) in request.Headers)
        {
            if (!string.Equals(name, "Origin", StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            if (text is not null)
            {
                return false; // whose page would it be?
            }

            text = value;
        }

        if (text is null || _all)
        {
            return true;
        }

        if (Origin.TryParse(text) is not { } origin)
        {
            return false;
        }

        return _allowed.Contains(origin) || (_own && IsOwn(origin, request.GetHeader("Host"), request.IsTls));
    }

    /// <summary>
    /// The Host header names no scheme. Behind a proxy that ends the TLS the page is https and the connection is not, so
    /// that the origin's scheme decides which port is meant by none. A page without TLS is never one of a server with TLS:
    /// anybody on its way could have written it.
    /// </summary>
    private static bool IsOwn(Origin origin, string? host, bool isHttps) =>
        origin.Scheme is "http" or "https"
        && !(isHttps && origin.Scheme == "http")
        && host is not null
        && Origin.TryParse(origin.Scheme, host) == origin;
}
