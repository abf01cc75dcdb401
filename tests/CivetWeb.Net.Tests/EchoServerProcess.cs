using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The EchoServer program, run as a user runs it.</summary>
internal sealed class EchoServerProcess : IDisposable
{
    private static readonly Lazy<bool> EnvResetsSignals = new(() => TryRun("env", "--default-signal=INT", "true"));

    private readonly Process _process;
    private readonly object _gate = new();
    private readonly List<string> _output = [];
    private readonly List<string> _errors = [];

    private EchoServerProcess(Process process)
    {
        _process = process;
        _process.OutputDataReceived += (_, e) => Add(_output, e.Data);
        _process.ErrorDataReceived += (_, e) => Add(_errors, e.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        _process.StandardInput.Close();
    }

    public int Id => _process.Id;

    public int ExitCode => _process.ExitCode;

    /// <summary>The port of the line "Listening on …"; 0 before <see cref="StartAsync"/> has seen it.</summary>
    public int Port { get; private set; }

    /// <summary>What it has written, without the lines "Listening on …".</summary>
    public string[] Lines => [.. Snapshot(_output).Where(line => !line.StartsWith("Listening on ", StringComparison.Ordinal))];

    /// <summary>The lines "Listening on …".</summary>
    public string[] Banner => [.. Snapshot(_output).Where(line => line.StartsWith("Listening on ", StringComparison.Ordinal))];

    public string[] Errors => Snapshot(_errors);

    public Uri WebSocketUri => new($"ws://127.0.0.1:{Port}/websocket");

    public Uri PageUri => new($"http://127.0.0.1:{Port}/");

    /// <summary>Runs it to its end.</summary>
    public static Task<EchoServerProcess> RunAsync(params string[] arguments) => RunCommandAsync(Command(arguments));

    /// <summary>The same for a command that ends in the program and its arguments.</summary>
    public static async Task<EchoServerProcess> RunCommandAsync(params string[] command)
    {
        EchoServerProcess server = Create(command);
        try
        {
            await server.WaitForExitAsync();
            return server;
        }
        catch
        {
            server.Dispose();
            throw;
        }
    }

    /// <summary>Starts it on a port of the system's choice and waits until it listens.</summary>
    public static Task<EchoServerProcess> StartAsync(params string[] arguments) =>
        StartCommandAsync(Command(["--port", "0", .. arguments]));

    /// <summary>The same for a command that ends in the program and its arguments.</summary>
    public static async Task<EchoServerProcess> StartCommandAsync(params string[] command)
    {
        EchoServerProcess server = Create(command);
        try
        {
            await Eventually.IsTrueAsync(() => server.FindPort() || server._process.HasExited, "the EchoServer listens");
            if (server.Port == 0)
            {
                await server.WaitForExitAsync();
                throw new InvalidOperationException($"The EchoServer has ended with {server.ExitCode}: {string.Join("; ", server.Errors)}");
            }

            return server;
        }
        catch
        {
            server.Dispose();
            throw;
        }
    }

    /// <summary>Sends a signal.</summary>
    public void Signal(string name) => Signal(Id, name);

    /// <summary>Sends a signal to any process of the test: INT, TERM, USR1, KILL or STOP.</summary>
    public static void Signal(int process, string name)
    {
        int number = name switch
        {
            "INT" => 2,
            "KILL" => 9,
            "TERM" => 15,
            "USR1" => OperatingSystem.IsMacOS() ? 30 : 10,
            "STOP" => OperatingSystem.IsMacOS() ? 17 : 19,
            _ => throw new ArgumentOutOfRangeException(nameof(name), name, "INT, TERM, USR1, KILL or STOP"),
        };
        Assert.That(Kill(process, number), Is.Zero, $"kill({process}, {number})");
    }

    /// <summary>Waits for its end and all of its output.</summary>
    public async Task WaitForExitAsync()
    {
        using var timeout = new CancellationTokenSource(TestServer.Patience);
        await _process.WaitForExitAsync(timeout.Token);
    }

    /// <summary>Waits until it has written that many lines; returns them.</summary>
    public async Task<string[]> LinesAsync(int count)
    {
        await Eventually.IsTrueAsync(() => Lines.Length >= count, $"{count} lines of output, have: {string.Join(" | ", Lines)}");
        return Lines;
    }

    /// <summary>Kills it if a test has left it running.</summary>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true); // env and a terminal have children
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    /// <summary>What a tool is run with: no shell, output to read.</summary>
    public static ProcessStartInfo StartInfo(params string[] command) => new(command[0], command.Skip(1))
    {
        UseShellExecute = false,
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
        RedirectStandardError = true,
        StandardOutputEncoding = Encoding.UTF8,
        StandardErrorEncoding = Encoding.UTF8,
    };

    /// <summary>Whether a tool is there and succeeds.</summary>
    public static bool TryRun(params string[] command)
    {
        try
        {
            using Process process = Process.Start(StartInfo(command))!;
            process.StandardInput.Close();
            Task<string> errors = process.StandardError.ReadToEndAsync();
            process.StandardOutput.ReadToEnd();
            errors.Wait();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false; // no such program
        }
    }

    // Tests that were started in the background of a script have SIGINT ignored, and so would their children.
    private static string[] Command(string[] arguments) => EnvResetsSignals.Value
        ? ["env", "--default-signal=INT", Repository.EchoServer, .. arguments]
        : [Repository.EchoServer, .. arguments];

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);

    private static EchoServerProcess Create(string[] command) => new(new Process { StartInfo = StartInfo(command) });

    private bool FindPort()
    {
        // The first of the two lines.
        string? line = Snapshot(_output).FirstOrDefault(line => line.StartsWith("Listening on ", StringComparison.Ordinal));
        if (line is not null)
        {
            Port = new Uri(line.Split(' ')[2]).Port;
        }

        return line is not null;
    }

    private void Add(List<string> lines, string? line)
    {
        if (line is not null)
        {
            lock (_gate)
            {
                lines.Add(line);
            }
        }
    }

    private string[] Snapshot(List<string> lines)
    {
        lock (_gate)
        {
            return [.. lines];
        }
    }
}
