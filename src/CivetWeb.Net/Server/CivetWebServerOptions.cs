using System;
using System.Collections.Generic;
using Microsoft.Extensions.Logging;

namespace CivetWeb.Net;

/// <summary>The options of a <see cref="CivetWebServer"/>. Read once, when it starts.</summary>
public sealed class CivetWebServerOptions
{
    /// <summary>What to listen on, such as <c>http://127.0.0.1:8080</c>.</summary>
    public IList<string> Listen { get; } = [];

    /// <summary>Proxies whose word about a client's address is taken; see docs/options.md.</summary>
    public IList<string> TrustedProxies { get; } = [];

    /// <summary>What holds for every WebSocket whose path does not say otherwise.</summary>
    public WebSocketEndpointOptions WebSockets { get; } = new();

    /// <summary>How long stopping waits for clients and handlers. 5 s unless set.</summary>
    public TimeSpan ShutdownTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Where log messages go; null: nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; set; }

    /// <summary>CivetWeb's own options by name (docs/options.md), over all others.</summary>
    public IDictionary<string, string> DangerousRawOptions { get; } = new Dictionary<string, string>();
}
