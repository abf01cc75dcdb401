using System;
using System.Diagnostics;
using System.Threading;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

public sealed partial class CivetWebServer
{
    /// <summary>How long handlers may go on when their connections have been cut.</summary>
    private const int GraceMilliseconds = 2_000;

    /// <summary>On the keeper's thread.</summary>
    private void Stop(CancellationToken cancellationToken)
    {
        long began = Stopwatch.GetTimestamp();
        ServerLog.Stopping(Logger, WebSocketCount);
        long deadline = Environment.TickCount64 + (long)Math.Min(Options.ShutdownTimeout.TotalMilliseconds, int.MaxValue);
        try
        {
            Cancel(_stopping);
            StopContext(deadline, cancellationToken);
        }
        finally
        {
            StopTls();
        }

        ServerLog.Stopped(Logger, Stopwatch.GetElapsedTime(began));
    }

    private void StopContext(long deadline, CancellationToken cancellationToken) =>
        _context!.Stop(
            Options.ShutdownTimeout,
            connections =>
            {
                WaitForRequests(deadline, cancellationToken);

                // Their connections are cut, or will be: what still runs gets a moment to notice, and is then left alone.
                Cancel(_aborted);
                if (!WaitForRequests(Environment.TickCount64 + GraceMilliseconds, CancellationToken.None))
                {
                    Cancel(_abandoned);
                    foreach (HttpConnection connection in connections.Snapshot())
                    {
                        ((ServerConnection)connection).Abandon();
                    }
                }
            },
            cancellationToken);

    private void Cancel(CancellationTokenSource source)
    {
        try
        {
            source.Cancel();
        }
        catch (AggregateException e)
        {
            // Of code that somebody has registered with the token.
            _context!.ReportException(e, nameof(StopAsync));
        }
    }

    /// <summary>Waits until no request or WebSocket is being handled; false when the time has run out.</summary>
    private bool WaitForRequests(long deadline, CancellationToken cancellationToken)
    {
        while (true)
        {
            lock (_requests)
            {
                long left = deadline - Environment.TickCount64;
                if (_activeRequests == 0 || left <= 0 || cancellationToken.IsCancellationRequested)
                {
                    return _activeRequests == 0;
                }

                Monitor.Wait(_requests, (int)Math.Min(left, 100));
            }

            Keeper.Look();
        }
    }
}
