using System;
using System.Globalization;
using System.Text;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>The value of a Set-Cookie header (RFC 6265, section 4.1).</summary>
internal static class ResponseCookie
{
    /// <exception cref="ArgumentException">A part contains characters that would end it or start another attribute.</exception>
    public static string Format(string name, string value, CookieOptions options)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(value);
        if (!HeaderText.IsToken(name))
        {
            throw new ArgumentException("The name of a cookie may contain only letters, digits and !#$%&'*+-.^_`|~ (RFC 6265, section 4.1.1).", nameof(name));
        }

        foreach (char c in value)
        {
            if (c is <= ' ' or >= '\x7F' or '"' or ',' or ';' or '\\')
            {
                throw new ArgumentException(
                    "The value of a cookie may contain only ASCII without spaces, quotes, commas, semicolons and backslashes (RFC 6265, section 4.1.1); Uri.EscapeDataString makes any text fit.",
                    nameof(value));
            }
        }

        CheckAttribute(options.Path, nameof(CookieOptions.Path), nameof(options));
        CheckAttribute(options.Domain ?? "-", nameof(CookieOptions.Domain), nameof(options));
        CheckPrefix(name, options);
        if (!Enum.IsDefined(options.SameSite))
        {
            throw new ArgumentException($"SameSite of a cookie is {(int)options.SameSite}, but it must be Unspecified, None, Lax or Strict.", nameof(options));
        }

        if (options.SameSite == CookieSameSite.None && !options.Secure)
        {
            throw new ArgumentException("A cookie with SameSite=None must be Secure; browsers refuse it otherwise.", nameof(options));
        }

        var text = new StringBuilder($"{name}={value}");
        if (options.MaxAge is { } age)
        {
            text.Append(CultureInfo.InvariantCulture, $"; Max-Age={(long)age.TotalSeconds}");
        }

        if (options.Expires is { } expires)
        {
            text.Append(CultureInfo.InvariantCulture, $"; Expires={expires.ToUniversalTime():r}");
        }

        if (options.Domain is { } domain)
        {
            text.Append(CultureInfo.InvariantCulture, $"; Domain={domain}");
        }

        text.Append(CultureInfo.InvariantCulture, $"; Path={options.Path}");
        text.Append(options.Secure ? "; Secure" : "").Append(options.HttpOnly ? "; HttpOnly" : "");
        return text.Append(options.SameSite == CookieSameSite.Unspecified ? "" : $"; SameSite={options.SameSite}").ToString();
    }

    private static void CheckAttribute(string value, string property, string parameterName)
    {
        if (string.IsNullOrEmpty(value) || value.Contains(';') || value.AsSpan().ContainsAnyExceptInRange(' ', '~'))
        {
            throw new ArgumentException($"{property} of a cookie must be ASCII without semicolons, and not empty (RFC 6265, section 4.1.1).", parameterName);
        }
    }

    /// <summary>Names that promise something (RFC 6265bis, section 4.1.3): a browser drops a cookie that does not keep it.</summary>
    private static void CheckPrefix(string name, CookieOptions options)
    {
        if (name.StartsWith("__Secure-", StringComparison.OrdinalIgnoreCase) && !options.Secure)
        {
            throw new ArgumentException("A cookie named __Secure-... must be Secure.", nameof(options));
        }

        if (name.StartsWith("__Host-", StringComparison.OrdinalIgnoreCase) && (!options.Secure || options.Path != "/" || options.Domain is not null))
        {
            throw new ArgumentException("A cookie named __Host-... must be Secure, for the path / and without Domain.", nameof(options));
        }
    }
}
