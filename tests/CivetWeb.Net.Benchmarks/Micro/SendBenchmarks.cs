using System;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using BenchmarkDotNet.Attributes;

namespace CivetWeb.Net.Benchmarks.Micro;

/// <summary>Sending from a thread that is not the connection's, to a client that throws away what it gets.</summary>
public class SendBenchmarks
{
    private readonly TaskCompletionSource _end = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Context _context = null!;
    private CivetWebServer _server = null!;
    private Connection _connection = null!;
    private WebSocket _socket = null!;
    private EchoClient _first = null!;
    private EchoClient _second = null!;
    private byte[] _message = [];

    [Params(16, 128, 4096, 65536)]
    public int Size { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        using var ready = new CountdownEvent(2);
        _message = new byte[Size];
        _context = Http.StartServer(static _ => 0, "127.0.0.1:0");
        Http.SetWebSocketHandler(
            _context,
            "/sink",
            null,
            (connection, _) =>
            {
                _connection = connection;
                ready.Signal();
            },
            null,
            null);
        _server = new CivetWebServer(new CivetWebServerOptions { Listen = { "http://127.0.0.1:0" } });
        _server.MapWebSocket("/sink", async context =>
        {
            _socket = context.WebSocket;
            ready.Signal();
            await _end.Task;
        });
        _server.StartAsync().GetAwaiter().GetResult();
        _first = new EchoClient(_context.Port, "/sink", opcode: 2, size: 1, batch: 1);
        _second = new EchoClient(_server.EndPoints[0].Uri.Port, "/sink", opcode: 2, size: 1, batch: 1);
        _first.StartDraining();
        _second.StartDraining();
        ready.Wait();
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _first.Dispose();
        _second.Dispose();
        _end.SetResult();
        _context.Dispose();
        _server.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    [Benchmark]
    public int WriteToWebSocket()
    {
        int sent = Http.WriteBinaryToWebSocket(_connection, _message);
        return sent >= 0 ? sent : throw new InvalidOperationException("The connection is lost.");
    }

    [Benchmark]
    public void SendAsync()
    {
        ValueTask sending = _socket.SendAsync(_message.AsMemory(), WebSocketMessageType.Binary, true, CancellationToken.None);
        if (sending.IsCompletedSuccessfully)
        {
            sending.GetAwaiter().GetResult();
        }
        else
        {
            sending.AsTask().GetAwaiter().GetResult();
        }
    }
}
