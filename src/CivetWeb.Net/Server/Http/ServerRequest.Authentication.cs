using System;
using System.Buffers;
using System.Diagnostics.CodeAnalysis;

namespace CivetWeb.Net;

public sealed partial class ServerRequest
{
    private static readonly SearchValues<char> BearerCharacters =
        SearchValues.Create("-._~+/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    /// <summary>The credentials of HTTP's Basic scheme (RFC 7617), as UTF-8. They are not checked by this.</summary>
    /// <param name="user">The user; may be empty.</param>
    /// <param name="password">The password; may be empty.</param>
    /// <returns>False when the client has sent none, more than one Authorization header, or malformed ones.</returns>
    public bool TryGetBasicCredentials([NotNullWhen(true)] out string? user, [NotNullWhen(true)] out string? password) =>
        BasicCredentials.TryParse(Authorization(), out user, out password);

    /// <summary>The token of the Bearer scheme in the Authorization header (RFC 6750, section 2.1). It is not checked by this.</summary>
    /// <param name="token">The token.</param>
    /// <returns>False when the client has sent none, more than one Authorization header, or a malformed one.</returns>
    public bool TryGetBearerToken([NotNullWhen(true)] out string? token)
    {
        const string Scheme = "Bearer ";
        token = null;
        if (Authorization() is not { } header || !header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
        {
            return false;
        }

        ReadOnlySpan<char> text = header.AsSpan(Scheme.Length).Trim(' ');
        ReadOnlySpan<char> withoutPadding = text.TrimEnd('=');
        if (withoutPadding.IsEmpty || withoutPadding.ContainsAnyExcept(BearerCharacters))
        {
            return false;
        }

        token = text.ToString();
        return true;
    }

    /// <summary>The only Authorization header; with two nobody knows which one a proxy before us has checked.</summary>
    private string? Authorization()
    {
        string? only = null;
        foreach (string value in Headers.GetValues("Authorization"))
        {
            if (only is not null)
            {
                return null;
            }

            only = value;
        }

        return only;
    }
}
