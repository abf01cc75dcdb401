using System;
using System.IO;
using System.Linq;

namespace CivetWeb.Net;

/// <summary>A folder whose files are served under a path.</summary>
internal sealed class StaticFiles
{
    private readonly string _prefix; // begins with / and does not end with it
    private readonly string _folder; // ends with the separator

    /// <exception cref="ArgumentException">The prefix is not a path, or the folder does not exist.</exception>
    public StaticFiles(string prefix, string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(prefix);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (prefix[0] != '/' || prefix.AsSpan().ContainsAny('{', '}') || (prefix.Length > 1 && prefix.Split('/')[1..^1].Any(s => s is "" or "." or "..")))
        {
            throw new ArgumentException($"The path '{prefix}' must begin with / and have no parameters and no empty or dot segments.", nameof(prefix));
        }

        _prefix = prefix.TrimEnd('/');
        _folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)) + Path.DirectorySeparatorChar;
        if (!Directory.Exists(_folder))
        {
            throw new ArgumentException($"There is no folder '{folder}'.", nameof(folder));
        }
    }

    public int PrefixLength => _prefix.Length;

    /// <summary>The file at the path, or the folder to redirect to, or nothing.</summary>
    /// <param name="path">The path of a request, decoded.</param>
    /// <param name="file">The file to send; null when the client has to add a slash first.</param>
    public bool TryFind(string path, out string? file)
    {
        file = null;
        if (!path.StartsWith(_prefix, StringComparison.Ordinal))
        {
            return false;
        }

        string rest = path[_prefix.Length..];
        if (rest.Length == 0)
        {
            return true;
        }

        if (rest[0] != '/' || !IsPlain(rest))
        {
            return false;
        }

        bool isFolder = rest[^1] == '/';
        string full = Path.GetFullPath(Path.Join(_folder, rest[1..]));
        if (!(full + Path.DirectorySeparatorChar).StartsWith(_folder, StringComparison.Ordinal))
        {
            return false;
        }

        if (isFolder)
        {
            file = Path.Join(full, "index.html");
            return File.Exists(file);
        }

        if (File.Exists(full))
        {
            file = full;
            return true;
        }

        // Without its slash a folder's relative links would lead elsewhere.
        return File.Exists(Path.Join(full, "index.html"));
    }

    /// <summary>Only names that mean the same to everybody: no dotfiles, nothing a file system would read otherwise.</summary>
    private static bool IsPlain(string path)
    {
        foreach (char c in path)
        {
            if (char.IsControl(c) || c is '\\' || (OperatingSystem.IsWindows() && c is ':' or '*' or '?' or '"' or '<' or '>' or '|'))
            {
                return false;
            }
        }

        string[] segments = path[1..].Split('/');
        for (int i = 0; i < segments.Length; i++)
        {
            string segment = segments[i];
            if (segment.Length == 0 && i == segments.Length - 1)
            {
                return true;
            }

            if (segment.Length == 0 || segment[0] == '.' || HasSeparator(segment) || (OperatingSystem.IsWindows() && segment[^1] is '.' or ' '))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>A slash or backslash that is data: no file has it in its name.</summary>
    private static bool HasSeparator(string segment) =>
        segment.Contains("%2F", StringComparison.OrdinalIgnoreCase) || segment.Contains("%5C", StringComparison.OrdinalIgnoreCase);
}
