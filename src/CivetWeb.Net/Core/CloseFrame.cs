using System.Text;

namespace CivetWeb.Net.Core;

/// <summary>What a Close frame may say (RFC 6455, sections 5.5.1 and 7.4), for both APIs.</summary>
internal static class CloseFrame
{
    /// <summary>Bytes of a reason: a control frame has 125, two of them are the code.</summary>
    public const int MaxReason = 123;

    /// <summary>Which codes those are, for messages.</summary>
    public const string SendableCodes = "A close code must be 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455, section 7.4)";

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Whether a code may be on the wire; 1005, 1006 and 1015 only stand for what was not.</summary>
    public static bool IsSendable(int code) => code is (>= 1000 and <= 1003) or (>= 1007 and <= 1014) or (>= 3000 and <= 4999);

    /// <summary>What is wrong with a reason; null: nothing.</summary>
    public static string? FindFault(string? reason)
    {
        if (string.IsNullOrEmpty(reason))
        {
            return null;
        }

        try
        {
            int size = Strict.GetByteCount(reason);
            return size > MaxReason ? $"A close reason has at most {MaxReason} bytes of UTF-8, not {size}." : null;
        }
        catch (EncoderFallbackException e)
        {
            return $"A close reason is text; at index {e.Index} there is half a surrogate pair.";
        }
    }
}
