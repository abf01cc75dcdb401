using System;
using System.Collections.Generic;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>
/// The path of a route: literal segments, <c>{name}</c> for exactly one segment, <c>{*name}</c> at the end for the rest.
/// Exact and case-sensitive, from end to end.
/// </summary>
internal sealed class RoutePattern : IRoutePattern
{
    private readonly Segment[] _segments;

    private RoutePattern(string text, Segment[] segments)
    {
        Text = text;
        _segments = segments;
        LiteralPath = Array.TrueForAll(segments, s => s.Kind == SegmentKind.Literal) ? text : null;
    }

    private enum SegmentKind
    {
        Literal,
        Parameter,
        Rest,
    }

    public string Text { get; }

    /// <summary>The text without the names of its parameters: patterns of one shape match the same paths.</summary>
    public string Key => "/" + string.Join('/', Array.ConvertAll(_segments, s => s.Kind switch
    {
        SegmentKind.Literal => s.Text,
        SegmentKind.Parameter => "{}",
        _ => "{*}",
    }));

    /// <summary>The only path that matches: a pattern without parameters.</summary>
    public string? LiteralPath { get; }

    /// <exception cref="ArgumentException">The text is not a valid pattern.</exception>
    public static RoutePattern Parse(string text, string parameterName)
    {
        ArgumentException.ThrowIfNullOrEmpty(text, parameterName);
        if (text[0] != '/')
        {
            throw new ArgumentException($"The pattern '{text}' must begin with a slash: write '/{text}'.", parameterName);
        }

        string[] parts = text[1..].Split('/');
        var segments = new Segment[parts.Length];
        var names = new HashSet<string>();
        for (int i = 0; i < parts.Length; i++)
        {
            if (RouteSegmentError.Find(parts[i], isLast: i == parts.Length - 1) is { } error)
            {
                throw new ArgumentException($"The pattern '{text}' is not valid: {error}", parameterName);
            }

            segments[i] = ParseSegment(parts[i]);
            if (segments[i].Kind != SegmentKind.Literal && !names.Add(segments[i].Text))
            {
                throw new ArgumentException(
                    $"The pattern '{text}' is not valid: the parameter '{segments[i].Text}' is there twice. Give each parameter a name of its own.", parameterName);
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

    private static Segment ParseSegment(string part) => part switch
    {
        ['{', '*', .. string name, '}'] => new Segment(SegmentKind.Rest, name),
        ['{', .. string name, '}'] => new Segment(SegmentKind.Parameter, name),
        _ => new Segment(SegmentKind.Literal, part),
    };

    private readonly record struct Segment(SegmentKind Kind, string Text);
}
