using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>Reads the server's certificate from where <see cref="TlsOptions"/> say it is. Nothing is written to disk.</summary>
internal static class ServerCertificateReader
{
    /// <exception cref="ArgumentException">The options contradict each other or the file's format.</exception>
    /// <exception cref="FileNotFoundException">A file is missing.</exception>
    /// <exception cref="UnauthorizedAccessException">A file may not be read.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="CryptographicException">A file has no certificate or no key, or the password is wrong.</exception>
    public static ServerCertificate Read(TlsOptions tls)
    {
        TlsOptionsCheck.CheckSource(tls);
        if (tls.Certificate is not null)
        {
            return FromObject(tls.Certificate, tls.CertificateChain?.ToArray() ?? [], "Tls.Certificate", "Tls.Certificate");
        }

        string path = tls.CertificatePath!;
        byte[] file = ServerCertificateFile.Read(path, "Tls.CertificatePath");
        bool isKept = false;
        try
        {
            if (!ServerCertificateFile.IsPem(file))
            {
                return ServerCertificateFile.IsPkcs12(path, file)
                    ? FromPkcs12(file, path, tls)
                    : throw new CryptographicException(
                        $"'{path}' (Tls.CertificatePath) is neither a PEM file with a block 'CERTIFICATE' nor a PKCS #12 file (.pfx, .p12).");
            }

            byte[] key = tls.KeyPath is null ? file : ServerCertificateFile.Read(tls.KeyPath, "Tls.KeyPath");
            isKept = tls.KeyPath is null;
            return FromPem(file, path, key, tls);
        }
        finally
        {
            if (!isKept)
            {
                CryptographicOperations.ZeroMemory(file);
            }
        }
    }

    private static ServerCertificate FromPem(byte[] file, string path, byte[] key, TlsOptions tls)
    {
        bool isRead = false;
        try
        {
            List<X509Certificate2> certificates = ServerCertificateFile.ReadPemCertificates(file, path, "Tls.CertificatePath");
            try
            {
                string keyPath = tls.KeyPath ?? path;
                if (key.AsSpan().IndexOf("PRIVATE KEY-----"u8) < 0)
                {
                    throw new CryptographicException(
                        tls.KeyPath is null
                            ? $"'{path}' (Tls.CertificatePath) contains a certificate but no private key: name the PEM file that has it in Tls.KeyPath."
                            : $"'{keyPath}' (Tls.KeyPath) contains no private key: a PEM block whose name ends in 'PRIVATE KEY'.");
                }

                X509Certificate2 leaf = certificates[0];
                var result = new ServerCertificate
                {
                    Source = $"'{path}' (Tls.CertificatePath)",
                    KeySource = tls.KeyPath is null ? $"'{path}' (Tls.CertificatePath)" : $"'{keyPath}' (Tls.KeyPath)",
                    Subject = leaf.Subject,
                    NotBefore = leaf.NotBefore,
                    NotAfter = leaf.NotAfter,
                    Leaf = leaf.RawData,
                    Chain = Concatenate(certificates.Skip(1)),
                    Key = key,
                    PemPassword = ServerCertificate.ToPemPassword(tls.Password),

                    // "BEGIN ENCRYPTED PRIVATE KEY" of PKCS #8, "Proc-Type: 4,ENCRYPTED" of older tools
                    IsKeyEncrypted = key.AsSpan().IndexOf("ENCRYPTED"u8) >= 0,
                };
                isRead = true;
                return result;
            }
            finally
            {
                certificates.ForEach(c => c.Dispose());
            }
        }
        finally
        {
            if (!isRead)
            {
                CryptographicOperations.ZeroMemory(key);
            }
        }
    }

    private static ServerCertificate FromPkcs12(byte[] file, string path, TlsOptions tls)
    {
        if (tls.KeyPath is not null)
        {
            throw OptionError.Create($"'{path}' (Tls.CertificatePath) is a PKCS #12 file, which has its key itself: leave Tls.KeyPath unset.");
        }

        // macOS knows no keys outside of a keychain; the runtime takes a temporary one.
        X509KeyStorageFlags storage = OperatingSystem.IsMacOS()
            ? X509KeyStorageFlags.Exportable
            : X509KeyStorageFlags.Exportable | X509KeyStorageFlags.EphemeralKeySet;
        X509Certificate2Collection all;
        try
        {
            all = X509CertificateLoader.LoadPkcs12Collection(file, tls.Password, storage);
        }
        catch (CryptographicException e)
        {
            throw new CryptographicException(
                $"The PKCS #12 file '{path}' (Tls.CertificatePath) cannot be read {(tls.Password is null ? "without a password: set Tls.Password, unless the file is damaged" : "with Tls.Password: that is wrong, or the file is damaged")}. ({e.Message})",
                e);
        }

        try
        {
            X509Certificate2 leaf = all.FirstOrDefault(c => c.HasPrivateKey)
                ?? throw new CryptographicException($"The PKCS #12 file '{path}' (Tls.CertificatePath) contains no certificate with a private key.");
            string source = $"'{path}' (Tls.CertificatePath)";
            return FromObject(leaf, [.. Issuers(leaf, all)], source, source);
        }
        finally
        {
            foreach (X509Certificate2 certificate in all)
            {
                certificate.Dispose();
            }
        }
    }

    private static ServerCertificate FromObject(X509Certificate2 leaf, X509Certificate2[] chain, string source, string keySource)
    {
        byte[] key = ExportKey(leaf, source);
        return new ServerCertificate
        {
            Source = source,
            KeySource = keySource,
            Subject = leaf.Subject,
            NotBefore = leaf.NotBefore,
            NotAfter = leaf.NotAfter,
            Leaf = leaf.RawData,
            Chain = Concatenate(chain),
            Key = key,
        };
    }

    /// <summary>The certificates of a PKCS #12 file have no order: from the issuer up to what is not in the file or a root, which clients have.</summary>
    private static IEnumerable<X509Certificate2> Issuers(X509Certificate2 leaf, X509Certificate2Collection all)
    {
        var left = all.Where(c => c != leaf && !IsSelfIssued(c)).ToList();
        X509Certificate2 current = leaf;
        while (left.Find(c => c.SubjectName.RawData.AsSpan().SequenceEqual(current.IssuerName.RawData)) is { } issuer)
        {
            left.Remove(issuer);
            yield return issuer;
            current = issuer;
        }

        static bool IsSelfIssued(X509Certificate2 c) => c.SubjectName.RawData.AsSpan().SequenceEqual(c.IssuerName.RawData);
    }

    /// <summary>PKCS #8.</summary>
    private static byte[] ExportKey(X509Certificate2 certificate, string source)
    {
        if (!certificate.HasPrivateKey)
        {
            throw OptionError.Create($"The certificate of {source} has no private key.");
        }

        using AsymmetricAlgorithm algorithm = (AsymmetricAlgorithm?)certificate.GetRSAPrivateKey() ?? certificate.GetECDsaPrivateKey()
            ?? throw new CryptographicException($"The private key of {source} is neither RSA nor ECDSA.");
        byte[] buffer = ServerCertificate.Secret(4096);
        try
        {
            while (true)
            {
                if (algorithm.TryExportPkcs8PrivateKey(buffer, out int size))
                {
                    byte[] key = ServerCertificate.Secret(size);
                    buffer.AsSpan(0, size).CopyTo(key);
                    return key;
                }

                buffer = ServerCertificate.Secret(buffer.Length * 2);
            }
        }
        catch (CryptographicException e)
        {
            throw new CryptographicException(
                $"The private key of {source} cannot be exported, but OpenSSL needs it: load the certificate with X509KeyStorageFlags.Exportable, or use Tls.CertificatePath. ({e.Message})",
                e);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(buffer);
        }
    }

    private static byte[] Concatenate(IEnumerable<X509Certificate2> certificates) => [.. certificates.SelectMany(c => c.RawData)];
}
