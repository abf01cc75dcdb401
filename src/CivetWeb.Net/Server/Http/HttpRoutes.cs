using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>Which handler answers which method at which path.</summary>
internal sealed class HttpRoutes
{
    private readonly RouteTable<RoutePattern, Dictionary<string, Func<ServerRequest, ServerResponse, Task>>> _table = new(RoutePattern.Compare);

    /// <exception cref="ArgumentException">The method and the path have a handler already.</exception>
    public void Add(string method, RoutePattern pattern, Func<ServerRequest, ServerResponse, Task> handler) =>
        _table.Set(pattern, same =>
        {
            if (same is null)
            {
                return new() { [method] = handler };
            }

            if (same.Value.ContainsKey(method))
            {
                throw new ArgumentException($"{method} {pattern.Text} is mapped already, as {same.Pattern.Text}.", nameof(pattern));
            }

            if (same.Pattern.Text != pattern.Text)
            {
                throw new ArgumentException(
                    $"The path {pattern.Text} is mapped already as {same.Pattern.Text}: parameters of one path must have the same names.", nameof(pattern));
            }

            return new(same.Value) { [method] = handler };
        });

    /// <summary>The handler of the most literal path that has one for the method; otherwise the methods that the path has, if any.</summary>
    public RouteMatch Find(string method, string path)
    {
        HashSet<string>? methods = null;
        foreach (RouteTable<RoutePattern, Dictionary<string, Func<ServerRequest, ServerResponse, Task>>>.Match match in _table.FindAll(path))
        {
            Dictionary<string, Func<ServerRequest, ServerResponse, Task>> handlers = match.Route.Value;
            if (handlers.TryGetValue(method, out Func<ServerRequest, ServerResponse, Task>? handler)
                || (method == "HEAD" && handlers.TryGetValue("GET", out handler))) // RFC 9110, section 9.3.2
            {
                return new RouteMatch(handler, match.Values, null);
            }

            (methods ??= []).UnionWith(handlers.Keys);
        }

        return new RouteMatch(null, null, methods);
    }
}

/// <summary>What is at a path: a handler, or other methods than the one asked for, or nothing.</summary>
internal readonly record struct RouteMatch(
    Func<ServerRequest, ServerResponse, Task>? Handler, Dictionary<string, string>? Values, HashSet<string>? Methods);
