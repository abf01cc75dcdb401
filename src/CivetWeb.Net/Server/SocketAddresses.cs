using System.Net;
using System.Net.Sockets;

namespace CivetWeb.Net;

/// <summary>Addresses as CivetWeb writes them, as end points.</summary>
internal static class SocketAddresses
{
    /// <summary>A Unix domain socket whose path is not known; CivetWeb's "*".</summary>
    public static EndPoint Unix { get; } = new UnixDomainSocketEndPoint("*");

    public static EndPoint Parse(string address, int port) =>
        IPAddress.TryParse(address, out IPAddress? ip) ? new IPEndPoint(ip, port) : Unix;
}
