using System;
using System.Diagnostics;
using System.Threading;

namespace CivetWeb.Net.EchoServer;

/// <summary>What has happened since the start. Bytes are those of messages, without frames and headers.</summary>
internal sealed class Counters
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private long _open;
    private long _total;
    private long _messages;
    private long _bytesIn;
    private long _bytesOut;

    public void Opened()
    {
        Interlocked.Increment(ref _open);
        Interlocked.Increment(ref _total);
    }

    public void Closed() => Interlocked.Decrement(ref _open);

    public void Received(int bytes)
    {
        Interlocked.Increment(ref _messages);
        Interlocked.Add(ref _bytesIn, bytes);
    }

    /// <summary>Counts the result of a write: bytes, or -1.</summary>
    public void Sent(int bytes) => Interlocked.Add(ref _bytesOut, Math.Max(0, bytes));

    public override string ToString()
    {
        TimeSpan up = Stopwatch.GetElapsedTime(_start);
        return FormattableString.Invariant(
            $"Counters: connections {Volatile.Read(ref _open)} open, {Volatile.Read(ref _total)} total; messages {Volatile.Read(ref _messages)}; bytes {Volatile.Read(ref _bytesIn)} in, {Volatile.Read(ref _bytesOut)} out; up {(long)up.TotalHours}:{up:mm\\:ss}");
    }
}
