using System;

namespace CivetWeb.Net;

/// <summary>Limits of a form; a request over one of them is answered with 413.</summary>
public sealed class FormOptions
{
    private int _maxFields = 1024;
    private int _maxTextSize = 4 * 1024 * 1024;
    private int _maxPartHeaderSize = 16 * 1024;

    /// <summary>How many variables or parts a form may have. 1024 unless set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The number is not positive.</exception>
    public int MaxFields
    {
        get => _maxFields;
        set => _maxFields = Positive(value);
    }

    /// <summary>
    /// How large all variables of <see cref="ServerRequest.ReadFormAsync"/> may be together, in bytes as sent; files do not
    /// count. 4 MiB unless set.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The size is not positive.</exception>
    public int MaxTextSize
    {
        get => _maxTextSize;
        set => _maxTextSize = Positive(value);
    }

    /// <summary>How large the headers of one part may be, in bytes. 16 KiB unless set.</summary>
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
