using System;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;

namespace CivetWeb.Net.Interop;

/// <summary>
/// Finds the native library and proves, once, that it is the one this assembly was made for. A failure is a
/// sentence in a <see cref="CivetWebException"/>, never a TypeInitializationException.
/// </summary>
internal static unsafe class NativeLibraryLoader
{
    private const string LibraryName = "civetweb_net";
    private const string EnvironmentVariable = "CIVETWEB_NET_LIBRARY";
    private const string AppContextName = "CivetWeb.Net.NativeLibrary";

    /// <summary>As in build/NativeLibrary.targets.</summary>
    private const string PackagedRuntimes = "linux-x64, linux-arm64, linux-musl-x64 and win-x64";

    private const uint ExpectedAbi = 4;
    private const string ExpectedVersion = "1.16";

    private static readonly object Gate = new();
    private static bool s_resolverSet;
    private static bool s_isResolvedByProgram;
    private static bool s_ready;
    private static nint s_overridden;

    /// <summary>Loads and checks the library; later calls return at once.</summary>
    /// <exception cref="CivetWebException">The library is missing or is not the right one.</exception>
    public static void EnsureLoaded()
    {
        if (System.Threading.Volatile.Read(ref s_ready))
        {
            return;
        }

        lock (Gate)
        {
            if (s_ready)
            {
                return;
            }

            SetResolver();
            Check();
            if (CwnMethods.cwn_init(0) == 0)
            {
                throw new CivetWebException("CivetWeb could not initialise itself (out of memory or thread-local storage).");
            }

            // .NET knows of quotas (cgroups), as the native library does not.
            CwnMethods.cwn_use_processors((uint)Environment.ProcessorCount);
            System.Threading.Volatile.Write(ref s_ready, true);
        }
    }

    /// <summary>Loads OpenSSL 3 for servers with TLS ports.</summary>
    /// <exception cref="CivetWebException">OpenSSL 3 is not there.</exception>
    public static void EnsureTls()
    {
        EnsureLoaded();
        lock (Gate)
        {
            if (CwnMethods.cwn_init((uint)mg_features.TLS) == 0)
            {
                throw new CivetWebException(
                    "TLS needs OpenSSL 3, which could not be loaded (libssl.so.3 and libcrypto.so.3 on Linux). "
                    + "Install it (Debian, Ubuntu: apt install libssl3) or listen without TLS.");
            }
        }
    }

    /// <summary>
    /// An assembly has one resolver, and the program may want to be it: ours is set only where a file has been named, and
    /// leaves the place to one that is there before.
    /// </summary>
    private static void SetResolver()
    {
        if (s_resolverSet || OverridePath is not { Length: > 0 })
        {
            return;
        }

        try
        {
            NativeLibrary.SetDllImportResolver(typeof(NativeLibraryLoader).Assembly, Resolve);
        }
        catch (InvalidOperationException)
        {
            s_isResolvedByProgram = true;
        }

        s_resolverSet = true;
    }

    private static string? OverridePath =>
        Environment.GetEnvironmentVariable(EnvironmentVariable) is { Length: > 0 } path
            ? path
            : AppContext.GetData(AppContextName) as string;

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath)
    {
        if (name != LibraryName || OverridePath is not { Length: > 0 } path)
        {
            return 0;
        }

        if (s_overridden == 0)
        {
            s_overridden = NativeLibrary.Load(path);
        }

        return s_overridden;
    }

    private static void Check()
    {
        string what = s_isResolvedByProgram
            ? "that the program's own resolver (NativeLibrary.SetDllImportResolver) has given"
            : OverridePath is { Length: > 0 } path
            ? $"'{path}' (named by {EnvironmentVariable} or the AppContext value {AppContextName})"
            : $"'{FileName}'";
        uint abi;
        try
        {
            abi = CwnMethods.cwn_abi_version();
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException or FileNotFoundException)
        {
            throw new CivetWebException(
                $"The native library {what} could not be loaded for {RuntimeInformation.RuntimeIdentifier}. The package has one for "
                + $"{PackagedRuntimes}. It belongs beside the program ({AppContext.BaseDirectory}) or in its runtimes/<rid>/native folder; "
                + $"{EnvironmentVariable} may name another file. ({Reason(e)})",
                e);
        }
        catch (EntryPointNotFoundException e)
        {
            throw new CivetWebException(
                $"The native library {what} is not CivetWeb.Net's own (it lacks cwn_abi_version). A CivetWeb of the system cannot be used: "
                + "remove it from the search path or name the right file in " + EnvironmentVariable + ".",
                e);
        }

        string version = NativeText.FromPointer(NativeMethods.mg_version()) ?? "(none)";
        if (abi != ExpectedAbi || version != ExpectedVersion)
        {
            throw new CivetWebException(
                $"The native library {what} has CivetWeb {version} and binding version {abi}; this assembly needs {ExpectedVersion} and "
                + $"{ExpectedAbi}. Use the native library of the same package version.");
        }

        CheckLayout(what);
    }

    /// <summary>
    /// The line that says why. The runtime gives advice on debuggers first, then a line for each place it has looked at.
    /// </summary>
    private static string Reason(Exception e)
    {
        string[] lines = e.Message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return lines.Skip(1).FirstOrDefault(line => !line.Contains("No such file", StringComparison.Ordinal)) ?? lines[^1];
    }

    private static void CheckLayout(string what)
    {
        ReadOnlySpan<uint> expected =
        [
            (uint)sizeof(nint),
            (uint)sizeof(mg_request_info),
            (uint)sizeof(mg_callbacks),
            (uint)sizeof(mg_init_data),
            (uint)sizeof(mg_error_data),
            (uint)sizeof(mg_server_port),
            (uint)sizeof(mg_option),
            (uint)sizeof(mg_client_cert),
            (uint)sizeof(cwn_session_options),
            (uint)sizeof(cwn_session_info),
        ];
        Span<uint> actual = stackalloc uint[expected.Length];
        uint count;
        fixed (uint* values = actual)
        {
            count = CwnMethods.cwn_layout(values, (uint)actual.Length);
        }

        bool features = NativeMethods.mg_check_feature((uint)mg_features.WEBSOCKET) != 0;
        if (count != expected.Length || !expected.SequenceEqual(actual) || !features)
        {
            throw new CivetWebException(
                $"The native library {what} was compiled with other options than this assembly expects (struct sizes or WebSocket support "
                + "differ). Build it with the project's own CMakeLists.txt.");
        }
    }

    private static string FileName =>
        OperatingSystem.IsWindows() ? "civetweb_net.dll" : OperatingSystem.IsMacOS() ? "libcivetweb_net.dylib" : "libcivetweb_net.so";
}
