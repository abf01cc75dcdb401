using System;
using System.Text;
using System.Threading.Tasks;
using CivetWeb.Net;
using CivetWeb.Net.CallbackApi;

namespace CivetWeb.Net.Tests;

/// <summary>
/// The C# of README.md and docs/: DocumentationTests compares every block with a region here, word for word, and runs
/// them. A using line at the head of a block is one of this file's.
/// </summary>
internal static class ReadmeExamples
{
    /// <summary>A whole program.</summary>
    public static void Echo(string[] args)
    {
        #region echo
        string port = args.Length > 0 ? args[0] : "127.0.0.1:8080";
        using Context context = Http.StartServer(ServePage, port);
        Http.SetWebSocketHandler(context, "/websocket", OnConnect, OnReady, OnData, OnClose);
        Console.WriteLine($"Listening on http://localhost:{context.Port}/ - press Enter to stop.");
        Console.ReadLine();

        static int ServePage(Connection connection)
        {
            if (Http.GetRequestInfo(connection).LocalUri != "/")
            {
                return 0; // not ours: CivetWeb goes on, to a WebSocket handler or a 404
            }

            const string Page = """
                <!DOCTYPE html>
                <title>WebSocket echo</title>
                <pre id="log"></pre>
                <script>
                  const log = text => document.getElementById("log").append(text + "\n");
                  const socket = new WebSocket("ws://" + location.host + "/websocket");
                  socket.onopen = () => socket.send("Hello!");
                  socket.onmessage = event => log("received: " + event.data);
                  socket.onclose = event => log("closed: " + event.code);
                </script>
                """;
            Http.Print(connection, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + Page);
            return 200;
        }

        static int OnConnect(Connection connection, object? userData)
        {
            Console.WriteLine($"WebSocket client connected: {Http.GetRequestInfo(connection).RemoteAddress}");
            return 0; // accept
        }

        static void OnReady(Connection connection, object? userData)
        {
            Console.WriteLine("WebSocket connection ready");
            Http.WriteTextToWebSocket(connection, "Welcome!");
        }

        static int OnData(Connection connection, int bits, ReadOnlySpan<byte> data, object? userData)
        {
            if (bits == 1)
            {
                Console.WriteLine($"Received message: {Encoding.UTF8.GetString(data)}");
                Http.WriteTextToWebSocket(connection, data);
            }

            return 1; // keep open
        }

        static void OnClose(Connection connection, object? userData)
        {
            Console.WriteLine("WebSocket client disconnected");
        }
        #endregion
    }

    /// <summary>Returns the server for the test to look at and to stop.</summary>
    public static Context Options()
    {
        #region options
        string[] options =
        [
            "listening_ports", "127.0.0.1:0", // the system chooses a port: context.Port
            "websocket_max_message_size", "65536",
            "websocket_allowed_origins", "https://example.org, https://www.example.org",
            "num_threads", "64",
        ];
        Context context = Http.StartServer(connection => 0, options);
        #endregion
        return context;
    }

    /// <summary>The options of a server with TLS.</summary>
    public static string[] Tls()
    {
        #region callback-tls
        string[] options =
        [
            "listening_ports", "127.0.0.1:8080,8443s", // s: TLS
            "ssl_certificate", "/etc/example/server.pem", // certificate and key
            "ssl_protocol_version", "5", // TLS 1.3
        ];
        #endregion
        return options;
    }

    /// <summary>Sets a handler that writes from a thread of its own.</summary>
    public static void Clock(Context context)
    {
        #region clock
        Http.SetWebSocketHandler(
            context,
            "/clock",
            connect: null, // accepts everybody
            ready: (connection, userData) => Task.Run(async () =>
            {
                while (Http.WriteTextToWebSocket(connection, $"{DateTime.UtcNow:O}") >= 0)
                {
                    await Task.Delay(1000);
                }
            }),
            data: null,
            close: null);
        #endregion
    }

    /// <summary>Sets a handler that tells everybody what anybody says.</summary>
    public static void Broadcast(Context context)
    {
        #region broadcast
        Http.SetWebSocketHandler(
            context,
            "/chat",
            connect: null,
            ready: null,
            data: (connection, bits, data, userData) =>
            {
                if (bits == 1)
                {
                    Http.BroadcastToWebSockets(context, "/chat", bits, data);
                }

                return 1;
            },
            close: null);
        #endregion
    }

    /// <summary>A server with its set of callbacks; the test looks at it before it is stopped.</summary>
    public static void Server(Action<Context> use)
    {
        #region callback-server
        var callbacks = new Callbacks
        {
            BeginRequest = Serve,
            InitContext = server => Http.SetWebSocketHandler(server, "/news", connect: null, ready: Greet, data: null, close: null),
            LogMessage = (connection, message) =>
            {
                Console.Error.WriteLine(message);
                return 1; // written; error_log_file need not be
            },
            UnhandledException = (exception, callback) => Console.Error.WriteLine($"in {callback}: {exception}"),
        };
        string[] options = ["listening_ports", "127.0.0.1:0", "num_threads", "64"];
        using Context context = Http.StartServer(callbacks, options, userData: "the news");
        #endregion
        use(context);
    }

    /// <summary>Sets a handler for those who say what they speak.</summary>
    public static void Subprotocols(Context context)
    {
        #region subprotocols
        Http.SetWebSocketHandlerWithSubprotocols(
            context,
            "/orders",
            ["orders.v2", "orders.v1"],
            connect: (connection, userData) => Http.GetRequestInfo(connection).Subprotocol is null ? 1 : 0,
            ready: (connection, userData) => Http.WriteTextToWebSocket(connection, $"speaking {Http.GetRequestInfo(connection).Subprotocol}"),
            data: null,
            close: null);
        #endregion
    }

    /// <summary>Sets a handler for those who have a session.</summary>
    public static void Sessions(Context context)
    {
        Http.SetWebSocketHandler(
            context,
            "/private",
            OnConnect,
            (connection, userData) => Http.WriteTextToWebSocket(connection, $"Hello {connection.Data}"),
            data: null,
            close: null);

        #region sessions
        static int OnConnect(Connection connection, object? userData)
        {
            string? user = FindUser(Http.GetCookie(connection, "session"));
            if (user is null)
            {
                Http.Print(connection, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nConnection: close\r\n\r\n");
                return 1;
            }

            connection.Data = user;
            return 0;
        }
        #endregion
    }

    private static void Greet(Connection connection, object? userData) =>
        Http.WriteTextToWebSocket(connection, $"Here is {connection.Context.UserData}");

    private static string? FindUser(string? session) => session == "4711" ? "alice" : null;

    #region serve
    static int Serve(Connection connection)
    {
        RequestInfo request = Http.GetRequestInfo(connection);
        switch (request.Method, request.LocalUri)
        {
            case ("GET", "/hello"):
                string text = $"Hello {Http.GetVariable(connection, "name") ?? "stranger"}\n";
                Http.Print(connection, $"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{text}");
                return 200;

            case ("POST", "/length"):
                Span<byte> buffer = stackalloc byte[4096];
                long length = 0;
                for (int n; (n = Http.Read(connection, buffer)) > 0; length += n)
                {
                    if (length > 1_000_000)
                    {
                        Http.Print(connection, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\n");
                        return 413;
                    }
                }

                Http.Print(connection, $"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n{length}\n");
                return 200;

            case ("GET", "/licence"):
                Http.SendFile(connection, "LICENSE", "text/plain");
                return 200;

            default:
                return 0;
        }
    }
    #endregion
}
