using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;

namespace CivetWeb.Net.Core;

/// <summary>
/// Threads that the system may not let a server have. A server has all of its threads from the start on; what cannot be had fails the start,
/// because later .NET would end the process for it, or nobody would be answered.
/// </summary>
internal static class ThreadLimits
{
    /// <summary>
    /// Mappings of a thread that runs managed code: its stack and the signal stack that .NET gives it, each with a guard page.
    /// </summary>
    private const int MappingsPerThread = 4;

    /// <summary>What .NET may map besides, as it goes on.</summary>
    private const int SpareMappings = 2_000;

    /// <summary>Threads of .NET's own that may begin at any moment, besides those of the pool.</summary>
    private const int SpareThreads = 4;

    private static readonly Lock Gate = new();
    private static int s_threads; // of the servers that run

    /// <summary>Threads that are needed besides a server's own: leaders and their watch, the thread pool, the runtime.</summary>
    public static int Headroom => Math.Min(2 * Environment.ProcessorCount, 128) + 1 + SpareThreads;

    /// <summary>Before a start.</summary>
    /// <param name="threads">How many the server will have.</param>
    /// <exception cref="CivetWebException">They cannot be had.</exception>
    public static void Reserve(int threads)
    {
        lock (Gate)
        {
            if (OperatingSystem.IsLinux())
            {
                CheckMappings(threads);
                CheckProcesses(threads);
            }

            s_threads += threads;
        }
    }

    /// <summary>After the stop, or a start that has failed.</summary>
    public static void Release(int threads)
    {
        lock (Gate)
        {
            s_threads -= threads;
        }
    }

    /// <summary>To be thrown while the threads that could be had are still there.</summary>
    /// <param name="wanted">How many the server needs.</param>
    /// <param name="had">How many it got.</param>
    public static CivetWebException TooFew(int wanted, int had) => Failure(wanted, $"only {Text(had)} could be had", Limits());

    private static CivetWebException Failure(int wanted, string what, string limits) => new(
        $"The server needs {Text(wanted)} threads, but {what}. {limits} "
        + "Raise the limit, or ask for fewer: a server has as many as num_threads says, of the server API MaxConnections and ReservedHttpThreads together.",
        (int)Interop.mg_error_data_code.OS_ERROR);

    private static void CheckMappings(int threads)
    {
        if (ReadNumber("/proc/sys/vm/max_map_count") is not { } limit || (s_threads + threads) * (long)MappingsPerThread < limit / 4)
        {
            return; // far from it: nothing has to be counted
        }

        // A thread that has not run managed code yet has two, the stack's, and will have the others.
        long others = Math.Max(0, Mappings() - (long)s_threads * 2);
        long needed = others + (s_threads + threads + Headroom) * (long)MappingsPerThread + SpareMappings;
        if (needed > limit)
        {
            throw Failure(
                threads,
                $"they need {Text(needed)} memory mappings with what the process has already",
                $"The limit is vm.max_map_count, {Text(limit)}.");
        }
    }

    /// <summary>Where it can be told before: what is tried would leave nothing to others meanwhile.</summary>
    private static void CheckProcesses(int threads)
    {
        foreach ((string path, long limit, long used) in ProcessGroups())
        {
            if (used + threads + Headroom > limit)
            {
                throw Failure(
                    threads,
                    $"with {Text(Headroom)} more for .NET only {Text(Math.Max(0, limit - used))} can be had",
                    $"The limit is pids.max of the control group ({path}): {Text(limit)}, of which {Text(used)} are in use.");
            }
        }
    }

    /// <summary>Which limit it was: those that are nearly reached, or all there are.</summary>
    private static string Limits()
    {
        const int Near = 16;
        if (!OperatingSystem.IsLinux())
        {
            return "The system has refused more.";
        }

        try
        {
            foreach ((string path, long limit, long used) in ProcessGroups())
            {
                if (limit - used < Near)
                {
                    return $"The limit is pids.max of the control group ({path}): {Text(limit)}.";
                }
            }

            if (ReadNumber("/proc/sys/vm/max_map_count") is { } mappings && mappings - Mappings() < Near)
            {
                return $"The limit is vm.max_map_count, {Text(mappings)}.";
            }

            if (ProcessLimit() is { } processes)
            {
                return $"The limit is RLIMIT_NPROC (ulimit -u), {Text(processes)} for all processes and threads of the user.";
            }

            return $"The system has refused more: kernel.threads-max is {ReadText("/proc/sys/kernel/threads-max")}, kernel.pid_max {ReadText("/proc/sys/kernel/pid_max")}.";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or OutOfMemoryException)
        {
            return "The system has refused more.";
        }
    }

    /// <summary>The soft limit; null: none. Root has none in effect.</summary>
    private static long? ProcessLimit()
    {
        const string Name = "Max processes";
        string? line = File.ReadLines("/proc/self/limits").FirstOrDefault(line => line.StartsWith(Name, StringComparison.Ordinal));
        string? soft = line?[Name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        return Environment.IsPrivilegedProcess ? null : Number(soft);
    }

    private static long Mappings() => File.ReadLines("/proc/self/maps").LongCount();

    /// <summary>The control groups this process is in that limit threads, as far as they can be seen from here.</summary>
    private static List<(string Path, long Limit, long Used)> ProcessGroups()
    {
        var groups = new List<(string, long, long)>();
        try
        {
            foreach (string line in File.ReadLines("/proc/self/cgroup"))
            {
                // hierarchy:controllers:path; version 2 has no controllers
                string[] parts = line.Split(':', 3);
                if (parts.Length == 3 && (parts[1].Length == 0 || parts[1].Split(',').Contains("pids")))
                {
                    AddGroups(groups, parts[1].Length == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids", parts[2]);
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not to be seen: what cannot be had shows when it is tried.
        }

        return groups;
    }

    /// <summary>A group and those around it.</summary>
    private static void AddGroups(List<(string Path, long Limit, long Used)> groups, string root, string path)
    {
        for (string group = path.TrimEnd('/'); ; group = group[..group.LastIndexOf('/')])
        {
            string file = $"{root}{group}/pids.max";
            if (ReadNumber(file) is { } limit && ReadNumber($"{root}{group}/pids.current") is { } used)
            {
                groups.Add((file, limit, used));
            }

            if (group.Length == 0)
            {
                return;
            }
        }
    }

    private static long? ReadNumber(string path) => Number(ReadText(path));

    private static string? ReadText(string path)
    {
        try
        {
            return File.Exists(path) ? File.ReadAllText(path).Trim() : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static long? Number(string? text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : null;

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
