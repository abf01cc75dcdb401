using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Text;

namespace CivetWeb.Net;

/// <summary>
/// Sends clients of http ports to https (308: same method, same body). Done here and not by CivetWeb's own redirecting
/// ports, which leave a request for a WebSocket without any answer.
/// </summary>
internal sealed class HttpsRedirect
{
    /// <summary>What fits into the head that <see cref="Connection.Refuse"/> writes, with room for its own lines.</summary>
    private const int LongestShortLocation = 1500;

    private readonly (ListenBinding Binding, int Port)[] _from;
    private readonly int _httpsPort;

    private HttpsRedirect((ListenBinding Binding, int Port)[] from, int httpsPort)
    {
        _from = from;
        _httpsPort = httpsPort;
    }

    /// <summary>What <see cref="CivetWebServerOptions.RedirectToHttps"/> asks for; null: nothing.</summary>
    /// <param name="options">The options.</param>
    /// <param name="plan">What is listened on.</param>
    /// <param name="endPoints">The same with real ports.</param>
    public static HttpsRedirect? Create(CivetWebServerOptions options, ListenPlan plan, ServerEndPoint[] endPoints)
    {
        (ListenBinding Binding, int Port)[] from =
        [
            .. plan.Bindings.Zip(endPoints).Where(pair => pair.Second.RedirectsToHttps).Select(pair => (pair.First, ((IPEndPoint)pair.Second.EndPoint).Port)),
        ];
        return from.Length == 0
            ? null
            : new HttpsRedirect(from, options.HttpsRedirectPort ?? ((IPEndPoint)endPoints.First(endPoint => endPoint.IsTls).EndPoint).Port);
    }

    /// <summary>Whether the connection has come to an address that redirects. A port alone does not tell: two addresses can share its number.</summary>
    public bool Concerns(Connection connection)
    {
        if (connection.LocalEndPoint is not IPEndPoint local)
        {
            return false;
        }

        foreach ((ListenBinding binding, int port) in _from)
        {
            if (port == local.Port && binding.Accepts(local.Address))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Answers the request; the status.</summary>
    public int Answer(Connection connection)
    {
        const string Text = "This is to be found with https.\n";
        RequestInfo info = connection.Info;
        if (ReadHost(info.Headers) is not { } host)
        {
            return connection.Refuse(400, null, "One Host header with the name or address of the server is needed.\n");
        }

        string port = _httpsPort == 443 ? "" : ":" + _httpsPort.ToString(CultureInfo.InvariantCulture);
        string location = $"https://{host}{port}{Target(info)}";
        if (location.Length <= LongestShortLocation)
        {
            return connection.Refuse(308, $"Location: {location}\r\n", Text);
        }

        bool isHead = info.Method == "HEAD";
        connection.Write(Encoding.ASCII.GetBytes(
            $"HTTP/1.1 308 Permanent Redirect\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {Text.Length}\r\nConnection: close\r\nLocation: {location}\r\n\r\n{(isHead ? "" : Text)}"));
        connection.EndAfterRequest();
        return 308;
    }

    /// <summary>The Host header without its port; null when there is not exactly one, or it is none. It is sent back: nothing but a host may be in it.</summary>
    internal static string? ReadHost(IReadOnlyList<KeyValuePair<string, string>> headers)
    {
        const int Longest = 255;
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

        if (value is null || value.Length > Longest)
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
    private static string Target(RequestInfo info)
    {
        const string Allowed = "-._~:/?[]@!$&'()*+,;=%";
        string path = info.LocalUriRaw.StartsWith('/') ? info.LocalUriRaw : "/";
        string target = info.QueryString is null ? path : $"{path}?{info.QueryString}";
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
