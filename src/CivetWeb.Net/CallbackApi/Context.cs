using System;
using System.Collections.Generic;
using System.Threading;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.CallbackApi;

/// <summary>
/// A running server (<c>struct mg_context</c>). Started by <see cref="Http.StartServer(RequestCallback, string)"/> and its
/// overloads, stopped by <see cref="Http.StopServer(Context)"/> or by disposing of it; until then it stays alive even
/// when nothing refers to it.
/// </summary>
/// <remarks>
/// All members may be used from any thread.
///
/// States, and who moves them: starting, running (<see cref="Start"/>), or never started because that has failed; stopping, stopped
/// (the first call of <see cref="Stop(TimeSpan, Action{ConnectionTable}?, CancellationToken)"/>, however it ends). A stop that comes while it is starting,
/// from somebody whom a callback has told of the context, waits for the start.
/// </remarks>
public sealed class Context : IDisposable
{
    private static readonly TimeSpan DefaultDrainTime = TimeSpan.FromSeconds(5);

    private readonly WebSocketRouteTable _routes = new();
    private readonly ConnectionTable _connections;
    private readonly ManualResetEventSlim _started = new(); // or has failed to
    private readonly ManualResetEventSlim _stopped = new();
    private readonly StartLog _startLog = new();
    private readonly LogThrottle _failedHandshakes = new(TimeProvider.System);
    private NativeServer? _server;
    private int _stopping;

    private Context(Callbacks callbacks, ServerSettings settings, object? userData)
    {
        Callbacks = callbacks;
        Settings = settings;
        UserData = userData;
        _connections = new ConnectionTable(settings.MaxConnections, settings.MaxConnectionsPerAddress);
    }

    /// <summary>The object given when the server was started.</summary>
    public object? UserData { get; }

    /// <summary>The TCP ports the server listens on, in the order of <c>listening_ports</c>; Unix domain sockets are not among them.</summary>
    public IReadOnlyList<ServerPort> Ports => _server?.Ports ?? [];

    /// <summary>The first port of <see cref="Ports"/>; 0 without any.</summary>
    public int Port => Ports is [var first, ..] ? first.Port : 0;

    /// <summary>Whether the server is running: started, and nobody has begun to stop it.</summary>
    public bool IsRunning => _server is not null && Volatile.Read(ref _stopping) == 0;

    /// <summary>How many WebSockets are open, those included whose connect callback is still running.</summary>
    public int WebSocketCount => _connections.Count;

    internal Callbacks Callbacks { get; }

    internal ServerSettings Settings { get; }

    internal bool DecodesUrls => Settings.DecodesUrls;

    /// <summary>Of every WebSocket. Who is told of threads may keep something for each: then its connections stay on theirs.</summary>
    internal cwn_session_options SessionOptions
    {
        get
        {
            cwn_session_options options = Settings.Session;
            if (Callbacks.InitThread is not null || Callbacks.ExitThread is not null)
            {
                options.keep_thread = 1;
            }

            return options;
        }
    }

    internal bool IsStopping => _connections.IsStopping;

    /// <summary>Whether clients wait for a thread; not to be asked while the server ends.</summary>
    internal bool HasWaitingClients => Volatile.Read(ref _server)?.HasWaitingClients ?? false;

    internal bool IsCutting => _connections.IsCutting;

    /// <summary>Stops the server, as <see cref="Http.StopServer(Context)"/> does.</summary>
    /// <exception cref="InvalidOperationException">Called from inside a callback, for whose end it would have to wait.</exception>
    public void Dispose() => Stop(DefaultDrainTime);

    internal static Context Start(Callbacks callbacks, ServerSettings settings, object? userData)
    {
        NativeLibraryLoader.EnsureLoaded();
        if (settings.UsesTls)
        {
            NativeLibraryLoader.EnsureTls();
        }

        var context = new Context(callbacks.Clone(), settings, userData);
        try
        {
            NativeServer server = NativeServer.Start(context, context.Callbacks, settings, context._startLog.ToString);
            context._startLog.End();
            Volatile.Write(ref context._server, server);
            ProcessEnd.Add(context);
        }
        finally
        {
            context._started.Set();
        }

        return context;
    }

    internal void Stop() => Stop(DefaultDrainTime);

    /// <param name="drainTime">How long to wait for the answers of open WebSockets.</param>
    /// <param name="beforeEnd">Called when the rest has been cut and no call from native code has been waited for yet.</param>
    /// <param name="hurry">Ends the waiting.</param>
    internal void Stop(TimeSpan drainTime, Action<ConnectionTable>? beforeEnd = null, CancellationToken hurry = default)
    {
        if (CallbackScope.IsActive)
        {
            throw new InvalidOperationException(
                "A server cannot be stopped from inside a callback: stopping waits for the callbacks to return. Stop it from another thread, for example with Task.Run.");
        }

        _started.Wait(CancellationToken.None);
        NativeServer? server = Volatile.Read(ref _server);
        if (server is null)
        {
            return;
        }

        if (Interlocked.Exchange(ref _stopping, 1) != 0)
        {
            _stopped.Wait(CancellationToken.None);
            return;
        }

        // Whatever fails on the way, the rest of the way is gone: who waits for the end must see it.
        try
        {
            // No new WebSocket; every open one is told (1001) by its own thread, so that a slow client delays nobody.
            foreach (Connection connection in _connections.BeginStopping())
            {
                Attempt(connection, static c => c.RequestClose(1001));
            }

            if (!_connections.WaitUntilEmpty(drainTime, hurry))
            {
                foreach (Connection connection in _connections.BeginCutting())
                {
                    Attempt(connection, static c => c.Abort());
                }
            }

            beforeEnd?.Invoke(_connections);
        }
        finally
        {
            try
            {
                server.Stop();
                if (_failedHandshakes.TakeSuppressed() is > 0 and int suppressed)
                {
                    Log($"{suppressed} more TLS handshakes have failed since the last message.");
                }
            }
            finally
            {
                ProcessEnd.Remove(this);
                _stopped.Set();
            }
        }
    }

    /// <summary>The process is ending: clients are told as far as a moment allows. Nothing is waited for that could hang.</summary>
    internal void SayGoodbye(TimeSpan time)
    {
        foreach (Connection connection in _connections.BeginStopping())
        {
            connection.RequestClose(1001);
        }

        _connections.WaitUntilEmpty(time);
    }

    internal void SetRoute(
        string uri,
        string[] subprotocols,
        WebSocketConnectCallback? connect,
        WebSocketReadyCallback? ready,
        WebSocketDataCallback? data,
        WebSocketCloseCallback? close,
        object? userData)
    {
        var pattern = new UriPattern(uri);
        if (connect is null && ready is null && data is null && close is null)
        {
            _routes.Remove(uri);
            foreach (Connection connection in _connections.Snapshot())
            {
                if (connection.Route?.Pattern.Text == uri)
                {
                    connection.RequestClose(1001);
                }
            }

            return;
        }

        ObjectDisposedException.ThrowIf(_stopped.IsSet, this);
        _routes.Set(new WebSocketRoute
        {
            Pattern = pattern,
            Connect = connect,
            Ready = ready,
            Data = data,
            Close = close,
            UserData = userData,
            Subprotocols = subprotocols,
        });
    }

    /// <summary>To how many it was sent. The snapshot keeps the table's lock away from native calls.</summary>
    internal int Broadcast(string? uri, int opcode, ReadOnlySpan<byte> data)
    {
        int count = 0;
        foreach (Connection connection in _connections.Snapshot())
        {
            if ((uri is null || connection.Route?.Pattern.Text == uri) && connection.PostFrame(opcode, data) >= 0)
            {
                count++;
            }
        }

        return count;
    }

    internal WebSocketRoute? FindRoute(string path) => _routes.Find(path);

    internal ConnectionTable.Admission Admit(Connection connection, string address) => _connections.TryAdd(connection, address);

    internal void Forget(Connection connection) => _connections.Remove(connection);

    /// <summary>Calls application code where an exception is only reported.</summary>
    internal void Run<T>(string name, T argument, Action<Context, T> callback)
    {
        using CallbackScope scope = CallbackScope.Enter();
        try
        {
            callback(this, argument);
        }
        catch (Exception e)
        {
            ReportException(e, name);
        }
    }

    internal void HandleInitContext() =>
        Run(nameof(Callbacks.InitContext), 0, static (context, _) => context.Callbacks.InitContext?.Invoke(context));

    internal void HandleExitContext() =>
        Run(nameof(Callbacks.ExitContext), 0, static (context, _) => context.Callbacks.ExitContext?.Invoke(context));

    internal void HandleInitThread(int kind) =>
        Run(nameof(Callbacks.InitThread), kind, static (context, k) => context.Callbacks.InitThread?.Invoke(context, k));

    internal void HandleExitThread(int kind) =>
        Run(nameof(Callbacks.ExitThread), kind, static (context, k) => context.Callbacks.ExitThread?.Invoke(context, k));

    internal void HandleInitConnection(Connection connection) =>
        Run(nameof(Callbacks.InitConnection), connection, static (context, c) => context.Callbacks.InitConnection?.Invoke(c));

    internal int HandleInitSsl(nint sslContext)
    {
        int result = -1;
        Run(nameof(Callbacks.InitSsl), sslContext, (context, s) => result = context.Callbacks.InitSsl?.Invoke(s, context.UserData) ?? 0);
        return result;
    }

    /// <param name="connection">The connection it is about, when it has come as far as to be one.</param>
    /// <param name="peer">The address of the client it is about; empty for none.</param>
    /// <param name="message">CivetWeb's text.</param>
    internal int HandleLogMessage(Connection? connection, string peer, string message)
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

        return HandleLogMessage(connection, message);
    }

    private int HandleLogMessage(Connection? connection, string message)
    {
        _startLog.Add(message);
        int result = 0;
        if (Callbacks.LogMessage is { } callback)
        {
            Run(nameof(Callbacks.LogMessage), connection, (_, c) => result = callback(c, message));
        }

        return result;
    }

    internal int HandleLogAccess(Connection? connection, string message)
    {
        int result = 0;
        if (Callbacks.LogAccess is { } callback)
        {
            Run(nameof(Callbacks.LogAccess), connection, (_, c) => result = callback(c, message));
        }

        return result;
    }

    /// <summary>What CivetWeb's sslize says: every scanner can make it do so.</summary>
    private static bool IsFailedHandshake(string message) =>
        message.StartsWith("sslize error", StringComparison.Ordinal) || message.StartsWith("SSL syscall error", StringComparison.Ordinal);

    /// <summary>What fails for one connection is not to keep the others from being stopped.</summary>
    private void Attempt(Connection connection, Action<Connection> action)
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

    /// <summary>A message of the library's own, where CivetWeb's go.</summary>
    internal void Log(string message) => HandleLogMessage(null, message);

    /// <summary>A request was refused before anybody saw it.</summary>
    internal void ReportRefusal(RequestInfo request, int status, string reason)
    {
        if (Callbacks.RequestRefused is { } callback)
        {
            using CallbackScope scope = CallbackScope.Enter();
            callback(request, status, reason);
        }
        else
        {
            Log($"Refused {new ServerLogText(request.Method)} {new ServerLogText(request.LocalUri)} from {new ServerLogText(SocketAddresses.ToDisplay(request.RemoteAddress))}, host {new ServerLogText(request.GetHeader("Host"))}, with {status}: {reason}");
        }
    }

    internal void ReportException(Exception exception, string callback)
    {
        using CallbackScope scope = CallbackScope.Enter();
        try
        {
            if (Callbacks.UnhandledException is { } handler)
            {
                handler(exception, callback);
            }
            else
            {
                Console.Error.WriteLine($"CivetWeb.Net: unhandled exception in the {callback} callback: {exception}");
            }
        }
        catch (Exception)
        {
            // There is nobody left to tell, and the caller is native code.
        }
    }
}
