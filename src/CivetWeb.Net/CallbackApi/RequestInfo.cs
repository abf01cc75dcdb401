using System;
using System.Collections.Generic;
using CivetWeb.Net.Core;

namespace CivetWeb.Net.CallbackApi;

/// <summary>A copy of what the server knows about a request (<c>struct mg_request_info</c>). It can be kept.</summary>
public sealed class RequestInfo
{
    private readonly RequestHead _head;

    internal RequestInfo(RequestHead head, object? userData, object? connectionData)
    {
        _head = head;
        UserData = userData;
        ConnectionData = connectionData;
    }

    /// <summary>The request method, such as <c>GET</c>.</summary>
    public string Method => _head.Method;

    /// <summary>The request target as the client sent it (RFC 9112, section 3.2): path and query, nothing decoded or removed.</summary>
    public string RawTarget => _head.RawTarget;

    /// <summary>The request target as the client sent it, without the query.</summary>
    public string Uri => _head.Uri;

    /// <summary>The path on this server, still percent-encoded.</summary>
    public string LocalUriRaw => _head.LocalUriRaw;

    /// <summary>
    /// The path on this server, percent-decoded, without dot segments (RFC 3986, section 5.2.4). A slash or backslash that was
    /// escaped stays so (<c>%2F</c>, <c>%5C</c>): it does not separate segments.
    /// </summary>
    public string LocalUri => _head.LocalUri;

    /// <summary>The protocol version, such as <c>1.1</c>.</summary>
    public string HttpVersion => _head.HttpVersion;

    /// <summary>What follows the first <c>?</c>, not decoded; null without one.</summary>
    public string? QueryString => _head.QueryString;

    /// <summary>The user CivetWeb has authenticated, or null.</summary>
    public string? RemoteUser => _head.RemoteUser;

    /// <summary>
    /// The client's address as text; <c>*</c> for a Unix domain socket. Behind a proxy that option <c>trusted_proxies</c>
    /// names: what the proxy says it is.
    /// </summary>
    public string RemoteAddress => _head.RemoteAddress;

    /// <summary>The address of whoever made the connection, be it the client or a proxy; <c>*</c> for a Unix domain socket.</summary>
    public string PeerAddress => _head.PeerAddress;

    /// <summary>The client's port; 0 when its address comes from an <c>X-Forwarded-For</c> header.</summary>
    public int RemotePort => _head.RemotePort;

    /// <summary>The port the client connected to.</summary>
    public int ServerPort => _head.ServerPort;

    /// <summary>The length of the request body in bytes; -1 when it is not known.</summary>
    public long ContentLength => _head.ContentLength;

    /// <summary>Whether the connection uses TLS.</summary>
    public bool IsTls => _head.IsTls;

    /// <summary>The WebSocket subprotocol that was agreed on, or null.</summary>
    public string? Subprotocol => _head.Subprotocol;

    /// <summary>The object given when the server was started.</summary>
    public object? UserData { get; }

    /// <summary>The value of <see cref="Connection.Data"/> when the information was read.</summary>
    public object? ConnectionData { get; }

    /// <summary>The request headers in the order they came, at most 64; names as the client wrote them.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Headers => _head.Headers;

    /// <summary>The value of the first header of that name, whatever its case; null without one.</summary>
    /// <param name="name">The header's name.</param>
    /// <exception cref="ArgumentNullException"><paramref name="name"/> is null.</exception>
    public string? GetHeader(string name) => _head.GetHeader(name);

    /// <summary>The value of a cookie (RFC 6265); null without it.</summary>
    /// <param name="name">The cookie's name; case matters.</param>
    /// <exception cref="ArgumentException"><paramref name="name"/> is null or empty.</exception>
    public string? GetCookie(string name) => _head.GetCookie(name);
}
