using System;
using System.Net.WebSockets;
using System.Text;

namespace CivetWeb.Net;

/// <summary>What was agreed on for permessage-deflate (RFC 7692, section 7.1).</summary>
/// <param name="Extension">The value of Sec-WebSocket-Extensions in the response.</param>
/// <param name="Options">
/// The same for <see cref="WebSocket"/>, which takes Client and Server for the roles they are in the RFC, whichever of them
/// it is itself.
/// </param>
internal sealed record DeflateAgreement(string Extension, WebSocketDeflateOptions Options)
{
    private const string Name = "permessage-deflate";

    /// <summary>The answer to the first offer that can be accepted; null for no compression.</summary>
    /// <returns>False when the headers are not well-formed: then the handshake fails (RFC 6455, section 9.1).</returns>
    public static bool TryNegotiate(ServerRequest request, DangerousDeflateOptions limits, out DeflateAgreement? agreement)
    {
        agreement = null;
        foreach (string header in request.Headers.GetValues("Sec-WebSocket-Extensions"))
        {
            if (ExtensionsHeader.TryParse(header) is not { } extensions)
            {
                agreement = null;
                return false;
            }

            foreach (ExtensionsHeader.Extension extension in extensions)
            {
                if (agreement is null && extension.Name == Name && DeflateOffer.Read(extension.Parameters) is { } offer)
                {
                    agreement = Accept(offer, limits);
                }
            }
        }

        return true;
    }

    /// <summary>Null when the offer cannot be accepted within the limits.</summary>
    private static DeflateAgreement? Accept(DeflateOffer offer, DangerousDeflateOptions limits)
    {
        int serverBits = Math.Min(limits.ServerMaxWindowBits, offer.ServerMaxWindowBits ?? DeflateOffer.MaxWindowBits);
        int clientBits = Math.Min(limits.ClientMaxWindowBits, offer.ClientMaxWindowBits ?? DeflateOffer.MaxWindowBits);
        if (serverBits < DeflateOffer.MinWindowBits)
        {
            return null; // zlib cannot compress with so little
        }

        if (limits.ClientMaxWindowBits < DeflateOffer.MaxWindowBits && !offer.CanLimitClient)
        {
            return null; // it would use more than it may, and must not be told (section 7.1.2.2)
        }

        bool serverTakeover = limits.ServerContextTakeover && !offer.ServerNoContextTakeover;
        bool clientTakeover = limits.ClientContextTakeover && !offer.ClientNoContextTakeover;
        var extension = new StringBuilder(Name);
        if (!serverTakeover)
        {
            extension.Append("; server_no_context_takeover");
        }

        if (!clientTakeover)
        {
            extension.Append("; client_no_context_takeover");
        }

        if (offer.ServerMaxWindowBits is not null || serverBits < DeflateOffer.MaxWindowBits)
        {
            extension.Append("; server_max_window_bits=").Append(serverBits);
        }

        if (clientBits < DeflateOffer.MaxWindowBits)
        {
            extension.Append("; client_max_window_bits=").Append(clientBits);
        }

        return new DeflateAgreement(extension.ToString(), new WebSocketDeflateOptions
        {
            ServerMaxWindowBits = serverBits,
            ServerContextTakeover = serverTakeover,

            // A larger window inflates what was compressed with a smaller one.
            ClientMaxWindowBits = Math.Max(clientBits, DeflateOffer.MinWindowBits),
            ClientContextTakeover = clientTakeover,
        });
    }
}
