namespace CivetWeb.Net;

/// <summary>What a stopping server does to a WebSocket; any thread.</summary>
internal interface IWebSocketControl
{
    /// <summary>Sends a Close frame as soon as it can; never blocks.</summary>
    void RequestClose(int code);

    /// <summary>Cuts the connection; never blocks.</summary>
    void Abort();

    /// <summary>Waits for the handler no longer.</summary>
    void Abandon();
}
