using System;
using System.Collections.Generic;
using System.IO;
using CivetWeb.Net.Core;
using Microsoft.Extensions.Logging;

namespace CivetWeb.Net;

/// <summary>
/// The options of a <see cref="CivetWebServer"/>; docs/server-options.md lists them. They are copied when the server
/// starts: changing them later changes nothing.
/// </summary>
public sealed class CivetWebServerOptions
{
    /// <summary>
    /// What to listen on. <c>http://localhost:8080</c> (both loopback addresses) when nothing is here.
    /// <list type="table">
    /// <item><term><c>http://127.0.0.1:8080</c>, <c>http://[::1]:8080</c></term><description>One address.</description></item>
    /// <item><term><c>http://localhost:8080</c></term><description>127.0.0.1 and, on a machine with IPv6, [::1].</description></item>
    /// <item><term><c>http://*:8080</c>, <c>http://+:8080</c></term><description>All addresses, IPv6 and IPv4.</description></item>
    /// <item><term><c>http://0.0.0.0:8080</c>, <c>http://[::]:8080</c></term><description>All IPv4 addresses; all IPv6 addresses.</description></item>
    /// <item><term><c>https://…</c></term><description>The same with TLS.</description></item>
    /// <item><term><c>http://unix:/run/app/web.sock</c></term><description>A Unix domain socket; its path has 106 bytes at most.</description></item>
    /// </list>
    /// Port 0 lets the system choose: <see cref="CivetWebServer.EndPoints"/> tells. Without a port it is 80, for https 443.
    /// <c>ws://</c> and <c>wss://</c> are other names of <c>http://</c> and <c>https://</c>. At most 64 sockets.
    /// </summary>
    public IList<string> Listen { get; private set; } = [];

    /// <summary>
    /// The certificate of the https entries of <see cref="Listen"/>, and what they ask of clients. Null when there are none.
    /// Not copied: <see cref="CivetWebServer.ReloadCertificate"/> reads it again.
    /// </summary>
    public TlsOptions? Tls { get; set; }

    /// <summary>
    /// More to listen on, http only: every request there, for a WebSocket too, is answered with 308 and the same address
    /// with https, on the port of the first https entry of <see cref="Listen"/> or on <see cref="HttpsRedirectPort"/>. None
    /// unless set.
    /// </summary>
    public IList<string> RedirectToHttps { get; private set; } = [];

    /// <summary>
    /// The https port clients are sent to by <see cref="RedirectToHttps"/>, when it is another from outside: 1 to 65535. Null: that of the first
    /// https entry of <see cref="Listen"/>.
    /// </summary>
    public int? HttpsRedirectPort { get; set; }

    /// <summary>
    /// Who may connect to the Unix domain sockets of <see cref="Listen"/>: the permissions of their files, rwx for user,
    /// group and others; connecting needs write. Null: as the umask leaves it. Set right after the start; until then they
    /// are as the umask leaves them, so where that matters use a folder that others cannot enter.
    /// </summary>
    public UnixFileMode? UnixSocketMode { get; set; }

    /// <summary>
    /// Proxies whose word about a client's address is taken: addresses (<c>127.0.0.1</c>), subnets (<c>10.0.0.0/8</c>), or
    /// <c>unix</c> for every peer on a Unix domain socket. None unless set. The client is then the right-most address in
    /// X-Forwarded-For that is none of these.
    /// </summary>
    public IList<string> TrustedProxies { get; private set; } = [];

    /// <summary>
    /// Whether these proxies begin every connection with a header of the PROXY protocol, version 1 or 2. Needs
    /// <see cref="TrustedProxies"/>; does not go with https. False unless set.
    /// </summary>
    public bool ProxyProtocol { get; set; }

    /// <summary>
    /// Whose connections are accepted at all; others are cut before a byte is read: addresses (<c>192.0.2.1</c>) and
    /// subnets (<c>10.0.0.0/8</c>). It is about peers: behind a proxy, about the proxy. Everybody when nothing is here. Does
    /// not go with Unix domain sockets, which have no addresses.
    /// </summary>
    public IList<string> AllowedAddresses { get; private set; } = [];

    /// <summary>
    /// The hosts that requests may be for, by their Host header and, where the target is a whole URL, by that; ports do
    /// not matter. Names (<c>example.com</c>), all names under one (<c>*.example.com</c>), addresses (<c>192.0.2.1</c>,
    /// <c>[2001:db8::1]</c>), or <c>*</c> for every host. A request for another one, for a WebSocket too, gets 421, one
    /// without a valid host 400.
    /// </summary>
    /// <remarks>
    /// When nothing is here, clients that connect to a loopback address this server listens on may ask for
    /// <c>localhost</c>, names that end in <c>.localhost</c>, 127.0.0.0/8 and <c>[::1]</c> only: a page of another site
    /// cannot reach the server by a name of its own that means this machine (DNS rebinding). Requests of HTTP/1.0 without
    /// a Host header come from no browser and are served. On other addresses and on Unix domain sockets every host is
    /// served then. A proxy on this machine that hands on the Host header of its clients needs an entry here.
    /// </remarks>
    public IList<string> AllowedHosts { get; private set; } = [];

    /// <summary>
    /// WebSockets open at once; the next client gets 503. 1 to 65535; 231 unless set. Each has a thread for its life, all of
    /// them created at the start, with <see cref="ReservedHttpThreads"/> more.
    /// </summary>
    public int MaxConnections { get; set; } = 231;

    /// <summary>The same for each client address; 1 to 65535. Null: no other limit than <see cref="MaxConnections"/>.</summary>
    public int? MaxConnectionsPerAddress { get; set; }

    /// <summary>
    /// Threads that WebSockets cannot take: for pages, and for telling a client that the server is full. 1 to 65535, together
    /// with <see cref="MaxConnections"/> at most 65536; 25 unless set. An idle HTTP connection holds one of the server's
    /// threads for <see cref="KeepAliveTimeout"/>.
    /// </summary>
    public int ReservedHttpThreads { get; set; } = 25;

    /// <summary>How long a client may take to send the head of its request, and a PROXY header. 1 ms to 24 days; 10 s unless set.</summary>
    public TimeSpan RequestTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long an HTTP connection may wait for its next request; it holds a thread meanwhile. Zero: every connection is
    /// for one request only. Up to 24 days; 2 s unless set.
    /// </summary>
    public TimeSpan KeepAliveTimeout { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Bytes of request line and headers together; each thread has a buffer of this size. 1024 to 1048576; 16384 unless set.
    /// </summary>
    public int MaxRequestHeadSize { get; set; } = 16 * 1024;

    /// <summary>Bytes of a request's body; a larger one is refused with 413. 0 or more; null: no limit. 30000000 unless set.</summary>
    public long? MaxRequestBodySize { get; set; } = 30_000_000;

    /// <summary>
    /// How fast the body of a request must come on average after its first 5 s, in bytes per second, so that a client
    /// cannot hold a thread by sending slowly; a slower one is answered with 408. 0 or more, 0: no limit; 240 unless set.
    /// </summary>
    public int MinRequestBodyRate { get; set; } = 240;

    /// <summary>How long one write of a response may wait for a client that does not read. 1 ms to 24 days; 10 s unless set.</summary>
    public TimeSpan ResponseTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Connections the system keeps until the server accepts them; the system may have a lower limit of its own. 1 to 65535;
    /// 1024 unless set.
    /// </summary>
    public int ListenBacklog { get; set; } = 1024;

    /// <summary>How long clients may keep a static file without asking again; zero: not at all. Whole seconds, up to 68 years; 1 h unless set.</summary>
    public TimeSpan StaticFileMaxAge { get; set; } = TimeSpan.FromHours(1);

    /// <summary>What holds for every WebSocket whose path does not say otherwise.</summary>
    public WebSocketEndpointOptions WebSockets { get; } = new();

    /// <summary>How long stopping waits for clients and handlers; zero: not at all. Up to 24 days; 5 s unless set.</summary>
    public TimeSpan ShutdownTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Where log messages go (docs/logging.md); null: nowhere. Nothing is ever written to the console by the server itself.
    /// </summary>
    public ILoggerFactory? LoggerFactory { get; set; }

    /// <summary>
    /// CivetWeb's own options by name (docs/options.md), over what the server would tell CivetWeb. Dangerous: values are
    /// checked for their form only, and what they do together with the rest is your responsibility. Refused are those that
    /// a property here stands for, and those that would do nothing because the server itself answers every request. None
    /// unless set.
    /// </summary>
    public IDictionary<string, string> DangerousRawOptions { get; private set; } = new Dictionary<string, string>();

    /// <summary>How long a body may come at any rate.</summary>
    internal TimeSpan RequestBodyGrace { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary><see cref="ResponseTimeout"/> as native code takes it.</summary>
    internal int ResponseTimeoutMilliseconds => (int)Math.Clamp(ResponseTimeout.TotalMilliseconds, 1, int.MaxValue);

    /// <summary>The options as they are now.</summary>
    internal CivetWebServerOptions Copy()
    {
        var copy = (CivetWebServerOptions)MemberwiseClone();
        copy.Listen = [.. Listen];
        copy.RedirectToHttps = [.. RedirectToHttps];
        copy.TrustedProxies = [.. TrustedProxies];
        copy.AllowedAddresses = [.. AllowedAddresses];
        copy.AllowedHosts = [.. AllowedHosts];
        copy.DangerousRawOptions = new Dictionary<string, string>(DangerousRawOptions);
        return copy;
    }
}
