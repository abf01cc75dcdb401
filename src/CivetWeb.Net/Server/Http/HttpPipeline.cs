using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>What is answered to requests that are no WebSockets: the handlers before routing, the route, files, errors.</summary>
internal sealed class HttpPipeline(CivetWebServer server)
{
    private readonly Lock _gate = new();
    private Func<ServerRequest, ServerResponse, Task>[] _first = [];
    private StaticFiles[] _files = [];
    private Func<ServerError, Task>? _error;

    /// <summary>CivetWeb knows these and refuses others unseen; CONNECT is for proxies, TRACE it leaves out itself.</summary>
    public static IReadOnlyList<string> MethodNames { get; } =
    [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
        "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT",
    ];

    /// <summary>What OPTIONS * says; the methods of <see cref="CivetWebServer.Map(string, string, Action{ServerRequest, ServerResponse})"/>.</summary>
    public static string AllMethods { get; } = string.Join(", ", MethodNames);

    public HttpRoutes Routes { get; } = new();

    public void AddFirst(Func<ServerRequest, ServerResponse, Task> handler)
    {
        lock (_gate)
        {
            Volatile.Write(ref _first, [.. _first, handler]);
        }
    }

    public void AddFiles(StaticFiles files)
    {
        lock (_gate)
        {
            Volatile.Write(ref _files, [.. _files.Append(files).OrderByDescending(f => f.PrefixLength)]);
        }
    }

    public void SetError(Func<ServerError, Task> handler)
    {
        if (Interlocked.CompareExchange(ref _error, handler, null) is not null)
        {
            throw new InvalidOperationException("There is a handler for errors already; a server has one.");
        }
    }

    /// <summary>The http_error callback: requests that CivetWeb has refused itself. Always answered.</summary>
    public static bool AnswerError(ServerConnection connection, int status)
    {
        status = connection.ErrorStatus(status);
        connection.Refuse(status, null, $"{status} {ReasonPhrases.Of(status)}\n");
        return true;
    }

    /// <summary>Answers on the connection's thread; the status for the log.</summary>
    public int Handle(ServerRequest request)
    {
        var thread = new RequestThread();
        var response = new ServerResponse(request, thread);
        request.Attach(thread, response);
        server.Keeper.Add(request);
        try
        {
            Answer(request, response);
            request.ReceivedBody.Finish(response.Writer.KeepsAlive);
        }
        catch (AbandonedException)
        {
            response.Writer.Fail();
            if (request.IsClientGone)
            {
                ServerLog.RequestAborted(server.Logger, request.Method, request.Path, request.Info.RemoteAddress);
            }
            else
            {
                server.ReportException(new TimeoutException("A handler had to be left behind: it has not ended while the server was being stopped."), request.Path);
            }
        }
        finally
        {
            server.Keeper.Remove(request);
            thread.End();
        }

        return response.StatusCode;
    }

    private void Answer(ServerRequest request, ServerResponse response)
    {
        try
        {
            Check(request);
            Find(request, response);
            response.Writer.Complete();
        }
        catch (Exception e) when (e is not AbandonedException)
        {
            if (response.Writer.HasEndedEarly)
            {
                return; // the client has all there is
            }

            if (request.ReceivedBody.IsLost || (request.IsClientGone && e is OperationCanceledException))
            {
                response.Writer.Fail();
            }

            if (response.Writer.HasFailed)
            {
                // The client is gone, or was cut off for an error of the handler.
                if (e is IOException or OperationCanceledException)
                {
                    ServerLog.RequestAborted(server.Logger, request.Method, request.Path, SocketAddresses.ToDisplay(request.Info.RemoteAddress));
                }
                else
                {
                    ServerLog.HandlerFailed(server.Logger, e, request.Method, request.Path);
                }

                return;
            }

            if (e is BadRequestException refusal)
            {
                ServerLog.RequestRefused(
                    server.Logger, request.Method, request.Path, SocketAddresses.ToDisplay(request.Info.RemoteAddress), refusal.StatusCode, refusal.Message);
            }
            else
            {
                ServerLog.HandlerFailed(server.Logger, e, request.Method, request.Path);
            }

            if (response.HasStarted)
            {
                response.Writer.Fail();
                return;
            }

            AnswerError(request, response, (e as BadRequestException)?.StatusCode ?? 500, e);
        }
    }

    private void Find(ServerRequest request, ServerResponse response)
    {
        foreach (Func<ServerRequest, ServerResponse, Task> handler in Volatile.Read(ref _first))
        {
            Call(request, handler(request, response));
            if (response.IsAnswer)
            {
                return;
            }
        }

        RouteMatch match = Routes.Find(request.Method, request.Path);
        if (match.Handler is not null)
        {
            request.Route = match.Values ?? RouteValues.None;
            Call(request, match.Handler(request, response));
            return;
        }

        string? allow = match.Methods is null ? null : Allow(match.Methods);
        foreach (StaticFiles files in Volatile.Read(ref _files))
        {
            if (files.TryFind(request.Path, out string? file))
            {
                if (request.Method is "GET" or "HEAD")
                {
                    SendFile(request, response, file);
                    return;
                }

                allow = Allow([.. match.Methods ?? [], "GET"]);
                break;
            }
        }

        if (allow is null && server.HasWebSocket(request.Path))
        {
            throw new BadRequestException(400, "There is a WebSocket at this path, no page: it is opened with an upgrade request (RFC 6455, section 4.1).");
        }
        else if (allow is null)
        {
            AnswerError(request, response, 404, null);
        }
        else if (request.Method == "OPTIONS")
        {
            response.StatusCode = 204;
            response.Headers["Allow"] = allow;
        }
        else
        {
            response.Headers["Allow"] = allow;
            AnswerError(request, response, 405, null);
        }
    }

    private static void Check(ServerRequest request)
    {
        int hosts = request.Headers.GetValues("Host").Count();
        if (hosts > 1 || (hosts == 0 && request.HttpVersion == "1.1"))
        {
            throw new BadRequestException(400, "One Host header is needed."); // RFC 9112, section 3.2
        }

        if (request.HttpVersion == "1.1" && request.Headers["Expect"] is { } expect
            && !string.Equals(expect, "100-continue", StringComparison.OrdinalIgnoreCase))
        {
            throw new BadRequestException(417, "Only 100-continue can be expected.");
        }
    }

    private static string Allow(HashSet<string> methods)
    {
        if (methods.Contains("GET"))
        {
            methods.Add("HEAD");
        }

        methods.Add("OPTIONS");
        return string.Join(", ", MethodNames.Where(methods.Contains));
    }

    private void SendFile(ServerRequest request, ServerResponse response, string? file)
    {
        if (file is null)
        {
            string query = request.QueryString.Length > 0 ? "?" + request.QueryString : "";
            response.Redirect(string.Join('/', request.Path.Split('/').Select(Uri.EscapeDataString)) + "/" + query, permanent: true);
            return;
        }

        try
        {
            response.SendFile(file);
        }
        catch (FileNotFoundException)
        {
            AnswerError(request, response, 404, null); // not a regular one, or not ours to read
        }
    }

    private void AnswerError(ServerRequest request, ServerResponse response, int status, Exception? exception)
    {
        string? allow = response.Headers["Allow"];
        bool keepsHeaders = exception is null;
        if (_error is { } handler)
        {
            try
            {
                response.Reset(status, keepsHeaders);
                response.Headers["Allow"] = allow;
                Call(request, handler(new ServerError(request, response, exception)));
                if (response.HasStarted || response.Writer.HasContent)
                {
                    response.Writer.Complete();
                    return;
                }
            }
            catch (Exception e) when (e is not AbandonedException && !response.HasStarted && !response.Writer.HasFailed)
            {
                server.ReportException(e, "the handler for errors");
                keepsHeaders = false;
            }
            catch (Exception e) when (e is not AbandonedException)
            {
                server.ReportException(e, "the handler for errors");
                response.Writer.Fail();
                return;
            }

            status = response.StatusCode;
        }

        response.Reset(status, keepsHeaders);
        response.Headers["Allow"] = allow;
        response.WriteText(exception is BadRequestException ? exception.Message + "\n" : $"{status} {ReasonPhrases.Of(status)}\n");
        response.Writer.Complete();
    }

    /// <summary>Waits for a handler; its exception, if any, is thrown here.</summary>
    private void Call(ServerRequest request, Task? task)
    {
        if (task is null || task.IsCompletedSuccessfully)
        {
            return;
        }

        if (!request.Thread.WaitFor(task, server.Abandoned))
        {
            throw new AbandonedException();
        }

        task.GetAwaiter().GetResult();
    }

    /// <summary>The server stops or the client is gone, and the handler goes on.</summary>
    private sealed class AbandonedException : Exception;
}
