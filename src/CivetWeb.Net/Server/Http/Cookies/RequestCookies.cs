using System;
using System.Net;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>The cookies a client has sent (RFC 6265); case matters.</summary>
public sealed class RequestCookies
{
    private readonly RequestHead _info;

    internal RequestCookies(RequestHead info) => _info = info;

    /// <summary>The value of the cookie, without quotes around it; null without one.</summary>
    /// <param name="name">The cookie's name.</param>
    public string? this[string name] => _info.GetCookie(name);

    /// <summary>As the base class library has them; those it does not take as valid are left out.</summary>
    internal CookieCollection ToCollection()
    {
        var cookies = new CookieCollection();
        foreach ((string name, string header) in _info.Headers)
        {
            if (!string.Equals(name, "Cookie", StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            foreach (string pair in header.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                int equals = pair.IndexOf('=');
                try
                {
                    cookies.Add(new Cookie(equals < 0 ? pair : pair[..equals].TrimEnd(), equals < 0 ? "" : pair[(equals + 1)..].TrimStart()));
                }
                catch (CookieException)
                {
                }
            }
        }

        return cookies;
    }
}
