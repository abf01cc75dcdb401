using System;
using System.IO;

namespace CivetWeb.Net;

/// <summary>
/// The client's request is at fault: malformed, too large, too slow. Left uncaught by a handler, it becomes the response,
/// with <see cref="StatusCode"/>; it is not logged as an error.
/// </summary>
public sealed class BadRequestException : IOException
{
    /// <summary>Creates the exception for status 400.</summary>
    public BadRequestException()
        : this("The request is malformed.")
    {
    }

    /// <summary>Creates the exception for status 400.</summary>
    /// <param name="message">What is wrong; the client is told.</param>
    public BadRequestException(string message)
        : this(400, message)
    {
    }

    /// <summary>Creates the exception for status 400.</summary>
    /// <param name="message">What is wrong; the client is told.</param>
    /// <param name="innerException">The cause; the client is not told.</param>
    public BadRequestException(string message, Exception? innerException)
        : this(400, message, innerException)
    {
    }

    /// <summary>Creates the exception.</summary>
    /// <param name="statusCode">The status of the response, 400 to 499.</param>
    /// <param name="message">What is wrong; the client is told.</param>
    /// <param name="innerException">The cause; the client is not told.</param>
    /// <exception cref="ArgumentOutOfRangeException">The status is not in the range 400 to 499.</exception>
    public BadRequestException(int statusCode, string message, Exception? innerException = null)
        : base(message, innerException)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(statusCode, 400);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(statusCode, 499);
        StatusCode = statusCode;
    }

    /// <summary>The status of the response.</summary>
    public int StatusCode { get; }
}
