using System.Collections.Generic;

namespace CivetWeb.Net;

/// <summary>One offer of permessage-deflate by a client (RFC 7692, section 7.1).</summary>
internal sealed class DeflateOffer
{
    /// <summary>The least zlib's compressor can do without a header; the RFC knows 8.</summary>
    public const int MinWindowBits = 9;

    public const int MaxWindowBits = 15;

    private const int MinOfferedBits = 8;

    public bool ServerNoContextTakeover { get; private set; }

    public bool ClientNoContextTakeover { get; private set; }

    /// <summary>The most the server may use; null when the client leaves it open.</summary>
    public int? ServerMaxWindowBits { get; private set; }

    /// <summary>Whether the server may limit the client.</summary>
    public bool CanLimitClient { get; private set; }

    /// <summary>The most the client will use, as it hints; null without a hint.</summary>
    public int? ClientMaxWindowBits { get; private set; }

    /// <summary>Null when the offer has to be declined: unknown, repeated or invalid parameters (section 7.1).</summary>
    public static DeflateOffer? Read(IReadOnlyList<KeyValuePair<string, string?>> parameters)
    {
        var offer = new DeflateOffer();
        var seen = new HashSet<string>();
        foreach ((string name, string? value) in parameters)
        {
            if (!seen.Add(name) || !offer.Read(name, value))
            {
                return null;
            }
        }

        return offer;
    }

    private bool Read(string name, string? value)
    {
        switch (name)
        {
            case "server_no_context_takeover":
                ServerNoContextTakeover = true;
                return value is null;
            case "client_no_context_takeover":
                ClientNoContextTakeover = true;
                return value is null;
            case "server_max_window_bits":
                ServerMaxWindowBits = ReadBits(value);
                return ServerMaxWindowBits is not null;
            case "client_max_window_bits":
                CanLimitClient = true;
                ClientMaxWindowBits = ReadBits(value);
                return value is null || ClientMaxWindowBits is not null;
            default:
                return false;
        }
    }

    /// <summary>Decimal, no leading zeros, 8 to 15.</summary>
    private static int? ReadBits(string? value)
    {
        int bits = value switch
        {
            [>= '8' and <= '9'] => value[0] - '0',
            ['1', >= '0' and <= '5'] => 10 + value[1] - '0',
            _ => 0,
        };
        return bits >= MinOfferedBits ? bits : null;
    }
}
