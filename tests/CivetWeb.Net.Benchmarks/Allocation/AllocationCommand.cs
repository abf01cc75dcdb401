using System;
using System.Globalization;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Benchmarks.Servers;

namespace CivetWeb.Net.Benchmarks.Allocation;

/// <summary>Counts the managed bytes that an echoed message costs: the project's promise is none.</summary>
internal static class AllocationCommand
{
    private static readonly int[] s_sizes = [16, 128, 4096, 16384];

    private static readonly AllocationSampler s_sampler = new();

    private static int s_exceeded;

    public static int Run(AllocationOptions options)
    {
        Console.WriteLine(FormattableString.Invariant($"Managed bytes per echoed message, over {options.Messages:#,0} messages after {options.Messages / 5:#,0} to warm up; at once: messages under way."));
        Console.WriteLine();
        Console.WriteLine("| server | messages | at once | 16 B | 128 B | 4,096 B | 16,384 B |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- |");
        using (var callback = new CallbackServer(new ServeOptions()))
        {
            Measure(options, "callback API", callback.Port, "/echo");
        }

        var server = new CivetWebServer(new CivetWebServerOptions { Listen = { "http://127.0.0.1:0" } });
        server.MapWebSocket("/receive", context => EchoLoop.RunAsync(context.WebSocket));
        server.MapWebSocket("/token", context => EchoWithTokenAsync(context.WebSocket, context.Aborted));
        server.MapWebSocket("/messages", EchoMessagesAsync);
        server.StartAsync().GetAwaiter().GetResult();
        int port = server.EndPoints[0].Uri.Port;
        Measure(options, "server API, ReceiveAsync without a token", port, "/receive");
        Measure(options, "server API, ReceiveAsync with the token Aborted", port, "/token");
        Measure(options, "server API, ReadMessagesAsync with the token Aborted", port, "/messages");
        server.StopAsync().GetAwaiter().GetResult();
        if (s_exceeded == 0)
        {
            return 0;
        }

        Console.WriteLine($"\nWhat was allocated, in samples: {s_sampler.Types}");
        return 1;
    }

    private static void Measure(AllocationOptions options, string name, int port, string path)
    {
        foreach (int opcode in (int[])[1, 2])
        {
            foreach (int batch in (int[])[1, 16])
            {
                Console.Write($"| {name} | {(opcode == 1 ? "text" : "binary")} | {batch} |");
                foreach (int size in s_sizes)
                {
                    Console.Write(string.Create(CultureInfo.InvariantCulture, $" {BytesPerMessage(options, port, path, opcode, size, batch):0.000} |"));
                }

                Console.WriteLine();
            }
        }
    }

    private static double BytesPerMessage(AllocationOptions options, int port, string path, int opcode, int size, int batch)
    {
        using var client = new EchoClient(port, path, opcode, size, batch);
        for (int i = 0; i < options.Messages / 5; i += batch)
        {
            client.Echo();
        }

        long before = GC.GetTotalAllocatedBytes(precise: true);
        for (int i = 0; i < options.Messages; i += batch)
        {
            client.Echo();
        }

        double bytes = (double)(GC.GetTotalAllocatedBytes(precise: true) - before) / options.Messages;

        // One object for each message is at least 24; what the runtime does for itself now and then is far less than 1.
        if (bytes >= 1)
        {
            s_exceeded++;
            Explain(options, client, batch);
        }

        return bytes;
    }

    /// <summary>Not while counting: the samples cost memory themselves.</summary>
    private static void Explain(AllocationOptions options, EchoClient client, int batch)
    {
        s_sampler.IsOn = true;
        for (int i = 0; i < options.Messages; i += batch)
        {
            client.Echo();
        }

        s_sampler.IsOn = false;
    }

    private static async Task EchoWithTokenAsync(WebSocket socket, CancellationToken token)
    {
        byte[] buffer = new byte[16384];
        while (true)
        {
            ValueWebSocketReceiveResult result = await socket.ReceiveAsync(buffer.AsMemory(), token);
            if (result.MessageType == WebSocketMessageType.Close)
            {
                return;
            }

            await socket.SendAsync(buffer.AsMemory(0, result.Count), result.MessageType, result.EndOfMessage, token);
        }
    }

    private static async Task EchoMessagesAsync(ServerWebSocketContext context)
    {
        await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
        {
            await context.WebSocket.SendAsync(message.Data, message.MessageType, true, context.Aborted);
        }
    }
}
