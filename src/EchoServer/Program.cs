using System;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Threading;
using CivetWeb.Net;
using CivetWeb.Net.CallbackApi;
using CivetWeb.Net.EchoServer;

CommandLine options;
try
{
    options = CommandLine.Parse(args);
}
catch (FormatException e)
{
    Terminal.Error(e.Message);
    return 2;
}

if (options.Help)
{
    Console.WriteLine(CommandLine.Usage);
    return 0;
}

var terminal = new Terminal(options.Log);
var counters = new Counters();
var echo = new Echo(terminal, counters);

using var stop = new ManualResetEventSlim();
using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);

// .NET has no name for SIGUSR1, but takes the system's number.
using PosixSignalRegistration? user1 = OperatingSystem.IsWindows()
    ? null
    : PosixSignalRegistration.Create((PosixSignal)(OperatingSystem.IsMacOS() ? 30 : 10), ShowCounters);

// The handler is set before the first client can connect.
var callbacks = new Callbacks
{
    BeginRequest = Page.Serve,
    InitContext = server => Http.SetWebSocketHandlerWithSubprotocols(
        server, "/websocket", Echo.Subprotocols, echo.OnConnect, echo.OnReady, echo.OnData, echo.OnClose),
};
if (options.Log == LogLevel.Debug)
{
    callbacks.LogMessage = LogNative;
    callbacks.LogAccess = LogNative;
}

try
{
    using Context context = Http.StartServer(callbacks, options.ServerOptions);
    Greet(context.Port);
    SystemdNotifier.Notify("READY=1");
    stop.Wait();
    Terminal.Always("Stopping.");
    SystemdNotifier.Notify("STOPPING=1");
    return 0;
}
catch (Exception e) when (e is SocketException or ArgumentException or CivetWebException)
{
    Terminal.Error(StartFailure.Explain(e, options));
    return 1;
}

void Greet(int port)
{
    string http = terminal.Paint($"http://{options.UrlHost}:{port}/", Colour.Cyan);
    string webSocket = terminal.Paint($"ws://{options.UrlHost}:{port}/websocket", Colour.Cyan);
    Terminal.Always($"Listening on {http} - press Ctrl+C to stop.");
    Terminal.Always($"Listening on {webSocket} - subprotocols {string.Join(", ", Echo.Subprotocols)} or none.");
    if (Terminal.OnKey('s', () => Terminal.Always(counters.ToString())))
    {
        Terminal.Always("Press s for counters. --help shows what to try.");
    }
}

void Stop(PosixSignalContext signal)
{
    // Handled here: the default would end the process before clients are told.
    signal.Cancel = true;
    stop.Set();
}

void ShowCounters(PosixSignalContext signal)
{
    signal.Cancel = true;
    Terminal.Always(counters.ToString());
}

int LogNative(Connection? connection, string message)
{
    terminal.Debug($"CivetWeb: {Terminal.Printable(message)}");
    return 0;
}
