using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;
using CivetWeb.Net.Benchmarks.Load;

namespace CivetWeb.Net.Benchmarks.Micro;

/// <summary>Runs the native micro benchmarks and makes a table of what they say.</summary>
internal static class NativeMicro
{
    public static void Run(MicroOptions options)
    {
        Repository.BuildNativePrograms();
        var table = new StringBuilder();
        table.Append(CultureInfo.InvariantCulture, $"{Machine.This}\n\n| native | bytes | ns | range | ns per byte |\n| --- | --- | --- | --- | --- |\n");
        using var program = new ChildProcess([Repository.NativeProgram("bench_micro")], new Dictionary<string, string>(), cpu: null);
        while (program.ReadLine(TimeSpan.FromMinutes(1)) is { } line)
        {
            string[] fields = line.Split('\t');
            double bytes = Number(fields[1]), median = Number(fields[2]);
            table.Append(
                CultureInfo.InvariantCulture,
                $"| {fields[0]} | {bytes:#,0} | {median:#,0.0} | {Number(fields[3]):#,0.0}–{Number(fields[4]):#,0.0} | {median / bytes:0.000} |\n");
        }

        if (program.Ended is not "ended with 0")
        {
            throw new FormatException($"bench_micro has {program.Ended ?? "said nothing for a minute"}.");
        }

        Console.WriteLine(table);
        Directory.CreateDirectory(options.Output);
        File.WriteAllText(Path.Combine(options.Output, "micro-native.md"), table.ToString());
    }

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);
}
