using System;
using System.Net;

namespace CivetWeb.Net;

/// <summary>An address that a running server listens on.</summary>
/// <param name="EndPoint">
/// The address, with the real port if 0 was asked for; a <see cref="System.Net.Sockets.UnixDomainSocketEndPoint"/> for a Unix domain socket.
/// </param>
/// <param name="Uri">
/// An address that clients on this machine can use: <c>localhost</c> or a loopback address where the server listens on all addresses;
/// <c>unix:</c> and the path for a Unix domain socket.
/// </param>
/// <param name="IsTls">Whether it uses TLS (https and wss).</param>
/// <param name="RedirectsToHttps">Whether every request there is answered with a redirect; see <see cref="CivetWebServerOptions.RedirectToHttps"/>.</param>
/// <param name="Listen">The entry of <see cref="CivetWebServerOptions.Listen"/> or <see cref="CivetWebServerOptions.RedirectToHttps"/> that it comes from.</param>
public sealed record ServerEndPoint(EndPoint EndPoint, Uri Uri, bool IsTls, bool RedirectsToHttps, string Listen);
