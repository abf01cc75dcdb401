using System;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Linq;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;
using Microsoft.Extensions.Logging;

namespace CivetWeb.Net;

/// <summary>An accepted WebSocket: its 101 response, its life, its end; all on the connection's own thread.</summary>
[SuppressMessage("Design", "CA1001", Justification = "Run ends the WebSocket and its stream; the token must stay usable for whoever has kept it.")]
internal sealed class ServerWebSocket : IWebSocketControl
{
    private readonly WebSocketHandshake _handshake;
    private readonly WebSocketEndpoint _endpoint;
    private readonly SessionHandle _session;
    private readonly FrameHeaderInspector _frames;
    private readonly SessionStream _stream;
    private readonly ConnectionLoop _loop;
    private readonly SessionWebSocket _webSocket;
    private readonly CancellationTokenSource _aborted = new();
    private readonly long _id;
    private readonly long _began = Stopwatch.GetTimestamp();
    private readonly TimeSpan _closeTimeout;
    private bool _isWithoutPong;
    private bool _hasBrokenProtocol;

    private ServerWebSocket(
        WebSocketHandshake handshake, WebSocketEndpoint endpoint, WebSocketDeflateOptions? deflate, SessionHandle session)
    {
        WebSocketSettings settings = endpoint.Settings;
        _handshake = handshake;
        _id = handshake.Request.Server.NextWebSocketId();
        _endpoint = endpoint;
        _session = session;
        _closeTimeout = settings.CloseTimeout;
        _frames = new FrameHeaderInspector(settings.MaxMessageSize, deflate is not null);
        _stream = new SessionStream(session, _frames, handshake.Request.IsTls, settings.SendTimeout, settings.FrameTimeout);
        _loop = new ConnectionLoop(session, _stream, Report);
        _stream.Loop = _loop;
        _loop.Lost = () => _aborted.Cancel();
        _webSocket = new SessionWebSocket(
            session,
            _stream,
            _frames,
            _loop,
            new WebSocketCreationOptions
            {
                IsServer = true,
                SubProtocol = handshake.Subprotocol,
                KeepAliveInterval = settings.KeepAliveInterval,
                KeepAliveTimeout = settings.KeepAliveTimeout,
                DangerousDeflateOptions = deflate,
            },
            settings.MaxMessageSize,
            _closeTimeout);
    }

    private ServerRequest Request => _handshake.Request;

    private ILogger Logger => Request.Server.Logger;

    private ServerConnection Connection => _handshake.Request.Connection;

    /// <summary>Answers with 101 and runs the WebSocket until it ends; the status for the log.</summary>
    /// <param name="handshake">What was agreed on.</param>
    /// <param name="endpoint">Its path.</param>
    /// <param name="responseHeaders">Complete header lines for the 101 response, Sec-WebSocket-Protocol and -Extensions among them.</param>
    /// <param name="deflate">The compression agreed on, or null.</param>
    public static int Run(WebSocketHandshake handshake, WebSocketEndpoint endpoint, string responseHeaders, WebSocketDeflateOptions? deflate)
    {
        const int SwitchingProtocols = 101;
        ServerConnection connection = handshake.Request.Connection;
        using SessionHandle? session = connection.CreateSession(Options(connection.Host, endpoint.Settings.SendTimeout));
        if (session is null)
        {
            return connection.Refuse(503, null, "The server is out of memory or file descriptors.\n");
        }

        if (!connection.AcceptUpgrade(responseHeaders))
        {
            connection.EndAfterRequest();
            return SwitchingProtocols;
        }

        var socket = new ServerWebSocket(handshake, endpoint, deflate, session);
        nint turns = CallbackHandle.Create(socket._loop);
        try
        {
            session.Begin(turns);
            socket.Run();
        }
        finally
        {
            CallbackHandle.Free(turns);
        }

        return SwitchingProtocols;
    }

    private static cwn_session_options Options(HttpHost host, TimeSpan sendTimeout)
    {
        cwn_session_options options = host.SessionOptions;
        options.send_timeout_ms = sendTimeout == Timeout.InfiniteTimeSpan ? 0 : (uint)sendTimeout.TotalMilliseconds;
        return options;
    }

    /// <inheritdoc/>
    public void RequestClose(int code) =>
        ThreadPool.UnsafeQueueUserWorkItem(static work => _ = work.Socket.CloseOutputAsync((WebSocketCloseStatus)work.Code), (Socket: this, Code: code), preferLocal: false);

    /// <inheritdoc/>
    public void Abort() => _session.Abort();

    /// <inheritdoc/>
    public void Abandon() => _loop.Abandon();

    private void Run()
    {
        ServerLog.WebSocketOpened(Logger, _id, Request.Path, Request.RemoteEndPoint, _handshake.Subprotocol);
        try
        {
            Connection.Attach(this);
            _loop.Run(MainAsync);
        }
        finally
        {
            // The session must be over before its turn handler's pin is freed, whatever fails before.
            try
            {
                Connection.Attach(null);
                _webSocket.EndGently();
            }
            finally
            {
                _stream.EndSession();
            }

            Cancel();
            LogEnd();
        }
    }

    private void LogEnd()
    {
        TimeSpan duration = Stopwatch.GetElapsedTime(_began);
        if (_webSocket.IsTooBig)
        {
            ServerLog.MessageTooLarge(Logger, _id, Request.RemoteEndPoint, _webSocket.MaxMessageSize);
        }

        string? cutBecause = _isWithoutPong ? "the client has not answered a ping in time"
            : _hasBrokenProtocol ? "the client has broken the protocol"
            : _loop.CutBecause;
        if (cutBecause is { } reason)
        {
            ServerLog.WebSocketAborted(Logger, _id, Request.RemoteEndPoint, reason);
        }
        else if (_webSocket.CloseStatus is null && _webSocket.LocalCode is null)
        {
            ServerLog.WebSocketLost(Logger, _id, Request.RemoteEndPoint, duration);
        }
        else
        {
            ServerLog.WebSocketClosed(
                Logger,
                _id,
                Request.RemoteEndPoint,
                _webSocket.LocalCode,
                (int?)_webSocket.CloseStatus,
                _webSocket.CloseStatusDescription ?? "",
                duration);
        }
    }

    private async Task MainAsync()
    {
        WebSocketCloseStatus status = WebSocketCloseStatus.NormalClosure;
        try
        {
            await _endpoint.Handler(new ServerWebSocketContext(_id, _handshake, _webSocket, _aborted.Token));
        }
        catch (OperationCanceledException e) when (IsWithoutPong(e))
        {
            _isWithoutPong = true;
        }
        catch (OperationCanceledException) when (_aborted.IsCancellationRequested || Request.Server.Stopping.IsCancellationRequested)
        {
            // What the token is for.
            status = WebSocketCloseStatus.EndpointUnavailable;
        }
        catch (OperationCanceledException) when (_webSocket.State is WebSocketState.Aborted)
        {
            // .NET's way to say that somebody has aborted it, the handler for example.
        }
        catch (WebSocketException) when (_webSocket.State is not WebSocketState.Open || _stream.HasEnded || _loop.IsLost)
        {
            // The client has gone, or .NET's WebSocket has refused what it sent: no fault of the handler's.
            _hasBrokenProtocol = _webSocket.State is WebSocketState.Aborted && _webSocket.LocalCode is null && !_stream.HasEnded && !_loop.IsLost;
        }
        catch (Exception e)
        {
            ServerLog.WebSocketHandlerFailed(Logger, e, _id, Request.RemoteEndPoint, Request.Path);
            status = WebSocketCloseStatus.InternalServerError;
        }

        await CloseAsync(status);
    }

    /// <summary>Whether it is .NET's own keep-alive that has aborted the WebSocket; its exception is inside then.</summary>
    private bool IsWithoutPong(OperationCanceledException e) =>
        _webSocket.State is WebSocketState.Aborted
        && e.InnerException is AggregateException { InnerExceptions: var inner }
        && inner.Any(i => i is WebSocketException);

    private async Task CloseAsync(WebSocketCloseStatus status)
    {
        try
        {
            switch (_webSocket.State)
            {
                case WebSocketState.Open or WebSocketState.CloseSent when !_stream.IsDisposed:
                    await _webSocket.CloseAsync(status, null, CancellationToken.None);
                    break;
                case WebSocketState.CloseReceived when !_stream.IsDisposed:
                    // RFC 6455, section 5.5.1: the answer carries the code received; after an exception, ours.
                    if (status != WebSocketCloseStatus.InternalServerError)
                    {
                        status = _webSocket.CloseStatus ?? status;
                    }

                    await _webSocket.CloseAsync(status, null, CancellationToken.None);
                    break;
                case WebSocketState.Aborted when !_stream.IsDisposed && !_loop.IsLost:
                    // The base class library has told the client what it did wrong; that must arrive.
                    _stream.LingerMilliseconds = (int)Math.Clamp(_closeTimeout.TotalMilliseconds, 0, 5000);
                    _webSocket.EndGently();
                    break;
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            // The client does not answer, or somebody else closes: it is over in any case.
            _session.Abort();
        }
    }

    private async Task CloseOutputAsync(WebSocketCloseStatus status)
    {
        try
        {
            if (_webSocket.State is WebSocketState.Open or WebSocketState.CloseReceived)
            {
                await _webSocket.CloseOutputAsync(status, null, CancellationToken.None).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            // It is closed or closing already.
        }
    }

    private void Cancel()
    {
        try
        {
            _aborted.Cancel();
        }
        catch (AggregateException e)
        {
            Report(e);
        }
    }

    private void Report(Exception exception) => Request.Server.ReportException(exception, "code that the handler of a WebSocket has started");
}
