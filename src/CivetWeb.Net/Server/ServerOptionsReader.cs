using System;
using System.Collections.Generic;
using System.Linq;

namespace CivetWeb.Net;

/// <summary>From the options of a server to CivetWeb's.</summary>
internal static class ServerOptionsReader
{
    public static IEnumerable<KeyValuePair<string, string>> Read(CivetWebServerOptions options)
    {
        yield return new("listening_ports", string.Join(',', options.Listen.Select(l => new Uri(l)).Select(u => $"{u.Host}:{u.Port}")));
        yield return new("enable_keep_alive", "yes");
    }
}
