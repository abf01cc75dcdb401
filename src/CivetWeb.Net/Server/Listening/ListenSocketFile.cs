using System;
using System.IO;
using System.Net.Sockets;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net;

/// <summary>The file of a Unix domain socket: what a program that was killed has left behind stands in the way of the next.</summary>
internal static class ListenSocketFile
{
    /// <summary>Removes a socket that nobody listens on.</summary>
    /// <returns>Whether there was one.</returns>
    /// <exception cref="ArgumentException">There is something else of that name.</exception>
    /// <exception cref="SocketException">Somebody listens there, or it cannot be found out.</exception>
    public static bool RemoveStale(ListenEntry entry)
    {
        switch (SocketFile.IsSocket(entry.Path))
        {
            case null:
                return false;
            case false:
                throw OptionError.Create($"'{entry.Text}' in CivetWebServerOptions.Listen: the path exists and is not a socket. It is left alone; choose another path.");
        }

        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(entry.Path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            File.Delete(entry.Path);
            return true;
        }
        catch (SocketException e)
        {
            throw new SocketException((int)e.SocketErrorCode, $"'{entry.Text}': there is a socket that may be in use: {e.Message}");
        }

        throw new SocketException((int)SocketError.AddressAlreadyInUse, $"'{entry.Text}': another program listens there.");
    }
}
