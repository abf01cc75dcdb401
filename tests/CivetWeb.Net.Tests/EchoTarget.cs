using System;
using System.Collections.Generic;
using System.Globalization;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Through which of the two APIs a test looks at the server.</summary>
public enum Api
{
    /// <summary><see cref="Http"/> and its callbacks.</summary>
    Callbacks,

    /// <summary><see cref="CivetWebServer"/> and .NET's WebSocket.</summary>
    Server,
}

/// <summary>What both APIs can be told; null leaves the default. Times are in milliseconds.</summary>
internal sealed record EchoSettings
{
    public string Address { get; init; } = "127.0.0.1";

    /// <summary>Of the callback API; with the server API the limits of connections say how many there are.</summary>
    public int Threads { get; init; } = 64;

    public int? MaxConnections { get; init; }

    public int? MaxConnectionsPerAddress { get; init; }

    public int? MaxMessageSize { get; init; }

    /// <summary>0: never.</summary>
    public int? PingInterval { get; init; }

    public int? PongTimeout { get; init; }

    public int? FrameTimeout { get; init; }

    public int? SendTimeout { get; init; }

    public int? CloseTimeout { get; init; }

    public int? RequestHeadersTimeout { get; init; }

    public (string Name, string Value)[] ToCallbackOptions()
    {
        var options = new List<(string, string)>
        {
            ("listening_ports", $"{Address}:0"),
            ("num_threads", Threads.ToString(CultureInfo.InvariantCulture)),
        };
        foreach ((string name, int? value) in ((string, int?)[])
            [
                ("websocket_max_connections", MaxConnections),
                ("websocket_max_connections_per_address", MaxConnectionsPerAddress),
                ("websocket_max_message_size", MaxMessageSize),
                ("websocket_ping_interval_ms", PingInterval),
                ("websocket_pong_timeout_ms", PongTimeout),
                ("websocket_frame_timeout_ms", FrameTimeout),
                ("websocket_send_timeout_ms", SendTimeout),
                ("websocket_close_timeout_ms", CloseTimeout),
                ("request_timeout_ms", RequestHeadersTimeout),
            ])
        {
            if (value is not null)
            {
                options.Add((name, value.Value.ToString(CultureInfo.InvariantCulture)));
            }
        }

        return [.. options];
    }

    public void Apply(CivetWebServerOptions options)
    {
        options.Listen.Add($"http://{Address}:0");
        options.MaxConnections = MaxConnections ?? options.MaxConnections;
        options.MaxConnectionsPerAddress = MaxConnectionsPerAddress;
        options.RequestHeadersTimeout = Time(RequestHeadersTimeout) ?? options.RequestHeadersTimeout;
        options.WebSockets.MaxMessageSize = MaxMessageSize;
        options.WebSockets.KeepAliveInterval = PingInterval == 0 ? Timeout.InfiniteTimeSpan : Time(PingInterval);
        options.WebSockets.KeepAliveTimeout = Time(PongTimeout);
        options.WebSockets.FrameTimeout = Time(FrameTimeout);
        options.WebSockets.SendTimeout = Time(SendTimeout);
        options.WebSockets.CloseTimeout = Time(CloseTimeout);
    }

    private static TimeSpan? Time(int? milliseconds) => milliseconds is null ? null : TimeSpan.FromMilliseconds(milliseconds.Value);
}

/// <summary>An echo at <c>/ws</c>, made with either API: what a client sees of it must be the same.</summary>
internal sealed class EchoTarget : IDisposable
{
    private readonly TestServer? _callbacks;
    private readonly RunningServer? _server;
    private volatile Connection? _lastConnection;
    private volatile ServerWebSocketContext? _lastContext;

    private EchoTarget(TestServer? callbacks, RunningServer? server)
    {
        _callbacks = callbacks;
        _server = server;
        Counts = MapEcho("/ws");
    }

    public int Port => _callbacks?.Port ?? _server!.Port;

    /// <summary>
    /// Frames delivered (with the server API: messages and the Close), WebSockets that are ready (handlers that have begun)
    /// and closed (handlers that have ended). The server API has no connect callback to count.
    /// </summary>
    public EchoCounts Counts { get; }

    /// <summary>How many WebSockets the server counts.</summary>
    public int WebSocketCount => _callbacks?.Context.WebSocketCount ?? _server!.Server.WebSocketCount;

    public static EchoTarget Start(Api api, int maxMessageSize) => Start(api, new EchoSettings { MaxMessageSize = maxMessageSize });

    public static EchoTarget Start(Api api, EchoSettings? settings = null)
    {
        settings ??= new EchoSettings();
        return api == Api.Callbacks
            ? new EchoTarget(new TestServer(settings.ToCallbackOptions()), null)
            : new EchoTarget(null, RunningServer.StartAsync(_ => { }, settings.Apply).Result);
    }

    public Task<ClientWebSocket> ConnectAsync(string path = "/ws") => _callbacks?.ConnectAsync(path) ?? _server!.ConnectAsync(path);

    /// <summary>One more echo.</summary>
    public EchoCounts MapEcho(string path)
    {
        var counts = new EchoCounts();
        if (_callbacks is not null)
        {
            Http.SetWebSocketHandler(
                _callbacks.Context,
                path,
                (_, _) =>
                {
                    Interlocked.Increment(ref counts.Connects);
                    return 0;
                },
                (connection, _) =>
                {
                    _lastConnection = connection;
                    Interlocked.Increment(ref counts.Readies);
                },
                (connection, bits, data, _) =>
                {
                    Interlocked.Increment(ref counts.Frames);
                    return bits is 1 or 2 && Http.WriteToWebSocket(connection, bits, data) != data.Length ? 0 : 1;
                },
                (_, _) => Interlocked.Increment(ref counts.Closes));
        }
        else
        {
            MapHandler(path, counts, async context =>
            {
                await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
                {
                    Interlocked.Increment(ref counts.Frames);
                    await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
                }

                Interlocked.Increment(ref counts.Frames);
            });
        }

        return counts;
    }

    /// <summary>A WebSocket that closes as soon as it is open.</summary>
    public EchoCounts MapClosing(string path, int code, string reason)
    {
        var counts = new EchoCounts();
        if (_callbacks is not null)
        {
            Http.SetWebSocketHandler(
                _callbacks.Context,
                path,
                null,
                (connection, _) =>
                {
                    Interlocked.Increment(ref counts.Readies);
                    Http.CloseWebSocket(connection, code, reason);
                },
                null,
                (_, _) => Interlocked.Increment(ref counts.Closes));
        }
        else
        {
            MapHandler(path, counts, context => context.WebSocket.CloseAsync((WebSocketCloseStatus)code, reason, context.Aborted));
        }

        return counts;
    }

    /// <summary>Sends to the client that came last, not from a callback or handler; false when it is over.</summary>
    public async Task<bool> TrySendToLastAsync(byte[] data)
    {
        if (_callbacks is not null)
        {
            Connection connection = _lastConnection!;
            return await Task.Run(() => Http.WriteBinaryToWebSocket(connection, data)) >= 0;
        }

        try
        {
            await _lastContext!.WebSocket.SendAsync(data, WebSocketMessageType.Binary, true, CancellationToken.None);
            return true;
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>The test fails when a callback or handler has: whatever a client does is none of their faults.</summary>
    public void Dispose()
    {
        _callbacks?.Dispose();
        if (_server is not null)
        {
            _server.DisposeAsync().AsTask().Wait();
            Assert.That(_server.Log.Errors, Is.Empty, "errors in the log");
        }
    }

    private void MapHandler(string path, EchoCounts counts, Func<ServerWebSocketContext, Task> handler) => _server!.Server.MapWebSocket(
        path,
        async context =>
        {
            _lastContext = context;
            Interlocked.Increment(ref counts.Readies);
            try
            {
                await handler(context);
            }
            finally
            {
                Interlocked.Increment(ref counts.Closes);
            }
        });
}
