using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>
/// A thread of a server's own, there from its start to its end. It starts the server; it notices clients that go while their requests are
/// handled, which nobody else does as long as nothing is sent; and it stops the server, so that stopping needs no thread that might not be
/// available.
/// </summary>
internal sealed class ServerKeeper
{
    private const int LookMilliseconds = 100;

    private readonly object _gate = new();
    private readonly List<ServerRequest> _requests = []; // whose handlers run
    private readonly List<ServerRequest> _looked = []; // the thread's own
    private readonly TaskCompletionSource _started = new(); // continued at once after a failure, when the thread has nothing left to do
    private readonly TaskCompletionSource _ended = new(); // continued at once, on the thread: nothing may need another one
    private readonly Thread _thread;
    private Func<bool>? _clientsWait;
    private Action? _first;
    private Action? _last;
    private State _state; // the thread alone changes it

    private ServerKeeper(Action first, Func<bool> clientsWait)
    {
        _first = first;
        _clientsWait = clientsWait;
        _thread = new Thread(Run) { IsBackground = true, Name = "CivetWeb keeper" };
    }

    /// <summary>
    /// Starting → Looking: the start has succeeded.
    /// Starting → Ended: it has failed.
    /// Looking ⇄ Idle: requests are being handled, or none are (under the lock).
    /// Looking, Idle → Ending: the last work has come, by <see cref="End"/>.
    /// Ending → Ended: it is done.
    /// </summary>
    private enum State
    {
        Starting,
        Looking,
        Idle,
        Ending,
        Ended,
    }

    /// <summary>Whether the caller is what the thread does first or last.</summary>
    public bool IsWorkingHere => Thread.CurrentThread == _thread && _state is State.Starting or State.Ending;

    /// <summary>Completes, or fails, as the start does.</summary>
    public Task Started => _started.Task;

    /// <param name="first">What the thread does first; it ends when that fails.</param>
    /// <param name="clientsWait">Whether clients wait for one of the server's threads.</param>
    /// <exception cref="CivetWebException">No thread is available.</exception>
    public static ServerKeeper Start(Action first, Func<bool> clientsWait)
    {
        var keeper = new ServerKeeper(first, clientsWait);
        try
        {
            keeper._thread.UnsafeStart();
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            throw ThreadLimits.TooFew(1, 0);
        }

        return keeper;
    }

    /// <summary>From now on it is noticed when the request's client goes.</summary>
    public void Add(ServerRequest request)
    {
        lock (_gate)
        {
            request.KeeperIndex = _requests.Count;
            _requests.Add(request);
            if (_state == State.Idle)
            {
                Monitor.PulseAll(_gate);
            }
        }
    }

    public void Remove(ServerRequest request)
    {
        lock (_gate)
        {
            ServerRequest last = _requests[^1];
            _requests[request.KeeperIndex] = last;
            last.KeeperIndex = request.KeeperIndex;
            _requests.RemoveAt(_requests.Count - 1);
        }
    }

    /// <summary>The thread does this and ends. Once.</summary>
    public Task End(Action last)
    {
        lock (_gate)
        {
            _last = last;
            Monitor.PulseAll(_gate);
        }

        return _ended.Task;
    }

    /// <summary>Looks for clients that have gone. On the thread only.</summary>
    public void Look()
    {
        lock (_gate)
        {
            _looked.AddRange(_requests);
        }

        bool anyIsGone = false;
        foreach (ServerRequest request in _looked)
        {
            if (!request.IsClientGone && request.Connection.IsClientGone())
            {
                request.LoseClient();
            }

            anyIsGone |= request.IsClientGone;
        }

        // A handler may go on without its client. But not on a thread that others need.
        if (anyIsGone && _clientsWait!())
        {
            foreach (ServerRequest request in _looked)
            {
                if (request.IsClientGone)
                {
                    request.GiveThreadBack();
                }
            }
        }

        _looked.Clear();
    }

    private void Run()
    {
        if (!RunFirst())
        {
            return;
        }

        while (WaitToLook())
        {
            Look();
        }

        Debug.Assert(_state is State.Looking, "Nobody else moves it.");
        _state = State.Ending;
        Exception? failure = null;
        try
        {
            _last!();
        }
        catch (Exception e)
        {
            failure = e;
        }

        // What goes on from here on may take its time: nothing of the server is held meanwhile.
        _state = State.Ended;
        _last = null;
        _clientsWait = null;
        if (failure is null)
        {
            _ended.SetResult();
        }
        else
        {
            _ended.SetException(failure);
        }
    }

    private bool RunFirst()
    {
        Exception? failure = null;
        try
        {
            _first!();
        }
        catch (Exception e)
        {
            failure = e;
        }

        // The thread does not hold anything of the server any more when somebody goes on because of it.
        _first = null;
        _state = failure is null ? State.Looking : State.Ended;
        if (failure is null)
        {
            // Not here: what goes on then may take its time. The start has made sure that there are threads enough.
            ThreadPool.UnsafeQueueUserWorkItem(static started => started.SetResult(), _started, preferLocal: false);
            return true;
        }

        _clientsWait = null;
        _started.SetException(failure);
        return false;
    }

    /// <summary>False: the last work has come.</summary>
    private bool WaitToLook()
    {
        lock (_gate)
        {
            _state = State.Idle;
            while (_requests.Count == 0 && _last is null)
            {
                Monitor.Wait(_gate);
            }

            _state = State.Looking;
            if (_last is null)
            {
                Monitor.Wait(_gate, LookMilliseconds);
            }

            return _last is null;
        }
    }
}
