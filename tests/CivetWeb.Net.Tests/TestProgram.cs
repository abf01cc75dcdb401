using System;
using System.Threading.Tasks;

namespace CivetWeb.Net.Tests;

/// <summary>The test assembly as a program: what of the documents needs a process of its own.</summary>
internal static class TestProgram
{
    /// <summary>What to run for the program of docs/deployment.md.</summary>
    public static string[] DeploymentCommand(params string[] arguments) => Command("deployment", arguments);

    /// <summary>What to run for a server with TLS that says why it cannot start.</summary>
    public static string[] TlsCommand(string certificate) => Command("tls", certificate);

    /// <summary>What to run for a server that says how many leaders it has.</summary>
    public static string[] LeadersCommand() => Command("leaders");

    private static async Task<int> Main(string[] args)
    {
        const int UsageError = 2;
        switch (args)
        {
            case ["deployment", .. string[] rest]:
                return await DeploymentExamples.Program(rest);
            case ["tls", string certificate]:
                StartWithTls(certificate);
                return 0;
            case ["leaders"]:
                await CountLeadersAsync();
                return 0;
            default:
                return UsageError;
        }
    }

    // The callback API: .NET's own certificates need the OpenSSL that is missing here.
    private static void StartWithTls(string certificate)
    {
        try
        {
            Http.StartServer(_ => 0, ["listening_ports", "127.0.0.1:0s", "ssl_certificate", certificate]).Dispose();
        }
        catch (CivetWebException e)
        {
            Console.WriteLine(e.Message);
        }
    }

    private static async Task CountLeadersAsync()
    {
        using Context server = Http.StartServer(_ => 0, ["listening_ports", "127.0.0.1:0"]);
        Http.SetWebSocketHandler(server, "/ws", null, null, (c, bits, data, _) => bits == 1 ? Http.WriteTextToWebSocket(c, data) : 1, null);
        using RawClient client = RawClient.Open(server.Port);
        client.SendFrame(0x81, "hello"u8);
        client.ReadFrame();
        for (int i = 0; i < 500 && ProcFs.Leaders != Environment.ProcessorCount; i++)
        {
            await Task.Delay(10); // they name themselves
        }

        Console.WriteLine($"{ProcFs.Leaders} leaders");
    }

    private static string[] Command(string name, params string[] arguments) => ["dotnet", typeof(TestProgram).Assembly.Location, name, .. arguments];
}
