using System;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.CallbackApi;

/// <summary>The server behind a <see cref="CallbackApi.Context"/>: its callbacks and its WebSocket handlers.</summary>
internal sealed class CallbackHost : HttpHost
{
    private readonly RouteTable<UriPattern, WebSocketRoute> _routes = new();

    public CallbackHost(Callbacks callbacks, ServerSettings settings, object? userData)
        : base(settings)
    {
        Callbacks = callbacks;
        UserData = userData;
        Context = new Context(this);
    }

    /// <summary>What the application has of it.</summary>
    public Context Context { get; }

    public Callbacks Callbacks { get; }

    public object? UserData { get; }

    /// <summary>Whoever is told of threads may keep something for each: then its connections stay on theirs.</summary>
    public override cwn_session_options SessionOptions
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

    /// <inheritdoc/>
    public override string? UnroutedMethods => null;

    /// <inheritdoc/>
    protected override NativeCallbacks WantedCallbacks =>
        (Callbacks.EndRequest is null ? 0 : NativeCallbacks.EndRequest)
        | (Callbacks.LogAccess is null ? 0 : NativeCallbacks.LogAccess)
        | (Callbacks.InitThread is null ? 0 : NativeCallbacks.InitThread)
        | (Callbacks.ExitThread is null ? 0 : NativeCallbacks.ExitThread)
        | (Callbacks.ConnectionClosed is null ? 0 : NativeCallbacks.ConnectionClosed)
        | (Callbacks.InitSsl is null ? 0 : NativeCallbacks.InitSsl);

    /// <summary>Sets, replaces or, without any callback, removes a handler.</summary>
    public void SetRoute(WebSocketRoute route)
    {
        string uri = route.Pattern.Text;
        if (route is { Connect: null, Ready: null, Data: null, Close: null })
        {
            _routes.Remove(uri);
            foreach (HttpConnection connection in SnapshotConnections())
            {
                if (HasRoute(connection, uri))
                {
                    connection.RequestClose(1001);
                }
            }

            return;
        }

        ObjectDisposedException.ThrowIf(IsStopped, Context);
        _routes.Set(route.Pattern, _ => route);
    }

    public WebSocketRoute? FindRoute(string path) => _routes.Find(path, out _);

    /// <summary>Posts a message to all WebSockets of a handler, or to all; the result says to how many.</summary>
    public int Broadcast(string? uri, int opcode, ReadOnlySpan<byte> data)
    {
        int count = 0;
        foreach (HttpConnection connection in SnapshotConnections())
        {
            if ((uri is null || HasRoute(connection, uri)) && ((CallbackConnection)connection).PostFrame(opcode, data) >= 0)
            {
                count++;
            }
        }

        return count;
    }

    /// <summary>Calls application code where an exception is only reported.</summary>
    public void Run<T>(string name, T argument, Action<CallbackHost, T> callback)
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

    /// <inheritdoc/>
    public override void ReportRefusal(HttpConnection connection, int status, string reason)
    {
        RequestInfo request = ((CallbackConnection)connection).Info;
        if (Callbacks.RequestRefused is { } callback)
        {
            callback(request, status, reason);
        }
        else
        {
            Log($"Refused {new ServerLogText(request.Method)} {new ServerLogText(request.LocalUri)} from {new ServerLogText(SocketAddresses.ToDisplay(request.RemoteAddress))}, host {new ServerLogText(request.GetHeader("Host"))}, with {status}: {reason}");
        }
    }

    /// <inheritdoc/>
    public override INativeConnection CreateConnection(int httpsPort) => new CallbackConnection(this, httpsPort);

    /// <inheritdoc/>
    public override void OnInitContext() =>
        Run(nameof(Callbacks.InitContext), 0, static (host, _) => host.Callbacks.InitContext?.Invoke(host.Context));

    /// <inheritdoc/>
    public override void OnExitContext() =>
        Run(nameof(Callbacks.ExitContext), 0, static (host, _) => host.Callbacks.ExitContext?.Invoke(host.Context));

    /// <inheritdoc/>
    public override void OnInitThread(int kind) =>
        Run(nameof(Callbacks.InitThread), kind, static (host, k) => host.Callbacks.InitThread?.Invoke(host.Context, k));

    /// <inheritdoc/>
    public override void OnExitThread(int kind) =>
        Run(nameof(Callbacks.ExitThread), kind, static (host, k) => host.Callbacks.ExitThread?.Invoke(host.Context, k));

    /// <inheritdoc/>
    public override int OnInitSsl(nint sslContext)
    {
        int result = -1;
        Run(nameof(Callbacks.InitSsl), sslContext, (host, s) => result = host.Callbacks.InitSsl?.Invoke(s, host.UserData) ?? 0);
        return result;
    }

    /// <inheritdoc/>
    public override int OnLogAccess(INativeConnection? connection, string message)
    {
        int result = 0;
        if (Callbacks.LogAccess is { } callback)
        {
            Run(nameof(Callbacks.LogAccess), connection, (_, c) => result = callback(((CallbackConnection?)c)?.Connection, message));
        }

        return result;
    }

    /// <inheritdoc/>
    protected override void OnInitConnection(HttpConnection connection) =>
        Run(nameof(Callbacks.InitConnection), connection, static (host, c) => host.Callbacks.InitConnection?.Invoke(((CallbackConnection)c).Connection));

    /// <inheritdoc/>
    protected override int OnMessage(HttpConnection? connection, string message)
    {
        int result = 0;
        if (Callbacks.LogMessage is { } callback)
        {
            Run(nameof(Callbacks.LogMessage), connection, (_, c) => result = callback(((CallbackConnection?)c)?.Connection, message));
        }

        return result;
    }

    /// <inheritdoc/>
    protected override void OnUnhandledException(Exception exception, string callback)
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

    private static bool HasRoute(HttpConnection connection, string uri) => ((CallbackConnection)connection).Route?.Pattern.Text == uri;
}
