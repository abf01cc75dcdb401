using System;
using System.Collections.Generic;
using System.Linq;
using System.Net.Http.Headers;
using System.Net.WebSockets;
using System.Security.Principal;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Who a client is: the Basic and Bearer schemes.</summary>
[TestFixture]
internal sealed class AuthenticationTests
{
    private const string Aladdin = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="; // RFC 7617, section 2

    [TestCase(Aladdin, "Aladdin", "open sesame")]
    [TestCase("bAsIc  QWxhZGRpbjpvcGVuIHNlc2FtZQ== ", "Aladdin", "open sesame")]
    [TestCase("Basic dGVzdDoxMjPCow==", "test", "123\u00A3")] // section 2.1
    [TestCase("Basic YTpiOmM=", "a", "b:c")]
    [TestCase("Basic Og==", "", "")]
    [TestCase("Basic YTo=", "a", "")]
    public void Basic_credentials_are_read(string header, string user, string password)
    {
        Assert.That(BasicCredentials.TryParse(header, out string? foundUser, out string? foundPassword), Is.True);
        Assert.That((foundUser, foundPassword), Is.EqualTo((user, password)));
        Assert.That(Request(header).TryGetBasicCredentials(out foundUser, out foundPassword), Is.True);
        Assert.That((foundUser, foundPassword), Is.EqualTo((user, password)));
    }

    [TestCase(null)]
    [TestCase("")]
    [TestCase("Basic")]
    [TestCase("Basic ")]
    [TestCase("BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ==")]
    [TestCase("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==")]
    [TestCase("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ")] // padding is missing
    [TestCase("Basic QWxhZGRp bjpvcGVuIHNlc2FtZQ==")]
    [TestCase("Basic QWxhZGRp\tbjpvcGVuIHNlc2FtZQ==")]
    [TestCase("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==, Basic x")]
    [TestCase("Basic !!!!")]
    [TestCase("Basic YWJj")] // no colon
    [TestCase("Basic dGVzdDoxMjOj")] // Latin-1, not UTF-8
    [TestCase("Basic YQA6Yg==")] // NUL
    [TestCase("Basic YTpiDQo=")] // line break
    public void What_is_none_is_not_read(string? header)
    {
        Assert.That(BasicCredentials.TryParse(header, out string? user, out string? password), Is.False);
        Assert.That((user, password), Is.EqualTo(((string?)null, (string?)null)));
        Assert.That(Request(header is null ? [] : [header]).TryGetBasicCredentials(out _, out _), Is.False);
    }

    [TestCase("Bearer mF_9.B5f-4.1JqM", "mF_9.B5f-4.1JqM")]
    [TestCase("bearer a+/~==", "a+/~==")]
    [TestCase("Bearer   x", "x")]
    [TestCase("Bearer", null)]
    [TestCase("Bearer ", null)]
    [TestCase("Bearer ==", null)]
    [TestCase("Bearer a=b", null)]
    [TestCase("Bearer a b", null)]
    [TestCase("Bearer a,b", null)]
    [TestCase("Bearer \u00E4", null)]
    [TestCase("Bearerx", null)]
    [TestCase("Basic x", null)]
    public void A_bearer_token_is_read(string header, string? token)
    {
        Assert.That(Request(header).TryGetBearerToken(out string? found), Is.EqualTo(token is not null));
        Assert.That(found, Is.EqualTo(token));
    }

    [Test]
    public void Two_headers_are_none()
    {
        Assert.That(Request(Aladdin, Aladdin).TryGetBasicCredentials(out _, out _), Is.False);
        Assert.That(Request("Bearer a", "Bearer b").TryGetBearerToken(out _), Is.False);
    }

    [Test]
    public void Challenges_are_quoted_and_never_more_than_one_line()
    {
        Assert.That(AuthenticationChallenge.Basic("my \"realm\" \\"), Is.EqualTo("Basic realm=\"my \\\"realm\\\" \\\\\", charset=\"UTF-8\""));
        Assert.That(AuthenticationChallenge.Bearer("r"), Is.EqualTo("Bearer realm=\"r\""));
        Assert.That(AuthenticationChallenge.Bearer("r", "invalid_token"), Is.EqualTo("Bearer realm=\"r\", error=\"invalid_token\""));
        Assert.Throws<ArgumentException>(() => AuthenticationChallenge.Basic("a\r\nb"));
        Assert.Throws<ArgumentException>(() => AuthenticationChallenge.Bearer("a", "\u00E4"));
        Assert.Throws<ArgumentException>(() => HandshakeAuthentication.Basic("\n", (_, _) => ValueTask.FromResult(true)));
        Assert.Throws<ArgumentException>(() => HandshakeAuthentication.Bearer("\n", _ => ValueTask.FromResult<IPrincipal?>(null)));
    }

    [TestCase("secret", "secret", true)]
    [TestCase("", "", true)]
    [TestCase("secret", "Secret", false)]
    [TestCase("secret", "secret ", false)]
    [TestCase("secret", "", false)]
    [TestCase("\uD800", "\uFFFD", false)]
    public void Secrets_are_compared(string expected, string given, bool equal) =>
        Assert.That(AuthenticationSecret.AreEqual(expected, given), Is.EqualTo(equal));

    [Test]
    public async Task A_WebSocket_can_ask_for_user_and_password()
    {
        await using RunningServer server = await StartAsync(HandshakeAuthentication.Basic("the \"house\"", async (user, password) =>
        {
            await Task.Yield();
            return user == "Aladdin" && AuthenticationSecret.AreEqual("open sesame", password);
        }));
        foreach (string authorization in (string[])["", "Authorization: Basic QWxhZGRpbjp3cm9uZw==\r\n", "Authorization: Bearer x\r\n", $"Authorization: {Aladdin}\r\nAuthorization: {Aladdin}\r\n"])
        {
            Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest(extraHeaders: authorization)), Is.EqualTo(
                "HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 24\r\nConnection: close\r\n"
                + "WWW-Authenticate: Basic realm=\"the \\\"house\\\"\", charset=\"UTF-8\"\r\n\r\nCredentials are needed.\n"));
        }

        using ClientWebSocket client = await server.ConnectAsync(configure: o => o.SetRequestHeader("Authorization", Aladdin));
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Aladdin by Basic: True"));
        await client.CloseNormallyAsync();
    }

    [Test]
    public async Task A_WebSocket_can_ask_for_a_token()
    {
        await using RunningServer server = await StartAsync(HandshakeAuthentication.Bearer("house", async token =>
        {
            await Task.Yield();
            return token == "good" ? new GenericPrincipal(new GenericIdentity("anna", "token"), []) : null;
        }));
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest()), Does.StartWith("HTTP/1.1 401 ").And.Contain("\r\nWWW-Authenticate: Bearer realm=\"house\"\r\n"));
        Assert.That(
            RawClient.Exchange(server.Port, RawClient.UpgradeRequest(extraHeaders: "Authorization: Bearer bad\r\n")),
            Does.StartWith("HTTP/1.1 401 ").And.Contain("\r\nWWW-Authenticate: Bearer realm=\"house\", error=\"invalid_token\"\r\n"));
        using ClientWebSocket client = await server.ConnectAsync(configure: o => o.SetRequestHeader("Authorization", "Bearer good"));
        Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("anna by token: True"));
        await client.CloseNormallyAsync();
    }

    private static Task<RunningServer> StartAsync(Func<WebSocketHandshake, Task> authenticate) => RunningServer.StartAsync(s => s.MapWebSocket(
        "/ws",
        async context => await context.WebSocket.SendTextAsync($"{context.User!.Identity!.Name} by {context.User.Identity.AuthenticationType}: {context.IsAuthenticated}"),
        new WebSocketEndpointOptions { OnHandshake = authenticate }));

    private static ServerRequest Request(params string[] authorizations) =>
        new(null!, null!, RequestHeads.Of([.. authorizations.Select(a => new KeyValuePair<string, string>("Authorization", a))]));
}
