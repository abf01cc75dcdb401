using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Sockets;

namespace CivetWeb.Net.Core;

/// <summary>
/// For which hosts a server answers (option <c>allowed_hosts</c>). A page of another site whose name is made to mean this
/// machine (DNS rebinding) has this server for its own; only the name it used tells.
/// </summary>
internal sealed class HostPolicy
{
    /// <summary>What an entry may be, for messages.</summary>
    public const string Allowed =
        "a host name in ASCII without a port, such as example.com, *.example.com for all names under it, an IPv4 address, an IPv6 address in brackets, or * for every host";

    private readonly HashSet<string>? _hosts;
    private readonly string[] _suffixes = [];

    private HostPolicy()
    {
    }

    private HostPolicy(IEnumerable<string> entries)
    {
        HashSet<string> hosts = [.. entries];
        IsEverything = hosts.Remove("*");
        _suffixes = [.. hosts.Where(host => host.StartsWith('*')).Select(host => host[1..])];
        _hosts = [.. hosts.Where(host => !host.StartsWith('*'))];
    }

    /// <summary>What holds unless something else is said: on loopback its names and addresses, elsewhere every host.</summary>
    public static HostPolicy Default { get; } = new();

    /// <summary>Whether this is what holds unless something else is said.</summary>
    public bool IsDefault => _hosts is null;

    /// <summary>Whether it lets every host pass, valid or not.</summary>
    public bool IsEverything { get; }

    /// <summary>Reads the option; null: it is not given.</summary>
    /// <exception cref="ArgumentException">An entry is not valid, or there are no entries.</exception>
    public static HostPolicy Parse(string? value)
    {
        if (value is null)
        {
            return Default;
        }

        var hosts = new List<string>();
        foreach (string entry in value.Split(',', StringSplitOptions.TrimEntries))
        {
            hosts.Add(ReadEntry(entry) ?? throw OptionError.Create($"Option 'allowed_hosts' is '{value}', but '{entry}' is not {Allowed}."));
        }

        return new HostPolicy(hosts);
    }

    /// <summary>Whether it can be an entry.</summary>
    public static bool IsEntry(string? entry) => entry is not null && ReadEntry(entry) is not null;

    /// <summary>0: the request may go on; otherwise the status of its refusal and the reason.</summary>
    /// <param name="hosts">All its Host headers.</param>
    /// <param name="target">Its target as the client sent it: with a host of its own when it is a whole URL (RFC 9112, section 3.2.2).</param>
    public (int Status, string Reason) Check(IReadOnlyList<string> hosts, string target)
    {
        // Programs that send none are not browsers, so they do not act for a page of another site.
        if (hosts.Count != 1 && !(hosts.Count == 0 && IsDefault))
        {
            return (400, "One Host header is needed.");
        }

        foreach (string authority in hosts)
        {
            (int Status, string Reason) answer = Check(authority);
            if (answer.Status != 0)
            {
                return answer;
            }
        }

        int scheme = target.StartsWith('/') ? -1 : target.IndexOf("://", StringComparison.Ordinal);
        if (scheme < 0)
        {
            return default;
        }

        string rest = target[(scheme + 3)..];
        int end = rest.AsSpan().IndexOfAny('/', '?', '#');
        return Check(end < 0 ? rest : rest[..end]);
    }

    private (int Status, string Reason) Check(string authority)
    {
        if (!Authority.TryParse(authority, out string host, out _) || Normalize(host) is not { } name)
        {
            return (400, "The host of the request is not valid.");
        }

        return Allows(name) ? default : (421, "This server does not answer for the host of the request. (Its option for that is AllowedHosts, or allowed_hosts.)");
    }

    private bool Allows(string name)
    {
        if (_hosts is null)
        {
            return IsLoopback(name);
        }

        return _hosts.Contains(name) || Array.Exists(_suffixes, suffix => name.Length > suffix.Length && name.EndsWith(suffix, StringComparison.Ordinal));
    }

    /// <summary>RFC 6761, section 6.3, and addresses.</summary>
    private static bool IsLoopback(string name) =>
        name == "localhost"
        || name.EndsWith(".localhost", StringComparison.Ordinal)
        || (IPAddress.TryParse(name, out IPAddress? address)
            && SocketAddresses.IsLoopback(address)
            && (address.AddressFamily == AddressFamily.InterNetworkV6 || address.ToString() == name)); // .NET also reads 127.1

    private static string? ReadEntry(string entry)
    {
        if (entry == "*")
        {
            return entry;
        }

        bool isSuffix = entry.StartsWith("*.", StringComparison.Ordinal);
        return Authority.TryParse(isSuffix ? entry[2..] : entry, out string host, out int? port) && port is null && Normalize(host) is { } name
            && !(isSuffix && name.StartsWith('['))
                ? (isSuffix ? "*." : "") + name
                : null;
    }

    /// <summary>Without the dot that may end a name, which then means the same; null when a part of it is empty.</summary>
    private static string? Normalize(string host)
    {
        string name = host.EndsWith('.') ? host[..^1] : host;
        return name.Length == 0 || name.StartsWith('.') || name.EndsWith('.') || name.Contains("..", StringComparison.Ordinal) ? null : name;
    }
}
