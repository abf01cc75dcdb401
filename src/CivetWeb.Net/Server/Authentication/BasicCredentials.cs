using System;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace CivetWeb.Net;

/// <summary>Credentials of the Basic scheme (RFC 7617). They are readable by whoever reads the connection: use TLS.</summary>
public static class BasicCredentials
{
    private const string Scheme = "Basic ";

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Reads the value of an Authorization header.</summary>
    /// <param name="header">The value, such as <c>Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==</c>; null when there is none.</param>
    /// <param name="user">The user, up to the first colon; may be empty.</param>
    /// <param name="password">The password; may be empty.</param>
    /// <returns>False when it is of another scheme, not base64, not UTF-8, has no colon, or contains control characters.</returns>
    public static bool TryParse(string? header, [NotNullWhen(true)] out string? user, [NotNullWhen(true)] out string? password)
    {
        user = null;
        password = null;
        if (header is null || !header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
        {
            return false;
        }

        ReadOnlySpan<char> base64 = header.AsSpan(Scheme.Length).Trim(' ');
        byte[] bytes = new byte[base64.Length];
        if (base64.ContainsAny(" \t\r\n") || !Convert.TryFromBase64Chars(base64, bytes, out int length))
        {
            return false;
        }

        string text;
        try
        {
            text = StrictUtf8.GetString(bytes, 0, length);
        }
        catch (DecoderFallbackException)
        {
            return false;
        }

        int colon = text.IndexOf(':');
        if (colon < 0 || ContainsControl(text))
        {
            return false;
        }

        user = text[..colon];
        password = text[(colon + 1)..];
        return true;
    }

    private static bool ContainsControl(string text)
    {
        foreach (char c in text)
        {
            if (char.IsControl(c))
            {
                return true;
            }
        }

        return false;
    }
}
