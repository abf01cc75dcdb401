using System;
using System.Threading;

namespace CivetWeb.Net.Core;

/// <summary>
/// Messages that strangers can cause as often as they like: so many pass in a period, the rest is counted. Any thread may call it.
/// </summary>
internal sealed class LogThrottle(TimeProvider time)
{
    /// <summary>How many pass in each period.</summary>
    public const int MaxMessages = 10;

    /// <summary>Begins with the first message, and with the first after its end.</summary>
    public static readonly TimeSpan Period = TimeSpan.FromMinutes(1);

    private readonly Lock _gate = new();
    private long _began;
    private int _passed;
    private int _suppressed;

    /// <summary>Whether the message may pass.</summary>
    /// <param name="suppressed">With it: how many since the last that has passed have not.</param>
    public bool TryPass(out int suppressed)
    {
        lock (_gate)
        {
            if (_passed == 0 || time.GetElapsedTime(_began) >= Period)
            {
                _began = time.GetTimestamp();
                _passed = 0;
            }

            if (_passed == MaxMessages)
            {
                suppressed = 0;
                _suppressed++;
                return false;
            }

            _passed++;
            (suppressed, _suppressed) = (_suppressed, 0);
            return true;
        }
    }

    /// <summary>At the end: how many nobody has been told of.</summary>
    public int TakeSuppressed()
    {
        lock (_gate)
        {
            (int suppressed, _suppressed) = (_suppressed, 0);
            return suppressed;
        }
    }
}
