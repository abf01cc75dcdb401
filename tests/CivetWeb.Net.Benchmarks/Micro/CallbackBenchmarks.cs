using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using BenchmarkDotNet.Attributes;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.Benchmarks.Micro;

/// <summary>
/// What it costs to come from native code into a data callback and back. The call is made from managed code, so that the way out
/// to native code and back is in it too.
/// </summary>
public unsafe class CallbackBenchmarks
{
    private readonly byte[] _message = GC.AllocateArray<byte>(128, pinned: true);
    private Context _context = null!;
    private EchoClient _client = null!;
    private nint _pin;

    [GlobalSetup]
    public void Setup()
    {
        Connection? opened = null;
        using var ready = new ManualResetEventSlim();
        _context = Http.StartServer(static _ => 0, "127.0.0.1:0");
        Http.SetWebSocketHandler(
            _context,
            "/quiet",
            null,
            (connection, _) =>
            {
                opened = connection;
                ready.Set();
            },
            static (_, _, data, _) => data.Length,
            null);
        _client = new EchoClient(_context.Port, "/quiet", opcode: 2, size: 1, batch: 1);
        ready.Wait();
        _pin = CallbackHandle.Create(opened!);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        CallbackHandle.Free(_pin);
        _client.Dispose();
        _context.Dispose();
    }

    /// <summary>The two ways alone.</summary>
    [Benchmark(Baseline = true)]
    public int Empty_function()
    {
        delegate* unmanaged[Cdecl]<mg_connection*, int, byte*, nuint, void*, int> function = &Nothing;
        return function(null, 2, Message, 128, (void*)_pin);
    }

    /// <summary>And the connection found, the route's delegate called, exceptions kept in.</summary>
    [Benchmark]
    public int Data_callback()
    {
        delegate* unmanaged[Cdecl]<mg_connection*, int, byte*, nuint, void*, int> function = &Trampolines.WebSocketData;
        return function(null, 2, Message, 128, (void*)_pin);
    }

    private byte* Message => (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_message));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Nothing(mg_connection* connection, int bits, byte* data, nuint size, void* userData) => (int)size;
}
