using System;
using System.Net;

namespace CivetWeb.Net;

/// <summary>Something a running server listens on.</summary>
/// <param name="EndPoint">
/// The address, with the port chosen by the system when 0 was asked for; <see cref="System.Net.Sockets.UnixDomainSocketEndPoint"/> for a Unix
/// domain socket.
/// </param>
/// <param name="Uri">
/// The same as an address clients on this machine can use: for all addresses it is <c>localhost</c> or a loopback address;
/// for a Unix domain socket it is <c>unix:</c> and the path.
/// </param>
/// <param name="IsTls">Whether it speaks TLS: https and wss.</param>
/// <param name="RedirectsToHttps">Whether every request there is answered with a redirect; see <see cref="CivetWebServerOptions.RedirectToHttps"/>.</param>
/// <param name="Listen">The entry of <see cref="CivetWebServerOptions.Listen"/> or <see cref="CivetWebServerOptions.RedirectToHttps"/> that asked for it.</param>
public sealed record ServerEndPoint(EndPoint EndPoint, Uri Uri, bool IsTls, bool RedirectsToHttps, string Listen);
