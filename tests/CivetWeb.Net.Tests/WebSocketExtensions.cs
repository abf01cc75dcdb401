using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net.Tests;

/// <summary>Whole messages for ClientWebSocket, with a deadline that only a broken server reaches.</summary>
internal static class WebSocketExtensions
{
    public static async Task SendTextAsync(this WebSocket socket, string text)
    {
        using CancellationTokenSource deadline = Deadline();
        await socket.SendAsync(Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, true, deadline.Token);
    }

    public static async Task SendBinaryAsync(this WebSocket socket, ReadOnlyMemory<byte> data)
    {
        using CancellationTokenSource deadline = Deadline();
        await socket.SendAsync(data, WebSocketMessageType.Binary, true, deadline.Token);
    }

    public static async Task<(WebSocketMessageType Type, byte[] Data)> ReceiveMessageAsync(this WebSocket socket)
    {
        var data = new List<byte>();
        byte[] buffer = new byte[64 * 1024];
        using CancellationTokenSource deadline = Deadline();
        while (true)
        {
            ValueWebSocketReceiveResult result = await socket.ReceiveAsync(buffer.AsMemory(), deadline.Token);
            data.AddRange(buffer.AsSpan(0, result.Count));
            if (result.EndOfMessage)
            {
                return (result.MessageType, data.ToArray());
            }
        }
    }

    public static async Task<string> ReceiveTextAsync(this WebSocket socket)
    {
        (WebSocketMessageType type, byte[] data) = await socket.ReceiveMessageAsync();
        return type == WebSocketMessageType.Text ? Encoding.UTF8.GetString(data) : throw new InvalidOperationException($"{type}, not text");
    }

    public static async Task CloseNormallyAsync(this WebSocket socket)
    {
        using CancellationTokenSource deadline = Deadline();
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "", deadline.Token);
    }

    /// <summary>Waits for the server's Close and answers it, so that the server need not wait for this client; the code.</summary>
    public static async Task<WebSocketCloseStatus?> AnswerCloseAsync(this WebSocket socket)
    {
        while ((await socket.ReceiveMessageAsync()).Type != WebSocketMessageType.Close)
        {
        }

        using CancellationTokenSource deadline = Deadline();
        await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", deadline.Token);
        return socket.CloseStatus;
    }

    /// <summary>To be disposed of: its timer would keep it for the whole time otherwise.</summary>
    private static CancellationTokenSource Deadline() => new(TestServer.Patience);
}

/// <summary>Waiting for what other threads bring about.</summary>
internal static class Eventually
{
    public static async Task IsTrueAsync(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > TestServer.Patience)
            {
                throw new TimeoutException($"Never happened: {what}");
            }

            await Task.Delay(2);
        }
    }
}
