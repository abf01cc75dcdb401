using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>The results as tables: one of ratios, and one for each case.</summary>
internal static class MarkdownReport
{
    public static string Write(LoadOptions options, Measurements measurements)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{Machine.This}\n\n");
        text.Append(
            CultureInfo.InvariantCulture,
            $"Medians of {options.Repeat} repetitions of {options.Seconds} s after {options.Warmup} s of warm-up, at most {options.Cases.Max(c => c.WarmUpSeconds(options.Warmup))} s where there are thousands of connections; {(options.IsText ? "text" : "binary")} messages. In brackets the smallest and the largest.\n");
        WriteRatios(text, options, measurements, Contender.Kestrel);
        WriteRatios(text, options, measurements, Contender.Stock);
        WriteAllRatios(text, options, measurements);
        foreach (LoadCase load in options.Cases)
        {
            WriteCase(text, options, measurements, load);
        }

        return text.ToString();
    }

    private static void WriteRatios(StringBuilder text, LoadOptions options, Measurements measurements, string other)
    {
        Contender[] contenders = [.. options.Contenders.Where(c => c.Name != other)];
        LoadCase[] cases = [.. options.Cases.Where(c => c.Mode != "idle")];
        if (contenders.Length == 0 || contenders.Length == options.Contenders.Count || cases.Length == 0)
        {
            return;
        }

        text.Append(CultureInfo.InvariantCulture, $"\n### Throughput, {other} = 1\n\n");
        Row(text, ["case", .. contenders.Select(c => c.Name)]);
        Row(text, ["---", .. contenders.Select(_ => "---")]);
        foreach (LoadCase load in cases)
        {
            Row(text, [load.Name, .. contenders.Select(c => Show(measurements.Ratio(load, c, other, r => r.PerSecond), "0.00"))]);
        }
    }

    /// <summary>Throughput: more is better. The others: less is.</summary>
    private static void WriteAllRatios(StringBuilder text, LoadOptions options, Measurements measurements)
    {
        Contender[] contenders = [.. options.Contenders.Where(c => c.Name is not Contender.Kestrel)];
        if (contenders.Length == options.Contenders.Count)
        {
            return;
        }

        text.Append("\n### All there is, kestrel = 1\n\n");
        Row(text, ["case", "server", "throughput", "p99", "CPU per message", "RSS", "peak RSS"]);
        Row(text, ["---", "---", "---", "---", "---", "---", "---"]);
        foreach (LoadCase load in options.Cases)
        {
            foreach (Contender contender in contenders.Where(c => measurements.Has(load, c)))
            {
                string Ratio(Func<LoadResult, double> value) => Show(measurements.Ratio(load, contender, Contender.Kestrel, value), "0.00", false);
                Row(text, [
                    load.Name,
                    contender.Name,
                    Ratio(r => r.PerSecond),
                    Ratio(r => r.P99),
                    Ratio(r => r.ServerCpuPerMillion),
                    Ratio(r => r.Rss),
                    Ratio(r => r.PeakRss),
                ]);
            }
        }
    }

    private static void WriteCase(StringBuilder text, LoadOptions options, Measurements measurements, LoadCase load)
    {
        Column[] columns = load.Mode == "idle" ? s_idleColumns : s_columns;
        text.Append(CultureInfo.InvariantCulture, $"\n### {load.Name}: {load.About}\n\n");
        Row(text, ["server", .. columns.Select(c => load.Mode switch
        {
            "broadcast" => c.BroadcastName ?? c.Name,
            "churn" => c.ChurnName ?? c.Name,
            _ => c.Name,
        })]);
        Row(text, ["---", .. columns.Select(_ => "---")]);
        Contender[] measured = [.. options.Contenders.Where(c => measurements.Has(load, c))];
        foreach (Contender contender in measured)
        {
            Row(text, [contender.Name, .. columns.Select((c, i) => Show(measurements.Value(load, contender, c.Value), c.Format, i == 0))]);
        }

        string[] failures = [.. measured.SelectMany(c => measurements.Errors(load, c).Select(e => $"- **{c.Name}**: {e}\n"))];
        if (failures.Length > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"\nFailed:\n\n{string.Concat(failures)}");
        }
    }

    private static void Row(StringBuilder text, IEnumerable<string> cells) => text.Append(CultureInfo.InvariantCulture, $"| {string.Join(" | ", cells)} |\n");

    private static string Show(Spread? spread, string format, bool withRange = true)
    {
        if (spread is not { } value)
        {
            return "–";
        }

        string median = value.Median.ToString(format, CultureInfo.InvariantCulture);
        return withRange && value.Min != value.Max
            ? string.Create(CultureInfo.InvariantCulture, $"{median} ({value.Min.ToString(format, CultureInfo.InvariantCulture)}–{value.Max.ToString(format, CultureInfo.InvariantCulture)})")
            : median;
    }

    private static readonly Column[] s_columns =
    [
        new("messages/s", "#,0", r => r.PerSecond) { BroadcastName = "deliveries/s", ChurnName = "connections/s" },
        new("p50 µs", "#,0", r => r.P50) { BroadcastName = "p50 µs till all have it" },
        new("p99 µs", "#,0", r => r.P99),
        new("p99.9 µs", "#,0", r => r.P999),
        new("CPU s per million", "0.00", r => r.ServerCpuPerMillion),
        new("client's", "0.00", r => r.ClientCpuPerMillion),
        new("RSS MiB", "0.0", r => r.Rss / 1024.0),
        new("peak", "0.0", r => r.PeakRss / 1024.0),
        new("threads", "0", r => r.Threads),
        new("handshakes/s", "#,0", r => r.HandshakesPerSecond),
    ];

    private static readonly Column[] s_idleColumns =
    [
        new("RSS MiB", "0.0", r => r.Rss / 1024.0),
        new("peak", "0.0", r => r.PeakRss / 1024.0),
        new("RSS before MiB", "0.0", r => r.RssBefore / 1024.0),
        new("KiB per connection", "0.0", r => r.RssPerConnection),
        new("grown by", "0.0", r => r.RssGrowthPerConnection),
        new("CPU s per s", "0.000", r => r.ServerCpuPerMillion),
        new("threads", "0", r => r.Threads),
        new("handshakes/s", "#,0", r => r.HandshakesPerSecond),
    ];

    private sealed record Column(string Name, string Format, Func<LoadResult, double> Value)
    {
        public string? BroadcastName { get; init; }

        public string? ChurnName { get; init; }
    }
}
