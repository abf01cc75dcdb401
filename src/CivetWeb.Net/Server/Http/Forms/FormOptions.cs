using System;

namespace CivetWeb.Net;

/// <summary>Limits for a form; a request that exceeds one of them gets 413.</summary>
public sealed class FormOptions
{
    private int _maxFields = 1024;
    private int _maxTextSize = 4 * 1024 * 1024;
    private int _maxPartHeaderSize = 16 * 1024;

    /// <summary>The largest number of fields or parts. 1 or more; 1024 unless set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The number is not positive.</exception>
    public int MaxFields
    {
        get => _maxFields;
        set => _maxFields = Positive(value);
    }

    /// <summary>
    /// The largest size of all fields of <see cref="ServerRequest.ReadFormAsync"/> together, in bytes as sent; files do not
    /// count. 1 or more; 4 MiB unless set.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The size is not positive.</exception>
    public int MaxTextSize
    {
        get => _maxTextSize;
        set => _maxTextSize = Positive(value);
    }

    /// <summary>The largest size of the headers of one part, in bytes. 1 or more; 16 KiB unless set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The size is not positive.</exception>
    public int MaxPartHeaderSize
    {
        get => _maxPartHeaderSize;
        set => _maxPartHeaderSize = Positive(value);
    }

    private static int Positive(int value)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value);
        return value;
    }
}
