using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.Core;

/// <summary>
/// The options of a server, checked. CivetWeb itself takes most values unseen ("request_timeout_ms=abc"), and leaks its
/// listening sockets when a later one turns out wrong; so nothing reaches it that has not been looked at here.
/// </summary>
internal sealed class ServerSettings
{
    public const int DefaultThreads = 256;

    private const int MaxThreads = 65536;
    private const uint DefaultMaxMessageSize = 16 * 1024 * 1024;
    private const uint DefaultMaxQueueSize = 1024 * 1024;

    /// <summary>Names of our own; CivetWeb never sees them.</summary>
    private static readonly string[] OwnNames =
    [
        "websocket_max_message_size", "websocket_ping_interval_ms", "websocket_pong_timeout_ms", "websocket_frame_timeout_ms",
        "websocket_send_timeout_ms", "websocket_close_timeout_ms", "websocket_max_queue_size", "websocket_max_connections",
        "websocket_max_connections_per_address", "websocket_allowed_origins", "websocket_keep_thread", "trusted_proxies", "proxy_protocol",
        "allowed_hosts",
    ];

    /// <summary>Where CivetWeb's default serves the careless rather than the careful.</summary>
    private static readonly (string Name, string Value)[] Defaults =
    [
        ("num_threads", DefaultThreads.ToString(CultureInfo.InvariantCulture)),
        ("tcp_nodelay", "1"),
        ("request_timeout_ms", "10000"),
        ("listen_backlog", "1024"),
        ("enable_directory_listing", "no"),
        ("ssi_pattern", ""),
        ("access_control_allow_origin", ""),
        ("access_control_allow_methods", ""),
        ("access_control_allow_headers", ""),
    ];

    private readonly Dictionary<string, string> _values;
    private readonly OptionErrors _errors; // of whoever creates it, who throws

    private ServerSettings(Dictionary<string, string> values, bool hasCertificate, OptionErrors errors)
    {
        _values = values;
        _errors = errors;
        int threads = (int)Number("num_threads", DefaultThreads, 1, MaxThreads);
        Threads = threads;

        // What WebSockets may not take: threads for plain HTTP, and for telling a client that the server is full.
        int reserve = threads == 1 ? 0 : Math.Min(threads - 1, Math.Max(2, threads / 10));
        MaxConnections = (int)Number("websocket_max_connections", threads - reserve, 1, threads);
        MaxConnectionsPerAddress = (int)Number("websocket_max_connections_per_address", MaxConnections, 1, MaxThreads);
        Origins = errors.Collect(ReadOrigins);
        Hosts = errors.Collect(() => HostPolicy.Parse(values.GetValueOrDefault("allowed_hosts"))) ?? HostPolicy.Default;
        DecodesUrls = !values.TryGetValue("decode_url", out string? decode) || IsYes(decode);
        DecodesQueries = values.TryGetValue("decode_query_string", out string? decodeQuery) && IsYes(decodeQuery);
        UsesTls = errors.Collect(() => CheckPorts(values["listening_ports"], hasCertificate));
        TrustedProxies = errors.Collect(() => TrustedProxies.Parse(values.GetValueOrDefault("trusted_proxies")));
        ReadsProxyProtocol = errors.Collect(ReadProxyProtocol);
        Session = ReadSession();
        NativeOptions = ToNative();
    }

    /// <summary>How many threads serve connections.</summary>
    public int Threads { get; }

    /// <summary>How many WebSockets may be open at once.</summary>
    public int MaxConnections { get; }

    /// <summary>How many of them from one address.</summary>
    public int MaxConnectionsPerAddress { get; }

    public bool DecodesUrls { get; }

    public bool DecodesQueries { get; }

    public bool UsesTls { get; }

    /// <summary>Whose word about a client's address is taken; null: nobody's.</summary>
    public TrustedProxies? TrustedProxies { get; }

    /// <summary>Whether they begin every connection with a header of the PROXY protocol.</summary>
    public bool ReadsProxyProtocol { get; }

    /// <summary>Limits of every WebSocket.</summary>
    public cwn_session_options Session { get; }

    /// <summary>What goes to CivetWeb.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> NativeOptions { get; }

    /// <summary>Whose pages may open a WebSocket; null: everybody's.</summary>
    public OriginPolicy? Origins { get; }

    /// <summary>For which hosts requests are answered.</summary>
    public HostPolicy Hosts { get; }

    /// <summary>Checks the options.</summary>
    /// <param name="options">Names and values.</param>
    /// <param name="hasCertificate">Whether TLS ports get their certificate from elsewhere than option ssl_certificate.</param>
    /// <exception cref="ArgumentException">Unknown names or values out of range; the message names them all and says what is allowed.</exception>
    public static ServerSettings Parse(IEnumerable<KeyValuePair<string, string>> options, bool hasCertificate = false)
    {
        ArgumentNullException.ThrowIfNull(options);
        NativeLibraryLoader.EnsureLoaded();
        var values = new Dictionary<string, string>();
        var errors = new OptionErrors();
        foreach ((string name, string value) in options)
        {
            if (name is null || value is null)
            {
                errors.Add($"Option '{name ?? "(null)"}' has no value: names and values must not be null.");
            }
            else if (!values.TryAdd(name, value))
            {
                errors.Add($"Option '{name}' is given twice.");
            }
            else
            {
                errors.Collect(() => CheckOption(name, value));
            }
        }

        values.TryAdd("listening_ports", "8080");
        var settings = new ServerSettings(values, hasCertificate, errors);
        errors.ThrowIfAny();
        return settings;
    }

    /// <summary>Options as CivetWeb's C API takes them: name, value, name, value.</summary>
    /// <exception cref="ArgumentException">An odd number of strings.</exception>
    public static IEnumerable<KeyValuePair<string, string>> ToPairs(string[] options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Length % 2 != 0)
        {
            throw new ArgumentException($"Options come in pairs of name and value, but there are {options.Length} strings.", nameof(options));
        }

        return options.Chunk(2).Select(pair => KeyValuePair.Create(pair[0], pair[1]));
    }

    private static bool IsYes(string value) => string.Equals(value, "yes", StringComparison.OrdinalIgnoreCase);

    /// <summary>Checks one option by itself.</summary>
    /// <exception cref="ArgumentException">There is no such option, or its value is not valid.</exception>
    internal static void CheckOption(string name, string value)
    {
        NativeLibraryLoader.EnsureLoaded();
        if (value.Contains('\0'))
        {
            throw OptionError.Create($"The value of option '{name}' contains a NUL character.");
        }

        if (OwnNames.Contains(name))
        {
            return;
        }

        if (!ValidOptions.TryGetKind(name, out OptionKind kind))
        {
            throw OptionError.Create(
                $"There is no option '{name}'. Options are those of CivetWeb's UserManual and {string.Join(", ", OwnNames)}.");
        }

        if (name.StartsWith("cgi", StringComparison.Ordinal))
        {
            throw OptionError.Create($"Option '{name}' has no effect: this build of CivetWeb has no CGI.");
        }

        if (name == "run_as_user")
        {
            throw OptionError.Create("Option 'run_as_user' would change the user of the whole .NET process; start the process as that user instead.");
        }

        string? wanted = kind switch
        {
            OptionKind.Number when !int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number) || number < LowestNumber(name)
                => $"a whole number, at least {LowestNumber(name)}",
            OptionKind.YesOrNo when !IsYes(value) && value is not ("no" or "NO" or "No") => "'yes' or 'no'",
            OptionKind.YesNoOrOptional when value is not ("yes" or "no" or "optional") => "'yes', 'no' or 'optional'",
            OptionKind.Directory when name == "document_root" && !Directory.Exists(value) => "an existing directory",
            OptionKind.File when name.StartsWith("ssl_", StringComparison.Ordinal) && (!File.Exists(value) || SocketFile.IsRegular(value) == false) => "an existing file, not a pipe or a device",
            OptionKind.Text when name == "access_control_list" && !IsAccessList(value) => "a comma-separated list of +address or -address, each an IPv4 or [IPv6] address or subnet (without bits beyond its prefix)",
            _ => null,
        };
        if (wanted is null && name == "tcp_nodelay" && value is not ("0" or "1"))
        {
            wanted = "0 or 1";
        }

        if (wanted is not null)
        {
            throw OptionError.Create($"Option '{name}' is '{value}', but it must be {wanted}.");
        }
    }

    private static int LowestNumber(string name) => name switch
    {
        "linger_timeout_ms" => -2,
        "static_file_max_age" or "ssl_cache_timeout" or "strict_transport_security_max_age" => -1,
        "num_threads" or "connection_queue" or "listen_backlog" or "request_timeout_ms" => 1,
        "max_request_size" => 1024,
        _ => 0,
    };

    /// <summary>
    /// CivetWeb checks the list after it has opened the ports, and on a mistake never closes them again. And it takes
    /// 10.0.0.1/8 but never matches it: such a "-" would keep nobody out.
    /// </summary>
    private static bool IsAccessList(string value) => value.Split(',').All(entry =>
    {
        string text = entry.Trim();
        if (text.Length < 2 || text[0] is not ('+' or '-'))
        {
            return false;
        }

        string[] parts = text[1..].Split('/');
        string address = parts[0] is ['[', .. var inner, ']'] && inner.Contains(':') ? inner : parts[0];
        if (address.AsSpan().ContainsAny("[]%")
            || !IPAddress.TryParse(address, out IPAddress? ip)
            || (ip.AddressFamily == AddressFamily.InterNetwork && ip.ToString() != address))
        {
            return false; // .NET also reads 127.1 and 0x7f000001, CivetWeb does not
        }

        int bits = ip.AddressFamily == AddressFamily.InterNetwork ? 32 : 128;
        return parts.Length == 1
            || (parts.Length == 2
                && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int prefix)
                && prefix <= bits
                && new IPNetwork(ip, prefix).BaseAddress.Equals(ip));
    });

    /// <summary>Checks the ports (CivetWeb refuses all for one bad) and tells whether any of them needs TLS.</summary>
    private bool CheckPorts(string ports, bool hasCertificate)
    {
        bool redirect = false;
        bool secure = false;
        string[] entries = ports.Split(',', StringSplitOptions.TrimEntries);
        foreach (string entry in entries)
        {
            if (entry.StartsWith('x'))
            {
                CheckSocketPath(entry[1..]);
                continue;
            }

            string rest = entry.TrimStart('+');
            bool isRedirect = rest.EndsWith('r');
            bool isSecure = rest.EndsWith('s');
            redirect |= isRedirect;
            secure |= isSecure;
            rest = isRedirect || isSecure ? rest[..^1] : rest;
            string port = rest[(rest.LastIndexOf(':') + 1)..];
            if (!int.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out int number) || number > 65535
                || (port.Length > 1 && port[0] == '0')) // octal to CivetWeb
            {
                throw OptionError.Create(
                    $"'{entry}' in option 'listening_ports' is not a port: it must be [+][address:]number[s|r], with a number from 0 to 65535, or x followed by the path of a Unix domain socket.");
            }
        }

        bool tls = redirect || secure;
        if (tls && !hasCertificate && !_values.ContainsKey("ssl_certificate"))
        {
            throw OptionError.Create("A port of 'listening_ports' ends in s or r, which means TLS, but option 'ssl_certificate' (a PEM file with certificate and key) is missing.");
        }

        if (redirect && !secure)
        {
            throw OptionError.Create("A port of 'listening_ports' ends in r, which sends its clients to the first port that ends in s, but there is none.");
        }

        // CivetWeb looks no further than that for ports with TLS.
        if (!tls && Array.Find(entries, entry => entry.StartsWith('x') && HasDigitThenTlsMark(entry)) is { } misleading)
        {
            throw OptionError.Create(
                $"The Unix domain socket '{misleading}' in option 'listening_ports' needs another path: CivetWeb takes a digit followed by s or r for a TLS port.");
        }

        return tls;
    }

    private static bool HasDigitThenTlsMark(string entry)
    {
        for (int i = 1; i < entry.Length; i++)
        {
            if (entry[i] is 's' or 'r' && char.IsAsciiDigit(entry[i - 1]))
            {
                return true;
            }
        }

        return false;
    }

    private static void CheckSocketPath(string path)
    {
        const int MaxPathLength = 106; // sun_path has 108 bytes; CivetWeb leaves the last one free besides the NUL
        if (path.Length == 0 || System.Text.Encoding.UTF8.GetByteCount(path) > MaxPathLength)
        {
            throw OptionError.Create($"The Unix domain socket 'x{path}' in option 'listening_ports' needs a path of 1 to {MaxPathLength} bytes.");
        }
    }

    private OriginPolicy? ReadOrigins()
    {
        if (!_values.TryGetValue("websocket_allowed_origins", out string? text))
        {
            return null;
        }

        string[] origins = text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return Array.Find(origins, origin => !OriginPolicy.IsEntry(origin)) is { } wrong
            ? throw OptionError.Create($"Option 'websocket_allowed_origins' is '{text}', but '{wrong}' is not {OriginPolicy.Allowed}.")
            : new OriginPolicy(origins);
    }

    private bool ReadProxyProtocol()
    {
        if (!IsSet("proxy_protocol"))
        {
            return false;
        }

        if (TrustedProxies is null)
        {
            throw OptionError.Create("Option 'proxy_protocol' is 'yes', but option 'trusted_proxies' does not say whose PROXY headers are to be believed.");
        }

        // CivetWeb makes the TLS handshake before it can be told anything of the connection.
        return !UsesTls
            ? true
            : throw OptionError.Create(
                "Option 'proxy_protocol' is 'yes', which does not go with TLS ports in 'listening_ports' (those ending in s or r): the PROXY header comes before the TLS handshake. Let the proxy do the TLS.");
    }

    /// <summary>An option of our own that is 'yes' or 'no', which it is when it is not given.</summary>
    private bool IsSet(string name)
    {
        if (!_values.TryGetValue(name, out string? value))
        {
            return false;
        }

        return IsYes(value)
            || (value is "no" or "NO" or "No" ? false : throw OptionError.Create($"Option '{name}' is '{value}', but it must be 'yes' or 'no'."));
    }

    private cwn_session_options ReadSession()
    {
        // CivetWeb's own two options for its own ping-pong: the interval keeps its meaning, "no" still means none.
        uint interval = Number("websocket_timeout_ms", 30_000, 0, int.MaxValue);
        if (_values.TryGetValue("enable_websocket_ping_pong", out string? pingPong) && !IsYes(pingPong))
        {
            interval = 0;
        }

        return new cwn_session_options
        {
            size = cwn_session_options.Size,
            max_message_size = Number("websocket_max_message_size", DefaultMaxMessageSize, 1, int.MaxValue),
            ping_interval_ms = Number("websocket_ping_interval_ms", interval, 0, int.MaxValue),
            pong_timeout_ms = Number("websocket_pong_timeout_ms", 20_000, 0, int.MaxValue),
            frame_timeout_ms = Number("websocket_frame_timeout_ms", 20_000, 0, int.MaxValue),
            send_timeout_ms = Number("websocket_send_timeout_ms", 10_000, 0, int.MaxValue),
            close_timeout_ms = Number("websocket_close_timeout_ms", 5_000, 0, int.MaxValue),
            max_queue_size = Number("websocket_max_queue_size", DefaultMaxQueueSize, 0, int.MaxValue),
            keep_thread = _errors.Collect(() => IsSet("websocket_keep_thread")) ? 1u : 0u,
        };
    }

    private uint Number(string name, long defaultValue, long lowest, long highest)
    {
        if (!_values.TryGetValue(name, out string? text))
        {
            return (uint)defaultValue;
        }

        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) && value >= lowest && value <= highest)
        {
            return (uint)value;
        }

        // CheckOption may have said so of one of CivetWeb's own already.
        if (OwnNames.Contains(name) || int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number) && number >= LowestNumber(name))
        {
            _errors.Add($"Option '{name}' is '{text}', but it must be a whole number from {lowest} to {highest}.");
        }

        return (uint)defaultValue;
    }

    private List<KeyValuePair<string, string>> ToNative()
    {
        var native = new Dictionary<string, string>(_values);
        foreach (string name in OwnNames)
        {
            native.Remove(name);
        }

        foreach ((string name, string value) in Defaults)
        {
            native.TryAdd(name, value);
        }

        // The extension decodes paths itself, to see a %00 before it is the end of a string.
        native["decode_url"] = "no";
        native["decode_query_string"] = "no"; // the query as it was sent is needed too
        return [.. native];
    }
}
