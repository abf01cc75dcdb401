using System;
using System.Collections.Generic;
using System.Threading;

namespace CivetWeb.Net;

/// <summary>
/// Receive buffers, for as long as there is something in them. Not the shared array pool: that keeps some for every thread,
/// and here every connection, idle ones too, is a thread.
/// </summary>
internal static class ReceiveBuffers
{
    public const int Size = 16 * 1024;

    private const int MaxKept = 256;
    private const int Stride = 16; // so that processors do not share a cache line
    private static readonly Lock Gate = new();
    private static readonly Stack<byte[]> Kept = new(MaxKept);

    // One that was just used, for the next thread on the same processor: most calls end here, without a lock.
    private static readonly byte[]?[] AtHand = new byte[]?[Environment.ProcessorCount * Stride];

    private static int Index => (int)((uint)Thread.GetCurrentProcessorId() % (uint)Environment.ProcessorCount) * Stride;

    public static byte[] Rent()
    {
        byte[]? buffer = Interlocked.Exchange(ref AtHand[Index], null);
        if (buffer is not null)
        {
            return buffer;
        }

        lock (Gate)
        {
            if (Kept.TryPop(out buffer))
            {
                return buffer;
            }
        }

        return new byte[Size];
    }

    public static void Return(byte[] buffer)
    {
        if (Interlocked.CompareExchange(ref AtHand[Index], buffer, null) is null)
        {
            return;
        }

        lock (Gate)
        {
            if (Kept.Count < MaxKept)
            {
                Kept.Push(buffer);
            }
        }
    }
}
