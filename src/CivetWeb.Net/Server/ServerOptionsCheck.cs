using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>
/// Checks the options of a server before anything is opened, all of them, so that one exception lists everything that is wrong.
/// Messages name the property and not the option of CivetWeb behind it.
/// </summary>
internal sealed class ServerOptionsCheck
{
    private const int MaxThreads = 65536;
    private const UnixFileMode Permissions = (UnixFileMode)0x1FF; // rwxrwxrwx
    private static readonly TimeSpan MaxTime = TimeSpan.FromMilliseconds(int.MaxValue);
    private static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(int.MaxValue);

    /// <summary>Options of CivetWeb, or of the callback API, and the property that stands for them.</summary>
    private static readonly Dictionary<string, string> Properties = new()
    {
        ["listening_ports"] = nameof(CivetWebServerOptions.Listen),
        ["num_threads"] = $"{nameof(CivetWebServerOptions.MaxConnections)} and {nameof(CivetWebServerOptions.ReservedHttpThreads)}",
        ["request_timeout_ms"] = nameof(CivetWebServerOptions.RequestHeadersTimeout),
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
    /// What CivetWeb would do with requests that nobody has handled. The server handles every request, so these would do nothing,
    /// and a password that is never asked for is worse than an error.
    /// </summary>
    private static readonly HashSet<string> WithoutEffect =
    [
        "document_root", "enable_webdav", "protect_uri", "global_auth_file", "put_delete_auth_file", "error_pages", "url_rewrite_patterns",
        "access_control_allow_origin", "access_control_allow_methods", "access_control_allow_headers",
    ];

    private readonly CivetWebServerOptions _options;
    private readonly OptionErrors _errors = new();

    private ServerOptionsCheck(CivetWebServerOptions options) => _options = options;

    /// <summary>Checks the options.</summary>
    /// <returns>What to listen on.</returns>
    /// <exception cref="ArgumentException">Options are not valid; the message names each with its value and what is allowed.</exception>
    public static ListenPlan Run(CivetWebServerOptions options)
    {
        var check = new ServerOptionsCheck(options);
        ListenPlan? plan = check.ReadListen();
        check.CheckRawOptions();
        check.CheckNumbers();
        check.CheckTimes();
        check.CheckUnixSockets(plan);
        check.CheckAddresses();
        check.CheckProxyProtocol(plan);
        WebSocketSettings.Check(options.WebSockets, $"{nameof(options.WebSockets)}.", check._errors);
        check.CheckTls(plan);
        check._errors.ThrowIfAny();
        return plan!;
    }

    /// <summary>Null when an entry is not valid.</summary>
    private ListenPlan? ReadListen()
    {
        foreach ((OptionList entries, string property) in ((OptionList, string)[])
            [(_options.Listen, nameof(_options.Listen)), (_options.RedirectToHttps, nameof(_options.RedirectToHttps))])
        {
            foreach (string entry in entries)
            {
                _errors.Collect(() => ListenEntry.Parse(entry, property));
            }
        }

        return _errors.IsEmpty ? _errors.Collect(() => ListenPlan.Create(_options)) : null;
    }

    private void CheckNumbers()
    {
        CheckRange(_options.MaxConnections, nameof(_options.MaxConnections), 1, MaxThreads - 1);
        CheckRange(_options.ReservedHttpThreads, nameof(_options.ReservedHttpThreads), 1, MaxThreads - 1);
        if (_options is { MaxConnections: > 0 and < MaxThreads, ReservedHttpThreads: > 0 and < MaxThreads }
            && _options.MaxConnections + _options.ReservedHttpThreads > MaxThreads)
        {
            _errors.Add(
                $"CivetWebServerOptions.MaxConnections is {_options.MaxConnections} and ReservedHttpThreads is {_options.ReservedHttpThreads}, but together they must be at most {MaxThreads}: each is a thread.");
        }

        CheckRange(_options.MaxConnectionsPerAddress ?? 1, nameof(_options.MaxConnectionsPerAddress), 1, MaxThreads - 1);
        CheckRange(_options.MaxRequestHeadSize, nameof(_options.MaxRequestHeadSize), 1024, 1024 * 1024);
        CheckRange(_options.MaxRequestBodySize ?? 0, nameof(_options.MaxRequestBodySize), 0, long.MaxValue);
        CheckRange(_options.MinRequestBodyRate, nameof(_options.MinRequestBodyRate), 0, int.MaxValue);
        CheckRange(_options.ListenBacklog, nameof(_options.ListenBacklog), 1, ushort.MaxValue);
        CheckRange(_options.HttpsRedirectPort ?? 1, nameof(_options.HttpsRedirectPort), 1, ushort.MaxValue);
    }

    private void CheckTimes()
    {
        CheckTime(_options.RequestHeadersTimeout, nameof(_options.RequestHeadersTimeout), TimeSpan.FromMilliseconds(1), MaxTime);
        CheckTime(_options.WriteTimeout, nameof(_options.WriteTimeout), TimeSpan.FromMilliseconds(1), MaxTime);
        CheckTime(_options.KeepAliveTimeout, nameof(_options.KeepAliveTimeout), TimeSpan.Zero, MaxTime);
        CheckTime(_options.ShutdownTimeout, nameof(_options.ShutdownTimeout), TimeSpan.Zero, MaxTime);
        CheckTime(_options.StaticFileMaxAge, nameof(_options.StaticFileMaxAge), TimeSpan.Zero, MaxAge);
    }

    private void CheckRawOptions()
    {
        foreach ((string name, string value) in _options.DangerousRawOptions)
        {
            if (Properties.TryGetValue(name, out string? property))
            {
                _errors.Add($"CivetWebServerOptions.DangerousRawOptions has '{name}'; use CivetWebServerOptions.{property} instead.");
            }
            else if (WithoutEffect.Contains(name))
            {
                _errors.Add($"CivetWebServerOptions.DangerousRawOptions has '{name}', which would do nothing: the server answers every request itself.");
            }
            else
            {
                _errors.Collect(() => ServerSettings.CheckOption(name, value));
            }
        }
    }

    private void CheckUnixSockets(ListenPlan? plan)
    {
        if (_options.UnixSocketMode is { } mode)
        {
            if ((mode & ~Permissions) != 0)
            {
                _errors.Add($"CivetWebServerOptions.UnixSocketMode is {mode}, but it must consist of read, write and execute for user, group and others.");
            }

            if (OperatingSystem.IsWindows())
            {
                _errors.Add("CivetWebServerOptions.UnixSocketMode has no effect on Windows: leave it unset there.");
            }
        }

        if (_options.AllowedAddresses.Count > 0 && plan?.Bindings.FirstOrDefault(binding => binding.Address is null) is { } socket)
        {
            _errors.Add(
                $"CivetWebServerOptions.AllowedAddresses would shut everybody out of '{socket.Entry.Text}': clients of a Unix domain socket have no addresses. Use UnixSocketMode there, and a second server for the addresses.");
        }
    }

    private void CheckAddresses()
    {
        foreach (string entry in _options.AllowedAddresses)
        {
            if (entry is null || !SocketAddresses.TryParseNetwork(entry, out _))
            {
                _errors.Add(
                    $"'{entry}' in CivetWebServerOptions.AllowedAddresses is not an IPv4 or IPv6 address, and not a subnet such as 10.0.0.0/8 (without bits beyond its prefix).");
            }
        }

        foreach (string entry in _options.AllowedHosts)
        {
            if (!HostPolicy.IsEntry(entry))
            {
                _errors.Add($"'{entry}' in CivetWebServerOptions.AllowedHosts is not {HostPolicy.Allowed}.");
            }
        }

        foreach (string entry in _options.TrustedProxies)
        {
            if (!IsProxy(entry))
            {
                _errors.Add(
                    $"'{entry}' in CivetWebServerOptions.TrustedProxies is not an IPv4 or IPv6 address, not a subnet such as 10.0.0.0/8 (without bits beyond its prefix), and not 'unix'.");
            }
        }
    }

    private void CheckProxyProtocol(ListenPlan? plan)
    {
        if (_options.ProxyProtocol && _options.TrustedProxies.Count == 0)
        {
            _errors.Add("CivetWebServerOptions.ProxyProtocol is true, but TrustedProxies does not say whose PROXY headers to believe.");
        }

        if (_options.ProxyProtocol && plan?.UsesTls == true)
        {
            _errors.Add(
                "CivetWebServerOptions.ProxyProtocol is true, which cannot be combined with https in Listen: the PROXY header comes before the TLS handshake. Let the proxy do the TLS.");
        }
    }

    private void CheckTls(ListenPlan? plan)
    {
        if (_options.Tls is { } tls)
        {
            TlsOptionsCheck.Check(tls, _errors);
        }

        if (plan is null)
        {
            return; // nobody knows whether TLS is needed
        }

        if (plan.UsesTls && _options.Tls is null && !_options.DangerousRawOptions.ContainsKey("ssl_certificate"))
        {
            string entry = _options.Listen.First(text => text.StartsWith("https:", StringComparison.OrdinalIgnoreCase) || text.StartsWith("wss:", StringComparison.OrdinalIgnoreCase));
            _errors.Add($"'{entry}' in CivetWebServerOptions.Listen needs a certificate: set CivetWebServerOptions.Tls.");
        }

        TlsOptionsCheck.CheckUse(_options, plan.UsesTls, _errors);
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

    private void CheckRange(long value, string property, long lowest, long highest)
    {
        if (value < lowest || value > highest)
        {
            _errors.Add(string.Create(CultureInfo.InvariantCulture, $"CivetWebServerOptions.{property} is {value}, but it must be from {lowest} to {highest}."));
        }
    }

    private void CheckTime(TimeSpan value, string property, TimeSpan lowest, TimeSpan highest)
    {
        if (value < lowest || value > highest)
        {
            _errors.Add($"CivetWebServerOptions.{property} is {value}, but it must be from {lowest} to {highest}.");
        }
    }
}
