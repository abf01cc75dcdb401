using System;
using System.Buffers;
using System.Text;

namespace CivetWeb.Net.Interop;

/// <summary>
/// Text across the boundary: UTF-8 with a terminating NUL on the way in, UTF-8 with replacement
/// characters on the way out. Never the runtime's string marshalling, which would cut at a NUL silently.
/// </summary>
internal static unsafe class NativeText
{
    /// <summary>The bytes of <paramref name="text"/> with a terminating NUL.</summary>
    /// <exception cref="ArgumentException">The text contains a NUL, which C would take for its end.</exception>
    public static byte[] ToBytes(string text, string parameterName)
    {
        ArgumentNullException.ThrowIfNull(text, parameterName);
        if (text.Contains('\0'))
        {
            throw new ArgumentException("The text must not contain a NUL character.", parameterName);
        }

        var bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
        Encoding.UTF8.GetBytes(text, bytes);
        return bytes;
    }

    /// <summary>As <see cref="ToBytes"/>, for text that becomes (part of) a header line.</summary>
    public static byte[] ToHeaderBytes(string text, string parameterName)
    {
        ArgumentNullException.ThrowIfNull(text, parameterName);
        if (text.AsSpan().ContainsAny('\r', '\n'))
        {
            throw new ArgumentException("Text for a header must not contain a line break.", parameterName);
        }

        return ToBytes(text, parameterName);
    }

    /// <summary>The string at <paramref name="text"/>, or null.</summary>
    public static string? FromPointer(byte* text) =>
        text == null ? null : Encoding.UTF8.GetString(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));
}
