using System;
using BenchmarkDotNet.Attributes;
using CivetWeb.Net.Benchmarks.Servers;

namespace CivetWeb.Net.Benchmarks.Micro;

/// <summary>An echo with the whole way, sockets and the client's part too, all in one process: time and memory for a message.</summary>
public class EchoBenchmarks
{
    private const int Batch = 16;

    private IDisposable _server = null!;
    private EchoClient _one = null!;
    private EchoClient _many = null!;

    [Params("callback", "server")]
    public string Api { get; set; } = "";

    [Params(16, 128, 4096, 16384, 65536)]
    public int Size { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        int port;
        if (Api == "callback")
        {
            var callback = new CallbackServer(new ServeOptions());
            (_server, port) = (callback, callback.Port);
        }
        else
        {
            var server = new ServerApiServer(new ServeOptions());
            (_server, port) = (server, server.Port);
        }

        _one = new EchoClient(port, "/echo", opcode: 2, Size, batch: 1);
        _many = new EchoClient(port, "/echo", opcode: 2, Size, Batch);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _one.Dispose();
        _many.Dispose();
        _server.Dispose();
    }

    [Benchmark]
    public void One_by_one() => _one.Echo();

    [Benchmark(OperationsPerInvoke = Batch)]
    public void Sixteen_at_once() => _many.Echo();
}
