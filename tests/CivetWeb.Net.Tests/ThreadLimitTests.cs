using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// Threads that cannot be had: a clear exception at the start and nothing left, or a server that works. Each in a process of its
/// own, which may not end for it.
/// </summary>
[TestFixture]
[Platform("Linux")]
internal sealed class ThreadLimitTests
{
    private const int Times = 20;

    [Test]
    public async Task A_control_group_with_too_few_threads_is_named([Values] Api api)
    {
        string[] lines = await InControlGroupAsync(150, TestProgram.StartsCommand(api, 256, Times));
        Assert.That(lines, Has.Length.EqualTo(Times));
        Assert.That(lines, Is.All.Contains("needs 257 threads").And.Contains("pids.max").And.Contains("150"));
    }

    [Test]
    public async Task In_a_control_group_with_enough_it_works([Values] Api api)
    {
        string[] lines = await InControlGroupAsync(150, TestProgram.StartsCommand(api, 40, Times));
        Assert.That(lines, Is.EqualTo(Enumerable.Repeat("works", Times)));
    }

    [Test]
    public async Task A_limit_of_the_user_is_named([Values] Api api)
    {
        string[] lines = await AsUserAsync(150, TestProgram.StartsCommand(api, 256, Times));
        Assert.That(lines, Has.Length.EqualTo(Times));
        Assert.That(lines, Is.All.Contains("threads, but only").And.Contains("RLIMIT_NPROC").And.Contains("150"));
    }

    [Test]
    public async Task With_few_enough_for_the_user_it_works([Values] Api api)
    {
        string[] lines = await AsUserAsync(150, TestProgram.StartsCommand(api, 40, Times));
        Assert.That(lines, Is.EqualTo(Enumerable.Repeat("works", Times)));
    }

    /// <summary>Wherever between too few and enough the limit is.</summary>
    [Test]
    public async Task At_the_limit_it_works_or_says_why([Values] Api api, [Values(64, 72, 76, 80, 84, 88, 96)] int limit)
    {
        string[] lines = await AsUserAsync(limit, TestProgram.StartsCommand(api, 50, 5));
        Assert.That(lines, Has.Length.EqualTo(5));
        Assert.That(lines, Is.All.EqualTo("works").Or.Contains("RLIMIT_NPROC"));
        TestContext.Out.WriteLine(lines[^1]);
    }

    [Test]
    public async Task Twenty_thousand_threads_are_there_or_refused([Values] Api api)
    {
        string[] lines = await RunAsync(TestProgram.StartsCommand(api, 20_000, Times));
        Assert.That(lines, Has.Length.EqualTo(Times));
        Assert.That(lines, Is.All.EqualTo("works").Or.Contains("needs 20001 threads"));
        TestContext.Out.WriteLine(lines[^1]);
    }

    private static async Task<string[]> AsUserAsync(int threads, string[] command)
    {
        const string User = "54321"; // nobody else's: the limit counts what the user runs anywhere
        string limit = threads.ToString(CultureInfo.InvariantCulture);
        string[] asUser = ["setpriv", $"--reuid={User}", $"--regid={User}", "--clear-groups", "prlimit", $"--nproc={limit}:{limit}"];
        if (!await CanRunAsync(asUser))
        {
            Assert.Ignore("Another user takes root, setpriv and prlimit, and files that others may read.");
        }

        return await RunAsync([.. asUser, .. command]);
    }

    /// <summary>Whether the program can be run like this: without arguments it only says that it needs some.</summary>
    private static async Task<bool> CanRunAsync(string[] before)
    {
        try
        {
            using EchoServerProcess process = await EchoServerProcess.RunCommandAsync([.. before, "dotnet", typeof(ThreadLimitTests).Assembly.Location]);
            return process.ExitCode == 2;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    private static async Task<string[]> InControlGroupAsync(int threads, string[] command)
    {
        string root = Directory.Exists("/sys/fs/cgroup/pids") ? "/sys/fs/cgroup/pids" : "/sys/fs/cgroup";
        string group = Path.Combine(root, $"civetweb-test-{Environment.ProcessId}");
        try
        {
            Directory.CreateDirectory(group);
            await File.WriteAllTextAsync(Path.Combine(group, "pids.max"), threads.ToString(CultureInfo.InvariantCulture));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Assert.Ignore($"Control groups that limit threads cannot be made here: {e.Message}");
        }

        try
        {
            return await RunAsync(["sh", "-c", $"echo $$ > {group}/cgroup.procs && exec \"$@\"", "sh", .. command]);
        }
        finally
        {
            await Eventually.IsTrueAsync(() => TryDelete(group), "the control group is empty");
        }
    }

    private static bool TryDelete(string group)
    {
        try
        {
            Directory.Delete(group);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static async Task<string[]> RunAsync(string[] command)
    {
        using EchoServerProcess process = await EchoServerProcess.RunCommandAsync(command);
        Assert.That(process.ExitCode, Is.Zero, string.Join("\n", (IEnumerable<string>)[.. process.Lines, .. process.Errors]));
        return process.Lines;
    }
}
