using System;
using System.Collections.Generic;
using System.Threading;

namespace CivetWeb.Net.CallbackApi;

/// <summary>The WebSocket handlers of a server. Reads take no lock; the newest of several matching patterns wins.</summary>
internal sealed class WebSocketRouteTable
{
    private readonly Lock _gate = new();
    private WebSocketRoute[] _routes = [];

    public WebSocketRoute? Find(string path)
    {
        WebSocketRoute? pattern = null;
        foreach (WebSocketRoute route in Volatile.Read(ref _routes))
        {
            if (route.Pattern.Matches(path))
            {
                if (route.Pattern.IsLiteral)
                {
                    return route;
                }

                pattern = route;
            }
        }

        return pattern;
    }

    /// <summary>Adds the route or replaces the one of the same URI.</summary>
    public void Set(WebSocketRoute route)
    {
        lock (_gate)
        {
            var routes = new List<WebSocketRoute>(_routes);
            routes.RemoveAll(r => r.Pattern.Text == route.Pattern.Text);
            routes.Add(route);
            Volatile.Write(ref _routes, routes.ToArray());
        }
    }

    /// <summary>Removes the route of that URI; no new connection finds it.</summary>
    public void Remove(string uri)
    {
        lock (_gate)
        {
            Volatile.Write(ref _routes, Array.FindAll(_routes, r => r.Pattern.Text != uri));
        }
    }
}
