using System;
using System.Collections.Generic;
using System.Linq;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>A server that is measured.</summary>
/// <param name="Name">For the command line and the tables.</param>
/// <param name="About">What it is.</param>
/// <param name="Command">Program and arguments; null for the program: this one.</param>
internal sealed record Contender(string Name, string About, params string[] Command)
{
    public const string Kestrel = "kestrel";

    public const string Stock = "stock";

    /// <summary>A native program, beside the load generator.</summary>
    public bool IsNative { get; init; }

    /// <summary>What its environment has besides.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>The cases it is measured in; null: all.</summary>
    public IReadOnlyList<string>? Cases { get; init; }

    /// <summary>Only measured where callbacks block.</summary>
    public bool IsForSleep { get; init; }

    /// <summary>Part of the list when no list is given.</summary>
    public bool IsDefault { get; init; } = true;

    public static IReadOnlyList<Contender> All { get; } =
    [
        new("callback", "CivetWeb.Net, callback API", "serve", "callback"),
        new("callback-threads", "CivetWeb.Net, callback API, websocket_keep_thread=yes", "serve", "callback", "--keep-threads") { IsForSleep = true },
        new("server", "CivetWeb.Net, server API", "serve", "server"),
        new("server-threads", "CivetWeb.Net, server API, a thread for each connection", "serve", "server", "--keep-threads") { IsForSleep = true },

        // What projects of the SDK Microsoft.NET.Sdk.Web get unless they say otherwise.
        new(Kestrel, "ASP.NET Core, server GC as its projects have it", "serve", "kestrel")
        {
            Environment = new Dictionary<string, string> { ["DOTNET_gcServer"] = "1" },
        },
        new("kestrel-workstation", "ASP.NET Core, workstation GC", "serve", "kestrel") { IsDefault = false },
        new(Stock, "CivetWeb in C, tcp_nodelay=1", "stock_echo", "--nodelay", "1") { IsNative = true },
        new("stock-nagle", "CivetWeb in C, default options", "stock_echo", "--nodelay", "0") { IsNative = true, Cases = ["64x1", "64x16", "1x1"] },
    ];

    public static Contender Parse(string name) =>
        All.FirstOrDefault(c => c.Name == name) ?? throw new FormatException($"There is no server '{name}': {string.Join(", ", All.Select(c => c.Name))}.");

    public bool Takes(LoadCase load) => (Cases?.Contains(load.Name, StringComparer.Ordinal) ?? true) && (load.Sleep > 0 || !IsForSleep);
}
