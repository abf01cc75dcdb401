using System;
using System.Collections.Generic;
using System.Collections.Specialized;
using System.Net;
using System.Net.WebSockets;
using System.Security.Cryptography.X509Certificates;
using System.Security.Principal;
using System.Threading;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>An open WebSocket of a <see cref="CivetWebServer"/> with all that is known about its client.</summary>
public sealed class ServerWebSocketContext : WebSocketContext
{
    private readonly WebSocketHandshake _handshake;
    private readonly WebSocket _webSocket;
    private NameValueCollection? _headers;
    private CookieCollection? _cookies;

    internal ServerWebSocketContext(long id, WebSocketHandshake handshake, WebSocket webSocket, CancellationToken aborted)
    {
        Id = id;
        _handshake = handshake;
        _webSocket = webSocket;
        Aborted = aborted;
    }

    /// <summary>A number that no other WebSocket of the server has had; log messages show it.</summary>
    public long Id { get; }

    /// <summary>The request that opened it.</summary>
    public ServerRequest Request => _handshake.Request;

    /// <inheritdoc/>
    public override WebSocket WebSocket => _webSocket;

    /// <summary>Cancelled when the connection is lost, aborted or over.</summary>
    public CancellationToken Aborted { get; }

    /// <summary>The subprotocol agreed on; null for none.</summary>
    public string? Subprotocol => _handshake.Subprotocol;

    /// <summary>The client.</summary>
    public EndPoint RemoteEndPoint => Request.RemoteEndPoint;

    /// <summary>The address and port it connected to.</summary>
    public EndPoint LocalEndPoint => Request.LocalEndPoint;

    /// <summary>The client's certificate; null without one.</summary>
    public X509Certificate2? ClientCertificate => Request.ClientCertificate;

    /// <summary>The parameters of the path.</summary>
    public IReadOnlyDictionary<string, string> Route => Request.Route;

    /// <summary>A place for objects of the application's own; those of the handshake are here too.</summary>
    public IDictionary<object, object?> Items => Request.Items;

    /// <inheritdoc/>
    public override Uri RequestUri =>
        new($"{(IsSecureConnection ? "wss" : "ws")}://{Request.Host}{Request.Info.Uri}{(Request.QueryString.Length > 0 ? "?" + Request.QueryString : "")}");

    /// <inheritdoc/>
    public override NameValueCollection Headers
    {
        get
        {
            if (_headers is null)
            {
                var headers = new NameValueCollection(StringComparer.OrdinalIgnoreCase);
                foreach ((string name, string value) in Request.Headers)
                {
                    headers.Add(name, value);
                }

                _headers = headers;
            }

            return _headers;
        }
    }

    /// <inheritdoc/>
    public override string Origin => Request.Headers["Origin"] ?? "";

    /// <inheritdoc/>
    public override IEnumerable<string> SecWebSocketProtocols => Subprotocols.Asked(Request.Info);

    /// <inheritdoc/>
    public override string SecWebSocketVersion => Request.Headers["Sec-WebSocket-Version"] ?? "";

    /// <inheritdoc/>
    public override string SecWebSocketKey => Request.Headers["Sec-WebSocket-Key"] ?? "";

    /// <inheritdoc/>
    public override CookieCollection CookieCollection => _cookies ??= Request.Cookies.ToCollection();

    /// <summary>Who the client is, as <see cref="WebSocketEndpointOptions.OnHandshake"/> found out; null otherwise.</summary>
    public override IPrincipal? User => _handshake.User;

    /// <inheritdoc/>
    public override bool IsAuthenticated => User?.Identity?.IsAuthenticated ?? false;

    /// <summary>
    /// Whether the client is known to be on this machine: its address, or what a proxy of
    /// <see cref="CivetWebServerOptions.TrustedProxies"/> says it is, is a loopback address. Whoever comes over a Unix domain socket, or through
    /// a proxy that is not trusted, may be anywhere.
    /// </summary>
    public override bool IsLocal =>
        RemoteEndPoint is IPEndPoint client
        && SocketAddresses.IsLoopback(client.Address)
        && (Request.Info.IsForwarded || (Request.Headers["X-Forwarded-For"] is null && Request.Headers["Forwarded"] is null));

    /// <inheritdoc/>
    public override bool IsSecureConnection => Request.IsTls;
}
