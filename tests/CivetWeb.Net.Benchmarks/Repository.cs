using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Reflection;

namespace CivetWeb.Net.Benchmarks;

/// <summary>The checkout this program was built in, and the native programs in it.</summary>
internal static class Repository
{
    public static string Root { get; } =
        typeof(Repository).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == "RepositoryRoot").Value!;

    /// <summary>This program, to be started again.</summary>
    public static string Self { get; } = Path.Combine(AppContext.BaseDirectory, "CivetWeb.Net.Benchmarks");

    public static string NativeProgram(string name) => Path.Combine(Root, "artifacts", "native", "bench", "native", "bench", name);

    /// <summary>Builds the native programs; when nothing has changed that takes a moment.</summary>
    public static void BuildNativePrograms()
    {
        var start = new ProcessStartInfo("bash", ["build/build-native.sh", "--preset", "bench"]) { WorkingDirectory = Root };
        using Process build = Process.Start(start)!;
        build.WaitForExit();
        if (build.ExitCode != 0)
        {
            throw new FormatException("the native programs could not be built, see above.");
        }
    }
}
