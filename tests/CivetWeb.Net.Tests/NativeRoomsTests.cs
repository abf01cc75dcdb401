using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// The rooms of the native library: a file uses what is defined in its own room and in those below. The compiler cannot
/// tell, because the library is one translation unit.
/// </summary>
public sealed partial class NativeRoomsTests
{
    /// <summary>From the lowest to the highest: a folder's name, or the names of the files of a room that has no folder.</summary>
    private static readonly string[][] Rooms =
    [
        ["old_glibc.h", "platform.c", "ssl_io.c"],
        ["engine/"],
        ["websocket/"],
        ["http/"],
        ["openssl.c", "tls.c", "library.c", "layout.c"],
    ];

    /// <summary>Definitions of each kind.</summary>
    private static readonly string[] Samples =
    [
        "cwn_session_send", "cwn_session_try_left", "cwn_session", "cwn_seat", "cwn_bytes", "cwn_leaders", "cwn_own_session", "cwn_park_result",
        "CWN_PARK_OVER", "CWN_OUTPUT_SIZE", "CWN_SSL_CTRL_MODE", "CWN_SEAT_PENDING", "cwn_wake", "cwn_sessions_alive", "cwn_ssl_clear_options",
    ];

    private static string Folder => Path.Combine(Repository.Root, "native", "src");

    [Test]
    public void A_room_uses_nothing_of_the_rooms_above_it()
    {
        Assert.That(FindUpwardUses(ReadSources()), Is.Empty);
    }

    [TestCase("engine/sender.c", "static void wrong(cwn_session *session) { (void)cwn_session_post(session, 1, \"x\", 1); }", "cwn_session_post")]
    [TestCase("engine/wheel.c", "static cwn_reader wrong;", "cwn_reader")]
    [TestCase("websocket/session_pull.c", "static bool wrong(void) { return cwn_value_is(\"\", \"\"); }", "cwn_value_is")]
    [TestCase("http/path.c", "static void cwn_tls_explain(const char *what, char *error, size_t size);", "cwn_tls_explain")]
    [TestCase("platform.c", "enum { WRONG = CWN_PARK_OVER };", "CWN_PARK_OVER")]
    [TestCase("ssl_io.c", "static size_t wrong(void) { return CWN_OUTPUT_SIZE; }", "CWN_OUTPUT_SIZE")]
    public void A_use_of_a_higher_room_would_be_noticed(string file, string wrong, string name)
    {
        Dictionary<string, string> sources = ReadSources();
        sources[file] += wrong + "\n";
        Assert.That(FindUpwardUses(sources), Is.EqualTo([$"{file} uses {name}"]));
    }

    [Test]
    public void Every_file_is_in_a_room_and_the_library_includes_them_from_the_lowest_to_the_highest()
    {
        string[] included =
        [
            .. File.ReadLines(Path.Combine(Folder, "civetweb_net.c"))
                .Select(line => Include().Match(line))
                .Where(match => match.Success && RoomOf(match.Groups[1].Value) >= 0)
                .Select(match => match.Groups[1].Value),
        ];
        Assert.That(included, Has.Length.GreaterThan(25));
        Assert.That(included.Select(RoomOf), Is.Ordered);
        Assert.That(ReadSources().Keys.Where(file => RoomOf(file) < 0), Is.EqualTo(["civetweb_net.c"]));
    }

    [Test]
    public void What_the_rooms_define_is_found()
    {
        HashSet<string> names = [.. ReadSources().Values.SelectMany(FindDefinitions)];
        Assert.That(names, Has.Count.GreaterThan(400));
        Assert.That(Samples.Except(names), Is.Empty);
    }

    private static Dictionary<string, string> ReadSources() =>
        Directory.EnumerateFiles(Folder, "*.*", SearchOption.AllDirectories)
            .Where(file => Path.GetExtension(file) is ".c" or ".h")
            .ToDictionary(
                file => Path.GetRelativePath(Folder, file).Replace('\\', '/'),
                file => CommentOrText().Replace(File.ReadAllText(file), " "));

    private static int RoomOf(string file) =>
        Array.FindIndex(Rooms, room => room.Any(name => name.EndsWith('/') ? file.StartsWith(name, StringComparison.Ordinal) : file == name));

    private static IEnumerable<string> FindUpwardUses(Dictionary<string, string> sources)
    {
        // Some names are defined twice, for two systems: the lowest room counts.
        Dictionary<string, int> roomOfName = sources
            .Where(source => RoomOf(source.Key) >= 0)
            .SelectMany(source => FindDefinitions(source.Value).Select(name => (name, Room: RoomOf(source.Key))))
            .GroupBy(definition => definition.name, definition => definition.Room)
            .ToDictionary(group => group.Key, group => group.Min());
        return sources
            .Where(source => RoomOf(source.Key) >= 0)
            .SelectMany(source => Name().Matches(source.Value)
                .Select(match => match.Value)
                .Distinct()
                .Where(name => roomOfName.TryGetValue(name, out int room) && room > RoomOf(source.Key))
                .Select(name => $"{source.Key} uses {name}"));
    }

    /// <summary>The functions, types, variables, constants and macros that a file defines. Declarations are none of them.</summary>
    private static IEnumerable<string> FindDefinitions(string text) =>
        Function().Matches(text)
            .Concat(TypeOrVariable().Matches(text))
            .Concat(Macro().Matches(text))
            .Select(match => match.Groups.Values.Skip(1).First(group => group.Success).Value)
            .Concat(Enumeration().Matches(text).SelectMany(match => EnumerationMember().Matches(match.Groups[1].Value)).Select(match => match.Groups[1].Value));

    [GeneratedRegex(@"/\*.*?\*/|""(\\.|[^""\\\n])*""", RegexOptions.Singleline)]
    private static partial Regex CommentOrText();

    [GeneratedRegex(@"\b(cwn|CWN)_\w+")]
    private static partial Regex Name();

    [GeneratedRegex(@"^#include ""([^""]+)""")]
    private static partial Regex Include();

    /// <summary>A function's name begins its line, and its body follows the parameters.</summary>
    [GeneratedRegex(@"^(cwn_\w+)\([^;{]*\)\s*\{", RegexOptions.Multiline)]
    private static partial Regex Function();

    [GeneratedRegex(@"^(?:struct (cwn_\w+) \{|(?:\}|typedef) .*?\b(cwn_\w+)(?:\[.*?\])?(?: = .*)?;|\} (cwn_\w+) = |static [^(;]*?\b(cwn_\w+)(?:\[\])?(?: = [^;]*)?;)", RegexOptions.Multiline)]
    private static partial Regex TypeOrVariable();

    [GeneratedRegex(@"^#define ((?:cwn|CWN)_\w+)", RegexOptions.Multiline)]
    private static partial Regex Macro();

    [GeneratedRegex(@"\benum\b[^{;()]*\{([^}]*)\}")]
    private static partial Regex Enumeration();

    [GeneratedRegex(@"(?<=(?:^|,)\s*)(CWN_\w+)", RegexOptions.Multiline)]
    private static partial Regex EnumerationMember();
}
