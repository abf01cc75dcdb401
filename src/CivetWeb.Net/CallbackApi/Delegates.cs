using System;

namespace CivetWeb.Net.CallbackApi;

/// <summary>Handles a request. Called for every request, WebSocket upgrades too, on the connection's own thread.</summary>
/// <param name="connection">The connection; its request can be read and answered until the callback returns.</param>
/// <returns>0: not handled, the server goes on (files, WebSocket handlers, 404). 1 to 999: handled; the status for the access log.</returns>
public delegate int RequestCallback(Connection connection);

/// <summary>As <see cref="RequestCallback"/>, with the object given to <c>StartServer</c>.</summary>
/// <param name="connection">The connection.</param>
/// <param name="userData">The object given when the server was started.</param>
/// <returns>0: not handled; 1 to 999: handled.</returns>
public delegate int RequestCallbackWithUserData(Connection connection, object? userData);

/// <summary>A new WebSocket connection is being established (<c>mg_websocket_connect_handler</c>).</summary>
/// <param name="connection">
/// The connection. Its request can be read; nothing can be sent to the WebSocket yet. To reject with an answer of your
/// own, write a complete HTTP response with <see cref="Http.Print"/> before returning.
/// </param>
/// <param name="userData">The object given when the handler was set.</param>
/// <returns>0 accepts; anything else rejects, with a 403 response unless the callback has written one.</returns>
public delegate int WebSocketConnectCallback(Connection connection, object? userData);

/// <summary>The WebSocket is ready for communication (<c>mg_websocket_ready_handler</c>).</summary>
/// <param name="connection">The connection; it may be kept and written to from any thread.</param>
/// <param name="userData">The object given when the handler was set.</param>
public delegate void WebSocketReadyCallback(Connection connection, object? userData);

/// <summary>A message or control frame has arrived (<c>mg_websocket_data_handler</c>).</summary>
/// <remarks>
/// Fragmented messages arrive whole; text is valid UTF-8. Pings have been answered and a close will be: they are shown
/// for information. Callbacks of one connection never overlap, and may block: each connection has a thread of its own for that.
/// On Linux a few threads serve all connections whose callbacks return soon, so that a connection's callbacks come from different
/// threads; option <c>websocket_keep_thread</c> keeps them on one.
/// </remarks>
/// <param name="connection">The connection.</param>
/// <param name="bits">1 text, 2 binary, 8 close, 9 ping, 10 pong: <see cref="WebSocketOpcode"/>.</param>
/// <param name="data">The payload; valid during the call only.</param>
/// <param name="userData">The object given when the handler was set.</param>
/// <returns>Non-zero keeps the connection open; 0 closes it with code 1000: <see cref="CallbackResult"/>.</returns>
public delegate int WebSocketDataCallback(Connection connection, int bits, ReadOnlySpan<byte> data, object? userData);

/// <summary>The WebSocket is closed (<c>mg_websocket_close_handler</c>). Called exactly once for every accepted connection.</summary>
/// <param name="connection">The connection; every write to it returns -1 from now on.</param>
/// <param name="userData">The object given when the handler was set.</param>
public delegate void WebSocketCloseCallback(Connection connection, object? userData);
