using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Text;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>What goes wrong in handlers, and the pages that say so; connections that go on.</summary>
[TestFixture]
internal sealed class HttpErrorTests
{
    [Test]
    public async Task An_exception_is_500_and_tells_the_client_nothing([Values] bool later)
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapGet("/", async (_, response) =>
            {
                response.Headers["X-Lost"] = "1";
                response.SetCookie("lost", "1");
                response.WriteText("lost");
                if (later)
                {
                    await Task.Delay(1);
                }

                throw new InvalidOperationException("internal detail");
            });
            server.MapGet("/fine", (_, response) => response.WriteText("fine"));
        });
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri());
        Assert.That((int)response.StatusCode, Is.EqualTo(500));
        Assert.That(response.Headers.Contains("X-Lost"), Is.False);
        Assert.That(response.Headers.Contains("Set-Cookie"), Is.False);
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("500 Internal Server Error\n"));
        Assert.That(server.Log.Errors.Single().Exception!.Message, Is.EqualTo("internal detail"));
        Assert.That(await server.Client.GetStringAsync(server.Uri("/fine")), Is.EqualTo("fine"));
    }

    [Test]
    public async Task An_exception_is_500_whatever_length_the_handler_had_declared([Values(0, 7, 100_000)] int length)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) =>
        {
            response.ContentLength = length;
            throw new InvalidOperationException("later");
        }));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri());
        Assert.That((int)response.StatusCode, Is.EqualTo(500));
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("500 Internal Server Error\n"));
        Assert.That(server.Log.Errors.Single().Exception!.Message, Is.EqualTo("later"));
    }

    [Test]
    public async Task An_exception_in_a_handler_before_routing_is_500()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.Use((_, _) => throw new InvalidOperationException("first")));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri());
        Assert.That((int)response.StatusCode, Is.EqualTo(500));
        Assert.That(server.Log.Errors.Single().Exception!.Message, Is.EqualTo("first"));
    }

    [Test]
    public async Task A_bad_request_is_answered_and_not_logged()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
            server.MapGet("/", (_, _) => throw new BadRequestException(422, "No such colour.")));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri());
        Assert.That((int)response.StatusCode, Is.EqualTo(422));
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("No such colour.\n"));
        Assert.That(server.Log.Errors, Is.Empty);
        Assert.That(() => new BadRequestException(500, "x"), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(new BadRequestException().StatusCode, Is.EqualTo(400));
    }

    [Test]
    [Logs(12)]
    public async Task Own_pages_for_errors()
    {
        var seen = new List<(int Status, Type? Exception)>();
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapPost("/", (_, _) => throw new FormatException());
            server.MapError(async error =>
            {
                await Task.Yield();
                seen.Add((error.StatusCode, error.Exception?.GetType()));
                error.Response.ContentType = "text/html";
                await error.Response.WriteTextAsync($"<p>{error.StatusCode} at {error.Request.Path}</p>");
            });
        });
        using HttpResponseMessage missing = await server.Client.GetAsync(server.Uri("/nowhere"));
        Assert.That(await missing.Content.ReadAsStringAsync(), Is.EqualTo("<p>404 at /nowhere</p>"));
        Assert.That(missing.Content.Headers.ContentType!.MediaType, Is.EqualTo("text/html"));
        using HttpResponseMessage wrong = await server.Client.GetAsync(server.Uri());
        Assert.That(wrong.Content.Headers.Allow, Is.EqualTo((string[])["POST", "OPTIONS"]));
        using HttpResponseMessage failed = await server.Client.PostAsync(server.Uri(), null);
        Assert.That((int)failed.StatusCode, Is.EqualTo(500));
        Assert.That(seen, Is.EqualTo(((int, Type?)[])[(404, null), (405, null), (500, typeof(FormatException))]));
        Assert.That(() => server.Server.MapError(_ => { }), Throws.InvalidOperationException);
    }

    [Test]
    public async Task An_error_page_that_writes_nothing_or_fails_leaves_the_plain_one([Values] bool fails)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapError(error =>
        {
            if (fails)
            {
                error.Response.Headers["X-Half"] = "1";
                error.Response.SetCookie("half", "1");
                error.Response.WriteText("half a page");
                throw new FormatException();
            }
        }));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri());
        Assert.That((int)response.StatusCode, Is.EqualTo(404));
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("404 Not Found\n"));
        Assert.That((response.Headers.Contains("X-Half"), response.Headers.Contains("Set-Cookie")), Is.EqualTo((false, false)));
        Assert.That(server.Log.Errors.Length, Is.EqualTo(fails ? 1 : 0));
    }

    [Test]
    public async Task Head_of_an_error_has_no_body()
    {
        await using RunningServer server = await RunningServer.StartAsync(_ => { });
        string answer = RawClient.Exchange(server.Port, "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Assert.That(answer, Does.StartWith("HTTP/1.1 404 Not Found\r\n").And.Contain("\r\nContent-Length: 14\r\n").And.EndWith("\r\n\r\n"));
    }

    [Test]
    public async Task Pipelined_requests_are_answered_in_their_order()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapPost("/{n}", async (request, response) =>
            {
                string body = await request.ReadTextAsync();
                await Task.Delay(1);
                response.WriteText(request.Route["n"] + body + "\n");
            });
            server.MapGet("/{n}", (request, response) => response.WriteText(request.Route["n"] + "\n"));
        });
        var requests = new StringBuilder();
        for (int i = 0; i < 30; i++)
        {
            requests.Append((i % 3) switch
            {
                0 => $"GET /{i} HTTP/1.1\r\nHost: x\r\n\r\n",
                1 => $"POST /{i} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n-ab",
                _ => $"POST /{i} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n-a\r\n1\r\nb\r\n0\r\n\r\n",
            });
        }

        using var client = new RawClient(server.Port);
        client.Send(requests.ToString());
        for (int i = 0; i < 30; i++)
        {
            string expected = i % 3 == 0 ? $"{i}\n" : $"{i}-ab\n";
            Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n").And.Contain("\r\nConnection: keep-alive\r\n"));
            Assert.That(Encoding.ASCII.GetString(client.ReadExactly(expected.Length)), Is.EqualTo(expected));
        }
    }

    [TestCase("GET / HTTP/1.0\r\n\r\n", false)]
    [TestCase("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true)]
    [TestCase("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true)]
    [TestCase("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false)]
    public async Task The_connection_goes_on_as_agreed(string request, bool goesOn)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) => response.WriteText("ok")));
        using var client = new RawClient(server.Port);
        client.Send(request);
        Assert.That(client.ReadHead(), Does.Contain(goesOn ? "\r\nConnection: keep-alive\r\n" : "\r\nConnection: close\r\n"));
        client.ReadExactly(2);
        if (goesOn)
        {
            client.Send(request);
            Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n"));
        }
        else
        {
            Assert.That(client.ReadsCleanEnd());
        }
    }

    [Test]
    public async Task Many_clients_at_once()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/{n}", async (request, response) =>
        {
            string body = await request.ReadTextAsync();
            await Task.Yield();
            await response.WriteTextAsync(request.Route["n"] + body);
        }));
        await Task.WhenAll(Enumerable.Range(0, 16).Select(async client =>
        {
            for (int i = 0; i < 50; i++)
            {
                using HttpResponseMessage response = await server.Client.PostAsync(server.Uri($"/{client}-{i}"), new StringContent($" {i}"));
                Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo($"{client}-{i} {i}"));
            }
        }));
        Assert.That(server.Log.Errors, Is.Empty);
    }

    [Test]
    public async Task A_handler_that_never_ends_is_left_behind()
    {
        var begun = new TaskCompletionSource<ServerResponse>();
        var never = new TaskCompletionSource();
        await using RunningServer server = await RunningServer.StartAsync(
            server => server.MapGet("/", (_, response) =>
            {
                begun.SetResult(response);
                return never.Task;
            }),
            options => options.ShutdownTimeout = TimeSpan.FromMilliseconds(100));
        using var client = new RawClient(server.Port);
        client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        ServerResponse kept = await begun.Task;
        await server.Server.StopAsync().WaitAsync(TestServer.Patience);
        Assert.That(client.ReadToEnd(), Is.Empty);
        Assert.That(() => kept.WriteText("late"), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(server.Log.Errors.Select(e => e.Exception), Has.Some.TypeOf<TimeoutException>());
        never.SetResult();
    }

    [Test]
    [Logs(12)]
    public async Task What_Use_has_set_stays_unless_a_handler_fails()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.Use((_, response) => response.Headers["X-Frame-Options"] = "DENY");
            server.MapGet("/fails", (_, _) => throw new InvalidOperationException());
        });
        using HttpResponseMessage missing = await server.Client.GetAsync(server.Uri("/missing"));
        Assert.That(missing.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(missing.Headers.GetValues("X-Frame-Options").Single(), Is.EqualTo("DENY"));
        using HttpResponseMessage failed = await server.Client.GetAsync(server.Uri("/fails"));
        Assert.That(failed.StatusCode, Is.EqualTo(HttpStatusCode.InternalServerError));
        Assert.That(failed.Headers.Contains("X-Frame-Options"), Is.False);
    }
}
