using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>The benchmarks' load generator counts only echoes that are right, and the native programs beside it compile.</summary>
public sealed class LoadGeneratorTests
{
    private static string Generator => Path.Combine(Repository.Root, "artifacts", "native", "bench", "native", "bench", "wsload");

    [OneTimeSetUp]
    public void Build()
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("The load generator needs Linux (epoll, /proc).");
        }

        using var build = new LineProcess("bash", Path.Combine(Repository.Root, "build", "build-native.sh"), "--preset", "bench");
        build.FinishAsync(TimeSpan.FromMinutes(5)).GetAwaiter().GetResult();
    }

    [TestCase("echo", 128)]
    [TestCase("echo", 70_000)]
    [TestCase("churn", 128)]
    [TestCase("idle", 3)]
    public async Task It_measures_an_echo(string mode, int size)
    {
        using var server = new TestServer();
        EchoCounts counts = server.MapEcho("/echo");
        JsonElement result = await RunAsync(server, "--mode", mode, "--size", $"{size}", "--in-flight", "3");
        Assert.Multiple(() =>
        {
            Assert.That(result.TryGetProperty("error", out JsonElement error), Is.False, $"{error}");
            Assert.That(result.GetProperty("errors").GetInt64(), Is.Zero);
            Assert.That(result.GetProperty("messages").GetInt64(), mode == "idle" ? Is.Zero : Is.InRange(1, counts.Frames));
            Assert.That(result.GetProperty("p50").GetDouble(), Is.LessThanOrEqualTo(result.GetProperty("p99").GetDouble()));
        });
    }

    [TestCase("last byte", "an echo differs from what was sent")]
    [TestCase("number", "an echo differs from what was sent")]
    [TestCase("opcode", "the server has sent a wrong frame")]
    [TestCase("shorter", "an echo has the wrong length")]
    public async Task A_wrong_echo_is_found_out(string mistake, string error)
    {
        using var server = new TestServer();
        Http.SetWebSocketHandler(server.Context, "/echo", null, null, (connection, bits, data, _) => EchoWrongly(connection, bits, data.ToArray(), mistake), null);
        JsonElement result = await RunAsync(server, "--size", "2000");
        Assert.That(result.GetProperty("error").GetString(), Does.StartWith(error));
    }

    [Test]
    public async Task A_refused_upgrade_is_found_out()
    {
        using var server = new TestServer();
        JsonElement result = await RunAsync(server);
        Assert.That(result.GetProperty("error").GetString(), Does.StartWith("the upgrade was refused"));
    }

    private static int EchoWrongly(Connection connection, int bits, byte[] data, string mistake)
    {
        switch (mistake)
        {
            case "last byte":
                data[^1] ^= 1;
                break;
            case "number":
                data[0] = (byte)'1'; // the first message's is 0
                break;
            case "opcode":
                bits = 1;
                break;
            default:
                data = data[..^1];
                break;
        }

        Http.WriteToWebSocket(connection, bits, data);
        return 1;
    }

    private static async Task<JsonElement> RunAsync(TestServer server, params string[] arguments)
    {
        string[] common = ["--port", server.Port.ToString(CultureInfo.InvariantCulture), "--warmup", "0", "--seconds", "0.5", "--deadline", "60", "--connections", "4"];
        using var generator = new LineProcess([Generator, .. common, .. arguments]);
        await Eventually.IsTrueAsync(() => generator.HasExited && generator.Lines.Length > 0, "the load generator to end");
        return JsonDocument.Parse(generator.Lines.Single()).RootElement;
    }
}
