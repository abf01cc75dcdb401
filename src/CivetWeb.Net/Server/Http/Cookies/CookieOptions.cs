using System;

namespace CivetWeb.Net;

/// <summary>
/// Whether a browser sends a cookie with requests that another site has caused (RFC 6265bis, SameSite). The numbers are those of
/// ASP.NET Core's <c>SameSiteMode</c>.
/// </summary>
public enum CookieSameSite
{
    /// <summary>The attribute is left out; most browsers then act as for <see cref="Lax"/>.</summary>
    Unspecified = -1,

    /// <summary>Always; needs <see cref="CookieOptions.Secure"/>.</summary>
    None = 0,

    /// <summary>Only when the user follows a link to this site.</summary>
    Lax = 1,

    /// <summary>Never.</summary>
    Strict = 2,
}

/// <summary>The attributes of a cookie (RFC 6265). By default scripts cannot read it, and other sites cannot send it along.</summary>
public sealed class CookieOptions
{
    /// <summary>The path that the cookie is for. <c>/</c> unless set.</summary>
    public string Path { get; set; } = "/";

    /// <summary>The domain whose hosts receive the cookie; null: only the host that set it.</summary>
    public string? Domain { get; set; }

    /// <summary>How long the browser keeps it. Null: until <see cref="Expires"/>.</summary>
    public TimeSpan? MaxAge { get; set; }

    /// <summary>When the browser deletes it. If <see cref="MaxAge"/> is null too, it is deleted when the browser is closed.</summary>
    public DateTimeOffset? Expires { get; set; }

    /// <summary>Whether it is sent over TLS only. False unless set.</summary>
    public bool Secure { get; set; }

    /// <summary>Whether scripts are kept from reading it. True unless set.</summary>
    public bool HttpOnly { get; set; } = true;

    /// <summary>Whether requests that other sites cause carry it. <see cref="CookieSameSite.Lax"/> unless set.</summary>
    public CookieSameSite SameSite { get; set; } = CookieSameSite.Lax;
}
