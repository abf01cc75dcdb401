using System;
using System.Text;

namespace CivetWeb.Net;

/// <summary>Values of the WWW-Authenticate header, which goes with status 401 (RFC 9110, section 11.6.1).</summary>
public static class AuthenticationChallenge
{
    /// <summary>Asks for user and password (RFC 7617).</summary>
    /// <param name="realm">What they are for, as browsers show it; visible ASCII characters and spaces.</param>
    /// <exception cref="ArgumentException">The realm contains other characters.</exception>
    public static string Basic(string realm) => $"Basic realm={Quote(realm, nameof(realm))}, charset=\"UTF-8\"";

    /// <summary>Asks for a token (RFC 6750, section 3).</summary>
    /// <param name="realm">What it is for; visible ASCII characters and spaces.</param>
    /// <param name="error">Why the one that was sent does not do, such as <c>invalid_token</c>; null when none was sent.</param>
    /// <exception cref="ArgumentException">The realm or the error contains other characters.</exception>
    public static string Bearer(string realm, string? error = null) =>
        error is null ? $"Bearer realm={Quote(realm, nameof(realm))}" : $"Bearer realm={Quote(realm, nameof(realm))}, error={Quote(error, nameof(error))}";

    private static string Quote(string text, string parameterName)
    {
        ArgumentNullException.ThrowIfNull(text, parameterName);
        var quoted = new StringBuilder("\"");
        foreach (char c in text)
        {
            if (c is not (>= ' ' and <= '~'))
            {
                throw new ArgumentException($"'{text}' contains the character U+{(int)c:X4}, but only visible ASCII characters and spaces are allowed.", parameterName);
            }

            if (c is '"' or '\\')
            {
                quoted.Append('\\');
            }

            quoted.Append(c);
        }

        return quoted.Append('"').ToString();
    }
}
