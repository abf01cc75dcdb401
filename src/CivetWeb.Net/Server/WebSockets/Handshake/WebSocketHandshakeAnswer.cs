using System.Text;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>The text of the answers to a handshake.</summary>
internal static class WebSocketHandshakeAnswer
{
    /// <summary>The header lines of a 101 response, beyond those that every one has.</summary>
    public static string Headers(WebSocketHandshake handshake, DeflateAgreement? deflate)
    {
        var text = new StringBuilder();
        if (handshake.Subprotocol is { } subprotocol)
        {
            text.Append("Sec-WebSocket-Protocol: ").Append(subprotocol).Append("\r\n");
        }

        if (deflate is not null)
        {
            text.Append("Sec-WebSocket-Extensions: ").Append(deflate.Extension).Append("\r\n");
        }

        handshake.ResponseHeaders.WriteTo(text);
        return text.ToString();
    }

    /// <summary>Sends the response of a handshake that was rejected; the connection ends after it.</summary>
    public static int Reject(WebSocketHandshake handshake, HandshakeRejection rejection)
    {
        byte[] body = Encoding.UTF8.GetBytes(rejection.Body);
        var head = new StringBuilder("HTTP/1.1 ");
        head.Append(rejection.Status).Append(' ').Append(ReasonPhrases.Of(rejection.Status)).Append("\r\n");
        if (body.Length > 0)
        {
            head.Append("Content-Type: ").Append(rejection.ContentType).Append("\r\n");
        }

        head.Append("Content-Length: ").Append(body.Length).Append("\r\nConnection: close\r\n");
        handshake.ResponseHeaders.WriteTo(head);
        head.Append("\r\n");
        ServerConnection connection = handshake.Request.Connection;
        connection.Write([.. Encoding.ASCII.GetBytes(head.ToString()), .. body]);
        connection.EndAfterRequest();
        return rejection.Status;
    }
}
