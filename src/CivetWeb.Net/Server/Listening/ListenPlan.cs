using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net;

/// <summary>All a server shall listen on: from the entries of its options to CivetWeb's <c>listening_ports</c> and back.</summary>
internal sealed class ListenPlan
{
    /// <summary>What is listened on when nothing is said: this machine only.</summary>
    public const string Default = "http://localhost:8080";

    /// <summary>What the native side reads back at most.</summary>
    public const int MaxSockets = 64;

    private readonly ListenEntry[] _entries;
    private readonly List<ListenBinding> _bindings = [];

    private ListenPlan(ListenEntry[] entries, bool hasIPv6)
    {
        _entries = entries;
        foreach (ListenEntry entry in entries)
        {
            _bindings.AddRange(Bind(entry, hasIPv6));
        }

        CheckTwins();
        if (_bindings.Count > MaxSockets)
        {
            throw OptionError.Create($"CivetWebServerOptions.Listen and RedirectToHttps need {_bindings.Count} sockets, but {MaxSockets} is the limit.");
        }
    }

    public IReadOnlyList<ListenBinding> Bindings => _bindings;

    public bool UsesTls => _entries.Any(entry => entry.IsTls);

    /// <summary>Whether a port is chosen here, which another program can have taken a moment later.</summary>
    public bool ChoosesPorts => _entries.Any(IsPair);

    /// <summary>Reads the entries of the options.</summary>
    /// <exception cref="ArgumentException">An entry is not valid, is there twice, or needs something that is missing.</exception>
    public static ListenPlan Create(CivetWebServerOptions options) => Create(options, HasIPv6());

    /// <summary>The same for a machine with IPv6 or without.</summary>
    public static ListenPlan Create(CivetWebServerOptions options, bool hasIPv6)
    {
        List<ListenEntry> entries = [.. options.Listen.Select(entry => ListenEntry.Parse(entry, nameof(options.Listen)))];
        if (options.Listen.Count == 0 && options.RedirectToHttps.Count == 0)
        {
            entries.Add(ListenEntry.Parse(Default, nameof(options.Listen)));
        }

        foreach (string text in options.RedirectToHttps)
        {
            ListenEntry entry = ListenEntry.Parse(text, nameof(options.RedirectToHttps));
            if (entry.IsTls || entry.Host == ListenHost.UnixSocket)
            {
                throw OptionError.Create(
                    $"'{text}' in CivetWebServerOptions.RedirectToHttps is {(entry.IsTls ? "https already" : "a Unix domain socket")}; what is redirected is http:// or ws:// with an address and a port.");
            }

            entries.Add(entry);
        }

        if (options.RedirectToHttps.Count > 0 && !entries.Exists(entry => entry.IsTls && entry.Host != ListenHost.UnixSocket))
        {
            throw OptionError.Create("CivetWebServerOptions.RedirectToHttps has entries, but CivetWebServerOptions.Listen has no https:// entry to redirect to.");
        }

        if (entries.Find(entry => entry.IsTls && entry.Host == ListenHost.UnixSocket) is { } secret)
        {
            throw OptionError.Create($"'{secret.Text}' in CivetWebServerOptions.Listen asks for TLS on a Unix domain socket, which CivetWeb does not do; write http://unix:.");
        }

        // CivetWeb looks for a port with an s or r behind it anywhere in the list (is_ssl_port_used), and then wants a certificate.
        if (!entries.Exists(entry => entry.IsTls) && entries.Find(entry => LooksLikeTlsPort(entry.Path)) is { } lookalike)
        {
            throw OptionError.Create(
                $"'{lookalike.Text}' in CivetWebServerOptions.Listen has a digit before an s or r in its path, which CivetWeb takes for a port with TLS; on a server without https choose another path.");
        }

        return new ListenPlan([.. entries], hasIPv6);
    }

    /// <summary>
    /// CivetWeb's <c>listening_ports</c>. Unix domain sockets come last: CivetWeb searches the rest of the list for a colon
    /// before it looks for their x.
    /// </summary>
    public string ToNative()
    {
        Dictionary<ListenEntry, int> ports = _entries.ToDictionary(entry => entry, entry => IsPair(entry) ? FindCommonPort() : entry.Port);
        return string.Join(',', _bindings.OrderBy(binding => binding.Address is null).Select(binding => binding.ToNative(ports[binding.Entry])));
    }

    /// <summary>What is listened on, in the order of the entries, after CivetWeb has listed its TCP ports.</summary>
    public ServerEndPoint[] ToEndPoints(IReadOnlyList<NativePort> ports)
    {
        int next = 0;
        return [.. _bindings.Select(binding => binding.ToEndPoint(binding.Address is null ? 0 : ports[next++].Port))];
    }

    private static IEnumerable<ListenBinding> Bind(ListenEntry entry, bool hasIPv6)
    {
        switch (entry.Host)
        {
            case ListenHost.Localhost:
                yield return new ListenBinding { Entry = entry, Address = IPAddress.Loopback };
                if (hasIPv6)
                {
                    yield return new ListenBinding { Entry = entry, Address = IPAddress.IPv6Loopback };
                }

                break;
            case ListenHost.Everything:
                yield return hasIPv6
                    ? new ListenBinding { Entry = entry, Address = IPAddress.IPv6Any, IsDualStack = true }
                    : new ListenBinding { Entry = entry, Address = IPAddress.Any };
                break;
            case ListenHost.UnixSocket:
                yield return new ListenBinding { Entry = entry, Address = null };
                break;
            default:
                yield return new ListenBinding { Entry = entry, Address = entry.Address };
                break;
        }
    }

    private static bool LooksLikeTlsPort(string path)
    {
        for (int i = 1; i < path.Length; i++)
        {
            if (path[i] is 's' or 'r' && char.IsAsciiDigit(path[i - 1]))
            {
                return true;
            }
        }

        return false;
    }

    private static bool HasIPv6()
    {
        if (!Socket.OSSupportsIPv6)
        {
            return false;
        }

        // The kernel may know IPv6 and yet have it switched off (net.ipv6.conf.all.disable_ipv6).
        using var probe = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp);
        return TryBind(probe, IPAddress.IPv6Loopback, 0);
    }

    /// <summary>A port that is free on both loopback addresses. Nobody keeps it until CivetWeb opens it.</summary>
    private static int FindCommonPort()
    {
        const int Attempts = 100;
        for (int i = 0; i < Attempts; i++)
        {
            using var four = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            using var six = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp);
            if (TryBind(four, IPAddress.Loopback, 0) && TryBind(six, IPAddress.IPv6Loopback, ((IPEndPoint)four.LocalEndPoint!).Port))
            {
                return ((IPEndPoint)four.LocalEndPoint!).Port;
            }
        }

        throw new SocketException((int)SocketError.AddressAlreadyInUse, "No port is free on both 127.0.0.1 and ::1.");
    }

    private static bool TryBind(Socket socket, IPAddress address, int port)
    {
        try
        {
            socket.Bind(new IPEndPoint(address, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private bool IsPair(ListenEntry entry) =>
        entry is { Host: ListenHost.Localhost, Port: 0 } && _bindings.Count(binding => ReferenceEquals(binding.Entry, entry)) > 1;

    private void CheckTwins()
    {
        for (int i = 0; i < _bindings.Count; i++)
        {
            for (int j = i + 1; j < _bindings.Count; j++)
            {
                (ListenEntry a, ListenEntry b) = (_bindings[i].Entry, _bindings[j].Entry);
                bool twins = Equals(_bindings[i].Address, _bindings[j].Address) && a.Path == b.Path && a.Port == b.Port
                    && (a.Port != 0 || a.Host == ListenHost.UnixSocket || (a.Host == b.Host && a.IsTls == b.IsTls && a.Redirects == b.Redirects));
                if (twins)
                {
                    throw OptionError.Create(
                        a.Text == b.Text
                            ? $"'{a.Text}' is twice in CivetWebServerOptions.Listen and RedirectToHttps; each entry must be there once."
                            : $"'{a.Text}' and '{b.Text}' in CivetWebServerOptions.Listen and RedirectToHttps mean the same address and port; each may be there once.");
                }
            }
        }
    }
}
