using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Which endpoint a request for a WebSocket gets to. Each tells its name by refusing.</summary>
[TestFixture]
internal sealed class HandshakeRouteTests
{
    private static readonly string[] Patterns = ["/{*all}", "/room/{id}", "/room/{id}/log", "/room/lobby", "/{kind}/lobby", "/", "/room/{*rest}"];

    [TestCase("/", "/")]
    [TestCase("/room/lobby", "/room/lobby")]
    [TestCase("/room/12", "/room/{id} id=12")]
    [TestCase("/room/a%20b", "/room/{id} id=a b")]
    [TestCase("/room/12/log", "/room/{id}/log id=12")]
    [TestCase("/room/12/other", "/room/{*rest} rest=12/other")]
    [TestCase("/hall/lobby", "/{kind}/lobby kind=hall")]
    [TestCase("/ROOM/lobby", "/{kind}/lobby kind=ROOM")]
    [TestCase("/hall/Lobby", "/{*all} all=hall/Lobby")]
    [TestCase("/room/12?id=13", "/room/{id} id=12")]
    public async Task The_most_literal_pattern_is_taken_whatever_the_order(string path, string answer)
    {
        foreach (IEnumerable<string> patterns in (IEnumerable<string>[])[Patterns, Patterns.Reverse()])
        {
            await using RunningServer server = await RunningServer.StartAsync(s =>
            {
                foreach (string pattern in patterns)
                {
                    Map(s, pattern);
                }
            });
            Assert.That(Ask(server, path), Is.EqualTo(answer));
        }
    }

    [TestCase("/ws2")]
    [TestCase("/w")]
    [TestCase("/WS")]
    [TestCase("/ws/")]
    [TestCase("/ws/x")]
    [TestCase("/x/ws")]
    [TestCase("/")]
    public async Task What_is_mapped_nowhere_is_404_and_disturbs_nobody(string path)
    {
        await using RunningServer server = await RunningServer.StartAsync(s => Map(s, "/ws"));
        string response = RawClient.Exchange(server.Port, RawClient.UpgradeRequest(path));
        Assert.That(response, Does.StartWith("HTTP/1.1 404 Not Found\r\n"));
        Assert.That(response, Does.EndWith("There is no WebSocket at this path.\n"));
        Assert.That(Ask(server, "/ws"), Is.EqualTo("/ws"));
        Assert.That(server.Server.WebSocketCount, Is.Zero);
        using HttpResponseMessage page = await server.Client.GetAsync(server.Uri("/page"));
        Assert.That(page.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
    }

    [Test]
    public async Task Paths_come_and_go_while_the_server_runs()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => Map(s, "/{*all}"));
        Assert.That(Ask(server, "/late/1"), Is.EqualTo("/{*all} all=late/1"));
        Map(server.Server, "/late/{id}");
        Assert.That(Ask(server, "/late/1"), Is.EqualTo("/late/{id} id=1"));
        Assert.That(server.Server.RemoveWebSocket("/late/{name}"), Is.True);
        Assert.That(server.Server.RemoveWebSocket("/late/{name}"), Is.False);
        Assert.That(Ask(server, "/late/1"), Is.EqualTo("/{*all} all=late/1"));
        Assert.That(server.Server.RemoveWebSocket("/{*all}"), Is.True);
        Assert.That(RawClient.Exchange(server.Port, RawClient.UpgradeRequest("/late/1")), Does.StartWith("HTTP/1.1 404 "));
        Map(server.Server, "/late/{id}");
        Assert.That(Ask(server, "/late/1"), Is.EqualTo("/late/{id} id=1"));
    }

    [Test]
    public async Task Changing_paths_never_hides_the_others()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => Map(s, "/fixed"));
        using var done = new CancellationTokenSource();
        Task changes = Task.Run(() =>
        {
            for (int i = 0; !done.IsCancellationRequested; i++)
            {
                string pattern = $"/a{i % 7}/{{x}}";
                if (!server.Server.RemoveWebSocket(pattern))
                {
                    Map(server.Server, pattern);
                }
            }
        });
        for (int i = 0; i < 100; i++)
        {
            Assert.That(Ask(server, "/fixed"), Is.EqualTo("/fixed"));
        }

        await done.CancelAsync();
        await changes;
    }

    [TestCase("/ws", "/ws")]
    [TestCase("/a/{x}", "/a/{y}")]
    [TestCase("/a/{*x}", "/a/{*y}")]
    [TestCase("/{a}/{b}/c", "/{b}/{a}/c")]
    public void One_path_is_mapped_once(string first, string second)
    {
        var server = new CivetWebServer();
        Map(server, first);
        ArgumentException e = Assert.Throws<ArgumentException>(() => Map(server, second))!;
        Assert.That(e.ParamName, Is.EqualTo("pattern"));
        Assert.That(e.Message, Does.Contain($"'{second}' is mapped already, as '{first}'"));
    }

    [TestCase("ws", "write '/ws'")]
    [TestCase("", "empty")]
    [TestCase("/{*rest}/more", "'{*rest}' is not the last segment")]
    [TestCase("/a{b}", "in the segment 'a{b}' a parameter is only a part")]
    [TestCase("/{a}{b}", "in the segment '{a}{b}' a parameter is only a part")]
    [TestCase("/x/{id:int}", "a constraint, ':int', which is not supported. Write {id}")]
    [TestCase("/x/{id?}", "'{id?}' is optional, which is not supported. Write {id}")]
    [TestCase("/x/{id=1}", "a default value, '=1', which is not supported")]
    [TestCase("/x/*", "the segment '*' has a * outside of braces. Write {*rest}")]
    [TestCase("/*/x", "the segment '*' has a * outside of braces. Write {name}")]
    [TestCase("/x/{**rest}", "has a *. Write {name}")]
    [TestCase("/x?y=1", "the segment 'x?y=1' has a ?")]
    [TestCase("/{id}/{id}", "the parameter 'id' is there twice")]
    [TestCase("/x/{id", "in the segment '{id' is not closed. Write {name}")]
    [TestCase("/x/id}", "in the segment 'id}' is not opened. Write {name}")]
    [TestCase("/x/{}", "'{}' has no name. Write {name}")]
    [TestCase("/x/{*}", "'{*}' has no name. Write {*rest}")]
    public void A_pattern_that_is_not_valid_is_refused_with_what_to_write_instead(string pattern, string message)
    {
        var server = new CivetWebServer();
        foreach (Action map in (Action[])[() => Map(server, pattern), () => server.MapGet(pattern, (_, _) => { })])
        {
            ArgumentException e = Assert.Throws<ArgumentException>(map)!;
            Assert.That(e.ParamName, Is.EqualTo("pattern"));
            Assert.That(e.Message, Does.Contain(message));
        }
    }

    private static void Map(CivetWebServer server, string pattern) => server.MapWebSocket(pattern, _ => Task.CompletedTask, new WebSocketEndpointOptions
    {
        OnHandshake = handshake =>
        {
            handshake.Reject(418, string.Join(' ', (string[])[pattern, .. handshake.Request.Route.Select(r => $"{r.Key}={r.Value}")]));
            return Task.CompletedTask;
        },
    });

    private static string Ask(RunningServer server, string path)
    {
        string response = RawClient.Exchange(server.Port, RawClient.UpgradeRequest(path));
        Assert.That(response, Does.StartWith("HTTP/1.1 418 "));
        return response[(response.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..];
    }
}
