using System;
using System.IO;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using CivetWeb.Net;
using CivetWeb.Net.EchoServer;

CommandLine options;
try
{
    options = CommandLine.Parse(args);
}
catch (FormatException e)
{
    Console.Error.WriteLine(e.Message);
    return 2;
}

if (options.Help)
{
    Console.WriteLine(CommandLine.Usage);
    return 0;
}

using var stop = new ManualResetEventSlim();
using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);

var echo = new Echo(options.Quiet ? TextWriter.Null : Console.Out);
try
{
    using Context context = Http.StartServer(Page.Serve, options.Listen);
    Http.SetWebSocketHandler(context, "/websocket", echo.OnConnect, echo.OnReady, echo.OnData, echo.OnClose);
    string host = options.Host is "+" or "0.0.0.0" or "127.0.0.1" ? "localhost" : options.Listen[..options.Listen.LastIndexOf(':')];
    Console.WriteLine($"Listening on http://{host}:{context.Port}/ - press Ctrl+C to stop.");
    stop.Wait();
    Console.WriteLine("Stopping.");
    return 0;
}
catch (Exception e) when (e is SocketException or ArgumentException or CivetWebException)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}

void Stop(PosixSignalContext signal)
{
    // Handled here: the default would end the process before clients are told.
    signal.Cancel = true;
    stop.Set();
}

/// <summary>The echo: the four callbacks of the documentation's example.</summary>
internal sealed class Echo(TextWriter output)
{
    public int OnConnect(Connection connection, object? userData)
    {
        output.WriteLine($"WebSocket client connected: {Http.GetRequestInfo(connection).RemoteAddress}");
        return 0;
    }

    public void OnReady(Connection connection, object? userData)
    {
        output.WriteLine("WebSocket connection ready");
        Http.WriteTextToWebSocket(connection, "Welcome!"u8);
    }

    public int OnData(Connection connection, int bits, ReadOnlySpan<byte> data, object? userData)
    {
        if (bits == 1)
        {
            if (output != TextWriter.Null)
            {
                output.WriteLine($"Received message: {Printable(data)}");
            }

            return Http.WriteTextToWebSocket(connection, data) < 0 ? 0 : 1;
        }

        if (bits == 2)
        {
            return Http.WriteBinaryToWebSocket(connection, data) < 0 ? 0 : 1;
        }

        return 1;
    }

    public void OnClose(Connection connection, object? userData) => output.WriteLine("WebSocket client disconnected");

    /// <summary>A client's text must not move the cursor or colour the terminal.</summary>
    private static string Printable(ReadOnlySpan<byte> utf8)
    {
        const int Longest = 200;
        string text = Encoding.UTF8.GetString(utf8[..Math.Min(utf8.Length, Longest)]);
        return string.Create(text.Length, text, static (span, source) =>
        {
            for (int i = 0; i < span.Length; i++)
            {
                span[i] = char.IsControl(source[i]) ? '.' : source[i];
            }
        }) + (utf8.Length > Longest ? "..." : "");
    }
}

/// <summary>The page at <c>/</c>.</summary>
internal static class Page
{
    private static readonly byte[] Response = Read();

    public static int Serve(Connection connection)
    {
        RequestInfo request = Http.GetRequestInfo(connection);
        if (request.LocalUri != "/" || request.Method is not "GET")
        {
            return 0;
        }

        Http.Write(connection, Response);
        return 200;
    }

    private static byte[] Read()
    {
        using Stream stream = typeof(Page).Assembly.GetManifestResourceStream("index.html")!;
        using var response = new MemoryStream();
        response.Write(Encoding.ASCII.GetBytes(
            $"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {stream.Length}\r\nConnection: close\r\n\r\n"));
        stream.CopyTo(response);
        return response.ToArray();
    }
}
