using System;
using System.Runtime.InteropServices;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Smoke;

// Smoke                   servers of both APIs, and one with TLS, and a client of each, in this process
// Smoke serve             the servers without TLS alone: a line for each, until standard input ends
// Smoke client ws://…     the client alone
using var deadline = new CancellationTokenSource(TimeSpan.FromMinutes(2));
switch (args)
{
    case []:
        using (X509Certificate2 certificate = Servers.CreateCertificate())
        await using (Servers servers = await Servers.StartAsync(certificate))
        {
            var client = new Client(certificate);
            foreach (Uri server in servers.Addresses)
            {
                await client.EchoAsync(server, deadline.Token);
                await client.GetPageAsync(server, deadline.Token);
            }
        }

        Console.WriteLine($"OK: both APIs echo and serve a page, also by TLS, on {RuntimeInformation.RuntimeIdentifier}, {RuntimeInformation.FrameworkDescription}");
        return 0;
    case ["serve"]:
        await using (Servers servers = await Servers.StartAsync(null))
        {
            foreach (Uri server in servers.Addresses)
            {
                Console.WriteLine($"Listening on {server}");
            }

            await Task.Run(Console.In.ReadToEnd);
        }

        return 0;
    case ["client", string address]:
        await new Client(null).EchoAsync(new Uri(address), deadline.Token);
        Console.WriteLine($"OK: {address} echoes");
        return 0;
    default:
        Console.Error.WriteLine("usage: Smoke [serve | client ws://…]");
        return 2;
}
