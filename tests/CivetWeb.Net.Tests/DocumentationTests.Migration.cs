using System;
using System.IO;
using System.Linq;
using System.Net.WebSockets;
using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

// The programs of docs/migrating-from-….md do what the programs did that they stand for.
internal sealed partial class DocumentationTests
{
    [TestCase("docs/migrating-from-fleck.md")]
    [TestCase("docs/migrating-from-websocket-sharp.md")]
    public async Task A_migrated_program_greets_tells_everybody_and_echoes(string document)
    {
        bool fleck = document.Contains("fleck", StringComparison.Ordinal);
        Action<string[]> main = fleck ? MigrationExamples.FromFleck : args => MigrationExamples.FromWebSocketSharp(args).GetAwaiter().GetResult();
        await RunAsync(main, fleck ? "127.0.0.1:0" : "http://127.0.0.1:0", async output =>
        {
            int port = new Uri(output.Lines[0].Split(' ')[2]).Port;
            using ClientWebSocket one = await ConnectAsync(port);
            using ClientWebSocket other = await ConnectAsync(port);
            string[] greetings = [await one.ReceiveTextAsync(), await other.ReceiveTextAsync()];
            Assert.That(greetings, Is.EquivalentTo(fleck ? (string[])["hello 127.0.0.1", "hello 127.0.0.1"] : ["hello 1", "hello 2"]));
            await one.SendTextAsync("to everybody 👋");
            Assert.That(await one.ReceiveTextAsync(), Is.EqualTo("to everybody 👋"));
            Assert.That(await other.ReceiveTextAsync(), Is.EqualTo("to everybody 👋"));
            await other.SendBinaryAsync(new byte[] { 1, 2, 255 });
            Assert.That(await other.ReceiveMessageAsync(), Is.EqualTo((WebSocketMessageType.Binary, new byte[] { 1, 2, 255 })).UsingPropertiesComparer());
            await one.CloseNormallyAsync();
            await other.SendTextAsync("alone");
            Assert.That(await other.ReceiveTextAsync(), Is.EqualTo("alone"));
            await other.CloseNormallyAsync();
        });

        static async Task<ClientWebSocket> ConnectAsync(int port)
        {
            var client = new ClientWebSocket();
            client.Options.Proxy = null;
            using var timeout = new CancellationTokenSource(TestServer.Patience);
            await client.ConnectAsync(new Uri($"ws://127.0.0.1:{port}/room"), timeout.Token);
            return client;
        }
    }

    [Test]
    public async Task The_options_of_a_migrated_program_are_kept()
    {
        using var certificates = new TestCertificates();
        CivetWebServer server = MigrationExamples.Guarded(certificates.Server);
        await using (server)
        {
            server.Options.Listen[0] = "wss://127.0.0.1:0";
            await server.StartAsync();
            var uri = new Uri($"wss://127.0.0.1:{server.EndPoints[0].Uri.Port}/room");
            using var timeout = new CancellationTokenSource(TestServer.Patience);
            foreach ((string password, string origin, int status) in
                ((string, string, int)[])[("correct horse", "https://example.org", 101), ("wrong", "https://example.org", 401), ("correct horse", "https://example.com", 403)])
            {
                using var client = new ClientWebSocket();
                client.Options.Proxy = null;
                client.Options.CollectHttpResponseDetails = true;
                client.Options.RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate!.GetRawCertData().AsSpan().SequenceEqual(certificates.Server.RawData);
                client.Options.AddSubProtocol("chat");
                client.Options.SetRequestHeader("Origin", origin);
                client.Options.SetRequestHeader("Authorization", "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes($"alice:{password}")));
                if (status != 101)
                {
                    Assert.ThrowsAsync<WebSocketException>(() => client.ConnectAsync(uri, timeout.Token));
                }
                else
                {
                    await client.ConnectAsync(uri, timeout.Token);
                    Assert.That(await client.ReceiveTextAsync(), Is.EqualTo("alice chat"));
                }

                Assert.That((int)client.HttpStatusCode, Is.EqualTo(status));
            }
        }
    }

    [TestCase("docs/migrating-from-fleck.md", 2, 3)]
    [TestCase("docs/migrating-from-websocket-sharp.md", 3, 2)]
    public void What_the_table_of_a_migration_names_exists(string document, int callbackColumn, int serverColumn)
    {
        string[][] rows =
        [
            .. File.ReadLines(Path.Combine(Repository.Root, document)).Where(line => line.StartsWith("| ", StringComparison.Ordinal))
                .Select(line => line.Split('|')).Where(cells => cells.Length == 5 && !cells[1].Contains("---", StringComparison.Ordinal)),
        ];
        Assert.That(rows, Has.Length.GreaterThan(20));
        Type[] types = typeof(Http).Assembly.GetExportedTypes();
        string[] members =
        [
            .. types.SelectMany(type => type.GetMembers(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static)).Select(member => member.Name)
                .Concat(types.Select(type => type.Name))
                .Concat(typeof(WebSocket).GetMembers().Select(member => member.Name)).Append(nameof(Task.WhenAll))
                .Concat(typeof(ServerLog).GetMethods(BindingFlags.Public | BindingFlags.Static).Select(method => method.Name)).Distinct(),
        ];
        string[] options = [.. Rows("docs/options.md").Keys];
        string[] other = ["Task", nameof(WebSocket), "null"];
        Assert.Multiple(() =>
        {
            foreach (string[] row in rows)
            {
                foreach (Match quoted in Quoted().Matches($"{row[callbackColumn]} {row[serverColumn]}"))
                {
                    string code = Text().Replace(quoted.Groups[1].Value, "");
                    string[] names = [.. Name().Matches(code).Select(match => match.Value)];
                    Assert.That(names.Where(name => char.IsUpper(name[0])), Is.SubsetOf(members.Concat(other)), row[1]);
                    Assert.That(names.Where(name => name.Contains('_', StringComparison.Ordinal)), Is.SubsetOf(options), row[1]);
                }
            }
        });
    }

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Quoted();

    [GeneratedRegex("\"[^\"]*\"|\\.md.*|^https?:.*|^[0-9].*")]
    private static partial Regex Text();

    [GeneratedRegex("[A-Za-z_]\\w+")]
    private static partial Regex Name();
}
