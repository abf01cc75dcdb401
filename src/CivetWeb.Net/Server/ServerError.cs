using System;

namespace CivetWeb.Net;

/// <summary>A request that no handler has answered as it should, for <see cref="CivetWebServer.MapError(Action{ServerError})"/>.</summary>
public sealed class ServerError
{
    internal ServerError(ServerRequest request, ServerResponse response, Exception? exception)
    {
        Request = request;
        Response = response;
        Exception = exception;
    }

    /// <summary>What was asked.</summary>
    public ServerRequest Request { get; }

    /// <summary>The response: <see cref="ServerResponse.StatusCode"/> is set, nothing is written yet.</summary>
    public ServerResponse Response { get; }

    /// <summary>The status, such as 404 or 500.</summary>
    public int StatusCode => Response.StatusCode;

    /// <summary>What left the handler; null when none was called. Not for the eyes of clients.</summary>
    public Exception? Exception { get; }
}
