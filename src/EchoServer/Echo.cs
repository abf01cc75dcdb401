using System;
using System.Buffers.Binary;
using CivetWeb.Net.CallbackApi;

namespace CivetWeb.Net.EchoServer;

/// <summary>The echo: the four callbacks of the documentation's example, counted.</summary>
internal sealed class Echo(Terminal terminal, Counters counters)
{
    /// <summary>What a client may ask for; both are the same echo.</summary>
    public static readonly string[] Subprotocols = ["echo.v1", "echo.v2"];

    public int OnConnect(Connection connection, object? userData)
    {
        RequestInfo request = Http.GetRequestInfo(connection);
        counters.Opened();
        terminal.Normal($"WebSocket client connected: {request.RemoteAddress}", Colour.Green);
        terminal.Debug($"port {request.RemotePort}, origin {Shown(request.GetHeader("Origin"))}, subprotocol {request.Subprotocol ?? "none"}");
        return 0;
    }

    public void OnReady(Connection connection, object? userData)
    {
        terminal.Normal("WebSocket connection ready", Colour.Green);
        counters.Sent(Http.WriteTextToWebSocket(connection, "Welcome!"u8));
    }

    public int OnData(Connection connection, int bits, ReadOnlySpan<byte> data, object? userData)
    {
        switch (bits)
        {
            case 1 or 2:
                Log(bits, data);
                counters.Received(data.Length);
                int sent = Http.WriteToWebSocket(connection, bits, data);
                counters.Sent(sent);
                return sent < 0 ? 0 : 1;
            default:
                if (terminal.Level >= LogLevel.Debug)
                {
                    terminal.Debug(Describe(bits, data));
                }

                return 1; // answered by the library
        }
    }

    public void OnClose(Connection connection, object? userData)
    {
        counters.Closed();
        terminal.Normal("WebSocket client disconnected", Colour.Yellow);
    }

    private static string Describe(int bits, ReadOnlySpan<byte> data) => bits switch
    {
        8 when data.Length >= 2 => $"Close {BinaryPrimitives.ReadUInt16BigEndian(data)} {Terminal.Printable(data[2..])}".TrimEnd(),
        8 => "Close without code",
        9 => $"Ping of {data.Length} bytes",
        10 => $"Pong of {data.Length} bytes",
        _ => $"Frame of type {bits}",
    };

    private static string Shown(string? header) => header is null ? "none" : Terminal.Printable(header);

    private void Log(int bits, ReadOnlySpan<byte> data)
    {
        if (bits == 1 && terminal.Level >= LogLevel.Normal)
        {
            terminal.Normal($"Received message: {Terminal.Printable(data)}");
        }
        else if (terminal.Level >= LogLevel.Debug)
        {
            terminal.Debug($"Received {data.Length} bytes of binary");
        }
    }
}
