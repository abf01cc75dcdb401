using System;
using System.Globalization;
using System.Runtime.InteropServices;
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

    /// <summary>What to run for servers that are started again and again, one after the other.</summary>
    public static string[] StartsCommand(Api api, int threads, int times) =>
        Command("starts", api.ToString(), threads.ToString(CultureInfo.InvariantCulture), times.ToString(CultureInfo.InvariantCulture));

    /// <summary>What to run for a program that sets a resolver of its own, before or after its first server.</summary>
    public static string[] ResolverCommand(string when) => Command("resolver", when);

    /// <summary>What to run for the server of docs/recipes.md that stops at a signal.</summary>
    public static string[] SignalsCommand() => Command("signals");

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
            case ["signals"]:
                await StopAtASignalAsync();
                return 0;
            case ["starts", string api, string threads, string times]:
                await StartAsync(Enum.Parse<Api>(api), int.Parse(threads, CultureInfo.InvariantCulture), int.Parse(times, CultureInfo.InvariantCulture));
                return 0;
            case ["resolver", string when]:
                StartWithResolver(when);
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

    private static async Task StopAtASignalAsync()
    {
        await using var server = new CivetWebServer(new() { Listen = ["http://127.0.0.1:0"] });
        server.MapWebSocket("/ws", async context =>
        {
            await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
            {
            }
        });
        Task end = RecipeExamples.Signals(server);
        while (server.EndPoints.Count == 0 && !end.IsCompleted)
        {
            await Task.Delay(10);
        }

        Console.WriteLine($"Listening on {server.EndPoints[0].Uri}");
        await end;
        Console.WriteLine("stopped");
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

    private static void StartWithResolver(string when)
    {
        if (when == "after")
        {
            Http.StartServer(_ => 0, ["listening_ports", "127.0.0.1:0", "num_threads", "2"]).Dispose();
        }

        NativeLibrary.SetDllImportResolver(typeof(Http).Assembly, (_, _, _) => 0);
        Http.StartServer(_ => 0, ["listening_ports", "127.0.0.1:0", "num_threads", "2"]).Dispose();
        Console.WriteLine("works");
    }

    // A line for each start: "works", or what the exception says.
    private static async Task StartAsync(Api api, int threads, int times)
    {
        for (int i = 0; i < times; i++)
        {
            try
            {
                if (api == Api.Callbacks)
                {
                    using Context context = Http.StartServer(
                        c => Http.Print(c, "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nanswer") > 0 ? 200 : 500,
                        ["listening_ports", "127.0.0.1:0", "num_threads", threads.ToString(CultureInfo.InvariantCulture)]);
                    IsAnswered(context.Port);
                }
                else
                {
                    var options = new CivetWebServerOptions { MaxConnections = threads - 1, ReservedHttpThreads = 1, Listen = { "http://127.0.0.1:0" } };
                    await using var server = new CivetWebServer(options);
                    server.MapGet("/", async (_, response) =>
                    {
                        await Task.Yield();
                        response.WriteText("answer");
                    });
                    await server.StartAsync();
                    IsAnswered(server.EndPoints[0].Uri.Port);
                }

                Console.WriteLine("works");
            }
            catch (CivetWebException e)
            {
                Console.WriteLine(e.Message);
            }
        }
    }

    private static void IsAnswered(int port)
    {
        if (!RawClient.Exchange(port, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").EndsWith("answer", StringComparison.Ordinal))
        {
            throw new InvalidOperationException("The server does not answer.");
        }
    }

    private static string[] Command(string name, params string[] arguments) => ["dotnet", typeof(TestProgram).Assembly.Location, name, .. arguments];
}
