using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>From a request for a WebSocket to its 101 response, or to its refusal.</summary>
internal sealed class WebSocketUpgrade(CivetWebServer server)
{
    private const string RetryLater = "Retry-After: 5\r\n";

    private readonly Lock _gate = new();
    private readonly RouteTable<RoutePattern, WebSocketEndpoint> _endpoints = new(RoutePattern.Compare);
    private WebSocketEndpointOptions? _defaults; // since the start

    /// <exception cref="ArgumentException">There is one for the same paths.</exception>
    public void Add(WebSocketEndpoint endpoint, string parameterName)
    {
        lock (_gate)
        {
            if (_defaults is not null)
            {
                endpoint.Resolve(_defaults);
            }

            _endpoints.Set(endpoint.Pattern, same => same is null
                ? endpoint
                : throw new ArgumentException($"The path '{endpoint.Pattern.Text}' is mapped already, as '{same.Pattern.Text}'.", parameterName));
        }
    }

    public bool Remove(RoutePattern pattern) => _endpoints.Remove(pattern.Key);

    /// <summary>Takes the options of the server, which could be changed until now and have been checked.</summary>
    public void Start(WebSocketEndpointOptions options)
    {
        lock (_gate)
        {
            _defaults = options.Copy();
            foreach (RouteTable<RoutePattern, WebSocketEndpoint>.Route route in _endpoints.Routes)
            {
                route.Value.Resolve(_defaults);
            }
        }
    }

    /// <summary>Whether a WebSocket can be opened at the path.</summary>
    public bool Has(string path) => _endpoints.Find(path, out _) is not null;

    public int Handle(ServerRequest request)
    {
        ServerConnection connection = request.Connection;
        if (IsStopping(connection))
        {
            return RefuseWhileStopping(request);
        }

        if (Find(request) is not { } endpoint)
        {
            return Refuse(request, 404, "There is no WebSocket at this path.");
        }

        if (!endpoint.Settings.Origins.Allows(request.Info))
        {
            return Refuse(request, 403, "This origin is not allowed.");
        }

        switch (connection.Host.Admit(connection, request.Info.RemoteAddress))
        {
            case ConnectionTable.Admission.Accepted:
                break;
            case ConnectionTable.Admission.Stopping:
                return RefuseWhileStopping(request);
            case ConnectionTable.Admission.AddressFull:
                return RefuseAsFull(request, nameof(CivetWebServerOptions.MaxConnectionsPerAddress), connection.Host.Settings.MaxConnectionsPerAddress);
            default:
                return RefuseAsFull(request, nameof(CivetWebServerOptions.MaxConnections), connection.Host.Settings.MaxConnections);
        }

        try
        {
            if (!endpoint.TryEnter())
            {
                return RefuseAsFull(request, $"{nameof(WebSocketEndpointOptions.MaxConnections)} of {endpoint.Pattern.Text}", endpoint.Settings.MaxConnections ?? 0);
            }

            try
            {
                return Open(request, endpoint);
            }
            finally
            {
                endpoint.Leave();
            }
        }
        finally
        {
            connection.Host.Forget(connection);
        }
    }

    private static int Refuse(ServerRequest request, int status, string text, string? headers = null)
    {
        ServerLog.HandshakeRefused(request.Server.Logger, request.Path, request.RemoteEndPoint, status, text);
        return request.Connection.Refuse(status, headers, text + "\n");
    }

    private static int RefuseAsFull(ServerRequest request, string limit, int value)
    {
        ServerLog.LimitReached(request.Server.Logger, limit, value, request.RemoteEndPoint);
        return request.Connection.Refuse(503, RetryLater, "There are too many connections.\n");
    }

    private static int RefuseWhileStopping(ServerRequest request) => Refuse(request, 503, "The server is stopping.");

    private bool IsStopping(ServerConnection connection) => server.Stopping.IsCancellationRequested || connection.Host.IsStopping;

    private WebSocketEndpoint? Find(ServerRequest request)
    {
        WebSocketEndpoint? endpoint = _endpoints.Find(request.Path, out Dictionary<string, string>? route);
        request.Route = route ?? RouteValues.None;
        return endpoint;
    }

    /// <summary>Agrees on what can be agreed on, asks the application, answers.</summary>
    private int Open(ServerRequest request, WebSocketEndpoint endpoint)
    {
        WebSocketSettings settings = endpoint.Settings;
        DeflateAgreement? deflate = null;
        if (settings.Deflate is not null && !DeflateAgreement.TryNegotiate(request, settings.Deflate, out deflate))
        {
            return Refuse(request, 400, "Sec-WebSocket-Extensions is not well-formed.");
        }

        WebSocketHandshake handshake;
        int refused;
        using (var over = CancellationTokenSource.CreateLinkedTokenSource(request.Aborted, server.Stopping))
        {
            handshake = new WebSocketHandshake(request, Subprotocols.Choose(request.Info, settings.Subprotocols), over.Token);
            refused = settings.OnHandshake is null ? 0 : AskWatched(handshake, settings.OnHandshake, settings.HandshakeTimeout, over);
            handshake.End();
        }

        if (refused != 0)
        {
            return refused;
        }

        if (handshake.Rejection is { } rejection)
        {
            ServerLog.HandshakeRefused(server.Logger, request.Path, request.RemoteEndPoint, rejection.Status, "OnHandshake has rejected it.");
            return WebSocketHandshakeAnswer.Reject(handshake, rejection);
        }

        return IsStopping(request.Connection)
            ? RefuseWhileStopping(request)
            : ServerWebSocket.Run(handshake, endpoint, WebSocketHandshakeAnswer.Headers(handshake, deflate), deflate?.Options);
    }

    /// <summary>As <see cref="Ask"/>, while it is noticed when the client goes.</summary>
    private int AskWatched(WebSocketHandshake handshake, Func<WebSocketHandshake, Task> ask, TimeSpan timeout, CancellationTokenSource over)
    {
        server.Keeper.Add(handshake.Request);
        try
        {
            return Ask(handshake, ask, timeout, over);
        }
        finally
        {
            server.Keeper.Remove(handshake.Request);
        }
    }

    /// <summary>Nobody waits for the answer any more.</summary>
    private static int End(ServerRequest request)
    {
        if (!request.IsClientGone)
        {
            return RefuseWhileStopping(request);
        }

        ServerLog.RequestAborted(request.Server.Logger, request.Method, request.Path, request.Info.RemoteAddress);
        return request.Connection.Refuse(503, null, "The client has gone.\n");
    }

    /// <summary>0 when the application has answered in time; the status of the refusal otherwise.</summary>
    private static int Ask(WebSocketHandshake handshake, Func<WebSocketHandshake, Task> ask, TimeSpan timeout, CancellationTokenSource over)
    {
        const string Name = nameof(WebSocketEndpointOptions.OnHandshake);
        HttpHost context = handshake.Request.Connection.Host;
        try
        {
            Task task = ask(handshake) ?? throw new InvalidOperationException($"{Name} has returned null instead of a task.");
            if (!task.IsCompleted && !IsDoneInTime(task, timeout, over.Token))
            {
                handshake.End();
                _ = task.ContinueWith(
                    t => context.ReportException(t.Exception!.InnerException!, Name),
                    CancellationToken.None,
                    TaskContinuationOptions.OnlyOnFaulted,
                    TaskScheduler.Default);
                if (over.IsCancellationRequested)
                {
                    return End(handshake.Request);
                }

                over.Cancel();
                context.Log($"{Name} for {handshake.Request.Path} has not completed within {timeout}; the client got 503.");
                return Refuse(handshake.Request, 503, "The WebSocket could not be opened in time.", RetryLater);
            }

            task.GetAwaiter().GetResult();
            return 0;
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            return End(handshake.Request);
        }
        catch (Exception e)
        {
            context.ReportException(e, Name);
            return Refuse(handshake.Request, 500, "The WebSocket could not be opened.");
        }
    }

    /// <summary>False also when the token is cancelled.</summary>
    private static bool IsDoneInTime(Task task, TimeSpan timeout, CancellationToken cancellation)
    {
        try
        {
            return Task.WaitAny([task], (int)timeout.TotalMilliseconds, cancellation) == 0;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}
