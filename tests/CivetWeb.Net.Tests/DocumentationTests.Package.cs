using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Xml.Linq;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

// What an editor shows to those who use the package: the XML file beside the assembly.
internal sealed partial class DocumentationTests
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    [Test]
    public void The_package_documents_all_public_members_and_no_others()
    {
        var file = XDocument.Load(Path.ChangeExtension(typeof(CivetWebServer).Assembly.Location, ".xml"));
        HashSet<string> documented = [.. file.Descendants("member").Select(member => MemberName(member.Attribute("name")!.Value))];
        HashSet<string> known = [.. typeof(CivetWebServer).Assembly.GetExportedTypes().SelectMany(type => type.GetMembers(Declared).Where(IsVisible).Select(MemberName).Append(type.FullName!))];
        string[] expected =
        [
            .. typeof(CivetWebServer).Assembly.GetExportedTypes().Where(type => !typeof(Delegate).IsAssignableFrom(type))
                .SelectMany(type => type.GetMembers(Declared).Where(member => IsVisible(member) && IsWritten(member)).Select(MemberName).Append(type.FullName!)),
        ];
        Assert.That(expected, Has.Length.GreaterThan(200));
        Assert.That(documented.Except(known), Is.Empty, "internal");
        Assert.That(expected.Except(documented), Is.Empty, "without documentation");
    }

    [Test]
    public void The_package_contains_all_documents()
    {
        string[] packed = [.. File.ReadLines(Path.Combine(Repository.Root, "tests", "smoke", "approved", "CivetWeb.Net.nupkg.txt")).Where(line => line.StartsWith("docs/", StringComparison.Ordinal))];
        Assert.That(packed, Is.EquivalentTo(Directory.GetFiles(Path.Combine(Repository.Root, "docs")).Select(file => $"docs/{Path.GetFileName(file)}")));
    }

    /// <summary>Without the letter for its kind; a method with the number of its parameters.</summary>
    private static string MemberName(string id)
    {
        int call = id.IndexOf('(', StringComparison.Ordinal);
        string name = call < 0 ? id[2..] : id[2..call];
        int generic = name.IndexOf("``", StringComparison.Ordinal);
        int depth = 0;
        int parameters = call < 0 ? 0 : 1 + id[call..].Count(c => (depth += c == '{' ? 1 : c == '}' ? -1 : 0) == 0 && c == ',');
        return (generic < 0 ? name : name[..generic]) + (id[0] == 'M' ? $"/{parameters}" : "");
    }

    private static string MemberName(MemberInfo member) =>
        $"{member.DeclaringType!.FullName}.{member.Name.Replace(".ctor", "#ctor", StringComparison.Ordinal)}"
        + (member is MethodBase method ? $"/{method.GetParameters().Length}" : "");

    private static bool IsVisible(MemberInfo member) => member switch
    {
        MethodBase method => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly,
        FieldInfo field => field.IsPublic || field.IsFamily,
        Type type => type.IsNestedPublic,
        PropertyInfo property => property.GetAccessors(nonPublic: true).Any(IsVisible),
        _ => true,
    };

    /// <summary>Not made by the compiler: accessors, the members of records, constructors without parameters, overrides that say nothing new.</summary>
    private static bool IsWritten(MemberInfo member) =>
        !member.IsDefined(typeof(CompilerGeneratedAttribute))
        && !member.Name.StartsWith('<')
        && member is not FieldInfo { Name: "value__" }
        && (member is not MethodBase method
            || (!(method.IsSpecialName && method is MethodInfo)
                && !(method is ConstructorInfo && method.GetParameters().Length == 0)
                && !(method is MethodInfo overriding && overriding.GetBaseDefinition() != overriding)
                && method.Name != "Deconstruct"));
}
