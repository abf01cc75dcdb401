using System;
using System.Diagnostics;
using CivetWeb.Net.Core;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace CivetWeb.Net;

public sealed partial class CivetWebServer
{
    /// <summary>Where <see cref="ServerLog"/> writes; from the start on, that of the options.</summary>
    internal ILogger Logger { get; private set; } = NullLogger.Instance;

    /// <summary>An exception that nothing can be done about any more. Never throws.</summary>
    /// <param name="exception">The exception.</param>
    /// <param name="where">What it has left, such as "the BeginRequest callback".</param>
    internal void ReportException(Exception exception, string where) => ServerLog.UnhandledException(Logger, exception, where);

    private static ServerLogger CreateLogger(CivetWebServerOptions options) =>
        new(options.LoggerFactory?.CreateLogger(ServerLog.Category) ?? NullLogger.Instance);

    /// <summary>Tells what CivetWeb itself has to say; part of it may be a client's words.</summary>
    internal void LogCivetWebMessage(string message) => ServerLog.CivetWebMessage(Logger, message);

    internal void LogRefusal(RequestHead request, int status, string reason) =>
        ServerLog.RequestRefused(Logger, request.Method, request.LocalUri, SocketAddresses.ToDisplay(request.RemoteAddress), status, reason);

    /// <summary>A WebSocket has events of its own, at its beginning and at its end.</summary>
    private void LogRequest(ServerConnection connection, int status, long began)
    {
        if (status != 101 && Logger.IsEnabled(LogLevel.Debug))
        {
            RequestHead info = connection.Head;
            ServerLog.RequestCompleted(Logger, info.Method, info.LocalUri, SocketAddresses.ToDisplay(info.RemoteAddress), status, Stopwatch.GetElapsedTime(began));
        }
    }
}
