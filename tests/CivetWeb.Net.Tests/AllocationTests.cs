using System;
using System.Net.Sockets;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>An echoed message costs no managed memory once everything is warm.</summary>
public sealed class AllocationTests
{
    private const int Messages = 10_000;

    [Test]
    public void The_callback_API_allocates_nothing_for_a_message([Values(1, 2)] int opcode, [Values(16, 128, 4096, 16384)] int size)
    {
        using var server = new TestServer();
        server.MapEcho();
        using RawClient client = RawClient.Open(server.Port);
        byte[] payload = new byte[size];
        payload.AsSpan().Fill((byte)'x');
        byte[] frame = client.Frame(0x80 | opcode, payload);
        byte[] answer = new byte[frame.Length - 4];

        Echo(client.Socket, frame, answer);
        long least = long.MaxValue;
        for (int round = 0; round < 5 && least >= Messages; round++)
        {
            // The whole process is counted, what another test has left running too: so the best of several rounds. An object
            // for each message would be in all of them, with 24 bytes at least.
            long before = GC.GetTotalAllocatedBytes(precise: true);
            Echo(client.Socket, frame, answer);
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }

        Assert.That(least, Is.LessThan(Messages), $"bytes for {Messages} messages");
    }

    private static void Echo(Socket socket, byte[] frame, byte[] answer)
    {
        for (int i = 0; i < Messages; i++)
        {
            for (int sent = 0; sent < frame.Length;)
            {
                sent += socket.Send(frame.AsSpan(sent));
            }

            for (int got = 0; got < answer.Length;)
            {
                int n = socket.Receive(answer.AsSpan(got));
                got += n > 0 ? n : throw new InvalidOperationException("The server has hung up.");
            }
        }
    }
}
