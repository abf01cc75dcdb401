using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.Unicode;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.CallbackApi;

/// <summary>
/// The callback API: servers, WebSocket handlers and what can be done with a connection, over CivetWeb.
/// </summary>
/// <remarks>
/// All members may be called from any thread, inside and outside callbacks, unless they say otherwise. Writes tell by
/// their return value: the number of bytes written, or -1 when the connection is closed, closing or has failed. Misuse
/// (a null, an unknown opcode, invalid UTF-8 as text) is an exception.
/// </remarks>
public static class Http
{
    private const int MaxControlPayload = 125;
    private const string OverloadsDifferByCallback = "The type of the first argument tells these from the overloads without optional parameters.";

    /// <summary>Starts a server (<c>mg_start2</c>).</summary>
    /// <param name="callback">Handles requests.</param>
    /// <param name="port">
    /// What to listen on, CivetWeb's <c>listening_ports</c>: <c>8080</c> (all IPv4 addresses), <c>127.0.0.1:8080</c>,
    /// <c>[::1]:8080</c>, <c>+8080</c> (IPv4 and IPv6), several with commas; port 0 lets the system choose
    /// (<see cref="Context.Port"/> tells).
    /// </param>
    /// <returns>The running server.</returns>
    /// <exception cref="ArgumentException">The port is not valid.</exception>
    /// <exception cref="System.Net.Sockets.SocketException">The port is in use or may not be used.</exception>
    /// <exception cref="CivetWebException">The native library is missing or CivetWeb could not start.</exception>
    public static Context StartServer(RequestCallback callback, string port) => StartServer(callback, Listening(port));

    /// <inheritdoc cref="StartServer(RequestCallback, string)"/>
    /// <param name="callback">Handles requests.</param>
    /// <param name="port">The port, on all IPv4 addresses; 0 lets the system choose.</param>
    public static Context StartServer(RequestCallback callback, int port) => StartServer(callback, PortText(port));

    /// <inheritdoc cref="StartServer(RequestCallback, string)"/>
    /// <param name="callback">Handles requests; also gets <paramref name="userData"/>.</param>
    /// <param name="port">What to listen on.</param>
    /// <param name="userData">Any object.</param>
    public static Context StartServer(RequestCallbackWithUserData callback, string port, object? userData) =>
        StartServer(callback, Listening(port), userData);

    /// <inheritdoc cref="StartServer(RequestCallback, string)"/>
    /// <param name="callback">Handles requests; also gets <paramref name="userData"/>.</param>
    /// <param name="port">The port, on all IPv4 addresses; 0 lets the system choose.</param>
    /// <param name="userData">Any object.</param>
    public static Context StartServer(RequestCallbackWithUserData callback, int port, object? userData) =>
        StartServer(callback, PortText(port), userData);

    /// <summary>Starts a server with options (<c>mg_start2</c>).</summary>
    /// <param name="callback">Handles requests.</param>
    /// <param name="options">Names and values in turn, as CivetWeb's C API takes them.</param>
    /// <returns>The running server.</returns>
    /// <exception cref="ArgumentException">An unknown option or a value out of range.</exception>
    /// <exception cref="System.Net.Sockets.SocketException">A port is in use or may not be used.</exception>
    /// <exception cref="CivetWebException">The native library is missing or CivetWeb could not start.</exception>
    public static Context StartServer(RequestCallback callback, string[] options) =>
        StartServer(callback, ServerSettings.ToPairs(options));

    /// <inheritdoc cref="StartServer(RequestCallback, string[])"/>
    /// <param name="callback">Handles requests.</param>
    /// <param name="options">Names and values; see docs/options.md.</param>
    public static Context StartServer(RequestCallback callback, IEnumerable<KeyValuePair<string, string>> options)
    {
        ArgumentNullException.ThrowIfNull(callback);
        return StartServer(new Callbacks { BeginRequest = callback }, options);
    }

    /// <inheritdoc cref="StartServer(RequestCallback, string[])"/>
    /// <param name="callback">Handles requests; also gets <paramref name="userData"/>.</param>
    /// <param name="options">Names and values in turn.</param>
    /// <param name="userData">Any object.</param>
    public static Context StartServer(RequestCallbackWithUserData callback, string[] options, object? userData) =>
        StartServer(callback, ServerSettings.ToPairs(options), userData);

    /// <inheritdoc cref="StartServer(RequestCallback, string[])"/>
    /// <param name="callback">Handles requests; also gets <paramref name="userData"/>.</param>
    /// <param name="options">Names and values; see docs/options.md.</param>
    /// <param name="userData">Any object.</param>
    public static Context StartServer(
        RequestCallbackWithUserData callback, IEnumerable<KeyValuePair<string, string>> options, object? userData)
    {
        ArgumentNullException.ThrowIfNull(callback);
        return StartServer(new Callbacks { BeginRequest = connection => callback(connection, userData) }, options, userData);
    }

    /// <inheritdoc cref="StartServer(RequestCallback, string[])"/>
    /// <param name="callbacks">What to call during the life of the server; read once, now.</param>
    /// <param name="options">Names and values in turn.</param>
    /// <param name="userData">Any object; <see cref="Context.UserData"/> and <see cref="RequestInfo.UserData"/> show it.</param>
    [SuppressMessage("ApiDesign", "RS0027", Justification = OverloadsDifferByCallback)]
    public static Context StartServer(Callbacks callbacks, string[] options, object? userData = null) =>
        StartServer(callbacks, ServerSettings.ToPairs(options), userData);

    /// <inheritdoc cref="StartServer(RequestCallback, string[])"/>
    /// <param name="callbacks">What to call during the life of the server; read once, now.</param>
    /// <param name="options">Names and values; see docs/options.md.</param>
    /// <param name="userData">Any object; <see cref="Context.UserData"/> and <see cref="RequestInfo.UserData"/> show it.</param>
    [SuppressMessage("ApiDesign", "RS0027", Justification = OverloadsDifferByCallback)]
    public static Context StartServer(
        Callbacks callbacks, IEnumerable<KeyValuePair<string, string>> options, object? userData = null)
    {
        ArgumentNullException.ThrowIfNull(callbacks);
        return Context.Start(callbacks, ServerSettings.Parse(options), userData);
    }

    /// <summary>
    /// Stops a server (<c>mg_stop</c>): accepts no more, tells every open WebSocket (close code 1001), waits up to five
    /// seconds for their answers, cuts the rest, and returns when the last callback has returned. It can be stopped twice.
    /// </summary>
    /// <param name="context">The server.</param>
    /// <exception cref="InvalidOperationException">Called from inside a callback, for whose end it would have to wait.</exception>
    public static void StopServer(Context context)
    {
        ArgumentNullException.ThrowIfNull(context);
        context.Dispose();
    }

    /// <inheritdoc cref="StopServer(Context)"/>
    /// <param name="context">The server.</param>
    /// <param name="drainTime">How long to wait for the answers of open WebSockets.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="drainTime"/> is negative.</exception>
    public static void StopServer(Context context, TimeSpan drainTime)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentOutOfRangeException.ThrowIfLessThan(drainTime, TimeSpan.Zero);
        context.Host.Stop(drainTime);
    }

    /// <summary>
    /// Sets, replaces or removes the WebSocket handler of a URI (<c>mg_set_websocket_handler</c>), before or after clients
    /// connect. Open WebSockets keep the callbacks they began with; all callbacks null removes the handler and closes its
    /// WebSockets with 1001.
    /// </summary>
    /// <param name="context">The server.</param>
    /// <param name="uri">
    /// The path, exact and case-sensitive. CivetWeb's pattern characters work (<c>*</c> within a segment, <c>**</c> any
    /// text, <c>?</c>, <c>|</c>, a final <c>$</c>), matched from end to end.
    /// </param>
    /// <param name="connect">A connection is being established; null accepts all.</param>
    /// <param name="ready">It is ready; may be null.</param>
    /// <param name="data">A message or control frame has come; null ignores them.</param>
    /// <param name="close">It is closed; may be null.</param>
    /// <param name="userData">Any object; handed to the callbacks.</param>
    /// <exception cref="ArgumentException">The URI does not begin with / or *, or contains a NUL.</exception>
    /// <exception cref="ObjectDisposedException">The server has been stopped.</exception>
    public static void SetWebSocketHandler(
        Context context,
        string uri,
        WebSocketConnectCallback? connect,
        WebSocketReadyCallback? ready,
        WebSocketDataCallback? data,
        WebSocketCloseCallback? close,
        object? userData = null) =>
        SetHandler(context, uri, [], connect, ready, data, close, userData);

    /// <summary>
    /// As <see cref="SetWebSocketHandler"/>, for a handler that speaks subprotocols
    /// (<c>mg_set_websocket_handler_with_subprotocols</c>; RFC 6455, section 1.9). The first one the client asks for that is
    /// in the list is agreed on, and shown by <see cref="RequestInfo.Subprotocol"/>. A client that asks for none, or for
    /// unknown ones only, gets none; refuse it in <paramref name="connect"/> if it must.
    /// </summary>
    /// <param name="context">The server.</param>
    /// <param name="uri">The path.</param>
    /// <param name="subprotocols">The names; case matters.</param>
    /// <param name="connect">A connection is being established; null accepts all.</param>
    /// <param name="ready">It is ready; may be null.</param>
    /// <param name="data">A message or control frame has come; null ignores them.</param>
    /// <param name="close">It is closed; may be null.</param>
    /// <param name="userData">Any object; handed to the callbacks.</param>
    /// <exception cref="ArgumentException">The URI is not valid, or a name is not a token.</exception>
    /// <exception cref="ObjectDisposedException">The server has been stopped.</exception>
    public static void SetWebSocketHandlerWithSubprotocols(
        Context context,
        string uri,
        string[] subprotocols,
        WebSocketConnectCallback? connect,
        WebSocketReadyCallback? ready,
        WebSocketDataCallback? data,
        WebSocketCloseCallback? close,
        object? userData = null)
    {
        Subprotocols.Validate(subprotocols, nameof(subprotocols));
        SetHandler(context, uri, (string[])subprotocols.Clone(), connect, ready, data, close, userData);
    }

    /// <summary>Sends a frame to a WebSocket (<c>mg_websocket_write</c>): one call, one frame, one packet if it fits.</summary>
    /// <remarks>
    /// Frames of several threads never mix. The call waits for a client that reads slowly; when it takes less
    /// than 4096 bytes in <c>websocket_send_timeout_ms</c> the connection is cut, and this and every later write returns -1. Inside a
    /// data callback, while more messages of that client are waiting, output may be gathered and sent a moment later.
    /// </remarks>
    /// <param name="connection">The WebSocket.</param>
    /// <param name="opcode">1 text, 2 binary, 8 close, 9 ping, 10 pong.</param>
    /// <param name="data">The payload: UTF-8 for text; at most 125 bytes for 8, 9 and 10; for 8 empty or code and reason.</param>
    /// <returns>The number of payload bytes, or -1.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The opcode is not one of these.</exception>
    /// <exception cref="ArgumentException">The payload is too large for a control frame, not UTF-8, or no valid close payload.</exception>
    public static int WriteToWebSocket(Connection connection, int opcode, ReadOnlySpan<byte> data)
    {
        ArgumentNullException.ThrowIfNull(connection);
        switch (opcode)
        {
            case 1:
                return WriteTextToWebSocket(connection, data);
            case 2:
                return connection.Inner.SendFrame(opcode, data);
            case 8:
                return WriteClose(connection, data);
            case 9:
            case 10:
                if (data.Length > MaxControlPayload)
                {
                    throw new ArgumentException($"A control frame carries at most {MaxControlPayload} bytes, not {data.Length} (RFC 6455, section 5.5).", nameof(data));
                }

                return connection.Inner.SendFrame(opcode, data);
            default:
                throw new ArgumentOutOfRangeException(nameof(opcode), opcode, "The opcode must be 1 (text), 2 (binary), 8 (close), 9 (ping) or 10 (pong).");
        }
    }

    /// <summary>Sends a text message, given as UTF-8.</summary>
    /// <param name="connection">The WebSocket.</param>
    /// <param name="utf8">The text.</param>
    /// <returns>The number of payload bytes, or -1; see <see cref="WriteToWebSocket"/>.</returns>
    /// <exception cref="ArgumentException">The bytes are not valid UTF-8; a client would have to fail the connection.</exception>
    public static int WriteTextToWebSocket(Connection connection, ReadOnlySpan<byte> utf8)
    {
        ArgumentNullException.ThrowIfNull(connection);
        CheckMessage(1, utf8);
        return connection.Inner.SendFrame(1, utf8);
    }

    /// <summary>Sends a text message. Unpaired surrogates become U+FFFD.</summary>
    /// <param name="connection">The WebSocket.</param>
    /// <param name="text">The text.</param>
    /// <returns>The number of payload bytes (of UTF-8), or -1; see <see cref="WriteToWebSocket"/>.</returns>
    public static int WriteTextToWebSocket(Connection connection, string text)
    {
        ArgumentNullException.ThrowIfNull(connection);
        ArgumentNullException.ThrowIfNull(text);
        using var utf8 = new PooledUtf8(text);
        return connection.Inner.SendFrame(1, utf8.Bytes);
    }

    /// <summary>Sends a binary message.</summary>
    /// <param name="connection">The WebSocket.</param>
    /// <param name="data">The bytes.</param>
    /// <returns>The number of payload bytes, or -1; see <see cref="WriteToWebSocket"/>.</returns>
    public static int WriteBinaryToWebSocket(Connection connection, ReadOnlySpan<byte> data)
    {
        ArgumentNullException.ThrowIfNull(connection);
        return connection.Inner.SendFrame(2, data);
    }

    /// <summary>
    /// Sends a message without ever waiting for the client: what its connection does not take at once is queued and sent,
    /// in order, by the connection's own thread. A client with more than <c>websocket_max_queue_size</c> bytes waiting, or
    /// that takes none of them for <c>websocket_send_timeout_ms</c>, is cut off.
    /// </summary>
    /// <param name="connection">The WebSocket.</param>
    /// <param name="opcode">1 text, 2 binary.</param>
    /// <param name="data">The payload; copied before the call returns.</param>
    /// <returns>The number of payload bytes, or -1.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The opcode is neither.</exception>
    /// <exception cref="ArgumentException">Text that is not valid UTF-8.</exception>
    public static int PostToWebSocket(Connection connection, int opcode, ReadOnlySpan<byte> data)
    {
        ArgumentNullException.ThrowIfNull(connection);
        CheckMessage(opcode, data);
        return connection.Inner.PostFrame(opcode, data);
    }

    /// <summary>
    /// Sends a message to every open WebSocket of a URI, as <see cref="PostToWebSocket"/> does: clients that read slowly
    /// delay neither the caller nor the others.
    /// </summary>
    /// <param name="context">The server.</param>
    /// <param name="uri">The URI as it was given to <see cref="SetWebSocketHandler"/>; null for all.</param>
    /// <param name="opcode">1 text, 2 binary.</param>
    /// <param name="data">The payload.</param>
    /// <returns>To how many WebSockets it was sent.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The opcode is neither.</exception>
    /// <exception cref="ArgumentException">Text that is not valid UTF-8.</exception>
    public static int BroadcastToWebSockets(Context context, string? uri, int opcode, ReadOnlySpan<byte> data)
    {
        ArgumentNullException.ThrowIfNull(context);
        CheckMessage(opcode, data);
        return context.Host.Broadcast(uri, opcode, data);
    }

    /// <summary>
    /// Closes a WebSocket gracefully with code 1000: sends a Close frame, after which nothing more is sent or delivered,
    /// and waits for the client's in the background, up to <c>websocket_close_timeout_ms</c>.
    /// </summary>
    /// <param name="connection">The WebSocket.</param>
    /// <returns>0, or -1 when it was closed or closing already.</returns>
    public static int CloseWebSocket(Connection connection) => CloseWebSocket(connection, 1000, "");

    /// <inheritdoc cref="CloseWebSocket(Connection)"/>
    /// <summary>Closes a WebSocket gracefully with a code and a reason (RFC 6455, section 7.1.5).</summary>
    /// <param name="connection">The WebSocket.</param>
    /// <param name="code">1000 to 1003, 1007 to 1014 or 3000 to 4999.</param>
    /// <param name="reason">At most 123 bytes of UTF-8.</param>
    /// <exception cref="ArgumentOutOfRangeException">The code may not be sent (section 7.4).</exception>
    /// <exception cref="ArgumentException">The reason is too long, or no text: half a surrogate pair is in it.</exception>
    public static int CloseWebSocket(Connection connection, int code, string reason)
    {
        ArgumentNullException.ThrowIfNull(connection);
        ArgumentNullException.ThrowIfNull(reason);
        if (!CloseFrame.IsSendable(code))
        {
            throw new ArgumentOutOfRangeException(nameof(code), code, $"{CloseFrame.SendableCodes}.");
        }

        if (CloseFrame.FindFault(reason) is { } fault)
        {
            throw new ArgumentException(fault, nameof(reason));
        }

        using var utf8 = new PooledUtf8(reason);
        return connection.Inner.SendClose(code, utf8.Bytes);
    }

    /// <summary>What the client asked for (<c>mg_get_request_info</c>): a copy that can be kept.</summary>
    /// <param name="connection">The connection: a WebSocket at any time, even after its end; HTTP inside its callbacks.</param>
    /// <returns>The request.</returns>
    /// <exception cref="InvalidOperationException">There is no request, or it has ended.</exception>
    public static RequestInfo GetRequestInfo(Connection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        return connection.Inner.Info;
    }

    /// <summary>Writes text, as UTF-8, to an HTTP response (<c>mg_printf</c> without its formats: C# has interpolation).</summary>
    /// <param name="connection">The connection, inside one of its HTTP callbacks or its connect callback.</param>
    /// <param name="text">The text: status line, headers and body are up to the caller.</param>
    /// <returns>The number of bytes written; less than the text has when the client stopped reading; -1 on failure.</returns>
    public static int Print(Connection connection, string text)
    {
        ArgumentNullException.ThrowIfNull(connection);
        ArgumentNullException.ThrowIfNull(text);
        using var utf8 = new PooledUtf8(text);
        return connection.Inner.Write(utf8.Bytes);
    }

    /// <summary>Writes bytes to an HTTP response (<c>mg_write</c>).</summary>
    /// <param name="connection">The connection, inside one of its HTTP callbacks or its connect callback.</param>
    /// <param name="data">The bytes.</param>
    /// <returns>The number of bytes written; less than given when the client stopped reading; -1 on failure, or on a WebSocket.</returns>
    public static int Write(Connection connection, ReadOnlySpan<byte> data)
    {
        ArgumentNullException.ThrowIfNull(connection);
        return connection.Inner.Write(data);
    }

    /// <summary>
    /// Reads from the request body (<c>mg_read</c>), until the buffer is full or the body over. When it stops early, what has come
    /// is returned first and -1 then; the connection ends after the request.
    /// </summary>
    /// <param name="connection">The connection, inside one of its HTTP callbacks.</param>
    /// <param name="buffer">Where to put the bytes.</param>
    /// <returns>
    /// The number of bytes; 0 at the end of the body; -1 when there will be no end: the client is gone, has sent nothing for
    /// <c>request_timeout_ms</c>, or its chunks are malformed.
    /// </returns>
    public static int Read(Connection connection, Span<byte> buffer)
    {
        ArgumentNullException.ThrowIfNull(connection);
        return connection.Inner.Read(buffer);
    }

    /// <summary>
    /// Answers with a file (<c>mg_send_file</c>, <c>mg_send_mime_file</c>): status, headers and body, ranges and
    /// conditional requests included; 404 when it is not there.
    /// </summary>
    /// <param name="connection">The connection, inside one of its HTTP callbacks, nothing written yet.</param>
    /// <param name="file">The path. Never build it from what a client sent without checking.</param>
    /// <param name="mimeType">The media type; null goes by the file's extension.</param>
    /// <returns>0 when CivetWeb has answered; -1 when the connection cannot be answered.</returns>
    /// <exception cref="ArgumentException">The path contains a NUL, or the media type a line break.</exception>
    public static int SendFile(Connection connection, string file, string? mimeType = null)
    {
        ArgumentNullException.ThrowIfNull(connection);
        return connection.Inner.SendFile(
            NativeText.ToBytes(file, nameof(file)), mimeType is null ? null : NativeText.ToHeaderBytes(mimeType, nameof(mimeType)));
    }

    /// <summary>The value of a cookie of the request; null without it (<c>mg_get_cookie</c>; RFC 6265).</summary>
    /// <param name="connection">The connection; see <see cref="GetRequestInfo"/>.</param>
    /// <param name="name">The cookie's name; case matters.</param>
    /// <returns>The value, without quotes around it.</returns>
    /// <exception cref="ArgumentException">The name is null or empty.</exception>
    /// <exception cref="InvalidOperationException">There is no request, or it has ended.</exception>
    public static string? GetCookie(Connection connection, string name) => GetRequestInfo(connection).GetCookie(name);

    /// <summary>The value of a header of the request; null without it (<c>mg_get_header</c>).</summary>
    /// <param name="connection">The connection; see <see cref="GetRequestInfo"/>.</param>
    /// <param name="name">The header's name; case does not matter.</param>
    /// <returns>The value of the first such header.</returns>
    /// <exception cref="InvalidOperationException">There is no request, or it has ended.</exception>
    public static string? GetHeader(Connection connection, string name) => GetRequestInfo(connection).GetHeader(name);

    /// <summary>The decoded value of a variable in the request's query; null without it (<c>mg_get_var</c>).</summary>
    /// <param name="connection">The connection; see <see cref="GetRequestInfo"/>.</param>
    /// <param name="name">The variable's name; case does not matter.</param>
    /// <returns>The value of the first such variable, empty for one without =.</returns>
    /// <exception cref="ArgumentException">The name contains a NUL.</exception>
    /// <exception cref="InvalidOperationException">There is no request, or it has ended.</exception>
    public static string? GetVariable(Connection connection, string name)
    {
        RequestInfo info = GetRequestInfo(connection);
        return GetVariable(info.QueryString is null ? [] : Encoding.UTF8.GetBytes(info.QueryString), name);
    }

    /// <summary>The decoded value of a variable in urlencoded form data, such as a body read with <see cref="Read"/>.</summary>
    /// <param name="data">The form data.</param>
    /// <param name="name">The variable's name; case does not matter.</param>
    /// <returns>The value, or null.</returns>
    /// <exception cref="ArgumentException">The name contains a NUL.</exception>
    public static string? GetVariable(ReadOnlySpan<byte> data, string name)
    {
        NativeLibraryLoader.EnsureLoaded();
        return NativeRequest.GetVariable(data, NativeText.ToBytes(name, nameof(name)));
    }

    private static void CheckMessage(int opcode, ReadOnlySpan<byte> data)
    {
        if (opcode is not (1 or 2))
        {
            throw new ArgumentOutOfRangeException(nameof(opcode), opcode, "The opcode of a message must be 1 (text) or 2 (binary).");
        }

        if (opcode == 1 && !Utf8.IsValid(data))
        {
            throw new ArgumentException("Text must be valid UTF-8 (RFC 6455, section 8.1); send other bytes as binary.", nameof(data));
        }
    }

    private static KeyValuePair<string, string>[] Listening(string port)
    {
        ArgumentNullException.ThrowIfNull(port);
        return [new("listening_ports", port)];
    }

    private static string PortText(int port)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(port);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(port, 65535);
        return port.ToString(CultureInfo.InvariantCulture);
    }

    private static int WriteClose(Connection connection, ReadOnlySpan<byte> payload)
    {
        if (payload.IsEmpty)
        {
            return connection.Inner.SendClose(0, []);
        }

        if (payload.Length is 1 or > MaxControlPayload
            || !CloseFrame.IsSendable(BinaryPrimitives.ReadUInt16BigEndian(payload))
            || !Utf8.IsValid(payload[2..]))
        {
            throw new ArgumentException("A close payload is empty, or a valid code in two bytes, high byte first, and up to 123 bytes of UTF-8.", nameof(payload));
        }

        return connection.Inner.SendClose(BinaryPrimitives.ReadUInt16BigEndian(payload), payload[2..]) < 0 ? -1 : payload.Length;
    }

    private static void SetHandler(
        Context context,
        string uri,
        string[] subprotocols,
        WebSocketConnectCallback? connect,
        WebSocketReadyCallback? ready,
        WebSocketDataCallback? data,
        WebSocketCloseCallback? close,
        object? userData)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentException.ThrowIfNullOrEmpty(uri);
        if (uri[0] is not ('/' or '*') || uri.Contains('\0'))
        {
            throw new ArgumentException($"'{uri}' is not a URI for a handler: it must begin with / (or with the pattern *) and contain no NUL.", nameof(uri));
        }

        context.Host.SetRoute(new WebSocketRoute
        {
            Pattern = new UriPattern(uri),
            Connect = connect,
            Ready = ready,
            Data = data,
            Close = close,
            UserData = userData,
            Subprotocols = subprotocols,
        });
    }
}
