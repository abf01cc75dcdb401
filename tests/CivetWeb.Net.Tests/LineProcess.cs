using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>A child process that reports line by line; ended when it is disposed of.</summary>
internal sealed class LineProcess : IDisposable
{
    private readonly List<string> _lines = [];
    private readonly Process _process;
    private readonly Task<string> _errors;

    public LineProcess(params string[] command)
    {
        _process = new Process { StartInfo = EchoServerProcess.StartInfo(command) };
        _process.OutputDataReceived += (_, e) =>
        {
            if (e.Data is not null)
            {
                lock (_lines)
                {
                    _lines.Add(e.Data);
                }
            }
        };
        _process.Start();
        _process.StandardInput.Close();
        _process.BeginOutputReadLine();
        _errors = _process.StandardError.ReadToEndAsync();
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>What it has said so far.</summary>
    public string[] Lines
    {
        get
        {
            lock (_lines)
            {
                return [.. _lines];
            }
        }
    }

    /// <summary>All it said; the test fails, with what it wrote as errors, when it did not end with 0.</summary>
    public async Task<string[]> FinishAsync(TimeSpan patience)
    {
        using var timeout = new CancellationTokenSource(patience);
        await _process.WaitForExitAsync(timeout.Token);
        Assert.That(_process.ExitCode, Is.Zero, await _errors);
        return Lines;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true); // a browser has children
            _process.WaitForExit();
        }

        _process.Dispose();
    }
}
