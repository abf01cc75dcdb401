namespace CivetWeb.Net.CallbackApi;

/// <summary>
/// Names for the opcodes of WebSocket frames (RFC 6455, section 5.2), for the <c>bits</c> of <see cref="WebSocketDataCallback"/> and the
/// <c>opcode</c> of <see cref="Http.WriteToWebSocket"/>. They are numbers, so they can be used wherever the documented numbers are.
/// </summary>
public static class WebSocketOpcode
{
    /// <summary>A text message; its payload is UTF-8.</summary>
    public const int Text = 1;

    /// <summary>A binary message.</summary>
    public const int Binary = 2;

    /// <summary>A close frame; its payload is empty, or a close code of two bytes and a reason.</summary>
    public const int Close = 8;

    /// <summary>A ping.</summary>
    public const int Ping = 9;

    /// <summary>A pong.</summary>
    public const int Pong = 10;
}
