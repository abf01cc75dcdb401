using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// Clients that are gone without a word: killed, suspended, or with their network pulled. Each ends with exactly one close
/// callback, or end of the handler, within the documented time: websocket_ping_interval_ms and then websocket_pong_timeout_ms, or
/// KeepAliveInterval and then KeepAliveTimeout.
/// </summary>
[TestFixture]
[Platform("Linux")]
internal sealed class VanishingClientTests
{
    private const string Python = "/usr/bin/python3"; // Debian's, which has Debian's packages
    private const int PingInterval = 500;
    private const int PongTimeout = 3000;

    /// <summary>What a busy machine may add to the documented time.</summary>
    private static readonly TimeSpan Allowance = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan DocumentedTime = TimeSpan.FromMilliseconds(PingInterval + PongTimeout);

    private static int s_networks;

    [SetUp]
    public void FindPython()
    {
        if (!EchoServerProcess.TryRun(Python, "-c", "import websockets"))
        {
            Repository.Missing($"{Python} with the package websockets is missing (Debian, Ubuntu: apt-get install python3-websockets)");
        }
    }

    [Test]
    public async Task A_killed_client_is_closed_at_once_without_any_ping([Values] Api api)
    {
        using EchoTarget server = EchoTarget.Start(api, new EchoSettings { PingInterval = 0 });
        var room = new Room(server);
        using Process client = await room.EnterAsync(Client($"ws://127.0.0.1:{server.Port}/ws"));
        long start = Stopwatch.GetTimestamp();
        EchoServerProcess.Signal(client.Id, "KILL");
        await room.IsEmptyAsync(start, TimeSpan.Zero);
    }

    [Test]
    public async Task A_suspended_client_is_closed_within_the_documented_time([Values] Api api)
    {
        using EchoTarget server = Start(api, "127.0.0.1");
        var room = new Room(server);
        using Process client = await room.EnterAsync(Client($"ws://127.0.0.1:{server.Port}/ws"));
        try
        {
            // While it runs it answers every ping, and stays.
            await room.StaysAsync(TimeSpan.FromMilliseconds(PingInterval + PongTimeout + 500));
            long start = Stopwatch.GetTimestamp();
            EchoServerProcess.Signal(client.Id, "STOP");
            await room.IsEmptyAsync(start, DocumentedTime);
        }
        finally
        {
            client.Kill();
        }
    }

    [Test]
    public async Task A_client_whose_network_is_pulled_is_closed_within_the_documented_time([Values] Api api)
    {
        using Network network = Network.Create();
        using EchoTarget server = Start(api, network.ServerAddress);
        var room = new Room(server);
        using Process client = await room.EnterAsync(
            ["ip", "netns", "exec", network.Name, .. Client($"ws://{network.ServerAddress}:{server.Port}/ws")]);
        try
        {
            if (api == Api.Callbacks)
            {
                // With the server API the suspended client shows it, in less time for both.
                await room.StaysAsync(TimeSpan.FromMilliseconds(PingInterval + PongTimeout + 500));
            }

            long start = Stopwatch.GetTimestamp();
            network.Pull();
            await room.IsEmptyAsync(start, DocumentedTime);

            // Plugged in again, the old connection stays gone, and a new one works.
            network.Plug();
            using Process next = await room.EnterAsync(
                ["ip", "netns", "exec", network.Name, .. Client($"ws://{network.ServerAddress}:{server.Port}/ws")]);
            start = Stopwatch.GetTimestamp();
            EchoServerProcess.Signal(next.Id, "KILL");
            await room.IsEmptyAsync(start, DocumentedTime);
        }
        finally
        {
            client.Kill();
            await client.WaitForExitAsync();
        }
    }

    /// <summary>Messages on their way to it do not keep it alive, nor make a second close callback.</summary>
    [Test]
    public async Task A_client_that_is_written_to_while_its_network_is_pulled_is_closed_in_time_too([Values] Api api)
    {
        using Network network = Network.Create();
        using EchoTarget server = Start(api, network.ServerAddress);
        var room = new Room(server);
        using Process client = await room.EnterAsync(
            ["ip", "netns", "exec", network.Name, .. Client($"ws://{network.ServerAddress}:{server.Port}/ws")]);
        try
        {
            long start = Stopwatch.GetTimestamp();
            network.Pull();
            await Task.Run(async () =>
            {
                byte[] message = new byte[1000];
                while (await server.TrySendToLastAsync(message))
                {
                    await Task.Delay(20);
                }
            }).WaitAsync(TestServer.Patience);
            await room.IsEmptyAsync(start, DocumentedTime);
        }
        finally
        {
            client.Kill();
            await client.WaitForExitAsync();
        }
    }

    private static EchoTarget Start(Api api, string address) =>
        EchoTarget.Start(api, new EchoSettings { Address = address, PingInterval = PingInterval, PongTimeout = PongTimeout });

    private static string[] Client(string url) => [Python, Path.Combine(Repository.Root, "tests", "clients", "hold_client.py"), url];

    /// <summary>The WebSockets of a server at /ws, counted.</summary>
    private sealed class Room(EchoTarget server)
    {
        private readonly EchoCounts _counts = server.Counts;

        /// <summary>Runs a client that says "open" when it is.</summary>
        public async Task<Process> EnterAsync(string[] command)
        {
            int before = Volatile.Read(ref _counts.Readies);
            Process client = Process.Start(EchoServerProcess.StartInfo(command))!;
            try
            {
                using var timeout = new CancellationTokenSource(TestServer.Patience);
                Task<string> errors = client.StandardError.ReadToEndAsync(CancellationToken.None);
                string? line = await client.StandardOutput.ReadLineAsync(timeout.Token);
                Assert.That(line, Is.EqualTo("open"), () => errors.Wait(1000) ? errors.Result : "");
                await Eventually.IsTrueAsync(() => Volatile.Read(ref _counts.Readies) == before + 1, "the client is ready");
                return client;
            }
            catch
            {
                client.Kill();
                client.Dispose();
                throw;
            }
        }

        /// <summary>Nobody leaves in that time.</summary>
        public async Task StaysAsync(TimeSpan time)
        {
            int before = Volatile.Read(ref _counts.Closes);
            await Task.Delay(time);
            Assert.That(Volatile.Read(ref _counts.Closes), Is.EqualTo(before), "close callbacks");
        }

        /// <summary>Everybody has left in time, with one close callback each, and nothing follows.</summary>
        public async Task IsEmptyAsync(long start, TimeSpan documented)
        {
            await Eventually.IsTrueAsync(() => Volatile.Read(ref _counts.Closes) >= Volatile.Read(ref _counts.Readies), "the close callback");
            TimeSpan taken = Stopwatch.GetElapsedTime(start);
            TestContext.Out.WriteLine($"closed after {taken.TotalMilliseconds:F0} ms; documented: {documented.TotalMilliseconds:F0} ms");
            Assert.That(taken, Is.LessThan(documented + Allowance));
            Assert.That(await server.TrySendToLastAsync("too late"u8.ToArray()), Is.False);
            await Task.Delay(1000);
            Assert.That(Volatile.Read(ref _counts.Closes), Is.EqualTo(Volatile.Read(ref _counts.Readies)), "close callbacks");
        }
    }

    /// <summary>A network namespace with one cable to here, for which addresses of 198.18.0.0/15 are taken (RFC 2544).</summary>
    private sealed class Network : IDisposable
    {
        private readonly string _here;
        private readonly string _there;
        private readonly string _clientAddress;

        private Network()
        {
            int number = Interlocked.Increment(ref s_networks);
            int subnet = (Environment.ProcessId * 8 + number) % 32768 * 4;
            string prefix = string.Create(CultureInfo.InvariantCulture, $"198.{18 + (subnet >> 16)}.{subnet >> 8 & 255}");
            ServerAddress = string.Create(CultureInfo.InvariantCulture, $"{prefix}.{(subnet & 255) + 1}");
            _clientAddress = string.Create(CultureInfo.InvariantCulture, $"{prefix}.{(subnet & 255) + 2}");
            string id = string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId:x}n{number}");
            Name = $"cwn-{id}";
            _here = $"cwa{id}";
            _there = $"cwb{id}";
        }

        public string Name { get; }

        public string ServerAddress { get; }

        public static Network Create()
        {
            if (!EchoServerProcess.TryRun("ip", "-V"))
            {
                Repository.Missing("ip is missing (Debian, Ubuntu: apt-get install iproute2)");
            }

            var network = new Network();
            try
            {
                if (!EchoServerProcess.TryRun("ip", "netns", "add", network.Name)
                    || !EchoServerProcess.TryRun("ip", "link", "add", network._here, "type", "veth", "peer", "name", network._there, "netns", network.Name))
                {
                    Assert.Ignore("Network namespaces and veth pairs are not permitted here (they take root).");
                }

                Run("addr", "add", $"{network.ServerAddress}/30", "dev", network._here);
                Run("link", "set", network._here, "up");
                Run("-n", network.Name, "addr", "add", $"{network._clientAddress}/30", "dev", network._there);
                network.Plug();
                return network;
            }
            catch
            {
                network.Dispose();
                throw;
            }
        }

        /// <summary>The client's end of the cable.</summary>
        public void Pull() => Run("-n", Name, "link", "set", _there, "down");

        public void Plug() => Run("-n", Name, "link", "set", _there, "up");

        public void Dispose()
        {
            _ = EchoServerProcess.TryRun("ip", "link", "del", _here); // both ends
            _ = EchoServerProcess.TryRun("ip", "netns", "del", Name);
        }

        private static void Run(params string[] arguments) =>
            Assert.That(EchoServerProcess.TryRun(["ip", .. arguments]), $"ip {string.Join(' ', arguments)}");
    }
}
