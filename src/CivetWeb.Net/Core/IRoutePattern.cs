using System.Collections.Generic;

namespace CivetWeb.Net.Core;

/// <summary>Which paths a route is for; what <see cref="RouteTable{TPattern, T}"/> needs to know of it.</summary>
internal interface IRoutePattern
{
    /// <summary>Patterns with one key are the same route: the later replaces the earlier.</summary>
    string Key { get; }

    /// <summary>The only path that matches; null when there may be more than one.</summary>
    string? LiteralPath { get; }

    /// <summary>Whether the (decoded) path matches; <paramref name="values"/> are then the parameters, null without any.</summary>
    bool TryMatch(string path, out Dictionary<string, string>? values);
}
