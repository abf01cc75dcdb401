using System;
using System.Collections.Generic;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace CivetWeb.Net;

/// <summary>The proxies whose word about a client's address is taken (option <c>trusted_proxies</c>).</summary>
internal sealed class TrustedProxies
{
    /// <summary>What CivetWeb calls the peer on a Unix domain socket.</summary>
    private const string UnixPeer = "*";

    private readonly List<IPNetwork> _networks = [];
    private bool _unix;

    private TrustedProxies()
    {
    }

    /// <summary>Reads the option; null when it names nobody.</summary>
    /// <exception cref="ArgumentException">An entry that is none.</exception>
    public static TrustedProxies? Parse(string? value)
    {
        if (string.IsNullOrWhiteSpace(value))
        {
            return null;
        }

        var proxies = new TrustedProxies();
        foreach (string entry in value.Split(',', StringSplitOptions.TrimEntries))
        {
            if (entry == "unix")
            {
                proxies._unix = true;
            }
            else if (TryParseNetwork(entry, out IPNetwork network))
            {
                proxies._networks.Add(network);
            }
            else
            {
                throw OptionError.Create(
                    $"Option 'trusted_proxies' is '{value}', but '{entry}' is not an IPv4 or IPv6 address, not a subnet such as 10.0.0.0/8 (without bits beyond its prefix), and not 'unix'.");
            }
        }

        return proxies;
    }

    /// <summary>Whether it is one of them: an address as CivetWeb writes it.</summary>
    public bool Contains(string address)
    {
        if (address == UnixPeer)
        {
            return _unix;
        }

        int scope = address.IndexOf('%', StringComparison.Ordinal);
        return TryParseAddress(scope < 0 ? address : address.AsSpan(0, scope), out IPAddress ip) && Contains(ip);
    }

    /// <summary>
    /// The client's address by the X-Forwarded-For headers: from the right, the first that is no proxy of ours. What is
    /// left of it is hearsay. Null when there is nothing usable.
    /// </summary>
    public string? FindClient(KeyValuePair<string, string>[] headers)
    {
        IPAddress? client = null;
        for (int i = headers.Length - 1; i >= 0; i--)
        {
            if (!string.Equals(headers[i].Key, "X-Forwarded-For", StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            ReadOnlySpan<char> rest = headers[i].Value;
            while (true)
            {
                int comma = rest.LastIndexOf(',');
                if (!TryParseNode(rest[(comma + 1)..].Trim(" \t"), out IPAddress address))
                {
                    return client?.ToString();
                }

                client = address;
                if (!Contains(address))
                {
                    return client.ToString();
                }

                if (comma < 0)
                {
                    break;
                }

                rest = rest[..comma];
            }
        }

        return client?.ToString();
    }

    private bool Contains(IPAddress address)
    {
        foreach (IPNetwork network in _networks)
        {
            if (network.Contains(address))
            {
                return true;
            }
        }

        return false;
    }

    private static bool TryParseNetwork(string entry, out IPNetwork network)
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
        if (prefix < 0 || prefix > bits || !IPNetwork.TryParse($"{address}/{prefix}", out network) || !network.BaseAddress.Equals(address))
        {
            return false;
        }

        return true;
    }

    /// <summary>One entry of X-Forwarded-For: an address, perhaps with a port; an IPv6 address perhaps in brackets.</summary>
    private static bool TryParseNode(ReadOnlySpan<char> node, out IPAddress address)
    {
        ReadOnlySpan<char> host = node;
        ReadOnlySpan<char> port = "0";
        if (node is ['[', ..])
        {
            int end = node.IndexOf(']');
            if (end < 0 || !node[..end].Contains(':'))
            {
                address = IPAddress.None;
                return false;
            }

            host = node[1..end];
            if (end + 1 < node.Length)
            {
                port = node[end + 1] == ':' ? node[(end + 2)..] : "";
            }
        }
        else if (node.Count(':') == 1)
        {
            int colon = node.IndexOf(':');
            host = node[..colon];
            port = node[(colon + 1)..];
        }

        return TryParseAddress(host, out address) && ushort.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out _);
    }

    private static bool TryParseAddress(ReadOnlySpan<char> text, out IPAddress address) => TryParseAddress(text, out address, out _);

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
