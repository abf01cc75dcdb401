using System;
using System.Collections.Generic;
using System.Threading;

namespace CivetWeb.Net;

/// <summary>From a request for a WebSocket to its 101 response, or to its refusal.</summary>
internal sealed class WebSocketUpgrade(CivetWebServer server)
{
    private readonly Lock _gate = new();
    private WebSocketEndpoint[] _endpoints = [];

    public void Add(WebSocketEndpoint endpoint)
    {
        lock (_gate)
        {
            Volatile.Write(ref _endpoints, [.. _endpoints, endpoint]);
        }
    }

    public int Handle(ServerRequest request)
    {
        foreach (WebSocketEndpoint endpoint in Volatile.Read(ref _endpoints))
        {
            if (endpoint.Pattern.TryMatch(request.Path, out Dictionary<string, string>? route))
            {
                request.Route = route ?? RouteValues.None;
                return Open(request, endpoint);
            }
        }

        return request.Connection.Refuse(404, null, "There is no WebSocket at this path.\n");
    }

    private int Open(ServerRequest request, WebSocketEndpoint endpoint)
    {
        _ = server;
        var handshake = new WebSocketHandshake(request, null);
        return ServerWebSocket.Run(handshake, endpoint, responseHeaders: "", deflate: null);
    }
}
