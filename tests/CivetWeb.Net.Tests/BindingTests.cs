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
/// The bindings against the library that was built, without the tool that generated them: names, parameters and memory
/// layout. What they get wrong would otherwise show as corrupted memory.
/// </summary>
public sealed partial class BindingTests
{
    private const BindingFlags EveryStatic = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
    private const BindingFlags EveryField = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;

    /// <summary>Exported but not bound. Empty: nothing is exported that nobody calls.</summary>
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

    /// <summary>Every struct that stands for one of C; those without fields are opaque there too.</summary>
    private static Type[] Structs { get; } =
    [
        .. InteropTypes().Where(type => type is { IsValueType: true, IsEnum: false } && type.GetFields(EveryField).Length > 0),
    ];

    private static Type[] Enums { get; } = [.. InteropTypes().Where(type => type.IsEnum)];

    [Test]
    public void There_is_something_to_compare()
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
        Assert.That(ExportedOnly.Keys.Except(exported), Is.Empty, "exceptions that are none any more");
    }

    [Test]
    public void Every_function_of_the_header_is_bound()
    {
        string[] declared = [.. ReadDeclarations(Header, "CIVETWEB_API").Select(d => d.Name)];
        string[] bound = [.. Imports.Where(method => method.DeclaringType == typeof(NativeMethods)).Select(EntryPoint)];
        Assert.That(declared, Has.Length.GreaterThan(80));
        Assert.That(declared.Except(DeclaredOnly.Keys), Is.EquivalentTo(bound));

        // Pristine 1.16 lacks Debian's function.
        Assert.That(DeclaredOnly.Keys.Except(declared).Except(["mg_disable_keep_alive"]), Is.Empty, "exceptions that are none any more");
    }

    [Test]
    public void Every_function_of_the_extension_is_bound()
    {
        string[] bound = [.. Imports.Where(method => method.DeclaringType == typeof(CwnMethods)).Select(EntryPoint)];
        Assert.That(ReadDeclarations(ExtensionHeader, "CWN_API").Select(d => d.Name), Is.EquivalentTo(bound));
    }

    [Test]
    public void Every_import_has_the_result_and_the_parameters_of_its_declaration()
    {
        Declaration[] declarations = [.. ReadDeclarations(Header, "CIVETWEB_API"), .. ReadDeclarations(ExtensionHeader, "CWN_API")];
        foreach (MethodInfo method in Imports)
        {
            Declaration declaration = declarations.Single(d => d.Name == EntryPoint(method));
            IEnumerable<string> actual = method.GetParameters().Select(p => p.ParameterType).Prepend(method.ReturnType).Select(KindOf);
            Assert.That(actual, Is.EqualTo(declaration.Parameters.Prepend(declaration.Result).Select(KindOf)), declaration.Name);
        }
    }

    [Test]
    public void Structs_enums_and_constants_are_laid_out_as_the_librarys_compiler_does()
    {
        (int exitCode, string output) = Compile(Assertions());
        Assert.That(exitCode, Is.Zero, output);
    }

    [TestCase("_Static_assert(sizeof(struct mg_server_port) == 33, \"wrong on purpose\");")]
    [TestCase("_Static_assert(offsetof(struct mg_error_data, text) == 9, \"wrong on purpose\");")]
    [TestCase("_Static_assert((MG_FEATURES_TLS) == (4), \"wrong on purpose\");")]
    public void A_wrong_layout_would_be_noticed(string wrong)
    {
        (int exitCode, string output) = Compile(Assertions() + wrong + "\n");
        Assert.That(exitCode, Is.Not.Zero);
        Assert.That(output, Does.Contain("wrong on purpose"));
        Assert.That(Regex.Count(output, "static assertion failed|static_assert failed"), Is.EqualTo(1), output);
    }

    [Test]
    public void The_layout_file_agrees_with_the_structs()
    {
        if (!Environment.Is64BitProcess)
        {
            Assert.Ignore("The file is about 64-bit systems.");
        }

        var expected = new List<string>();
        foreach (Type type in Structs.Where(type => type.Name.StartsWith("mg_", StringComparison.Ordinal)))
        {
            expected.Add(string.Create(CultureInfo.InvariantCulture, $"{type.Name} sizeof {SizeOf(type)} align {AlignOf(type)}"));
            expected.AddRange(type.GetFields(EveryField).Select(field =>
                string.Create(CultureInfo.InvariantCulture, $"{type.Name}.{field.Name} {OffsetOf(type, field)}")));
        }

        string file = Path.Combine(Repository.Root, "generated", "layout-linux-x64.txt");
        Assert.That(File.ReadAllLines(file).Where(line => line.Length > 0), Is.EquivalentTo(expected));
    }

    [Test]
    public void The_loader_accepts_the_library()
    {
        Assert.That(NativeLibraryLoader.EnsureLoaded, Throws.Nothing);
        Assert.That(CwnMethods.cwn_abi_version(), Is.EqualTo(4));
    }

    [Test]
    public unsafe void The_sizes_the_library_reports_stay_within_the_array_given()
    {
        NativeLibraryLoader.EnsureLoaded();
        uint count = CwnMethods.cwn_layout(null, 0);
        Span<uint> values = stackalloc uint[(int)count + 2];
        values.Fill(0xDEADBEEF);
        fixed (uint* pointer = values)
        {
            Assert.That(CwnMethods.cwn_layout(pointer, 1), Is.EqualTo(count));
            Assert.That(values[0], Is.EqualTo((uint)sizeof(nint)));
            Assert.That(values[1], Is.EqualTo(0xDEADBEEF), "one value was asked for");
            Assert.That(CwnMethods.cwn_layout(pointer, count + 2), Is.EqualTo(count));
        }

        Assert.That(values[(int)count - 1], Is.EqualTo((uint)sizeof(cwn_session_info)));
        Assert.That(values[(int)count], Is.EqualTo(0xDEADBEEF), "there are no more");
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

    /// <summary>The declarations that a macro marks as exported.</summary>
    private static List<Declaration> ReadDeclarations(string file, string macro)
    {
        string text = Comment().Replace(File.ReadAllText(file), " ");
        text = Directive().Replace(text, "");
        var result = new List<Declaration>();
        foreach (Match match in Regex.Matches(text, macro + @"\s+([^;]*?)\b((?:mg|cwn)_\w+)\s*\(([^;]*)\)[^;)]*;"))
        {
            string list = match.Groups[3].Value.Trim();
            result.Add(new Declaration(
                match.Groups[1].Value.Trim(), match.Groups[2].Value, list is "" or "void" ? [] : [.. list.Split(',').Select(p => p.Trim())]));
        }

        return result;
    }

    /// <summary>How a parameter of a C declaration is passed.</summary>
    private static string KindOf(string declaration)
    {
        string type = Word().Replace(declaration, "").Trim();
        if (declaration.Contains('*') || declaration.Contains('['))
        {
            return "pointer";
        }

        string[] words = type.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words is ["void"])
        {
            return "void";
        }

        if (words is ["long", "long", ..])
        {
            return "i8";
        }

        return words[0] switch
        {
            "int" => "i4",
            "unsigned" or "uint32_t" => "u4",
            "int64_t" => "i8",
            "size_t" => "word",
            _ when words[0].EndsWith("_handler", StringComparison.Ordinal) || words[0].EndsWith("_func_t", StringComparison.Ordinal) => "pointer",
            _ => throw new NotSupportedException($"The type of '{declaration}' is new to this test."),
        };
    }

    private static string KindOf(Type type)
    {
        if (type.IsPointer || type.IsFunctionPointer || type == typeof(nint))
        {
            return "pointer";
        }

        return type == typeof(void) ? "void"
            : type == typeof(int) ? "i4"
            : type == typeof(uint) ? "u4"
            : type == typeof(long) ? "i8"
            : type == typeof(nuint) ? "word"
            : throw new NotSupportedException($"{type} is new to this test.");
    }

    /// <summary>A C file that compiles only where the compiler agrees with the runtime.</summary>
    private static string Assertions()
    {
        var c = new StringBuilder("#include <stddef.h>\n#include \"civetweb_net.h\"\n");
        foreach (Type type in Structs)
        {
            string name = $"struct {type.Name}";
            Assert($"sizeof({name})", SizeOf(type));
            Assert($"_Alignof({name})", AlignOf(type));
            foreach (FieldInfo field in type.GetFields(EveryField))
            {
                Assert($"offsetof({name}, {field.Name})", OffsetOf(type, field));
                Assert($"sizeof((({name} *)0)->{field.Name})", SizeOf(field.FieldType));
            }
        }

        Dictionary<string, string> prefixes = ReadPrefixes();
        foreach (Type type in Enums)
        {
            Assert("sizeof(MG_FEATURES_DEFAULT)", SizeOf(type));
            foreach (FieldInfo member in type.GetFields(BindingFlags.Static | BindingFlags.Public))
            {
                Assert(prefixes[type.Name] + member.Name, Convert.ToInt64(member.GetRawConstantValue(), CultureInfo.InvariantCulture));
            }
        }

        foreach (FieldInfo constant in typeof(NativeMethods).GetFields(EveryStatic).Where(f => f.IsLiteral && f.FieldType == typeof(int)))
        {
            Assert(constant.Name, (int)constant.GetRawConstantValue()!);
        }

        return c.ToString();

        void Assert(string expression, long value) =>
            c.Append(CultureInfo.InvariantCulture, $"_Static_assert(({expression}) == ({value}), \"{expression}\");\n");
    }

    /// <summary>The prefixes the generator has taken away: <c>mg_features=prefix:MG_FEATURES_</c>.</summary>
    private static Dictionary<string, string> ReadPrefixes() =>
        File.ReadLines(Path.Combine(Repository.Root, "generated", "civetweb.rsp"))
            .SkipWhile(line => line != "--with-enum-member-strip")
            .Skip(1)
            .TakeWhile(line => !line.StartsWith("--", StringComparison.Ordinal))
            .Select(line => line.Split("=prefix:"))
            .ToDictionary(parts => parts[0], parts => parts[1]);

    /// <summary>Checks a source with the compiler and the flags the library was built with.</summary>
    private static (int ExitCode, string Output) Compile(string source)
    {
        string commands = Path.Combine(Repository.NativeBuild, "compile_commands.json");
        if (!File.Exists(commands))
        {
            Repository.Missing($"{commands}, which CMake writes, is needed");
        }

        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(commands));
        JsonElement entry = document.RootElement.EnumerateArray()
            .First(e => e.GetProperty("file").GetString()!.EndsWith("/native/src/civetweb_net.c", StringComparison.Ordinal));
        string original = entry.GetProperty("file").GetString()!;
        List<string> arguments = SplitCommand(entry.GetProperty("command").GetString()!);

        DirectoryInfo directory = Directory.CreateTempSubdirectory("civetweb-layout-");
        try
        {
            string file = Path.Combine(directory.FullName, "layout.c");
            File.WriteAllText(file, source);
            int output = arguments.IndexOf("-o");
            arguments.RemoveRange(output, 2);
            arguments.Remove("-c");
            arguments[arguments.IndexOf(original)] = file;
            arguments.Add("-fsyntax-only");
            return Tool.Run(arguments[0], arguments[1..], entry.GetProperty("directory").GetString());
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    /// <summary>A command line into its arguments, as a shell does; only what CMake writes there.</summary>
    private static List<string> SplitCommand(string command)
    {
        var arguments = new List<string>();
        var current = new StringBuilder();
        bool quoted = false;
        for (int i = 0; i < command.Length; i++)
        {
            char c = command[i];
            if (c == '\\')
            {
                current.Append(command[++i]);
            }
            else if (c == '"')
            {
                quoted = !quoted;
            }
            else if (c == ' ' && !quoted)
            {
                if (current.Length > 0)
                {
                    arguments.Add(current.ToString());
                    current.Clear();
                }
            }
            else
            {
                current.Append(c);
            }
        }

        if (current.Length > 0)
        {
            arguments.Add(current.ToString());
        }

        return arguments;
    }

    private static int SizeOf(Type type) =>
        type.IsPointer || type.IsFunctionPointer
            ? nint.Size
            : (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;

    private static int AlignOf(Type type) => SizeOf(typeof(AfterByte<>).MakeGenericType(type)) - SizeOf(type);

    /// <summary>
    /// Where the runtime really has the field. Marshal.OffsetOf would tell of marshalling, which these structs never
    /// see, and knows no inline arrays.
    /// </summary>
    private static int OffsetOf(Type type, FieldInfo field)
    {
        var method = new DynamicMethod("OffsetOf", typeof(int), null, typeof(BindingTests).Module, skipVisibility: true);
        ILGenerator il = method.GetILGenerator();
        il.DeclareLocal(type);
        il.Emit(OpCodes.Ldloca_S, 0);
        il.Emit(OpCodes.Ldflda, field);
        il.Emit(OpCodes.Conv_U);
        il.Emit(OpCodes.Ldloca_S, 0);
        il.Emit(OpCodes.Conv_U);
        il.Emit(OpCodes.Sub);
        il.Emit(OpCodes.Conv_I4);
        il.Emit(OpCodes.Ret);
        return (int)method.Invoke(null, null)!;
    }

    [GeneratedRegex(@"/\*.*?\*/", RegexOptions.Singleline)]
    private static partial Regex Comment();

    [GeneratedRegex(@"^[ \t]*#(.*\\\r?\n)*.*$", RegexOptions.Multiline)]
    private static partial Regex Directive();

    [GeneratedRegex(@"\b(const|struct)\b")]
    private static partial Regex Word();

    private sealed record Declaration(string Result, string Name, string[] Parameters);

    [StructLayout(LayoutKind.Sequential)]
    private struct AfterByte<T>
        where T : unmanaged
    {
        public byte First;
        public T Second;
    }
}

/// <summary>Programs that tests run.</summary>
internal static class Tool
{
    /// <summary>Runs a program to its end; standard output and error as one text. A program that is not there skips the test.</summary>
    public static (int ExitCode, string Output) Run(
        string program, IEnumerable<string> arguments, string? directory = null, IReadOnlyDictionary<string, string?>? environment = null)
    {
        using Process process = Start(program, arguments, directory, environment);
        System.Threading.Tasks.Task<string> output = process.StandardOutput.ReadToEndAsync();
        System.Threading.Tasks.Task<string> error = process.StandardError.ReadToEndAsync();
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
        catch (System.ComponentModel.Win32Exception e)
        {
            Repository.Missing($"'{program}' cannot be run: {e.Message}");
            throw;
        }
    }
}
