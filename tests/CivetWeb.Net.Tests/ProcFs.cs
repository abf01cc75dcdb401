using System;
using System.IO;
using System.Linq;

namespace CivetWeb.Net.Tests;

/// <summary>What Linux shows of this process.</summary>
internal static class ProcFs
{
    /// <summary>Sockets, event descriptors and the like; not files, since the runtime opens an assembly when it needs it.</summary>
    public static string[] Descriptors => [.. Directory.GetFiles("/proc/self/fd").Select(Target).Where(t => t.Contains(":[", StringComparison.Ordinal))];

    /// <summary>Threads of CivetWeb, by the names it gives them; the thread pool's own come and go.</summary>
    public static int ServerThreads => ThreadsNamed("civetweb");

    /// <summary>Of them, those that take turns at WebSockets.</summary>
    public static int Leaders => ThreadsNamed("civetweb-leader");

    private static int ThreadsNamed(string start) => Directory.GetDirectories("/proc/self/task").Count(task =>
    {
        try
        {
            return File.ReadAllText(Path.Combine(task, "comm")).StartsWith(start, StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false; // it has just ended
        }
    });

    /// <summary>A line of /proc/self/status that is given in kB, in bytes.</summary>
    public static long Status(string name) => long.Parse(
        File.ReadLines("/proc/self/status").First(l => l.StartsWith(name + ":", StringComparison.Ordinal)).Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1],
        System.Globalization.CultureInfo.InvariantCulture) << 10;

    /// <summary>What a descriptor is: for a socket, its line in /proc/net.</summary>
    public static string Describe(string descriptor)
    {
        string inode = descriptor.Split('[', ']')[1];
        return descriptor + string.Concat(
            from file in (string[])["tcp", "tcp6", "unix", "udp"]
            from line in File.ReadLines($"/proc/self/net/{file}")
            where line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Contains(inode)
            select $" {file} {line.Trim()}");
    }

    private static string Target(string descriptor)
    {
        try
        {
            return new FileInfo(descriptor).LinkTarget ?? "";
        }
        catch (IOException)
        {
            return ""; // closed meanwhile
        }
    }
}
