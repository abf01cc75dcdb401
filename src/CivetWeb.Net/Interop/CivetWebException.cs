using System;

namespace CivetWeb.Net;

/// <summary>
/// A failure of CivetWeb or of its native library that no exception of the base class library describes. The message
/// says what was wrong and what to do.
/// </summary>
public class CivetWebException : Exception
{
    /// <summary>Creates the exception with a default message.</summary>
    public CivetWebException()
        : this("CivetWeb failed.")
    {
    }

    /// <summary>Creates the exception.</summary>
    /// <param name="message">What was wrong and what to do.</param>
    public CivetWebException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception.</summary>
    /// <param name="message">What was wrong and what to do.</param>
    /// <param name="innerException">The cause.</param>
    public CivetWebException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }

    internal CivetWebException(string message, int nativeCode)
        : base(message) => NativeCode = nativeCode;

    /// <summary>The code of <c>struct mg_error_data</c> (<c>MG_ERROR_DATA_CODE_…</c>), 0 when the failure is not CivetWeb's.</summary>
    public int NativeCode { get; }
}
