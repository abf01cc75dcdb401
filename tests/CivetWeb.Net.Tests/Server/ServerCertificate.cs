using System;
using System.IO;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace CivetWeb.Net.Tests;

/// <summary>A self-signed certificate for localhost, in a file that goes with it.</summary>
internal sealed class ServerCertificate : IDisposable
{
    public ServerCertificate()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        Path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"civetweb-net-{Guid.NewGuid():N}.pem");
        File.WriteAllText(Path, certificate.ExportCertificatePem() + "\n" + key.ExportPkcs8PrivateKeyPem() + "\n");
    }

    public string Path { get; }

    public void Dispose() => File.Delete(Path);
}
