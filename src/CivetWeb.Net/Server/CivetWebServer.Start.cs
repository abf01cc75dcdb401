using System;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Threading;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

public sealed partial class CivetWebServer
{
    /// <summary>
    /// Set when a start has succeeded, or failed. Clients can connect a moment before CivetWeb has told us the ports: their
    /// requests wait here for all to be known.
    /// </summary>
    private readonly ManualResetEventSlim _ready = new();

    private CivetWebServerOptions? _startedWith;
    private HttpsRedirect? _redirect;

    /// <summary>For tests: the ports are open, the start can still fail.</summary>
    internal Action? BeforeSocketModes { get; set; }

    private void Start()
    {
        CivetWebServerOptions options = _options.Copy();
        ListenPlan plan = ServerOptionsCheck.Run(options);
        _webSockets.Start(options.WebSockets);
        Logger = CreateLogger(options);
        RemoveStaleSockets(plan);
        _startedWith = options;
        _ready.Reset();
        ServerHost? context = null;
        try
        {
            _keeper = ServerKeeper.Start(() => _context?.HasWaitingClients ?? false);
            StartTls(options);
            context = StartNative(options, plan);
            ServerEndPoint[] endPoints = plan.ToEndPoints(context.Ports);
            _redirect = HttpsRedirect.Create(options, plan, endPoints);
            BeforeSocketModes?.Invoke();
            SetSocketModes(options, plan);
            EndPoints = endPoints;
            Volatile.Write(ref _context, context);
        }
        catch
        {
            _startedWith = null;
            throw;
        }
        finally
        {
            // Without a context the requests that have waited are refused; so the failed server can be stopped.
            _ready.Set();
            if (_context is null)
            {
                // Not on this thread: it may be inside a handler of another server.
                _keeper?.End(() => context?.Stop(TimeSpan.Zero)).Wait();
                _keeper = null;
                StopTls();
            }
        }
    }

    private ServerHost StartNative(CivetWebServerOptions options, ListenPlan plan)
    {
        const int Attempts = 10;
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                var host = new ServerHost(ServerSettings.Parse(ServerOptionsReader.Read(options, plan), hasCertificate: _tls is not null), this, _tls);
                host.Start();
                return host;
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse && plan.ChoosesPorts && attempt < Attempts)
            {
                // Somebody has taken the port we had found for both addresses of localhost: another one, then.
            }
        }
    }

    private void RemoveStaleSockets(ListenPlan plan)
    {
        foreach (ListenBinding binding in plan.Bindings.Where(binding => binding.Address is null))
        {
            if (ListenSocketFile.RemoveStale(binding.Entry))
            {
                ServerLog.StaleSocketRemoved(Logger, binding.Entry.Path);
            }
        }
    }

    private static void SetSocketModes(CivetWebServerOptions options, ListenPlan plan)
    {
        if (options.UnixSocketMode is { } mode && !OperatingSystem.IsWindows())
        {
            foreach (ListenBinding binding in plan.Bindings.Where(binding => binding.Address is null))
            {
                File.SetUnixFileMode(binding.Entry.Path, mode);
            }
        }
    }
}
