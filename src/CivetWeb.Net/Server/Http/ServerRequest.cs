using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>An HTTP request to a <see cref="CivetWebServer"/>, be it for a page or for a WebSocket.</summary>
/// <remarks>What it says of the head of the request can be read at any time, from any thread, even when it has ended.</remarks>
[SuppressMessage("Design", "CA1001", Justification = "The token must stay usable for whoever has kept it; without a timer there is nothing to dispose of.")]
public sealed partial class ServerRequest
{
    private readonly RequestHead _info;
    private RequestVariableCollection? _query;
    private RequestCookies? _cookies;
    private readonly Lock _abortGate = new();
    private CancellationTokenSource? _aborted; // made when somebody asks for it
    private CancellationTokenRegistration _serverAborted;
    private bool _isClientGone;
    private bool _isOver;

    internal ServerRequest(CivetWebServer server, ServerConnection connection, RequestHead info)
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
    public bool IsTls => _info.IsTls;

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
    /// Cancelled when nobody waits for the answer any more: the client has gone, or has finished sending, which looks the same; or a stopping
    /// server has waited long enough. A client that has only finished sending can still be answered. It is noticed within a moment while a page is made
    /// or <see cref="WebSocketEndpointOptions.OnHandshake"/> runs; an open WebSocket has <see cref="ServerWebSocketContext.Aborted"/>.
    /// </summary>
    public CancellationToken Aborted
    {
        get
        {
            lock (_abortGate)
            {
                if (_aborted is null)
                {
                    _aborted = new CancellationTokenSource();
                    if (_isClientGone)
                    {
                        _aborted.Cancel(); // nobody can have registered anything yet
                    }
                    else if (!_isOver)
                    {
                        _serverAborted = Server.Aborted.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), _aborted);
                    }
                }

                return _aborted.Token;
            }
        }
    }

    internal ServerConnection Connection { get; }

    /// <summary>The keeper's, under its lock.</summary>
    internal int KeeperIndex { get; set; }

    /// <summary>Whether the client has been seen to be gone, while the request was handled.</summary>
    internal bool IsClientGone => Volatile.Read(ref _isClientGone);

    internal RequestHead Info => _info;

    private Dictionary<object, object?>? _items;

    /// <summary>The client has gone while the request is handled.</summary>
    internal void LoseClient()
    {
        CancellationTokenSource? aborted;
        lock (_abortGate)
        {
            _isClientGone = true;
            aborted = _isOver ? null : _aborted;
        }

        if (aborted is not null)
        {
            // What is registered may take its time; the keeper has others to look at.
            ThreadPool.UnsafeQueueUserWorkItem(static work => work.Request.Cancel(work.Source), (Request: this, Source: aborted), preferLocal: false);
        }
    }

    /// <summary>It has been answered: the token means nothing any more.</summary>
    internal void End()
    {
        lock (_abortGate)
        {
            _isOver = true;
            _serverAborted.Unregister();
        }
    }

    private void Cancel(CancellationTokenSource source)
    {
        try
        {
            source.Cancel();
        }
        catch (AggregateException e)
        {
            Server.ReportException(e, "code that is registered with a request's Aborted");
        }
    }
}
