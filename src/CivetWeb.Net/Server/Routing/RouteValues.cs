using System.Collections.Generic;
using System.Collections.ObjectModel;

namespace CivetWeb.Net;

/// <summary>The parameters of a path that has none.</summary>
internal static class RouteValues
{
    public static IReadOnlyDictionary<string, string> None { get; } = ReadOnlyDictionary<string, string>.Empty;
}
