using System;
using System.Collections.Generic;

namespace CivetWeb.Net.Core;

/// <summary>
/// The servers that run when the process ends without having stopped them. Their threads go on calling until the very
/// end, which does no harm; but clients should hear of it. Bounded, because a process that is told to end must end.
/// </summary>
internal static class ProcessExitHandler
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(500);
    private static readonly HashSet<HttpHost> Running = [];
    private static bool s_watching;

    public static void Add(HttpHost host)
    {
        lock (Running)
        {
            Running.Add(host);
            if (!s_watching)
            {
                s_watching = true;
                AppDomain.CurrentDomain.ProcessExit += static (_, _) => NotifyClients();
            }
        }
    }

    public static void Remove(HttpHost host)
    {
        lock (Running)
        {
            Running.Remove(host);
        }
    }

    private static void NotifyClients()
    {
        HttpHost[] running;
        lock (Running)
        {
            running = [.. Running];
        }

        // ProcessExit also runs on a thread that is inside a callback; its own WebSocket cannot answer then.
        if (CallbackScope.IsActive)
        {
            return;
        }

        foreach (HttpHost host in running)
        {
            host.NotifyClients(Patience);
        }
    }
}
