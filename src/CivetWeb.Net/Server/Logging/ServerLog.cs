using System;
using System.Net;
using CivetWeb.Net.Core;
using Microsoft.Extensions.Logging;

namespace CivetWeb.Net;

/// <summary>
/// All a server logs; docs/logging.md lists it. Event ids never change their meaning. Whatever a client can choose is a
/// <see cref="ServerLogText"/>, to which a string converts by itself.
/// </summary>
internal static partial class ServerLog
{
    public const string Category = "CivetWeb.Net.CivetWebServer";

    // ---- the server ----

    [LoggerMessage(1, LogLevel.Information, "Listening on {Uri}.")]
    public static partial void Listening(ILogger logger, Uri uri);

    [LoggerMessage(2, LogLevel.Information, "Stopping, with {WebSockets} WebSockets open.")]
    public static partial void Stopping(ILogger logger, int webSockets);

    [LoggerMessage(3, LogLevel.Information, "Stopped after {Duration}.")]
    public static partial void Stopped(ILogger logger, TimeSpan duration);

    [LoggerMessage(4, LogLevel.Warning, "Removed the Unix domain socket {Path}, which nobody listened on.")]
    public static partial void StaleSocketRemoved(ILogger logger, string path);

    [LoggerMessage(5, LogLevel.Warning, "CivetWeb says: {Message}")]
    public static partial void CivetWebMessage(ILogger logger, ServerLogText message);

    [LoggerMessage(6, LogLevel.Error, "An exception has left {Where}.")]
    public static partial void UnhandledException(ILogger logger, Exception exception, string where);

    // ---- requests ----

    // duration: from the head's arrival to the end of the response.
    [LoggerMessage(10, LogLevel.Debug, "{Method} {Path} from {Remote}: {Status} in {Duration}.")]
    public static partial void RequestCompleted(ILogger logger, ServerLogText method, ServerLogText path, ServerLogText remote, int status, TimeSpan duration);

    // reason: what the client was told.
    [LoggerMessage(11, LogLevel.Information, "Refused {Method} {Path} from {Remote} with {Status}: {Reason}")]
    public static partial void RequestRefused(
        ILogger logger, ServerLogText method, ServerLogText path, ServerLogText remote, int status, ServerLogText reason);

    [LoggerMessage(12, LogLevel.Error, "The handler of {Method} {Path} has failed.")]
    public static partial void HandlerFailed(ILogger logger, Exception exception, ServerLogText method, ServerLogText path);

    [LoggerMessage(13, LogLevel.Debug, "The client {Remote} has gone before {Method} {Path} was answered.")]
    public static partial void RequestAborted(ILogger logger, ServerLogText method, ServerLogText path, ServerLogText remote);

    // ---- WebSockets ----

    // id: the same for all events of one WebSocket.
    [LoggerMessage(20, LogLevel.Information, "WebSocket {Id} opened at {Path} by {Remote}, subprotocol {Subprotocol}.")]
    public static partial void WebSocketOpened(ILogger logger, long id, ServerLogText path, EndPoint remote, string? subprotocol);

    // localCode: the close code sent; null for none.
    // remoteCode: the close code received; null for none.
    [LoggerMessage(21, LogLevel.Information, "WebSocket {Id} of {Remote} closed after {Duration}: sent {LocalCode}, received {RemoteCode}, reason {Reason}.")]
    public static partial void WebSocketClosed(
        ILogger logger, long id, EndPoint remote, int? localCode, int? remoteCode, ServerLogText reason, TimeSpan duration);

    // reason: what the client was told.
    [LoggerMessage(22, LogLevel.Information, "Refused a WebSocket at {Path} to {Remote} with {Status}: {Reason}")]
    public static partial void HandshakeRefused(ILogger logger, ServerLogText path, EndPoint remote, int status, string reason);

    [LoggerMessage(23, LogLevel.Information, "WebSocket {Id} of {Remote}: a message is larger than {Limit} bytes.")]
    public static partial void MessageTooLarge(ILogger logger, long id, EndPoint remote, int limit);

    [LoggerMessage(24, LogLevel.Error, "The handler of WebSocket {Id} of {Remote} at {Path} has failed.")]
    public static partial void WebSocketHandlerFailed(ILogger logger, Exception exception, long id, EndPoint remote, ServerLogText path);

    [LoggerMessage(25, LogLevel.Debug, "WebSocket {Id} of {Remote} was lost after {Duration}, without a Close frame.")]
    public static partial void WebSocketLost(ILogger logger, long id, EndPoint remote, TimeSpan duration);

    // reason: ours, such as "no pong in time".
    [LoggerMessage(26, LogLevel.Information, "WebSocket {Id} of {Remote} was cut: {Reason}.")]
    public static partial void WebSocketAborted(ILogger logger, long id, EndPoint remote, string reason);

    // limit: the option, such as MaxConnections.
    [LoggerMessage(27, LogLevel.Warning, "{Limit} is reached: {Value} WebSockets are open; {Remote} was turned away.")]
    public static partial void LimitReached(ILogger logger, string limit, int value, EndPoint remote);

    // ---- TLS ----

    [LoggerMessage(30, LogLevel.Information, "The certificate {Subject} is in use, valid until {NotAfter:u}.")]
    public static partial void CertificateLoaded(ILogger logger, string subject, DateTimeOffset notAfter);

    [LoggerMessage(31, LogLevel.Error, "The new certificate could not be loaded; the old one stays in use.")]
    public static partial void CertificateFailed(ILogger logger, Exception exception);

    [LoggerMessage(32, LogLevel.Warning, "The certificate {Subject} of {Source} is valid from {NotBefore:u} to {NotAfter:u}, which is not now: clients will refuse it.")]
    public static partial void CertificateNotValid(ILogger logger, string subject, string source, DateTimeOffset notBefore, DateTimeOffset notAfter);
}
