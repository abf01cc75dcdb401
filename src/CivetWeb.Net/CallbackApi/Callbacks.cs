using System;

namespace CivetWeb.Net.CallbackApi;

/// <summary>
/// What CivetWeb calls during the life of a server and its connections (<c>struct mg_callbacks</c>). Leave null what is
/// not needed. The set is read once, when the server starts.
/// </summary>
/// <remarks>
/// Callbacks run on the threads of the server, several at once for different connections, and may block;
/// <see cref="InitContext"/> and <see cref="InitSsl"/> run on the thread that starts the server, <see cref="ExitContext"/> on
/// the one that stops it. An exception that leaves one is reported to <see cref="UnhandledException"/> and never ends the
/// process.
/// </remarks>
public sealed class Callbacks
{
    /// <summary>A request has arrived (<c>begin_request</c>). Returns 0 for "not handled", or 1 to 999.</summary>
    public RequestCallback? BeginRequest { get; set; }

    /// <summary>A request is done (<c>end_request</c>), with its status; -1 for a WebSocket, at its end.</summary>
    public Action<Connection, int>? EndRequest { get; set; }

    /// <summary>
    /// CivetWeb has something to log (<c>log_message</c>); the connection is null when it concerns none. Non-zero: do not
    /// write it to <c>error_log_file</c>.
    /// </summary>
    public Func<Connection?, string, int>? LogMessage { get; set; }

    /// <summary>
    /// A line for the access log (<c>log_access</c>). It contains text the client chose. Non-zero: do not write it to
    /// <c>access_log_file</c>.
    /// </summary>
    public Func<Connection?, string, int>? LogAccess { get; set; }

    /// <summary>
    /// CivetWeb is about to send an error page (<c>http_error</c>): status and message. 0: the callback has written the
    /// complete response itself; anything else: send the usual page.
    /// </summary>
    public Func<Connection, int, string, int>? HttpError { get; set; }

    /// <summary>The server is being started; no client can connect yet (<c>init_context</c>). The place to set handlers.</summary>
    public Action<Context>? InitContext { get; set; }

    /// <summary>The server has stopped; no callback follows (<c>exit_context</c>).</summary>
    public Action<Context>? ExitContext { get; set; }

    /// <summary>
    /// A thread of the server begins (<c>init_thread</c>): 0 the accepting one, 1 a worker. With this callback or <see cref="ExitThread"/>
    /// every callback of a connection is called on its worker, as with option <c>websocket_keep_thread</c>.
    /// </summary>
    public Action<Context, int>? InitThread { get; set; }

    /// <summary>A thread of the server ends (<c>exit_thread</c>).</summary>
    public Action<Context, int>? ExitThread { get; set; }

    /// <summary>A connection was accepted (<c>init_connection</c>); no request has been read yet.</summary>
    public Action<Connection>? InitConnection { get; set; }

    /// <summary>A connection is about to be closed (<c>connection_close</c>). Runs under CivetWeb's connection lock: be brief.</summary>
    public Action<Connection>? ConnectionClose { get; set; }

    /// <summary>A connection has been closed (<c>connection_closed</c>). Runs under CivetWeb's connection lock: be brief.</summary>
    public Action<Connection>? ConnectionClosed { get; set; }

    /// <summary>
    /// TLS is being set up (<c>init_ssl</c>), with OpenSSL's <c>SSL_CTX*</c> and the user data. 0: go on with the
    /// certificate options; 1: all has been set up here; -1: fail.
    /// </summary>
    public Func<nint, object?, int>? InitSsl { get; set; }

    /// <summary>
    /// An exception left a callback, whose name is given. When null, it is written to the standard error stream. A
    /// request is then answered with 500, a WebSocket rejected with 500 or closed with 1011.
    /// </summary>
    public Action<Exception, string>? UnhandledException { get; set; }

    /// <summary>A request was refused before any callback: with that status, for that reason. Null: it goes to <see cref="LogMessage"/>.</summary>
    internal Action<RequestInfo, int, string>? RequestRefused { get; set; }

    internal Callbacks Clone() => (Callbacks)MemberwiseClone();
}
