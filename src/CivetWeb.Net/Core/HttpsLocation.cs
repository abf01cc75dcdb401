using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Text;

namespace CivetWeb.Net.Core;

/// <summary>Where a request to an http port is to be found with https: at the host the client has asked for.</summary>
internal static class HttpsLocation
{
    /// <summary>What fits into the head that <see cref="GatedConnection.Refuse"/> writes, with room for its own lines.</summary>
    private const int MaxShortLocation = 1500;

    /// <summary>Answers with 308, which keeps method and body; the status. A request without a usable Host header gets 400.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="httpsPort">The port.</param>
    public static int Answer(HttpConnection connection, int httpsPort)
    {
        const string Text = "This is to be found with https.\n";
        RequestHead info = connection.Head;
        if (ReadHost(info.Headers) is not { } host)
        {
            return connection.Refuse(400, null, "One Host header with the name or address of the server is needed.\n");
        }

        string port = httpsPort == 443 ? "" : ":" + httpsPort.ToString(CultureInfo.InvariantCulture);
        string location = $"https://{host}{port}{Target(info)}";
        if (location.Length <= MaxShortLocation)
        {
            return connection.Refuse(308, $"Location: {location}\r\n", Text);
        }

        bool isHead = info.Method == "HEAD";
        connection.Write(Encoding.ASCII.GetBytes(
            $"HTTP/1.1 308 Permanent Redirect\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {Text.Length}\r\nConnection: close\r\nLocation: {location}\r\n\r\n{(isHead ? "" : Text)}"));
        connection.EndAfterRequest();
        return 308;
    }

    /// <summary>The Host header without its port; null when there is not exactly one, or it is not a valid host. It is sent back, so it may contain nothing but a host.</summary>
    internal static string? ReadHost(IReadOnlyList<KeyValuePair<string, string>> headers)
    {
        const int MaxHostLength = 255;
        string? value = null;
        foreach ((string name, string text) in headers)
        {
            if (string.Equals(name, "Host", StringComparison.OrdinalIgnoreCase))
            {
                if (value is not null)
                {
                    return null;
                }

                value = text;
            }
        }

        if (value is null || value.Length > MaxHostLength)
        {
            return null;
        }

        int colon = value.LastIndexOf(':');
        bool hasPort = colon >= 0 && !value[colon..].Contains(']');
        if (hasPort && value.AsSpan(colon + 1).ContainsAnyExceptInRange('0', '9'))
        {
            return null;
        }

        string host = hasPort ? value[..colon] : value;
        bool isHost = host is ['[', .. var inner, ']']
            ? inner.Contains(':') && !inner.Contains('%') && IPAddress.TryParse(inner, out _)
            : host.Length > 0 && host.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_');
        return isHost ? host : null;
    }

    /// <summary>Path and query as the client sent them; what does not belong into a URI is escaped.</summary>
    private static string Target(RequestHead info)
    {
        const string Allowed = "-._~:/?[]@!$&'()*+,;=%";
        string path = info.LocalUriRaw.StartsWith('/') ? info.LocalUriRaw : "/";
        string target = info.RawQuery is null ? path : $"{path}?{info.RawQuery}";
        var escaped = new StringBuilder(target.Length);
        foreach (byte b in Encoding.UTF8.GetBytes(target))
        {
            if (char.IsAsciiLetterOrDigit((char)b) || Allowed.Contains((char)b))
            {
                escaped.Append((char)b);
            }
            else
            {
                escaped.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
            }
        }

        return escaped.ToString();
    }
}
