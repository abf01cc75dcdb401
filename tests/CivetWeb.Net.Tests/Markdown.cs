using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Enumeration;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The project's documents as their readers see them: code blocks, links, and what links can lead to.</summary>
internal static partial class Markdown
{
    /// <summary>All of the checkout, wherever they are; what was fetched or built is not the project's.</summary>
    public static string[] Documents { get; } =
    [
        .. new FileSystemEnumerable<string>(Repository.Root, (ref FileSystemEntry file) => file.ToFullPath(), new EnumerationOptions { RecurseSubdirectories = true })
        {
            ShouldIncludePredicate = (ref FileSystemEntry file) => !file.IsDirectory && file.FileName.EndsWith(".md", StringComparison.OrdinalIgnoreCase),

            // A link, such as wine's to "/", could lead anywhere.
            ShouldRecursePredicate = (ref FileSystemEntry folder) =>
                (folder.Attributes & FileAttributes.ReparsePoint) == 0 && folder.FileName is not ("artifacts" or "node_modules" or "bin" or "obj" or ".git"),
        }
            .Select(path => Path.GetRelativePath(Repository.Root, path).Replace('\\', '/'))
            .Order(StringComparer.Ordinal),
    ];

    /// <summary>The fenced code blocks of that language.</summary>
    public static IEnumerable<string[]> Blocks(string document, string language) =>
        Fences(document).Where(fence => fence.Language == language).Select(fence => fence.Lines);

    /// <summary>What the fences say they are, as it is written.</summary>
    public static IEnumerable<string> Languages(string document) => Fences(document).Select(fence => fence.Language);

    /// <summary>Where the document leads to within the checkout: file, and heading behind a #.</summary>
    public static IEnumerable<string> Links(string document)
    {
        string text = Code().Replace(string.Join('\n', Prose(document)), "");
        return Link().Matches(text)
            .Select(match => match.Groups.Values.Skip(1).First(group => group.Success).Value)
            .Where(link => !Scheme().IsMatch(link));
    }

    /// <summary>The names of its headings, as GitHub makes them.</summary>
    public static HashSet<string> Anchors(string document)
    {
        var anchors = new HashSet<string>();
        foreach (Match heading in Prose(document).Select(line => Heading().Match(line)).Where(match => match.Success))
        {
            // Links and code in a heading count by their text.
            string name = Slug(LinkedText().Replace(heading.Groups[1].Value, "$1"));
            for (int n = 0; !anchors.Add(n == 0 ? name : $"{name}-{n}"); n++)
            {
            }
        }

        return anchors;
    }

    private static string Slug(string heading)
    {
        var slug = new StringBuilder();
        foreach (char c in heading)
        {
            if (char.IsLetterOrDigit(c) || c is '-' or '_')
            {
                slug.Append(char.ToLowerInvariant(c));
            }
            else if (c == ' ')
            {
                slug.Append('-');
            }
        }

        return slug.ToString();
    }

    private static IEnumerable<string> Prose(string document) => Parse(document).Where(line => line.Fence is null).Select(line => line.Text);

    private static IEnumerable<(string Language, string[] Lines)> Fences(string document) =>
        from line in Parse(document)
        where line.Fence is not null
        group line by line.Fence!.Value.Number into fence
        select (fence.First().Fence!.Value.Language, fence.Skip(1).Select(line => line.Text).ToArray());

    /// <summary>The lines; those of a fence, its opening one first, know its number and language.</summary>
    private static List<(string Text, (int Number, string Language)? Fence)> Parse(string document)
    {
        var lines = new List<(string Text, (int Number, string Language)? Fence)>();
        (int Number, string Language)? fence = null;
        string end = "";
        int number = 0;
        foreach (string line in File.ReadLines(Path.Combine(Repository.Root, document)))
        {
            Match mark = Fence().Match(line);
            if (fence is null && mark.Success)
            {
                end = mark.Groups[1].Value;
                fence = (number++, mark.Groups[2].Value.Trim());
                lines.Add((line, fence));
            }
            else if (fence is not null && line.Trim() == end)
            {
                fence = null;
            }
            else
            {
                lines.Add((line, fence));
            }
        }

        Assert.That(fence, Is.Null, $"a code block of {document} has no end");
        return lines;
    }

    [GeneratedRegex(@"^ *(`{3,}|~{3,})(.*)$")]
    private static partial Regex Fence();

    [GeneratedRegex(@"^#{1,6} +(.*?) *#*$")]
    private static partial Regex Heading();

    [GeneratedRegex(@"`[^`\n]*`")]
    private static partial Regex Code();

    [GeneratedRegex(@"\[([^\]]*)\]\([^)]*\)")]
    private static partial Regex LinkedText();

    /// <summary>In the text, on a line of its own for the text elsewhere, or in HTML.</summary>
    [GeneratedRegex(@"\]\(([^)\s]+)[^)]*\)|^\[[^\]]+\]: *(\S+)|(?:href|src)=""([^""]+)""", RegexOptions.Multiline)]
    private static partial Regex Link();

    [GeneratedRegex("^[a-z][a-z0-9+.-]*:", RegexOptions.IgnoreCase)]
    private static partial Regex Scheme();
}
