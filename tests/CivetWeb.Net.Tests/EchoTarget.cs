using System;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net.Tests;

/// <summary>Through which of the two APIs a test looks at the server.</summary>
public enum Api
{
    /// <summary><see cref="Http"/> and its callbacks.</summary>
    Callbacks,

    /// <summary><see cref="CivetWebServer"/> and .NET's WebSocket.</summary>
    Server,
}

/// <summary>An echo at <c>/ws</c>, made with either API: what a client sees of it must be the same.</summary>
internal sealed class EchoTarget : IDisposable
{
    private readonly TestServer? _callbacks;
    private readonly RunningServer? _server;

    private EchoTarget(TestServer? callbacks, RunningServer? server, EchoCounts counts)
    {
        _callbacks = callbacks;
        _server = server;
        Counts = counts;
    }

    public int Port => _callbacks?.Port ?? _server!.Port;

    /// <summary>Frames delivered (with the server API: messages and the Close) and WebSockets closed.</summary>
    public EchoCounts Counts { get; }

    public static EchoTarget Start(Api api, int maxMessageSize)
    {
        if (api == Api.Callbacks)
        {
            var server = new TestServer(("websocket_max_message_size", $"{maxMessageSize}"));
            return new EchoTarget(server, null, server.MapEcho());
        }

        var counts = new EchoCounts();
        return new EchoTarget(
            null,
            RunningServer.StartAsync(s => s.MapWebSocket("/ws", context => EchoAsync(context, counts), new() { MaxMessageSize = maxMessageSize })).Result,
            counts);
    }

    public Task<ClientWebSocket> ConnectAsync() => _callbacks?.ConnectAsync() ?? _server!.ConnectAsync();

    public void Dispose()
    {
        _callbacks?.Dispose();
        _server?.DisposeAsync().AsTask().Wait();
    }

    private static async Task EchoAsync(ServerWebSocketContext context, EchoCounts counts)
    {
        try
        {
            await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
            {
                Interlocked.Increment(ref counts.Frames);
                await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
            }

            Interlocked.Increment(ref counts.Frames);
        }
        finally
        {
            Interlocked.Increment(ref counts.Closes);
        }
    }
}
