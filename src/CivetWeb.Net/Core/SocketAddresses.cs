using System;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace CivetWeb.Net.Core;

/// <summary>Addresses as CivetWeb writes them, as end points; addresses and subnets as options have them.</summary>
internal static class SocketAddresses
{
    /// <summary>What CivetWeb calls the peer on a Unix domain socket.</summary>
    public const string UnixText = "*";

    /// <summary>A Unix domain socket whose path is not known: a client's has none.</summary>
    public static EndPoint Unix { get; } = new UnixDomainSocketEndPoint("unix");

    /// <summary>The address for a reader.</summary>
    public static string ToDisplay(string address) => address == UnixText ? "unix" : address;

    /// <exception cref="FormatException">The text is not an address. Treating it as a local one would let in unknown clients.</exception>
    public static EndPoint Parse(string address, int port) =>
        address == UnixText ? Unix
        : IPAddress.TryParse(address, out IPAddress? ip) ? new IPEndPoint(ip, port)
        : throw new FormatException($"'{address}' is not an IP address.");

    /// <summary>127.0.0.0/8, also as an IPv6 address, and ::1.</summary>
    public static bool IsLoopback(IPAddress address) => IPAddress.IsLoopback(address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address);

    /// <summary>An address or a subnet, without bits beyond its prefix. An IPv4 address in IPv6 becomes one of IPv4.</summary>
    public static bool TryParseNetwork(string entry, out IPNetwork network)
    {
        network = default;
        int slash = entry.IndexOf('/', StringComparison.Ordinal);
        if (!TryParseAddress(slash < 0 ? entry : entry.AsSpan(0, slash), out IPAddress address, out bool mapped))
        {
            return false;
        }

        int bits = address.AddressFamily == AddressFamily.InterNetwork ? 32 : 128;
        int prefix = bits;
        if (slash >= 0)
        {
            if (!int.TryParse(entry.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out prefix))
            {
                return false;
            }

            prefix -= mapped ? 96 : 0;
        }

        // .NET clears bits beyond the prefix in silence; here they are a mistake.
        return prefix >= 0 && prefix <= bits && IPNetwork.TryParse($"{address}/{prefix}", out network) && network.BaseAddress.Equals(address);
    }

    /// <summary>An address without a zone. An IPv4 address in IPv6 becomes one of IPv4.</summary>
    public static bool TryParseAddress(ReadOnlySpan<char> text, out IPAddress address) => TryParseAddress(text, out address, out _);

    private static bool TryParseAddress(ReadOnlySpan<char> text, out IPAddress address, out bool mapped)
    {
        mapped = false;
        address = IPAddress.None;
        if (text.ContainsAny("[]%/") || !IPAddress.TryParse(text, out IPAddress? ip))
        {
            return false;
        }

        if (ip.AddressFamily == AddressFamily.InterNetwork)
        {
            address = ip;
            return text.SequenceEqual(ip.ToString()); // .NET also reads 127.1 and 0x7f000001
        }

        mapped = ip.IsIPv4MappedToIPv6;
        address = mapped ? ip.MapToIPv4() : ip;
        return true;
    }
}
