using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>One kind of load.</summary>
/// <param name="Name">Short, for the command line and the tables.</param>
/// <param name="About">What it is, for the tables.</param>
/// <param name="Mode">The load generator's mode.</param>
/// <param name="Connections">Clients.</param>
/// <param name="InFlight">Messages each keeps under way.</param>
/// <param name="Size">Bytes of a message.</param>
internal sealed record LoadCase(string Name, string About, string Mode, int Connections, int InFlight = 1, int Size = 128)
{
    public bool IsTls { get; init; }

    /// <summary>Whether client and server share one CPU.</summary>
    public bool IsPinned { get; init; }

    /// <summary>For how many microseconds each callback or handler blocks.</summary>
    public int Sleep { get; init; }

    /// <summary>Part of --quick.</summary>
    public bool IsQuick { get; init; }

    /// <summary>
    /// How long it is warmed up: thousands of connections have a few messages each in a second, and the first of them all come at
    /// once, while the last are connecting still.
    /// </summary>
    public double WarmUpSeconds(double usual) => usual * Math.Max(1, Connections / 2500);

    /// <summary>The longest the load generator may take, connecting included.</summary>
    public int DeadlineSeconds(double measured) => (int)(measured + 20 + (Connections / 200.0));

    public IEnumerable<string> Arguments(bool text)
    {
        yield return "--mode";
        yield return Mode;
        yield return "--path";
        yield return Mode == "broadcast" ? "/broadcast" : "/echo";
        yield return "--connections";
        yield return Connections.ToString(CultureInfo.InvariantCulture);
        yield return "--in-flight";
        yield return InFlight.ToString(CultureInfo.InvariantCulture);
        yield return "--size";
        yield return Size.ToString(CultureInfo.InvariantCulture);
        if (IsTls)
        {
            yield return "--tls";
        }

        if (text)
        {
            yield return "--text";
        }
    }

    /// <summary>
    /// One of <see cref="All"/>, or one made of its numbers: 9000x1x128 is 9,000 connections, 1 in flight, 128 bytes;
    /// 256x1x128-sleep-5000 the same with 256 and 5 ms in each callback; idle-9000.
    /// </summary>
    public static LoadCase Parse(string name)
    {
        bool isTls = name.StartsWith("tls-", StringComparison.Ordinal);
        if (All.FirstOrDefault(c => c.Name == name) is { } known)
        {
            return known;
        }

        if (name.StartsWith("idle-", StringComparison.Ordinal) && int.TryParse(name[5..], CultureInfo.InvariantCulture, out int silent) && silent > 0)
        {
            return new LoadCase(name, $"{silent} connections that are silent after one message", "idle", silent);
        }

        string[] parts = name[(isTls ? 4 : 0)..].Split("-sleep-");
        int sleep = 0;
        bool sleeps = parts.Length == 2 && int.TryParse(parts[1], CultureInfo.InvariantCulture, out sleep) && sleep > 0;
        int[] numbers = parts.Length > 1 && !sleeps ? [] : [.. parts[0].Split('x').Select(n => int.TryParse(n, CultureInfo.InvariantCulture, out int value) ? value : 0)];
        return numbers is [> 0, > 0, > 0]
            ? new LoadCase(name, $"{numbers[0]} connections, {numbers[1]} in flight, {numbers[2]} bytes{(sleeps ? $", {sleep} µs in each callback" : "")}", "echo", numbers[0], numbers[1], numbers[2]) { IsTls = isTls, Sleep = sleep }
            : throw new FormatException($"There is no case '{name}': {string.Join(", ", All.Select(c => c.Name))}, or numbers such as 9000x1x128, 256x1x128-sleep-5000 or idle-9000.");
    }

    public static IReadOnlyList<LoadCase> All { get; } =
    [
        new("64x1", "64 connections, 1 message in flight, 128 bytes", "echo", 64) { IsQuick = true },
        new("64x16", "64 connections, 16 messages in flight, 128 bytes", "echo", 64, 16) { IsQuick = true },
        new("8x65000", "8 connections, 1 message in flight, 65,000 bytes", "echo", 8, 1, 65000) { IsQuick = true },
        new("10000x1", "10,000 connections, 1 message in flight, 128 bytes", "echo", 10_000),
        new("1x1", "1 connection, 1 message in flight, 128 bytes; client and server on one CPU", "echo", 1) { IsPinned = true, IsQuick = true },
        new("4x1MB", "4 connections, 1 message in flight, 1 MiB", "echo", 4, 1, 1 << 20),
        new("idle", "10,000 connections that are silent after one message", "idle", 10_000),
        new("churn", "32 clients that connect, have one message echoed, close, and again", "churn", 32),
        new("broadcast", "messages of 128 bytes to 1,000 clients, one after the other", "broadcast", 1000),
        new("64x1-sleep", "as 64x1; each callback or handler blocks for 1 ms", "echo", 64) { Sleep = 1000 },
        new("tls-64x1", "as 64x1, over TLS", "echo", 64) { IsTls = true },
        new("tls-64x16", "as 64x16, over TLS", "echo", 64, 16) { IsTls = true },
        new("tls-8x65000", "as 8x65000, over TLS", "echo", 8, 1, 65000) { IsTls = true },
    ];
}
