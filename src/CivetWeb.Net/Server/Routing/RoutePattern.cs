using System;
using System.Collections.Generic;

namespace CivetWeb.Net;

/// <summary>
/// The path of a route: literal segments, <c>{name}</c> for exactly one segment, <c>{*name}</c> at the end for the rest.
/// Exact and case-sensitive, from end to end.
/// </summary>
internal sealed class RoutePattern
{
    private readonly Segment[] _segments;

    private RoutePattern(string text, Segment[] segments)
    {
        Text = text;
        _segments = segments;
    }

    private enum SegmentKind
    {
        Literal,
        Parameter,
        Rest,
    }

    public string Text { get; }

    /// <summary>Whether it has no parameter; such a route goes before all others.</summary>
    public bool IsLiteral => Array.TrueForAll(_segments, s => s.Kind == SegmentKind.Literal);

    /// <summary>The text without the names of its parameters: patterns of one shape match the same paths.</summary>
    public string Shape => "/" + string.Join('/', Array.ConvertAll(_segments, s => s.Kind switch
    {
        SegmentKind.Literal => s.Text,
        SegmentKind.Parameter => "{}",
        _ => "{*}",
    }));

    /// <exception cref="ArgumentException">The text is no pattern.</exception>
    public static RoutePattern Parse(string text, string parameterName)
    {
        ArgumentException.ThrowIfNullOrEmpty(text, parameterName);
        if (text[0] != '/')
        {
            throw new ArgumentException($"The path '{text}' must begin with /.", parameterName);
        }

        string[] parts = text[1..].Split('/');
        var segments = new Segment[parts.Length];
        var names = new HashSet<string>();
        for (int i = 0; i < parts.Length; i++)
        {
            segments[i] = ParseSegment(text, parts[i], isLast: i == parts.Length - 1, parameterName);
            if (segments[i].Kind != SegmentKind.Literal && !names.Add(segments[i].Text))
            {
                throw new ArgumentException($"The path '{text}' has two parameters named '{segments[i].Text}'.", parameterName);
            }
        }

        return new RoutePattern(text, segments);
    }

    /// <summary>Whether the (decoded) path matches; <paramref name="values"/> are then the parameters, null without any.</summary>
    public bool TryMatch(string path, out Dictionary<string, string>? values)
    {
        values = null;
        if (path.Length == 0 || path[0] != '/')
        {
            return false;
        }

        int start = 1;
        for (int i = 0; i < _segments.Length; i++)
        {
            ref readonly Segment segment = ref _segments[i];
            if (segment.Kind == SegmentKind.Rest)
            {
                (values ??= [])[segment.Text] = start <= path.Length ? path[start..] : "";
                return true;
            }

            if (start > path.Length)
            {
                return false;
            }

            int end = path.IndexOf('/', start);
            end = end < 0 ? path.Length : end;
            ReadOnlySpan<char> part = path.AsSpan(start, end - start);
            if (segment.Kind == SegmentKind.Literal)
            {
                if (!part.SequenceEqual(segment.Text))
                {
                    return false;
                }
            }
            else if (part.IsEmpty)
            {
                return false;
            }
            else
            {
                (values ??= [])[segment.Text] = part.ToString();
            }

            start = end + 1;
        }

        return start == path.Length + 1;
    }

    /// <summary>Of two patterns that match one path, the more literal comes first.</summary>
    public static int Compare(RoutePattern a, RoutePattern b)
    {
        for (int i = 0; i < Math.Min(a._segments.Length, b._segments.Length); i++)
        {
            int order = a._segments[i].Kind.CompareTo(b._segments[i].Kind);
            if (order != 0)
            {
                return order;
            }
        }

        return b._segments.Length.CompareTo(a._segments.Length);
    }

    private static Segment ParseSegment(string pattern, string part, bool isLast, string parameterName)
    {
        if (!part.Contains('{') && !part.Contains('}'))
        {
            return new Segment(SegmentKind.Literal, part);
        }

        bool isRest = part.StartsWith("{*", StringComparison.Ordinal);
        string name = part is ['{', .., '}'] ? part[(isRest ? 2 : 1)..^1] : "";
        if (name.Length == 0 || name.AsSpan().ContainsAny("{}*") || (isRest && !isLast))
        {
            throw new ArgumentException(
                $"The path '{pattern}' is not a pattern: a parameter is a whole segment, {{name}}, or {{*name}} as the last one.", parameterName);
        }

        return new Segment(isRest ? SegmentKind.Rest : SegmentKind.Parameter, name);
    }

    private readonly record struct Segment(SegmentKind Kind, string Text);
}
