using System;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Clients that read only a little now and then.</summary>
public sealed class SlowReaderTests
{
    /// <summary>It has read well before. But what it takes now is no progress: it must not hold a sender for ever.</summary>
    [Test]
    public async Task A_client_that_reads_a_few_bytes_now_and_then_is_cut_by_the_send_timeout([Values] Api api)
    {
        const int ReadWell = 20_000;
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { SendTimeout = 2000, PingInterval = 0 });
        using RawClient client = RawClient.Open(server.Port, receiveBufferSize: 1);
        await Eventually.IsTrueAsync(() => Volatile.Read(ref server.Counts.Readies) == 1, "it is ready");
        Task<bool> sending = server.TrySendToLastAsync(new byte[16_000_000]);
        client.ReadExactly(ReadWell);

        // 1500 bytes in a second at most; 4096 within the time-out would be progress.
        await Task.Run(async () =>
        {
            var watch = Stopwatch.StartNew();
            byte[] few = new byte[75];
            while (!sending.IsCompleted && watch.Elapsed < TestServer.Patience)
            {
                _ = client.Socket.Poll(0, System.Net.Sockets.SelectMode.SelectRead) ? client.Socket.Receive(few) : 0;
                await Task.Delay(50);
            }
        });
        Assert.That(sending.IsCompleted, "it was cut");
        Assert.That(await sending, Is.False);
    }
}
