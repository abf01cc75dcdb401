using System.IO;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// The WebSocket clients people use, as programs in tests/clients: what to run for each of them. Where one is missing the test
/// is skipped, or fails in CI.
/// </summary>
internal static class ClientPrograms
{
    private const string Python = "/usr/bin/python3"; // Debian's, which has Debian's packages

    /// <summary>Every one of them.</summary>
    public static readonly string[] All = ["python-websockets", "python-websocket-client", "node-ws", "node"];

    /// <param name="name">One of <see cref="All"/>.</param>
    /// <param name="mode">echo or wait.</param>
    /// <param name="url">The WebSocket, which greets with Welcome! and is an echo then.</param>
    public static string[] Command(string name, string mode, string url)
    {
        string folder = Path.Combine(Repository.Root, "tests", "clients");
        switch (name)
        {
            case "python-websockets":
                if (!EchoServerProcess.TryRun(Python, "-c", "import websockets"))
                {
                    Repository.Missing($"{Python} with the package websockets is missing (Debian, Ubuntu: apt-get install python3-websockets)");
                }

                return [Python, Path.Combine(folder, "echo_client.py"), mode, url];
            case "python-websocket-client":
                if (!EchoServerProcess.TryRun(Python, "-c", "import websocket; websocket.create_connection"))
                {
                    Repository.Missing($"{Python} with the package websocket-client is missing (Debian, Ubuntu: apt-get install python3-websocket)");
                }

                return [Python, Path.Combine(folder, "echo_websocket_client.py"), mode, url];
            case "node-ws":
                FindNode();
                if (!File.Exists(Path.Combine(folder, "node_modules", "ws", "package.json")))
                {
                    Repository.Missing("the npm package ws is missing (run tests/clients/install.sh)");
                }

                return ["node", Path.Combine(folder, "echo_client.mjs"), mode, url];
            default:
                FindNode();
                return NodeItself(Path.Combine(folder, "echo_builtin.mjs"), mode, url);
        }
    }

    private static void FindNode()
    {
        if (!EchoServerProcess.TryRun("node", "--version"))
        {
            Repository.Missing("Node.js is missing (Debian, Ubuntu: apt-get install nodejs npm)");
        }
    }

    private static string[] NodeItself(string script, string mode, string url)
    {
        const string Check = "process.exit(typeof WebSocket === 'function' ? 0 : 1)";
        if (EchoServerProcess.TryRun("node", "-e", Check))
        {
            return ["node", script, mode, url];
        }

        const string Flag = "--experimental-websocket";
        if (!EchoServerProcess.TryRun("node", Flag, "-e", Check))
        {
            // Not a missing tool: Debian 12's is older.
            Assert.Ignore("This Node.js has no WebSocket of its own; 22 has, and 20 with " + Flag + ".");
        }

        return ["node", Flag, "--no-warnings", script, mode, url];
    }
}
