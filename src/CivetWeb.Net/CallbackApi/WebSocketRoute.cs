using CivetWeb.Net.Core;

namespace CivetWeb.Net.CallbackApi;

/// <summary>What one SetWebSocketHandler call has set; immutable, kept alive by the connections it serves.</summary>
internal sealed class WebSocketRoute
{
    public required UriPattern Pattern { get; init; }

    public WebSocketConnectCallback? Connect { get; init; }

    public WebSocketReadyCallback? Ready { get; init; }

    public WebSocketDataCallback? Data { get; init; }

    public WebSocketCloseCallback? Close { get; init; }

    public object? UserData { get; init; }

    public string[] Subprotocols { get; init; } = [];
}
