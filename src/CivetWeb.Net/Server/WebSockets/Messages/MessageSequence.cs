using System.Collections.Generic;
using System.Net.WebSockets;
using System.Threading;

namespace CivetWeb.Net;

/// <summary>What <see cref="WebSocketMessageExtensions"/> gives: messages to be read with <c>await foreach</c>.</summary>
internal sealed class MessageSequence(WebSocket webSocket, int maxMessageSize, CancellationToken stoppingToken) : IAsyncEnumerable<WebSocketMessage>
{
    /// <inheritdoc/>
    public IAsyncEnumerator<WebSocketMessage> GetAsyncEnumerator(CancellationToken cancellationToken = default) =>
        new MessageReader(webSocket, maxMessageSize, stoppingToken, cancellationToken);
}
