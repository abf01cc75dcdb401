using System.IO;
using System.Text;
using CivetWeb.Net.CallbackApi;

namespace CivetWeb.Net.EchoServer;

/// <summary>The page at <c>/</c>.</summary>
internal static class Page
{
    private static readonly byte[] Body = Read();
    private static readonly byte[] Head = Encoding.ASCII.GetBytes(
        "HTTP/1.1 200 OK\r\n"
        + "Content-Type: text/html; charset=utf-8\r\n"
        + $"Content-Length: {Body.Length}\r\n"
        + "Cache-Control: no-cache\r\n"
        + "Connection: close\r\n\r\n");

    private static readonly byte[] Response = [.. Head, .. Body];

    public static int Serve(Connection connection)
    {
        RequestInfo request = Http.GetRequestInfo(connection);
        if (request.LocalUri != "/" || request.Method is not ("GET" or "HEAD"))
        {
            return 0;
        }

        Http.Write(connection, request.Method == "HEAD" ? Head : Response);
        return 200;
    }

    private static byte[] Read()
    {
        using Stream stream = typeof(Page).Assembly.GetManifestResourceStream("index.html")!;
        byte[] body = new byte[stream.Length];
        stream.ReadExactly(body);
        return body;
    }
}
