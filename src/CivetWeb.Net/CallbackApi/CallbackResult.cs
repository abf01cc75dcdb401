namespace CivetWeb.Net.CallbackApi;

/// <summary>
/// Names for what callbacks return. They are numbers, so they can be used wherever the documented numbers are. A
/// <see cref="RequestCallback"/> that has handled its request returns the status it has sent, such as 200.
/// </summary>
public static class CallbackResult
{
    /// <summary>Of a <see cref="RequestCallback"/>: the request is not handled; the server goes on with it.</summary>
    public const int NotHandled = 0;

    /// <summary>Of a <see cref="WebSocketConnectCallback"/>: the WebSocket is opened.</summary>
    public const int Accept = 0;

    /// <summary>Of a <see cref="WebSocketConnectCallback"/>: the WebSocket is refused, with 403 unless the callback has written a response.</summary>
    public const int Reject = 1;

    /// <summary>Of a <see cref="WebSocketDataCallback"/>: the connection is closed with code 1000.</summary>
    public const int Close = 0;

    /// <summary>Of a <see cref="WebSocketDataCallback"/>: the connection stays open.</summary>
    public const int KeepOpen = 1;
}
