using System;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>What one MapWebSocket call has set.</summary>
internal sealed class WebSocketEndpoint
{
    private readonly WebSocketEndpointOptions _options = new();
    private WebSocketSettings? _settings;
    private int _open;

    public required RoutePattern Pattern { get; init; }

    public required Func<ServerWebSocketContext, Task> Handler { get; init; }

    /// <summary>As given; later changes of the object do not count.</summary>
    /// <exception cref="ArgumentException">One of them is wrong.</exception>
    public required WebSocketEndpointOptions Options
    {
        init
        {
            var errors = new OptionErrors();
            WebSocketSettings.Check(value, "", errors);
            errors.ThrowIfAny("options"); // the parameter of MapWebSocket
            _options = value.Copy();
        }
    }

    /// <summary>What holds for it; there since the server has started.</summary>
    public WebSocketSettings Settings => _settings ?? throw new InvalidOperationException("The server has not been started.");

    public void Resolve(WebSocketEndpointOptions server) => _settings = WebSocketSettings.Create(_options, server);

    /// <summary>Counts a WebSocket, unless there are as many as there may be.</summary>
    public bool TryEnter()
    {
        int max = Settings.MaxConnections ?? int.MaxValue;
        int open = Volatile.Read(ref _open);
        while (open < max)
        {
            int seen = Interlocked.CompareExchange(ref _open, open + 1, open);
            if (seen == open)
            {
                return true;
            }

            open = seen;
        }

        return false;
    }

    public void Leave() => Interlocked.Decrement(ref _open);
}
