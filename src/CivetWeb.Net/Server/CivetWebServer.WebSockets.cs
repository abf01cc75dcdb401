using System;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net;

public sealed partial class CivetWebServer
{
    private long _webSocketsOpened;

    /// <summary>Opens WebSockets at a path, before or after the server is started.</summary>
    /// <param name="pattern">
    /// The path, exact and case-sensitive; <c>{name}</c> stands for one segment, <c>{*name}</c> at the end for the rest. Of
    /// several that match, the one that is literal for longer is taken.
    /// </param>
    /// <param name="handler">
    /// Runs for each WebSocket, in a synchronization context of its own: one thing after the other, on changing threads that are
    /// not the thread pool's, and it may block. The WebSocket is closed when its task ends: with 1000, or with 1011 after an
    /// exception. Do not block on a task of the same WebSocket there: await it.
    /// </param>
    /// <param name="options">How these WebSockets behave; read once, now.</param>
    /// <exception cref="ArgumentException">The pattern is not valid or is mapped already, or an option is not valid.</exception>
    public void MapWebSocket(string pattern, Func<ServerWebSocketContext, Task> handler, WebSocketEndpointOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(handler);
        var endpoint = new WebSocketEndpoint
        {
            Pattern = RoutePattern.Parse(pattern, nameof(pattern)),
            Handler = handler,
            Options = options ?? new WebSocketEndpointOptions(),
        };
        _webSockets.Add(endpoint, nameof(pattern));
    }

    /// <summary>Opens no more WebSockets at a path. Those that are open stay so.</summary>
    /// <param name="pattern">As it was mapped; the names of its parameters do not matter.</param>
    /// <returns>Whether it was mapped.</returns>
    /// <exception cref="ArgumentException">The pattern is not valid.</exception>
    public bool RemoveWebSocket(string pattern) => _webSockets.Remove(RoutePattern.Parse(pattern, nameof(pattern)));

    internal long NextWebSocketId() => Interlocked.Increment(ref _webSocketsOpened);

    internal bool HasWebSocket(string path) => _webSockets.Has(path);
}
