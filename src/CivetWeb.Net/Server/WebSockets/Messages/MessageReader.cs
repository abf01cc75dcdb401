using System;
using System.Buffers;
using System.Collections.Generic;
using System.Net.WebSockets;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net;

/// <summary>
/// Whole messages, one after the other, in one buffer. Written out, because what the compiler makes of an iterator takes
/// memory whenever a message is waited for.
/// </summary>
internal sealed class MessageReader : IAsyncEnumerator<WebSocketMessage>
{
    private const int FirstBuffer = 4096;
    private const int LargestKeptBuffer = 64 * 1024;

    private readonly WebSocket _webSocket;
    private readonly int _maxMessageSize;
    private readonly CancellationTokenSource? _both;
    private readonly CancellationToken _cancellationToken;
    private readonly InPlaceContinuation<bool> _waiting = new();
    private byte[]? _buffer;
    private bool _ended;
    private int _reading; // a buffer that is being received into is nobody else's

    /// <param name="webSocket">Nobody else receives from it meanwhile.</param>
    /// <param name="maxMessageSize">Bytes of a message.</param>
    /// <param name="first">Ends the waiting.</param>
    /// <param name="second">The same.</param>
    public MessageReader(WebSocket webSocket, int maxMessageSize, CancellationToken first, CancellationToken second)
    {
        _webSocket = webSocket;
        _maxMessageSize = maxMessageSize;
        if (first.CanBeCanceled && second.CanBeCanceled && first != second)
        {
            _both = CancellationTokenSource.CreateLinkedTokenSource(first, second);
            _cancellationToken = _both.Token;
        }
        else
        {
            _cancellationToken = first.CanBeCanceled ? first : second;
        }
    }

    /// <inheritdoc/>
    public WebSocketMessage Current { get; private set; }

    /// <inheritdoc/>
    public ValueTask<bool> MoveNextAsync() => _waiting.Await(ReadAsync());

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _reading, 1) != 0)
        {
            throw new NotSupportedException("A message is being waited for: the reading must end first."); // as iterators have it
        }

        End();
        _both?.Dispose();
        Volatile.Write(ref _reading, 0);
        return default;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<bool> ReadAsync()
    {
        if (Interlocked.Exchange(ref _reading, 1) != 0)
        {
            throw new InvalidOperationException("A message is being waited for already.");
        }

        bool succeeded = false;
        try
        {
            succeeded = !_ended && await ReadMessageAsync().ConfigureAwait(false);
            return succeeded;
        }
        finally
        {
            if (!succeeded)
            {
                End();
            }

            Volatile.Write(ref _reading, 0);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<bool> ReadMessageAsync()
    {
        int length = 0;
        byte[] buffer = FreshBuffer();
        ValueWebSocketReceiveResult result;
        do
        {
            if (length == buffer.Length)
            {
                buffer = Grow(buffer, length);
            }

            result = await _webSocket.ReceiveAsync(buffer.AsMemory(length), _cancellationToken).ConfigureAwait(false);
            length += result.Count;
            if (length > _maxMessageSize)
            {
                string text = $"A message has at most {_maxMessageSize} bytes here.";
                await _webSocket.CloseOutputAsync(WebSocketCloseStatus.MessageTooBig, text, _cancellationToken).ConfigureAwait(false);
                throw new WebSocketException(WebSocketError.Faulted, $"The peer has sent too much. {text}");
            }
        }
        while (!result.EndOfMessage);

        if (result.MessageType == WebSocketMessageType.Close)
        {
            return false;
        }

        Current = new WebSocketMessage(buffer.AsMemory(0, length), result.MessageType);
        return true;
    }

    /// <summary>The buffer for the next message; not the one that an unusually large one has left.</summary>
    private byte[] FreshBuffer()
    {
        if (_buffer is { Length: > LargestKeptBuffer })
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = null;
        }

        return _buffer ??= ArrayPool<byte>.Shared.Rent(Math.Min(FirstBuffer - 1, _maxMessageSize) + 1);
    }

    private byte[] Grow(byte[] buffer, int length)
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(Array.MaxLength, length * 2L));
        buffer.AsSpan(0, length).CopyTo(larger);
        _buffer = larger;
        ArrayPool<byte>.Shared.Return(buffer);
        return larger;
    }

    private void End()
    {
        _ended = true;
        Current = default;
        if (_buffer is { } buffer)
        {
            _buffer = null;
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
