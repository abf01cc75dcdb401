using System;
using System.Security.Principal;
using System.Threading.Tasks;

namespace CivetWeb.Net;

/// <summary>
/// Ready-made <see cref="WebSocketEndpointOptions.OnHandshake"/>: requests without valid credentials get 401. In a method of one's
/// own, await one of them and look at <see cref="WebSocketHandshake.IsRejected"/>.
/// </summary>
/// <remarks>For programs: the WebSocket of a browser sends no Authorization header of the page's choice.</remarks>
public static class HandshakeAuthentication
{
    /// <summary>User and password (RFC 7617). <see cref="WebSocketHandshake.User"/> is then the user, authenticated by "Basic".</summary>
    /// <param name="realm">What they are for; visible ASCII characters and spaces.</param>
    /// <param name="isValid">
    /// Whether user and password are right. Compare with <see cref="AuthenticationSecret.AreEqual(string, string)"/>, or
    /// hash: == tells by its time how much of a guess was right.
    /// </param>
    /// <exception cref="ArgumentException">The realm contains other characters.</exception>
    public static Func<WebSocketHandshake, Task> Basic(string realm, Func<string, string, ValueTask<bool>> isValid)
    {
        ArgumentNullException.ThrowIfNull(isValid);
        string challenge = AuthenticationChallenge.Basic(realm);
        return async handshake =>
        {
            if (handshake.Request.TryGetBasicCredentials(out string? user, out string? password)
                && await isValid(user, password).ConfigureAwait(false))
            {
                handshake.User = new GenericPrincipal(new GenericIdentity(user, "Basic"), []);
                return;
            }

            Challenge(handshake, challenge);
        };
    }

    /// <summary>A token in the Authorization header (RFC 6750, section 2.1).</summary>
    /// <param name="realm">What it is for; visible ASCII characters and spaces.</param>
    /// <param name="validate">Whose the token is, for <see cref="WebSocketHandshake.User"/>; null when it is not valid.</param>
    /// <exception cref="ArgumentException">The realm contains other characters.</exception>
    public static Func<WebSocketHandshake, Task> Bearer(string realm, Func<string, ValueTask<IPrincipal?>> validate)
    {
        ArgumentNullException.ThrowIfNull(validate);
        string missing = AuthenticationChallenge.Bearer(realm);
        string invalid = AuthenticationChallenge.Bearer(realm, "invalid_token");
        return async handshake =>
        {
            if (!handshake.Request.TryGetBearerToken(out string? token))
            {
                Challenge(handshake, missing);
                return;
            }

            handshake.User = await validate(token).ConfigureAwait(false);
            if (handshake.User is null)
            {
                Challenge(handshake, invalid);
            }
        };
    }

    private static void Challenge(WebSocketHandshake handshake, string challenge)
    {
        handshake.ResponseHeaders.Add("WWW-Authenticate", challenge);
        handshake.Reject(401, "Credentials are needed.\n");
    }
}
