using System;
using System.Linq;
using System.Threading.Tasks;

namespace CivetWeb.Net;

// Pages and services: who answers which request.
//
// A handler runs on the connection's own thread, without a synchronization context: it may block, and what comes after
// an await runs in the thread pool. Its response is complete when it has returned, or its task has completed.
public sealed partial class CivetWebServer
{
    /// <summary>Answers GET, and HEAD with the same but the body. Before or after the server is started.</summary>
    /// <param name="pattern">The path, exact and case-sensitive; <c>{name}</c> stands for one segment, <c>{*name}</c> at the end for the rest. Of several that match the most literal counts.</param>
    /// <param name="handler">Answers a request, on the connection's own thread; the response is complete when it returns.</param>
    /// <exception cref="ArgumentException">The pattern is not valid, or it is mapped for the method already.</exception>
    public void MapGet(string pattern, Action<ServerRequest, ServerResponse> handler) => Map("GET", pattern, handler);

    /// <summary>Answers GET, and HEAD with the same but the body. Before or after the server is started.</summary>
    /// <param name="pattern">The path, as for the other overload.</param>
    /// <param name="handler">Begins on the connection's own thread and goes on in the thread pool; the response is complete when its task is.</param>
    /// <exception cref="ArgumentException">The pattern is not valid, or it is mapped for the method already.</exception>
    public void MapGet(string pattern, Func<ServerRequest, ServerResponse, Task> handler) => Map("GET", pattern, handler);

    /// <summary>Answers POST; see <see cref="MapGet(string, Action{ServerRequest, ServerResponse})"/>.</summary>
    /// <param name="pattern">The path.</param>
    /// <param name="handler">Answers a request.</param>
    /// <exception cref="ArgumentException">The pattern is not valid, or it is mapped for the method already.</exception>
    public void MapPost(string pattern, Action<ServerRequest, ServerResponse> handler) => Map("POST", pattern, handler);

    /// <summary>Answers POST; see <see cref="MapGet(string, Func{ServerRequest, ServerResponse, Task})"/>.</summary>
    /// <param name="pattern">The path.</param>
    /// <param name="handler">Answers a request.</param>
    /// <exception cref="ArgumentException">The pattern is not valid, or it is mapped for the method already.</exception>
    public void MapPost(string pattern, Func<ServerRequest, ServerResponse, Task> handler) => Map("POST", pattern, handler);

    /// <summary>Answers PUT; see <see cref="MapGet(string, Action{ServerRequest, ServerResponse})"/>.</summary>
    /// <param name="pattern">The path.</param>
    /// <param name="handler">Answers a request.</param>
    /// <exception cref="ArgumentException">The pattern is not valid, or it is mapped for the method already.</exception>
    public void MapPut(string pattern, Action<ServerRequest, ServerResponse> handler) => Map("PUT", pattern, handler);

    /// <summary>Answers PUT; see <see cref="MapGet(string, Func{ServerRequest, ServerResponse, Task})"/>.</summary>
    /// <param name="pattern">The path.</param>
    /// <param name="handler">Answers a request.</param>
    /// <exception cref="ArgumentException">The pattern is not valid, or it is mapped for the method already.</exception>
    public void MapPut(string pattern, Func<ServerRequest, ServerResponse, Task> handler) => Map("PUT", pattern, handler);

    /// <summary>Answers PATCH; see <see cref="MapGet(string, Action{ServerRequest, ServerResponse})"/>.</summary>
    /// <param name="pattern">The path.</param>
    /// <param name="handler">Answers a request.</param>
    /// <exception cref="ArgumentException">The pattern is not valid, or it is mapped for the method already.</exception>
    public void MapPatch(string pattern, Action<ServerRequest, ServerResponse> handler) => Map("PATCH", pattern, handler);

    /// <summary>Answers PATCH; see <see cref="MapGet(string, Func{ServerRequest, ServerResponse, Task})"/>.</summary>
    /// <param name="pattern">The path.</param>
    /// <param name="handler">Answers a request.</param>
    /// <exception cref="ArgumentException">The pattern is not valid, or it is mapped for the method already.</exception>
    public void MapPatch(string pattern, Func<ServerRequest, ServerResponse, Task> handler) => Map("PATCH", pattern, handler);

    /// <summary>Answers DELETE; see <see cref="MapGet(string, Action{ServerRequest, ServerResponse})"/>.</summary>
    /// <param name="pattern">The path.</param>
    /// <param name="handler">Answers a request.</param>
    /// <exception cref="ArgumentException">The pattern is not valid, or it is mapped for the method already.</exception>
    public void MapDelete(string pattern, Action<ServerRequest, ServerResponse> handler) => Map("DELETE", pattern, handler);

    /// <summary>Answers DELETE; see <see cref="MapGet(string, Func{ServerRequest, ServerResponse, Task})"/>.</summary>
    /// <param name="pattern">The path.</param>
    /// <param name="handler">Answers a request.</param>
    /// <exception cref="ArgumentException">The pattern is not valid, or it is mapped for the method already.</exception>
    public void MapDelete(string pattern, Func<ServerRequest, ServerResponse, Task> handler) => Map("DELETE", pattern, handler);

    /// <summary>Answers a method; see <see cref="MapGet(string, Action{ServerRequest, ServerResponse})"/>.</summary>
    /// <param name="method">GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK or REPORT; CivetWeb knows no others.</param>
    /// <param name="pattern">The path.</param>
    /// <param name="handler">Answers a request.</param>
    /// <exception cref="ArgumentException">The method is not one of these, the pattern is not valid, or it is mapped for the method already.</exception>
    public void Map(string method, string pattern, Action<ServerRequest, ServerResponse> handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        Map(method, pattern, ToAsync(handler));
    }

    /// <summary>Answers a method; see <see cref="MapGet(string, Func{ServerRequest, ServerResponse, Task})"/>.</summary>
    /// <param name="method">As for the other overload.</param>
    /// <param name="pattern">The path.</param>
    /// <param name="handler">Answers a request.</param>
    /// <exception cref="ArgumentException">The method is unknown, the pattern is not valid, or it is mapped for the method already.</exception>
    public void Map(string method, string pattern, Func<ServerRequest, ServerResponse, Task> handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        ArgumentException.ThrowIfNullOrEmpty(method);
        if (!HttpPipeline.MethodNames.Contains(method))
        {
            throw new ArgumentException($"The method '{method}' is not supported. CivetWeb accepts these: {HttpPipeline.AllMethods}.", nameof(method));
        }

        _http.Routes.Add(method, RoutePattern.Parse(pattern, nameof(pattern)), handler);
    }

    /// <summary>
    /// Looks at every HTTP request first (not at those for WebSockets), in the order of the calls: for authentication, logging,
    /// headers that all responses have. One that answers, by status, body or redirect, ends the request.
    /// </summary>
    /// <param name="handler">Lets the request go on by returning without an answer.</param>
    public void Use(Action<ServerRequest, ServerResponse> handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        _http.AddFirst(ToAsync(handler));
    }

    /// <summary>As <see cref="Use(Action{ServerRequest, ServerResponse})"/>, for a handler that awaits.</summary>
    /// <param name="handler">Lets the request go on when its task completes without an answer.</param>
    public void Use(Func<ServerRequest, ServerResponse, Task> handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        _http.AddFirst(handler);
    }

    /// <summary>
    /// Makes the pages of errors: nothing at the path (404), another method (405), a bad request (400, 408, 413, ...), an exception
    /// of a handler (500). Without it, or when it writes nothing, the page is a line of plain text.
    /// </summary>
    /// <param name="handler">Writes the page; <see cref="ServerError.Response"/> has its status.</param>
    /// <exception cref="InvalidOperationException">There is one already.</exception>
    public void MapError(Action<ServerError> handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        _http.SetError(error =>
        {
            handler(error);
            return Task.CompletedTask;
        });
    }

    /// <summary>As <see cref="MapError(Action{ServerError})"/>, for a handler that awaits.</summary>
    /// <param name="handler">Writes the page.</param>
    /// <exception cref="InvalidOperationException">There is one already.</exception>
    public void MapError(Func<ServerError, Task> handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        _http.SetError(handler);
    }

    /// <summary>
    /// Serves the files of a folder for GET and HEAD where no route matches: by CivetWeb, with conditional and range
    /// requests. <c>index.html</c> stands for its folder; folders are not listed, programs not run, pages not interpreted.
    /// </summary>
    /// <remarks>
    /// No request gets out of the folder by its path, and none gets a file or folder whose name begins with a dot. Symbolic links
    /// inside the folder are followed, wherever they lead.
    /// </remarks>
    /// <param name="prefix">The path that stands for the folder, such as <c>/static</c> or <c>/</c>.</param>
    /// <param name="folder">The folder; it must exist now.</param>
    /// <exception cref="ArgumentException">The prefix is not a path, or the folder does not exist.</exception>
    public void MapStaticFiles(string prefix, string folder) => _http.AddFiles(new StaticFiles(prefix, folder));

    private static Func<ServerRequest, ServerResponse, Task> ToAsync(Action<ServerRequest, ServerResponse> handler) => (request, response) =>
    {
        handler(request, response);
        return Task.CompletedTask;
    };
}
