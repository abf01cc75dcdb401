using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace CivetWeb.Net.Interop;

/// <summary>
/// The functions CivetWeb calls, of exactly its callback types. Each recovers its object from a GCHandle (<see cref="CallbackHandle"/>), calls one
/// method of the layer above, and lets no exception out: one that reached C would end the process.
///
/// The server's user_data is a handle to the <see cref="INativeServer"/>, a connection's data a handle to its
/// <see cref="INativeConnection"/>; both live until CivetWeb can no longer call.
/// </summary>
internal static unsafe class Trampolines
{
    /// <summary>
    /// The connection whose connection_close has just run on this thread: connection_closed follows at once and gets
    /// no data any more.
    /// </summary>
    [ThreadStatic]
    private static INativeConnection? t_closing;

    public static mg_callbacks Create(NativeCallbacks callbacks)
    {
        var native = new mg_callbacks
        {
            begin_request = &BeginRequest,
            log_message = &LogMessage,
            http_error = &HttpError,
            init_context = &InitContext,
            exit_context = &ExitContext,
            init_connection = &InitConnection,
            connection_close = &ConnectionClose,
        };

        // CivetWeb tells "not set" from "set" for these: it then does less.
        if (callbacks.HasFlag(NativeCallbacks.EndRequest))
        {
            native.end_request = &EndRequest;
        }

        if (callbacks.HasFlag(NativeCallbacks.LogAccess))
        {
            native.log_access = &LogAccess;
        }

        if (callbacks.HasFlag(NativeCallbacks.InitThread))
        {
            native.init_thread = &InitThread;
        }

        if (callbacks.HasFlag(NativeCallbacks.ExitThread))
        {
            native.exit_thread = &ExitThread;
        }

        if (callbacks.HasFlag(NativeCallbacks.ConnectionClosed))
        {
            native.connection_closed = &ConnectionClosed;
        }

        if (callbacks.HasFlag(NativeCallbacks.InitSsl))
        {
            native.init_ssl = &InitSsl;
        }

        return native;
    }

    public static void RegisterWebSockets(mg_context* context, nint server)
    {
        // One handler for every path: routing is ours, exact and case-sensitive, which CivetWeb's is not.
        fixed (byte* everything = "**\0"u8)
        {
            NativeMethods.mg_set_websocket_handler(
                context, everything, &WebSocketConnect, &WebSocketReady, &WebSocketData, &WebSocketClose, (void*)server);
        }
    }

    /// <summary>The data handler of a session; user_data is the connection's handle.</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    internal static int WebSocketData(mg_connection* connection, int bits, byte* data, nuint size, void* userData)
    {
        INativeConnection? target = null;
        try
        {
            target = Target<INativeConnection>(userData);
            return target is null ? 0 : target.OnWebSocketData(bits, new ReadOnlySpan<byte>(data, checked((int)size)));
        }
        catch (Exception e)
        {
            target?.FailWebSocket(e, "data");
            return 0;
        }
    }

    /// <summary>The turn handler of a session; user_data is the handle of an <see cref="ISessionTurns"/>.</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    internal static int SessionTurn(void* userData)
    {
        try
        {
            return (int)(Target<ISessionTurns>(userData)?.RunTurn() ?? Interop.SessionTurn.Own);
        }
        catch (Exception)
        {
            // What the handler throws stays in its task, and posted work is reported: the own thread sees to the rest.
            return (int)Interop.SessionTurn.Own;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int WebSocketConnect(mg_connection* connection, void* server)
    {
        try
        {
            int refused = ConnectionOf(connection)?.OnWebSocketConnect((nint)connection) ?? 1;
            if (refused == 0)
            {
                CwnMethods.cwn_gather_handshake(connection);
            }

            return refused;
        }
        catch (Exception e)
        {
            Report(server, e, "connect");
            return 1;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void WebSocketReady(mg_connection* connection, void* server)
    {
        try
        {
            ConnectionOf(connection)?.OnWebSocketReady((nint)connection, (nint)NativeMethods.mg_get_user_connection_data(connection));
        }
        catch (Exception e)
        {
            Report(server, e, "ready");
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void WebSocketClose(mg_connection* connection, void* server)
    {
        try
        {
            ConnectionOf(connection)?.OnWebSocketClose();
        }
        catch (Exception e)
        {
            Report(server, e, "close");
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int BeginRequest(mg_connection* connection)
    {
        try
        {
            INativeConnection? target = ConnectionOf(connection);
            if (target is null)
            {
                return NativeRequest.Refuse((nint)connection, 503, null, "The server is out of memory.\n");
            }

            int refused = CwnMethods.cwn_prepare_request(connection, target.DecodesUrls ? 1 : 0);
            if (refused != 0)
            {
                return refused;
            }

            int status = target.OnBeginRequest((nint)connection);
            if (status != 0)
            {
                return status;
            }

            int upgrade = CwnMethods.cwn_check_upgrade(connection);
            return upgrade >= 400 ? upgrade : CwnMethods.cwn_prepare_file(connection);
        }
        catch (Exception e)
        {
            ReportFrom(connection, e, nameof(BeginRequest));
            return 500;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void EndRequest(mg_connection* connection, int status)
    {
        try
        {
            ConnectionOf(connection)?.OnEndRequest((nint)connection, status);
        }
        catch (Exception e)
        {
            ReportFrom(connection, e, nameof(EndRequest));
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int LogMessage(mg_connection* connection, byte* message)
    {
        try
        {
            // Not every connection here is one: CivetWeb makes up a blank one to log without.
            INativeConnection? target = NativeMethods.mg_get_request_info(connection) != null ? ConnectionOf(connection) : null;
            return ServerOf(connection)?.OnLogMessage(target, NativeRequest.PeerAddress((nint)connection), NativeText.FromPointer(message) ?? "") ?? 0;
        }
        catch (Exception e)
        {
            ReportFrom(connection, e, nameof(LogMessage));
            return 0;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int LogAccess(mg_connection* connection, byte* message)
    {
        try
        {
            return ServerOf(connection)?.OnLogAccess(ConnectionOf(connection), NativeText.FromPointer(message) ?? "") ?? 0;
        }
        catch (Exception e)
        {
            ReportFrom(connection, e, nameof(LogAccess));
            return 0;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int HttpError(mg_connection* connection, int status, byte* message)
    {
        try
        {
            INativeConnection? target = ConnectionOf(connection);
            if (CwnMethods.cwn_forget_unsent(connection) != 0)
            {
                // The message is about what the client has not sent, and may quote it.
                const string Text = "Empty lines precede the request.\n";
                if (target is null || !target.OnHttpError((nint)connection, 400, Text))
                {
                    NativeRequest.Refuse((nint)connection, 400, null, Text);
                }

                return 0;
            }

            if (target is not null && target.OnHttpError((nint)connection, status, NativeText.FromPointer(message) ?? ""))
            {
                return 0;
            }

            return CwnMethods.cwn_http_error(connection, status, message);
        }
        catch (Exception e)
        {
            ReportFrom(connection, e, nameof(HttpError));
            return 1;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void InitContext(mg_context* context)
    {
        void* server = NativeMethods.mg_get_user_data(context);
        try
        {
            // No worker exists yet: no client can find the handler missing.
            RegisterWebSockets(context, (nint)server);
            Target<INativeServer>(server)?.OnInitContext();
        }
        catch (Exception e)
        {
            Report(server, e, nameof(InitContext));
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void ExitContext(mg_context* context)
    {
        void* server = NativeMethods.mg_get_user_data(context);
        try
        {
            CwnMethods.cwn_context_drain(context);
            Target<INativeServer>(server)?.OnExitContext();
        }
        catch (Exception e)
        {
            Report(server, e, nameof(ExitContext));
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void* InitThread(mg_context* context, int kind)
    {
        void* server = NativeMethods.mg_get_user_data(context);
        try
        {
            Target<INativeServer>(server)?.OnInitThread(kind);
        }
        catch (Exception e)
        {
            Report(server, e, nameof(InitThread));
        }

        return null;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void ExitThread(mg_context* context, int kind, void* value)
    {
        void* server = NativeMethods.mg_get_user_data(context);
        try
        {
            Target<INativeServer>(server)?.OnExitThread(kind);
        }
        catch (Exception e)
        {
            Report(server, e, nameof(ExitThread));
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int InitConnection(mg_connection* connection, void** data)
    {
        try
        {
            int httpsPort = CwnMethods.cwn_begin_connection(connection);
            if (ServerOf(connection) is { } server)
            {
                INativeConnection target = server.CreateConnection(httpsPort);
                *data = (void*)CallbackHandle.Create(target);
                server.OnInitConnection(target, (nint)connection);
            }
        }
        catch (Exception e)
        {
            ReportFrom(connection, e, nameof(InitConnection));
        }

        return 0;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void ConnectionClose(mg_connection* connection)
    {
        // Null after a failed TLS handshake: such a connection was never initialised.
        void* data = NativeMethods.mg_get_user_connection_data(connection);
        if (data == null)
        {
            return;
        }

        try
        {
            INativeConnection? target = Target<INativeConnection>(data);
            t_closing = target;
            target?.OnConnectionClose((nint)connection);
        }
        catch (Exception e)
        {
            ReportFrom(connection, e, nameof(ConnectionClose));
        }
        finally
        {
            // Not before: what is answered or logged here asks for the data once more. CivetWeb forgets it right after.
            CallbackHandle.Free((nint)data);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void ConnectionClosed(mg_connection* connection)
    {
        try
        {
            INativeConnection? target = t_closing;
            t_closing = null;
            target?.OnConnectionClosed();
        }
        catch (Exception e)
        {
            ReportFrom(connection, e, nameof(ConnectionClosed));
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int InitSsl(void* sslContext, void* server)
    {
        try
        {
            return Target<INativeServer>(server)?.OnInitSsl((nint)sslContext) ?? 0;
        }
        catch (Exception e)
        {
            Report(server, e, nameof(InitSsl));
            return -1;
        }
    }

    private static T? Target<T>(void* handle)
        where T : class =>
        CallbackHandle.Target<T>((nint)handle);

    private static INativeConnection? ConnectionOf(mg_connection* connection) =>
        Target<INativeConnection>(NativeMethods.mg_get_user_connection_data(connection));

    private static INativeServer? ServerOf(mg_connection* connection)
    {
        mg_context* context = NativeMethods.mg_get_context(connection);
        return context == null ? null : Target<INativeServer>(NativeMethods.mg_get_user_data(context));
    }

    private static void ReportFrom(mg_connection* connection, Exception exception, string callback)
    {
        mg_context* context = NativeMethods.mg_get_context(connection);
        Report(context == null ? null : NativeMethods.mg_get_user_data(context), exception, callback);
    }

    private static void Report(void* server, Exception exception, string callback) =>
        Target<INativeServer>(server)?.ReportException(exception, callback);
}
