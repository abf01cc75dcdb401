using System;
using System.Buffers;

namespace CivetWeb.Net.Core;

/// <summary>What may stand in a header line (RFC 9110, section 5).</summary>
internal static class HeaderText
{
    /// <summary>The characters of a token (section 5.6.2).</summary>
    public static readonly SearchValues<char> TokenCharacters =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    public static bool IsToken(ReadOnlySpan<char> text) => !text.IsEmpty && !text.ContainsAnyExcept(TokenCharacters);

    /// <exception cref="ArgumentException">It is not a valid header name.</exception>
    public static void CheckName(string name, string parameterName)
    {
        ArgumentException.ThrowIfNullOrEmpty(name, parameterName);
        if (!IsToken(name))
        {
            throw new ArgumentException(
                "The name of a header may only have letters, digits and !#$%&'*+-.^_`|~ (RFC 9110, section 5.6.2).", parameterName);
        }
    }

    /// <exception cref="ArgumentException">It has control characters: it could become another line.</exception>
    public static void CheckValue(string value, string parameterName)
    {
        ArgumentNullException.ThrowIfNull(value, parameterName);
        foreach (char c in value)
        {
            if (char.IsControl(c) && c != '\t')
            {
                throw new ArgumentException(
                    $"The value of a header must not contain control characters, but has U+{(int)c:X4}.", parameterName);
            }
        }
    }
}
