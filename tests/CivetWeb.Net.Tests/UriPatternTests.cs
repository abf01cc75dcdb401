using System;
using System.Linq;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>URIs of WebSocket handlers: exact unless they say otherwise, and never slow, because the path is the client's.</summary>
public sealed class UriPatternTests
{
    [TestCase("/ws", "/ws", true)]
    [TestCase("/ws", "/WS", false)]
    [TestCase("/ws", "/wsfoo", false)]
    [TestCase("/ws", "/ws/", false)]
    [TestCase("/ws", "/ws/more", false)]
    [TestCase("/ws", "/w", false)]
    [TestCase("/ws", "", false)]
    [TestCase("/", "/", true)]
    [TestCase("/ü", "/ü", true)]
    public void Plain_text_matches_exactly(string pattern, string path, bool expected) => Check(pattern, path, expected);

    [TestCase("/*", "/", true)]
    [TestCase("/*", "/abc", true)]
    [TestCase("/*", "/abc/d", false)]
    [TestCase("/a/*/c", "/a/b/c", true)]
    [TestCase("/a/*/c", "/a//c", true)]
    [TestCase("/a/*/c", "/a/b/b/c", false)]
    [TestCase("/*.js", "/x.js", true)]
    [TestCase("/*.js", "/x.js.map", false)]
    [TestCase("/*a*", "/xxaxx", true)]
    [TestCase("/*a*", "/xx", false)]
    [TestCase("*", "abc", true)]
    [TestCase("*", "/abc", false)]
    public void A_star_stays_within_its_segment(string pattern, string path, bool expected) => Check(pattern, path, expected);

    [TestCase("**", "", true)]
    [TestCase("**", "/any/thing", true)]
    [TestCase("/**", "/", true)]
    [TestCase("/**", "/a/b/c", true)]
    [TestCase("/a/**/z", "/a/b/c/z", true)]
    [TestCase("/a/**/z", "/a/z", false)]
    [TestCase("/a**z", "/az", true)]
    [TestCase("/**/b/*", "/x/b/y", true)]
    [TestCase("/**/b/*", "/x/b/y/z", false)]
    [TestCase("/**/b/*", "/b/b/y/b/z", true)]
    [TestCase("***", "/a/b", true)]
    [TestCase("****", "/a/b", true)]
    public void Two_stars_cross_segments(string pattern, string path, bool expected) => Check(pattern, path, expected);

    [TestCase("/a?c", "/abc", true)]
    [TestCase("/a?c", "/a/c", false)]
    [TestCase("/a?c", "/ac", false)]
    [TestCase("/a?", "/a", false)]
    [TestCase("/??", "/ab", true)]
    public void A_question_mark_is_one_character_that_is_no_slash(string pattern, string path, bool expected) =>
        Check(pattern, path, expected);

    [TestCase("/a|/b", "/a", true)]
    [TestCase("/a|/b", "/b", true)]
    [TestCase("/a|/b", "/a|/b", false)]
    [TestCase("/a|/b", "/c", false)]
    [TestCase("/x/*|/y", "/x/1", true)]
    [TestCase("/x/*|/y", "/y", true)]
    [TestCase("/x/*|/y", "/y/1", false)]
    public void A_bar_separates_alternatives(string pattern, string path, bool expected) => Check(pattern, path, expected);

    [TestCase("/a$", "/a", true)]
    [TestCase("/a$", "/a$", false)]
    [TestCase("/a$", "/ab", false)]
    [TestCase("/a$|/b$", "/b", true)]
    [TestCase("/**.js$", "/x/y.js", true)]
    [TestCase("/a$b", "/a$b", true)]
    public void A_final_dollar_means_nothing(string pattern, string path, bool expected) => Check(pattern, path, expected);

    [TestCase("/ws", true)]
    [TestCase("/ws$", true)]
    [TestCase("/w*", false)]
    [TestCase("/w?", false)]
    [TestCase("/a|/b", false)]
    public void Only_one_path_makes_a_literal(string pattern, bool expected) =>
        Assert.That(new UriPattern(pattern).LiteralPath is not null, Is.EqualTo(expected));

    [Test]
    public void The_text_is_kept_as_it_was_given() => Assert.That(new UriPattern("/a*$|/b").Text, Is.EqualTo("/a*$|/b"));

    /// <summary>What takes a backtracking matcher exponentially long. A hang is caught by the deadline; speed is no matter here.</summary>
    [TestCase("/*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", "a", 16_000)]
    [TestCase("/**a**a**a**a**a**a**a**a**a**a**a**b", "a", 16_000)]
    [TestCase("/**a*a**a*a**a*a**a*a**a*a**a*a**b", "a", 16_000)]
    [TestCase("/**/a*/**/a*/**/a*/**/a*/**/a*/b", "/a", 8_000)]
    [TestCase("/**?*?*?*?*?*?*?*?*?*?*?*?*?*?b", "a", 8_000)]
    [TestCase("/**a*a/", "a", 16_000)]
    [TestCase("/**/*x", "a/", 8_000)]
    public void No_path_takes_for_ever(string pattern, string unit, int count)
    {
        string path = "/" + string.Concat(Enumerable.Repeat(unit, count));
        var uri = new UriPattern(pattern);
        Task<bool> match = Task.Run(() => uri.Matches(path));
        Assert.That(match.Wait(TestServer.Patience), "the match must end");
        Assert.That(match.GetAwaiter().GetResult(), Is.False);
    }

    [Test]
    public void Random_patterns_agree_with_a_naive_matcher()
    {
        // Few different characters, so that matches and near misses are common.
        const string PatternCharacters = "ab/**?";
        const string PathCharacters = "ab/";
        var random = new Random(20240229);
        int matches = 0;
        for (int round = 0; round < 300_000; round++)
        {
            string pattern = Text(random, PatternCharacters, 9);
            string path = Text(random, PathCharacters, 10);
            bool expected = Naive(pattern, path);
            matches += expected ? 1 : 0;
            if (new UriPattern(pattern).Matches(path) != expected)
            {
                Assert.Fail($"pattern '{pattern}', path '{path}': expected {expected}");
            }
        }

        Assert.That(matches, Is.GreaterThan(10_000), "the inputs must be worth something");
    }

    [Test]
    public void Every_small_pattern_agrees_with_a_naive_matcher_on_every_small_path()
    {
        string[] patterns = All("a/*?", 5);
        string[] paths = All("a/", 5);
        foreach (string pattern in patterns)
        {
            var uri = new UriPattern(pattern);
            foreach (string path in paths)
            {
                if (uri.Matches(path) != Naive(pattern, path))
                {
                    Assert.Fail($"pattern '{pattern}', path '{path}': expected {Naive(pattern, path)}");
                }
            }
        }
    }

    private static void Check(string pattern, string path, bool expected) =>
        Assert.That(new UriPattern(pattern).Matches(path), Is.EqualTo(expected));

    /// <summary>The definition, as directly as it can be written; exponential.</summary>
    private static bool Naive(ReadOnlySpan<char> pattern, ReadOnlySpan<char> path)
    {
        if (pattern.IsEmpty)
        {
            return path.IsEmpty;
        }

        if (pattern[0] == '*')
        {
            bool deep = pattern.Length > 1 && pattern[1] == '*';
            ReadOnlySpan<char> rest = pattern[(deep ? 2 : 1)..];
            for (int taken = 0; taken <= path.Length; taken++)
            {
                if (Naive(rest, path[taken..]))
                {
                    return true;
                }

                if (taken < path.Length && !deep && path[taken] == '/')
                {
                    return false;
                }
            }

            return false;
        }

        return !path.IsEmpty && (pattern[0] == path[0] || (pattern[0] == '?' && path[0] != '/')) && Naive(pattern[1..], path[1..]);
    }

    private static string Text(Random random, string characters, int longest) =>
        new(random.GetItems<char>(characters, random.Next(longest + 1)));

    private static string[] All(string characters, int longest)
    {
        string[] last = [""];
        string[] all = last;
        for (int length = 1; length <= longest; length++)
        {
            last = [.. last.SelectMany(text => characters.Select(c => text + c))];
            all = [.. all, .. last];
        }

        return all;
    }
}
