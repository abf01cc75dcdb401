using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net.Benchmarks.Servers;

/// <summary>The broadcast of the server API and of Kestrel: what one client sends goes to all.</summary>
internal sealed class BroadcastGroup
{
    private readonly ConcurrentDictionary<WebSocket, bool> _members = new();

    public async Task RunAsync(WebSocket socket)
    {
        byte[] buffer = new byte[4096];
        _members[socket] = true;
        try
        {
            await socket.SendAsync("+"u8.ToArray().AsMemory(), WebSocketMessageType.Text, true, CancellationToken.None);
            while (true)
            {
                ValueWebSocketReceiveResult result = await socket.ReceiveAsync(buffer.AsMemory(), CancellationToken.None);
                if (result.MessageType == WebSocketMessageType.Close)
                {
                    return;
                }

                await SendToAllAsync(buffer.AsMemory(0, result.Count), result.MessageType);
            }
        }
        catch (WebSocketException)
        {
            // The client has gone without closing.
        }
        finally
        {
            _members.TryRemove(socket, out _);
        }
    }

    /// <summary>All at once: no client waits for another.</summary>
    private async Task SendToAllAsync(ReadOnlyMemory<byte> message, WebSocketMessageType type)
    {
        List<Task>? waiting = null;
        foreach ((WebSocket member, _) in _members)
        {
            ValueTask sending = member.SendAsync(message, type, true, CancellationToken.None);
            if (!sending.IsCompletedSuccessfully)
            {
                (waiting ??= []).Add(sending.AsTask());
            }
        }

        if (waiting is not null)
        {
            await Task.WhenAll(waiting);
        }
    }
}
