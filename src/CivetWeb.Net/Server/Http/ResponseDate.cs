using System;
using System.Globalization;
using System.Threading;

namespace CivetWeb.Net;

/// <summary>The Date header (RFC 9110, section 6.6.1), made once a second.</summary>
internal static class ResponseDate
{
    private static Entry s_last = new(0, "");

    /// <summary>The time of now.</summary>
    public static string Now
    {
        get
        {
            DateTimeOffset now = DateTimeOffset.UtcNow;
            long second = now.ToUnixTimeSeconds();
            Entry last = Volatile.Read(ref s_last);
            if (last.Second != second)
            {
                last = new Entry(second, now.ToString("r", CultureInfo.InvariantCulture));
                Volatile.Write(ref s_last, last);
            }

            return last.Text;
        }
    }

    private sealed record Entry(long Second, string Text);
}
