using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace CivetWeb.Net.Tests;

/// <summary>Certificates made for one test, and a folder for their files that goes with them.</summary>
internal sealed class TestCertificates : IDisposable
{
    private static int s_serial;

    private readonly string _folder = Directory.CreateTempSubdirectory("civetweb-tls-").FullName;

    public TestCertificates()
    {
        Root = Authority("Test Root", null);
        Issuer = Authority("Test Issuer", Root);
        Server = Leaf("first", Issuer, "1.3.6.1.5.5.7.3.1");
    }

    public X509Certificate2 Root { get; }

    /// <summary>Signed by the root; signs the others.</summary>
    public X509Certificate2 Issuer { get; }

    public X509Certificate2 Server { get; }

    public X509Certificate2 AnotherServer(string name, DateTimeOffset? notAfter = null) => Leaf(name, Issuer, "1.3.6.1.5.5.7.3.1", notAfter);

    /// <param name="name">The subject.</param>
    /// <param name="issuer">Who signs it; null: <see cref="Issuer"/>.</param>
    /// <param name="notAfter">The last day it is valid.</param>
    /// <param name="extraNames">More names, to make it large.</param>
    public X509Certificate2 Client(string name, X509Certificate2? issuer = null, DateTimeOffset? notAfter = null, int extraNames = 0) =>
        Leaf(name, issuer ?? Issuer, "1.3.6.1.5.5.7.3.2", notAfter, extraNames);

    public static X509Certificate2 Authority(string name, X509Certificate2? issuer)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        return Sign(request, key, issuer, null);
    }

    /// <summary>A self-signed one.</summary>
    public static X509Certificate2 SelfSigned(string name, AsymmetricAlgorithm key)
    {
        CertificateRequest request = key is RSA rsa
            ? new CertificateRequest($"CN={name}", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            : new CertificateRequest($"CN={name}", (ECDsa)key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(30));
    }

    public string PathOf(string file) => Path.Combine(_folder, file);

    /// <summary>Puts the text where a reader sees either the old or the new file.</summary>
    public string Write(string file, string text) => Write(file, System.Text.Encoding.UTF8.GetBytes(text));

    public string Write(string file, byte[] bytes)
    {
        string path = PathOf(file);
        File.WriteAllBytes(path + ".new", bytes);
        File.Move(path + ".new", path, overwrite: true);
        return path;
    }

    /// <summary>The certificate and its issuers, as PEM.</summary>
    public static string Pem(params X509Certificate2[] certificates) => string.Concat(certificates.Select(c => c.ExportCertificatePem() + "\n"));

    public static string KeyPem(X509Certificate2 certificate)
    {
        using AsymmetricAlgorithm key = (AsymmetricAlgorithm?)certificate.GetECDsaPrivateKey() ?? certificate.GetRSAPrivateKey()!;
        return key.ExportPkcs8PrivateKeyPem() + "\n";
    }

    public static string EncryptedKeyPem(X509Certificate2 certificate, string password)
    {
        using ECDsa key = certificate.GetECDsaPrivateKey()!;
        return key.ExportEncryptedPkcs8PrivateKeyPem(password, new PbeParameters(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 2048)) + "\n";
    }

    public void Dispose()
    {
        Root.Dispose();
        Issuer.Dispose();
        Server.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static X509Certificate2 Leaf(string name, X509Certificate2 issuer, string usage, DateTimeOffset? notAfter = null, int extraNames = 0)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        names.AddIpAddress(IPAddress.Loopback);
        for (int i = 0; i < extraNames; i++)
        {
            names.AddDnsName($"name-{i}.example.org");
        }

        request.CertificateExtensions.Add(names.Build());
        return Sign(request, key, issuer, notAfter);
    }

    private static X509Certificate2 Sign(CertificateRequest request, ECDsa key, X509Certificate2? issuer, DateTimeOffset? notAfter)
    {
        DateTimeOffset begin = DateTimeOffset.UtcNow.AddDays(-20);
        if (issuer is null)
        {
            return request.CreateSelfSigned(begin, DateTimeOffset.UtcNow.AddDays(60));
        }

        byte[] serial = BitConverter.GetBytes(System.Threading.Interlocked.Increment(ref s_serial) + 0x1000000);
        Array.Reverse(serial);
        using ECDsa issuerKey = issuer.GetECDsaPrivateKey()!;
        using X509Certificate2 signed = request.Create(
            issuer.SubjectName, X509SignatureGenerator.CreateForECDsa(issuerKey), begin, notAfter ?? DateTimeOffset.UtcNow.AddDays(50), serial);
        return signed.CopyWithPrivateKey(key);
    }
}
