using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// A real server on loopback, on a port of the system's choice. An exception that left a callback fails the test when
/// the server is disposed of, unless the test expects it.
/// </summary>
internal sealed class TestServer : IDisposable
{
    /// <summary>Generous: it is only reached when something is broken.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly ConcurrentQueue<Exception> _exceptions = new();

    public TestServer(params (string Name, string Value)[] options)
        : this(new Callbacks(), options)
    {
    }

    public TestServer(Callbacks callbacks, params (string Name, string Value)[] options)
    {
        callbacks.UnhandledException ??= (exception, _) => _exceptions.Enqueue(exception);
        var all = new Dictionary<string, string>
        {
            ["listening_ports"] = "127.0.0.1:0",
            ["num_threads"] = "64",
            ["allowed_hosts"] = "*", // tests name the host they like; HostTests are about who is refused
        };
        foreach ((string name, string value) in options)
        {
            all[name] = value;
        }

        Context = Http.StartServer(callbacks, all, this);
    }

    public Context Context { get; }

    public int Port => Context.Port;

    /// <summary>Exceptions that left callbacks; a test that expects them takes them out.</summary>
    public ConcurrentQueue<Exception> Exceptions => _exceptions;

    public Uri Uri(string path = "/ws") => new($"ws://127.0.0.1:{Port}{path}");

    /// <summary>An echo at the path, counting what it sees.</summary>
    public EchoCounts MapEcho(string path = "/ws")
    {
        var counts = new EchoCounts();
        Http.SetWebSocketHandler(
            Context,
            path,
            (_, _) =>
            {
                Interlocked.Increment(ref counts.Connects);
                return 0;
            },
            (_, _) => Interlocked.Increment(ref counts.Readies),
            (connection, bits, data, _) =>
            {
                Interlocked.Increment(ref counts.Frames);
                return bits is 1 or 2 && Http.WriteToWebSocket(connection, bits, data) != data.Length ? 0 : 1;
            },
            (_, _) => Interlocked.Increment(ref counts.Closes));
        return counts;
    }

    public async Task<ClientWebSocket> ConnectAsync(string path = "/ws", Action<ClientWebSocketOptions>? configure = null)
    {
        var client = new ClientWebSocket();
        configure?.Invoke(client.Options);
        using var timeout = new CancellationTokenSource(Patience);
        await client.ConnectAsync(Uri(path), timeout.Token);
        return client;
    }

    public void Dispose()
    {
        Context.Dispose();
        Assert.That(_exceptions, Is.Empty, "exceptions left callbacks");
    }
}

/// <summary>How often each callback of an echo was called.</summary>
internal sealed class EchoCounts
{
    public int Connects;
    public int Readies;
    public int Frames;
    public int Closes;
}
