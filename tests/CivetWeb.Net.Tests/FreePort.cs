using System;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace CivetWeb.Net.Tests;

/// <summary>
/// For the few tests that have to know a port before it is opened. Below those that systems give to whoever asks for any
/// port: between the choice and the use nobody takes it.
/// </summary>
internal static class FreePort
{
    public static int Choose()
    {
        for (int attempt = 0; attempt < 100; attempt++)
        {
            int port = RandomNumberGenerator.GetInt32(20_000, 32_000);
            try
            {
                using var probe = new TcpListener(IPAddress.IPv6Any, port);
                probe.Server.DualMode = true;
                probe.Start();
                return port;
            }
            catch (SocketException)
            {
                // in use
            }
        }

        throw new InvalidOperationException("There is no free port from 20000 to 31999.");
    }
}
