using System.Collections.Generic;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.Tests;

/// <summary>Heads of requests that no client has sent, for what needs nothing else.</summary>
internal static class RequestHeads
{
    public static RequestHead Of(KeyValuePair<string, string>[] headers, bool isTls = false) => new(
        new NativeRequestData
        {
            Headers = headers,
            Method = "GET",
            Uri = "/",
            LocalUriRaw = "/",
            LocalUri = "/",
            HttpVersion = "1.1",
            RemoteAddress = "127.0.0.1",
            IsTls = isTls,
        },
        ServerSettings.Parse([]),
        null);
}
