using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>
/// An HTTP and WebSocket server inside the program: routes and options first, then <see cref="StartAsync"/>.
/// </summary>
/// <remarks>All members may be used from any thread.</remarks>
public sealed partial class CivetWebServer : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly CivetWebServerOptions _options;
    private readonly CancellationTokenSource _stopping = new();
    private readonly CancellationTokenSource _aborted = new();
    private readonly CancellationTokenSource _abandoned = new();
    private readonly object _requests = new();
    private readonly WebSocketUpgrade _webSockets;
    private readonly HttpPipeline _http;
    private Life _life; // under the lock
    private ServerHost? _context;
    private ServerKeeper? _keeper; // from the start on
    private Task? _stopped; // the only stop there is; while the server starts it may have been asked for already
    private int _activeRequests;

    /// <summary>Creates a server; nothing is opened yet.</summary>
    /// <param name="options">Its options; null for the defaults.</param>
    public CivetWebServer(CivetWebServerOptions? options = null)
    {
        _options = options ?? new CivetWebServerOptions();
        _webSockets = new WebSocketUpgrade(this);
        _http = new HttpPipeline(this);
    }

    /// <summary>
    /// Created → Starting: <see cref="StartAsync"/>; the start runs on the keeper's thread.
    /// Starting → Running: the start has succeeded.
    /// Starting → Created: it has failed, nothing is left open; it can be tried again.
    /// Running → Stopped: <see cref="StopAsync"/>, which the keeper's thread carries out; one that was asked for while the server was
    /// starting begins then.
    /// Created → Stopped: <see cref="StopAsync"/>; there is nothing to do.
    /// </summary>
    private enum Life
    {
        Created,
        Starting,
        Running,
        Stopped,
    }

    /// <summary>
    /// What the server listens on, in the order of <see cref="CivetWebServerOptions.Listen"/> and
    /// <see cref="CivetWebServerOptions.RedirectToHttps"/>; empty before the start.
    /// </summary>
    public IReadOnlyList<ServerEndPoint> EndPoints { get; private set; } = [];

    /// <summary>How many WebSockets are open, those included whose handshake is still being answered.</summary>
    public int WebSocketCount => _context?.WebSocketCount ?? 0;

    /// <summary>Cancelled when the server begins to stop, on the thread that stops it. It can be used before the start.</summary>
    public CancellationToken Stopping => _stopping.Token;

    internal CivetWebServerOptions Options => _startedWith ?? _options;

    /// <summary>Cancelled when a stopping server waits for handlers no longer.</summary>
    internal CancellationToken Abandoned => _abandoned.Token;

    /// <summary>Cancelled when a stopping server has cut its connections.</summary>
    internal CancellationToken Aborted => _aborted.Token;

    /// <summary>There while requests are.</summary>
    internal ServerKeeper Keeper => _keeper!;

    /// <summary>Opens the ports. When the task has completed, clients can connect.</summary>
    /// <remarks>
    /// The start runs on a thread of the server's own; the caller is not held up. After a failure nothing is left open, and the
    /// server can be started again.
    /// </remarks>
    /// <param name="cancellationToken">Has an effect before the start begins, not later.</param>
    /// <returns>Completes when clients can connect. What goes wrong with the start is this task's exception.</returns>
    /// <exception cref="InvalidOperationException">The server was started before.</exception>
    /// <exception cref="ObjectDisposedException">The server was stopped before.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    /// <exception cref="ArgumentException">Options are not valid; the message lists every one of them and what is allowed.</exception>
    /// <exception cref="System.IO.IOException">A file of <see cref="CivetWebServerOptions.Tls"/> is missing or cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">Such a file may not be read.</exception>
    /// <exception cref="System.Security.Cryptography.CryptographicException">
    /// There is no certificate or no key, they do not belong together, the password is wrong, or OpenSSL refuses them.
    /// </exception>
    /// <exception cref="System.Net.Sockets.SocketException">A port is in use or may not be used.</exception>
    /// <exception cref="CivetWebException">The native library or OpenSSL is missing, or CivetWeb could not start.</exception>
    public Task StartAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_stopped is not null, this);
            if (_life != Life.Created)
            {
                throw new InvalidOperationException("The server has been started before; a server is started once.");
            }

            CivetWebServerOptions options = _options.Copy();
            try
            {
                _keeper = ServerKeeper.Start(() => Start(options), () => Volatile.Read(ref _context)?.HasWaitingClients ?? false);
            }
            catch (CivetWebException e)
            {
                return Task.FromException(e);
            }

            _life = Life.Starting;
            return _keeper.Started;
        }
    }

    /// <summary>
    /// Stops the server: refuses new WebSockets, tells the open ones (close code 1001), waits for them and for requests
    /// up to <see cref="CivetWebServerOptions.ShutdownTimeout"/>, cuts the rest. It can be stopped twice.
    /// </summary>
    /// <param name="cancellationToken">Ends the waiting: what is still open is cut at once.</param>
    /// <returns>Completes when the ports are closed and no handler runs on a thread of the server any more.</returns>
    /// <exception cref="InvalidOperationException">
    /// Called on a thread of the server, inside a handler, for whose end it would have to wait; by what is registered with
    /// <see cref="Stopping"/> or a logger, while the server starts or stops.
    /// </exception>
    public Task StopAsync(CancellationToken cancellationToken = default)
    {
        if (CallbackScope.IsActive)
        {
            throw new InvalidOperationException(
                "A server cannot be stopped from inside a handler: stopping waits for the handlers to return. Stop it from elsewhere, for example with Task.Run, and do not wait for it.");
        }

        lock (_gate)
        {
            if (_keeper?.IsWorkingHere == true)
            {
                throw new InvalidOperationException(
                    "A server cannot be stopped by what it calls while it starts or stops, a logger or what is registered with Stopping: that would have to wait for itself.");
            }

            if (_stopped is not null)
            {
                return _stopped;
            }

            switch (_life)
            {
                case Life.Starting:
                    return _stopped = StopAfterStartAsync(_keeper!.Started, cancellationToken);
                case Life.Running:
                    _life = Life.Stopped;
                    return _stopped = _keeper!.End(() => Stop(cancellationToken));
                default:
                    _life = Life.Stopped;
                    return _stopped = Task.CompletedTask;
            }
        }
    }

    /// <summary>Stops the server, as <see cref="StopAsync"/> does.</summary>
    public async ValueTask DisposeAsync() => await StopAsync().ConfigureAwait(false);

    private async Task StopAfterStartAsync(Task started, CancellationToken cancellationToken)
    {
        await started.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Task stopped;
        lock (_gate)
        {
            stopped = _life == Life.Running ? _keeper!.End(() => Stop(cancellationToken)) : Task.CompletedTask;
            _life = Life.Stopped;
        }

        await stopped.ConfigureAwait(false);
    }

    /// <summary>Handles one request on its connection's thread; the status for the log.</summary>
    internal int Dispatch(ServerConnection connection)
    {
        _ready.Wait();
        if (Volatile.Read(ref _context) is null)
        {
            return connection.Refuse(503, null, "The server could not start.\n");
        }

        lock (_requests)
        {
            _activeRequests++;
        }

        long began = Stopwatch.GetTimestamp();
        int status = 500;
        try
        {
            status = Handle(connection);
            return status;
        }
        finally
        {
            lock (_requests)
            {
                _activeRequests--;
                Monitor.PulseAll(_requests);
            }

            LogRequest(connection, status, began);
        }
    }

    private int Handle(ServerConnection connection)
    {
        if (_redirect is { } redirect && redirect.Concerns(connection))
        {
            return redirect.Answer(connection);
        }

        ServerRequest request = CreateRequest(connection);
        try
        {
            int upgrade = connection.CheckUpgrade();
            return upgrade switch
            {
                0 => _http.Handle(request),
                1 => _webSockets.Handle(request),
                _ => upgrade,
            };
        }
        finally
        {
            request.End();
        }
    }

    private ServerRequest CreateRequest(ServerConnection connection)
    {
        return new ServerRequest(this, connection, connection.Head)
        {
            LocalEndPoint = connection.LocalEndPoint,
            ClientCertificate = _tls?.ReadClientCertificate(connection),
        };
    }
}
