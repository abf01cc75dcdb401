using System;
using System.Globalization;

namespace CivetWeb.Net.EchoServer;

/// <summary>What the command line asks for.</summary>
internal sealed record CommandLine(string Host, int Port, bool Quiet, bool Help)
{
    public const string Usage = """
        Usage: EchoServer [--port N] [--host ADDRESS] [--quiet] [--help]

        Serves a page at / and a WebSocket at /websocket that sends back what it gets.

          --port N        TCP port, 0 to 65535; 0 lets the system choose (default 8080)
          --host ADDRESS  address to listen on (default 127.0.0.1: this machine only;
                          0.0.0.0: every IPv4 address; +: every IPv4 and IPv6 address)
          --quiet         no line for each connection and message
          --help          this text

        Ctrl+C stops the server: clients are told (close code 1001).
        """;

    /// <summary>What CivetWeb's listening_ports option wants.</summary>
    public string Listen => Host == "+"
        ? string.Create(CultureInfo.InvariantCulture, $"+{Port}")
        : string.Create(CultureInfo.InvariantCulture, $"{(Host.Contains(':') && Host[0] != '[' ? $"[{Host}]" : Host)}:{Port}");

    /// <summary>Parses the arguments; the message of the exception is for the user.</summary>
    public static CommandLine Parse(ReadOnlySpan<string> arguments)
    {
        var result = new CommandLine("127.0.0.1", 8080, false, false);
        for (int i = 0; i < arguments.Length; i++)
        {
            switch (arguments[i])
            {
                case "--help" or "-h":
                    result = result with { Help = true };
                    break;
                case "--quiet":
                    result = result with { Quiet = true };
                    break;
                case "--port":
                    string text = Value(arguments, ref i);
                    result = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port <= 65535
                        ? result with { Port = port }
                        : throw new FormatException($"--port is '{text}', but it must be a number from 0 to 65535.");
                    break;
                case "--host":
                    result = result with { Host = Value(arguments, ref i) };
                    break;
                default:
                    throw new FormatException($"Unknown argument '{arguments[i]}'. Try --help.");
            }
        }

        return result;
    }

    private static string Value(ReadOnlySpan<string> arguments, ref int index) =>
        ++index < arguments.Length
            ? arguments[index]
            : throw new FormatException($"{arguments[index - 1]} needs a value. Try --help.");
}
