using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using CivetWeb.Net.Interop;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The memory layout of the structs, the values of enums and constants.</summary>
public sealed partial class BindingTests
{
    [Test]
    public void Structs_enums_and_constants_are_laid_out_as_the_librarys_compiler_does()
    {
        (int exitCode, string output) = CCompiler.Check(Assertions());
        Assert.That(exitCode, Is.Zero, output);
    }

    [TestCase("_Static_assert(sizeof(struct mg_server_port) == 33, \"wrong on purpose\");")]
    [TestCase("_Static_assert(offsetof(struct mg_error_data, text) == 9, \"wrong on purpose\");")]
    [TestCase("_Static_assert((MG_FEATURES_TLS) == (4), \"wrong on purpose\");")]
    public void A_wrong_layout_would_be_noticed(string wrong)
    {
        (int exitCode, string output) = CCompiler.Check(Assertions() + wrong + "\n");
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

    [StructLayout(LayoutKind.Sequential)]
    private struct AfterByte<T>
        where T : unmanaged
    {
        public byte First;
        public T Second;
    }
}
