using System;
using System.Collections.Generic;
using System.Threading;

namespace CivetWeb.Net.Core;

/// <summary>
/// Routes by path. A literal path goes before all patterns, which go in the order that is given; the newest of equals goes first.
/// Lookups take no lock: every change makes a new table.
/// </summary>
/// <param name="order">Which of two patterns goes first (less than 0: the first one); null: the newer.</param>
internal sealed class RouteTable<TPattern, T>(Comparison<TPattern>? order = null)
    where TPattern : class, IRoutePattern
    where T : class
{
    private readonly Comparison<TPattern> _order = order ?? (static (_, _) => 0);
    private Table _table = new([]);

    /// <summary>All routes there are now, in the order they are looked at.</summary>
    public IReadOnlyList<Route> Routes => Volatile.Read(ref _table).Routes;

    /// <summary>Adds a route, or replaces the one with the same key.</summary>
    /// <param name="pattern">Its pattern.</param>
    /// <param name="create">
    /// Gets the route to be replaced, null when there is none. Called again when another thread has changed the table meanwhile; an exception
    /// leaves everything as it is.
    /// </param>
    public void Set(TPattern pattern, Func<Route?, T> create)
    {
        while (true)
        {
            Table seen = Volatile.Read(ref _table);
            Route? same = Array.Find(seen.Routes, r => r.Pattern.Key == pattern.Key);
            var route = new Route(pattern, create(same));
            var routes = new List<Route>(seen.Routes);
            if (same is not null)
            {
                routes.Remove(same);
            }

            int index = routes.FindIndex(r => _order(pattern, r.Pattern) <= 0);
            routes.Insert(index < 0 ? routes.Count : index, route);
            if (Interlocked.CompareExchange(ref _table, new Table([.. routes]), seen) == seen)
            {
                return;
            }
        }
    }

    /// <summary>Removes the route with that key; whether there was one. No lookup that begins later finds it.</summary>
    public bool Remove(string key)
    {
        while (true)
        {
            Table seen = Volatile.Read(ref _table);
            Route[] left = Array.FindAll(seen.Routes, r => r.Pattern.Key != key);
            if (left.Length == seen.Routes.Length)
            {
                return false;
            }

            if (Interlocked.CompareExchange(ref _table, new Table(left), seen) == seen)
            {
                return true;
            }
        }
    }

    /// <summary>The first route for the path; null without one.</summary>
    /// <param name="path">The path, decoded.</param>
    /// <param name="values">The parameters; null without any.</param>
    public T? Find(string path, out Dictionary<string, string>? values)
    {
        foreach (Match match in FindAll(path))
        {
            values = match.Values;
            return match.Route.Value;
        }

        values = null;
        return null;
    }

    /// <summary>The routes for the path, the first first; in a foreach without allocating.</summary>
    /// <param name="path">The path, decoded.</param>
    public Matches FindAll(string path) => new(Volatile.Read(ref _table), path);

    /// <summary>One route.</summary>
    public sealed record Route(TPattern Pattern, T Value);

    /// <summary>A route for a path, with the parameters in it.</summary>
    public readonly record struct Match(Route Route, Dictionary<string, string>? Values);

    /// <summary>What never changes once it is made.</summary>
    internal sealed class Table
    {
        public Table(Route[] routes)
        {
            Routes = routes;
            foreach (Route route in routes)
            {
                if (route.Pattern.LiteralPath is { } path)
                {
                    Literal.TryAdd(path, route);
                }
            }
        }

        public Route[] Routes { get; }

        public Dictionary<string, Route> Literal { get; } = [];
    }

    /// <summary>An enumeration that begins with the literal path.</summary>
    internal struct Matches(Table table, string path)
    {
        private int _next = -1;

        public Match Current { get; private set; }

        public readonly Matches GetEnumerator() => this;

        public bool MoveNext()
        {
            if (_next < 0)
            {
                _next = 0;
                if (table.Literal.TryGetValue(path, out Route? literal))
                {
                    Current = new Match(literal, null);
                    return true;
                }
            }

            while (_next < table.Routes.Length)
            {
                Route route = table.Routes[_next++];
                if (route.Pattern.LiteralPath is null && route.Pattern.TryMatch(path, out Dictionary<string, string>? values))
                {
                    Current = new Match(route, values);
                    return true;
                }
            }

            return false;
        }
    }
}
