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
/// a buffer, which an idle connection gives back.
/// </remarks>
internal sealed class SessionStream : Stream
{
    private readonly SessionHandle _session;
    private readonly long _sendTimeout; // milliseconds, 0: none
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
    private bool _disposed;
    private bool _ended;
    private bool _sessionEnded;

    public SessionStream(SessionHandle session, bool isTls, TimeSpan sendTimeout)
    {
        _session = session;
        _isTls = isTls;
        _sendTimeout = sendTimeout == Timeout.InfiniteTimeSpan ? 0 : (long)sendTimeout.TotalMilliseconds;
    }

    /// <summary>Set before the first use.</summary>
    public ConnectionLoop Loop { get; set; } = null!;

    /// <summary>Asked when the stream is closed: whether the client is to be cut off rather than let go.</summary>
    public Func<bool>? AbortsWhenDisposed { get; set; }

    public bool IsDisposed => Volatile.Read(ref _disposed);

    /// <summary>When the client must have taken what waits; <see cref="long.MaxValue"/>: nothing does.</summary>
    public long WriteDeadline => Volatile.Read(ref _writeDeadline);

    /// <summary>Whether the client has ended its side, or the connection is lost.</summary>
    public bool HasEnded => Volatile.Read(ref _ended);

    public bool HoldsBuffer => Volatile.Read(ref _buffer) is not null;

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
        lock (_readGate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_reading.IsPending)
            {
                throw new InvalidOperationException("There is a read already.");
            }

            if (_start < _end)
            {
                return new ValueTask<int>(TakeBuffered(buffer.Span));
            }

            // On the loop's thread its next step is to look at the socket anyway.
            if (!own || _readFirst || Loop.IsLost)
            {
                int n = Receive(buffer.Span);
                if (n is 0 or -2 && !own)
                {
                    Loop.Wake(); // it has to know of the end
                }

                if (n >= 0)
                {
                    return new ValueTask<int>(n);
                }

                if (n == -2 || Loop.IsLost)
                {
                    return ValueTask.FromException<int>(ConnectionLost());
                }
            }

            _destination = buffer;
            _mayReadFirst = own;
            CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(
                static (stream, token) => ((SessionStream)stream!).CancelRead(token), this);
            _reading.Begin(inline: own, registration, cancellationToken);
        }

        if (cancellationToken.IsCancellationRequested)
        {
            CancelRead(cancellationToken); // between the registration and the beginning
        }

        if (!own)
        {
            Loop.Wake();
        }

        return new ValueTask<int>(_reading, _reading.Version);
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled(cancellationToken);
        }

        bool own = Loop.IsOnThread;
        lock (_writeGate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_writing.IsPending)
            {
                throw new InvalidOperationException("There is a write already.");
            }

            // While more input is at hand its answers travel together.
            int n = _session.Write(buffer.Span, gather: own && _start < _end);
            if (n == buffer.Length)
            {
                return default;
            }

            if (n < 0 || Loop.IsLost)
            {
                return ValueTask.FromException(ConnectionLost());
            }

            _source = buffer[n..];
            Volatile.Write(ref _writeDeadline, _sendTimeout == 0 ? long.MaxValue : Environment.TickCount64 + _sendTimeout);
            CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(
                static (stream, token) => ((SessionStream)stream!).CancelWrite(token), this);
            _writing.Begin(inline: own, registration, cancellationToken);
        }

        if (cancellationToken.IsCancellationRequested)
        {
            CancelWrite(cancellationToken);
        }

        if (!own)
        {
            Loop.Wake();
        }

        return new ValueTask(_writing, _writing.Version);
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

    // From here on: what the loop calls, on its thread.

    /// <summary>Tries to serve a waiting read without asking poll first; true when it did.</summary>
    public bool TryReadFirst() => _readFirst && _mayReadFirst && CompleteRead(mayWait: true);

    /// <summary>Serves a waiting read, if there is one.</summary>
    /// <param name="mayWait">Whether it may go on waiting when nothing is there.</param>
    public bool CompleteRead(bool mayWait)
    {
        int n;
        lock (_readGate)
        {
            if (!_reading.IsPending)
            {
                return false;
            }

            n = Receive(_destination.Span);
            if (n == -1 && mayWait)
            {
                return false;
            }

            _destination = default;
            _reading.Take();
        }

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

    /// <summary>Sends more of a waiting write, if there is one.</summary>
    public void CompleteWrite()
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
                return;
            }

            EndWrite();
        }

        if (n >= 0)
        {
            _writing.SetResult(n);
        }
        else
        {
            _writing.SetException(ConnectionLost());
        }
    }

    /// <summary>Gives the receive buffer back while nothing is in it.</summary>
    public void GiveBackBuffer()
    {
        lock (_readGate)
        {
            if (_buffer is not null && _start == _end)
            {
                ReceiveBuffers.Return(_buffer);
                _buffer = null;
            }
        }
    }

    /// <summary>Forgets the connection; the client is given the time to hang up.</summary>
    /// <param name="lingerMilliseconds">How long at most.</param>
    public void EndSession(int lingerMilliseconds = 250)
    {
        if (!_sessionEnded)
        {
            _sessionEnded = true;
            _session.End(lingerMilliseconds);
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
                        _destination = default;
                        _reading.Take();
                    }

                    write = _writing.IsPending;
                    if (write)
                    {
                        EndWrite();
                    }
                }

                if (_buffer is not null)
                {
                    ReceiveBuffers.Return(_buffer);
                    _buffer = null;
                    _start = _end = 0;
                }
            }

            if (AbortsWhenDisposed?.Invoke() ?? true)
            {
                _session.Abort();
            }

            if (read)
            {
                _reading.SetException(new ObjectDisposedException(nameof(SessionStream)));
            }

            if (write)
            {
                _writing.SetException(new ObjectDisposedException(nameof(SessionStream)));
            }

            Loop.Wake();
        }

        base.Dispose(disposing);
    }

    private static IOException ConnectionLost() => new("The connection is lost or over.");

    private int TakeBuffered(Span<byte> destination)
    {
        int n = Math.Min(destination.Length, _end - _start);
        _buffer.AsSpan(_start, n).CopyTo(destination);
        _start += n;
        return n;
    }

    /// <summary>Bytes, 0 at the end (or for a destination without room), -1 nothing there, -2 lost. Under the read gate.</summary>
    private int Receive(Span<byte> destination)
    {
        if (destination.Length >= ReceiveBuffers.Size)
        {
            int direct = _session.Read(destination);
            NoteEnd(direct);
            _readFirst = direct == destination.Length || (_isTls && direct > 0);
            return direct;
        }

        _buffer ??= ReceiveBuffers.Rent();
        int n = _session.Read(_buffer);
        NoteEnd(n);
        _readFirst = n == _buffer.Length || (_isTls && n > 0);
        if (n <= 0)
        {
            return n;
        }

        _start = 0;
        _end = n;
        return TakeBuffered(destination);
    }

    private void NoteEnd(int n)
    {
        if (n is 0 or -2)
        {
            Volatile.Write(ref _ended, true);
        }
    }

    private void EndWrite()
    {
        _source = default;
        Volatile.Write(ref _writeDeadline, long.MaxValue);
        _writing.Take();
    }

    private void CancelRead(CancellationToken token)
    {
        lock (_readGate)
        {
            if (!_reading.IsPending || _reading.Token != token)
            {
                return;
            }

            _destination = default;
            _reading.Take();
        }

        _reading.SetException(new OperationCanceledException(token));
    }

    private void CancelWrite(CancellationToken token)
    {
        lock (_writeGate)
        {
            if (!_writing.IsPending || _writing.Token != token)
            {
                return;
            }

            EndWrite();
        }

        // Half a frame may be out: nothing can follow it.
        _session.Abort();
        _writing.SetException(new OperationCanceledException(token));
    }

    /// <summary>A read or write that waits; used again and again, so that waiting costs no memory.</summary>
    private sealed class Operation : IValueTaskSource<int>, IValueTaskSource
    {
        private ManualResetValueTaskSourceCore<int> _core;
        private CancellationTokenRegistration _registration;
        private bool _pending;

        /// <summary>A cancellation that comes late must not meet the next operation.</summary>
        public CancellationToken Token { get; private set; }

        public short Version => _core.Version;

        public bool IsPending => Volatile.Read(ref _pending);

        /// <param name="inline">
        /// Whether the continuation may run on the loop's thread: only when the loop's thread began the operation. Other
        /// people's code must not hold it up.
        /// </param>
        /// <param name="registration">With the token.</param>
        /// <param name="token">What cancels it.</param>
        public void Begin(bool inline, CancellationTokenRegistration registration, CancellationToken token)
        {
            Token = token;
            _registration = registration;
            _core.Reset();
            _core.RunContinuationsAsynchronously = !inline;
            Volatile.Write(ref _pending, true);
        }

        /// <summary>Whoever takes it completes it. Under the gate of its kind.</summary>
        public void Take() => Volatile.Write(ref _pending, false);

        public void SetResult(int result)
        {
            _registration.Unregister();
            _core.SetResult(result);
        }

        public void SetException(Exception exception)
        {
            _registration.Unregister();
            _core.SetException(exception);
        }

        public int GetResult(short token) => _core.GetResult(token);

        void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

        public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            _core.OnCompleted(continuation, state, token, flags);
    }
}
