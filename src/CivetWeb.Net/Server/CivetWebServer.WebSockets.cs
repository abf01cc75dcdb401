using System;
using System.Threading.Tasks;

namespace CivetWeb.Net;

public sealed partial class CivetWebServer
{
    /// <summary>Opens WebSockets at a path, before or after the server is started.</summary>
    /// <param name="pattern">The path, exact and case-sensitive; <c>{name}</c> stands for one segment, <c>{*name}</c> at the end for the rest.</param>
    /// <param name="handler">
    /// Runs for each WebSocket, on the connection's own thread and in a synchronization context of that thread alone; the
    /// WebSocket is closed when its task ends: with 1000, or with 1011 after an exception. Do not block on a task of the
    /// same WebSocket there: await it.
    /// </param>
    /// <param name="options">How these WebSockets behave; read once, now.</param>
    /// <exception cref="ArgumentException">The pattern is none, it is mapped already, or an option is wrong.</exception>
    public void MapWebSocket(string pattern, Func<ServerWebSocketContext, Task> handler, WebSocketEndpointOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(handler);
        _webSockets.Add(new WebSocketEndpoint
        {
            Pattern = RoutePattern.Parse(pattern, nameof(pattern)),
            Handler = handler,
            Options = options ?? new WebSocketEndpointOptions(),
        });
    }
}
