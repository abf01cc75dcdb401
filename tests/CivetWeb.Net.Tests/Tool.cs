using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.Threading.Tasks;

namespace CivetWeb.Net.Tests;

/// <summary>Programs that tests run.</summary>
internal static class Tool
{
    /// <summary>Runs a program to its end; standard output and error as one text. A program that is not there skips the test.</summary>
    public static (int ExitCode, string Output) Run(
        string program, IEnumerable<string> arguments, string? directory = null, IReadOnlyDictionary<string, string?>? environment = null)
    {
        using Process process = Start(program, arguments, directory, environment);
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(TestServer.Patience))
        {
            process.Kill();
            throw new TimeoutException($"{program} did not end.");
        }

        process.WaitForExit();
        return (process.ExitCode, output.Result + error.Result);
    }

    public static Process Start(
        string program, IEnumerable<string> arguments, string? directory = null, IReadOnlyDictionary<string, string?>? environment = null)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory ?? "",
        };

        // Compilers translate their messages.
        start.Environment["LC_ALL"] = "C";
        foreach ((string name, string? value) in environment ?? new Dictionary<string, string?>())
        {
            start.Environment[name] = value;
        }

        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            Repository.Missing($"'{program}' cannot be run: {e.Message}");
            throw;
        }
    }
}
