namespace CivetWeb.Net;

/// <summary>What is answered to requests that are no WebSockets.</summary>
internal sealed class HttpPipeline(CivetWebServer server)
{
    public int Handle(ServerRequest request)
    {
        _ = server;
        return request.Connection.Refuse(404, null, "There is nothing at this path.\n");
    }
}
