using System.Security.Principal;

namespace CivetWeb.Net;

/// <summary>A client that asks for a WebSocket, before it is answered.</summary>
/// <remarks>Only for the length of <see cref="WebSocketEndpointOptions.OnHandshake"/>; from one thread at a time.</remarks>
public sealed partial class WebSocketHandshake
{
    internal WebSocketHandshake(ServerRequest request, string? subprotocol)
    {
        Request = request;
        Subprotocol = subprotocol;
    }

    /// <summary>What the client has sent.</summary>
    public ServerRequest Request { get; }

    /// <summary>The subprotocol that will be agreed on; null for none.</summary>
    public string? Subprotocol { get; }

    /// <summary>Who the client is; <see cref="ServerWebSocketContext.User"/> shows it.</summary>
    public IPrincipal? User { get; set; }
}
