using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// Each room of the library knows only the rooms below it: Interop, above it Core, and on Core the two APIs, which do not know each other.
/// The sources are read as text, without comments and literals.
/// </summary>
internal sealed partial class LayeringTests
{
    private static readonly string Root = Path.Combine(Repository.Root, "src", "CivetWeb.Net");

    /// <summary>The rooms, and those each may use beside itself.</summary>
    private static readonly Dictionary<string, string[]> Rooms = new()
    {
        ["Interop"] = [],
        ["Core"] = ["Interop"],
        ["CallbackApi"] = ["Core", "Interop"],
        ["Server"] = ["Core", "Interop"],
    };

    /// <summary>Rooms of the server that must not know of these others.</summary>
    private static readonly (string Room, string[] Hidden)[] ServerRooms =
    [
        ("Server/Routing", ["Server/Http", "Server/WebSockets", "Server/Tls", "Server/Listening", "Server/Authentication", "Server/Logging"]),
        ("Server/Http/Cookies", ["Server/WebSockets", "Server/Tls", "Server/Listening", "Server/Authentication"]),
        ("Server/Http/Forms", ["Server/WebSockets", "Server/Tls", "Server/Listening", "Server/Authentication"]),
        ("Server/WebSockets/Messages", ["Server/Http", "Server/Tls", "Server/Listening", "Server/Authentication"]),
        ("Server/Listening", ["Server/Http", "Server/WebSockets", "Server/Authentication"]),
    ];

    private static readonly Source[] Sources =
    [
        .. Directory.EnumerateFiles(Root, "*.cs", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Root, file).Replace('\\', '/'))
            .Where(file => !file.StartsWith("obj/", StringComparison.Ordinal) && !file.StartsWith("bin/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)
            .Select(file => new Source(file, File.ReadAllText(Path.Combine(Root, file)))),
    ];

    [Test]
    public void Every_source_lies_in_a_room() =>
        Assert.That(Sources.Where(source => !Rooms.ContainsKey(source.Room)).Select(source => source.Name), Is.Empty);

    [TestCase("Interop", 15)]
    [TestCase("Core", 15)]
    [TestCase("CallbackApi", 8)]
    [TestCase("Server", 80)]
    public void A_room_names_nothing_of_a_room_that_it_does_not_stand_on(string room, int filesAtLeast)
    {
        Source[] own = [.. Sources.Where(source => source.Room == room)];
        Assert.That(own, Has.Length.AtLeast(filesAtLeast), "sources found");
        Assert.That(FindUpwardNames(own, Sources), Is.Empty);
    }

    [Test]
    public void A_room_of_the_server_knows_only_what_it_is_made_of()
    {
        foreach ((string room, string[] hidden) in ServerRooms)
        {
            Source[] own = [.. Sources.Where(source => source.IsIn(room))];
            HashSet<string> names = [.. Sources.Where(source => hidden.Any(source.IsIn) && !source.IsIn(room)).SelectMany(source => source.Types)];
            Assert.That(own, Is.Not.Empty, room);
            Assert.That(own.SelectMany(source => source.Words.Where(names.Contains).Select(name => $"{source.Name} names {name}")), Is.Empty);
        }
    }

    [Test]
    public void Pointers_are_in_Interop_alone() =>
        Assert.That(Sources.Where(source => source.Room != "Interop").SelectMany(FindPointers), Is.Empty);

    [TestCase("Core/A.cs", "using CivetWeb.Net.CallbackApi;\n", "Core/A.cs uses CivetWeb.Net.CallbackApi")]
    [TestCase("Interop/A.cs", "using CivetWeb.Net.Core;\n", "Interop/A.cs uses CivetWeb.Net.Core")]
    [TestCase("Core/A.cs", "using static CivetWeb.Net.CallbackApi.Http;\n", "Core/A.cs uses CivetWeb.Net.CallbackApi")]
    [TestCase("Server/A.cs", "class A { CallbackApi.Connection? _b; }", "Server/A.cs uses CivetWeb.Net.CallbackApi")]
    [TestCase("Server/Http/A.cs", "class A { Context? _context; }", "Server/Http/A.cs names Context")]
    [TestCase("CallbackApi/A.cs", "class A { object B() => new CivetWebServer(); }", "CallbackApi/A.cs names CivetWebServer")]
    [TestCase("Interop/A.cs", "class A { void B(ServerSettings settings) { } }", "Interop/A.cs names ServerSettings")]
    [TestCase("Core/A.cs", "class A { string B(int x) => $\"{(x > 0 ? nameof(Context) : \"Connection\")}\"; }", "Core/A.cs names Context")]
    [TestCase("Core/A.cs", "/// <summary>Of <see cref=\"Context\"/>.</summary> class A { /* Context */ string B = \"Context\"; } // Context", null)]
    [TestCase("Server/A.cs", "class A { HttpHost? _host; NativeBody? _body; string Context => \"\"; }", null)]
    public void A_name_of_a_higher_room_is_found(string file, string text, string? expected) =>
        Assert.That(FindUpwardNames([new Source(file, text)], Sources), expected is null ? Is.Empty : Is.EqualTo((string[])[expected]));

    [TestCase("unsafe class A { }", true)]
    [TestCase("class A { void B(byte* c) { } }", true)]
    [TestCase("class A { int B() { fixed (byte* p = c) { return *p; } } }", true)]
    [TestCase("class A { delegate* unmanaged<void> _b; }", true)]
    [TestCase("class A { int B(int c, int d) => c * d; string E = \"unsafe byte* p\"; /* fixed ( */ }", false)]
    public void A_pointer_is_found(string text, bool expected) =>
        Assert.That(FindPointers(new Source("Core/A.cs", text)), expected ? Is.Not.Empty : Is.Empty);

    private static IEnumerable<string> FindUpwardNames(IEnumerable<Source> own, Source[] all)
    {
        foreach (Source source in own)
        {
            string[] allowed = [source.Room, .. Rooms[source.Room]];
            HashSet<string> hidden = [.. all.Where(other => !allowed.Contains(other.Room)).SelectMany(other => other.Types)];
            hidden.ExceptWith(all.Where(other => allowed.Contains(other.Room)).SelectMany(other => other.Types));
            // A using, also a static one or an alias, or a qualified name. Server's namespace is the library's own.
            foreach (string room in Rooms.Keys.Except(allowed).Where(room => room != "Server" && Regex.IsMatch(source.Code, $@"\b{room}\s*[.;]")))
            {
                yield return $"{source.Name} uses CivetWeb.Net.{room}";
            }

            foreach (string name in source.Words.Where(hidden.Contains))
            {
                yield return $"{source.Name} names {name}";
            }
        }
    }

    private static IEnumerable<string> FindPointers(Source source) =>
        PointerPattern().Matches(source.Code).Select(match => $"{source.Name}: {match.Value}");

    [GeneratedRegex(@"\bunsafe\b|\bfixed\s*\(|\bstackalloc\b[^;]*\bbyte\s*\*|\b(?:byte|sbyte|char|short|ushort|int|uint|long|ulong|void|nint|nuint|mg_\w+|cwn_\w+|delegate)\s*\*+\s*[\w)>,\]]|\b[A-Z]\w*\*+[ )>,]")]
    private static partial Regex PointerPattern();

    /// <summary>One source: its code without comments and literals, the types it declares, the words in it that can be types.</summary>
    private sealed partial record Source(string Name, string Text)
    {
        public string Code { get; } = Strip(Text);

        public string Room => Name.Split('/')[0];

        public IEnumerable<string> Types => TypePattern().Matches(Code).Select(match => match.Groups[1].Value);

        /// <summary>Not what follows a dot, which is a member, nor what a member is called that this source declares.</summary>
        public IEnumerable<string> Words
        {
            get
            {
                HashSet<string> members = [.. MemberPattern().Matches(Code).Select(match => match.Groups["name"].Value)];
                return WordPattern().Matches(Code).Select(match => match.Value).Where(word => !members.Contains(word)).Distinct();
            }
        }

        public bool IsIn(string room) => Name.StartsWith(room + "/", StringComparison.Ordinal);

        private static string Strip(string text)
        {
            string code = CommentPattern().Replace(text, match => match.Value.StartsWith('/') ? " " : match.Value);
            return LiteralPattern().Replace(code, match => string.Join(' ', HolePattern().Matches(match.Value).Select(hole => LiteralPattern().Replace(hole.Value, " "))));
        }

        // A comment, or a literal, in which // begins none.
        [GeneratedRegex("\"\"\"[\\s\\S]*?\"\"\"|@\"(?:[^\"]|\"\")*\"|\"(?:\\\\.|[^\"\\\\\\n])*\"|'(?:\\\\.|[^'\\\\\\n])+'|//[^\\n]*|/\\*[\\s\\S]*?\\*/")]
        private static partial Regex CommentPattern();

        [GeneratedRegex("\"\"\"[\\s\\S]*?\"\"\"|@\"(?:[^\"]|\"\")*\"|\\$?\"(?:\\{[^{}\\n]*(?:\\{[^{}\\n]*\\}[^{}\\n]*)*\\}|\\\\.|[^\"\\\\\\n])*\"|'(?:\\\\.|[^'\\\\\\n])+'")]
        private static partial Regex LiteralPattern();

        [GeneratedRegex("\\{[^{}]*\\}")]
        private static partial Regex HolePattern();

        [GeneratedRegex(@"\b(?:class|struct|enum|interface|record(?: struct)?|delegate [\w.<>\[\]?]+)\s+([A-Z]\w*|mg_\w+|cwn_\w+)")]
        private static partial Regex TypePattern();

        [GeneratedRegex(@"\b(?:string|int|bool|long|void|byte|object|[A-Z]\w*)(?:<[^;={}()]*>)?(?:\[\])?\??\s+(?<name>[A-Z]\w*)\s*(?:\{|=>|=|;|\()")]
        private static partial Regex MemberPattern();

        [GeneratedRegex(@"(?<![.\w@])[A-Z]\w*\b(?!\s*(?:=(?!>|=)|:(?!:)))|(?<![.\w])(?:mg|cwn)_\w+")]
        private static partial Regex WordPattern();
    }
}
