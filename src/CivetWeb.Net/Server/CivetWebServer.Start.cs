using System;
using System.Diagnostics;
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

    /// <summary>On the keeper's thread, which ends after a failure.</summary>
    private void Start(CivetWebServerOptions options)
    {
        lock (_gate)
        {
            Debug.Assert(_life == Life.Starting, "StartAsync has let go of the lock: it has set what requests need.");
        }

        ServerHost? host = null;
        bool started = false;
        try
        {
            ListenPlan plan = ServerOptionsCheck.Run(options);
            _webSockets.Start(options.WebSockets);
            Logger = CreateLogger(options);
            RemoveStaleSockets(plan);
            _startedWith = options;
            _ready.Reset();
            StartTls(options);
            host = StartNative(options, plan);
            ServerEndPoint[] endPoints = plan.ToEndPoints(host.Ports);
            _redirect = HttpsRedirect.Create(options, plan, endPoints);
            SetSocketModes(options, plan);
            EndPoints = endPoints;
            Volatile.Write(ref _context, host);
            started = true;
        }
        finally
        {
            // Without a context the requests that have waited are refused; so the failed server can be stopped.
            _ready.Set();
            if (!started)
            {
                _startedWith = null;
                host?.Stop(TimeSpan.Zero);
                StopTls();
            }

            lock (_gate)
            {
                Debug.Assert(_life == Life.Starting, "Nothing else moves a server that is starting.");
                _life = started ? Life.Running : Life.Created;
            }
        }

        foreach (ServerEndPoint endPoint in EndPoints)
        {
            ServerLog.Listening(Logger, endPoint.Uri);
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
