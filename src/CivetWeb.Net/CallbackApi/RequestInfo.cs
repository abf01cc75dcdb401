using System;
using System.Collections.Generic;

namespace CivetWeb.Net.CallbackApi;

/// <summary>A copy of what the server knows about a request (<c>struct mg_request_info</c>). It can be kept.</summary>
public sealed class RequestInfo
{
    private readonly KeyValuePair<string, string>[] _headers;

    internal RequestInfo(KeyValuePair<string, string>[] headers) => _headers = headers;

    /// <summary>What follows the first ?, as it was sent, whatever option decode_query_string says.</summary>
    internal string? RawQuery { get; init; }

    /// <summary>The request method, such as <c>GET</c>.</summary>
    public string Method { get; internal init; } = "";

    /// <summary>The request target as the client sent it (RFC 9112, section 3.2): path and query, nothing decoded or removed.</summary>
    public string RawTarget => RawQuery is null ? Uri : $"{Uri}?{RawQuery}";

    /// <summary>The request target as the client sent it, without the query.</summary>
    public string Uri { get; internal init; } = "";

    /// <summary>The path on this server, still percent-encoded.</summary>
    public string LocalUriRaw { get; internal init; } = "";

    /// <summary>
    /// The path on this server, percent-decoded, without dot segments (RFC 3986, section 5.2.4). A slash or backslash that was
    /// escaped stays so (<c>%2F</c>, <c>%5C</c>): it does not separate segments.
    /// </summary>
    public string LocalUri { get; internal init; } = "";

    /// <summary>The protocol version, such as <c>1.1</c>.</summary>
    public string HttpVersion { get; internal init; } = "";

    /// <summary>What follows the first <c>?</c>, not decoded; null without one.</summary>
    public string? QueryString { get; internal init; }

    /// <summary>The user CivetWeb has authenticated, or null.</summary>
    public string? RemoteUser { get; internal init; }

    /// <summary>
    /// The client's address as text; <c>*</c> for a Unix domain socket. Behind a proxy that option <c>trusted_proxies</c>
    /// names: what the proxy says it is.
    /// </summary>
    public string RemoteAddress { get; internal init; } = "";

    /// <summary>The address of whoever made the connection, be it the client or a proxy; <c>*</c> for a Unix domain socket.</summary>
    public string PeerAddress { get; internal init; } = "";

    /// <summary>Whether a trusted proxy says by X-Forwarded-For who the client is.</summary>
    internal bool IsForwarded { get; init; }

    /// <summary>Whether it says so in a way that nobody understands: such a request reaches no callback.</summary>
    internal bool IsClientUnknown { get; init; }

    /// <summary>The client's port; 0 when its address comes from an <c>X-Forwarded-For</c> header.</summary>
    public int RemotePort { get; internal init; }

    /// <summary>The port the client connected to.</summary>
    public int ServerPort { get; internal init; }

    /// <summary>The length of the request body in bytes; -1 when it is not known.</summary>
    public long ContentLength { get; internal init; }

    /// <summary>Whether the connection uses TLS.</summary>
    public bool IsTls { get; internal init; }

    /// <summary>The WebSocket subprotocol that was agreed on, or null.</summary>
    public string? Subprotocol { get; internal set; }

    /// <summary>The object given when the server was started.</summary>
    public object? UserData { get; internal init; }

    /// <summary>The value of <see cref="Connection.Data"/> when the information was read.</summary>
    public object? ConnectionData { get; internal init; }

    /// <summary>The request headers in the order they came, at most 64; names as the client wrote them.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Headers => _headers;

    /// <summary>The value of the first header of that name, whatever its case; null without one.</summary>
    /// <param name="name">The header's name.</param>
    /// <exception cref="ArgumentNullException"><paramref name="name"/> is null.</exception>
    public string? GetHeader(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        foreach ((string key, string value) in _headers)
        {
            if (string.Equals(key, name, StringComparison.OrdinalIgnoreCase))
            {
                return value;
            }
        }

        return null;
    }

    /// <summary>The value of a cookie (RFC 6265); null without it.</summary>
    /// <param name="name">The cookie's name; case matters.</param>
    /// <exception cref="ArgumentException"><paramref name="name"/> is null or empty.</exception>
    public string? GetCookie(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        foreach ((string key, string header) in _headers)
        {
            if (!string.Equals(key, "Cookie", StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            foreach (Range part in header.AsSpan().Split(';'))
            {
                ReadOnlySpan<char> pair = header.AsSpan(part).Trim();
                int equals = pair.IndexOf('=');
                if (equals < 0 || !pair[..equals].TrimEnd().SequenceEqual(name))
                {
                    continue;
                }

                ReadOnlySpan<char> value = pair[(equals + 1)..].TrimStart();
                return value.Length >= 2 && value[0] == '"' && value[^1] == '"' ? value[1..^1].ToString() : value.ToString();
            }
        }

        return null;
    }
}
