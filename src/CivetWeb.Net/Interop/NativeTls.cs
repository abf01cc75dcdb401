using System;
using System.Runtime.InteropServices;

namespace CivetWeb.Net.Interop;

/// <summary>What became of a certificate; the numbers of <c>cwn_tls_set_certificate</c>.</summary>
internal enum SetCertificateResult
{
    Set = 0,
    KeyUnreadable = 1,
    KeyMismatch = 2,
    Refused = 3,
}

/// <summary>
/// The TLS of one server. CivetWeb's SSL_CTX refers to it, so it is disposed of only after mg_stop has returned.
/// </summary>
internal sealed unsafe class NativeTls : SafeHandle
{
    private const int ErrorSize = 512;

    public NativeTls()
        : base(0, ownsHandle: true)
    {
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>Objects alive in the process, certificates among them.</summary>
    public static long AliveCount => CwnMethods.cwn_tls_count();

    /// <summary>TLS without a certificate yet; null, with the reason, when OpenSSL refuses one of the rules.</summary>
    /// <param name="version">0x0303 or 0x0304.</param>
    /// <param name="ciphers">OpenSSL's notation.</param>
    /// <param name="clients">Whether clients are asked for certificates: 0 no, 1 yes, 2 they must have one.</param>
    /// <param name="depth">How many issuers there may be between a client's certificate and an authority.</param>
    /// <param name="authorities">Certificates in DER, one after the other.</param>
    /// <param name="error">What was refused.</param>
    public static NativeTls? TryCreate(
        int version, string ciphers, int clients, int depth, ReadOnlySpan<byte> authorities, out string error)
    {
        byte[] cipherBytes = NativeText.ToBytes(ciphers, nameof(ciphers));
        byte* text = stackalloc byte[ErrorSize];
        text[0] = 0;
        var result = new NativeTls();
        fixed (byte* c = cipherBytes, a = authorities)
        {
            result.SetHandle(CwnMethods.cwn_tls_create(version, c, clients, depth, a, (nuint)authorities.Length, text, ErrorSize));
        }

        error = NativeText.FromPointer(text) ?? "";
        if (result.IsInvalid)
        {
            result.Dispose();
            return null;
        }

        return result;
    }

    /// <summary>The certificate of every handshake from now on; after a failure the old one stays.</summary>
    /// <param name="leaf">The certificate in DER.</param>
    /// <param name="chain">Those between it and its authority, in DER, one after the other.</param>
    /// <param name="key">The private key, in DER, or in PEM when there is a password.</param>
    /// <param name="password">In UTF-8 with a terminating NUL; empty: the key is DER.</param>
    /// <param name="error">What was wrong.</param>
    public SetCertificateResult SetCertificate(
        ReadOnlySpan<byte> leaf, ReadOnlySpan<byte> chain, ReadOnlySpan<byte> key, ReadOnlySpan<byte> password, out string error)
    {
        byte* text = stackalloc byte[ErrorSize];
        text[0] = 0;
        bool held = false;
        try
        {
            DangerousAddRef(ref held);
            fixed (byte* l = leaf, c = chain, k = key, p = password)
            {
                int result = CwnMethods.cwn_tls_set_certificate(
                    handle, l, (nuint)leaf.Length, c, (nuint)chain.Length, k, (nuint)key.Length, p, text, ErrorSize);
                error = NativeText.FromPointer(text) ?? "";
                return (SetCertificateResult)result;
            }
        }
        finally
        {
            if (held)
            {
                DangerousRelease();
            }
        }
    }

    /// <summary>In the init_ssl callback; false, with the reason, when OpenSSL refuses.</summary>
    public bool Attach(nint sslContext, out string error)
    {
        byte* text = stackalloc byte[ErrorSize];
        text[0] = 0;
        bool attached = CwnMethods.cwn_tls_attach(handle, (void*)sslContext, text, ErrorSize) != 0;
        error = NativeText.FromPointer(text) ?? "";
        return attached;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        CwnMethods.cwn_tls_release(handle);
        return true;
    }
}
