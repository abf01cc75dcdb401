using System.Collections.Generic;
using System.Threading;

namespace CivetWeb.Net;

/// <summary>
/// Receive buffers of busy connections. Not the shared array pool: that keeps some for every thread, and here every
/// connection, idle ones too, is a thread.
/// </summary>
internal static class ReceiveBuffers
{
    public const int Size = 16 * 1024;

    private const int MostKept = 256;
    private static readonly Lock Gate = new();
    private static readonly Stack<byte[]> Kept = new();

    public static byte[] Rent()
    {
        lock (Gate)
        {
            if (Kept.TryPop(out byte[]? buffer))
            {
                return buffer;
            }
        }

        return new byte[Size];
    }

    public static void Return(byte[] buffer)
    {
        lock (Gate)
        {
            if (Kept.Count < MostKept)
            {
                Kept.Push(buffer);
            }
        }
    }
}
