using System;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace CivetWeb.Net;

/// <summary>One socket a server listens on. An entry of Listen has one, or two for localhost.</summary>
internal sealed record ListenBinding
{
    public required ListenEntry Entry { get; init; }

    /// <summary>The address; null for a Unix domain socket.</summary>
    public required IPAddress? Address { get; init; }

    /// <summary>Whether an IPv6 socket takes IPv4 clients too.</summary>
    public bool IsDualStack { get; init; }

    /// <summary>As an entry of CivetWeb's <c>listening_ports</c>.</summary>
    public string ToNative(int port)
    {
        if (Address is null)
        {
            return "x" + Entry.Path;
        }

        string number = port.ToString(CultureInfo.InvariantCulture) + (Entry.IsTls ? "s" : "");
        return IsDualStack ? "+" + number
            : Address.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{Address}]:{number}"
            : $"{Address}:{number}";
    }

    public ServerEndPoint ToEndPoint(int port)
    {
        if (Address is null)
        {
            return Create(new UnixDomainSocketEndPoint(Entry.Path), new Uri("unix:" + Uri.EscapeDataString(Entry.Path).Replace("%2F", "/", StringComparison.Ordinal)));
        }

        string host = Entry.Host is ListenHost.Localhost ? "localhost"
            : IsDualStack ? "localhost"
            : Address.Equals(IPAddress.Any) ? "127.0.0.1"
            : Address.Equals(IPAddress.IPv6Any) ? "[::1]"
            : Address.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{Address}]"
            : Address.ToString();
        return Create(new IPEndPoint(Address, port), new Uri($"{(Entry.IsTls ? "https" : "http")}://{host}:{port.ToString(CultureInfo.InvariantCulture)}/"));
    }

    /// <summary>Whether a connection with this local address, on this binding's port, has come here.</summary>
    public bool Accepts(IPAddress local)
    {
        if (Address is null)
        {
            return false;
        }

        IPAddress plain = local.IsIPv4MappedToIPv6 ? local.MapToIPv4() : local;
        return IsDualStack
            || Address.Equals(plain)
            || (Address.AddressFamily == plain.AddressFamily && (Address.Equals(IPAddress.Any) || Address.Equals(IPAddress.IPv6Any)));
    }

    private ServerEndPoint Create(EndPoint endPoint, Uri uri) => new(endPoint, uri, Entry.IsTls, Entry.Redirects, Entry.Text);
}
