using System;
using System.Buffers;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Net.WebSockets;
using System.Runtime.CompilerServices;
using System.Threading;

namespace CivetWeb.Net;

/// <summary>Whole messages from any <see cref="WebSocket"/>.</summary>
public static class WebSocketMessageExtensions
{
    private const int DefaultMaxMessageSize = 16 * 1024 * 1024;
    private const int FirstBuffer = 4096;
    private const int LargestKeptBuffer = 64 * 1024;
    private const string OverloadsDifferBySize = "The size is required in one of them and not there in the other.";

    /// <summary>
    /// The messages that come, until the peer sends its Close frame; the WebSocket is then still to be closed from this
    /// side (a <see cref="CivetWebServer"/> does that when the handler ends).
    /// </summary>
    /// <param name="webSocket">The WebSocket; nobody else may receive from it meanwhile.</param>
    /// <param name="cancellationToken">Ends the waiting; as with every receive, the WebSocket is then aborted.</param>
    /// <exception cref="WebSocketException">
    /// The connection was lost, the peer broke the protocol, or a message was larger than
    /// <see cref="WebSocketEndpointOptions.MaxMessageSize"/> (16 MiB for a WebSocket that is none of a <see cref="CivetWebServer"/>).
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
        return Read(webSocket, maxMessageSize, cancellationToken);
    }

    private static async IAsyncEnumerable<WebSocketMessage> Read(
        WebSocket webSocket, int maxMessageSize, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(Math.Min(FirstBuffer, maxMessageSize + 1));
        try
        {
            while (true)
            {
                int length = 0;
                ValueWebSocketReceiveResult result;
                do
                {
                    if (length == buffer.Length)
                    {
                        buffer = Grow(buffer, length);
                    }

                    result = await webSocket.ReceiveAsync(buffer.AsMemory(length), cancellationToken).ConfigureAwait(false);
                    length += result.Count;
                    if (length > maxMessageSize)
                    {
                        string text = $"A message has at most {maxMessageSize} bytes here.";
                        await webSocket.CloseOutputAsync(WebSocketCloseStatus.MessageTooBig, text, cancellationToken).ConfigureAwait(false);
                        throw new WebSocketException(WebSocketError.Faulted, $"The peer has sent too much. {text}");
                    }
                }
                while (!result.EndOfMessage);

                if (result.MessageType == WebSocketMessageType.Close)
                {
                    yield break;
                }

                yield return new WebSocketMessage(buffer.AsMemory(0, length), result.MessageType);
                if (buffer.Length > LargestKeptBuffer)
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                    buffer = ArrayPool<byte>.Shared.Rent(FirstBuffer);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static byte[] Grow(byte[] buffer, int length)
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(Array.MaxLength, length * 2L));
        buffer.AsSpan(0, length).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(buffer);
        return larger;
    }
}
