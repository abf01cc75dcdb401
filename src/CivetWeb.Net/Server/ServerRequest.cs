using System;
using System.Collections.Generic;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Threading;

namespace CivetWeb.Net;

/// <summary>An HTTP request to a <see cref="CivetWebServer"/>, be it for a page or for a WebSocket.</summary>
/// <remarks>What it says of the head of the request can be read at any time, from any thread, even when it is over.</remarks>
public sealed partial class ServerRequest
{
    private readonly RequestInfo _info;
    private RequestVariableCollection? _query;
    private RequestCookies? _cookies;

    internal ServerRequest(CivetWebServer server, Connection connection, RequestInfo info)
    {
        Server = server;
        Connection = connection;
        _info = info;
        Headers = new RequestHeaderCollection(info);
    }

    /// <summary>The server that received the request.</summary>
    public CivetWebServer Server { get; }

    /// <summary>The method, such as <c>GET</c>.</summary>
    public string Method => _info.Method;

    /// <summary>
    /// The path, percent-decoded, without dot segments (RFC 3986, section 5.2.4) and query. A slash or backslash that was escaped
    /// stays so (<c>%2F</c>, <c>%5C</c>): it does not separate segments.
    /// </summary>
    public string Path => _info.LocalUri;

    /// <summary>The request target as the client sent it (RFC 9112, section 3.2): path and query, nothing decoded or removed.</summary>
    public string RawTarget => _info.RawTarget;

    /// <summary>What follows the first <c>?</c>, not decoded; empty without one.</summary>
    public string QueryString => _info.QueryString ?? "";

    /// <summary>The variables of the query, decoded.</summary>
    public RequestVariableCollection Query => _query ??= new RequestVariableCollection(QueryString);

    /// <summary>The headers.</summary>
    public RequestHeaderCollection Headers { get; }

    /// <summary>The cookies (RFC 6265).</summary>
    public RequestCookies Cookies => _cookies ??= new RequestCookies(_info);

    /// <summary>The parameters of the route's path: <c>{name}</c> in the pattern is <c>Route["name"]</c>.</summary>
    public IReadOnlyDictionary<string, string> Route { get; internal set; } = RouteValues.None;

    /// <summary>The protocol version: <c>1.0</c> or <c>1.1</c>.</summary>
    public string HttpVersion => _info.HttpVersion;

    /// <summary>Whether the connection uses TLS.</summary>
    public bool IsHttps => _info.IsSsl;

    /// <summary>The Host header: whom the client believes to talk to; null without one.</summary>
    public string? Host => _info.GetHeader("Host");

    /// <summary>The client; behind a proxy of <see cref="CivetWebServerOptions.TrustedProxies"/>, what that says it is.</summary>
    public EndPoint RemoteEndPoint => SocketAddresses.Parse(_info.RemoteAddress, _info.RemotePort);

    /// <summary>The address and port the client connected to.</summary>
    public EndPoint LocalEndPoint { get; internal init; } = SocketAddresses.Unix;

    /// <summary>The client's certificate, already checked against the authorities; null without one.</summary>
    public X509Certificate2? ClientCertificate { get; internal init; }

    /// <summary>A place for objects of the application's own.</summary>
    public IDictionary<object, object?> Items => _items ??= new Dictionary<object, object?>();

    /// <summary>
    /// Cancelled when a stopping server has waited long enough. That the client is gone shows when its body is read or the
    /// response is written (<see cref="System.IO.IOException"/>).
    /// </summary>
    public CancellationToken Aborted { get; internal init; }

    internal Connection Connection { get; }

    internal RequestInfo Info => _info;

    private Dictionary<object, object?>? _items;
}
