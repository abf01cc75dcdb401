using System;
using System.Collections.Generic;
using CivetWeb.Net.CallbackApi;

namespace CivetWeb.Net.Core;

/// <summary>
/// The servers that run when the process ends without having stopped them. Their threads go on calling until the very
/// end, which does no harm; but clients should hear of it. Bounded, because a process that is told to end must end.
/// </summary>
internal static class ProcessEnd
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(500);
    private static readonly HashSet<Context> Running = [];
    private static bool s_watching;

    public static void Add(Context context)
    {
        lock (Running)
        {
            Running.Add(context);
            if (!s_watching)
            {
                s_watching = true;
                AppDomain.CurrentDomain.ProcessExit += static (_, _) => SayGoodbye();
            }
        }
    }

    public static void Remove(Context context)
    {
        lock (Running)
        {
            Running.Remove(context);
        }
    }

    private static void SayGoodbye()
    {
        Context[] running;
        lock (Running)
        {
            running = [.. Running];
        }

        // ProcessExit also runs on a thread that is inside a callback; its own WebSocket cannot answer then.
        if (CallbackScope.IsActive)
        {
            return;
        }

        foreach (Context context in running)
        {
            context.SayGoodbye(Patience);
        }
    }
}
