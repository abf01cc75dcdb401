using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>Measures all servers in all cases, again and again, and writes what came out.</summary>
internal static class LoadCommand
{
    private static readonly JsonSerializerOptions s_indented = new(JsonSerializerOptions.Web) { WriteIndented = true };

    public static int Run(LoadOptions options)
    {
        if (!OperatingSystem.IsLinux())
        {
            throw new FormatException("The load generator needs Linux (epoll, /proc).");
        }

        Repository.BuildNativePrograms();
        using var certificate = new LoadCertificate();
        var run = new LoadRun(options, certificate.Path);
        var measurements = new Measurements();
        int total = options.Repeat * options.Cases.Sum(load => options.Contenders.Count(c => c.Takes(load)));
        int failed = 0;

        for (int repeat = 1; repeat <= options.Repeat; repeat++)
        {
            foreach (LoadCase load in options.Cases)
            {
                foreach (Contender contender in InTurn(options.Contenders, repeat).Where(c => c.Takes(load)))
                {
                    LoadResult result = run.Measure(load, contender);
                    measurements.Add(repeat, load, contender, result);
                    failed += result.Error is null ? 0 : 1;
                    Console.Error.WriteLine(string.Create(
                        CultureInfo.InvariantCulture,
                        $"[{measurements.All.Count}/{total}] {load.Name} {contender.Name}: {Describe(result)}"));
                }
            }
        }

        Directory.CreateDirectory(options.Output);
        string report = MarkdownReport.Write(options, measurements);
        Console.Write(report);
        File.WriteAllText(Path.Combine(options.Output, "load.md"), report);
        File.WriteAllText(Path.Combine(options.Output, "load.svg"), RatioChart.Draw(options, measurements));
        File.WriteAllText(
            Path.Combine(options.Output, "load.json"),
            JsonSerializer.Serialize(new { machine = Machine.This, options.Repeat, options.Warmup, options.Seconds, options.IsText, measurements = measurements.All }, s_indented));
        Console.Error.WriteLine($"load.md, load.svg and load.json are in {options.Output}");
        return failed == 0 ? 0 : 1;
    }

    /// <summary>Another one is first in each repetition: none always follows the same one.</summary>
    private static IEnumerable<Contender> InTurn(IReadOnlyList<Contender> all, int repeat) =>
        Enumerable.Range(0, all.Count).Select(i => all[(i + repeat - 1) % all.Count]);

    private static string Describe(LoadResult result) => result.Error ?? FormattableString.Invariant(
        result.Messages > 0
            ? (FormattableString)$"{result.PerSecond:#,0}/s, p99 {result.P99:#,0} µs, {result.Rss / 1024.0:0.0} MiB"
            : (FormattableString)$"{result.Rss / 1024.0:0.0} MiB");
}
