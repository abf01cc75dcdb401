using System;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Interop;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Thousands of connections that end in every way; what they leave behind is counted.</summary>
public sealed class LeakTests
{
    /// <summary>The variable CIVETWEB_NET_LEAK_CONNECTIONS asks for more, such as 100000.</summary>
    private static int Connections => int.TryParse(Environment.GetEnvironmentVariable("CIVETWEB_NET_LEAK_CONNECTIONS"), out int n) ? n : 5000;

    [Test]
    public async Task Connections_that_end_anywhere_leave_nothing_and_an_honest_client_loses_nothing()
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("Counts what /proc shows.");
        }

        using var server = new TestServer(("num_threads", "64"), ("request_timeout_ms", "1000"), ("websocket_close_timeout_ms", "500"));
        EchoCounts counts = server.MapEcho();
        using var stop = new CancellationTokenSource();
        Task<int> honest = Honest(server, stop.Token);

        await Chaos(server, Connections / 5);
        Footprint before = await Footprint.SettledAsync(server);
        await Chaos(server, Connections);
        Footprint after = await Footprint.SettledAsync(server);

        await stop.CancelAsync();
        int echoes = await honest;
        await Eventually.IsTrueAsync(() => Volatile.Read(ref counts.Closes) == Volatile.Read(ref counts.Readies), "a close for every ready");
        TestContext.Out.WriteLine($"{Connections} connections, {counts.Readies} WebSockets, {echoes} honest echoes\nbefore {before}\nafter  {after}");
        Assert.Multiple(() =>
        {
            Assert.That(counts.Readies, Is.EqualTo(counts.Connects));
            Assert.That(after.Sessions, Is.EqualTo(before.Sessions));
            Assert.That(after.Pins, Is.EqualTo(before.Pins));
            Assert.That(after.Descriptors, Is.LessThanOrEqualTo(before.Descriptors + 2), "the test's own sockets come and go");
            Assert.That(after.Threads, Is.EqualTo(before.Threads));
            Assert.That(after.ManagedKiB, Is.LessThan(before.ManagedKiB + 4096), "managed memory does not grow with the number of connections");
            Assert.That(after.NativeKiB, Is.LessThan(before.NativeKiB + 4096), "nor does native memory");
            Assert.That(echoes, Is.GreaterThan(0));
        });
    }

    private static async Task<int> Honest(TestServer server, CancellationToken stop)
    {
        using ClientWebSocket client = await server.ConnectAsync();
        int echoes = 0;
        for (; !stop.IsCancellationRequested; echoes++)
        {
            await client.SendTextAsync($"echo {echoes}");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo($"echo {echoes}"));
            await Task.Yield();
        }

        await client.CloseNormallyAsync();
        return echoes;
    }

    private static Task Chaos(TestServer server, int connections) =>
        Task.WhenAll(Enumerable.Range(0, 4).Select(number => Task.Factory.StartNew(
            () =>
            {
                var random = new Random(number);
                byte[] request = Encoding.ASCII.GetBytes(RawClient.UpgradeRequest());
                for (int i = 0; i < connections / 4; i++)
                {
                    try
                    {
                        using var client = new RawClient(server.Port);
                        EndSomewhere(client, random, request);
                        if (random.Next(3) == 0)
                        {
                            client.Socket.LingerState = new LingerOption(true, 0);
                        }
                    }
                    catch (Exception e) when (e is SocketException or EndOfStreamException)
                    {
                        // the server was faster
                    }
                }
            },
            TaskCreationOptions.LongRunning)));

    private static void EndSomewhere(RawClient client, Random random, byte[] request)
    {
        switch (random.Next(8))
        {
            case 0:
                return;
            case 1: // inside the handshake
                client.Send(request.AsSpan(0, random.Next(request.Length)));
                return;
            case 2: // behind it, without reading the answer
                client.Send(request);
                return;
        }

        client.Send(request);
        if (!client.ReadHead().StartsWith("HTTP/1.1 101", StringComparison.Ordinal))
        {
            return; // all places are taken for a moment: also an end
        }

        byte[] frame = client.Frame(0x82, new byte[random.Next(2000)]);
        switch (random.Next(5))
        {
            case 0: // inside a frame
                client.Send(frame.AsSpan(0, random.Next(frame.Length)));
                break;
            case 1: // a mistake
                client.Send([0xF7, 0x01, 0x02]);
                break;
            case 2: // after a close
                client.SendFrame(0x88, [0x03, 0xE8]);
                client.ReadFrame();
                break;
            case 3: // after an echo
                client.Send(frame);
                client.ReadFrame();
                break;
            default: // before an echo
                client.Send(frame);
                break;
        }
    }

    /// <summary>Bytes of the C heap in use: what has been allocated and not freed, whatever the allocator keeps.</summary>
    private static nuint NativeHeapInUse()
    {
        MallInfo info = mallinfo2();
        return info.uordblks + info.hblkhd;
    }

    [DllImport("libc")]
    private static extern MallInfo mallinfo2();

    [StructLayout(LayoutKind.Sequential)]
    private struct MallInfo
    {
        public nuint arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
    }

    private sealed record Footprint(long Sessions, int Pins, int Descriptors, int Threads, long ManagedKiB, long NativeKiB, long ResidentMiB)
    {
        public static async Task<Footprint> SettledAsync(TestServer server)
        {
            // What is still being closed is not a leak yet: only the honest client remains.
            await Eventually.IsTrueAsync(() => server.Context.WebSocketCount == 1 && SessionHandle.AliveCount == 1 && CallbackHandle.Count == 2, "all but one to be gone");
            GC.Collect(2, GCCollectionMode.Aggressive, true, true);
            GC.WaitForPendingFinalizers();
            GC.Collect(2, GCCollectionMode.Aggressive, true, true);
            return new Footprint(
                SessionHandle.AliveCount,
                CallbackHandle.Count,
                ProcFs.Descriptors.Length,
                ProcFs.ServerThreads,
                GC.GetTotalMemory(true) >> 10,
                (long)(NativeHeapInUse() >> 10),
                ProcFs.Status("VmRSS") >> 20);
        }
    }
}
