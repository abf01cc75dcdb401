using System;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace CivetWeb.Net;

/// <summary>Passwords and tokens that are known in clear.</summary>
public static class AuthenticationSecret
{
    /// <summary>Whether both are the same text, in a time that tells nothing of how much of it is.</summary>
    /// <param name="expected">What it must be.</param>
    /// <param name="given">What the client has sent.</param>
    /// <exception cref="ArgumentNullException">One of them is null.</exception>
    public static bool AreEqual(string expected, string given)
    {
        ArgumentNullException.ThrowIfNull(expected);
        ArgumentNullException.ThrowIfNull(given);

        // Of one length, so that the time does not tell the secret's.
        Span<byte> a = stackalloc byte[SHA256.HashSizeInBytes];
        Span<byte> b = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(MemoryMarshal.AsBytes(expected.AsSpan()), a);
        SHA256.HashData(MemoryMarshal.AsBytes(given.AsSpan()), b);
        return CryptographicOperations.FixedTimeEquals(a, b);
    }
}
