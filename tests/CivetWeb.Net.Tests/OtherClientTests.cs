using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// The running EchoServer and more clients: Python's websocket-client, the WebSocket that Node.js has itself, curl. The
/// programs are in tests/clients; each tells what it saw in lines.
/// </summary>
[TestFixture]
internal sealed class OtherClientTests
{
    private static readonly string[] Clients = ["python-websocket-client", "node"];

    private EchoServerProcess _server = null!;

    [SetUp]
    public async Task StartServer() => _server = await EchoServerProcess.StartAsync();

    [TearDown]
    public void StopServer() => _server.Dispose();

    [TestCaseSource(nameof(Clients))]
    public async Task Echoes_text_and_binary_and_closes_with_1000(string name)
    {
        using var client = new LineProcess(Command(name, "echo"));
        Assert.That(await client.FinishAsync(TestServer.Patience), Is.EqualTo((string[])["welcome", "echoed 4 texts, 3 binaries", "closed 1000"]));
        Assert.That((await _server.LinesAsync(7))[^1], Is.EqualTo("WebSocket client disconnected"));
        Assert.That(_server.Errors, Is.Empty);
    }

    [TestCaseSource(nameof(Clients))]
    public async Task Is_told_when_the_server_stops(string name)
    {
        using var client = new LineProcess(Command(name, "wait"));
        await Eventually.IsTrueAsync(() => client.HasExited || client.Lines.Contains("welcome"), "the client is greeted");
        _server.Signal("TERM");
        Assert.That(await client.FinishAsync(TestServer.Patience), Is.EqualTo((string[])["welcome", "closed 1001"]));
        await _server.WaitForExitAsync();
        Assert.That(_server.ExitCode, Is.Zero);
    }

    [Test]
    public async Task Curl_is_greeted()
    {
        string protocols = await OutputAsync("curl", "--version");
        if (!protocols.Split([' ', '\n', '\r']).Contains("ws"))
        {
            // Not a missing tool: Debian 12 has none that could.
            Assert.Ignore($"This curl does not speak ws: {protocols.Split('\n')[0].Trim()}");
        }

        string output = await OutputAsync("curl", "-sS", "--no-buffer", "--noproxy", "*", "--max-time", "3", _server.WebSocketUri.ToString());
        Assert.That(output, Is.EqualTo("Welcome!"));
        Assert.That((await _server.LinesAsync(3))[^1], Is.EqualTo("WebSocket client disconnected"));
    }

    private static async Task<string> OutputAsync(params string[] command)
    {
        try
        {
            using Process process = Process.Start(EchoServerProcess.StartInfo(command))!;
            process.StandardInput.Close();
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = await process.StandardOutput.ReadToEndAsync();
            await errors;
            await process.WaitForExitAsync();
            return output;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Repository.Missing($"{command[0]} is missing (Debian, Ubuntu: apt-get install {command[0]})");
            throw;
        }
    }

    private string[] Command(string name, string mode) => ClientPrograms.Command(name, mode, _server.WebSocketUri.ToString());
}
