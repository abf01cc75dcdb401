using System;
using System.Collections.Generic;
using CivetWeb.Net.Core;

namespace CivetWeb.Net.CallbackApi;

/// <summary>
/// A running server (<c>struct mg_context</c>). Started by <see cref="Http.StartServer(RequestCallback, string)"/> and its
/// overloads, stopped by <see cref="Http.StopServer(Context)"/> or by disposing of it; until then it stays alive even
/// when nothing refers to it.
/// </summary>
/// <remarks>All members may be used from any thread.</remarks>
public sealed class Context : IDisposable
{
    private static readonly TimeSpan DefaultDrainTime = TimeSpan.FromSeconds(5);

    private ServerPort[]? _ports;

    internal Context(CallbackHost host) => Host = host;

    /// <summary>The object given when the server was started.</summary>
    public object? UserData => Host.UserData;

    /// <summary>The TCP ports the server listens on, in the order of <c>listening_ports</c>; Unix domain sockets are not among them.</summary>
    public IReadOnlyList<ServerPort> Ports
    {
        get
        {
            if (_ports is null && Host.Ports is { Length: > 0 } ports)
            {
                _ports = Array.ConvertAll(ports, port => new ServerPort(port.Port, port.IsTls, port.IsRedirect));
            }

            return _ports ?? [];
        }
    }

    /// <summary>The first port of <see cref="Ports"/>; 0 without any.</summary>
    public int Port => Ports is [var first, ..] ? first.Port : 0;

    /// <summary>Whether the server is running: started, and nobody has begun to stop it.</summary>
    public bool IsRunning => Host.IsRunning;

    /// <summary>How many WebSockets are open, including those whose connect callback is still running.</summary>
    public int WebSocketCount => Host.WebSocketCount;

    internal CallbackHost Host { get; }

    /// <summary>Stops the server, as <see cref="Http.StopServer(Context)"/> does.</summary>
    /// <exception cref="InvalidOperationException">Called from inside a callback, for whose end it would have to wait.</exception>
    public void Dispose() => Host.Stop(DefaultDrainTime);

    internal static Context Start(Callbacks callbacks, ServerSettings settings, object? userData)
    {
        var host = new CallbackHost(callbacks.Clone(), settings, userData);
        host.Start();
        return host.Context;
    }
}
