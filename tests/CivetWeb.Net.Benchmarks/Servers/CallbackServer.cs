using System;
using System.Collections.Generic;
using System.Globalization;

namespace CivetWeb.Net.Benchmarks.Servers;

/// <summary>Echo and broadcast with the callback API.</summary>
internal sealed class CallbackServer : IDisposable
{
    private readonly Context _context;

    public CallbackServer(ServeOptions options)
    {
        var settings = new Dictionary<string, string>
        {
            ["listening_ports"] = options.Certificate is null ? "127.0.0.1:0" : "127.0.0.1:0s",
        };
        if (options.Certificate is not null)
        {
            settings["ssl_certificate"] = options.Certificate;
        }

        if (options.KeepsThreads)
        {
            settings["websocket_keep_thread"] = "yes";
        }

        if (options.Connections > 200)
        {
            settings["num_threads"] = (options.Connections + 64).ToString(CultureInfo.InvariantCulture);
            settings["websocket_max_connections"] = (options.Connections + 16).ToString(CultureInfo.InvariantCulture);
        }

        var callbacks = new Callbacks { InitContext = context => Map(context, options.Sleep) };
        _context = Http.StartServer(callbacks, settings);
    }

    public int Port => _context.Port;

    public void Dispose() => _context.Dispose();

    private static void Map(Context context, int sleep)
    {
        Http.SetWebSocketHandler(context, "/echo", null, null, sleep == 0 ? Echo : (connection, bits, data, userData) =>
        {
            Blocking.Sleep(sleep);
            return Echo(connection, bits, data, userData);
        }, null);
        Http.SetWebSocketHandler(context, "/broadcast", null, Greet, Broadcast, null);
    }

    private static int Echo(Connection connection, int bits, ReadOnlySpan<byte> data, object? userData) =>
        bits is 1 or 2 && Http.WriteToWebSocket(connection, bits, data) < 0 ? 0 : 1;

    private static void Greet(Connection connection, object? userData) => Http.WriteTextToWebSocket(connection, "+"u8);

    private static int Broadcast(Connection connection, int bits, ReadOnlySpan<byte> data, object? userData)
    {
        if (bits is 1 or 2)
        {
            Http.BroadcastToWebSockets(connection.Context, "/broadcast", bits, data);
        }

        return 1;
    }
}
