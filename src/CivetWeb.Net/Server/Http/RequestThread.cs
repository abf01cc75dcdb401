using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net;

/// <summary>
/// The connection's own thread while a handler has a request. Reads and writes can block, so they belong here: an
/// asynchronous handler that goes on in the thread pool sends them to this thread, which has nothing else to do then.
/// </summary>
/// <remarks>
/// States: running (the handler is on this thread; another thread's I/O is done by that thread itself) → waiting (for the
/// handler's task; does the I/O of others) → running again for the next handler → over (every call throws). Given back: it waits for no
/// handler any more; who is gone needs no answer.
/// </remarks>
internal sealed class RequestThread
{
    private readonly object _gate = new();
    private readonly Queue<Work> _work = [];
    private readonly int _id = Environment.CurrentManagedThreadId;
    private bool _waiting;
    private bool _isGivenBack;
    private bool _over;

    /// <summary>Does it here and now if this is the thread or it is busy, else there.</summary>
    /// <exception cref="ObjectDisposedException">The request has ended.</exception>
    public Task<int> RunAsync(Func<int> work)
    {
        Work? posted = TryPost(work);
        if (posted is not null)
        {
            return posted.Done.Task;
        }

        try
        {
            return Task.FromResult(work());
        }
        catch (Exception e)
        {
            return Task.FromException<int>(e);
        }
    }

    /// <summary>As <see cref="RunAsync"/>, waiting for it.</summary>
    public int Run(Func<int> work)
    {
        Work? posted = TryPost(work);
        return posted is null ? work() : posted.Done.Task.GetAwaiter().GetResult();
    }

    /// <summary>Ends the waiting for handlers: others need the thread.</summary>
    public void GiveBack()
    {
        lock (_gate)
        {
            _isGivenBack = true;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Works for others until the task has completed; false when it was given up first.</summary>
    public bool WaitFor(Task task, CancellationToken abandoned)
    {
        if (task.IsCompleted)
        {
            return true;
        }

        lock (_gate)
        {
            _waiting = true;
        }

        _ = task.ContinueWith(
            static (_, thread) => ((RequestThread)thread!).Wake(), this, CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        using CancellationTokenRegistration registration = abandoned.UnsafeRegister(static thread => ((RequestThread)thread!).Wake(), this);
        while (true)
        {
            Work? work;
            lock (_gate)
            {
                while (!_work.TryDequeue(out work) && !task.IsCompleted && !abandoned.IsCancellationRequested && !_isGivenBack)
                {
                    Monitor.Wait(_gate);
                }

                if (work is null || abandoned.IsCancellationRequested || _isGivenBack)
                {
                    _waiting = false;
                    work?.Refuse();
                    RefuseAll();
                    return task.IsCompleted;
                }
            }

            work.Do();
        }
    }

    /// <summary>The request is answered; whoever still holds it is told so.</summary>
    public void End()
    {
        lock (_gate)
        {
            _over = true;
            RefuseAll();
        }
    }

    /// <exception cref="ObjectDisposedException">The request has ended.</exception>
    public void ThrowIfOver() => ObjectDisposedException.ThrowIf(Volatile.Read(ref _over), typeof(ServerRequest));

    private Work? TryPost(Func<int> action)
    {
        lock (_gate)
        {
            ThrowIfOver();
            if (!_waiting || Environment.CurrentManagedThreadId == _id)
            {
                return null;
            }

            var work = new Work(action);
            _work.Enqueue(work);
            Monitor.PulseAll(_gate);
            return work;
        }
    }

    private void Wake()
    {
        lock (_gate)
        {
            Monitor.PulseAll(_gate);
        }
    }

    private void RefuseAll()
    {
        while (_work.TryDequeue(out Work? work))
        {
            work.Refuse();
        }
    }

    private sealed class Work(Func<int> action)
    {
        public TaskCompletionSource<int> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Do()
        {
            try
            {
                Done.SetResult(action());
            }
            catch (Exception e)
            {
                Done.SetException(e);
            }
        }

        public void Refuse() => Done.SetException(new ObjectDisposedException(nameof(ServerRequest), "The request has ended."));
    }
}
