using System;
using System.Net.WebSockets;
using System.Text;

namespace CivetWeb.Net;

/// <summary>A whole message, as <see cref="WebSocketMessageExtensions.ReadMessagesAsync(WebSocket, System.Threading.CancellationToken)"/> gives it.</summary>
public readonly struct WebSocketMessage : IEquatable<WebSocketMessage>
{
    internal WebSocketMessage(ReadOnlyMemory<byte> data, WebSocketMessageType messageType)
    {
        Data = data;
        MessageType = messageType;
    }

    /// <summary>The payload. Valid until the next message is asked for; copy it if it is to be kept.</summary>
    public ReadOnlyMemory<byte> Data { get; }

    /// <summary>Text or binary.</summary>
    public WebSocketMessageType MessageType { get; }

    /// <summary>The payload as a string; text messages are valid UTF-8.</summary>
    public string Text => Encoding.UTF8.GetString(Data.Span);

    /// <summary>Whether two messages are the same memory and of one type.</summary>
    /// <param name="left">One message.</param>
    /// <param name="right">Another.</param>
    public static bool operator ==(WebSocketMessage left, WebSocketMessage right) => left.Equals(right);

    /// <summary>Whether two messages differ in memory or type.</summary>
    /// <param name="left">One message.</param>
    /// <param name="right">Another.</param>
    public static bool operator !=(WebSocketMessage left, WebSocketMessage right) => !left.Equals(right);

    /// <inheritdoc/>
    public bool Equals(WebSocketMessage other) => Data.Equals(other.Data) && MessageType == other.MessageType;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is WebSocketMessage other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Data, MessageType);
}
