using System.Runtime.InteropServices;
using System.Threading;

namespace CivetWeb.Net.Interop;

/// <summary>GCHandles that C holds. They are counted, so that a leak check can compare.</summary>
internal static class CallbackHandle
{
    private static int s_count;

    /// <summary>Handles that have not been freed, in the whole process.</summary>
    public static int Count => Volatile.Read(ref s_count);

    public static nint Create(object target)
    {
        Interlocked.Increment(ref s_count);
        return GCHandle.ToIntPtr(GCHandle.Alloc(target));
    }

    public static T? Target<T>(nint handle)
        where T : class =>
        handle == 0 ? null : GCHandle.FromIntPtr(handle).Target as T;

    public static void Free(nint handle)
    {
        GCHandle.FromIntPtr(handle).Free();
        Interlocked.Decrement(ref s_count);
    }
}
