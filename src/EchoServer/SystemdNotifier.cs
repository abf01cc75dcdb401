using System;
using System.Net.Sockets;
using System.Text;

namespace CivetWeb.Net.EchoServer;

/// <summary>Tells the service manager how we are, if it asks for it (sd_notify(3)): one datagram to $NOTIFY_SOCKET.</summary>
internal static class SystemdNotifier
{
    /// <summary>Sends a state, such as <c>READY=1</c>. A manager that cannot be told does not stop the server.</summary>
    public static void Notify(string state)
    {
        string? address = Environment.GetEnvironmentVariable("NOTIFY_SOCKET");
        if (string.IsNullOrEmpty(address))
        {
            return;
        }

        try
        {
            // A leading @ stands for the NUL of Linux's abstract addresses.
            var manager = new UnixDomainSocketEndPoint(address[0] == '@' ? $"\0{address[1..]}" : address);
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { SendTimeout = 5000 };
            socket.SendTo(Encoding.UTF8.GetBytes(state), manager);
        }
        catch (Exception e) when (e is SocketException or ArgumentException or PlatformNotSupportedException)
        {
            Terminal.Error($"NOTIFY_SOCKET is '{address}', but nobody can be told there: {e.Message}");
        }
    }
}
