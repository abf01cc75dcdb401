using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>What the host of an entry stands for.</summary>
internal enum ListenHost
{
    Address,
    Localhost,
    Everything,
    UnixSocket,
}

/// <summary>One entry of <see cref="CivetWebServerOptions.Listen"/>, read.</summary>
internal sealed record ListenEntry
{
    private const int MaxPathLength = 106; // sun_path, without its terminating NUL and one that CivetWeb loses to its x
    private const string Allowed =
        "http:// or https:// (ws:// and wss:// mean the same) with an IPv4 address, an IPv6 address in brackets, localhost, or * for all addresses,"
        + " then perhaps a colon and a port from 0 (the system chooses) to 65535; or http://unix: and the path of a Unix domain socket";

    /// <summary>The entry as it was given.</summary>
    public required string Text { get; init; }

    public required ListenHost Host { get; init; }

    public required bool IsTls { get; init; }

    /// <summary>Whether it only redirects.</summary>
    public required bool Redirects { get; init; }

    /// <summary>Of <see cref="ListenHost.Address"/>.</summary>
    public IPAddress Address { get; init; } = IPAddress.None;

    /// <summary>Of all but <see cref="ListenHost.UnixSocket"/>; 0: the system chooses.</summary>
    public int Port { get; init; }

    /// <summary>Of <see cref="ListenHost.UnixSocket"/>.</summary>
    public string Path { get; init; } = "";

    /// <summary>Reads an entry of <see cref="CivetWebServerOptions.Listen"/> or <see cref="CivetWebServerOptions.RedirectToHttps"/>.</summary>
    /// <exception cref="ArgumentException">The entry is not valid; the message quotes it.</exception>
    public static ListenEntry Parse(string entry, string property)
    {
        if (entry is null)
        {
            throw OptionError.Create($"CivetWebServerOptions.{property} has an entry that is null. An entry is {Allowed}.");
        }

        int end = entry.IndexOf("://", StringComparison.Ordinal);
        bool? tls = end < 0 ? null : entry[..end].ToLowerInvariant() switch
        {
            "http" or "ws" => false,
            "https" or "wss" => true,
            _ => null,
        };
        if (tls is not bool isTls)
        {
            throw Wrong(entry, property, "does not begin with http://, https://, ws:// or wss://");
        }

        bool redirects = property == nameof(CivetWebServerOptions.RedirectToHttps);
        string rest = entry[(end + 3)..];
        if (rest.StartsWith("unix:", StringComparison.OrdinalIgnoreCase))
        {
            string path = rest["unix:".Length..];
            CheckPath(entry, property, path);
            return new ListenEntry { Text = entry, Host = ListenHost.UnixSocket, IsTls = isTls, Redirects = redirects, Path = path };
        }

        // "http://localhost:8080/" is what Uri.ToString makes of "http://localhost:8080".
        string authority = rest.EndsWith('/') ? rest[..^1] : rest;
        if (authority.AsSpan().IndexOfAny("/?#@\\") is >= 0 and int index)
        {
            throw Wrong(entry, property, authority[index] switch
            {
                '@' => "has a user name, which means nothing to a server",
                '?' => "has a query; a server listens on addresses, not on pages",
                '#' => "has a fragment; a server listens on addresses, not on pages",
                _ => "has a path; a server listens on addresses, paths are mapped to handlers",
            });
        }

        int colon = authority.LastIndexOf(':');
        bool hasPort = colon >= 0 && !authority[colon..].Contains(']');
        string host = hasPort ? authority[..colon] : authority;
        int port = hasPort ? ReadPort(entry, property, authority[(colon + 1)..]) : isTls ? 443 : 80;
        (ListenHost kind, IPAddress address) = ReadHost(entry, property, host);
        return new ListenEntry { Text = entry, Host = kind, IsTls = isTls, Redirects = redirects, Address = address, Port = port };
    }

    private static int ReadPort(string entry, string property, string port) =>
        int.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number <= ushort.MaxValue
            ? number
            : throw Wrong(entry, property, $"has the port '{port}'");

    private static (ListenHost Host, IPAddress Address) ReadHost(string entry, string property, string host)
    {
        switch (host)
        {
            case "":
                throw Wrong(entry, property, "has no host");
            case "*" or "+":
                return (ListenHost.Everything, IPAddress.None);
            case not null when host.Equals("localhost", StringComparison.OrdinalIgnoreCase):
                return (ListenHost.Localhost, IPAddress.None);
        }

        if (host is ['[', .. var inner, ']'])
        {
            if (inner.Contains('%'))
            {
                throw Wrong(entry, property, "names a network interface (%), which CivetWeb cannot listen on alone");
            }

            if (!inner.Contains(':') || !IPAddress.TryParse(inner, out IPAddress? ip))
            {
                throw Wrong(entry, property, $"has '{host}', which is not an IPv6 address");
            }

            return !ip.IsIPv4MappedToIPv6
                ? (ListenHost.Address, ip)
                : throw Wrong(entry, property, $"has an IPv4-mapped IPv6 address; write {ip.MapToIPv4()}");
        }

        if (IPAddress.TryParse(host, out IPAddress? ip4))
        {
            if (ip4.AddressFamily != AddressFamily.InterNetwork)
            {
                throw Wrong(entry, property, $"has an IPv6 address without brackets; write [{ip4}]");
            }

            // .NET also reads 127.1 and 0x7f000001.
            return ip4.ToString() == host ? (ListenHost.Address, ip4) : throw Wrong(entry, property, $"has '{host}', which is not an IPv4 address of four decimal numbers");
        }

        throw Wrong(
            entry,
            property,
            $"has the host name '{host}'. Host names other than localhost are not looked up: they may mean several addresses, or another tomorrow. Name the address, or listen on all with *");
    }

    private static void CheckPath(string entry, string property, string path)
    {
        if (!path.StartsWith('/'))
        {
            throw Wrong(entry, property, "has no absolute path of a Unix domain socket");
        }

        if (Encoding.UTF8.GetByteCount(path) is > MaxPathLength and int bytes)
        {
            throw Wrong(entry, property, $"has a path of {bytes} bytes; the limit for a Unix domain socket is {MaxPathLength}");
        }

        // Commas and colons mean something else in CivetWeb's listening_ports, and blanks at the end are lost there.
        if (path.Contains(',') || path.Contains(':') || path.Any(char.IsControl) || char.IsWhiteSpace(path[^1]))
        {
            throw Wrong(entry, property, "has a comma, a colon, a control character or a blank at its end in its path, which a socket of CivetWeb cannot have");
        }

        string? folder = System.IO.Path.GetDirectoryName(path);
        if (path.EndsWith('/') || folder is null || !Directory.Exists(folder))
        {
            throw Wrong(entry, property, $"needs the folder '{folder}' to be there, and a name in it");
        }
    }

    private static ArgumentException Wrong(string entry, string property, string what) =>
        OptionError.Create($"'{entry}' in CivetWebServerOptions.{property} {what}. Allowed is {Allowed}.");
}
