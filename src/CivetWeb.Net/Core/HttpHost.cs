using System;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Threading;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.Core;

/// <summary>
/// One running server, as far as both APIs are the same: started once, with its connections counted, stopped once. Each API derives its own,
/// which creates the connections and takes the messages. All members may be used from any thread.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "Nobody asks for the wait handles of the events, so there is nothing to dispose of; and a stopped host can still be waited for.")]
internal abstract class HttpHost : INativeServer
{
    private readonly ManualResetEventSlim _startEnded = new();
    private readonly ManualResetEventSlim _stopEnded = new();
    private readonly StartupLog _startupLog = new();
    private readonly LogThrottle _failedHandshakes = new(TimeProvider.System);
    private readonly ConnectionTable _connections;
    private NativeServer? _server; // kept after the stop, for its ports
    private int _state = (int)State.Starting;

    protected HttpHost(ServerSettings settings)
    {
        Settings = settings;
        _connections = new ConnectionTable(settings.MaxConnections, settings.MaxConnectionsPerAddress);
    }

    /// <summary>
    /// Starting → Running: <see cref="Start"/> has got a native server.
    /// Starting → Failed: it has thrown. There is nothing to stop.
    /// Running → Stopping: the first <see cref="Stop"/>; later ones wait for it. One that comes while the server is starting, from
    /// somebody whom a callback has told of it, waits for the start.
    /// Stopping → Stopped: that stop has ended, however it did.
    /// </summary>
    private enum State
    {
        Starting,
        Running,
        Failed,
        Stopping,
        Stopped,
    }

    public ServerSettings Settings { get; }

    /// <summary>The TCP ports; empty until the server runs.</summary>
    public NativePort[] Ports => Volatile.Read(ref _server)?.Ports ?? [];

    /// <summary>Whether the server is running: started, and nobody has begun to stop it.</summary>
    public bool IsRunning => Current == State.Running;

    public bool IsStopped => _stopEnded.IsSet;

    /// <summary>Open WebSockets, and those whose handshake is still being answered.</summary>
    public int WebSocketCount => _connections.Count;

    /// <summary>Whether new WebSockets are refused because the server stops.</summary>
    public bool IsStopping => _connections.IsStopping;

    /// <summary>Whether the time for answers has run out: what becomes a WebSocket only now is cut at once.</summary>
    public bool IsCutting => _connections.IsCutting;

    /// <summary>Whether clients wait for a thread; not to be asked while the server ends.</summary>
    public bool HasWaitingClients => Volatile.Read(ref _server)?.HasWaitingClients ?? false;

    /// <summary>For the session of a WebSocket.</summary>
    public virtual cwn_session_options SessionOptions => Settings.Session;

    /// <summary>
    /// The methods that a request may have which nobody has answered: such a request gets a complete answer of ours. Null: CivetWeb answers.
    /// </summary>
    public abstract string? UnroutedMethods { get; }

    /// <summary>Which of CivetWeb's optional callbacks are wanted.</summary>
    protected abstract NativeCallbacks WantedCallbacks { get; }

    private State Current => (State)Volatile.Read(ref _state);

    /// <summary>Opens the ports. Once.</summary>
    /// <exception cref="CivetWebException">The native library is missing, or CivetWeb could not start.</exception>
    public void Start()
    {
        Debug.Assert(Current == State.Starting, "A host is started once.");
        bool started = false;
        try
        {
            NativeLibraryLoader.EnsureLoaded();
            if (Settings.UsesTls)
            {
                NativeLibraryLoader.EnsureTls();
            }

            NativeServer server = ServerStart.Run(this, WantedCallbacks, Settings, _startupLog);
            _startupLog.End();
            Volatile.Write(ref _server, server);
            ProcessExitHandler.Add(this);
            started = true;
        }
        finally
        {
            Volatile.Write(ref _state, (int)(started ? State.Running : State.Failed));
            _startEnded.Set();
        }
    }

    /// <summary>Tells every WebSocket (1001), waits for their answers, cuts the rest, and returns when the last callback has.</summary>
    /// <param name="drainTime">How long to wait for the answers of open WebSockets.</param>
    /// <param name="beforeEnd">Called when the rest has been cut and no call from native code has been waited for yet.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="InvalidOperationException">Called from inside a callback, for whose end it would have to wait.</exception>
    public void Stop(TimeSpan drainTime, Action<ConnectionTable>? beforeEnd = null, CancellationToken cancellationToken = default)
    {
        if (CallbackScope.IsActive)
        {
            throw new InvalidOperationException(
                "A server cannot be stopped from inside a callback: stopping waits for the callbacks to return. Stop it from another thread, for example with Task.Run.");
        }

        _startEnded.Wait(CancellationToken.None);
        switch ((State)Interlocked.CompareExchange(ref _state, (int)State.Stopping, (int)State.Running))
        {
            case State.Running:
                break;
            case State.Failed:
                return;
            default:
                _stopEnded.Wait(CancellationToken.None);
                return;
        }

        // Whatever fails on the way, the rest of the way is gone: whoever waits for the end must see it.
        try
        {
            CloseWebSockets(drainTime, cancellationToken);
            beforeEnd?.Invoke(_connections);
        }
        finally
        {
            End();
        }
    }

    /// <summary>The process is ending: clients are told as far as a moment allows. Nothing is waited for that could hang.</summary>
    public void NotifyClients(TimeSpan time)
    {
        foreach (HttpConnection connection in _connections.BeginStopping())
        {
            connection.RequestClose(1001);
        }

        _connections.WaitUntilEmpty(time);
    }

    /// <summary>Counts a WebSocket, or says why there is no place for it.</summary>
    public ConnectionTable.Admission Admit(HttpConnection connection, string address) => _connections.TryAdd(connection, address);

    /// <summary>The WebSocket has ended, or was never one.</summary>
    public void Forget(HttpConnection connection) => _connections.Remove(connection);

    /// <summary>The WebSockets there are now: a copy, so that no lock is held around native calls.</summary>
    public HttpConnection[] SnapshotConnections() => _connections.Snapshot();

    /// <summary>A message of the library's own, where CivetWeb's go.</summary>
    public void Log(string message) => WriteMessage(null, message);

    /// <summary>A request was refused before anybody saw it.</summary>
    public abstract void ReportRefusal(HttpConnection connection, int status, string reason);

    /// <inheritdoc/>
    public void ReportException(Exception exception, string callback)
    {
        using CallbackScope scope = CallbackScope.Enter();
        try
        {
            OnUnhandledException(exception, callback);
        }
        catch (Exception)
        {
            // There is nobody left to tell, and the caller is native code.
        }
    }

    /// <inheritdoc/>
    public abstract INativeConnection CreateConnection(int httpsPort);

    /// <inheritdoc/>
    public void OnInitConnection(INativeConnection connection, nint native)
    {
        var own = (HttpConnection)connection;
        if (Settings.ReadsProxyProtocol)
        {
            own.ReadProxyHeader(native);
        }

        OnInitConnection(own);
    }

    /// <inheritdoc/>
    public int OnLogMessage(INativeConnection? connection, string peer, string message)
    {
        if (IsFailedHandshake(message))
        {
            if (!_failedHandshakes.TryPass(out int suppressed))
            {
                return 1; // not into CivetWeb's file either
            }

            message = suppressed == 0
                ? $"{message} ({SocketAddresses.ToDisplay(peer)})"
                : $"{message} ({SocketAddresses.ToDisplay(peer)}; {suppressed} more TLS handshakes have failed since the last message)";
        }

        return WriteMessage((HttpConnection?)connection, message);
    }

    /// <inheritdoc/>
    public virtual void OnInitContext()
    {
    }

    /// <inheritdoc/>
    public virtual void OnExitContext()
    {
    }

    /// <inheritdoc/>
    public virtual void OnInitThread(int kind)
    {
    }

    /// <inheritdoc/>
    public virtual void OnExitThread(int kind)
    {
    }

    /// <inheritdoc/>
    public virtual int OnInitSsl(nint sslContext) => 0;

    /// <inheritdoc/>
    public virtual int OnLogAccess(INativeConnection? connection, string message) => 0;

    /// <summary>A connection has been accepted.</summary>
    protected virtual void OnInitConnection(HttpConnection connection)
    {
    }

    /// <summary>Not 0: the message has been written.</summary>
    protected abstract int OnMessage(HttpConnection? connection, string message);

    /// <summary>Tells the application of an exception that nothing can be done about any more.</summary>
    protected abstract void OnUnhandledException(Exception exception, string callback);

    private int WriteMessage(HttpConnection? connection, string message)
    {
        _startupLog.Add(message);
        return OnMessage(connection, message);
    }

    private void CloseWebSockets(TimeSpan drainTime, CancellationToken cancellationToken)
    {
        // No new WebSocket; every open one is told (1001) by its own thread, so that a slow client delays nobody.
        foreach (HttpConnection connection in _connections.BeginStopping())
        {
            Attempt(connection, static c => c.RequestClose(1001));
        }

        if (!_connections.WaitUntilEmpty(drainTime, cancellationToken))
        {
            foreach (HttpConnection connection in _connections.BeginCutting())
            {
                Attempt(connection, static c => c.Abort());
            }
        }
    }

    private void End()
    {
        try
        {
            ServerStart.Stop(_server!, Settings);
            if (_failedHandshakes.TakeSuppressed() is > 0 and int suppressed)
            {
                Log($"{suppressed} more TLS handshakes have failed since the last message.");
            }
        }
        finally
        {
            ProcessExitHandler.Remove(this);
            Volatile.Write(ref _state, (int)State.Stopped);
            _stopEnded.Set();
        }
    }

    /// <summary>What fails for one connection must not keep the others from being stopped.</summary>
    private void Attempt(HttpConnection connection, Action<HttpConnection> action)
    {
        try
        {
            action(connection);
        }
        catch (Exception e)
        {
            ReportException(e, "stop");
        }
    }

    /// <summary>What CivetWeb's sslize says: every scanner can make it do so.</summary>
    private static bool IsFailedHandshake(string message) =>
        message.StartsWith("sslize error", StringComparison.Ordinal) || message.StartsWith("SSL syscall error", StringComparison.Ordinal);
}
