using System.Linq;
using System.Net.WebSockets;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>What is answered to offers of permessage-deflate (RFC 7692, section 7.1).</summary>
[TestFixture]
internal sealed class DeflateNegotiationTests
{
    private const string None = "";

    // Offer, answer, and the options of the server's WebSocket: bits of the client and the server, + for context takeover.
    [TestCase("permessage-deflate", "permessage-deflate", "15+ 15+")]
    [TestCase("permessage-deflate; client_max_window_bits", "permessage-deflate", "15+ 15+")]
    [TestCase("permessage-deflate; client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10", "10+ 15+")]
    [TestCase("permessage-deflate; client_max_window_bits=\"10\"", "permessage-deflate; client_max_window_bits=10", "10+ 15+")]
    [TestCase("permessage-deflate; client_max_window_bits=\"1\\0\"", "permessage-deflate; client_max_window_bits=10", "10+ 15+")]
    [TestCase("permessage-deflate; client_max_window_bits=15", "permessage-deflate", "15+ 15+")]
    [TestCase("permessage-deflate; client_max_window_bits=8", "permessage-deflate; client_max_window_bits=8", "9+ 15+")]
    [TestCase("permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=9", "15+ 9+")]
    [TestCase("permessage-deflate; server_max_window_bits=15", "permessage-deflate; server_max_window_bits=15", "15+ 15+")]
    [TestCase("permessage-deflate; server_max_window_bits=8", None, "")]
    [TestCase("permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate", "15+ 15+")]
    [TestCase("permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover", "15+ 15-")]
    [TestCase("permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover", "15- 15+")]
    [TestCase(
        "permessage-deflate; client_max_window_bits=11; server_max_window_bits=12; client_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11",
        "11- 12-")]
    [TestCase("permessage-deflate ;\tclient_max_window_bits = 10 ,x", "permessage-deflate; client_max_window_bits=10", "10+ 15+")]
    [TestCase("x-webkit-deflate-frame, permessage-deflate", "permessage-deflate", "15+ 15+")]
    [TestCase(", ,permessage-deflate,,", "permessage-deflate", "15+ 15+")]
    [TestCase("permessage-deflate; unknown, permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover", "15+ 15-")]
    [TestCase("permessage-deflate; server_max_window_bits=10, permessage-deflate", "permessage-deflate; server_max_window_bits=10", "15+ 10+")]
    [TestCase("permessage-deflate; unknown=1", None, "")]
    [TestCase("permessage-deflate; client_max_window_bits; client_max_window_bits", None, "")]
    [TestCase("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None, "")]
    [TestCase("permessage-deflate; server_no_context_takeover=1", None, "")]
    [TestCase("permessage-deflate; client_no_context_takeover=true", None, "")]
    [TestCase("permessage-deflate; server_max_window_bits", None, "")]
    [TestCase("permessage-deflate; server_max_window_bits=7", None, "")]
    [TestCase("permessage-deflate; server_max_window_bits=16", None, "")]
    [TestCase("permessage-deflate; server_max_window_bits=010", None, "")]
    [TestCase("permessage-deflate; server_max_window_bits=+9", None, "")]
    [TestCase("permessage-deflate; server_max_window_bits=9.0", None, "")]
    [TestCase("permessage-deflate; client_max_window_bits=0", None, "")]
    [TestCase("permessage-deflate; client_max_window_bits=100", None, "")]
    [TestCase("permessage-deflate; Client_Max_Window_Bits", None, "")]
    [TestCase("Permessage-Deflate", None, "")]
    [TestCase("x-other", None, "")]
    public void The_first_offer_that_can_be_kept_is_accepted(string offer, string answer, string options) =>
        Check(new DangerousDeflateOptions(), answer, options, offer);

    [TestCase("permessage-deflate", None, "")] // it cannot be told to use less
    [TestCase("permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; client_max_window_bits=12", "12- 11-")]
    [TestCase("permessage-deflate; client_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=10", "10- 10-")]
    [TestCase("permessage-deflate; client_max_window_bits=15; server_max_window_bits=15",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; client_max_window_bits=12", "12- 11-")]
    [TestCase("permessage-deflate, permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; client_max_window_bits=12", "12- 11-")]
    public void The_limits_of_the_server_hold(string offer, string answer, string options) => Check(
        new DangerousDeflateOptions { ClientContextTakeover = false, ServerContextTakeover = false, ClientMaxWindowBits = 12, ServerMaxWindowBits = 11 },
        answer,
        options,
        offer);

    [Test]
    public void Offers_may_be_in_several_headers()
    {
        Check(new(), "permessage-deflate; server_no_context_takeover", "15+ 15-", "x-other", "permessage-deflate; server_no_context_takeover", "permessage-deflate");
        Check(new(), None, "");
    }

    [TestCase("permessage-deflate;")]
    [TestCase(";")]
    [TestCase("permessage-deflate; =1")]
    [TestCase("permessage-deflate; server_max_window_bits=")]
    [TestCase("permessage-deflate; server_max_window_bits=\"10")]
    [TestCase("permessage-deflate; server_max_window_bits=\"10\\")]
    [TestCase("permessage-deflate; server_max_window_bits=\"\"")]
    [TestCase("permessage-deflate; server_max_window_bits=\"1 0\"")]
    [TestCase("permessage-deflate; server_max_window_bits=\"10\"0")]
    [TestCase("permessage-deflate server_no_context_takeover")]
    [TestCase("permessage-deflate, x@y")]
    [TestCase("permessage/deflate")]
    [TestCase("\"permessage-deflate\"")]
    [TestCase("permessage-deflate; a b")]
    [TestCase("permessage-deflate; a=b=c")]
    public void What_is_not_well_formed_is_no_handshake(string offer)
    {
        Assert.That(DeflateAgreement.TryNegotiate(Request(offer), new(), out DeflateAgreement? agreement), Is.False);
        Assert.That(agreement, Is.Null);
        Assert.That(DeflateAgreement.TryNegotiate(Request("permessage-deflate", offer), new(), out agreement), Is.False);
        Assert.That(agreement, Is.Null);
    }

    private static void Check(DangerousDeflateOptions limits, string answer, string options, params string[] offers)
    {
        Assert.That(DeflateAgreement.TryNegotiate(Request(offers), limits, out DeflateAgreement? agreement), Is.True);
        Assert.That(agreement?.Extension ?? None, Is.EqualTo(answer));
        Assert.That(agreement is null ? "" : Describe(agreement.Options), Is.EqualTo(options));
    }

    private static string Describe(WebSocketDeflateOptions options) =>
        $"{options.ClientMaxWindowBits}{(options.ClientContextTakeover ? '+' : '-')} {options.ServerMaxWindowBits}{(options.ServerContextTakeover ? '+' : '-')}";

    private static ServerRequest Request(params string[] offers) =>
        new(null!, null!, RequestHeads.Of([.. offers.Select(o => new System.Collections.Generic.KeyValuePair<string, string>("Sec-WebSocket-Extensions", o))]));
}
