using System;
using System.Collections.Generic;
using System.IO;
using CivetWeb.Net.Core;
using Microsoft.Extensions.Logging;

namespace CivetWeb.Net;

/// <summary>
/// The options of a <see cref="CivetWebServer"/>; docs/server-options.md lists them. They are checked and copied when the server
/// starts: changing them later has no effect.
/// </summary>
public sealed class CivetWebServerOptions
{
    /// <summary>
    /// The addresses to listen on. <c>http://localhost:8080</c> (both loopback addresses) if the list is empty.
    /// <list type="table">
    /// <item><term><c>http://127.0.0.1:8080</c>, <c>http://[::1]:8080</c></term><description>One address.</description></item>
    /// <item><term><c>http://localhost:8080</c></term><description>127.0.0.1 and, on a machine with IPv6, [::1].</description></item>
    /// <item><term><c>http://*:8080</c>, <c>http://+:8080</c></term><description>All addresses, IPv6 and IPv4.</description></item>
    /// <item><term><c>http://0.0.0.0:8080</c>, <c>http://[::]:8080</c></term><description>All IPv4 addresses; all IPv6 addresses.</description></item>
    /// <item><term><c>https://…</c></term><description>The same with TLS.</description></item>
    /// <item><term><c>http://unix:/run/app/web.sock</c></term><description>A Unix domain socket; its path has at most 106 bytes.</description></item>
    /// </list>
    /// Port 0 lets the system choose: see <see cref="CivetWebServer.EndPoints"/>. The default port is 80, for https 443.
    /// <c>ws://</c> and <c>wss://</c> mean the same as <c>http://</c> and <c>https://</c>. At most 64 sockets.
    /// </summary>
    /// <exception cref="ArgumentNullException">The list is null.</exception>
    public OptionList Listen
    {
        get;
        set => field = value ?? throw new ArgumentNullException(nameof(value));
    } = [];

    /// <summary>
    /// The certificate for the https entries of <see cref="Listen"/>, and whether clients need one. Null if there are no such entries.
    /// Not copied: <see cref="CivetWebServer.ReloadCertificate"/> reads it again.
    /// </summary>
    public TlsOptions? Tls { get; set; }

    /// <summary>
    /// More addresses to listen on, http only. Every request there, for a WebSocket too, is answered with 308 and the same address
    /// with https, on the port of the first https entry of <see cref="Listen"/> or on <see cref="HttpsRedirectPort"/>. None
    /// unless set.
    /// </summary>
    /// <exception cref="ArgumentNullException">The list is null.</exception>
    public OptionList RedirectToHttps
    {
        get;
        set => field = value ?? throw new ArgumentNullException(nameof(value));
    } = [];

    /// <summary>
    /// The https port that <see cref="RedirectToHttps"/> sends clients to, if it is different as seen from outside: 1 to 65535. Null: the
    /// port of the first https entry of <see cref="Listen"/>.
    /// </summary>
    public int? HttpsRedirectPort { get; set; }

    /// <summary>
    /// Who may connect to the Unix domain sockets of <see cref="Listen"/>: the permissions of their files, rwx for user,
    /// group and others; connecting needs write. Null: what the umask gives them. They are applied right after the sockets are opened; if
    /// the moment in between matters, use a folder that others cannot enter.
    /// </summary>
    public UnixFileMode? UnixSocketMode { get; set; }

    /// <summary>
    /// Proxies that are believed when they name a client's address: addresses (<c>127.0.0.1</c>), subnets (<c>10.0.0.0/8</c>), or
    /// <c>unix</c> for every peer on a Unix domain socket. The client is then the right-most address in X-Forwarded-For that is not
    /// one of these. None unless set.
    /// </summary>
    /// <exception cref="ArgumentNullException">The list is null.</exception>
    public OptionList TrustedProxies
    {
        get;
        set => field = value ?? throw new ArgumentNullException(nameof(value));
    } = [];

    /// <summary>
    /// Whether the trusted proxies begin every connection with a header of the PROXY protocol, version 1 or 2. Needs
    /// <see cref="TrustedProxies"/>; cannot be combined with https. False unless set.
    /// </summary>
    public bool ProxyProtocol { get; set; }

    /// <summary>
    /// The clients whose connections are accepted: addresses (<c>192.0.2.1</c>) and subnets (<c>10.0.0.0/8</c>); others are closed before
    /// a byte is read. Behind a proxy this is about the proxy. Everybody if the list is empty. Cannot be combined with Unix domain
    /// sockets, which have no addresses.
    /// </summary>
    /// <exception cref="ArgumentNullException">The list is null.</exception>
    public OptionList AllowedAddresses
    {
        get;
        set => field = value ?? throw new ArgumentNullException(nameof(value));
    } = [];

    /// <summary>
    /// The hosts that requests may be for, according to their Host header and, if the target is a whole URL, to that; ports do
    /// not matter. Names (<c>example.com</c>), all names below one (<c>*.example.com</c>), addresses (<c>192.0.2.1</c>,
    /// <c>[2001:db8::1]</c>), or <c>*</c> for every host. Requests for other hosts, for WebSockets too, get 421; requests without a valid
    /// host get 400.
    /// </summary>
    /// <remarks>
    /// If the list is empty, clients that connect to a loopback address of this server may ask for
    /// <c>localhost</c>, names that end in <c>.localhost</c>, 127.0.0.0/8 and <c>[::1]</c> only, so that a page of another site
    /// cannot reach the server under its own name (DNS rebinding). HTTP/1.0 requests without a Host header are
    /// served, because browsers do not send them. On other addresses and on Unix domain sockets every host is
    /// served. If a proxy on this machine passes on the Host header of its clients, add the name of the site here.
    /// </remarks>
    /// <exception cref="ArgumentNullException">The list is null.</exception>
    public OptionList AllowedHosts
    {
        get;
        set => field = value ?? throw new ArgumentNullException(nameof(value));
    } = [];

    /// <summary>
    /// How many WebSockets may be open at once; the next client gets 503. 1 to 65535; 231 unless set. Each has a thread for its life; all
    /// threads are created at the start, and <see cref="ReservedHttpThreads"/> more.
    /// </summary>
    public int MaxConnections { get; set; } = 231;

    /// <summary>How many of them may come from one client address: 1 to 65535. Null: no limit other than <see cref="MaxConnections"/>.</summary>
    public int? MaxConnectionsPerAddress { get; set; }

    /// <summary>
    /// Threads that WebSockets cannot take: for pages, and for telling clients that the server is full. 1 to 65535, together
    /// with <see cref="MaxConnections"/> at most 65536; 25 unless set. An idle HTTP connection keeps a thread for
    /// <see cref="KeepAliveTimeout"/>.
    /// </summary>
    public int ReservedHttpThreads { get; set; } = 25;

    /// <summary>
    /// How long a client may take to send the request line and headers, or a PROXY header. The body of a request may pause for
    /// this long. 1 ms to 24 days; 10 s unless set.
    /// </summary>
    public TimeSpan RequestHeadersTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long an HTTP connection may wait for its next request; it keeps a thread while it waits. Zero: one request for each
    /// connection. Up to 24 days; 2 s unless set.
    /// </summary>
    public TimeSpan KeepAliveTimeout { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// The largest request line and headers together, in bytes; each thread has a buffer of this size. 1024 to 1048576; 16384 unless set.
    /// </summary>
    public int MaxRequestHeadSize { get; set; } = 16 * 1024;

    /// <summary>The largest request body, in bytes; a larger one gets 413. 0 or more; null: no limit. 30000000 unless set.</summary>
    public long? MaxRequestBodySize { get; set; } = 30_000_000;

    /// <summary>
    /// How fast a request body must arrive on average after its first 5 s, in bytes per second, so that clients
    /// cannot occupy threads by sending slowly; a slower one gets 408. 0 or more, 0: no limit; 240 unless set.
    /// </summary>
    public int MinRequestBodyRate { get; set; } = 240;

    /// <summary>How long one write of a response may wait for a client that does not read. 1 ms to 24 days; 10 s unless set.</summary>
    public TimeSpan WriteTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How many connections the operating system keeps until the server accepts them; it may have a lower limit of its own. 1 to 65535;
    /// 1024 unless set.
    /// </summary>
    public int ListenBacklog { get; set; } = 1024;

    /// <summary>How long clients may keep a static file without asking again. Zero: not at all. Whole seconds, up to 68 years; 1 h unless set.</summary>
    public TimeSpan StaticFileMaxAge { get; set; } = TimeSpan.FromHours(1);

    /// <summary>How WebSockets behave, unless the options of their path say otherwise.</summary>
    public WebSocketEndpointOptions WebSockets { get; } = new();

    /// <summary>How long stopping waits for clients and handlers. Zero: not at all. Up to 24 days; 5 s unless set.</summary>
    public TimeSpan ShutdownTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Receives log messages (docs/logging.md); null: nobody does. The server itself never writes to the console.
    /// </summary>
    public ILoggerFactory? LoggerFactory { get; set; }

    /// <summary>
    /// CivetWeb's own options by name (docs/options.md); they override what the server would tell CivetWeb. Dangerous: only the form of
    /// the values is checked, and how they work together with the rest is your responsibility. Options that a property here stands for
    /// are refused, and so are options that would do nothing because the server itself answers every request. None
    /// unless set.
    /// </summary>
    /// <exception cref="ArgumentNullException">The dictionary is null.</exception>
    public IDictionary<string, string> DangerousRawOptions
    {
        get;
        set => field = value ?? throw new ArgumentNullException(nameof(value));
    } = new Dictionary<string, string>();

    /// <summary>How long a body may arrive at any rate.</summary>
    internal TimeSpan RequestBodyGrace { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary><see cref="WriteTimeout"/> as native code takes it.</summary>
    internal int WriteTimeoutMilliseconds => (int)Math.Clamp(WriteTimeout.TotalMilliseconds, 1, int.MaxValue);

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
