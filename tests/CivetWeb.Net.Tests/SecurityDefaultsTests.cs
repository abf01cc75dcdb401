using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Threading.Tasks;
using CivetWeb.Net.Interop;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The limits of docs/security.md are the code's, and what it says of CivetWeb is so of the library.</summary>
[TestFixture]
internal sealed class SecurityDefaultsTests
{
    private static readonly string[] Lines = File.ReadAllLines(Path.Combine(Repository.Root, "docs", "security.md"));

    private static readonly string[][] Limits = Table("| limit |", 4);

    [TestCaseSource(nameof(Limits))]
    public void A_limit_is_as_documented(string limit, string server, string callback, string value)
    {
        double expected = double.Parse(value, CultureInfo.InvariantCulture);
        Assert.That(server != "–" || callback != "–", limit);
        Assert.Multiple(() =>
        {
            if (server != "–")
            {
                Assert.That(ServerDefault(server.Trim('`')), Is.EqualTo(expected), server);
            }

            if (callback != "–")
            {
                Assert.That(CallbackDefault(callback.Trim('`')), Is.EqualTo(expected), callback);
            }
        });
    }

    [Test]
    public void Every_limit_is_documented()
    {
        string[] documented = [.. Limits.Select(row => row[1].Trim('`'))];
        IEnumerable<string> ofServer = typeof(CivetWebServerOptions).GetProperties().Where(IsLimit).Select(p => p.Name)
            .Except([nameof(CivetWebServerOptions.HttpsRedirectPort), nameof(CivetWebServerOptions.MaxConnectionsPerAddress), nameof(CivetWebServerOptions.StaticFileMaxAge)]);
        IEnumerable<string> ofWebSockets = typeof(WebSocketEndpointOptions).GetProperties().Where(IsLimit).Select(p => $"WebSockets.{p.Name}")
            .Except(["WebSockets.MaxConnections"]);
        IEnumerable<string> ofForms = typeof(FormOptions).GetProperties().Where(IsLimit).Select(p => $"FormOptions.{p.Name}");
        Assert.That(documented.Where(name => name != "–"), Is.EquivalentTo(ofServer.Concat(ofWebSockets).Concat(ofForms)));

        static bool IsLimit(PropertyInfo property) =>
            (Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType) is { } type && (type == typeof(int) || type == typeof(long) || type == typeof(TimeSpan));
    }

    [Test]
    public void The_options_of_the_table_of_threats_exist()
    {
        string[][] threats = Table("| threat |", 4);
        string[] names = [.. threats.SelectMany(row => row[2].Split('`').Where((_, i) => i % 2 == 1))];
        HashSet<string> properties =
        [
            .. typeof(Http).Assembly.GetExportedTypes().SelectMany(type => type.GetMembers().Select(member => member.Name).Append(type.Name)),
        ];
        string[] options = [.. File.ReadLines(Path.Combine(Repository.Root, "docs", "options.md")).Where(line => line.StartsWith("| `", StringComparison.Ordinal)).Select(line => line.Split('`')[1])];
        Assert.That(names, Has.Length.GreaterThan(15).And.All.Matches<string>(name => name.Contains('_') ? options.Contains(name) : properties.Contains(name)));
    }

    [Test]
    public void The_faults_of_CivetWeb_are_those_the_build_looks_for()
    {
        string[] faults = [.. Table("| fault of 1.16 |", 3).Select(row => row[0])];
        foreach (string patch in Directory.GetFiles(Path.Combine(Repository.Root, "native", "vcpkg-ports", "civetweb"), "*.patch"))
        {
            Assert.That(faults, Has.Member(Path.GetFileNameWithoutExtension(patch).ToUpperInvariant()));
        }

        string flags = File.ReadAllText(Path.Combine(Repository.Root, "native", "CMakeLists.txt"));
        string definitions = flags[flags.IndexOf("CWN_BUILDING", StringComparison.Ordinal)..];
        Assert.That(definitions[..definitions.IndexOf(')', StringComparison.Ordinal)], Does.Contain("NO_CGI").And.Not.Contain("USE_ZLIB").And.Not.Contain("EXPERIMENTAL").And.Not.Contain("USE_LUA"));
    }

    [Test]
    public async Task An_address_with_line_ends_is_400_in_both_APIs()
    {
        const string Request = "GET /a%0d%0aX:%20y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/{*all}", (request, response) => response.WriteText("seen")));
        Assert.That(RawClient.Exchange(server.Port, Request), Does.StartWith("HTTP/1.1 400 "));

        int seen = 0;
        using var callbacks = new TestServer(new Callbacks { BeginRequest = _ => ++seen });
        Assert.That(RawClient.Exchange(callbacks.Port, Request), Does.StartWith("HTTP/1.1 400 "));
        Assert.That(seen, Is.Zero);
    }

    private static string[][] Table(string head, int cells)
    {
        string[][] rows =
        [
            .. Lines.SkipWhile(line => !line.StartsWith(head, StringComparison.Ordinal)).Skip(2).TakeWhile(line => line.StartsWith('|'))
                .Select(line => line.Trim('|').Split('|').Select(cell => cell.Trim()).ToArray()),
        ];
        return rows.Length > 3 && Array.TrueForAll(rows, row => row.Length == cells)
            ? rows
            : throw new InvalidDataException($"docs/security.md has no table '{head}' with {cells} cells in each row.");
    }

    private static double ServerDefault(string name)
    {
        object settings = name.Split('.') switch
        {
            ["WebSockets", _] => WebSocketSettings.Create(new WebSocketEndpointOptions(), new CivetWebServerOptions().WebSockets),
            ["FormOptions", _] => new FormOptions(),
            _ => new CivetWebServerOptions(),
        };
        return settings.GetType().GetProperty(name.Split('.')[^1])!.GetValue(settings) switch
        {
            TimeSpan time => time.TotalSeconds,
            object number => Convert.ToDouble(number, CultureInfo.InvariantCulture),
            null => double.NaN,
        };
    }

    private static double CallbackDefault(string name)
    {
        ServerSettings settings = ServerSettings.Parse([]);
        double value = name switch
        {
            "websocket_max_message_size" => settings.Session.max_message_size,
            "websocket_ping_interval_ms" => settings.Session.ping_interval_ms,
            "websocket_pong_timeout_ms" => settings.Session.pong_timeout_ms,
            "websocket_frame_timeout_ms" => settings.Session.frame_timeout_ms,
            "websocket_send_timeout_ms" => settings.Session.send_timeout_ms,
            "websocket_close_timeout_ms" => settings.Session.close_timeout_ms,
            "websocket_max_queue_size" => settings.Session.max_queue_size,
            "websocket_max_connections" => settings.MaxConnections,
            _ => double.Parse(
                settings.NativeOptions.SingleOrDefault(option => option.Key == name).Value ?? NativeDefault(name), CultureInfo.InvariantCulture),
        };
        return name.EndsWith("_ms", StringComparison.Ordinal) ? value / 1000 : value;
    }

    /// <summary>CivetWeb's own default.</summary>
    private static unsafe string NativeDefault(string name)
    {
        NativeLibraryLoader.EnsureLoaded();
        mg_option* option = NativeMethods.mg_get_valid_options();
        while (option->name != null && NativeText.FromPointer(option->name) != name)
        {
            option++;
        }

        return NativeText.FromPointer(option->default_value) ?? "";
    }
}
