using System.Globalization;
using System.Text;

namespace CivetWeb.Net.Core;

/// <summary>
/// Text for the log that comes, or may come, from a client. Written out it has no line ends, no control characters and
/// nothing invisible, so that nobody can make up log lines or steer a terminal; and it is not endless.
/// </summary>
internal readonly struct ServerLogText(string? text)
{
    private const int MaxLength = 1024;

    public static implicit operator ServerLogText(string? text) => new(text);

    public override string ToString()
    {
        if (text is null)
        {
            return "";
        }

        StringBuilder? escaped = null;
        for (int i = 0; i < text.Length; i++)
        {
            if ((escaped?.Length ?? i) >= MaxLength)
            {
                return (escaped?.ToString() ?? text[..i]) + "…";
            }

            bool isPair = char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]);
            string? escape = isPair ? null : Escape(text[i]);
            if (escape is not null)
            {
                escaped ??= new StringBuilder(text, 0, i, text.Length + 16);
                escaped.Append(escape);
                continue;
            }

            int length = isPair ? 2 : 1;
            escaped?.Append(text, i, length);
            i += length - 1;
        }

        return escaped?.ToString() ?? text;
    }

    private static string? Escape(char c) => c switch
    {
        '\r' => "\\r",
        '\n' => "\\n",
        '\t' => "\\t",
        '\\' => "\\\\",
        _ => char.GetUnicodeCategory(c) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
            or UnicodeCategory.ParagraphSeparator or UnicodeCategory.Surrogate or UnicodeCategory.OtherNotAssigned or UnicodeCategory.PrivateUse
                ? string.Create(CultureInfo.InvariantCulture, $"\\u{(int)c:X4}")
                : null,
    };
}
