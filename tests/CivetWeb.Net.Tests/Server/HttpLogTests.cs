using System;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>What a server logs of requests that are no WebSockets.</summary>
public sealed class HttpLogTests
{
    [Test]
    [Logs(12)]
    public async Task A_handler_that_fails_is_an_error_with_its_request()
    {
        await using RunningServer server = await RunningServer.StartAsync(
            s => s.MapGet("/broken/{x}", (_, _) => throw new InvalidOperationException("inside")));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri("/broken/%C2%85forged"));
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.InternalServerError));
        (LogLevel level, _, string message, Exception? exception) = server.Log.Entries.Single(e => e.Event.Id == 12);
        Assert.That(level, Is.EqualTo(LogLevel.Error));
        Assert.That(message, Does.Contain(@"GET /broken/\u0085forged"));
        Assert.That(exception!.Message, Is.EqualTo("inside"));
    }

    [Test]
    public async Task A_refused_request_is_logged_with_status_and_reason()
    {
        await using RunningServer server = await RunningServer.StartAsync(
            s => s.MapPost("/in", (request, _) => request.ReadTextAsync()), options => options.MaxRequestBodySize = 10);
        using HttpResponseMessage response = await server.Client.PostAsync(server.Uri("/in"), new StringContent("more than ten bytes"));
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.RequestEntityTooLarge));
        Assert.That(server.Log.Entries.Single(e => e.Event.Id == 11).Message, Does.Contain("POST /in").And.Contains("413"));
    }

    [Test]
    public async Task A_page_is_not_what_is_at_the_path_of_a_WebSocket()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/ws", ServerEchoTests.EchoAsync));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri("/ws"));
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.BadRequest));
        Assert.That(await response.Content.ReadAsStringAsync(), Does.Contain("WebSocket at this path"));
    }
}
