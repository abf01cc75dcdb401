using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The path that handlers see, by RFC 3986: the one a proxy in front of the server has seen.</summary>
[TestFixture(false, false)]
[TestFixture(false, true)]
[TestFixture(true, false)]
[TestFixture(true, true)]
internal sealed class PathTests(bool isServerApi, bool isTls)
{
    private static readonly (string Target, string Path)[] Paths =
    [
        ("/", "/"),
        ("/admin./x", "/admin./x"),
        ("/admin.../x", "/admin.../x"),
        ("/admin%2e/x", "/admin./x"),
        ("/x/report.", "/x/report."),
        ("/x/...", "/x/..."),
        ("/x/.../y", "/x/.../y"),
        ("/x/..y", "/x/..y"),
        ("/x/y..", "/x/y.."),
        ("/x/.y", "/x/.y"),
        ("/x/..;/y", "/x/..;/y"),
        ("/x/.%20/y", "/x/. /y"),
        ("//", "//"),
        ("//x//y//", "//x//y//"),
        ("/proxy/https://example.org/a", "/proxy/https://example.org/a"),
        ("/x/..%5cadmin/x", "/x/..%5cadmin/x"),
        ("/admin%5Cx", "/admin%5Cx"),
        ("/public%2F..%2Fadmin", "/public%2F..%2Fadmin"),
        ("/public%2f%2e%2e%2fadmin", "/public%2f..%2fadmin"),
        ("/%2Fadmin", "/%2Fadmin"),
        ("/%252F%255C", "/%2F%5C"),
        ("/a/./b/../c", "/a/c"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/.", "/"),
        ("/..", "/"),
        ("/../../a", "/a"),
        ("/a/%2e/b", "/a/b"),
        ("/a/.%2E/b", "/b"),
        ("/a/b/%2e%2e/%2E%2e/c", "/c"),
        ("/a//./b", "/a//b"),
        ("/a/..//b", "//b"),
        ("/%23", "/#"),
        ("/%3F?a", "/?"),
        ("/a:b@c,d;e=f&g!$'()*+~-_", "/a:b@c,d;e=f&g!$'()*+~-_"),
        ("/%E4%B8%96%C3%BC%F0%9F%98%80", "/世ü\U0001f600"),
        ("/%zz%4%", "/%zz%4%"),
        ("/a?b=/../c//d\\e%2F.&x", "/a"),
        ("/a?", "/a"),
    ];

    private static readonly (string Target, string Reason)[] Refused =
    [
        ("/admin\\x", "backslash"),
        ("/x/..\\admin/x", "backslash"),
        ("\\admin", ""),
        ("/x#/../admin/x", "fragment"),
        ("/#", "fragment"),
        ("/x?a#b", "fragment"),
        ("/%ff", "UTF-8"),
        ("/%c0%ae%c0%ae/x", "UTF-8"),
        ("/%C3/%BC", "UTF-8"),
        ("/%E4%B8", "UTF-8"),
        ("/%ED%A0%80", "UTF-8"),
        ("/a%00b", "control"),
        ("/a%1F", "control"),
        ("/a%7f", "control"),
        ("/admin//../x", "empty segment"),
        ("//..", "empty segment"),
        ("/admin//%2e%2e/x", "empty segment"),
        ("/admin/.//.././x", "empty segment"),
    ];

    [Test]
    public async Task The_path_is_what_was_sent_without_dot_segments()
    {
        await using EitherServer server = EitherServer.Start(isServerApi, isTls);
        foreach ((string target, string path) in Paths)
        {
            Assert.That(server.Ask(target), Is.EqualTo((200, target, path)));
        }
    }

    [Test]
    public async Task What_two_could_read_differently_is_refused()
    {
        await using EitherServer server = EitherServer.Start(isServerApi, isTls);
        foreach ((string target, string reason) in Refused)
        {
            using StreamClient client = server.Connect();
            client.Send($"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            Assert.That(client.ReadToEnd(), Does.Match("^HTTP/1.[01] 400 ").And.Contain(reason), target);
        }

        Assert.That(server.Seen, Has.None.StartsWith("begin"));
    }

    [Test]
    public async Task A_target_that_is_a_whole_URL_is_readable_as_it_was_sent()
    {
        if (isTls || isServerApi)
        {
            Assert.Ignore("One parser for all.");
        }

        await using EitherServer server = EitherServer.Start(isServerApi, isTls, [("enable_auth_domain_check", "no")]);
        string target = $"http://localhost:{server.Port}/a./%2F?b=c";
        Assert.That(server.Ask(target), Is.EqualTo((200, target, "/a./%2F")));
    }

    [Test]
    public async Task The_raw_target_keeps_its_query_when_that_is_decoded()
    {
        if (isServerApi)
        {
            Assert.Ignore("The server API does not have the option.");
        }

        RequestInfo? seen = null;
        await using EitherServer server = EitherServer.Start(
            isServerApi,
            isTls,
            [("decode_query_string", "yes")],
            connection =>
            {
                seen = Http.GetRequestInfo(connection);
                Http.Print(connection, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\n");
                return 200;
            });
        server.Ask("/a?b=%23+%C3%BC");
        Assert.That((seen!.RawTarget, seen.QueryString), Is.EqualTo(("/a?b=%23+%C3%BC", "b=# ü")));
    }

    [Test]
    public async Task Undecoded_paths_have_no_dot_segments_either()
    {
        if (isServerApi)
        {
            Assert.Ignore("The server API does not have the option.");
        }

        await using EitherServer server = EitherServer.Start(isServerApi, isTls, [("decode_url", "no")]);
        Assert.That(server.Ask("/a%20b/%2e%2E/c./..%2Fd").Path, Is.EqualTo("/c./..%2Fd"));
        Assert.That(server.Ask("/%ff").Status, Is.EqualTo(400));
    }
}
