using System;
using System.IO;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>A certificate for one run, with its key in one PEM file.</summary>
internal sealed class LoadCertificate : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("civetweb-bench-").FullName;

    public LoadCertificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(7));
        Path = System.IO.Path.Combine(_folder, "server.pem");
        File.WriteAllText(Path, $"{certificate.ExportCertificatePem()}\n{key.ExportPkcs8PrivateKeyPem()}\n");
    }

    public string Path { get; }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
