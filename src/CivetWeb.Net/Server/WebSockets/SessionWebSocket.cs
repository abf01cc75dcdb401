using System;
using System.Net.WebSockets;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net;

/// <summary>
/// The WebSocket that handlers get: .NET's own over the session, with what a server must add: a limit for messages, a time
/// limit for closing, and an abort that cuts the connection.
/// </summary>
internal sealed class SessionWebSocket : WebSocket
{
    private readonly WebSocket _inner;
    private readonly SessionHandle _session;
    private readonly FrameHeaderInspector _frames;
    private readonly ConnectionLoop _loop;
    private readonly int _maxMessageSize;
    private readonly TimeSpan _closeTimeout;
    private readonly InPlaceContinuation<ValueWebSocketReceiveResult> _waiting = new();
    private long _received; // of the message that is being received
    private bool _isTooBig;
    private bool _endsGently;

    public SessionWebSocket(
        SessionHandle session,
        SessionStream stream,
        FrameHeaderInspector frames,
        ConnectionLoop loop,
        WebSocketCreationOptions options,
        int maxMessageSize,
        TimeSpan closeTimeout)
    {
        _session = session;
        _frames = frames;
        _loop = loop;
        _maxMessageSize = maxMessageSize;
        _closeTimeout = closeTimeout;
        stream.AbortsWhenDisposed = () => !_endsGently && _inner?.State is WebSocketState.Open or WebSocketState.Aborted;
        _inner = CreateFromStream(stream, options);
        stream.Violated = code => _ = RefuseAsync(code);
    }

    /// <summary>How many bytes a message may have.</summary>
    public int MaxMessageSize => _maxMessageSize;

    /// <summary>.NET's WebSocket says 1000 where no code came; that is what <see cref="WebSocketCloseStatus.Empty"/> is for.</summary>
    private bool IsClosedWithoutCode => _inner.CloseStatus is not null && _frames.IsCloseWithoutCode;

    private string TooBig => $"A message has at most {_maxMessageSize} bytes here.";

    /// <summary>Whether a message was over the limit.</summary>
    public bool IsTooBig => _isTooBig;

    /// <summary>The close code sent, for all that is known here, 1005 for a Close frame without code; null for none.</summary>
    public int? LocalCode { get; private set; }

    /// <inheritdoc/>
    public override WebSocketCloseStatus? CloseStatus => IsClosedWithoutCode ? WebSocketCloseStatus.Empty : _inner.CloseStatus;

    /// <inheritdoc/>
    public override string? CloseStatusDescription => IsClosedWithoutCode ? null : _inner.CloseStatusDescription;

    /// <inheritdoc/>
    public override WebSocketState State => _inner.State;

    /// <inheritdoc/>
    public override string? SubProtocol => _inner.SubProtocol;

    /// <inheritdoc/>
    public override void Abort()
    {
        _session.Abort();
        _inner.Abort();
    }

    /// <inheritdoc/>
    public override Task CloseAsync(WebSocketCloseStatus closeStatus, string? statusDescription, CancellationToken cancellationToken)
    {
        Check(closeStatus, statusDescription);
        bool begins = _inner.State is WebSocketState.Open or WebSocketState.CloseReceived;
        Task closing = _inner.CloseAsync(closeStatus, statusDescription, cancellationToken);
        return begins ? Begun(closing, closeStatus) : closing;
    }

    /// <inheritdoc/>
    public override Task CloseOutputAsync(WebSocketCloseStatus closeStatus, string? statusDescription, CancellationToken cancellationToken)
    {
        Check(closeStatus, statusDescription);
        bool begins = _inner.State is WebSocketState.Open or WebSocketState.CloseReceived;
        Task closing = _inner.CloseOutputAsync(closeStatus, statusDescription, cancellationToken);
        return begins ? Begun(closing, closeStatus) : closing;
    }

    /// <inheritdoc/>
    public override ValueTask SendAsync(
        ReadOnlyMemory<byte> buffer, WebSocketMessageType messageType, WebSocketMessageFlags messageFlags, CancellationToken cancellationToken = default) =>
        _inner.SendAsync(buffer, messageType, messageFlags, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask SendAsync(
        ReadOnlyMemory<byte> buffer, WebSocketMessageType messageType, bool endOfMessage, CancellationToken cancellationToken) =>
        _inner.SendAsync(buffer, messageType, endOfMessage, cancellationToken);

    /// <inheritdoc/>
    public override Task SendAsync(
        ArraySegment<byte> buffer, WebSocketMessageType messageType, bool endOfMessage, CancellationToken cancellationToken) =>
        _inner.SendAsync(buffer, messageType, endOfMessage, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask<ValueWebSocketReceiveResult> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        ValueTask<ValueWebSocketReceiveResult> receiving = _inner.ReceiveAsync(buffer, cancellationToken);
        if (!receiving.IsCompletedSuccessfully)
        {
            return _waiting.Await(WaitAsync(receiving));
        }

        ValueWebSocketReceiveResult result = receiving.Result;
        return Fits(result.MessageType, result.Count, result.EndOfMessage)
            ? new ValueTask<ValueWebSocketReceiveResult>(result)
            : RefuseAsync();
    }

    /// <inheritdoc/>
    public override async Task<WebSocketReceiveResult> ReceiveAsync(ArraySegment<byte> buffer, CancellationToken cancellationToken)
    {
        WebSocketReceiveResult result = await _inner.ReceiveAsync(buffer, cancellationToken).ConfigureAwait(false);
        if (!Fits(result.MessageType, result.Count, result.EndOfMessage))
        {
            await RefuseAsync().ConfigureAwait(false);
        }

        return result.MessageType == WebSocketMessageType.Close && IsClosedWithoutCode
            ? new WebSocketReceiveResult(0, WebSocketMessageType.Close, true, CloseStatus, CloseStatusDescription)
            : result;
    }

    /// <inheritdoc/>
    public override void Dispose() => _inner.Dispose();

    /// <summary>Ends it without cutting the connection: what was sent, a Close frame above all, shall arrive.</summary>
    public void EndGently()
    {
        _endsGently = true;
        _inner.Dispose();
    }

    /// <summary>
    /// .NET's WebSocket lets codes out that must not be sent (RFC 6455, section 7.4), and finds a reason that is not valid text when
    /// it has begun to close.
    /// </summary>
    /// <exception cref="ArgumentException">As <see cref="WebSocket.CloseAsync"/> has it.</exception>
    private static void Check(WebSocketCloseStatus closeStatus, string? statusDescription)
    {
        if (closeStatus == WebSocketCloseStatus.Empty)
        {
            if (!string.IsNullOrEmpty(statusDescription))
            {
                throw new ArgumentException("A Close frame without code (WebSocketCloseStatus.Empty) has no description.", nameof(statusDescription));
            }
        }
        else if (!CloseFrame.IsSendable((int)closeStatus))
        {
            throw new ArgumentException($"{CloseFrame.SendableCodes}, not {(int)closeStatus}; or WebSocketCloseStatus.Empty.", nameof(closeStatus));
        }

        if (CloseFrame.FindFault(statusDescription) is { } fault)
        {
            throw new ArgumentException(fault, nameof(statusDescription));
        }
    }

    /// <summary>The client has so much time for its half, unless .NET has refused the call: then nothing was sent.</summary>
    private Task Begun(Task closing, WebSocketCloseStatus status)
    {
        if (!closing.IsFaulted && !closing.IsCanceled)
        {
            LocalCode = (int)status;
            _loop.StartCloseTimeout(_closeTimeout);
        }

        return closing;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<ValueWebSocketReceiveResult> WaitAsync(ValueTask<ValueWebSocketReceiveResult> receiving)
    {
        ValueWebSocketReceiveResult result = await receiving.ConfigureAwait(false);
        if (!Fits(result.MessageType, result.Count, result.EndOfMessage))
        {
            await RefuseAsync().ConfigureAwait(false);
        }

        return result;
    }

    private bool Fits(WebSocketMessageType type, int count, bool endOfMessage)
    {
        if (type == WebSocketMessageType.Close)
        {
            return true;
        }

        _received += count;
        if (_received > _maxMessageSize)
        {
            return false;
        }

        if (endOfMessage)
        {
            _received = 0;
        }

        return true;
    }

    /// <summary>1009, and nothing more is read: inflating the rest would be the attack itself.</summary>
    private async ValueTask<ValueWebSocketReceiveResult> RefuseAsync()
    {
        await RefuseAsync(1009).ConfigureAwait(false);
        EndGently();
        throw new WebSocketException(WebSocketError.Faulted, $"The client has sent too much. {TooBig}");
    }

    private async Task RefuseAsync(int code)
    {
        _isTooBig = code == 1009;
        _endsGently = true; // the Close frame shall arrive
        string reason = code switch
        {
            1009 => TooBig,
            1008 => "too many empty fragments",
            _ => "length not in its shortest form",
        };
        try
        {
            await CloseOutputAsync((WebSocketCloseStatus)code, reason, CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception e) when (e is WebSocketException or ObjectDisposedException or OperationCanceledException or InvalidOperationException)
        {
            // It was closed before.
        }
    }
}
