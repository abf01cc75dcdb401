using System;

namespace CivetWeb.Net.Interop;

/// <summary>Bodies of requests and responses on a live connection; only within its callbacks, under its gate.</summary>
internal static unsafe class NativeBody
{
    public const int TimedOut = -1;
    public const int Lost = -2;
    public const int Malformed = -3;

    /// <summary>What is there; 0 at the end of the body, or one of the constants.</summary>
    public static int Read(nint connection, Span<byte> buffer, int timeout, Span<long> chunk)
    {
        fixed (byte* pointer = buffer)
        fixed (long* state = chunk)
        {
            return CwnMethods.cwn_read_body((mg_connection*)connection, pointer, (nuint)buffer.Length, timeout, state);
        }
    }

    /// <summary>The length of the request's body; -1 when it is chunked.</summary>
    public static long Length(nint connection) => CwnMethods.cwn_body_length((mg_connection*)connection);

    public static bool Write(nint connection, ReadOnlySpan<byte> data, int timeout)
    {
        fixed (byte* pointer = data)
        {
            return data.IsEmpty || CwnMethods.cwn_write_response((mg_connection*)connection, pointer, (nuint)data.Length, timeout) == data.Length;
        }
    }

    public static int SendFile(nint connection, byte[] path, byte[]? mimeType, byte[] headers, int timeout)
    {
        fixed (byte* file = path, mime = mimeType, lines = headers)
        {
            return CwnMethods.cwn_send_file((mg_connection*)connection, file, mime, lines, timeout);
        }
    }

    public static void Cut(nint connection) => CwnMethods.cwn_cut((mg_connection*)connection);

    public static void CloseAfterResponse(nint connection, int timeout) =>
        CwnMethods.cwn_close_after_response((mg_connection*)connection, timeout);

    public static int ErrorStatus(nint connection, int status) => CwnMethods.cwn_error_status((mg_connection*)connection, status);

    public static void AnswerUnrouted(nint connection, string allow)
    {
        fixed (byte* methods = NativeText.ToBytes(allow, nameof(allow)))
        {
            CwnMethods.cwn_answer_unrouted((mg_connection*)connection, methods);
        }
    }
}
