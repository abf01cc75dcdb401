using System;
using System.Threading;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.CallbackApi;

/// <summary>The connection behind a <see cref="CallbackApi.Connection"/>: what CivetWeb tells of it becomes calls of callbacks.</summary>
internal sealed class CallbackConnection : HttpConnection
{
    private readonly CallbackHost _host;
    private SessionHandle? _session;
    private WebSocketRoute? _route;
    private RequestInfo? _info;
    private cwn_session_info _end;
    private bool _isWebSocket;
    private NativeString? _subprotocol; // CivetWeb refers to it while the connection is open
    private long[]? _chunk; // how far Read has come in the request's body

    public CallbackConnection(CallbackHost host, int httpsPort)
        : base(host, httpsPort)
    {
        _host = host;
        Connection = new Connection(this);
    }

    /// <summary>What the application has of it.</summary>
    public Connection Connection { get; }

    /// <summary>The server's.</summary>
    public Context Context => _host.Context;

    /// <summary>Whether the connection is, or was, a WebSocket.</summary>
    public bool IsWebSocket => Volatile.Read(ref _isWebSocket);

    /// <summary>Whether frames can be sent now.</summary>
    public bool IsOpen => Volatile.Read(ref _session)?.IsOpen ?? false;

    public WebSocketRoute? Route => Volatile.Read(ref _route);

    /// <summary>How the WebSocket has ended, as far as it has.</summary>
    public cwn_session_info End => Volatile.Read(ref _session)?.GetInfo() ?? _end;

    /// <summary>The request as callbacks see it.</summary>
    public RequestInfo Info
    {
        get
        {
            RequestInfo? info = Volatile.Read(ref _info);
            if (info is null)
            {
                info = new RequestInfo(Head, _host.UserData, Connection.Data);
                info = Interlocked.CompareExchange(ref _info, info, null) ?? info;
            }

            return info;
        }
    }

    public int SendFrame(int opcode, ReadOnlySpan<byte> data) => Volatile.Read(ref _session)?.Send(opcode, data, wait: true) ?? -1;

    public int PostFrame(int opcode, ReadOnlySpan<byte> data) => Volatile.Read(ref _session)?.Send(opcode, data, wait: false) ?? -1;

    public int SendClose(int code, ReadOnlySpan<byte> reason) => Volatile.Read(ref _session)?.Close(code, reason) ?? -1;

    /// <inheritdoc/>
    public override void RequestClose(int code) => Volatile.Read(ref _session)?.RequestClose(code);

    /// <inheritdoc/>
    public override void Abort() => Volatile.Read(ref _session)?.Abort();

    /// <summary>Fills the buffer, as mg_read does; what has come before a failure is returned first.</summary>
    public int Read(Span<byte> buffer)
    {
        long[] chunk = _chunk ??= new long[2];
        int got = 0;
        while (got < buffer.Length)
        {
            int n = ReadBody(buffer[got..], timeout: -1, chunk);
            if (n < 0)
            {
                return got > 0 ? got : -1;
            }

            if (n == 0)
            {
                break;
            }

            got += n;
        }

        return got;
    }

    /// <inheritdoc/>
    public override void OnEndRequest(nint native, int status) =>
        InUse(native, nameof(Callbacks.EndRequest), (connection, s) => connection._host.Callbacks.EndRequest?.Invoke(connection.Connection, s), status);

    /// <inheritdoc/>
    public override bool OnHttpError(nint native, int status, string message)
    {
        if (_host.Callbacks.HttpError is not { } callback)
        {
            return false;
        }

        if (_route is null)
        {
            // What is not a request comes here without a begin_request: the information kept may be an earlier one's.
            ForgetRequest();
        }

        bool handled = false;
        InUse(native, nameof(Callbacks.HttpError), (connection, s) => handled = callback(connection.Connection, s, message) == 0, status);
        return handled;
    }

    /// <inheritdoc/>
    public override void OnConnectionClosed() =>
        _host.Run(nameof(Callbacks.ConnectionClosed), this, static (host, connection) => host.Callbacks.ConnectionClosed?.Invoke(connection.Connection));

    /// <inheritdoc/>
    public override int OnWebSocketConnect(nint native)
    {
        using CallbackScope scope = CallbackScope.Enter();
        BeginUse(native);
        try
        {
            RequestHead head = Head;
            _ = Info; // with what Connection.Data is now
            WebSocketRoute? route = _host.FindRoute(head.LocalUri);
            if (route is null)
            {
                return NativeRequest.Refuse(native, 404, null, "There is no WebSocket at this path.\n");
            }

            if (_host.Settings.Origins is { } origins && !origins.Allows(head))
            {
                return NativeRequest.Refuse(native, 403, null, "This origin is not allowed.\n");
            }

            _route = route;
            switch (_host.Admit(this, head.RemoteAddress))
            {
                case ConnectionTable.Admission.Accepted:
                    break;
                case ConnectionTable.Admission.Stopping:
                    return NativeRequest.Refuse(native, 503, null, "The server is stopping.\n");
                default:
                    return NativeRequest.Refuse(native, 503, "Retry-After: 5\r\n", "There are too many connections.\n");
            }

            bool accepted = false;
            try
            {
                int refused = NegotiateAndAsk(native, head, route);
                accepted = refused == 0;
                return refused;
            }
            finally
            {
                if (!accepted)
                {
                    _host.Forget(this);
                }
            }
        }
        finally
        {
            EndUse();
        }
    }

    /// <inheritdoc/>
    public override void OnWebSocketReady(nint native, nint handle)
    {
        WebSocketRoute route = _route!;
        using CallbackScope scope = CallbackScope.Enter();
        SessionHandle? session = SessionHandle.TryCreate(native, _host.SessionOptions);
        if (session is null)
        {
            _host.Log("A WebSocket had to be dropped: out of memory or file descriptors.");
            NativeRequest.EndAfterRequest(native);
            return;
        }

        Volatile.Write(ref _isWebSocket, true);
        Volatile.Write(ref _session, session);
        try
        {
            CatchUpWithStop();
            try
            {
                route.Ready?.Invoke(Connection, route.UserData);
            }
            catch (Exception e)
            {
                FailWebSocket(e, "ready");
            }

            session.Run(handle);
        }
        finally
        {
            _end = session.GetInfo();
            Volatile.Write(ref _session, null);
            session.Dispose();
        }
    }

    /// <inheritdoc/>
    public override int OnWebSocketData(int bits, ReadOnlySpan<byte> data)
    {
        WebSocketRoute route = _route!;
        if (route.Data is null)
        {
            return 1;
        }

        // Perhaps on a leader's thread, which no callback around this one has entered.
        using CallbackScope scope = CallbackScope.Enter();
        return route.Data(Connection, bits, data, route.UserData);
    }

    /// <inheritdoc/>
    public override void OnWebSocketClose()
    {
        WebSocketRoute? route = _route;
        try
        {
            using CallbackScope scope = CallbackScope.Enter();
            route?.Close?.Invoke(Connection, route.UserData);
        }
        catch (Exception e)
        {
            _host.ReportException(e, "close");
        }
        finally
        {
            _host.Forget(this);
        }
    }

    /// <inheritdoc/>
    public override void FailWebSocket(Exception exception, string callback)
    {
        _host.ReportException(exception, callback);
        SendClose(1011, []);
    }

    /// <inheritdoc/>
    protected override int HandleRequest(nint native)
    {
        if (_host.Callbacks.BeginRequest is not { } callback)
        {
            return 0;
        }

        try
        {
            int status = callback(Connection);
            if (status != 0)
            {
                SkipRestOfBody(native);
            }

            // Beyond the documented range CivetWeb's behaviour is undefined; anything but 0 means "handled".
            return status is 0 or (>= 1 and <= 999) ? status : 500;
        }
        finally
        {
            _chunk = null;
        }
    }

    /// <inheritdoc/>
    protected override void ForgetRequest()
    {
        Volatile.Write(ref _info, null);
        base.ForgetRequest();
    }

    /// <inheritdoc/>
    protected override void OnClose()
    {
        try
        {
            _host.Run(nameof(Callbacks.ConnectionClose), this, static (host, connection) => host.Callbacks.ConnectionClose?.Invoke(connection.Connection));
        }
        finally
        {
            _subprotocol?.Free();
            _subprotocol = null;
        }
    }

    /// <summary>
    /// Skips what the callback has left of a chunked body: CivetWeb would begin in the middle of one, and take the wrong bytes for its end.
    /// </summary>
    private void SkipRestOfBody(nint native)
    {
        const int Limit = 64 * 1024;
        const int Milliseconds = 1000;
        if (NativeBody.Length(native) >= 0)
        {
            return;
        }

        Span<byte> sink = stackalloc byte[4096];
        long[] chunk = _chunk ?? new long[2];
        long deadline = Environment.TickCount64 + Milliseconds;
        int read = 0;
        while (read <= Limit)
        {
            long left = deadline - Environment.TickCount64;
            int n = left <= 0 ? NativeBody.TimedOut : NativeBody.Read(native, sink, (int)left, chunk);
            if (n == 0)
            {
                return;
            }

            if (n < 0)
            {
                break;
            }

            read += n;
        }

        NativeBody.CloseAfterResponse(native, Milliseconds);
    }

    private int NegotiateAndAsk(nint native, RequestHead head, WebSocketRoute route)
    {
        if (Subprotocols.Choose(head, route.Subprotocols) is { } subprotocol)
        {
            NativeString? before = _subprotocol; // of an upgrade that was refused
            _subprotocol = new NativeString(subprotocol);
            _subprotocol.AcceptAsSubprotocol(native);
            before?.Free();
            head.Subprotocol = subprotocol;
        }

        if (route.Connect is null)
        {
            return 0;
        }

        long sent = NativeRequest.BytesSent(native);
        try
        {
            if (route.Connect(Connection, route.UserData) == 0)
            {
                return 0;
            }
        }
        catch (Exception e)
        {
            _host.ReportException(e, "connect");
            return RefuseIfSilent(native, sent, 500, "The WebSocket could not be opened.\n");
        }

        return RefuseIfSilent(native, sent, 403, "This WebSocket was refused.\n");
    }

    private void InUse(nint native, string name, Action<CallbackConnection, int> callback, int status)
    {
        using CallbackScope scope = CallbackScope.Enter();
        BeginUse(native);
        try
        {
            callback(this, status);
        }
        catch (Exception e)
        {
            _host.ReportException(e, name);
        }
        finally
        {
            EndUse();
        }
    }
}
