using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>
/// From the options of a server to CivetWeb's. Everything is checked here first, so that a message names the property and
/// not the option of CivetWeb behind it.
/// </summary>
internal static class ServerOptionsReader
{
    private const int MostThreads = 65536;
    private const UnixFileMode Permissions = (UnixFileMode)0x1FF; // rwxrwxrwx
    private static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(int.MaxValue);
    private static readonly TimeSpan LongestAge = TimeSpan.FromSeconds(int.MaxValue);

    /// <summary>Options of CivetWeb, or of the callback API, and the property that stands for them.</summary>
    private static readonly Dictionary<string, string> Properties = new()
    {
        ["listening_ports"] = nameof(CivetWebServerOptions.Listen),
        ["num_threads"] = $"{nameof(CivetWebServerOptions.MaxConnections)} and {nameof(CivetWebServerOptions.ReservedHttpThreads)}",
        ["request_timeout_ms"] = nameof(CivetWebServerOptions.RequestTimeout),
        ["enable_keep_alive"] = nameof(CivetWebServerOptions.KeepAliveTimeout),
        ["keep_alive_timeout_ms"] = nameof(CivetWebServerOptions.KeepAliveTimeout),
        ["max_request_size"] = nameof(CivetWebServerOptions.MaxRequestHeadSize),
        ["listen_backlog"] = nameof(CivetWebServerOptions.ListenBacklog),
        ["access_control_list"] = nameof(CivetWebServerOptions.AllowedAddresses),
        ["allowed_hosts"] = nameof(CivetWebServerOptions.AllowedHosts),
        ["static_file_max_age"] = nameof(CivetWebServerOptions.StaticFileMaxAge),
        ["trusted_proxies"] = nameof(CivetWebServerOptions.TrustedProxies),
        ["proxy_protocol"] = nameof(CivetWebServerOptions.ProxyProtocol),
        ["error_log_file"] = nameof(CivetWebServerOptions.LoggerFactory),
        ["websocket_max_connections"] = nameof(CivetWebServerOptions.MaxConnections),
        ["websocket_max_connections_per_address"] = nameof(CivetWebServerOptions.MaxConnectionsPerAddress),
        ["websocket_max_message_size"] = $"{nameof(CivetWebServerOptions.WebSockets)}.{nameof(WebSocketEndpointOptions.MaxMessageSize)}",
        ["websocket_ping_interval_ms"] = $"{nameof(CivetWebServerOptions.WebSockets)}.{nameof(WebSocketEndpointOptions.KeepAliveInterval)}",
        ["websocket_timeout_ms"] = $"{nameof(CivetWebServerOptions.WebSockets)}.{nameof(WebSocketEndpointOptions.KeepAliveInterval)}",
        ["enable_websocket_ping_pong"] = $"{nameof(CivetWebServerOptions.WebSockets)}.{nameof(WebSocketEndpointOptions.KeepAliveInterval)}",
        ["websocket_pong_timeout_ms"] = $"{nameof(CivetWebServerOptions.WebSockets)}.{nameof(WebSocketEndpointOptions.KeepAliveTimeout)}",
        ["websocket_send_timeout_ms"] = $"{nameof(CivetWebServerOptions.WebSockets)}.{nameof(WebSocketEndpointOptions.SendTimeout)}",
        ["websocket_close_timeout_ms"] = $"{nameof(CivetWebServerOptions.WebSockets)}.{nameof(WebSocketEndpointOptions.CloseTimeout)}",
        ["websocket_allowed_origins"] = $"{nameof(CivetWebServerOptions.WebSockets)}.{nameof(WebSocketEndpointOptions.AllowedOrigins)}",
    };

    /// <summary>
    /// What CivetWeb would do with requests that nobody has handled. The server handles all, so these would do nothing, and
    /// a password that is not asked for is worse than an error.
    /// </summary>
    private static readonly HashSet<string> WithoutEffect =
    [
        "document_root", "enable_webdav", "protect_uri", "global_auth_file", "put_delete_auth_file", "error_pages", "url_rewrite_patterns",
        "access_control_allow_origin", "access_control_allow_methods", "access_control_allow_headers",
    ];

    /// <summary>Checks all that is not about addresses.</summary>
    /// <exception cref="ArgumentException">An option is wrong; the message names the property, its value and what is allowed.</exception>
    public static void Check(CivetWebServerOptions options, ListenPlan plan)
    {
        CheckRawOptions(options.DangerousRawOptions);
        CheckRange(options.MaxConnections, nameof(options.MaxConnections), 1, MostThreads - 1);
        CheckRange(options.ReservedHttpThreads, nameof(options.ReservedHttpThreads), 1, MostThreads - 1);
        if (options.MaxConnections + options.ReservedHttpThreads > MostThreads)
        {
            throw OptionError.Create(
                $"CivetWebServerOptions.MaxConnections is {options.MaxConnections} and ReservedHttpThreads is {options.ReservedHttpThreads}, but together they must be at most {MostThreads}: each is a thread.");
        }

        CheckRange(options.MaxConnectionsPerAddress ?? 1, nameof(options.MaxConnectionsPerAddress), 1, MostThreads - 1);
        CheckRange(options.MaxRequestHeadSize, nameof(options.MaxRequestHeadSize), 1024, 1024 * 1024);
        CheckRange(options.MaxRequestBodySize ?? 0, nameof(options.MaxRequestBodySize), 0, long.MaxValue);
        CheckRange(options.MinRequestBodyRate, nameof(options.MinRequestBodyRate), 0, int.MaxValue);
        CheckRange(options.ListenBacklog, nameof(options.ListenBacklog), 1, ushort.MaxValue);
        CheckRange(options.HttpsRedirectPort ?? 1, nameof(options.HttpsRedirectPort), 1, ushort.MaxValue);
        CheckTime(options.RequestTimeout, nameof(options.RequestTimeout), TimeSpan.FromMilliseconds(1), Longest);
        CheckTime(options.ResponseTimeout, nameof(options.ResponseTimeout), TimeSpan.FromMilliseconds(1), Longest);
        CheckTime(options.KeepAliveTimeout, nameof(options.KeepAliveTimeout), TimeSpan.Zero, Longest);
        CheckTime(options.ShutdownTimeout, nameof(options.ShutdownTimeout), TimeSpan.Zero, Longest);
        CheckTime(options.StaticFileMaxAge, nameof(options.StaticFileMaxAge), TimeSpan.Zero, LongestAge);
        CheckUnixSockets(options, plan);
        CheckAccess(options);
        CheckProxies(options, plan);
        if (plan.UsesTls && !HasTls(options))
        {
            string entry = options.Listen.First(text => text.StartsWith("https:", StringComparison.OrdinalIgnoreCase) || text.StartsWith("wss:", StringComparison.OrdinalIgnoreCase));
            throw OptionError.Create($"'{entry}' in CivetWebServerOptions.Listen needs a certificate: set CivetWebServerOptions.Tls.");
        }

        TlsOptionsCheck.CheckUse(options, plan.UsesTls);
    }

    /// <summary>What CivetWeb is told.</summary>
    public static Dictionary<string, string> Read(CivetWebServerOptions options, ListenPlan plan)
    {
        var native = new Dictionary<string, string>
        {
            ["listening_ports"] = plan.ToNative(),
            ["num_threads"] = Text(options.MaxConnections + options.ReservedHttpThreads),
            ["websocket_max_connections"] = Text(options.MaxConnections),
            ["websocket_max_connections_per_address"] = Text(options.MaxConnectionsPerAddress ?? options.MaxConnections),
            ["request_timeout_ms"] = Text((long)options.RequestTimeout.TotalMilliseconds),
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

    private static bool HasTls(CivetWebServerOptions options) => options.Tls is not null || options.DangerousRawOptions.ContainsKey("ssl_certificate");

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

    private static void CheckRawOptions(IDictionary<string, string> raw)
    {
        foreach (string name in raw.Keys)
        {
            if (Properties.TryGetValue(name, out string? property))
            {
                throw OptionError.Create($"CivetWebServerOptions.DangerousRawOptions has '{name}'; use CivetWebServerOptions.{property} instead.");
            }

            if (WithoutEffect.Contains(name))
            {
                throw OptionError.Create(
                    $"CivetWebServerOptions.DangerousRawOptions has '{name}', which would do nothing: the server answers every request itself.");
            }
        }
    }

    private static void CheckUnixSockets(CivetWebServerOptions options, ListenPlan plan)
    {
        if (options.UnixSocketMode is { } mode)
        {
            if ((mode & ~Permissions) != 0)
            {
                throw OptionError.Create($"CivetWebServerOptions.UnixSocketMode is {mode}, but it must be made of read, write and execute for user, group and others.");
            }

            if (OperatingSystem.IsWindows())
            {
                throw OptionError.Create("CivetWebServerOptions.UnixSocketMode has no meaning on Windows.");
            }
        }

        if (options.AllowedAddresses.Count > 0 && plan.Bindings.FirstOrDefault(binding => binding.Address is null) is { } socket)
        {
            throw OptionError.Create(
                $"CivetWebServerOptions.AllowedAddresses would keep everybody out of '{socket.Entry.Text}': clients of a Unix domain socket have no addresses. Use UnixSocketMode there, and another server.");
        }
    }

    private static void CheckAccess(CivetWebServerOptions options)
    {
        foreach (string entry in options.AllowedAddresses)
        {
            if (entry is null || !SocketAddresses.TryParseNetwork(entry, out _))
            {
                throw OptionError.Create(
                    $"'{entry}' in CivetWebServerOptions.AllowedAddresses is not an IPv4 or IPv6 address, and not a subnet such as 10.0.0.0/8 (without bits beyond its prefix).");
            }
        }

        foreach (string entry in options.AllowedHosts)
        {
            if (!HostPolicy.IsEntry(entry))
            {
                throw OptionError.Create($"'{entry}' in CivetWebServerOptions.AllowedHosts is not {HostPolicy.Allowed}.");
            }
        }
    }

    private static void CheckProxies(CivetWebServerOptions options, ListenPlan plan)
    {
        foreach (string entry in options.TrustedProxies)
        {
            if (!IsProxy(entry))
            {
                throw OptionError.Create(
                    $"'{entry}' in CivetWebServerOptions.TrustedProxies is not an IPv4 or IPv6 address, not a subnet such as 10.0.0.0/8 (without bits beyond its prefix), and not 'unix'.");
            }
        }

        if (!options.ProxyProtocol)
        {
            return;
        }

        if (options.TrustedProxies.Count == 0)
        {
            throw OptionError.Create("CivetWebServerOptions.ProxyProtocol is true, but TrustedProxies does not say whose PROXY headers are to be believed.");
        }

        if (plan.UsesTls)
        {
            throw OptionError.Create(
                "CivetWebServerOptions.ProxyProtocol is true, which does not go with https in Listen: the PROXY header comes before the TLS handshake. Let the proxy do the TLS.");
        }
    }

    private static bool IsProxy(string? entry)
    {
        if (string.IsNullOrWhiteSpace(entry) || entry.Contains(','))
        {
            return false;
        }

        try
        {
            return TrustedProxies.Parse(entry) is not null;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    private static void CheckRange(long value, string property, long lowest, long highest)
    {
        if (value < lowest || value > highest)
        {
            throw OptionError.Create($"CivetWebServerOptions.{property} is {Text(value)}, but it must be from {Text(lowest)} to {Text(highest)}.");
        }
    }

    private static void CheckTime(TimeSpan value, string property, TimeSpan lowest, TimeSpan highest)
    {
        if (value < lowest || value > highest)
        {
            throw OptionError.Create($"CivetWebServerOptions.{property} is {value}, but it must be from {lowest} to {highest}.");
        }
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
