using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>
/// A thread of a server's own, there from its start to its end. It notices clients that go while their requests are handled, which nobody
/// else does as long as nothing is sent; and it stops the server, so that stopping needs no thread that might not be had.
/// </summary>
/// <remarks>
/// States, moved by the thread itself under its lock: idle (nobody is being answered) ⇄ looking → ending (its last work, given by
/// <see cref="End"/>) → ended.
/// </remarks>
internal sealed class ServerKeeper
{
    private const int LookMilliseconds = 100;

    private readonly object _gate = new();
    private readonly List<ServerRequest> _requests = []; // whose handlers run
    private readonly List<ServerRequest> _looked = []; // the thread's own
    private readonly TaskCompletionSource _ended = new(); // continued at once, on the thread: nothing may need another one
    private readonly Thread _thread;
    private Func<bool>? _clientsWait;
    private Action? _last;
    private bool _isIdle;
    private bool _isEnding;

    private ServerKeeper(Func<bool> clientsWait)
    {
        _clientsWait = clientsWait;
        _thread = new Thread(Run) { IsBackground = true, Name = "CivetWeb keeper" };
    }

    /// <summary>Whether the caller is what the thread does last.</summary>
    public bool IsEndingHere => Thread.CurrentThread == _thread && Volatile.Read(ref _isEnding);

    /// <param name="clientsWait">Whether clients wait for one of the server's threads.</param>
    /// <exception cref="CivetWebException">There is no thread to be had.</exception>
    public static ServerKeeper Start(Func<bool> clientsWait)
    {
        var keeper = new ServerKeeper(clientsWait);
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
            if (_isIdle)
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
        while (WaitToLook())
        {
            Look();
        }

        Volatile.Write(ref _isEnding, true);
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
        Volatile.Write(ref _isEnding, false);
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

    /// <summary>False: the last work has come.</summary>
    private bool WaitToLook()
    {
        lock (_gate)
        {
            _isIdle = true;
            while (_requests.Count == 0 && _last is null)
            {
                Monitor.Wait(_gate);
            }

            _isIdle = false;
            if (_last is null)
            {
                Monitor.Wait(_gate, LookMilliseconds);
            }

            return _last is null;
        }
    }
}
