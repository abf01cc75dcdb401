using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>A program that is started, read line by line, and ended, whatever it does.</summary>
internal sealed class ChildProcess : IDisposable
{
    private readonly Process _process;
    private readonly BlockingCollection<string> _lines = [];
    private readonly ConcurrentQueue<string> _errors = new();

    public ChildProcess(IEnumerable<string> command, IReadOnlyDictionary<string, string> environment, int? cpu)
    {
        var start = new ProcessStartInfo(Repository.NativeProgram("bench_launch"))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (cpu is not null)
        {
            start.ArgumentList.Add("--cpu");
            start.ArgumentList.Add($"{cpu}");
        }

        start.ArgumentList.Add("--");
        foreach (string argument in command)
        {
            start.ArgumentList.Add(argument);
        }

        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, e) =>
        {
            if (e.Data is null)
            {
                _lines.CompleteAdding();
            }
            else
            {
                _lines.Add(e.Data);
            }
        };
        _process.ErrorDataReceived += (_, e) =>
        {
            if (!string.IsNullOrWhiteSpace(e.Data))
            {
                _errors.Enqueue(e.Data);
            }
        };
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    /// <summary>Why it has ended, as far as can be told; null while it runs.</summary>
    public string? Ended
    {
        get
        {
            if (!_process.HasExited)
            {
                return null;
            }

            _process.WaitForExit();
            return _errors.TryPeek(out string? error) ? $"ended with {_process.ExitCode}: {error}" : $"ended with {_process.ExitCode}";
        }
    }

    /// <summary>The next line of its output; null when none comes in time, or any more.</summary>
    public string? ReadLine(TimeSpan patience) => _lines.TryTake(out string? line, patience) ? line : null;

    /// <summary>Killed, if it still runs: nothing here has anything to keep. Should this program be killed, its input ends, and so does it.</summary>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _process.WaitForExit();
        _process.Dispose();
        _lines.Dispose();
    }
}
