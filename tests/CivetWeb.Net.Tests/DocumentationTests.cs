using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Net.WebSockets;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Interop;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>What README.md and docs/ say is so: their C# compiles and runs, their links lead somewhere, their options exist.</summary>
[TestFixture]
internal sealed partial class DocumentationTests
{
    private static readonly string[] Documents = Markdown.Documents;

    /// <summary>What a new console project uses without saying so (ImplicitUsings).</summary>
    private static readonly string[] ImplicitUsings =
    [
        "System", "System.Collections.Generic", "System.IO", "System.Linq", "System.Net.Http", "System.Threading", "System.Threading.Tasks",
    ];

    [Test]
    public void Documents_are_looked_at_wherever_they_are() =>
        Assert.That(Documents, Is.SupersetOf((string[])["README.md", "CHANGELOG.md", "docs/getting-started.md", "generated/README.md"]));

    [TestCaseSource(nameof(Documents))]
    public void Every_csharp_block_is_a_region_of_compiled_code(string document)
    {
        string[] source = Examples();
        string[] usings = [.. source.Where(IsUsing)];
        string[] regions = [.. Regions(source)];
        Assert.Multiple(() =>
        {
            foreach (string[] block in Markdown.Blocks(document, "csharp"))
            {
                string[] head = [.. block.TakeWhile(line => IsUsing(line) || line.Length == 0)];
                Assert.That(head.Where(IsUsing), Is.SubsetOf(usings), "using lines");
                Assert.That(regions, Has.Member(Normalise(block.Skip(head.Length))), $"a C# block of {document} is no region of a file *Examples.cs of the tests");
            }
        });
    }

    [TestCaseSource(nameof(Documents))]
    public void Every_code_block_says_what_it_is_and_CSharp_is_csharp(string document) =>
        Assert.That(Markdown.Languages(document), Has.None.Empty.And.None.Match("(?i)^(?!csharp$)(c#|cs|csx|csharp|c-sharp|dotnet)"));

    [Test]
    public void Every_region_is_shown_somewhere()
    {
        string[] source = Examples();
        IEnumerable<string> shown = Documents.SelectMany(document => Markdown.Blocks(document, "csharp"))
            .Select(block => Normalise(block.SkipWhile(line => IsUsing(line) || line.Length == 0)));
        Assert.That(Regions(source), Is.Not.Empty.And.SubsetOf(shown));
    }

    [TestCaseSource(nameof(Documents))]
    public void Links_lead_to_files_and_headings_that_are_there(string document)
    {
        string folder = Path.GetDirectoryName(document)!;
        Assert.Multiple(() =>
        {
            foreach (string link in Markdown.Links(document))
            {
                string[] parts = link.Split('#', 2);
                string target = parts[0].Length == 0
                    ? document
                    : Path.GetRelativePath(Repository.Root, Path.GetFullPath(Path.Combine(Repository.Root, folder, Uri.UnescapeDataString(parts[0])))).Replace('\\', '/');
                Assert.That(Path.Exists(Path.Combine(Repository.Root, target)), link);
                if (parts.Length > 1)
                {
                    Assert.That(Documents, Has.Member(target), $"{link}: only documents have headings");
                    Assert.That(Markdown.Anchors(target), Has.Member(parts[1]), link);
                }
            }
        });
    }

    [Test]
    public void The_index_leads_to_every_document()
    {
        IEnumerable<string> there = Documents.Where(document => document.StartsWith("docs/", StringComparison.Ordinal) && document != "docs/README.md")
            .Select(document => document["docs/".Length..]);
        Assert.That(there, Is.SubsetOf(Markdown.Links("docs/README.md")));
    }

    [Test]
    public void Whole_programs_are_complete_in_a_new_console_project()
    {
        string file = Path.Combine(Repository.Root, "tests", "CivetWeb.Net.Tests", "QuickStartExamples.cs");
        string[] source = File.ReadAllLines(file);
        string[] programs = [.. Regions(source)];
        Assert.Multiple(() =>
        {
            Assert.That(source.Where(IsUsing), Is.SubsetOf(ImplicitUsings.Append("CivetWeb.Net").Append("CivetWeb.Net.CallbackApi").Select(name => $"using {name};")));
            foreach (string[] block in Documents.SelectMany(document => Markdown.Blocks(document, "csharp")))
            {
                if (programs.Contains(Normalise(block.SkipWhile(line => IsUsing(line) || line.Length == 0))))
                {
                    Assert.That(block, Has.Member("using CivetWeb.Net;").Or.Member("using CivetWeb.Net.CallbackApi;"));
                }
            }

            // The package's smoke tests take it as it is.
            Assert.That(Normalise(Markdown.Blocks("README.md", "csharp").First().Skip(2)), Is.EqualTo(programs[0]));
        });
    }

    [Test]
    public void The_two_commands_are_in_the_readme()
    {
        string[] lines = [.. Markdown.Blocks("README.md", "sh").SelectMany(block => block)];
        Assert.That(lines, Has.Member("dotnet run --project src/EchoServer").And.Member("dotnet test"));
    }

    [Test]
    public void Every_option_of_our_own_is_documented_with_its_default()
    {
        ArgumentException refusal = Assert.Throws<ArgumentException>(() => Http.StartServer(_ => 0, ["no_such_option", "1"]))!;
        string[] names = [.. OwnOption().Matches(refusal.Message).Select(match => match.Value)];
        ServerSettings settings = ServerSettings.Parse([]);
        var defaults = new Dictionary<string, uint>
        {
            ["websocket_max_message_size"] = settings.Session.max_message_size,
            ["websocket_ping_interval_ms"] = settings.Session.ping_interval_ms,
            ["websocket_pong_timeout_ms"] = settings.Session.pong_timeout_ms,
            ["websocket_frame_timeout_ms"] = settings.Session.frame_timeout_ms,
            ["websocket_send_timeout_ms"] = settings.Session.send_timeout_ms,
            ["websocket_close_timeout_ms"] = settings.Session.close_timeout_ms,
            ["websocket_max_queue_size"] = settings.Session.max_queue_size,
            ["websocket_max_connections"] = (uint)settings.MaxConnections,
            ["websocket_max_connections_per_address"] = (uint)settings.MaxConnectionsPerAddress,
        };
        Dictionary<string, string[]> rows = Rows("docs/options.md");
        Assert.Multiple(() =>
        {
            Assert.That(names, Has.Length.GreaterThanOrEqualTo(defaults.Count));
            Assert.That(names, Is.SubsetOf(rows.Keys));
            foreach ((string name, uint value) in defaults)
            {
                Assert.That(
                    Digits().Match(rows[name][1].Replace(",", "", StringComparison.Ordinal)).Value,
                    Is.EqualTo(value.ToString(CultureInfo.InvariantCulture)),
                    $"default of {name} in docs/options.md");
            }
        });
    }

    [Test]
    public void Every_option_of_CivetWeb_is_documented_and_no_other()
    {
        NativeLibraryLoader.EnsureLoaded();
        Dictionary<string, string[]> rows = Rows("docs/options.md");
        Assert.That(
            rows.Keys.Where(name => !OwnOption().IsMatch(name) || ValidOptions.TryGetKind(name, out _)),
            Is.EquivalentTo(NativeOptionNames()));
    }

    [Test]
    public void Every_default_that_differs_from_CivetWebs_is_documented()
    {
        Dictionary<string, string[]> rows = Rows("docs/options.md");
        Assert.Multiple(() =>
        {
            // decode_url is what CivetWeb is told; the extension decodes instead, so that nothing differs for the user.
            foreach ((string name, string value) in ServerSettings.Parse([]).NativeOptions.Where(option => option.Key != "decode_url"))
            {
                Assert.That(rows[name][1].Trim('`'), Is.EqualTo(value.Length > 0 ? value : "none"), $"default of {name} in docs/options.md");
            }
        });
    }

    [Test]
    public async Task The_echo_example_runs()
    {
        string[] lines = await RunAsync(args => ReadmeExamples.Echo(args), "127.0.0.1:0", async output =>
        {
            int port = new Uri(output.Lines[0].Split(' ')[2]).Port;

            using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = TestServer.Patience };
            Assert.That(await http.GetStringAsync(new Uri($"http://127.0.0.1:{port}/")), Does.Contain("new WebSocket("));
            using (HttpResponseMessage other = await http.GetAsync(new Uri($"http://127.0.0.1:{port}/other")))
            {
                Assert.That((int)other.StatusCode, Is.EqualTo(404));
            }

            using var client = new ClientWebSocket();
            client.Options.Proxy = null;
            using var timeout = new CancellationTokenSource(TestServer.Patience);
            await client.ConnectAsync(new Uri($"ws://127.0.0.1:{port}/websocket"), timeout.Token);
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Welcome!"));
            await client.SendTextAsync("Hello! 👋");
            Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("Hello! 👋"));
            await client.CloseNormallyAsync();
            Assert.That(client.CloseStatus, Is.EqualTo(WebSocketCloseStatus.NormalClosure));
            await Eventually.IsTrueAsync(() => output.Lines.Length >= 5, "the four lines");
        });
        Assert.That(
            lines[1..],
            Is.EqualTo((string[])
            [
                "WebSocket client connected: 127.0.0.1",
                "WebSocket connection ready",
                "Received message: Hello! 👋",
                "WebSocket client disconnected",
            ]));
    }

    [Test]
    public async Task The_other_examples_run()
    {
        using Context context = ReadmeExamples.Options();
        ReadmeExamples.Clock(context);
        ReadmeExamples.Broadcast(context);
        using var timeout = new CancellationTokenSource(TestServer.Patience);
        var uri = new Uri($"ws://127.0.0.1:{context.Port}/chat");

        using var stranger = new ClientWebSocket();
        stranger.Options.Proxy = null;
        stranger.Options.SetRequestHeader("Origin", "https://example.com");
        Assert.ThrowsAsync<WebSocketException>(() => stranger.ConnectAsync(uri, timeout.Token));

        using var clock = new ClientWebSocket();
        clock.Options.Proxy = null;
        await clock.ConnectAsync(new Uri(uri, "/clock"), timeout.Token);
        Assert.That(DateTime.Parse(await clock.ReceiveTextAsync(), CultureInfo.InvariantCulture).Year, Is.GreaterThan(2000));
        await clock.CloseNormallyAsync();

        ClientWebSocket[] clients = [new(), new(), new()];
        foreach (ClientWebSocket client in clients)
        {
            client.Options.Proxy = null;
            client.Options.SetRequestHeader("Origin", "https://example.org");
            await client.ConnectAsync(uri, timeout.Token);
        }

        // The answer to a handshake arrives before its ready callback has run: wait until each can be written to.
        await Task.WhenAll(clients.Select(async (client, i) =>
        {
            await client.SendTextAsync($"I am {i}");
            while (await client.ReceiveTextAsync() != $"I am {i}")
            {
            }
        }));
        await clients[0].SendTextAsync("everybody?");
        foreach (ClientWebSocket client in clients)
        {
            while (await client.ReceiveTextAsync() != "everybody?")
            {
            }

            await client.CloseNormallyAsync();
            client.Dispose();
        }
    }

    /// <summary>A program that says where it listens and stops when Enter is pressed; what it has written.</summary>
    private static async Task<string[]> RunAsync(Action<string[]> main, string argument, Func<LineWriter, Task> use)
    {
        (TextReader originalIn, TextWriter originalOut) = (Console.In, Console.Out);
        using var input = new BlockedReader();
        using var output = new LineWriter();
        Console.SetIn(input);
        Console.SetOut(output);
        Exception? failure = null;
        var program = new Thread(() =>
        {
            try
            {
                main([argument]);
            }
            catch (Exception e)
            {
                failure = e;
            }
        });
        program.Start();
        try
        {
            await Eventually.IsTrueAsync(() => output.Lines.Length > 0 || !program.IsAlive, "the example listens");
            Assert.That(failure, Is.Null);
            await use(output);
        }
        finally
        {
            input.PressEnter();
            program.Join();
            Console.SetIn(originalIn);
            Console.SetOut(originalOut);
        }

        Assert.That(failure, Is.Null);
        return output.Lines;
    }

    /// <summary>Every file of examples, so that a new one is one without being named here.</summary>
    private static string[] Examples() =>
    [
        .. Directory.GetFiles(Path.Combine(Repository.Root, "tests", "CivetWeb.Net.Tests"), "*Examples.cs").Order(StringComparer.Ordinal)
            .SelectMany(File.ReadLines),
    ];

    private static bool IsUsing(string line) => line.StartsWith("using ", StringComparison.Ordinal) && !line.Contains('=') && line.EndsWith(';');

    private static IEnumerable<string> Regions(string[] source)
    {
        for (int i = 0; i < source.Length; i++)
        {
            if (source[i].TrimStart().StartsWith("#region", StringComparison.Ordinal))
            {
                yield return Normalise(source.Skip(i + 1).TakeWhile(line => line.Trim() != "#endregion"));
            }
        }
    }

    /// <summary>Without the indentation all lines share.</summary>
    private static string Normalise(IEnumerable<string> lines)
    {
        string[] all = [.. lines.Select(line => line.TrimEnd())];
        int indentation = all.Where(line => line.Length > 0).Select(line => line.Length - line.TrimStart().Length).DefaultIfEmpty(0).Min();
        return string.Join('\n', all.Select(line => line.Length > 0 ? line[indentation..] : line)).Trim('\n');
    }

    /// <summary>The rows of a document's tables by the name in their first cell.</summary>
    private static Dictionary<string, string[]> Rows(string document)
    {
        var rows = new Dictionary<string, string[]>();
        foreach (string line in File.ReadLines(Path.Combine(Repository.Root, document)).Where(line => line.StartsWith("| `", StringComparison.Ordinal)))
        {
            string[] cells = [.. line.Trim('|').Split(" | ").Select(cell => cell.Trim())];
            rows.Add(cells[0].Trim('`'), cells);
        }

        return rows;
    }

    private static unsafe List<string> NativeOptionNames()
    {
        var names = new List<string>();
        for (mg_option* option = NativeMethods.mg_get_valid_options(); option->name != null; option++)
        {
            names.Add(NativeText.FromPointer(option->name)!);
        }

        return names;
    }

    [GeneratedRegex(@"websocket_[a-z_]+|allowed_hosts|trusted_proxies|proxy_protocol")]
    private static partial Regex OwnOption();

    [GeneratedRegex(@"\d+")]
    private static partial Regex Digits();

    /// <summary>A console at which nobody has pressed Enter yet.</summary>
    private sealed class BlockedReader : TextReader
    {
        private readonly ManualResetEventSlim _enter = new();

        public void PressEnter() => _enter.Set();

        public override string? ReadLine()
        {
            _enter.Wait();
            return "";
        }

        protected override void Dispose(bool disposing)
        {
            _enter.Dispose();
            base.Dispose(disposing);
        }
    }

    /// <summary>A console that can be read while it is written to.</summary>
    private sealed class LineWriter : StringWriter
    {
        private readonly List<string> _lines = [];

        public LineWriter()
            : base(CultureInfo.InvariantCulture)
        {
        }

        public string[] Lines
        {
            get
            {
                lock (_lines)
                {
                    return [.. _lines];
                }
            }
        }

        public override void WriteLine(string? value)
        {
            lock (_lines)
            {
                _lines.Add(value ?? "");
            }
        }
    }
}
