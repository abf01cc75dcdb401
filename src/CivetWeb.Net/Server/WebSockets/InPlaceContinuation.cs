using System;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using System.Threading.Tasks.Sources;

namespace CivetWeb.Net;

/// <summary>
/// Hands on a pending <see cref="ValueTask{TResult}"/>, again and again, without memory for each: a handler that awaits it on
/// its connection's thread goes on there and then, rather than being posted to the loop with an object that says how.
/// </summary>
/// <remarks>One operation at a time. Whoever awaits elsewhere, or in another context, is served as .NET serves everybody.</remarks>
/// <typeparam name="T">What the operation gives.</typeparam>
internal sealed class InPlaceContinuation<T> : IValueTaskSource<T>
{
    private static readonly Action<object?> GoOn = static self => ((InPlaceContinuation<T>)self!).Continue();
    private static readonly SendOrPostCallback GoOnPosted = static self => ((InPlaceContinuation<T>)self!).InvokeContinuation();

    private readonly Action _complete;
    private ManualResetValueTaskSourceCore<T> _core;
    private ConfiguredValueTaskAwaitable<T>.ConfiguredValueTaskAwaiter _awaiter;
    private ConnectionLoop? _loop;
    private Action<object?>? _continuation;
    private object? _state;
    private int _inUse;

    public InPlaceContinuation() => _complete = Complete;

    /// <summary>The same operation, to be awaited in its place.</summary>
    /// <param name="pending">Nobody else may await it.</param>
    public ValueTask<T> Await(ValueTask<T> pending)
    {
        // In use when two operations overlap, or when nobody has taken the result of the one before.
        if (pending.IsCompleted || Interlocked.CompareExchange(ref _inUse, 1, 0) != 0)
        {
            return pending;
        }

        _core.Reset();
        short version = _core.Version;
        _awaiter = pending.ConfigureAwait(false).GetAwaiter();
        _awaiter.UnsafeOnCompleted(_complete);
        return new ValueTask<T>(this, version);
    }

    /// <inheritdoc/>
    public T GetResult(short token)
    {
        if (_core.GetStatus(token) == ValueTaskSourceStatus.Pending)
        {
            return _core.GetResult(token); // which says that this is not allowed
        }

        try
        {
            return _core.GetResult(token);
        }
        finally
        {
            Volatile.Write(ref _inUse, 0);
        }
    }

    /// <inheritdoc/>
    public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

    /// <inheritdoc/>
    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        const ValueTaskSourceOnCompletedFlags InContext = ValueTaskSourceOnCompletedFlags.UseSchedulingContext;
        if ((flags & InContext) != 0 && SynchronizationContext.Current is ConnectionLoop loop)
        {
            _loop = loop;
            _continuation = continuation;
            _state = state;
            _core.OnCompleted(GoOn, this, token, flags & ~InContext);
        }
        else
        {
            _core.OnCompleted(continuation, state, token, flags);
        }
    }

    private void Complete()
    {
        ConfiguredValueTaskAwaitable<T>.ConfiguredValueTaskAwaiter awaiter = _awaiter;
        _awaiter = default;
        T result;
        try
        {
            result = awaiter.GetResult();
        }
        catch (Exception e)
        {
            _core.SetException(e);
            return;
        }

        _core.SetResult(result);
    }

    private void Continue()
    {
        ConnectionLoop loop = _loop!;
        if (loop.IsOnThread && SynchronizationContext.Current == loop)
        {
            loop.Invoke(GoOnPosted, this);
        }
        else
        {
            loop.Post(GoOnPosted, this);
        }
    }

    private void InvokeContinuation()
    {
        Action<object?> continuation = _continuation!;
        object? state = _state;
        (_loop, _continuation, _state) = (null, null, null); // what goes on may begin the next operation
        continuation(state);
    }
}
