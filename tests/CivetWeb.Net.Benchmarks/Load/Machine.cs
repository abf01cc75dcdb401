using System;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>What the numbers depend on.</summary>
internal sealed record Machine(string Cpu, int Cores, string Kernel, string Runtime, long MemoryMiB, string Date)
{
    public static Machine This { get; } = new(
        Line("/proc/cpuinfo", "model name") ?? RuntimeInformation.ProcessArchitecture.ToString(),
        Environment.ProcessorCount,
        $"{Line("/proc/version", "Linux version")?.Split(' ')[0] ?? RuntimeInformation.OSDescription}",
        RuntimeInformation.FrameworkDescription,
        GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 20,
        $"{DateTime.UtcNow:yyyy-MM-dd}");

    public override string ToString() =>
        $"{Cpu}, {Cores} cores, {MemoryMiB / 1024.0:F0} GiB; Linux {Kernel}; {Runtime}; {Date}. Client and servers share the machine.";

    /// <summary>What follows the name on its line.</summary>
    private static string? Line(string file, string name) =>
        File.Exists(file)
            ? File.ReadLines(file).FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal))?[name.Length..].TrimStart(' ', '\t', ':')
            : null;
}
