using System;
using System.Collections.Generic;
using System.Net;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.Core;

/// <summary>What is known about a request before its body: the copy that both APIs show.</summary>
internal sealed class RequestHead
{
    private readonly NativeRequestData _data;

    /// <summary>Takes over what CivetWeb knows, and asks trusted proxies who the client is.</summary>
    /// <param name="data">CivetWeb's.</param>
    /// <param name="settings">The server's.</param>
    /// <param name="peer">The peer's address if a PROXY header has replaced it.</param>
    public RequestHead(in NativeRequestData data, ServerSettings settings, string? peer)
    {
        _data = data;
        string remote = data.RemoteAddress;
        string? client = null;
        IsClientUnknown = settings.TrustedProxies is { } proxies && proxies.Contains(remote) && !proxies.TryFindClient(data.Headers, out client);
        IsForwarded = client is not null;
        RemoteAddress = client ?? remote;
        RemotePort = client is null ? data.RemotePort : 0;
        PeerAddress = peer ?? remote;
        QueryString = data.Query is { } query && settings.DecodesQueries ? WebUtility.UrlDecode(query) : data.Query;
        Subprotocol = data.Subprotocol;
    }

    public string Method => _data.Method;

    /// <summary>The request target as the client sent it, without the query.</summary>
    public string Uri => _data.Uri;

    /// <summary>What follows the first ?, as it was sent, whatever option decode_query_string says.</summary>
    public string? RawQuery => _data.Query;

    /// <summary>The request target as the client sent it (RFC 9112, section 3.2).</summary>
    public string RawTarget => RawQuery is null ? Uri : $"{Uri}?{RawQuery}";

    public string LocalUriRaw => _data.LocalUriRaw;

    public string LocalUri => _data.LocalUri;

    public string HttpVersion => _data.HttpVersion;

    public string? QueryString { get; }

    public string? RemoteUser => _data.RemoteUser;

    /// <summary>The client's address; behind a trusted proxy what the proxy says it is.</summary>
    public string RemoteAddress { get; }

    /// <summary>0 when the address comes from X-Forwarded-For.</summary>
    public int RemotePort { get; }

    /// <summary>The address of whoever made the connection, be it the client or a proxy.</summary>
    public string PeerAddress { get; }

    /// <summary>Whether a trusted proxy says by X-Forwarded-For who the client is.</summary>
    public bool IsForwarded { get; }

    /// <summary>Whether a trusted proxy names the client in a way that nobody understands: such a request reaches no callback.</summary>
    public bool IsClientUnknown { get; }

    public int ServerPort => _data.ServerPort;

    public long ContentLength => _data.ContentLength;

    public bool IsTls => _data.IsTls;

    /// <summary>The WebSocket subprotocol that was agreed on, or null.</summary>
    public string? Subprotocol { get; set; }

    public IReadOnlyList<KeyValuePair<string, string>> Headers => _data.Headers;

    /// <summary>The value of the first header of that name, whatever its case; null without one.</summary>
    public string? GetHeader(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        foreach ((string key, string value) in _data.Headers)
        {
            if (string.Equals(key, name, StringComparison.OrdinalIgnoreCase))
            {
                return value;
            }
        }

        return null;
    }

    /// <summary>The value of a cookie (RFC 6265); null without it.</summary>
    public string? GetCookie(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        foreach ((string key, string header) in _data.Headers)
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
