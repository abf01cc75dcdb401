using System.Runtime.InteropServices;
using System.Threading;

namespace CivetWeb.Net.Interop;

/// <summary>GCHandles that C holds, counted: a leak check compares the count before and after.</summary>
internal static class Pin
{
    private static int s_count;

    /// <summary>Handles not freed yet, in the whole process.</summary>
    public static int Count => Volatile.Read(ref s_count);

    public static nint Create(object target)
    {
        Interlocked.Increment(ref s_count);
        return GCHandle.ToIntPtr(GCHandle.Alloc(target));
    }

    public static T? Target<T>(nint pin)
        where T : class =>
        pin == 0 ? null : GCHandle.FromIntPtr(pin).Target as T;

    public static void Free(nint pin)
    {
        GCHandle.FromIntPtr(pin).Free();
        Interlocked.Decrement(ref s_count);
    }
}
