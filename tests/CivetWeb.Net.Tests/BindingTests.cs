using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using CivetWeb.Net.Interop;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// Compares the bindings with the library that was built, without the tool that generated them: names here, signatures and
/// memory layout in the other parts of this class. A mistake in them would otherwise show as corrupted memory.
/// </summary>
public sealed partial class BindingTests
{
    private const BindingFlags EveryStatic = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
    private const BindingFlags EveryField = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;

    /// <summary>Exported but not bound. Empty, because only what is called is exported.</summary>
    private static readonly Dictionary<string, string> ExportedOnly = [];

    /// <summary>In CivetWeb's header but not bound.</summary>
    private static readonly Dictionary<string, string> DeclaredOnly = new()
    {
        ["mg_printf"] = "variadic: P/Invoke cannot call it portably",
        ["mg_cry"] = "variadic",
        ["mg_send_http_error"] = "variadic",
        ["mg_download"] = "variadic",
        ["mg_md5"] = "variadic",
        ["mg_match"] = "behind MG_EXPERIMENTAL_INTERFACES, which inserts a field into mg_callbacks",
        ["mg_get_connection_info"] = "experimental",
        ["mg_connect_client2"] = "experimental",
        ["mg_get_response2"] = "experimental",
        ["mg_disable_keep_alive"] = "Debian's patched source only",
    };

    private static string Header => Path.Combine(Repository.Root, "artifacts", "civetweb", "include", "civetweb.h");

    private static string ExtensionHeader => Path.Combine(Repository.Root, "native", "include", "civetweb_net.h");

    private static MethodInfo[] Imports { get; } =
    [
        .. new[] { typeof(NativeMethods), typeof(CwnMethods) }
            .SelectMany(type => type.GetMethods(EveryStatic))
            .Where(method => method.GetCustomAttribute<DllImportAttribute>() is not null),
    ];

    /// <summary>Every struct that mirrors a struct of C and has fields. Structs without fields are opaque in C too.</summary>
    private static Type[] Structs { get; } =
    [
        .. InteropTypes().Where(type => type is { IsValueType: true, IsEnum: false } && type.GetFields(EveryField).Length > 0),
    ];

    private static Type[] Enums { get; } = [.. InteropTypes().Where(type => type.IsEnum)];

    [Test]
    public void Reflection_finds_the_bindings()
    {
        // Reflection that finds nothing would make every test here pass.
        Assert.That(Imports, Has.Length.GreaterThanOrEqualTo(90));
        Assert.That(Structs, Has.Length.GreaterThanOrEqualTo(16));
        Assert.That(Enums, Has.Length.GreaterThanOrEqualTo(6));
    }

    [Test]
    public void Every_import_is_in_the_native_library()
    {
        nint library = System.Runtime.InteropServices.NativeLibrary.Load(Repository.NativeLibrary);
        try
        {
            IEnumerable<string> missing = Imports
                .Select(EntryPoint)
                .Where(name => !System.Runtime.InteropServices.NativeLibrary.TryGetExport(library, name, out _));
            Assert.That(missing, Is.Empty);
        }
        finally
        {
            System.Runtime.InteropServices.NativeLibrary.Free(library);
        }
    }

    [Test]
    public void Every_import_names_the_library_calls_as_C_does_and_marshals_nothing()
    {
        foreach (MethodInfo method in Imports)
        {
            DllImportAttribute import = method.GetCustomAttribute<DllImportAttribute>()!;
            Assert.That(import.Value, Is.EqualTo("civetweb_net"), method.Name);
            Assert.That(import.CallingConvention, Is.EqualTo(CallingConvention.Cdecl), method.Name);
            Assert.That(import.SetLastError, Is.False, method.Name);

            // Calls back or may block: the GC must not wait for it.
            Assert.That(method.GetCustomAttribute<SuppressGCTransitionAttribute>(), Is.Null, method.Name);
            foreach (ParameterInfo parameter in method.GetParameters().Append(method.ReturnParameter))
            {
                Type type = parameter.ParameterType;
                Assert.That(
                    type.IsPrimitive || type.IsPointer || type.IsFunctionPointer || type.IsEnum || type == typeof(void),
                    $"{method.Name}, {parameter.Name}: {type}");
            }
        }
    }

    [Test]
    public void Every_export_is_bound()
    {
        string[] exported = ReadExports();
        Assert.That(exported.Where(name => !name.StartsWith("mg_", StringComparison.Ordinal) && !name.StartsWith("cwn_", StringComparison.Ordinal)), Is.Empty);
        Assert.That(exported.Except(ExportedOnly.Keys), Is.EquivalentTo(Imports.Select(EntryPoint)));
        Assert.That(ExportedOnly.Keys.Except(exported), Is.Empty, "exceptions that are no longer needed");
    }

    [Test]
    public void Every_function_of_the_header_is_bound()
    {
        string[] declared = ReadDeclarations(Header, "CIVETWEB_API");
        string[] bound = [.. Imports.Where(method => method.DeclaringType == typeof(NativeMethods)).Select(EntryPoint)];
        Assert.That(declared, Has.Length.GreaterThan(80));
        Assert.That(declared.Except(DeclaredOnly.Keys), Is.EquivalentTo(bound));

        // Pristine 1.16 lacks Debian's function.
        Assert.That(DeclaredOnly.Keys.Except(declared).Except(["mg_disable_keep_alive"]), Is.Empty, "exceptions that are no longer needed");
    }

    [Test]
    public void Every_function_of_the_extension_is_bound()
    {
        string[] bound = [.. Imports.Where(method => method.DeclaringType == typeof(CwnMethods)).Select(EntryPoint)];
        Assert.That(ReadDeclarations(ExtensionHeader, "CWN_API"), Is.EquivalentTo(bound));
    }

    [Test]
    public void The_loader_accepts_the_library()
    {
        Assert.That(NativeLibraryLoader.EnsureLoaded, Throws.Nothing);
        Assert.That(CwnMethods.cwn_abi_version(), Is.EqualTo(4));
    }

    [Test]
    public unsafe void The_library_has_the_features_the_binding_relies_on_and_no_others()
    {
        NativeLibraryLoader.EnsureLoaded();
        foreach (mg_features feature in new[] { mg_features.FILES, mg_features.TLS, mg_features.IPV6, mg_features.WEBSOCKET, mg_features.X_DOMAIN_SOCKET })
        {
            Assert.That(NativeMethods.mg_check_feature((uint)feature), Is.Not.Zero, feature.ToString());
        }

        foreach (mg_features feature in new[] { mg_features.CGI, mg_features.LUA, mg_features.SSJS, mg_features.COMPRESSION, mg_features.HTTP2 })
        {
            Assert.That(NativeMethods.mg_check_feature((uint)feature), Is.Zero, feature.ToString());
        }

        const uint Experimental = 0x40000000;
        Assert.That(NativeMethods.mg_check_feature(Experimental), Is.Zero);
        Assert.That(NativeText.FromPointer(NativeMethods.mg_version()), Is.EqualTo(Encoding.ASCII.GetString(NativeMethods.CIVETWEB_VERSION)));
        Assert.That(NativeText.FromPointer(CwnMethods.cwn_build_info()), Does.StartWith("CivetWeb 1.16;"));
    }

    private static IEnumerable<Type> InteropTypes() =>
        typeof(NativeMethods).Assembly.GetTypes().Where(type =>
            type is { IsNested: false, Namespace: "CivetWeb.Net.Interop" }
            && (type.Name.StartsWith("mg_", StringComparison.Ordinal) || type.Name.StartsWith("cwn_", StringComparison.Ordinal)));

    private static string EntryPoint(MethodInfo method) =>
        method.GetCustomAttribute<DllImportAttribute>()!.EntryPoint is { Length: > 0 } name ? name : method.Name;

    private static string[] ReadExports()
    {
        (int exitCode, string output) = Tool.Run("nm", ["-D", "--defined-only", Repository.NativeLibrary]);
        Assert.That(exitCode, Is.Zero, output);

        // "0000000000023bd0 T cwn_abi_version"; a version node of the linker's script would be "A".
        return
        [
            .. output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                .Where(parts => parts is [_, not "A", _])
                .Select(parts => parts[2]),
        ];
    }

    /// <summary>The names of the functions that a macro marks as exported.</summary>
    private static string[] ReadDeclarations(string file, string macro)
    {
        string text = Comment().Replace(File.ReadAllText(file), " ");
        text = Directive().Replace(text, "");
        return [.. Regex.Matches(text, macro + @"\s+[^;]*?\b((?:mg|cwn)_\w+)\s*\([^;]*\)[^;)]*;").Select(match => match.Groups[1].Value)];
    }

    [GeneratedRegex(@"/\*.*?\*/", RegexOptions.Singleline)]
    private static partial Regex Comment();

    [GeneratedRegex(@"^[ \t]*#(.*\\\r?\n)*.*$", RegexOptions.Multiline)]
    private static partial Regex Directive();
}
