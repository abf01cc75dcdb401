using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Net.WebSockets;
using System.Threading;

namespace CivetWeb.Net;

/// <summary>Whole messages from any <see cref="WebSocket"/>.</summary>
public static class WebSocketMessageExtensions
{
    private const int DefaultMaxMessageSize = 16 * 1024 * 1024;
    private const string OverloadsDifferBySize = "The size is required in one of them and not there in the other.";

    /// <summary>
    /// The messages that come, until the peer sends its Close frame; the WebSocket is then still to be closed from this
    /// side (a <see cref="CivetWebServer"/> does that when the handler ends).
    /// </summary>
    /// <param name="webSocket">The WebSocket; nobody else may receive from it meanwhile.</param>
    /// <param name="cancellationToken">Ends the waiting; as with every receive, the WebSocket is then aborted.</param>
    /// <exception cref="WebSocketException">
    /// The connection was lost, the peer broke the protocol, or a message was larger than
    /// <see cref="WebSocketEndpointOptions.MaxMessageSize"/> (16 MiB for a WebSocket that does not belong to a <see cref="CivetWebServer"/>).
    /// </exception>
    [SuppressMessage("ApiDesign", "RS0026", Justification = OverloadsDifferBySize)]
    public static IAsyncEnumerable<WebSocketMessage> ReadMessagesAsync(this WebSocket webSocket, CancellationToken cancellationToken = default) =>
        ReadMessagesAsync(webSocket, webSocket is SessionWebSocket own ? own.MaxMessageSize : DefaultMaxMessageSize, cancellationToken);

    /// <inheritdoc cref="ReadMessagesAsync(WebSocket, CancellationToken)"/>
    /// <param name="webSocket">The WebSocket.</param>
    /// <param name="maxMessageSize">Bytes of a message; a larger one is refused with 1009.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxMessageSize"/> is less than 1.</exception>
    [SuppressMessage("ApiDesign", "RS0026", Justification = OverloadsDifferBySize)]
    public static IAsyncEnumerable<WebSocketMessage> ReadMessagesAsync(
        this WebSocket webSocket, int maxMessageSize, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(webSocket);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxMessageSize, 1);
        return new MessageSequence(webSocket, maxMessageSize, cancellationToken);
    }
}
