using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using System.Threading.Tasks.Sources;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net;

/// <summary>
/// The bytes behind a WebSocket's handshake, for .NET's own <see cref="System.Net.WebSockets.WebSocket"/>. What can be read or
/// written at once is; for the rest the connection's loop waits.
/// </summary>
/// <remarks>
/// Any thread, one reader and one writer at a time. The base class library reads 125 bytes at a time, so input goes through
/// a buffer, which is given back as soon as it is empty. A cancelled receive or send of .NET's WebSocket aborts it, which disposes
/// of this stream: that is how what waits is cancelled, and why tokens are not watched here as well.
/// </remarks>
internal sealed class SessionStream : Stream
{
    /// <summary>Sending less does not count as progress: a client that takes a few bytes now and then must not hold a thread for ever.</summary>
    private const int Progress = 4096;

    /// <summary>Between two tries of a write that waits, in milliseconds: the shortest while the client takes something.</summary>
    private const int MinPause = 1;
    private const int MaxPause = 16;

    private static readonly byte[] CloseWithoutCode = [0x88, 0];

    private readonly SessionHandle _session;
    private readonly FrameHeaderInspector _frames;
    private readonly long _sendTimeout; // milliseconds, 0: none
    private readonly long _frameTimeout;
    private readonly bool _isTls;
    private readonly Lock _readGate = new();
    private readonly Lock _writeGate = new();
    private readonly Operation _reading = new();
    private readonly Operation _writing = new();
    private byte[]? _buffer;
    private int _start;
    private int _end;
    private bool _readFirst = true; // what poll does not know of may be there: at first what came with the request
    private bool _mayReadFirst = true;
    private Memory<byte> _destination;
    private ReadOnlyMemory<byte> _source;
    private long _writeDeadline = long.MaxValue;
    private int _writeProgress; // since the deadline was set
    private long _readDeadline = long.MaxValue; // for the frame that has begun, while a read waits
    private int _writePause; // before the next try, milliseconds
    private Timer? _writeTimer;
    private bool _isBuffered; // [start, end) has something; for whoever does not have the read gate
    private bool _violates; // the last look has found what may not be handed on
    private bool _toldOfViolation;
    private bool _disposed;
    private bool _ended;
    private bool _sessionEnded;

    /// <param name="session">A session that has begun.</param>
    /// <param name="frames">Sees all that comes.</param>
    /// <param name="isTls">Whether the connection uses TLS.</param>
    /// <param name="sendTimeout">How long a write may wait for the client.</param>
    /// <param name="frameTimeout">How long a frame that has begun may make no progress.</param>
    public SessionStream(SessionHandle session, FrameHeaderInspector frames, bool isTls, TimeSpan sendTimeout, TimeSpan frameTimeout)
    {
        _session = session;
        _frames = frames;
        _isTls = isTls;
        _sendTimeout = Milliseconds(sendTimeout);
        _frameTimeout = Milliseconds(frameTimeout);
    }

    /// <summary>Set before the first use.</summary>
    public ConnectionLoop Loop { get; set; } = null!;

    /// <summary>Asked when the stream is closed: whether the client is to be cut off rather than let go.</summary>
    public Func<bool>? AbortsWhenDisposed { get; set; }

    public bool IsDisposed => Volatile.Read(ref _disposed);

    /// <summary>Why a connection is cut whose client has not taken what was written.</summary>
    public const string NotRead = "the client has not read in time";

    /// <summary>Called once, with a close code, when the client has sent what may not be handed on; reads fail from then on.</summary>
    public Action<int>? Violated { get; set; }

    /// <summary>When the client must have taken what waits; <see cref="long.MaxValue"/>: nothing does.</summary>
    public long WriteDeadline => Volatile.Read(ref _writeDeadline);

    /// <summary>The same, and when it must have gone on with its frame.</summary>
    public long Deadline => Math.Min(WriteDeadline, Volatile.Read(ref _readDeadline));

    /// <summary>Whether the client has ended its side, or the connection is lost.</summary>
    public bool HasEnded => Volatile.Read(ref _ended);

    /// <summary>Whether reading again may give something at once.</summary>
    public bool MayHaveMore => _readFirst;

    /// <summary>How long <see cref="EndSession"/> waits for the client to hang up.</summary>
    public int LingerMilliseconds { get; set; } = 250;

    private static ReadOnlySpan<byte> CloseWith1005 => [0x88, 2, 1005 >> 8, 1005 & 0xFF];

    public SessionEvents WantedEvents =>
        (_reading.IsPending ? SessionEvents.CanRead : SessionEvents.None) | (_writing.IsPending ? SessionEvents.CanWrite : SessionEvents.None);

    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <inheritdoc/>
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<int>(cancellationToken);
        }

        bool own = Loop.IsOnThread;
        int n;
        int violation;
        lock (_readGate)
        {
            n = ReadOrBegin(buffer, own);
            violation = TakeViolation();
        }

        Tell(violation);
        if (!own && n <= 0)
        {
            Loop.Wake(); // it has to wait for more, or to know of the end
        }

        return n switch
        {
            >= 0 => new ValueTask<int>(n),
            -2 => ValueTask.FromException<int>(ConnectionLost()),
            _ => new ValueTask<int>(_reading, _reading.Version),
        };
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled(cancellationToken);
        }

        // .NET's WebSocket writes a frame at a time, and puts 1005 into a Close frame that shall have no code.
        if (buffer.Span.SequenceEqual(CloseWith1005))
        {
            buffer = CloseWithoutCode;
        }

        bool own = Loop.IsOnThread;
        bool failed = false;
        lock (_writeGate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_writing.IsPending)
            {
                throw new InvalidOperationException("There is a write already.");
            }

            // While more input is at hand its answers travel together.
            int n = _session.Write(buffer.Span, gather: own && Volatile.Read(ref _isBuffered));
            if (n == buffer.Length)
            {
                return default;
            }

            if (n < 0 || Loop.IsLost)
            {
                failed = true;
                Volatile.Write(ref _ended, true);
            }
            else
            {
                _source = buffer[n..];
                StartWriteTimeout();
                _writing.Begin(inline: own);
                // A handler that awaits leaves its turn at once, and the loop waits for the client; one that blocks does not.
                TryLater(own ? MaxPause : MinPause);
            }
        }

        if (!own)
        {
            Loop.Wake();
        }

        return failed ? ValueTask.FromException(ConnectionLost()) : new ValueTask(_writing, _writing.Version);
    }

    /// <inheritdoc/>
    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    // From here on: what the loop calls, in its turn.

    /// <summary>Tries to serve a waiting read without asking poll first; true when it did.</summary>
    public bool TryReadFirst() => _readFirst && _mayReadFirst && CompleteRead(mayWait: true);

    /// <summary>Serves a waiting read, if there is one.</summary>
    /// <param name="mayWait">Whether it may go on waiting when nothing is there.</param>
    public bool CompleteRead(bool mayWait)
    {
        int n;
        int violation;
        lock (_readGate)
        {
            if (!_reading.IsPending)
            {
                return false;
            }

            n = Receive(_destination.Span);
            violation = TakeViolation();
            if (n == -1 && mayWait)
            {
                return false;
            }

            EndRead();
        }

        Tell(violation);
        if (n >= 0)
        {
            _reading.SetResult(n);
        }
        else
        {
            _reading.SetException(ConnectionLost());
        }

        return true;
    }

    /// <summary>Sends more of a waiting write, if there is one. Not the loop alone calls it: see <see cref="TryWriteAgain"/>.</summary>
    public void CompleteWrite() => CompleteWrite(mayWait: true);

    /// <summary>Fails what still waits: the connection is lost.</summary>
    public void FailPending()
    {
        CompleteWrite(mayWait: false);
        CompleteRead(mayWait: false);
    }

    /// <summary>Forgets the connection; the client is given the time to hang up. On the connection's own thread.</summary>
    public void EndSession()
    {
        if (!_sessionEnded)
        {
            _sessionEnded = true;
            _session.End(LingerMilliseconds);
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            bool read, write;
            lock (_readGate)
            {
                lock (_writeGate)
                {
                    if (_disposed)
                    {
                        return;
                    }

                    _disposed = true;
                    read = _reading.IsPending;
                    if (read)
                    {
                        EndRead();
                    }

                    write = _writing.IsPending;
                    if (write)
                    {
                        EndWrite();
                    }
                }

                _start = _end = 0;
                GiveBackBuffer();
                _writeTimer?.Dispose();
            }

            if (AbortsWhenDisposed?.Invoke() ?? true)
            {
                _session.Abort();
            }

            if (read)
            {
                _reading.SetExceptionLater(new ObjectDisposedException(nameof(SessionStream)));
            }

            if (write)
            {
                _writing.SetExceptionLater(new ObjectDisposedException(nameof(SessionStream)));
            }

            Loop.Wake();
        }

        base.Dispose(disposing);
    }

    private static IOException ConnectionLost() => new("The connection is lost or over.");

    /// <summary>Bytes, 0 at the end, -2 lost, -1: the read has begun and waits. Under the read gate.</summary>
    private int ReadOrBegin(Memory<byte> buffer, bool own)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_reading.IsPending)
        {
            throw new InvalidOperationException("There is a read already.");
        }

        if (_start < _end)
        {
            return TakeBuffered(buffer.Span);
        }

        // On the loop's thread its next step is to look at the socket anyway.
        if (!own || _readFirst || Loop.IsLost)
        {
            int n = Receive(buffer.Span);
            if (n != -1)
            {
                return n;
            }

            if (Loop.IsLost)
            {
                return -2;
            }
        }

        _destination = buffer;
        _mayReadFirst = own;
        _frames.Resume();
        Volatile.Write(
            ref _readDeadline, _frameTimeout != 0 && _frames.IsInsideFrame ? _frames.ProgressAt + _frameTimeout : long.MaxValue);
        _reading.Begin(inline: own);
        return -1;
    }

    /// <summary>Under the read gate.</summary>
    private void EndRead()
    {
        _destination = default;
        Volatile.Write(ref _readDeadline, long.MaxValue);
        _reading.Take();
    }

    /// <param name="mayWait">Whether it may go on waiting when the client does not take all.</param>
    private void CompleteWrite(bool mayWait)
    {
        int n;
        lock (_writeGate)
        {
            if (!_writing.IsPending)
            {
                return;
            }

            n = _session.Write(_source.Span, gather: false);
            if (n >= 0 && n < _source.Length)
            {
                _source = _source[n..];
                _writeProgress += n;
                if (_writeProgress >= Progress)
                {
                    // It goes on reading: then it gets all, however large.
                    StartWriteTimeout();
                }

                if (mayWait)
                {
                    return;
                }

                n = -1;
            }

            if (n < 0)
            {
                Volatile.Write(ref _ended, true);
            }

            EndWrite();
        }

        if (n >= 0)
        {
            _writing.SetResult(n);
        }
        else if (mayWait)
        {
            _writing.SetException(ConnectionLost());
        }
        else
        {
            _writing.SetExceptionLater(ConnectionLost()); // what goes on from here must not hold up what else is failed
        }
    }

    /// <summary>Under the write gate.</summary>
    private void TryLater(int pause)
    {
        _writePause = pause;
        if (_writeTimer is null)
        {
            // The timer outlives this write: it must not keep what belongs to the caller's flow.
            using AsyncFlowControl flow = ExecutionContext.IsFlowSuppressed() ? default : ExecutionContext.SuppressFlow();
            _writeTimer = new Timer(static stream => ((SessionStream)stream!).TryWriteAgain(), this, pause, Timeout.Infinite);
        }
        else
        {
            _writeTimer.Change(pause, Timeout.Infinite);
        }
    }

    /// <summary>
    /// Sends more of a waiting write while nobody else does, on the thread pool: a handler that blocks has the loop's turn, and what
    /// others send to its client, or it itself, must not wait for it, nor the time-out.
    /// </summary>
    private void TryWriteAgain()
    {
        long left;
        lock (_writeGate)
        {
            left = _source.Length;
        }

        CompleteWrite();
        lock (_writeGate)
        {
            if (!_writing.IsPending)
            {
                return;
            }

            if (Environment.TickCount64 < WriteDeadline)
            {
                TryLater(_source.Length < left ? MinPause : Math.Min(_writePause * 2, MaxPause));
                return;
            }
        }

        Loop.Cut(NotRead);
        CompleteWrite(mayWait: false);
        Loop.Wake();
    }

    private int TakeBuffered(Span<byte> destination)
    {
        int n = Math.Min(destination.Length, _end - _start);
        _buffer.AsSpan(_start, n).CopyTo(destination);
        _start += n;
        if (_start == _end)
        {
            GiveBackBuffer();
        }

        return n;
    }

    /// <summary>A connection that waits, perhaps for long, holds none. Under the read gate.</summary>
    private void GiveBackBuffer()
    {
        if (_buffer is { } buffer)
        {
            _buffer = null;
            Volatile.Write(ref _isBuffered, false);
            ReceiveBuffers.Return(buffer);
        }
    }

    /// <summary>Bytes, 0 at the end (or for a destination without room), -1 nothing there, -2 lost. Under the read gate.</summary>
    private int Receive(Span<byte> destination)
    {
        if (destination.Length >= ReceiveBuffers.Size)
        {
            int direct = Read(destination, out int inOrder);
            return direct > 0 ? inOrder : direct;
        }

        _buffer ??= ReceiveBuffers.Rent();
        int n = Read(_buffer, out _end);
        _start = 0;
        if (n > 0)
        {
            Volatile.Write(ref _isBuffered, true);
            return TakeBuffered(destination);
        }

        GiveBackBuffer();
        return n;
    }

    /// <summary>One look at the connection; <paramref name="inOrder"/>: so many of the bytes may be handed on, at least one when it returns more than 0.</summary>
    private int Read(Span<byte> destination, out int inOrder)
    {
        inOrder = 0;
        if (_frames.Violation != 0)
        {
            _violates = true;
            return -2;
        }

        int n = _session.Read(destination);
        _readFirst = n == destination.Length || (_isTls && n > 0);
        if (n is 0 or -2)
        {
            Volatile.Write(ref _ended, true);
        }

        if (n <= 0)
        {
            return n;
        }

        inOrder = _frames.Follow(destination[..n]);
        _readFirst |= _frames.Violation != 0; // to be told of without waiting for more
        _violates = inOrder == 0;
        return _violates ? -2 : n;
    }

    /// <summary>The close code to be told of when the gate is left; 0: nothing, or told before. Under the read gate.</summary>
    private int TakeViolation()
    {
        int violation = _violates && !_toldOfViolation ? _frames.Violation : 0;
        _toldOfViolation |= _violates;
        return violation;
    }

    /// <summary>
    /// Never under a gate: it closes .NET's WebSocket, whose lock is held by whoever disposes of this stream, who wants the gates.
    /// </summary>
    private void Tell(int violation)
    {
        if (violation != 0)
        {
            Violated?.Invoke(violation);
        }
    }

    private static long Milliseconds(TimeSpan time) => time == Timeout.InfiniteTimeSpan ? 0 : (long)time.TotalMilliseconds;

    private void StartWriteTimeout()
    {
        _writeProgress = 0;
        Volatile.Write(ref _writeDeadline, _sendTimeout == 0 ? long.MaxValue : Environment.TickCount64 + _sendTimeout);
    }

    private void EndWrite()
    {
        _source = default;
        Volatile.Write(ref _writeDeadline, long.MaxValue);
        _writing.Take();
    }

    /// <summary>A read or write that waits; used again and again, so that waiting costs no memory.</summary>
    private sealed class Operation : IValueTaskSource<int>, IValueTaskSource
    {
        private ManualResetValueTaskSourceCore<int> _core;
        private bool _pending;

        public short Version => _core.Version;

        public bool IsPending => Volatile.Read(ref _pending);

        /// <param name="inline">
        /// Whether the continuation may run on the loop's thread: only when the loop's thread began the operation. Other
        /// people's code must not hold it up.
        /// </param>
        public void Begin(bool inline)
        {
            _core.Reset();
            _core.RunContinuationsAsynchronously = !inline;
            Volatile.Write(ref _pending, true);
        }

        /// <summary>Whoever takes it completes it. Under the gate of its kind.</summary>
        public void Take() => Volatile.Write(ref _pending, false);

        public void SetResult(int result) => _core.SetResult(result);

        public void SetException(Exception exception) => _core.SetException(exception);

        /// <summary>
        /// For whoever disposes of the stream: .NET's keep-alive does under its WebSocket's lock, and what goes on from here may
        /// wait for a cancellation that waits for that lock.
        /// </summary>
        public void SetExceptionLater(Exception exception)
        {
            _core.RunContinuationsAsynchronously = true;
            _core.SetException(exception);
        }

        public int GetResult(short token) => _core.GetResult(token);

        void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

        public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            _core.OnCompleted(continuation, state, token, flags);
    }
}
