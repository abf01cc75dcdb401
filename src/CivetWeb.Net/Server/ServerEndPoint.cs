using System;
using System.Net;

namespace CivetWeb.Net;

/// <summary>Something a running server listens on.</summary>
/// <param name="EndPoint">The address, with the port chosen by the system when 0 was asked for.</param>
/// <param name="Uri">The same as an address clients can use.</param>
public sealed record ServerEndPoint(EndPoint EndPoint, Uri Uri);
