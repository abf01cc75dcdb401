using System;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net;

/// <summary>The native side of a <see cref="CivetWebServer"/>: gives it the requests, and takes its log.</summary>
internal sealed class ServerHost(ServerSettings settings, CivetWebServer server, TlsService? tls) : HttpHost(settings)
{
    /// <inheritdoc/>
    public override string? UnroutedMethods => HttpPipeline.AllMethods;

    /// <inheritdoc/>
    protected override NativeCallbacks WantedCallbacks => tls is null ? NativeCallbacks.None : NativeCallbacks.InitSsl;

    /// <summary>Handles one request on its connection's thread; the status for the log.</summary>
    public int Dispatch(ServerConnection connection) => server.Dispatch(connection);

    /// <inheritdoc/>
    public override INativeConnection CreateConnection(int httpsPort) => new ServerConnection(this, httpsPort);

    /// <inheritdoc/>
    public override void ReportRefusal(HttpConnection connection, int status, string reason) =>
        server.LogRefusal(connection.Head, status, reason);

    /// <inheritdoc/>
    public override int OnInitSsl(nint sslContext)
    {
        using CallbackScope scope = CallbackScope.Enter();
        return tls?.HandleInitSsl(sslContext) ?? 0;
    }

    /// <inheritdoc/>
    protected override int OnMessage(HttpConnection? connection, string message)
    {
        using CallbackScope scope = CallbackScope.Enter();
        server.LogCivetWebMessage(message);
        return 1; // it has been written; not to CivetWeb's own file
    }

    /// <inheritdoc/>
    protected override void OnUnhandledException(Exception exception, string callback) =>
        server.ReportException(exception, $"the {callback} callback");
}
