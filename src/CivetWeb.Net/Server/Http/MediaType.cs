using System;
using System.Text;

namespace CivetWeb.Net;

/// <summary>What a Content-Type says (RFC 9110, section 8.3).</summary>
internal static class MediaType
{
    private const int MaxBoundary = 70; // RFC 2046, section 5.1.1

    public static bool Is(string? contentType, string type)
    {
        ReadOnlySpan<char> text = contentType;
        int end = text.IndexOf(';');
        return (end < 0 ? text : text[..end]).Trim().Equals(type, StringComparison.OrdinalIgnoreCase);
    }

    /// <exception cref="BadRequestException">No encoding that is supported.</exception>
    public static Encoding GetEncoding(string? contentType) => GetParameter(contentType, "charset")?.ToUpperInvariant() switch
    {
        null or "UTF-8" or "UTF8" or "US-ASCII" => Encoding.UTF8,
        "ISO-8859-1" or "LATIN1" => Encoding.Latin1,
        string other => throw new BadRequestException(415, $"The charset '{other}' is not supported; UTF-8 is."),
    };

    /// <exception cref="BadRequestException">It is not multipart/form-data, or has no valid boundary.</exception>
    public static string GetBoundary(string? contentType)
    {
        if (!Is(contentType, "multipart/form-data"))
        {
            throw new BadRequestException(415, "The request must be multipart/form-data.");
        }

        string? boundary = GetParameter(contentType, "boundary");
        if (boundary is null or "" || boundary.Length > MaxBoundary || boundary[^1] == ' ' || boundary.AsSpan().ContainsAnyExceptInRange(' ', '~'))
        {
            throw new BadRequestException(400, "The boundary of the multipart body is missing or malformed.");
        }

        return boundary;
    }

    /// <summary>The value of a parameter (<c>; name=value</c>), without quotes; null without it.</summary>
    public static string? GetParameter(string? header, string name)
    {
        if (header is null)
        {
            return null;
        }

        int position = header.IndexOf(';');
        while (position >= 0 && position < header.Length)
        {
            position++;
            int equals = header.AsSpan(position).IndexOfAny('=', ';');
            if (equals < 0)
            {
                return null;
            }

            equals += position;
            if (header[equals] == ';')
            {
                position = equals;
                continue;
            }

            string key = header[position..equals].Trim();
            position = equals + 1;
            while (position < header.Length && header[position] == ' ')
            {
                position++;
            }

            string value = position < header.Length && header[position] == '"'
                ? ReadQuoted(header, ref position)
                : ReadPlain(header, ref position);
            if (string.Equals(key, name, StringComparison.OrdinalIgnoreCase))
            {
                return value;
            }
        }

        return null;
    }

    private static string ReadPlain(string header, ref int position)
    {
        int end = header.IndexOf(';', position);
        end = end < 0 ? header.Length : end;
        string value = header[position..end].TrimEnd();
        position = end;
        return value;
    }

    private static string ReadQuoted(string header, ref int position)
    {
        var value = new StringBuilder();
        for (position++; position < header.Length && header[position] != '"'; position++)
        {
            // Only a quote needs an escape. Some clients send a path of Windows as it is.
            if (header[position] == '\\' && position + 1 < header.Length && header[position + 1] is '"')
            {
                position++;
            }

            value.Append(header[position]);
        }

        position = header.IndexOf(';', Math.Min(position, header.Length));
        position = position < 0 ? header.Length : position;
        return value.ToString();
    }
}
