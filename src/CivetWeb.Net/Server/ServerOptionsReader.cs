using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>From the options of a server, once <see cref="ServerOptionsCheck"/> has found nothing wrong, to those of CivetWeb.</summary>
internal static class ServerOptionsReader
{
    /// <summary>What CivetWeb is told.</summary>
    public static Dictionary<string, string> Read(CivetWebServerOptions options, ListenPlan plan)
    {
        var native = new Dictionary<string, string>
        {
            ["listening_ports"] = plan.ToNative(),
            ["num_threads"] = Text(options.MaxConnections + options.ReservedHttpThreads),
            ["websocket_max_connections"] = Text(options.MaxConnections),
            ["websocket_max_connections_per_address"] = Text(options.MaxConnectionsPerAddress ?? options.MaxConnections),
            ["request_timeout_ms"] = Text((long)options.RequestHeadersTimeout.TotalMilliseconds),
            ["enable_keep_alive"] = KeepsAlive(options) ? "yes" : "no",
            ["enable_auth_domain_check"] = "no", // or GET http://this.server/ is for somebody else
            ["max_request_size"] = Text(options.MaxRequestHeadSize),
            ["listen_backlog"] = Text(options.ListenBacklog),
            ["static_file_max_age"] = Text((long)options.StaticFileMaxAge.TotalSeconds),
        };
        if (KeepsAlive(options))
        {
            native["keep_alive_timeout_ms"] = Text((long)options.KeepAliveTimeout.TotalMilliseconds);
        }

        if (options.TrustedProxies.Count > 0)
        {
            native["trusted_proxies"] = string.Join(',', options.TrustedProxies);
            native["proxy_protocol"] = options.ProxyProtocol ? "yes" : "no";
        }

        if (options.AllowedAddresses.Count > 0)
        {
            native["access_control_list"] = string.Join(',', options.AllowedAddresses.SelectMany(ToAccessList));
        }

        if (options.AllowedHosts.Count > 0)
        {
            native["allowed_hosts"] = string.Join(',', options.AllowedHosts);
        }

        foreach ((string name, string value) in options.DangerousRawOptions)
        {
            native[name] = value;
        }

        return native;
    }

    private static bool KeepsAlive(CivetWebServerOptions options) => options.KeepAliveTimeout >= TimeSpan.FromMilliseconds(1);

    /// <summary>CivetWeb's "+address/prefix". A socket for both families shows IPv4 clients as IPv6 addresses.</summary>
    private static IEnumerable<string> ToAccessList(string entry)
    {
        _ = SocketAddresses.TryParseNetwork(entry, out IPNetwork network); // it has been checked
        if (network.BaseAddress.AddressFamily == AddressFamily.InterNetworkV6)
        {
            yield return $"+[{network.BaseAddress}]/{Text(network.PrefixLength)}";
            yield break;
        }

        yield return $"+{network.BaseAddress}/{Text(network.PrefixLength)}";
        yield return $"+[{network.BaseAddress.MapToIPv6()}]/{Text(network.PrefixLength + 96)}";
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
