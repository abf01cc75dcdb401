using System;
using System.IO;
using System.Linq;
using System.Reflection;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The checkout the tests run from.</summary>
internal static class Repository
{
    public static string Root { get; } = Metadata("RepositoryRoot");

    public static string Configuration { get; } = Metadata("Configuration");

    /// <summary>The native library's build folder.</summary>
    public static string NativeBuild => Path.Combine(Root, "artifacts", "native", "release");

    public static string NativeLibrary => Path.Combine(NativeBuild, "libcivetweb_net.so");

    public static string EchoServer => Path.Combine(Root, "src", "EchoServer", "bin", Configuration, "net10.0", "EchoServer");

    /// <summary>A tool the test needs is missing: a reason to skip here, a failure in CI, which installs them all.</summary>
    public static void Missing(string what)
    {
        if (Environment.GetEnvironmentVariable("CI") == "true")
        {
            Assert.Fail($"{what}, and CI=true.");
        }

        Assert.Ignore($"{what}.");
    }

    private static string Metadata(string key) =>
        typeof(Repository).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == key).Value!;
}
