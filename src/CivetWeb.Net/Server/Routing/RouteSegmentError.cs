using System;

namespace CivetWeb.Net;

/// <summary>Why a segment of a pattern is refused: patterns of other servers would match nothing here, and nobody would be told.</summary>
internal static class RouteSegmentError
{
    /// <summary>A sentence about what is wrong, where, and what to write instead; null when the segment is valid.</summary>
    /// <param name="segment">What is between two slashes.</param>
    /// <param name="isLast">Whether it is the last one.</param>
    public static string? Find(string segment, bool isLast)
    {
        if (segment.AsSpan().ContainsAny('{', '}'))
        {
            return FindInParameter(segment, isLast);
        }

        if (segment.Contains('*'))
        {
            return isLast
                ? $"the segment '{segment}' has a * outside of braces. Write {{*rest}} as the last segment for everything that follows, or {{name}} for one segment."
                : $"the segment '{segment}' has a * outside of braces. Write {{name}} for one segment, or {{*rest}} as the last segment for everything that follows.";
        }

        return segment.Contains('?')
            ? $"the segment '{segment}' has a ?. Write {{name}} for a segment that varies; a query is not part of a pattern, request.Query has it."
            : null;
    }

    private static string? FindInParameter(string segment, bool isLast)
    {
        int open = segment.AsSpan().Count('{');
        int close = segment.AsSpan().Count('}');
        if (open > close)
        {
            return $"a brace in the segment '{segment}' is not closed. Write {{name}}.";
        }

        if (close > open)
        {
            return $"a brace in the segment '{segment}' is not opened. Write {{name}}.";
        }

        if (open > 1 || segment is not ['{', .., '}'])
        {
            return $"in the segment '{segment}' a parameter is only a part. A parameter is a whole segment: write {{name}}, and take it apart in the handler.";
        }

        bool isRest = segment[1] == '*';
        string name = segment[(isRest ? 2 : 1)..^1];
        if (isRest && !isLast)
        {
            return $"'{segment}' is not the last segment. Only the last segment can stand for the rest of the path: write {{name}} for one segment.";
        }

        return name.Length == 0
            ? $"the parameter '{segment}' has no name. Write {(isRest ? "{*rest}" : "{name}")}."
            : FindInName(segment, name);
    }

    private static string? FindInName(string segment, string name)
    {
        int end = name.AsSpan().IndexOfAny(":=?*");
        return end < 0 ? null : name[end] switch
        {
            ':' => $"the parameter '{segment}' has a constraint, '{name[end..]}', which is not supported. Write {{{name[..end]}}}, and check the value in the handler.",
            '=' => $"the parameter '{segment}' has a default value, '{name[end..]}', which is not supported. Map the shorter path as well.",
            '?' => $"the parameter '{segment}' is optional, which is not supported. Write {{{name[..end]}}}, and map the path without it as well.",
            _ => $"the name of the parameter '{segment}' has a *. Write {{name}} for one segment, or {{*rest}} as the last segment for everything that follows.",
        };
    }
}
