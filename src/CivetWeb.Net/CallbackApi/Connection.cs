using System;
using System.Text;
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
public sealed class Connection
{
    internal Connection(CallbackConnection inner) => Inner = inner;

    /// <summary>The server the connection belongs to.</summary>
    public Context Context => Inner.Context;

    /// <summary>An object of the application's own; <see cref="RequestInfo.ConnectionData"/> shows it. Not synchronised.</summary>
    public object? Data { get; set; }

    /// <summary>Whether the connection is, or was, a WebSocket.</summary>
    public bool IsWebSocket => Inner.IsWebSocket;

    /// <summary>Whether frames can be sent to the WebSocket now. It may close at any moment after.</summary>
    public bool IsOpen => Inner.IsOpen;

    /// <summary>
    /// The close code the client has sent (RFC 6455, section 7.4): 1005 for a Close without code, null when none came (yet).
    /// </summary>
    public int? RemoteCloseCode => NullIfZero(Inner.End.remote_code);

    /// <summary>The reason the client has sent with its close code; empty when none came.</summary>
    public string RemoteCloseReason
    {
        get
        {
            cwn_session_info end = Inner.End;
            return Encoding.UTF8.GetString(((ReadOnlySpan<byte>)end.reason)[..(int)end.reason_size]);
        }
    }

    /// <summary>The close code sent to the client, 1005 for a Close without code, null when none was sent (yet).</summary>
    public int? LocalCloseCode => NullIfZero(Inner.End.local_code);

    internal CallbackConnection Inner { get; }

    private static int? NullIfZero(int code) => code == 0 ? null : code;
}
