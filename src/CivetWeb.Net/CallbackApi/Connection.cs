using System;
using System.Collections.Generic;
using System.Net;
using System.Text;
using System.Threading;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.CallbackApi;

/// <summary>
/// One opening of a connection, from accept to close. It may be kept and used from any thread, for ever: it never comes
/// to stand for another client, and once it is closed every write returns -1.
/// </summary>
/// <remarks>
/// Two lives, one object. In HTTP callbacks the request can be read and answered, on that thread, until the callback
/// returns. After a WebSocket handshake frames can be written from any thread until it closes.
/// </remarks>
public sealed partial class Connection
{
    private readonly object _gate = new();
    private nint _native; // the mg_connection, while a callback that may use it runs
    private int _nativeUses;
    private SessionHandle? _session;
    private IWebSocketControl? _control; // of the server API, instead of the session
    private WebSocketRoute? _route;
    private RequestInfo? _info;
    private cwn_session_info _end;
    private bool _isWebSocket;
    private string? _peer; // the proxy, where its PROXY header has replaced it
    private NativeString? _subprotocol; // CivetWeb refers to it while the connection is open
    private long[]? _chunk; // how far Read has come in the request's body
    private readonly int _httpsPort; // where everything is sent that comes to the port; 0: nowhere

    internal Connection(Context context, int httpsPort)
    {
        Context = context;
        _httpsPort = httpsPort;
    }

    /// <summary>The server the connection belongs to.</summary>
    public Context Context { get; }

    /// <summary>An object of the application's own; <see cref="RequestInfo.ConnectionData"/> shows it. Not synchronised.</summary>
    public object? Data { get; set; }

    /// <summary>Whether the connection is, or was, a WebSocket.</summary>
    public bool IsWebSocket => Volatile.Read(ref _isWebSocket);

    /// <summary>Whether frames can be sent to the WebSocket now. It may close at any moment after.</summary>
    public bool IsOpen => Volatile.Read(ref _session)?.IsOpen ?? false;

    /// <summary>
    /// The close code the client has sent (RFC 6455, section 7.4): 1005 for a Close without code, null when none came (yet).
    /// </summary>
    public int? RemoteCloseCode => NullIfZero(End.remote_code);

    /// <summary>The reason the client has sent with its close code; empty when none came.</summary>
    public string RemoteCloseReason
    {
        get
        {
            cwn_session_info end = End;
            return Encoding.UTF8.GetString(((ReadOnlySpan<byte>)end.reason)[..(int)end.reason_size]);
        }
    }

    /// <summary>The close code sent to the client, 1005 for a Close without code, null when none was sent (yet).</summary>
    public int? LocalCloseCode => NullIfZero(End.local_code);

    internal RequestInfo Info
    {
        get
        {
            RequestInfo? info = Volatile.Read(ref _info);
            if (info is not null)
            {
                return info;
            }

            lock (_gate)
            {
                info = _native == 0 ? null : RequestInfoReader.Read(_native, Context, _peer, Data);
                Volatile.Write(ref _info, info);
            }

            return info ?? throw new InvalidOperationException(
                "There is no request to read: its callback has returned, or none has arrived yet. Read it inside the callback; the result can be kept.");
        }
    }

    private cwn_session_info End => Volatile.Read(ref _session)?.GetInfo() ?? _end;

    internal int SendFrame(int opcode, ReadOnlySpan<byte> data) => Volatile.Read(ref _session)?.Send(opcode, data, wait: true) ?? -1;

    internal int PostFrame(int opcode, ReadOnlySpan<byte> data) => Volatile.Read(ref _session)?.Send(opcode, data, wait: false) ?? -1;

    internal int SendClose(int code, ReadOnlySpan<byte> reason) => Volatile.Read(ref _session)?.Close(code, reason) ?? -1;

    internal void RequestClose(int code)
    {
        Volatile.Read(ref _session)?.RequestClose(code);
        Volatile.Read(ref _control)?.RequestClose(code);
    }

    internal void Abort()
    {
        Volatile.Read(ref _session)?.Abort();
        Volatile.Read(ref _control)?.Abort();
    }

    internal void Abandon() => Volatile.Read(ref _control)?.Abandon();

    internal WebSocketRoute? Route => Volatile.Read(ref _route);

    internal int Write(ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            return _native == 0 ? -1 : NativeRequest.Write(_native, data);
        }
    }

    /// <summary>Fills the buffer, as mg_read does; what has come before a failure is returned first.</summary>
    internal int Read(Span<byte> buffer)
    {
        lock (_gate)
        {
            if (_native == 0)
            {
                return -1;
            }

            _chunk ??= new long[2];
            int got = 0;
            while (got < buffer.Length)
            {
                int n = NativeBody.Read(_native, buffer[got..], timeout: -1, _chunk);
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
    }

    internal int SendFile(byte[] path, byte[]? mimeType)
    {
        lock (_gate)
        {
            if (_native == 0)
            {
                return -1;
            }

            NativeRequest.SendFile(_native, path, mimeType);
            return 0;
        }
    }

    /// <summary>A complete response that works for WebSocket requests too; the connection ends after it.</summary>
    internal int Refuse(int status, string? headers, string text)
    {
        lock (_gate)
        {
            return _native == 0 ? status : NativeRequest.Refuse(_native, status, headers, text);
        }
    }

    /// <summary>0: not a WebSocket request; 1: a valid one; otherwise the status of the refusal that was sent.</summary>
    internal int CheckUpgrade()
    {
        lock (_gate)
        {
            return _native == 0 ? 0 : NativeRequest.CheckUpgrade(_native);
        }
    }

    /// <summary>Answers a valid WebSocket request with 101; false when that could not be sent.</summary>
    /// <param name="headers">Complete header lines.</param>
    internal bool AcceptUpgrade(string headers)
    {
        lock (_gate)
        {
            return _native != 0 && NativeRequest.AcceptUpgrade(_native, headers);
        }
    }

    /// <summary>The session of a WebSocket of the server API; null when out of memory or descriptors.</summary>
    internal SessionHandle? CreateSession(TimeSpan sendTimeout)
    {
        cwn_session_options options = Context.SessionOptions;
        options.send_timeout_ms = sendTimeout == Timeout.InfiniteTimeSpan ? 0 : (uint)sendTimeout.TotalMilliseconds;
        lock (_gate)
        {
            return _native == 0 ? null : SessionHandle.TryCreate(_native, options);
        }
    }

    /// <summary>Tells a stopping server whom to ask; null: nobody any more.</summary>
    internal void Attach(IWebSocketControl? control)
    {
        Volatile.Write(ref _isWebSocket, true);
        Volatile.Write(ref _control, control);

        // Stopping looks at the control after it has set its flag, this the other way round: one of them sees the other.
        Interlocked.MemoryBarrier();
        if (Context.IsStopping)
        {
            control?.RequestClose(1001);
        }

        if (Context.IsCutting)
        {
            control?.Abort();
        }
    }

    /// <summary>Whether the connection can serve another request after this one, for all CivetWeb knows.</summary>
    internal bool CanKeepAlive
    {
        get
        {
            lock (_gate)
            {
                return _native != 0 && NativeRequest.CanKeepAlive(_native);
            }
        }
    }

    /// <summary>
    /// Whether the client has gone, or at least finished sending, while its request is handled. Never waits: false while another
    /// thread reads or writes, which notices by itself.
    /// </summary>
    internal bool IsClientGone()
    {
        if (!Monitor.TryEnter(_gate))
        {
            return false;
        }

        try
        {
            return _native != 0 && NativeRequest.IsClientGone(_native);
        }
        finally
        {
            Monitor.Exit(_gate);
        }
    }

    /// <summary>Ends the connection after the current request.</summary>
    internal void EndAfterRequest()
    {
        lock (_gate)
        {
            if (_native != 0)
            {
                NativeRequest.EndAfterRequest(_native);
            }
        }
    }

    /// <summary>The server's side of the connection.</summary>
    internal EndPoint LocalEndPoint
    {
        get
        {
            lock (_gate)
            {
                return _native == 0 ? SocketAddresses.Unix : NativeRequest.LocalEndPoint(_native);
            }
        }
    }

    /// <summary>The certificate the client has proved to own, in DER; null without one.</summary>
    internal byte[]? PeerCertificate
    {
        get
        {
            lock (_gate)
            {
                return _native == 0 ? null : NativeRequest.PeerCertificate(_native);
            }
        }
    }

    // From here on: what the trampolines call, on the connection's own thread.

    /// <summary>Receives the PROXY header that a trusted proxy must send; without one the connection ends.</summary>
    internal void ReadProxyHeader(nint native)
    {
        string peer = NativeRequest.PeerAddress(native);
        if (Context.Settings.TrustedProxies!.Contains(peer))
        {
            _peer = peer;
            NativeRequest.ReadProxyHeader(native);
        }
    }

    internal int HandleBeginRequest(nint native)
    {
        Volatile.Write(ref _info, null); // of an earlier request on this connection
        if (!System.Runtime.CompilerServices.RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            // Only a library built with a small USE_STACK_SIZE gets here; user code would overflow and end the process.
            return NativeRequest.Refuse(native, 503, null, "The server's threads have too little stack.\n");
        }

        (int refused, string reason) = CheckAccess(native);
        if (refused != 0)
        {
            return RefuseAccess(native, refused, reason);
        }

        RequestCallback? callback = _httpsPort > 0 ? RedirectToHttps : Context.Callbacks.BeginRequest;
        if (callback is null)
        {
            return 0;
        }

        using CallbackScope scope = CallbackScope.Enter();
        long sent = NativeRequest.BytesSent(native);
        BeginUse(native);
        try
        {
            // Beyond the documented range CivetWeb's behaviour is undefined; anything but 0 means "handled".
            int status = callback(this);
            if (status != 0)
            {
                FinishBody(native);
            }

            return status is 0 or (>= 1 and <= 999) ? status : 500;
        }
        catch (Exception e)
        {
            Context.ReportException(e, nameof(Callbacks.BeginRequest));
            return RefuseIfSilent(native, sent, 500, "The request could not be handled.\n");
        }
        finally
        {
            _chunk = null;
            EndUse();
        }
    }

    internal void HandleEndRequest(nint native, int status) =>
        InUse(native, nameof(Callbacks.EndRequest), (connection, s) => connection.Context.Callbacks.EndRequest?.Invoke(connection, s), status);

    internal bool HandleHttpError(nint native, int status, string message)
    {
        if (Context.Callbacks.HttpError is not { } callback)
        {
            return false;
        }

        if (_route is null)
        {
            // What is no request comes here without a begin_request: the information kept may be an earlier one's.
            Volatile.Write(ref _info, null);
        }

        bool handled = false;
        InUse(native, nameof(Callbacks.HttpError), (connection, s) => handled = callback(connection, s, message) == 0, status);
        return handled;
    }

    internal void HandleConnectionClose()
    {
        try
        {
            Context.Run(nameof(Callbacks.ConnectionClose), this, static (_, connection) => connection.Context.Callbacks.ConnectionClose?.Invoke(connection));
        }
        finally
        {
            // Only a connection accepted by its callback and then lost to a failing handshake is still here.
            Context.Forget(this);
            _subprotocol?.Free();
            _subprotocol = null;
        }
    }

    internal void HandleConnectionClosed() =>
        Context.Run(nameof(Callbacks.ConnectionClosed), this, static (_, connection) => connection.Context.Callbacks.ConnectionClosed?.Invoke(connection));

    /// <summary>0 accepts. Every refusal is a complete HTTP response.</summary>
    internal int HandleWebSocketConnect(nint native)
    {
        using CallbackScope scope = CallbackScope.Enter();
        BeginUse(native);
        try
        {
            RequestInfo info = Info;
            WebSocketRoute? route = Context.FindRoute(info.LocalUri);
            if (route is null)
            {
                return NativeRequest.Refuse(native, 404, null, "There is no WebSocket at this path.\n");
            }

            if (Context.Settings.Origins is { } origins && !origins.Allows(info))
            {
                return NativeRequest.Refuse(native, 403, null, "This origin is not allowed.\n");
            }

            _route = route;
            switch (Context.Admit(this, info.RemoteAddress))
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
                int refused = NegotiateAndAsk(native, info, route);
                accepted = refused == 0;
                return refused;
            }
            finally
            {
                if (!accepted)
                {
                    Context.Forget(this);
                }
            }
        }
        finally
        {
            EndUse();
        }
    }

    /// <summary>Runs the whole WebSocket; returns when it is over.</summary>
    internal void HandleWebSocketReady(nint native, nint handle)
    {
        WebSocketRoute route = _route!;
        using CallbackScope scope = CallbackScope.Enter();
        SessionHandle? session = SessionHandle.TryCreate(native, Context.SessionOptions);
        if (session is null)
        {
            Context.Log("A WebSocket had to be dropped: out of memory or file descriptors.");
            NativeRequest.EndAfterRequest(native);
            return;
        }

        Volatile.Write(ref _isWebSocket, true);
        Volatile.Write(ref _session, session);
        try
        {
            // Stopping looks at _session after it has set its flag, this looks at the flag after setting _session: one
            // of the two sees the other.
            Interlocked.MemoryBarrier();
            if (Context.IsStopping)
            {
                session.RequestClose(1001);
            }

            if (Context.IsCutting)
            {
                session.Abort();
            }

            try
            {
                route.Ready?.Invoke(this, route.UserData);
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

    internal int HandleWebSocketData(int bits, ReadOnlySpan<byte> data)
    {
        WebSocketRoute route = _route!;
        if (route.Data is null)
        {
            return 1;
        }

        // Perhaps on a leader's thread, which no callback around this one has entered.
        using CallbackScope scope = CallbackScope.Enter();
        return route.Data(this, bits, data, route.UserData);
    }

    internal void HandleWebSocketClose()
    {
        WebSocketRoute? route = _route;
        try
        {
            using CallbackScope scope = CallbackScope.Enter();
            route?.Close?.Invoke(this, route.UserData);
        }
        catch (Exception e)
        {
            Context.ReportException(e, "close");
        }
        finally
        {
            Context.Forget(this);
        }
    }

    /// <summary>An exception has left a callback: the peer is told (1011), nobody else notices.</summary>
    internal void FailWebSocket(Exception exception, string callback)
    {
        Context.ReportException(exception, callback);
        SendClose(1011, []);
    }

    /// <summary>Whether the request may reach anybody, by the host it asks for and by who it comes from.</summary>
    private (int Status, string Reason) CheckAccess(nint native)
    {
        HostPolicy policy = Context.Settings.Hosts;
        if (!policy.IsEverything && (!policy.IsDefault || NativeRequest.IsOnLoopback(native)))
        {
            (List<string> hosts, string target) = NativeRequest.ReadHosts(native);
            (int Status, string Reason) answer = policy.Check(hosts, target);
            if (answer.Status != 0)
            {
                return answer;
            }
        }

        return Context.Settings.TrustedProxies is not null && RequestInfoReader.Read(native, Context, _peer, Data) is { IsClientUnknown: true }
            ? (400, "X-Forwarded-For does not tell the client's address.")
            : default;
    }

    private int RefuseAccess(nint native, int status, string reason)
    {
        using CallbackScope scope = CallbackScope.Enter();
        BeginUse(native);
        try
        {
            Context.ReportRefusal(Info, status, reason);
            return NativeRequest.Refuse(native, status, null, reason + "\n");
        }
        finally
        {
            EndUse();
        }
    }

    private static int RedirectToHttps(Connection connection) => HttpsLocation.Answer(connection, connection._httpsPort);

    /// <summary>
    /// Reads over what the callback has left of a chunked body; CivetWeb would have to begin in the middle of one, and
    /// takes for its end what is none.
    /// </summary>
    private void FinishBody(nint native)
    {
        const int Limit = 64 * 1024;
        const int Milliseconds = 1000;
        if (Context.UserData is CivetWebServer || NativeBody.Length(native) >= 0)
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

    private static int? NullIfZero(int code) => code == 0 ? null : code;

    private int NegotiateAndAsk(nint native, RequestInfo info, WebSocketRoute route)
    {
        if (Subprotocols.Choose(info, route.Subprotocols) is { } subprotocol)
        {
            NativeString? before = _subprotocol; // of an upgrade that was refused
            _subprotocol = new NativeString(subprotocol);
            _subprotocol.AcceptAsSubprotocol(native);
            before?.Free();
            info.Subprotocol = subprotocol;
        }

        if (route.Connect is null)
        {
            return 0;
        }

        long sent = NativeRequest.BytesSent(native);
        try
        {
            if (route.Connect(this, route.UserData) == 0)
            {
                return 0;
            }
        }
        catch (Exception e)
        {
            Context.ReportException(e, "connect");
            return RefuseIfSilent(native, sent, 500, "The WebSocket could not be opened.\n");
        }

        return RefuseIfSilent(native, sent, 403, "This WebSocket was refused.\n");
    }

    private static int RefuseIfSilent(nint native, long sentBefore, int status, string text)
    {
        if (NativeRequest.BytesSent(native) == sentBefore)
        {
            return NativeRequest.Refuse(native, status, null, text);
        }

        NativeRequest.EndAfterRequest(native);
        return status;
    }

    private void BeginUse(nint native)
    {
        lock (_gate)
        {
            _native = native;
            _nativeUses++;
        }
    }

    /// <summary>Waits for a call of another thread that is still using the connection.</summary>
    private void EndUse()
    {
        lock (_gate)
        {
            if (--_nativeUses == 0)
            {
                _native = 0;
            }
        }
    }

    private void InUse(nint native, string name, Action<Connection, int> callback, int status)
    {
        using CallbackScope scope = CallbackScope.Enter();
        BeginUse(native);
        try
        {
            callback(this, status);
        }
        catch (Exception e)
        {
            Context.ReportException(e, name);
        }
        finally
        {
            EndUse();
        }
    }
}
