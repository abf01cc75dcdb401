using System;
using System.Runtime.InteropServices;

namespace CivetWeb.Net.Benchmarks.Servers;

/// <summary>What a call of a database does to the thread that waits for it.</summary>
internal static class Blocking
{
    /// <summary>Blocks the thread, for less than the millisecond of Thread.Sleep too. Zero: not at all.</summary>
    public static void Sleep(int microseconds)
    {
        if (microseconds > 0 && usleep((uint)microseconds) != 0)
        {
            throw new InvalidOperationException("usleep has failed.");
        }
    }

    [DllImport("libc")]
    private static extern int usleep(uint microseconds);
}
