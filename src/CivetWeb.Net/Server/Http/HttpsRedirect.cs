using System.Linq;
using System.Net;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>
/// Sends clients of http addresses to https (308: same method, same body), where the callback API knows ports alone.
/// </summary>
internal sealed class HttpsRedirect
{
    private readonly (ListenBinding Binding, int Port)[] _from;
    private readonly int _httpsPort;

    private HttpsRedirect((ListenBinding Binding, int Port)[] from, int httpsPort)
    {
        _from = from;
        _httpsPort = httpsPort;
    }

    /// <summary>What <see cref="CivetWebServerOptions.RedirectToHttps"/> asks for; null: nothing.</summary>
    /// <param name="options">The options.</param>
    /// <param name="plan">What is listened on.</param>
    /// <param name="endPoints">The same with real ports.</param>
    public static HttpsRedirect? Create(CivetWebServerOptions options, ListenPlan plan, ServerEndPoint[] endPoints)
    {
        (ListenBinding Binding, int Port)[] from =
        [
            .. plan.Bindings.Zip(endPoints).Where(pair => pair.Second.RedirectsToHttps).Select(pair => (pair.First, ((IPEndPoint)pair.Second.EndPoint).Port)),
        ];
        return from.Length == 0
            ? null
            : new HttpsRedirect(from, options.HttpsRedirectPort ?? ((IPEndPoint)endPoints.First(endPoint => endPoint.IsTls).EndPoint).Port);
    }

    /// <summary>Whether the connection has come to an address that redirects. A port alone does not tell: two addresses can share its number.</summary>
    public bool Concerns(ServerConnection connection)
    {
        if (connection.LocalEndPoint is not IPEndPoint local)
        {
            return false;
        }

        foreach ((ListenBinding binding, int port) in _from)
        {
            if (port == local.Port && binding.Accepts(local.Address))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Answers the request; the status.</summary>
    public int Answer(ServerConnection connection) => HttpsLocation.Answer(connection, _httpsPort);
}
