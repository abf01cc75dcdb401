using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading.Tasks;
using System.Xml.Linq;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// A native library that is missing or not the right one is a message that helps, in a process of its own: in this one
/// the right one is loaded.
/// </summary>
public sealed class NativeLibraryTests
{
    private const string Variable = "CIVETWEB_NET_LIBRARY";
    private DirectoryInfo _directory = null!;

    [SetUp]
    public void CreateDirectory() => _directory = Directory.CreateTempSubdirectory("civetweb-library-");

    [TearDown]
    public void DeleteDirectory() => _directory.Delete(recursive: true);

    [Test]
    public void A_missing_file_is_named()
    {
        string file = Path.Combine(_directory.FullName, "missing.so");
        string message = StartAndFail(file);
        Assert.That(message, Does.Contain("could not be loaded"));
        Assert.That(message, Does.Contain(file));
    }

    [Test]
    public void The_platforms_of_the_package_are_named()
    {
        string[] platforms =
        [
            .. XDocument.Load(Path.Combine(Repository.Root, "build", "NativeLibrary.targets")).Descendants("CivetWebRuntime")
                .SelectMany(item => item.Attribute("Include")!.Value.Split(';')),
        ];
        Assert.That(platforms, Has.Length.GreaterThan(1));
        Assert.That(
            StartAndFail(Path.Combine(_directory.FullName, "missing.so")),
            Does.Contain($"The package has one for {string.Join(", ", platforms[..^1])} and {platforms[^1]}."));
    }

    [Test]
    public void A_file_that_is_no_library_is_named()
    {
        string file = Path.Combine(_directory.FullName, "text.so");
        File.WriteAllText(file, "This is a text.\n");
        string message = StartAndFail(file);
        Assert.That(message, Does.Contain("could not be loaded"));
        Assert.That(message, Does.Contain(file));
    }

    [Test]
    public void An_empty_file_is_named()
    {
        string file = Path.Combine(_directory.FullName, "empty.so");
        File.WriteAllBytes(file, []);
        Assert.That(StartAndFail(file), Does.Contain(file));
    }

    [Test]
    public void A_folder_is_named() => Assert.That(StartAndFail(_directory.FullName), Does.Contain(_directory.FullName));

    [Test]
    public void Another_library_is_told_from_ours()
    {
        // The C library's own mathematics: a real library, on every system that can run this.
        const string File = "libm.so.6";
        if (!OperatingSystem.IsLinux() || !NativeLibrary.TryLoad(File, out nint handle))
        {
            Assert.Ignore($"{File} is not there (musl has none).");
            return;
        }

        NativeLibrary.Free(handle);
        string message = StartAndFail(File);
        Assert.That(message, Does.Contain("is not CivetWeb.Net's own"));
        Assert.That(message, Does.Contain($"'{File}'"));
    }

    [Test]
    public async Task The_variable_names_the_library_that_is_used()
    {
        // Under another name and in another place: only the variable leads there.
        string file = Path.Combine(_directory.FullName, "elsewhere.so");
        File.Copy(Repository.NativeLibrary, file);
        Assert.That(await LibrariesOfRunningServer(file), Does.Contain(file));
    }

    [Test]
    public async Task An_empty_variable_is_none() =>
        Assert.That(await LibrariesOfRunningServer(""), Does.Contain(Path.Combine(Path.GetDirectoryName(Repository.EchoServer)!, "libcivetweb_net.so")));

    [TestCase("before")]
    [TestCase("after")]
    public async Task A_program_may_have_a_resolver_of_its_own(string when)
    {
        using EchoServerProcess process = await EchoServerProcess.RunCommandAsync(TestProgram.ResolverCommand(when));
        Assert.That(process.Errors, Is.Empty);
        Assert.That(string.Join("\n", process.Lines), Is.EqualTo("works"));
    }

    /// <summary>What a server that has started has in its memory.</summary>
    private static async Task<string> LibrariesOfRunningServer(string library)
    {
        using Process process = Tool.Start(Repository.EchoServer, ["--port", "0"], environment: EnvironmentFor(library));
        try
        {
            Task<string?> line = process.StandardOutput.ReadLineAsync();
            Assert.That(await Task.WhenAny(line, Task.Delay(TestServer.Patience)), Is.SameAs(line), "the server says something");
            Assert.That(await line, Does.StartWith("Listening on http://localhost:"));
            return await File.ReadAllTextAsync($"/proc/{process.Id}/maps");
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync();
        }
    }

    /// <summary>What the server says when it cannot start: a message, not a stack trace.</summary>
    private static string StartAndFail(string library)
    {
        (int exitCode, string output) = Tool.Run(Repository.EchoServer, ["--port", "0"], environment: EnvironmentFor(library));
        Assert.That(exitCode, Is.EqualTo(1), output);
        Assert.That(output, Does.Contain(Variable), "what to do");
        Assert.That(output, Does.Not.Contain("   at "), "no stack trace");
        Assert.That(output, Does.Not.Contain("Unhandled exception"));
        Assert.That(output.Trim().Split('\n'), Has.Length.EqualTo(1), "one line:\n" + output);
        return output;
    }

    private static Dictionary<string, string?> EnvironmentFor(string library)
    {
        if (!File.Exists(Repository.EchoServer))
        {
            Repository.Missing($"{Repository.EchoServer} has not been built");
        }

        return new Dictionary<string, string?> { [Variable] = library };
    }
}
