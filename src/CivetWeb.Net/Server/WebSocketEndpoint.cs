using System;
using System.Threading.Tasks;

namespace CivetWeb.Net;

/// <summary>What one MapWebSocket call has set.</summary>
internal sealed class WebSocketEndpoint
{
    public required RoutePattern Pattern { get; init; }

    public required Func<ServerWebSocketContext, Task> Handler { get; init; }

    public required WebSocketEndpointOptions Options { get; init; }
}
