using System;
using System.Security.Cryptography;
using System.Text;

namespace CivetWeb.Net;

/// <summary>A certificate on its way to OpenSSL. Its secrets are pinned, so that no copy stays behind, and erased when it is disposed of.</summary>
internal sealed class ServerCertificate : IDisposable
{
    /// <summary>What its messages call it: a file's name, or the option's.</summary>
    public required string Source { get; init; }

    /// <summary>What they call the place of its key.</summary>
    public required string KeySource { get; init; }

    public required string Subject { get; init; }

    public required DateTime NotBefore { get; init; }

    public required DateTime NotAfter { get; init; }

    /// <summary>The certificate in DER.</summary>
    public required byte[] Leaf { get; init; }

    /// <summary>Those between it and its authority in DER, one after the other.</summary>
    public required byte[] Chain { get; init; }

    /// <summary>The private key: PEM when there is a <see cref="PemPassword"/>, DER otherwise.</summary>
    public required byte[] Key { get; init; }

    /// <summary>In UTF-8 with a terminating NUL, which is all of it when the PEM needs none; empty for DER.</summary>
    public byte[] PemPassword { get; init; } = [];

    /// <summary>Whether <see cref="Key"/> needs a password.</summary>
    public bool IsKeyEncrypted { get; init; }

    public static byte[] ToPemPassword(string? password)
    {
        byte[] bytes = Secret(Encoding.UTF8.GetByteCount(password ?? "") + 1);
        Encoding.UTF8.GetBytes(password ?? "", bytes);
        return bytes;
    }

    /// <summary>Memory the garbage collector will not copy elsewhere; zeros.</summary>
    public static byte[] Secret(int size) => GC.AllocateArray<byte>(size, pinned: true);

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(Key);
        CryptographicOperations.ZeroMemory(PemPassword);
    }
}
