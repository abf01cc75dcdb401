using System;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Tasks;

namespace CivetWeb.Net.Tests;

/// <summary>Servers on https alone.</summary>
internal static class TlsServers
{
    public static Task<RunningServer> StartAsync(TlsOptions tls, Action<CivetWebServer>? map = null) =>
        RunningServer.StartAsync(
            map ?? (_ => { }),
            options =>
            {
                options.Listen.Add("https://127.0.0.1:0");
                options.Tls = tls;
            });

    /// <summary>The test's first certificate with its issuer, as an object.</summary>
    public static TlsOptions Options(TestCertificates certificates) => new()
    {
        Certificate = certificates.Server,
        CertificateChain = new X509Certificate2Collection(certificates.Issuer),
    };

    /// <summary>The same in two files, which are looked at often.</summary>
    public static TlsOptions FileOptions(TestCertificates certificates) => new()
    {
        CertificatePath = certificates.Write("server.pem", TestCertificates.Pem(certificates.Server, certificates.Issuer)),
        KeyPath = certificates.Write("server.key", TestCertificates.KeyPem(certificates.Server)),
        ReloadInterval = TimeSpan.FromMilliseconds(20),
    };
}
