using System;

namespace CivetWeb.Net.Interop;

/// <summary>
/// What CivetWeb tells of a server. <see cref="Trampolines"/> calls it, on CivetWeb's threads, until <see cref="NativeServer.Stop"/>
/// has returned. What it throws is reported to <see cref="ReportException"/> and goes no further.
/// </summary>
internal interface INativeServer
{
    /// <summary>A client has connected: the object that stands for the connection until it is closed.</summary>
    /// <param name="httpsPort">The port that everything on this one is redirected to; 0 for none.</param>
    INativeConnection CreateConnection(int httpsPort);

    /// <summary>The connection has been created, and may receive its PROXY header.</summary>
    void OnInitConnection(INativeConnection connection, nint native);

    void OnInitContext();

    void OnExitContext();

    void OnInitThread(int kind);

    void OnExitThread(int kind);

    /// <summary>The result of the init_ssl callback.</summary>
    int OnInitSsl(nint sslContext);

    /// <summary>Not 0: the message has been written, CivetWeb's own file need not have it.</summary>
    /// <param name="connection">The connection it is about, if it is about one.</param>
    /// <param name="peer">The address of the client it is about; empty for none.</param>
    /// <param name="message">CivetWeb's text.</param>
    int OnLogMessage(INativeConnection? connection, string peer, string message);

    /// <summary>Not 0: the line has been written, CivetWeb's own file need not have it.</summary>
    int OnLogAccess(INativeConnection? connection, string message);

    /// <summary>An exception that nothing can be done about any more. Never throws.</summary>
    void ReportException(Exception exception, string callback);
}
