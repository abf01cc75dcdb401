using System;
using System.Buffers;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net.Benchmarks.Servers;

/// <summary>The echo of the server API and of Kestrel: whole messages, in a pooled buffer that grows with them.</summary>
internal static class EchoLoop
{
    private const int FirstSize = 4096;

    public static async Task RunAsync(WebSocket socket, int sleep = 0)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(FirstSize);
        int count = 0;
        try
        {
            while (true)
            {
                ValueWebSocketReceiveResult result = await socket.ReceiveAsync(buffer.AsMemory(count), CancellationToken.None);
                if (result.MessageType == WebSocketMessageType.Close)
                {
                    await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
                    return;
                }

                count += result.Count;
                if (result.EndOfMessage)
                {
                    Blocking.Sleep(sleep);
                    await socket.SendAsync(buffer.AsMemory(0, count), result.MessageType, true, CancellationToken.None);
                    count = 0;
                }
                else if (count == buffer.Length)
                {
                    byte[] larger = ArrayPool<byte>.Shared.Rent(2 * count);
                    buffer.AsSpan().CopyTo(larger);
                    ArrayPool<byte>.Shared.Return(buffer);
                    buffer = larger;
                }
            }
        }
        catch (WebSocketException)
        {
            // The client has gone without closing.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
