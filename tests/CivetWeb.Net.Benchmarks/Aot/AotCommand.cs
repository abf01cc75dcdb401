using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Benchmarks.Load;

namespace CivetWeb.Net.Benchmarks.Aot;

/// <summary>EchoServer and an echo with Kestrel, natively compiled: size, start, memory.</summary>
internal static class AotCommand
{
    private const int Clients = 10;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private static readonly Dictionary<string, string> s_nothing = [];

    public static int Run(AotOptions options)
    {
        Repository.BuildNativePrograms();
        Subject[] subjects =
        [
            new("EchoServer", Publish("src/EchoServer"), "EchoServer", ["--port", "0", "--log", "quiet"], "/websocket"),
            new("Kestrel", Publish("tests/CivetWeb.Net.Benchmarks/KestrelAot"), "KestrelAot", [], "/"),
        ];
        var starts = subjects.ToDictionary(s => s, _ => new List<double>());
        var memory = subjects.ToDictionary(s => s, _ => new List<double>());

        // In turn, so that both have the same machine around them; the first round warms the file cache.
        for (int i = 0; i <= options.Repeat; i++)
        {
            foreach (Subject subject in subjects)
            {
                (double milliseconds, double mebibytes) = Measure(subject);
                if (i > 0)
                {
                    starts[subject].Add(milliseconds);
                    memory[subject].Add(mebibytes);
                }
            }
        }

        Console.WriteLine(Machine.This);
        Console.WriteLine($"\nMedians of {options.Repeat} starts. In brackets the smallest and the largest.\n");
        Console.WriteLine($"| program | executable MB | native library MB | ready to accept ms | RSS MiB with {Clients} clients |");
        Console.WriteLine("| --- | --- | --- | --- | --- |");
        foreach (Subject subject in subjects)
        {
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {subject.Name} | {subject.ExecutableSize / 1e6:F2} | {subject.LibrarySize / 1e6:F2} | {Text(starts[subject])} | {Text(memory[subject])} |"));
        }

        return 0;
    }

    private static string Text(List<double> values)
    {
        Spread spread = Spread.Of(values)!.Value;
        return string.Create(CultureInfo.InvariantCulture, $"{spread.Median:F1} ({spread.Min:F1}-{spread.Max:F1})");
    }

    private static (double Milliseconds, double Mebibytes) Measure(Subject subject)
    {
        long began = Stopwatch.GetTimestamp();
        using var server = new ChildProcess([subject.Executable, .. subject.Arguments], s_nothing, cpu: null);
        string? line = server.ReadLine(s_patience);
        if (line is null || !line.StartsWith("Listening on http://", StringComparison.Ordinal))
        {
            throw new FormatException($"{subject.Name} has not started: {server.Ended ?? line ?? "it says nothing"}");
        }

        int port = new Uri(line.Split(' ')[2]).Port;
        using (var first = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
            first.Connect(IPAddress.Loopback, port);
        }

        double milliseconds = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        return (milliseconds, MemoryWithClientsAsync(new Uri($"ws://127.0.0.1:{port}{subject.Path}"), server.Id).GetAwaiter().GetResult());
    }

    /// <summary>While all are connected, each after a message there and back.</summary>
    private static async Task<double> MemoryWithClientsAsync(Uri address, int server)
    {
        using var timeout = new CancellationTokenSource(s_patience);
        var clients = new List<ClientWebSocket>();
        try
        {
            for (int i = 0; i < Clients; i++)
            {
                var client = new ClientWebSocket();
                clients.Add(client);
                await client.ConnectAsync(address, timeout.Token);
                await client.SendAsync("hello"u8.ToArray(), WebSocketMessageType.Text, true, timeout.Token);
                await client.ReceiveAsync(new byte[4096].AsMemory(), timeout.Token); // EchoServer's greeting, or the echo
            }

            string line = (await File.ReadAllLinesAsync($"/proc/{server}/status", timeout.Token)).First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
            return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024.0;
        }
        finally
        {
            clients.ForEach(client => client.Dispose());
        }
    }

    private static string Publish(string project)
    {
        string output = Path.Combine(Repository.Root, "artifacts", "benchmarks", "aot", Path.GetFileName(project));
        string[] command =
        [
            "publish", project, "-c", "Release", "-r", RuntimeInformation.RuntimeIdentifier, "-p:PublishAot=true", "--output", output, "--verbosity", "quiet",
        ];
        using Process publish = Process.Start(new ProcessStartInfo("dotnet", command) { WorkingDirectory = Repository.Root })!;
        publish.WaitForExit();
        return publish.ExitCode == 0 ? output : throw new FormatException($"{project} could not be published, see above.");
    }

    private sealed record Subject(string Name, string Folder, string Program, string[] Arguments, string Path)
    {
        public string Executable => System.IO.Path.Combine(Folder, Program);

        public long ExecutableSize => new FileInfo(Executable).Length;

        public long LibrarySize => Directory.GetFiles(Folder, "*civetweb_net*").Sum(file => new FileInfo(file).Length);
    }
}
