using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Principal;
using System.Threading;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>A client that asks for a WebSocket, before it is answered.</summary>
/// <remarks>
/// For <see cref="WebSocketEndpointOptions.OnHandshake"/>, from one thread at a time. Once that has ended it can be read, but
/// not changed.
/// </remarks>
public sealed partial class WebSocketHandshake
{
    private string? _subprotocol;
    private IPrincipal? _user;
    private bool _isOver;

    internal WebSocketHandshake(ServerRequest request, string? subprotocol, CancellationToken aborted = default)
    {
        Request = request;
        _subprotocol = subprotocol;
        Aborted = aborted;
        RequestedSubprotocols = [.. Subprotocols.Asked(request.Info)];
    }

    /// <summary>What the client has sent. Its <see cref="ServerRequest.Items"/> stay with the WebSocket.</summary>
    public ServerRequest Request { get; }

    /// <summary>The subprotocols the client asks for, in the order of its preference.</summary>
    public IReadOnlyList<string> RequestedSubprotocols { get; }

    /// <summary>
    /// The subprotocol that will be agreed on; null for none. Another one must be among
    /// <see cref="RequestedSubprotocols"/>; the path's own list does not matter.
    /// </summary>
    /// <exception cref="ArgumentException">The client has not asked for it, or it is not a token.</exception>
    /// <exception cref="InvalidOperationException">OnHandshake has ended.</exception>
    public string? Subprotocol
    {
        get => _subprotocol;
        set
        {
            ThrowIfOver();
            if (value is not null)
            {
                Subprotocols.Validate([value], nameof(value));
                if (!RequestedSubprotocols.Contains(value))
                {
                    throw new ArgumentException(
                        $"The subprotocol '{value}' cannot be agreed on: the client asks for {(RequestedSubprotocols.Count == 0 ? "none" : $"'{string.Join("', '", RequestedSubprotocols)}'")}.", nameof(value));
                }
            }

            _subprotocol = value;
        }
    }

    /// <summary>Headers for the response: for the 101 that opens the WebSocket, or for the rejection.</summary>
    public WebSocketHandshakeHeaderCollection ResponseHeaders { get; } = new();

    /// <summary>Who the client is; <see cref="ServerWebSocketContext.User"/> shows it.</summary>
    /// <exception cref="InvalidOperationException">OnHandshake has ended.</exception>
    public IPrincipal? User
    {
        get => _user;
        set
        {
            ThrowIfOver();
            _user = value;
        }
    }

    /// <summary>Whether <see cref="Reject"/> was called.</summary>
    public bool IsRejected => Rejection is not null;

    /// <summary>
    /// Cancelled when the answer is not waited for any more: <see cref="WebSocketEndpointOptions.HandshakeTimeout"/> is
    /// over, the client has gone, or the server stops.
    /// </summary>
    public CancellationToken Aborted { get; }

    internal HandshakeRejection? Rejection { get; private set; }

    /// <summary>Gives the client a cookie with the answer, as <see cref="ServerResponse.SetCookie"/> does.</summary>
    /// <param name="name">Its name, a token.</param>
    /// <param name="value">Its value: ASCII without spaces, quotes, commas, semicolons and backslashes.</param>
    /// <param name="options">What else holds for it; null for the defaults.</param>
    /// <exception cref="ArgumentException">Name, value or an option is not allowed.</exception>
    /// <exception cref="InvalidOperationException">OnHandshake has ended.</exception>
    public void SetCookie(string name, string value, CookieOptions? options = null) =>
        ResponseHeaders.Add("Set-Cookie", ResponseCookie.Format(name, value, options ?? new CookieOptions()));

    /// <summary>
    /// Refuses the WebSocket: when OnHandshake has ended the client gets an HTTP response with <see cref="ResponseHeaders"/>,
    /// and the connection closes. Of several calls the last one counts.
    /// </summary>
    /// <param name="status">300 to 599. Browsers show pages only that the WebSocket has failed, whatever it is.</param>
    /// <param name="body">The text of the response, sent as UTF-8; null for none.</param>
    /// <param name="contentType">What the text is; null: <c>text/plain; charset=utf-8</c>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The status is not from 300 to 599.</exception>
    /// <exception cref="ArgumentException">The content type contains something else than visible ASCII characters and spaces.</exception>
    /// <exception cref="InvalidOperationException">OnHandshake has ended.</exception>
    public void Reject(int status, string? body = null, string? contentType = null)
    {
        ThrowIfOver();
        if (status is < 300 or > 599)
        {
            throw new ArgumentOutOfRangeException(nameof(status), status, "A WebSocket is rejected with a status from 300 to 599.");
        }

        if (contentType is not null && (contentType.Length == 0 || contentType.AsSpan().ContainsAnyExceptInRange(' ', '~')))
        {
            throw new ArgumentException($"'{contentType}' is not a content type: only visible ASCII characters and spaces are allowed.", nameof(contentType));
        }

        Rejection = new HandshakeRejection(status, body ?? "", contentType ?? "text/plain; charset=utf-8");
    }

    internal static InvalidOperationException IsOver() =>
        new("The handshake has ended and its answer is on the way: change it before the task of OnHandshake has completed.");

    /// <summary>From now on it is read-only.</summary>
    internal void End()
    {
        Volatile.Write(ref _isOver, true);
        ResponseHeaders.MakeReadOnly();
    }

    private void ThrowIfOver()
    {
        if (Volatile.Read(ref _isOver))
        {
            throw IsOver();
        }
    }
}

/// <summary>How a handshake is refused.</summary>
internal sealed record HandshakeRejection(int Status, string Body, string ContentType);
