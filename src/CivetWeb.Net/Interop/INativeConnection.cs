using System;

namespace CivetWeb.Net.Interop;

/// <summary>
/// What CivetWeb tells of one connection, from its acceptance to its end, on the connection's own thread unless said otherwise.
/// <c>native</c> is the mg_connection; it is valid until the call returns.
/// </summary>
internal interface INativeConnection
{
    /// <summary>Whether percent-encoded paths are decoded (the option decode_url).</summary>
    bool DecodesUrls { get; }

    /// <summary>The status of the response, or 0: CivetWeb goes on.</summary>
    int OnBeginRequest(nint native);

    void OnEndRequest(nint native, int status);

    /// <summary>False: the error has not been answered.</summary>
    bool OnHttpError(nint native, int status, string message);

    /// <summary>The connection is about to be closed: the last moment in which it can be answered.</summary>
    void OnConnectionClose(nint native);

    /// <summary>The connection has been closed.</summary>
    void OnConnectionClosed();

    /// <summary>0 accepts. Every refusal is a complete HTTP response.</summary>
    int OnWebSocketConnect(nint native);

    /// <summary>Runs the whole WebSocket; returns when it has ended.</summary>
    /// <param name="native">The mg_connection.</param>
    /// <param name="handle">The connection's handle, for <see cref="Trampolines.WebSocketData"/>.</param>
    void OnWebSocketReady(nint native, nint handle);

    /// <summary>A message or control frame has come; perhaps on a leader's thread. 0 closes the WebSocket.</summary>
    int OnWebSocketData(int bits, ReadOnlySpan<byte> data);

    void OnWebSocketClose();

    /// <summary>An exception has left a callback of the WebSocket: the peer is told (1011), nobody else notices.</summary>
    void FailWebSocket(Exception exception, string callback);
}
