using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net;

/// <summary>
/// The turns of one WebSocket: runs what is posted to it and does the input and output of its stream, one thing after the
/// other, until the handler's task is done. Awaits come back here, so a handler needs no locks of its own.
/// </summary>
/// <remarks>
/// Turns run on the connection's own thread, or, while that waits for nothing but input, on one of the native library's
/// leaders (native/src/leaders.c), which serve all connections. Never two at a time; whoever has the turn is "on" the loop.
///
/// States, and who moves them: running (input, output and posted work), lost (the connection has ended: posted work only;
/// the loop itself), left (the thread has been given back although the handler goes on: what it posts runs on the thread
/// pool, still one after the other; the loop itself, when the handler has outlived its connection for too long or the
/// server has stopped waiting).
/// </remarks>
internal sealed class ConnectionLoop : SynchronizationContext, ISessionTurns
{
    /// <summary>How long a handler may go on on this thread when its connection is lost.</summary>
    private const int GraceMilliseconds = 10_000;

    /// <summary>
    /// How often a waiting write is tried again. The system calls a socket writable when much of its buffer is free, which
    /// for a slow client can take long.
    /// </summary>
    private const int WriteAgainMilliseconds = 500;

    private readonly SessionHandle _session;
    private readonly SessionStream _stream;
    private readonly Action<Exception> _report;
    private readonly object _gate = new();
    private int _thread = Environment.CurrentManagedThreadId; // that has the turn; 0: none, the own one waits
    private Task? _main;
    private long _parkedUntil; // when the own thread's wait ends, as Environment.TickCount64
    private List<(SendOrPostCallback Callback, object? State)> _posted = [];
    private List<(SendOrPostCallback Callback, object? State)> _running = [];
    private bool _waiting; // in native code; whoever has something for the loop must wake it
    private bool _lost;
    private bool _left;
    private bool _abandoned;
    private bool _draining; // on the thread pool, once left
    private long _closeDeadline; // for the client's half of the closing; 0: none

    /// <param name="session">Begun on this thread.</param>
    /// <param name="stream">The stream over it.</param>
    /// <param name="report">Takes exceptions that left posted work.</param>
    public ConnectionLoop(SessionHandle session, SessionStream stream, Action<Exception> report)
    {
        _session = session;
        _stream = stream;
        _report = report;
    }

    /// <summary>Called on this thread when the connection is lost.</summary>
    public Action? Lost { get; set; }

    /// <summary>Why the loop has cut the connection; null when it has not.</summary>
    public string? CutBecause { get; private set; }

    /// <summary>Whether the caller has the loop's turn.</summary>
    public bool IsOnThread => Environment.CurrentManagedThreadId == Volatile.Read(ref _thread) && !Volatile.Read(ref _left);

    /// <summary>Whether the connection has ended, as far as the loop knows.</summary>
    public bool IsLost => Volatile.Read(ref _lost);

    /// <summary>Runs until the task is done, or nobody waits for it any longer.</summary>
    public void Run(Func<Task> main)
    {
        SynchronizationContext? outer = Current;
        SetSynchronizationContext(this);
        try
        {
            _main = main();
            while (!_main.IsCompleted && !Volatile.Read(ref _abandoned))
            {
                Turn();
            }
        }
        finally
        {
            SetSynchronizationContext(outer);
            Leave();
        }
    }

    /// <summary>From now on the client has so much time to close; then the connection is cut.</summary>
    public void StartCloseTimeout(TimeSpan timeout)
    {
        if (timeout != Timeout.InfiniteTimeSpan
            && Interlocked.CompareExchange(ref _closeDeadline, Environment.TickCount64 + (long)timeout.TotalMilliseconds, 0) == 0)
        {
            Wake();
        }
    }

    /// <summary>Gives the thread back as soon as it is free, whatever the handler does.</summary>
    public void Abandon()
    {
        Volatile.Write(ref _abandoned, true);
        Wake();
    }

    /// <summary>Cuts the connection; the reason is for the log. Any thread.</summary>
    public void Cut(string reason)
    {
        CutBecause ??= reason;
        _session.Abort();
    }

    /// <summary>Makes the loop look at everything again.</summary>
    public void Wake()
    {
        lock (_gate)
        {
            Monitor.PulseAll(_gate);
        }

        // The other side of this is in Wait: one of the two sees what the other has written.
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _waiting) && Environment.CurrentManagedThreadId != Volatile.Read(ref _thread))
        {
            _session.Wake();
        }
    }

    /// <inheritdoc/>
    public SessionTurn RunTurn()
    {
        SynchronizationContext? outer = Current;
        using CallbackScope scope = CallbackScope.Enter();
        SetSynchronizationContext(this);
        Volatile.Write(ref _waiting, false);
        Volatile.Write(ref _thread, Environment.CurrentManagedThreadId);
        try
        {
            _stream.CompleteRead(mayWait: true);
            RunPosted();
        }
        finally
        {
            Volatile.Write(ref _thread, 0);
            SetSynchronizationContext(outer);
        }

        // From here on whoever has something for the loop wakes it; what came before is seen below. What is more than waiting for
        // input is for the own thread, and so is a deadline before the end of its wait.
        Volatile.Write(ref _waiting, true);
        Interlocked.MemoryBarrier();
        if (_main is not { IsCompleted: false } || NextDeadline() < _parkedUntil)
        {
            return SessionTurn.Own;
        }

        return HasWork() ? SessionTurn.Own : _stream.WantedEvents switch
        {
            SessionEvents.CanRead => _stream.MayHaveMore ? SessionTurn.Again : SessionTurn.Done,
            SessionEvents.None => SessionTurn.Unread, // the handler awaits something else, which will wake the own thread
            _ => SessionTurn.Own,
        };
    }

    /// <inheritdoc/>
    public override void Post(SendOrPostCallback d, object? state)
    {
        bool wake;
        lock (_gate)
        {
            _posted.Add((d, state));
            if (_left)
            {
                StartDraining();
                return;
            }

            wake = _lost;
            if (wake)
            {
                Monitor.PulseAll(_gate);
            }
        }

        Interlocked.MemoryBarrier();
        if (!wake && Volatile.Read(ref _waiting))
        {
            _session.Wake();
        }
    }

    /// <inheritdoc/>
    public override void Send(SendOrPostCallback d, object? state)
    {
        if (IsOnThread)
        {
            d(state);
            return;
        }

        using var done = new ManualResetEventSlim();
        System.Runtime.ExceptionServices.ExceptionDispatchInfo? failure = null;
        Post(
            _ =>
            {
                try
                {
                    d(state);
                }
                catch (Exception e)
                {
                    failure = System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(e);
                }
                finally
                {
                    done.Set();
                }
            },
            null);
        done.Wait();
        failure?.Throw();
    }

    /// <summary>Runs what was posted, or would have been. Its exceptions, those that leave an async void method, are reported.</summary>
    public void Invoke(SendOrPostCallback callback, object? state)
    {
        try
        {
            callback(state);
        }
        catch (Exception e)
        {
            _report(e);
        }
    }

    /// <inheritdoc/>
    public override SynchronizationContext CreateCopy() => this;

    private void Turn()
    {
        if (RunPosted())
        {
            return;
        }

        if (_lost)
        {
            WaitForWork();
            return;
        }

        if (_stream.HasEnded)
        {
            Lose();
            return;
        }

        if (_stream.IsDisposed)
        {
            // Both sides have closed, or the handler has: the client need not wait for the handler to end.
            _stream.EndSession();
            Lose();
            return;
        }

        if (_stream.TryReadFirst())
        {
            return;
        }

        Wait();
    }

    private void Wait()
    {
        Volatile.Write(ref _waiting, true);
        Interlocked.MemoryBarrier();
        SessionEvents wanted = _stream.WantedEvents;
        int timeout = NextTimeout();
        if ((wanted & SessionEvents.CanWrite) != 0)
        {
            timeout = timeout < 0 ? WriteAgainMilliseconds : Math.Min(timeout, WriteAgainMilliseconds);
        }

        SessionEvents events = SessionEvents.Woken;
        if (!HasWork())
        {
            _parkedUntil = timeout < 0 ? long.MaxValue : Environment.TickCount64 + timeout;
            Volatile.Write(ref _thread, 0);
            events = _session.Wait(wanted, timeout);
            Volatile.Write(ref _thread, Environment.CurrentManagedThreadId);
        }

        Volatile.Write(ref _waiting, false);
        long now = Environment.TickCount64; // before the handler goes on, which may take its time

        if ((events & SessionEvents.HungUp) != 0)
        {
            Lose();
            return;
        }

        if ((events & SessionEvents.CanRead) != 0)
        {
            _stream.CompleteRead(mayWait: true);
        }

        if ((events & SessionEvents.CanWrite) != 0 || (events == SessionEvents.None && (wanted & SessionEvents.CanWrite) != 0))
        {
            _stream.CompleteWrite();
        }

        long close = Volatile.Read(ref _closeDeadline);
        if (close != 0 && now >= close)
        {
            Cut("the client has not answered the Close frame in time");
        }
        else if (now >= _stream.Deadline)
        {
            Cut(now >= _stream.WriteDeadline ? SessionStream.NotRead : "the client has not gone on with its frame in time");
        }
    }

    private long NextDeadline()
    {
        long close = Volatile.Read(ref _closeDeadline);
        return Math.Min(close == 0 ? long.MaxValue : close, _stream.Deadline);
    }

    /// <summary>In milliseconds, -1 for none.</summary>
    private int NextTimeout()
    {
        long deadline = NextDeadline();
        return deadline == long.MaxValue ? -1 : (int)Math.Clamp(deadline - Environment.TickCount64, 0, int.MaxValue);
    }

    private bool HasWork()
    {
        lock (_gate)
        {
            return _posted.Count > 0 || _abandoned || _stream.IsDisposed || _stream.HasEnded;
        }
    }

    /// <summary>The connection has ended: only the handler's own work is left, including whatever waited for the client.</summary>
    private void Lose()
    {
        lock (_gate)
        {
            if (_lost)
            {
                return;
            }

            _lost = true;
        }

        _stream.FailPending();
        try
        {
            Lost?.Invoke();
        }
        catch (Exception e)
        {
            _report(e);
        }
    }

    private void WaitForWork()
    {
        lock (_gate)
        {
            if (_posted.Count == 0 && !_abandoned && !Monitor.Wait(_gate, GraceMilliseconds))
            {
                _abandoned = true;
            }
        }
    }

    private bool RunPosted()
    {
        lock (_gate)
        {
            if (_posted.Count == 0)
            {
                return false;
            }

            (_posted, _running) = (_running, _posted);
        }

        foreach ((SendOrPostCallback callback, object? state) in _running)
        {
            Invoke(callback, state);
        }

        _running.Clear();
        return true;
    }

    private void Leave()
    {
        lock (_gate)
        {
            _lost = true;
            _left = true;
            StartDraining();
        }
    }

    /// <summary>Under the gate.</summary>
    private void StartDraining()
    {
        if (!_draining && _posted.Count > 0)
        {
            _draining = true;
            ThreadPool.UnsafeQueueUserWorkItem(static loop => loop.Drain(), this, preferLocal: false);
        }
    }

    private void Drain()
    {
        SetSynchronizationContext(this);
        while (RunPosted())
        {
        }

        SetSynchronizationContext(null);
        lock (_gate)
        {
            _draining = false;
            StartDraining();
        }
    }
}
