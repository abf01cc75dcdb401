using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net;

/// <summary>Methods and paths and who answers them. Looked up without a lock; adding makes a new table.</summary>
internal sealed class RouteTable
{
    private readonly Lock _gate = new();
    private Table _table = new([], []);

    /// <exception cref="ArgumentException">Method and path have a handler.</exception>
    public void Add(string method, RoutePattern pattern, Func<ServerRequest, ServerResponse, Task> handler)
    {
        lock (_gate)
        {
            Route? same = Array.Find(_table.All, r => r.Pattern.Shape == pattern.Shape);
            if (same is not null && same.Handlers.ContainsKey(method))
            {
                throw new ArgumentException($"{method} {pattern.Text} is mapped already, as {same.Pattern.Text}.", nameof(pattern));
            }

            if (same is not null && same.Pattern.Text != pattern.Text)
            {
                throw new ArgumentException(
                    $"The path {pattern.Text} is mapped already as {same.Pattern.Text}: parameters of one path must have the same names.", nameof(pattern));
            }

            var handlers = new Dictionary<string, Func<ServerRequest, ServerResponse, Task>>(same?.Handlers ?? []) { [method] = handler };
            Route[] all = [.. _table.All.Where(r => r != same), new Route(pattern, handlers)];
            Array.Sort(all, (a, b) => RoutePattern.Compare(a.Pattern, b.Pattern));
            Volatile.Write(ref _table, new Table(all, all.Where(r => r.Pattern.IsLiteral).ToDictionary(r => r.Pattern.Text)));
        }
    }

    /// <summary>The handler of the most literal path that has one for the method; else the methods the path has, if any.</summary>
    public RouteMatch Find(string method, string path)
    {
        Table table = Volatile.Read(ref _table);
        var match = default(RouteMatch);
        if (table.Literal.TryGetValue(path, out Route? literal) && literal.TryGetHandler(method, out Func<ServerRequest, ServerResponse, Task>? handler))
        {
            return new RouteMatch(handler, null, null);
        }

        foreach (Route route in table.All)
        {
            if (!route.Pattern.TryMatch(path, out Dictionary<string, string>? values))
            {
                continue;
            }

            if (route.TryGetHandler(method, out handler))
            {
                return new RouteMatch(handler, values, null);
            }

            HashSet<string> methods = match.Methods ?? [];
            methods.UnionWith(route.Handlers.Keys);
            match = match with { Methods = methods };
        }

        return match;
    }

    private sealed record Table(Route[] All, Dictionary<string, Route> Literal);

    private sealed record Route(RoutePattern Pattern, Dictionary<string, Func<ServerRequest, ServerResponse, Task>> Handlers)
    {
        /// <summary>HEAD is GET whose body is not sent (RFC 9110, section 9.3.2).</summary>
        public bool TryGetHandler(string method, out Func<ServerRequest, ServerResponse, Task>? handler) =>
            Handlers.TryGetValue(method, out handler) || (method == "HEAD" && Handlers.TryGetValue("GET", out handler));
    }
}

/// <summary>What is at a path: a handler, or other methods than the one asked for, or nothing.</summary>
internal readonly record struct RouteMatch(
    Func<ServerRequest, ServerResponse, Task>? Handler, Dictionary<string, string>? Values, HashSet<string>? Methods);
