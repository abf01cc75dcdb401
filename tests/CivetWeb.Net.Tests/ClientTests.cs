using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// The running EchoServer and the clients people use: .NET's ClientWebSocket, Python's websockets, Node's ws. Each client
/// tells what it saw in lines; the two programs are in tests/clients.
/// </summary>
[TestFixture]
internal sealed class ClientTests
{
    private static readonly string[] Clients = ["dotnet", "python-websockets", "node-ws"];

    private EchoServerProcess _server = null!;

    [SetUp]
    public async Task StartServer() => _server = await EchoServerProcess.StartAsync();

    [TearDown]
    public void StopServer() => _server.Dispose();

    [TestCaseSource(nameof(Clients))]
    public async Task Echoes_text_and_binary_and_closes_with_1000(string name)
    {
        using IClient client = Start(name, "echo");
        Assert.That(await client.FinishAsync(), Is.EqualTo((string[])["welcome", "echoed 4 texts, 3 binaries", "closed 1000"]));
        Assert.That((await _server.LinesAsync(7))[^1], Is.EqualTo("WebSocket client disconnected"));
        Assert.That(_server.Errors, Is.Empty);
    }

    [TestCaseSource(nameof(Clients))]
    public async Task Is_told_when_the_server_stops(string name)
    {
        using IClient client = Start(name, "wait");
        await Eventually.IsTrueAsync(() => client.IsGreeted, "the client is greeted");
        _server.Signal("TERM");
        Assert.That(await client.FinishAsync(), Is.EqualTo((string[])["welcome", "closed 1001"]));
        await _server.WaitForExitAsync();
        Assert.That(_server.ExitCode, Is.Zero);
    }

    [Test]
    public async Task All_of_them_are_told_when_the_server_stops()
    {
        IClient[] clients = [.. Clients.Select(name => Start(name, "wait"))];
        try
        {
            await Eventually.IsTrueAsync(() => clients.All(client => client.IsGreeted), "the clients are greeted");
            _server.Signal("TERM");
            foreach (IClient client in clients)
            {
                Assert.That(await client.FinishAsync(), Is.EqualTo((string[])["welcome", "closed 1001"]));
            }
        }
        finally
        {
            Array.ForEach(clients, client => client.Dispose());
        }
    }

    private IClient Start(string name, string mode) => name == "dotnet"
        ? new DotNetClient(_server.WebSocketUri, mode)
        : new ProcessClient(ClientPrograms.Command(name, mode, _server.WebSocketUri.ToString()));

    private interface IClient : IDisposable
    {
        bool IsGreeted { get; }

        /// <summary>What the client saw; throws when it was not as it should be.</summary>
        Task<string[]> FinishAsync();
    }

    private sealed class ProcessClient(params string[] command) : IClient
    {
        private readonly LineProcess _process = new(command);

        public bool IsGreeted => _process.HasExited || _process.Lines.Contains("welcome");

        public Task<string[]> FinishAsync() => _process.FinishAsync(TestServer.Patience);

        public void Dispose() => _process.Dispose();
    }

    private sealed class DotNetClient : IClient
    {
        private readonly List<string> _lines = [];
        private readonly ClientWebSocket _socket = new();
        private readonly Task _task;
        private volatile bool _greeted;

        public DotNetClient(Uri uri, string mode)
        {
            _socket.Options.Proxy = null;
            _task = RunAsync(uri, mode);
        }

        public bool IsGreeted => _greeted || _task.IsCompleted;

        public async Task<string[]> FinishAsync()
        {
            await _task;
            return [.. _lines];
        }

        public void Dispose() => _socket.Dispose();

        private async Task RunAsync(Uri uri, string mode)
        {
            using var timeout = new CancellationTokenSource(TestServer.Patience);
            await _socket.ConnectAsync(uri, timeout.Token);
            Assert.That(await _socket.ReceiveTextAsync(), Is.EqualTo("Welcome!"));
            _lines.Add("welcome");
            _greeted = true;
            if (mode == "echo")
            {
                await EchoAsync();
                await _socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "bye", timeout.Token);
            }
            else
            {
                Assert.That((await _socket.ReceiveMessageAsync()).Type, Is.EqualTo(WebSocketMessageType.Close));
                await _socket.CloseOutputAsync(_socket.CloseStatus!.Value, "", timeout.Token);
            }

            _lines.Add($"closed {(int)_socket.CloseStatus!.Value}");
        }

        private async Task EchoAsync()
        {
            string[] texts = ["Hello!", "", "Grüße, 世界, 👩‍👩‍👧 \U0001f600", new('x', 70_000)];
            byte[][] binaries =
            [
                [],
                [.. Enumerable.Range(0, 256).Select(i => (byte)i)],
                [.. Enumerable.Range(0, 1 << 20).Select(i => (byte)(i * 7L % 251))],
            ];
            foreach (string text in texts)
            {
                await _socket.SendTextAsync(text);
                Assert.That(await _socket.ReceiveTextAsync(), Is.EqualTo(text));
            }

            foreach (byte[] binary in binaries)
            {
                await _socket.SendBinaryAsync(binary);
                (WebSocketMessageType type, byte[] data) = await _socket.ReceiveMessageAsync();
                Assert.That(type, Is.EqualTo(WebSocketMessageType.Binary));
                Assert.That(data.AsSpan().SequenceEqual(binary), $"binary of {binary.Length} bytes");
            }

            _lines.Add($"echoed {texts.Length} texts, {binaries.Length} binaries");
        }
    }
}
