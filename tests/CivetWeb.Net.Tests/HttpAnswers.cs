using System;
using System.Buffers;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;

namespace CivetWeb.Net.Tests;

/// <summary>
/// Reads the answers of a server as they were sent, and repairs nothing: whatever RFC 9112 forbids in a response is an
/// <see cref="InvalidDataException"/> that names the section.
/// </summary>
internal static class HttpAnswers
{
    private static readonly SearchValues<char> TokenCharacters =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    /// <summary>All that a connection has brought, to its end.</summary>
    /// <param name="bytes">What was received; nothing is no answer, which is no fault.</param>
    /// <param name="request">What was sent: the methods of its requests say which answers have a body.</param>
    /// <param name="wasReset">Whether the connection ended with a reset.</param>
    public static void Check(ReadOnlySpan<byte> bytes, string request, bool wasReset)
    {
        bool isHead = request.StartsWith("HEAD ", StringComparison.Ordinal);
        bool isOld = request.Split("\r\n")[0].EndsWith(" HTTP/1.0", StringComparison.Ordinal);
        string? last = null; // why nothing may follow
        int position = 0;
        while (position < bytes.Length)
        {
            if (last is not null)
            {
                throw Fault(bytes, position, $"{bytes.Length - position} bytes follow {last}");
            }

            int end = bytes[position..].IndexOf("\r\n\r\n"u8);
            if (end < 0)
            {
                throw Fault(bytes, position, "the head does not end (section 2.1)");
            }

            end += position + 4;
            (int status, List<(string Name, string Value)> fields) = ReadHead(bytes[position..end]);
            position = end;
            if (status == 101)
            {
                return; // another protocol
            }

            bool closes = Values(fields, "Connection").Any(v => v.Equals("close", StringComparison.OrdinalIgnoreCase));
            bool isChunked = Values(fields, "Transfer-Encoding").Any();
            string? length = fields.Where(f => f.Name == "content-length").Select(f => f.Value).SingleOrDefault();
            if (isChunked && isOld)
            {
                throw Fault(bytes, 0, "Transfer-Encoding in the answer to HTTP/1.0 (section 6.1)");
            }

            if (isHead || status is < 200 or 204 or 304)
            {
                // Without a body, whatever the fields say (section 6.3).
                last = isHead && status >= 200 ? "an answer to HEAD" : null;
            }
            else if (isChunked)
            {
                position += ReadChunks(bytes[position..]);
            }
            else if (length is not null)
            {
                long size = long.Parse(length, CultureInfo.InvariantCulture);
                if (size > bytes.Length - position)
                {
                    throw Fault(bytes, 0, $"{bytes.Length - position} of {size} bytes came (section 8)");
                }

                position += (int)size;
            }
            else
            {
                // The end of the connection is the end of the body (section 6.3).
                if (wasReset)
                {
                    throw Fault(bytes, 0, "a body that the end of the connection ends was cut by a reset");
                }

                if (!closes)
                {
                    throw Fault(bytes, 0, "a body without length, and no 'Connection: close' (sections 6.3, 9.6)");
                }

                position = bytes.Length;
            }

            if (closes)
            {
                last = "an answer that says 'Connection: close' (section 9.6)";
            }
        }
    }

    /// <summary>A head with the empty line; names in small letters.</summary>
    public static (int Status, List<(string Name, string Value)> Fields) ReadHead(ReadOnlySpan<byte> head)
    {
        if (!head.EndsWith("\r\n\r\n"u8))
        {
            throw Fault(head, 0, "the head does not end (section 2.1)");
        }

        string[] lines = Encoding.Latin1.GetString(head[..^4]).Split("\r\n");
        foreach (string line in lines)
        {
            if (line.Any(c => c != '\t' && (c < ' ' || c == '\x7F')))
            {
                throw Fault(head, 0, $"a control character in '{line}' (sections 2.2, 4, 5.5)");
            }
        }

        string status = lines[0];
        if (status.Length < 13
            || (!status.StartsWith("HTTP/1.1 ", StringComparison.Ordinal) && !status.StartsWith("HTTP/1.0 ", StringComparison.Ordinal))
            || !status.AsSpan(9, 3).ContainsOnlyDigits() || status[9] is < '1' or > '5' || status[12] != ' ')
        {
            throw Fault(head, 0, $"no status line: '{status}' (section 4)");
        }

        int code = int.Parse(status.AsSpan(9, 3), CultureInfo.InvariantCulture);
        var fields = new List<(string Name, string Value)>();
        foreach (string line in lines[1..])
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon <= 0 || line.AsSpan(0, colon).ContainsAnyExcept(TokenCharacters))
            {
                throw Fault(head, 0, $"no field line: '{line}' (section 5)");
            }

            fields.Add((line[..colon].ToLowerInvariant(), line[(colon + 1)..].Trim(' ', '\t')));
        }

        CheckFraming(head, code, fields);
        return (code, fields);
    }

    private static void CheckFraming(ReadOnlySpan<byte> head, int status, List<(string Name, string Value)> fields)
    {
        string[] lengths = [.. fields.Where(f => f.Name == "content-length").Select(f => f.Value)];
        string[] codings = [.. fields.Where(f => f.Name == "transfer-encoding").Select(f => f.Value)];
        if (lengths.Length > 1 || lengths.Any(l => l.Length is 0 or > 18 || !l.AsSpan().ContainsOnlyDigits()))
        {
            throw Fault(head, 0, "Content-Length is not one number (section 6.3)");
        }

        if (codings.Length > 1 || codings.Any(c => !c.Equals("chunked", StringComparison.OrdinalIgnoreCase)))
        {
            throw Fault(head, 0, "Transfer-Encoding is not 'chunked' once (sections 6.1, 7)");
        }

        if (lengths.Length > 0 && codings.Length > 0)
        {
            throw Fault(head, 0, "Content-Length beside Transfer-Encoding (section 6.2)");
        }

        if (status is < 200 or 204 && lengths.Length + codings.Length > 0)
        {
            throw Fault(head, 0, $"a length with status {status} (sections 6.1, 6.2)");
        }
    }

    /// <summary>How many bytes a chunked body has (section 7.1).</summary>
    private static int ReadChunks(ReadOnlySpan<byte> bytes)
    {
        int position = 0;
        while (true)
        {
            string line = ReadLine(bytes, ref position);
            string digits = line.Split(';')[0];
            if (digits.Length is 0 or > 8 || !digits.All(char.IsAsciiHexDigit) || line.EndsWith(';'))
            {
                throw Fault(bytes, position, $"no chunk size: '{line}' (section 7.1)");
            }

            int size = int.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
            if (size == 0)
            {
                break;
            }

            if (size > bytes.Length - position - 2 || !bytes[(position + size)..].StartsWith("\r\n"u8))
            {
                throw Fault(bytes, position, $"a chunk of {size} bytes does not end as it should (section 7.1)");
            }

            position += size + 2;
        }

        string trailer;
        while ((trailer = ReadLine(bytes, ref position)).Length > 0)
        {
            int colon = trailer.IndexOf(':', StringComparison.Ordinal);
            if (colon <= 0 || trailer.AsSpan(0, colon).ContainsAnyExcept(TokenCharacters))
            {
                throw Fault(bytes, position, $"no field line among the trailers: '{trailer}' (section 7.1.2)");
            }
        }

        return position;
    }

    private static string ReadLine(ReadOnlySpan<byte> bytes, ref int position)
    {
        int length = bytes[position..].IndexOf("\r\n"u8);
        if (length < 0)
        {
            throw Fault(bytes, position, "a chunked body does not end (section 8)");
        }

        string line = Encoding.Latin1.GetString(bytes.Slice(position, length));
        position += length + 2;
        return line;
    }

    private static IEnumerable<string> Values(List<(string Name, string Value)> fields, string name) =>
        fields.Where(f => f.Name.Equals(name, StringComparison.OrdinalIgnoreCase)).SelectMany(f => f.Value.Split(',', StringSplitOptions.TrimEntries));

    private static bool ContainsOnlyDigits(this ReadOnlySpan<char> text) => !text.ContainsAnyExceptInRange('0', '9');

    private static InvalidDataException Fault(ReadOnlySpan<byte> bytes, int position, string what)
    {
        int start = Math.Max(0, Math.Min(position, bytes.Length) - 100);
        return new InvalidDataException($"RFC 9112: {what}; in …{Encoding.Latin1.GetString(bytes[start..Math.Min(bytes.Length, start + 1000)])}");
    }
}
