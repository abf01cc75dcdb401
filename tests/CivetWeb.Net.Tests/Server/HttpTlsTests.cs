using System;
using System.IO;
using System.Net.Http;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Bodies in both directions over TLS.</summary>
[TestFixture]
internal sealed class HttpTlsTests
{
    [Test]
    public async Task Bodies_and_files_are_intact()
    {
        byte[] body = new byte[3_000_000];
        new Random(1).NextBytes(body);
        string folder = Directory.CreateTempSubdirectory("civetweb-net-").FullName;
        try
        {
            string pem = Path.Combine(folder, "server.pem");
            await WriteCertificateAsync(pem);
            string file = Path.Combine(folder, "file.bin");
            await File.WriteAllBytesAsync(file, body);
            await using RunningServer server = await RunningServer.StartAsync(
                server =>
                {
                    server.MapPost("/", async (request, response) => await response.WriteAsync(await request.ReadBytesAsync()));
                    server.MapGet("/file", (_, response) => response.SendFile(file));
                },
                options =>
                {
                    options.Listen.Add("https://127.0.0.1:0");
                    options.DangerousRawOptions["ssl_certificate"] = pem;
                });
            using var client = new HttpClient(new HttpClientHandler { ServerCertificateCustomValidationCallback = (_, _, _, _) => true });
            var uri = new Uri($"https://127.0.0.1:{server.Port}/");
            foreach (bool chunked in (bool[])[false, true])
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, uri) { Content = new ByteArrayContent(body) };
                request.Headers.TransferEncodingChunked = chunked;
                using HttpResponseMessage response = await client.SendAsync(request);
                Assert.That(await response.Content.ReadAsByteArrayAsync(), Is.EqualTo(body));
            }

            Assert.That(await client.GetByteArrayAsync(new Uri(uri, "/file")), Is.EqualTo(body));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task WriteCertificateAsync(string file)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        await File.WriteAllTextAsync(file, certificate.ExportCertificatePem() + "\n" + key.ExportPkcs8PrivateKeyPem() + "\n");
    }
}
