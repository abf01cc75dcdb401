using System;
using System.Collections.Generic;
using System.Globalization;
using System.Net;

namespace CivetWeb.Net.Core;

/// <summary>The proxies whose word about a client's address is taken (option <c>trusted_proxies</c>).</summary>
internal sealed class TrustedProxies
{
    private readonly List<IPNetwork> _networks = [];
    private bool _unix;

    private TrustedProxies()
    {
    }

    /// <summary>Reads the option; null when it names nobody.</summary>
    /// <exception cref="ArgumentException">An entry is not valid.</exception>
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
            else if (SocketAddresses.TryParseNetwork(entry, out IPNetwork network))
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
        if (address == SocketAddresses.UnixText)
        {
            return _unix;
        }

        int scope = address.IndexOf('%', StringComparison.Ordinal);
        return SocketAddresses.TryParseAddress(scope < 0 ? address : address.AsSpan(0, scope), out IPAddress ip) && Contains(ip);
    }

    /// <summary>
    /// The client's address by the X-Forwarded-For headers: from the right, the first that is not one of our proxies. What is
    /// left of it is hearsay.
    /// </summary>
    /// <param name="headers">The headers.</param>
    /// <param name="client">Null when the proxy says nothing.</param>
    /// <returns>False when one of our proxies names a client by something that is not an address: then the client is unknown.</returns>
    public bool TryFindClient(KeyValuePair<string, string>[] headers, out string? client)
    {
        client = null;
        for (int i = headers.Length - 1; i >= 0; i--)
        {
            if (!string.Equals(headers[i].Key, "X-Forwarded-For", StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            ReadOnlySpan<char> rest = headers[i].Value;
            int comma;
            do
            {
                comma = rest.LastIndexOf(',');
                ReadOnlySpan<char> node = rest[(comma + 1)..].Trim(" \t");
                rest = rest[..Math.Max(comma, 0)];
                if (node.IsEmpty)
                {
                    continue; // RFC 9110, section 5.6.1.2
                }

                if (!TryParseNode(node, out IPAddress address))
                {
                    return false;
                }

                client = address.ToString();
                if (!Contains(address))
                {
                    return true;
                }
            }
            while (comma >= 0);
        }

        return true;
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

        return SocketAddresses.TryParseAddress(host, out address) && ushort.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out _);
    }
}
