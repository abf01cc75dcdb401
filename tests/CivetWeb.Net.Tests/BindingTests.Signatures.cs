using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using CivetWeb.Net.Interop;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The signatures of functions and callbacks, and the types of fields, against the headers: the C compiler compares them.</summary>
public sealed partial class BindingTests
{
    private static MethodInfo[] WrongImports { get; } = typeof(WrongBindings).GetMethods(EveryStatic);

    [Test]
    public void Every_import_has_the_signature_that_the_header_declares()
    {
        (int exitCode, string output) = CCompiler.Check(SignatureChecks(Imports));
        Assert.That(exitCode, Is.Zero, output);
    }

    [Test]
    public void Every_field_has_the_type_that_the_header_declares()
    {
        (int exitCode, string output) = CCompiler.Check(FieldChecks(Structs));
        Assert.That(exitCode, Is.Zero, output);
    }

    [TestCaseSource(nameof(WrongImports))]
    public void A_wrong_signature_would_be_noticed(MethodInfo wrong)
    {
        (int exitCode, string output) = CCompiler.Check(SignatureChecks([.. Imports, wrong]));
        Assert.That(exitCode, Is.Not.Zero);
        Assert.That(output, Does.Contain($"{wrong.Name} is not"));
        Assert.That(Regex.Count(output, "error:"), Is.EqualTo(1), output);
    }

    [Test]
    public void Wrong_fields_would_be_noticed()
    {
        (int exitCode, string output) = CCompiler.Check(FieldChecks([.. Structs, typeof(WrongBindings.mg_option), typeof(WrongBindings.mg_form_data_handler)]));
        Assert.That(exitCode, Is.Not.Zero);
        Assert.That(
            Regex.Matches(output, @"error: .*\b(mg_\w+\.\w+) is not").Select(match => match.Groups[1].Value),
            Is.EqualTo(["mg_option.name", "mg_option.type", "mg_form_data_handler.field_get", "mg_form_data_handler.field_store"]),
            output);
    }

    /// <summary>
    /// A C file that compiles only if each method has the type of its C function. Where a C# type stands for several C
    /// types, as byte* does for char* and unsigned char*, every one of them is accepted, and nothing else.
    /// </summary>
    private static string SignatureChecks(IEnumerable<MethodInfo> methods)
    {
        StringBuilder c = BeginChecks();
        foreach (MethodInfo method in methods)
        {
            string name = EntryPoint(method);
            IEnumerable<string> types = Signatures(
                CTypes(method.ReturnType, HandleName(method)),
                method.GetParameters().Select(parameter => CTypes(parameter.ParameterType, parameter.Name!)));
            string[] parameters = [.. method.GetParameters().Select(parameter => parameter.ParameterType.ToString())];
            AppendCheck(c, $"&{name}", types, $"{name} is not {method.ReturnType} ({string.Join(", ", parameters)})");
        }

        return c.ToString();
    }

    /// <summary>The same for the fields of structs, among which are the pointers to callbacks.</summary>
    private static string FieldChecks(IEnumerable<Type> structs)
    {
        StringBuilder c = BeginChecks();
        foreach (Type type in structs)
        {
            foreach (FieldInfo field in type.GetFields(EveryField))
            {
                int length = field.FieldType.GetCustomAttribute<InlineArrayAttribute>()?.Length ?? 0;
                Type element = length == 0 ? field.FieldType : field.FieldType.GetFields(EveryField).Single().FieldType;
                string pointer = length == 0 ? "*" : string.Create(CultureInfo.InvariantCulture, $"(*)[{length}]");
                AppendCheck(
                    c,
                    $"&((struct {type.Name} *)0)->{field.Name}",
                    CTypes(element, field.Name).Select(candidate => $"{candidate} {pointer}"),
                    $"{type.Name}.{field.Name} is not {field.FieldType}");
            }
        }

        return c.ToString();
    }

    private static StringBuilder BeginChecks() =>
        // C# has no const. The standard headers are included first, because they need theirs.
        new StringBuilder("#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n#define const\n#include \"civetweb_net.h\"\n");

    private static void AppendCheck(StringBuilder c, string expression, IEnumerable<string> types, string message)
    {
        c.Append("_Static_assert(_Generic(").Append(expression).Append(",\n");
        foreach (string type in types)
        {
            c.Append('\t').Append(type).Append(": 1,\n");
        }

        c.Append("\tdefault: 0), \"").Append(message).Append("\");\n");
    }

    /// <summary>All function pointer types with one of the results and, for each parameter, one of its types.</summary>
    private static IEnumerable<string> Signatures(IEnumerable<string> results, IEnumerable<IEnumerable<string>> parameters)
    {
        IEnumerable<string> lists = [""];
        foreach (IEnumerable<string> candidates in parameters)
        {
            lists = [.. lists.SelectMany(list => candidates.Select(candidate => list.Length == 0 ? candidate : $"{list}, {candidate}"))];
        }

        return results.SelectMany(result => lists.Select(list => $"__typeof__({result} (*)({(list.Length == 0 ? "void" : list)}))"));
    }

    /// <summary>The C types that a type of the bindings may stand for. They differ in nothing that a call depends on.</summary>
    /// <param name="type">The type of a parameter, a result or a field.</param>
    /// <param name="name">Its name, which tells what kind of handle an nint is.</param>
    private static string[] CTypes(Type type, string name)
    {
        if (type.IsPointer)
        {
            return [.. CTypes(type.GetElementType()!, name).Select(pointee => $"{pointee} *")];
        }

        if (type.IsFunctionPointer)
        {
            // A managed function pointer would be called in the wrong way.
            Assert.That(type.IsUnmanagedFunctionPointer, $"{name}: {type}");
            return
            [
                .. Signatures(
                    CTypes(type.GetFunctionPointerReturnType(), name),
                    type.GetFunctionPointerParameterTypes().Select(parameter => CTypes(parameter, name))),
            ];
        }

        if (type.IsEnum)
        {
            return CTypes(type.GetEnumUnderlyingType(), name);
        }

        return type == typeof(void) ? ["void"]
            : type == typeof(byte) ? ["char", "unsigned char"]
            : type == typeof(sbyte) ? ["char", "signed char"]
            : type == typeof(int) ? ["int"]
            : type == typeof(uint) ? ["unsigned"]
            : type == typeof(long) ? OperatingSystem.IsWindows() ? ["long long"] : ["long", "long long"]
            : type == typeof(nuint) ? ["size_t"]
            : type == typeof(nint) ? [$"struct cwn_{name} *"]
            : type.IsValueType && type.Name.Contains('_') ? [$"struct {type.Name}"]
            : throw new NotSupportedException($"{name}: the type {type} is new to this test.");
    }

    /// <summary>What cwn_NAME_create returns.</summary>
    private static string HandleName(MethodInfo method) => method.Name.Split('_') is [_, var name, "create"] ? name : "result";

    /// <summary>Bindings that are wrong on purpose, each in one way.</summary>
    private static unsafe class WrongBindings
    {
        private const string Library = "civetweb_net";

        [DllImport(Library)]
        public static extern void cwn_session_wake(nint session, int surplus);

        [DllImport(Library)]
        public static extern int cwn_tls_attach(nint tls, void* ssl_ctx, byte* error);

        [DllImport(Library)]
        public static extern int cwn_session_wait(nint session, long events, int timeout_ms);

        [DllImport(Library)]
        public static extern int cwn_session_write(nint session, byte* data, int size, int gather);

        [DllImport(Library)]
        public static extern uint cwn_layout(long* values, uint count);

        [DllImport(Library)]
        public static extern int cwn_read_body(mg_connection* conn, byte* buffer, nuint size, int timeout_ms, int* chunk);

        [DllImport(Library)]
        public static extern void cwn_tls_release(nint session);

        [DllImport(Library)]
        public static extern int cwn_clients_wait(mg_connection* ctx);

        [DllImport(Library)]
        public static extern int cwn_body_length(mg_connection* conn);

        [DllImport(Library)]
        public static extern uint cwn_is_file(byte* path);

        [DllImport(Library)]
        public static extern int cwn_cut(mg_connection* conn);

        [DllImport(Library)]
        public static extern nint cwn_build_info();

        [DllImport(Library)]
        public static extern int cwn_session_begin(nint session, delegate* unmanaged[Cdecl]<void*, void> handler, void* user_data);

        [DllImport(Library)]
        public static extern void mg_set_auth_handler(
            mg_context* ctx, byte* uri, delegate* unmanaged[Cdecl]<mg_connection*, void*, byte*, int> handler, void* cbdata);

#pragma warning disable CS0649 // only their types are looked at
        public struct mg_option
        {
            public byte** name;
            public long type;
            public byte* default_value;
        }

        public struct mg_form_data_handler
        {
            public delegate* unmanaged[Cdecl]<byte*, byte*, byte*, nuint, void*, int> field_found;
            public delegate* unmanaged[Cdecl]<byte*, byte*, int, void*, int> field_get;
            public delegate* unmanaged[Cdecl]<byte*, long, int> field_store;
            public void* user_data;
        }
#pragma warning restore CS0649
    }
}
