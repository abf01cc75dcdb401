using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Which handler answers which request.</summary>
[TestFixture]
internal sealed class HttpRoutingTests
{
    [Test]
    public async Task A_parameter_of_the_path_reaches_the_handler()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
            server.MapGet("/hello/{name}", (request, response) => response.WriteText($"Hello {request.Route["name"]}")));
        using HttpResponseMessage response = await server.Client.GetAsync(server.Uri("/hello/W%C3%B6rld"));
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(response.Content.Headers.ContentType!.ToString(), Is.EqualTo("text/plain; charset=utf-8"));
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("Hello Wörld"));
    }

    [TestCase("/a/b", "literal")]
    [TestCase("/a/c", "parameter c")]
    [TestCase("/a/c/d", "rest a/c/d")]
    [TestCase("/x/b", "late x")]
    [TestCase("/", "rest ")]
    [TestCase("/a/", "rest a/")]
    [TestCase("/A/b", "late A")]
    public async Task The_most_literal_path_counts_in_whatever_order_they_are_mapped(string path, string expected)
    {
        (string Pattern, Action<ServerRequest, ServerResponse> Handler)[] routes =
        [
            ("/{*all}", (request, response) => response.WriteText("rest " + request.Route["all"])),
            ("/a/{x}", (request, response) => response.WriteText("parameter " + request.Route["x"])),
            ("/a/b", (_, response) => response.WriteText("literal")),
            ("/{x}/b", (request, response) => response.WriteText("late " + request.Route["x"])),
        ];
        await using RunningServer forwards = await RunningServer.StartAsync(server => Array.ForEach(routes, r => server.MapGet(r.Pattern, r.Handler)));
        await using RunningServer backwards = await RunningServer.StartAsync(server =>
            Array.ForEach([.. routes.Reverse()], r => server.MapGet(r.Pattern, r.Handler)));
        Assert.That(await forwards.Client.GetStringAsync(forwards.Uri(path)), Is.EqualTo(expected));
        Assert.That(await backwards.Client.GetStringAsync(backwards.Uri(path)), Is.EqualTo(expected));
    }

    [Test]
    public async Task The_methods_that_a_405_names_are_those_of_all_paths_that_match()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapPost("/a/b", (_, _) => { });
            server.MapGet("/a/{x}", (_, _) => { });
            server.MapDelete("/{*all}", (_, _) => { });
            server.MapPatch("/a/{x}/c", (_, _) => { });
        });
        using var request = new HttpRequestMessage(HttpMethod.Put, server.Uri("/a/b"));
        using HttpResponseMessage response = await server.Client.SendAsync(request);
        Assert.That((int)response.StatusCode, Is.EqualTo(405));
        Assert.That(string.Join(" ", response.Content.Headers.Allow), Is.EqualTo("GET HEAD POST DELETE OPTIONS"));
    }

    [TestCase("/one/report.", "one report.")]
    [TestCase("/one/..%2F..%2Fetc", "one ..%2F..%2Fetc")]
    [TestCase("/one/a%5cb", "one a%5cb")]
    [TestCase("/one/a%20b%2eb", "one a b.b")]
    [TestCase("/one/...", "one ...")]
    [TestCase("/one/", null)]
    [TestCase("/one//", null)]
    [TestCase("/one//a", null)]
    [TestCase("//one/a", null)]
    [TestCase("/one./a", null)]
    [TestCase("/one%2Fa", null)]
    [TestCase("/one/x/../a", "one a")]
    [TestCase("/rest/https://example.org//a./b", "rest https://example.org//a./b")]
    [TestCase("/rest/a%2fb/c", "rest a%2fb/c")]
    [TestCase("/rest//", "rest /")]
    [TestCase("/rest./a", null)]
    [TestCase("/public%2F..%2Frest%2Fa", null)]
    public async Task A_parameter_is_what_was_sent(string target, string? expected)
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapGet("/one/{name}", (request, response) => response.WriteText("one " + request.Route["name"]));
            server.MapGet("/rest/{*all}", (request, response) => response.WriteText("rest " + request.Route["all"]));
        });
        string answer = RawClient.Exchange(server.Port, $"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Assert.That(answer, expected is null ? Does.StartWith("HTTP/1.1 404 ") : Does.StartWith("HTTP/1.1 200 ").And.EndsWith("\r\n\r\n" + expected));
    }

    [TestCase("POST")]
    [TestCase("PUT")]
    [TestCase("PATCH")]
    [TestCase("DELETE")]
    [TestCase("GET")]
    [TestCase("REPORT")]
    public async Task Each_method_has_its_handler(string method)
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapGet("/m", (_, response) => response.WriteText("GET"));
            server.MapPost("/m", (_, response) => response.WriteText("POST"));
            server.MapPut("/m", (_, response) => response.WriteText("PUT"));
            server.MapPatch("/m", (_, response) => response.WriteText("PATCH"));
            server.MapDelete("/m", async (_, response) => await response.WriteTextAsync("DELETE"));
            server.Map("REPORT", "/m", (_, response) => response.WriteText("REPORT"));
        });
        using var request = new HttpRequestMessage(new HttpMethod(method), server.Uri("/m"));
        using HttpResponseMessage response = await server.Client.SendAsync(request);
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo(method));
    }

    [Test]
    public async Task A_less_literal_path_that_has_the_method_is_taken()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapGet("/a/b", (_, response) => response.WriteText("get"));
            server.MapPost("/a/{x}", (_, response) => response.WriteText("post"));
        });
        using HttpResponseMessage response = await server.Client.PostAsync(server.Uri("/a/b"), null);
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("post"));
    }

    [Test]
    public async Task Head_runs_the_handler_of_get_without_its_body()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapGet("/small", (_, response) => response.WriteText("12345"));
            server.MapGet("/large", (_, response) => response.Write(new byte[200_000]));
        });
        foreach ((string path, int length) in (ReadOnlySpan<(string, int)>)[("/small", 5), ("/large", 200_000)])
        {
            using var client = new RawClient(server.Port);
            client.Send($"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\nHEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            string first = client.ReadHead();
            Assert.That(first, Does.StartWith("HTTP/1.1 200 OK\r\n").And.Contain($"\r\nContent-Length: {length}\r\n"));
            string second = client.ReadHead(); // nothing between them
            Assert.That(second, Does.StartWith("HTTP/1.1 200 OK\r\n"));
            Assert.That(client.ReadsCleanEnd());
        }
    }

    [Test]
    public async Task Options_and_wrong_methods_are_told_what_is_allowed()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapGet("/a", (_, response) => response.WriteText("a"));
            server.MapPost("/a", (_, response) => response.WriteText("a"));
            server.MapDelete("/b", (_, response) => response.WriteText("b"));
        });
        using var options = new HttpRequestMessage(HttpMethod.Options, server.Uri("/a"));
        using HttpResponseMessage known = await server.Client.SendAsync(options);
        Assert.That(known.StatusCode, Is.EqualTo(HttpStatusCode.NoContent));
        Assert.That(known.Content.Headers.Allow, Is.EqualTo((string[])["GET", "HEAD", "POST", "OPTIONS"]));
        Assert.That(known.Content.Headers.Contains("Content-Length"), Is.False);

        using HttpResponseMessage wrong = await server.Client.PutAsync(server.Uri("/a"), new StringContent("x"));
        Assert.That(wrong.StatusCode, Is.EqualTo(HttpStatusCode.MethodNotAllowed));
        Assert.That(wrong.Content.Headers.Allow, Is.EqualTo((string[])["GET", "HEAD", "POST", "OPTIONS"]));

        using HttpResponseMessage noGet = await server.Client.GetAsync(server.Uri("/b"));
        Assert.That(noGet.StatusCode, Is.EqualTo(HttpStatusCode.MethodNotAllowed));
        Assert.That(noGet.Content.Headers.Allow, Is.EqualTo((string[])["DELETE", "OPTIONS"]));

        using var nowhere = new HttpRequestMessage(HttpMethod.Options, server.Uri("/c"));
        using HttpResponseMessage unknown = await server.Client.SendAsync(nowhere);
        Assert.That(unknown.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
    }

    [Test]
    public async Task Own_handlers_of_head_and_options_go_first()
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapGet("/", (_, response) => response.WriteText("get"));
            server.Map("HEAD", "/", (_, response) => response.StatusCode = 202);
            server.Map("OPTIONS", "/", (_, response) => response.StatusCode = 203);
        });
        using HttpResponseMessage head = await server.Client.SendAsync(new HttpRequestMessage(HttpMethod.Head, server.Uri()));
        using HttpResponseMessage options = await server.Client.SendAsync(new HttpRequestMessage(HttpMethod.Options, server.Uri()));
        Assert.That(((int)head.StatusCode, (int)options.StatusCode), Is.EqualTo((202, 203)));
    }

    [Test]
    public async Task Options_of_the_whole_server_is_answered()
    {
        await using RunningServer server = await RunningServer.StartAsync(_ => { });
        string answer = RawClient.Exchange(server.Port, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
        Assert.That(answer, Does.StartWith("HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, POST"));
        Assert.That(answer, Does.EndWith("\r\n\r\n").And.Not.Contain("Content-Length"));
        Assert.That(RawClient.Exchange(server.Port, "GET * HTTP/1.1\r\nHost: x\r\n\r\n"), Does.StartWith("HTTP/1.1 400 "));
    }

    [Test]
    public async Task An_absolute_target_is_this_server_or_misdirected()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/a", (_, response) => response.WriteText("here")));
        string own = RawClient.Exchange(server.Port, $"GET http://127.0.0.1:{server.Port}/a HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        Assert.That(own, Does.StartWith("HTTP/1.1 200 ").And.EndWith("here"));
        string other = RawClient.Exchange(server.Port, "GET http://example.com:81/a HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n");
        Assert.That(other, Does.StartWith("HTTP/1.1 421 "));
    }

    [TestCase("BREW / HTTP/1.1", 501)]
    [TestCase("TRACE / HTTP/1.1", 501)]
    [TestCase("get / HTTP/1.1", 501)]
    [TestCase("LOCK / HTTP/1.1", 405)]
    [TestCase("GET / HTTP/2.7", 505)]
    [TestCase("GET /", 400)]
    [TestCase("nonsense", 400)]
    public async Task Odd_request_lines_are_refused(string line, int status)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) => response.WriteText("!")));
        string answer = RawClient.Exchange(server.Port, $"{line}\r\nHost: x\r\nConnection: close\r\n\r\n");
        Assert.That(answer, Does.StartWith($"HTTP/1.1 {status} "));
    }

    [TestCase("GET / HTTP/1.1\r\n\r\n", 400)]
    [TestCase("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400)]
    [TestCase("GET / HTTP/1.0\r\n\r\n", 200)]
    public async Task One_host_is_needed(string request, int status)
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) => response.WriteText("!")));
        using var client = new RawClient(server.Port);
        client.Send(request);
        Assert.That(client.ReadHead(), Does.StartWith($"HTTP/1.1 {status} "));
    }

    [Test]
    public async Task Head_lines_beyond_the_buffer_are_answered_with_431()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", (_, response) => response.WriteText("!")));
        using var client = new RawClient(server.Port);
        client.Send("GET / HTTP/1.1\r\nHost: x\r\nX: " + new string('a', 20_000) + "\r\n\r\n");
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 431 "));
    }

    [Test]
    public async Task Wrong_mappings_are_refused_at_once()
    {
        await using var server = new CivetWebServer();
        server.MapGet("/a/{x}", (_, _) => { });
        Assert.Multiple(() =>
        {
            Assert.That(() => server.MapGet("/a/{x}", (_, _) => { }), Throws.ArgumentException.With.Message.Contains("GET /a/{x}"));
            Assert.That(() => server.MapGet("/a/{y}", (_, _) => { }), Throws.ArgumentException.With.Message.Contains("/a/{x}"));
            Assert.That(() => server.MapPost("/a/{y}", (_, _) => { }), Throws.ArgumentException.With.Message.Contains("same names"));
            Assert.That(() => server.MapPost("/a/{x}", (_, _) => { }), Throws.Nothing);
            Assert.That(() => server.MapGet("a", (_, _) => { }), Throws.ArgumentException);
            Assert.That(() => server.Map("BREW", "/a", (_, _) => { }), Throws.ArgumentException.With.Message.Contains("PROPFIND"));
            Assert.That(() => server.Map("get", "/a", (_, _) => { }), Throws.ArgumentException);
            Assert.That(() => server.MapGet("/b", (Action<ServerRequest, ServerResponse>)null!), Throws.ArgumentNullException);
        });
    }

    [Test]
    public async Task Routes_can_be_added_while_requests_come()
    {
        await using RunningServer server = await RunningServer.StartAsync(_ => { });
        using var stop = new CancellationTokenSource();
        Task requests = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                await server.Client.GetStringAsync(server.Uri("/0"));
            }
        });
        server.Server.MapGet("/0", (_, response) => response.WriteText("0"));
        for (int i = 1; i < 200; i++)
        {
            string path = $"/{i}";
            server.Server.MapGet(path, (_, response) => response.WriteText(path));
            if (i % 20 == 0)
            {
                Assert.That(await server.Client.GetStringAsync(server.Uri(path)), Is.EqualTo(path));
            }
        }

        await stop.CancelAsync();
        try
        {
            await requests;
        }
        catch (HttpRequestException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            // the first of them can have come before its route
        }
    }

    [Test]
    public async Task Handlers_before_routing_run_in_order_and_end_what_they_answer()
    {
        var order = new List<string>();
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.Use((request, response) =>
            {
                order.Add("first");
                response.Headers["X-First"] = "1";
                request.Items["user"] = request.Headers["X-User"] ?? "";
            });
            server.Use(async (request, response) =>
            {
                await Task.Yield();
                order.Add("second");
                if (request.Headers["X-User"] is null)
                {
                    response.StatusCode = 401;
                    response.Headers["WWW-Authenticate"] = "Basic";
                }
            });
            server.Use((_, _) => order.Add("third"));
            server.MapGet("/", (request, response) => response.WriteText((string)request.Items["user"]!));
        });
        using HttpResponseMessage refused = await server.Client.GetAsync(server.Uri());
        Assert.That(refused.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(refused.Headers.WwwAuthenticate.ToString(), Is.EqualTo("Basic"));
        Assert.That(refused.Headers.GetValues("X-First"), Is.EqualTo((string[])["1"]));
        Assert.That(order, Is.EqualTo((string[])["first", "second"]));

        using var request = new HttpRequestMessage(HttpMethod.Get, server.Uri());
        request.Headers.Add("X-User", "me");
        using HttpResponseMessage accepted = await server.Client.SendAsync(request);
        Assert.That(await accepted.Content.ReadAsStringAsync(), Is.EqualTo("me"));
        Assert.That(accepted.Headers.GetValues("X-First"), Is.EqualTo((string[])["1"]));
        Assert.That(order, Is.EqualTo((string[])["first", "second", "first", "second", "third"]));
    }

    [Test]
    public async Task A_handler_begins_on_the_connections_thread_without_a_context_and_goes_on_in_the_pool()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/", async (_, response) =>
        {
            bool before = SynchronizationContext.Current is null && !Thread.CurrentThread.IsThreadPoolThread;
            await Task.Delay(1);
            bool after = Thread.CurrentThread.IsThreadPoolThread;
            await response.WriteTextAsync($"{before} {after} ");
            await response.FlushAsync();
            await response.WriteTextAsync($"{Thread.CurrentThread.IsThreadPoolThread}");
        }));
        Assert.That(await server.Client.GetStringAsync(server.Uri()), Is.EqualTo("True True True"));
    }

    [Test]
    public async Task A_handler_that_blocks_on_work_of_other_threads_is_answered()
    {
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", (request, response) =>
        {
            string text = Task.Run(() => request.ReadTextAsync()).Result;
            Task.Run(() =>
            {
                response.WriteText(text);
                response.Flush();
            }).Wait();
        }));
        using HttpResponseMessage response = await server.Client.PostAsync(server.Uri(), new StringContent("body"));
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("body"));
    }

    [Test]
    public async Task What_is_kept_after_the_end_throws_and_harms_nobody()
    {
        ServerRequest? kept = null;
        ServerResponse? keptResponse = null;
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapPost("/", (request, response) =>
        {
            kept ??= request;
            keptResponse ??= response;
            response.WriteText("done");
        }));
        using var client = new RawClient(server.Port);
        const string Request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        client.Send(Request);
        client.ReadHead();
        client.ReadExactly(4);
        client.Send(Request);
        client.ReadHead();
        client.ReadExactly(4);
        Assert.Multiple(() =>
        {
            Assert.That(() => keptResponse!.WriteText("x"), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(() => keptResponse!.Flush(), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(() => keptResponse!.StatusCode = 404, Throws.TypeOf<ObjectDisposedException>());
            Assert.That(() => keptResponse!.SendFile("/etc/hosts"), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(async () => await kept!.ReadTextAsync(), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(kept!.Path, Is.EqualTo("/"));
        });
        client.Send(Request);
        Assert.That(client.ReadHead(), Does.StartWith("HTTP/1.1 200 OK\r\n"));
    }
}
