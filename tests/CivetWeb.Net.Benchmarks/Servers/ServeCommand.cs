using System;

namespace CivetWeb.Net.Benchmarks.Servers;

/// <summary>Runs one server: says "port N" on standard output and serves until standard input ends.</summary>
internal static class ServeCommand
{
    public static int Run(string name, ServeOptions options)
    {
        using IDisposable server = Start(name, options, out int port);
        Console.WriteLine($"port {port}");
        while (Console.Read() >= 0)
        {
        }

        // Without stopping in order, which would wait for clients: there is nothing to be kept.
        Environment.Exit(0);
        return 0;
    }

    private static IDisposable Start(string name, ServeOptions options, out int port)
    {
        switch (name)
        {
            case "callback":
                var callback = new CallbackServer(options);
                port = callback.Port;
                return callback;
            case "server":
                var server = new ServerApiServer(options);
                port = server.Port;
                return server;
            case "kestrel":
                var kestrel = new KestrelServer(options);
                port = kestrel.Port;
                return kestrel;
            default:
                throw new FormatException($"There is no server '{name}' here: callback, server or kestrel.");
        }
    }
}
