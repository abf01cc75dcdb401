using System;
using System.Threading;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>A connection of a <see cref="CivetWebServer"/>, which handles its requests.</summary>
internal sealed class ServerConnection(ServerHost host, int httpsPort) : HttpConnection(host, httpsPort)
{
    private IWebSocketControl? _control; // while it is a WebSocket

    /// <summary>Tells a stopping server whom to ask; null: nobody any more.</summary>
    public void Attach(IWebSocketControl? control)
    {
        Volatile.Write(ref _control, control);
        CatchUpWithStop();
    }

    /// <inheritdoc/>
    public override void RequestClose(int code) => Volatile.Read(ref _control)?.RequestClose(code);

    /// <inheritdoc/>
    public override void Abort() => Volatile.Read(ref _control)?.Abort();

    /// <summary>Waits for the handler of its WebSocket no longer.</summary>
    public void Abandon() => Volatile.Read(ref _control)?.Abandon();

    /// <inheritdoc/>
    public override bool OnHttpError(nint native, int status, string message)
    {
        using CallbackScope scope = CallbackScope.Enter();
        BeginUse(native);
        try
        {
            return HttpPipeline.AnswerError(this, status);
        }
        finally
        {
            EndUse();
        }
    }

    /// <inheritdoc/>
    /// <remarks>Never: the server answers upgrades itself, as requests.</remarks>
    public override int OnWebSocketConnect(nint native) => 1;

    /// <inheritdoc/>
    public override void OnWebSocketReady(nint native, nint handle)
    {
    }

    /// <inheritdoc/>
    public override int OnWebSocketData(int bits, ReadOnlySpan<byte> data) => 0;

    /// <inheritdoc/>
    public override void OnWebSocketClose()
    {
    }

    /// <inheritdoc/>
    public override void FailWebSocket(Exception exception, string callback) => Host.ReportException(exception, callback);

    /// <inheritdoc/>
    protected override int HandleRequest(nint native) => host.Dispatch(this);
}
