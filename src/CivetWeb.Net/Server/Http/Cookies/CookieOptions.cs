using System;

namespace CivetWeb.Net;

/// <summary>When a browser sends a cookie along with a request that another site has caused (RFC 6265bis, SameSite).</summary>
public enum CookieSameSite
{
    /// <summary>Only when the user follows a link there.</summary>
    Lax,

    /// <summary>Never.</summary>
    Strict,

    /// <summary>Always; needs <see cref="CookieOptions.Secure"/>.</summary>
    None,
}

/// <summary>What a browser is told about a cookie (RFC 6265). The defaults keep it from scripts and other sites.</summary>
public sealed class CookieOptions
{
    /// <summary>The path the cookie is for. <c>/</c> unless set.</summary>
    public string Path { get; set; } = "/";

    /// <summary>The domain whose hosts get it; null: this host alone.</summary>
    public string? Domain { get; set; }

    /// <summary>How long it is kept; null: see <see cref="Expires"/>.</summary>
    public TimeSpan? MaxAge { get; set; }

    /// <summary>Until when it is kept; with <see cref="MaxAge"/> null too, until the browser is closed.</summary>
    public DateTimeOffset? Expires { get; set; }

    /// <summary>Whether it is sent over TLS only. False unless set.</summary>
    public bool Secure { get; set; }

    /// <summary>Whether scripts cannot see it. True unless set.</summary>
    public bool HttpOnly { get; set; } = true;

    /// <summary>Whether requests caused by other sites carry it. Lax unless set.</summary>
    public CookieSameSite SameSite { get; set; }
}
