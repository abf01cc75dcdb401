using System;

namespace CivetWeb.Net.Core;

/// <summary>Whether this thread is inside a callback, where a server cannot be stopped: it would wait for itself.</summary>
internal readonly ref struct CallbackScope : IDisposable
{
    [ThreadStatic]
    private static int t_depth;

    public static bool IsActive => t_depth > 0;

    public static CallbackScope Enter()
    {
        t_depth++;
        return default;
    }

    public void Dispose() => t_depth--;
}
