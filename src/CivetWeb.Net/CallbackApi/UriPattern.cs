using System;
using System.Collections.Generic;
using CivetWeb.Net.Core;

namespace CivetWeb.Net.CallbackApi;

/// <summary>
/// The URI a WebSocket handler is set for. Plain text matches exactly, case included. CivetWeb's pattern characters keep
/// their meaning, but match from end to end: <c>*</c> any text within a segment, <c>**</c> any text, <c>?</c> one
/// character except a slash, <c>|</c> alternatives, a final <c>$</c> nothing.
/// </summary>
internal sealed class UriPattern : IRoutePattern
{
    private readonly string[] _alternatives;

    public UriPattern(string text)
    {
        Text = text;
        _alternatives = text.Split('|');
        for (int i = 0; i < _alternatives.Length; i++)
        {
            _alternatives[i] = _alternatives[i].EndsWith('$') ? _alternatives[i][..^1] : _alternatives[i];
        }

        LiteralPath = _alternatives.Length == 1 && !_alternatives[0].AsSpan().ContainsAny('*', '?') ? _alternatives[0] : null;
    }

    /// <summary>The pattern as it was given: the key under which it is replaced and removed.</summary>
    public string Text { get; }

    string IRoutePattern.Key => Text;

    /// <summary>The only path that matches: such handlers go first.</summary>
    public string? LiteralPath { get; }

    public bool TryMatch(string path, out Dictionary<string, string>? values)
    {
        values = null;
        return Matches(path);
    }

    public bool Matches(ReadOnlySpan<char> path)
    {
        foreach (string alternative in _alternatives)
        {
            if (LiteralPath is not null ? path.SequenceEqual(alternative) : Matches(alternative, path))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Linear in the path for each star, never exponential: the path comes from the client. On a mismatch it returns to
    /// the last star, which then takes one character more; a single star that may not cross a slash hands over to the
    /// last double star before it.
    /// </summary>
    private static bool Matches(ReadOnlySpan<char> pattern, ReadOnlySpan<char> path)
    {
        int p = 0, i = 0;
        int starPattern = -1, starPath = 0;
        int deepPattern = -1, deepPath = 0;
        while (true)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                int stars = p + 1 < pattern.Length && pattern[p + 1] == '*' ? 2 : 1;
                p += stars;
                if (stars == 2)
                {
                    (deepPattern, deepPath) = (p, i);
                    starPattern = -1;
                }
                else
                {
                    (starPattern, starPath) = (p, i);
                }
            }
            else if (i == path.Length && p == pattern.Length)
            {
                return true;
            }
            else if (i < path.Length && p < pattern.Length && (pattern[p] == path[i] || (pattern[p] == '?' && path[i] != '/')))
            {
                p++;
                i++;
            }
            else if (starPattern >= 0 && starPath < path.Length && path[starPath] != '/')
            {
                (p, i) = (starPattern, ++starPath);
            }
            else if (deepPattern >= 0 && deepPath < path.Length)
            {
                (p, i) = (deepPattern, ++deepPath);
                starPattern = -1;
            }
            else
            {
                return false;
            }
        }
    }
}
