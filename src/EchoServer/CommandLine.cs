using System;
using System.Collections.Generic;
using System.Globalization;

namespace CivetWeb.Net.EchoServer;

/// <summary>What the command line asks for.</summary>
internal sealed record CommandLine
{
    public const string Usage = """
        Usage: EchoServer [--port N] [--host ADDRESS] [--log LEVEL] [--origins LIST] [--max-message BYTES]

        Serves a page at / and a WebSocket at /websocket that sends back what it receives.

          --port N             TCP port, 0 to 65535; 0 lets the system choose (default 8080)
          --host ADDRESS       address to listen on (default 127.0.0.1: this machine only;
                               0.0.0.0: every IPv4 address; +: every IPv4 and IPv6 address)
          --log LEVEL          quiet: no line for each connection and message
                               normal: the default
                               debug: also pings, pongs, closes, requests and CivetWeb's own
                               messages, with times
          --quiet              the same as --log quiet
          --origins LIST       origins whose pages may connect, with commas; others get 403 (default: all).
                               self is the page of this server, * is every page. Programs that
                               send no Origin are let in.
          --max-message BYTES  a larger message closes its WebSocket with 1009 (default 16777216)
          --help, -h           this text

        Examples:
          EchoServer                                  then open http://localhost:8080/ in a browser
          EchoServer --host 0.0.0.0                   also for a phone on the same network
          EchoServer --port 0 --log quiet             any free port; the first line says which
          EchoServer --origins self,https://example.org --max-message 65536

        To try in another terminal:
          curl -i http://localhost:8080/
          python3 -m websockets ws://localhost:8080/websocket     (Debian: python3-websockets)
          npx wscat -c ws://localhost:8080/websocket -s echo.v1   (subprotocols: echo.v1, echo.v2)

        While it runs:
          s          on the keyboard, or the signal SIGUSR1 (kill -USR1 PID), shows the counters
          Ctrl+C     or SIGTERM stops it: clients are told (close code 1001)

        Environment: NO_COLOR=1 switches colours off. With NOTIFY_SOCKET, systemd is told when
        the server is ready (Type=notify) and when it stops. Exit codes: 0 stopped, 1 cannot listen,
        2 wrong arguments.
        """;

    public string Host { get; private init; } = "127.0.0.1";

    public int Port { get; private init; } = 8080;

    public LogLevel Log { get; private init; } = LogLevel.Normal;

    public string? Origins { get; private init; }

    public int? MaxMessage { get; private init; }

    public bool Help { get; private init; }

    /// <summary>Whether the server can be reached from other machines.</summary>
    public bool ListensEverywhere => Host is "+" or "0.0.0.0" or "::" or "[::]";

    /// <summary>The server's options; see docs/options.md.</summary>
    public Dictionary<string, string> ServerOptions
    {
        get
        {
            var options = new Dictionary<string, string>
            {
                ["listening_ports"] = Host == "+"
                    ? string.Create(CultureInfo.InvariantCulture, $"+{Port}")
                    : string.Create(CultureInfo.InvariantCulture, $"{BracketedHost}:{Port}"),
            };
            if (Origins is not null)
            {
                options["websocket_allowed_origins"] = Origins;
            }

            if (MaxMessage is int most)
            {
                options["websocket_max_message_size"] = most.ToString(CultureInfo.InvariantCulture);
            }

            return options;
        }
    }

    /// <summary>The host of the URLs to open.</summary>
    public string UrlHost => ListensEverywhere || Host == "127.0.0.1" ? "localhost" : BracketedHost;

    private string BracketedHost => Host.Contains(':') && Host[0] != '[' ? $"[{Host}]" : Host;

    /// <summary>Parses the arguments; the message of the exception is for the user.</summary>
    public static CommandLine Parse(ReadOnlySpan<string> arguments)
    {
        var result = new CommandLine();
        for (int i = 0; i < arguments.Length; i++)
        {
            switch (arguments[i])
            {
                case "--help" or "-h":
                    result = result with { Help = true };
                    break;
                case "--quiet":
                    result = result with { Log = LogLevel.Quiet };
                    break;
                case "--log":
                    result = result with { Log = Level(Value(arguments, ref i)) };
                    break;
                case "--port":
                    result = result with { Port = Number("--port", Value(arguments, ref i), 0, 65535) };
                    break;
                case "--host":
                    result = result with { Host = Address(Value(arguments, ref i)) };
                    break;
                case "--origins":
                    result = result with { Origins = OriginList(Value(arguments, ref i)) };
                    break;
                case "--max-message":
                    result = result with { MaxMessage = Number("--max-message", Value(arguments, ref i), 1, int.MaxValue) };
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

    private static int Number(string name, string text, int lowest, int highest) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= lowest && number <= highest
            ? number
            : throw new FormatException($"{name} is '{text}', but it must be a number from {lowest} to {highest}.");

    private static LogLevel Level(string text) => text switch
    {
        "quiet" => LogLevel.Quiet,
        "normal" => LogLevel.Normal,
        "debug" => LogLevel.Debug,
        _ => throw new FormatException($"--log is '{text}', but it must be quiet, normal or debug."),
    };

    // CivetWeb's option takes a list of ports; here it is one address.
    private static string Address(string text) =>
        text.Length > 0 && !text.AsSpan().ContainsAny(", \t\n")
            ? text
            : throw new FormatException($"--host is '{text}', but it must be one address, such as 127.0.0.1.");

    // A browser sends scheme, host and port, nothing else: an origin with a path would never match.
    private static string OriginList(string text)
    {
        foreach (string origin in text.Split(',', StringSplitOptions.TrimEntries))
        {
            bool valid = origin is "*" or "self"
                || (Uri.TryCreate(origin, UriKind.Absolute, out Uri? uri)
                    && origin.Contains("://", StringComparison.Ordinal)
                    && !origin.EndsWith('/')
                    && uri.PathAndQuery is "/" or "");
            if (!valid)
            {
                throw new FormatException($"--origins has '{origin}', but an origin is self, *, or written like https://example.org or http://localhost:8080, without a path.");
            }
        }

        return text;
    }
}
