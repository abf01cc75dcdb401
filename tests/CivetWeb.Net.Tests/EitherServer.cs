using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// A server of one of the two APIs, plain or with TLS, that keeps its connections and answers every request with what it was
/// asked for. All that any of its callbacks or its log has been told is kept as text.
/// </summary>
internal sealed class EitherServer : IAsyncDisposable
{
    private readonly TestServer? _callbackServer;
    private readonly RunningServer? _server;
    private readonly string? _certificate;

    private EitherServer(bool isServerApi, bool isTls, (string Name, string Value)[] options, RequestCallback? handler, bool hasFewThreads)
    {
        IsTls = isTls;
        _certificate = isTls ? HazardTests.CreateCertificate() : null;
        if (isServerApi)
        {
            _server = RunningServer.StartAsync(
                server => server.Use((request, response) =>
                {
                    Seen.Enqueue(Describe(new RequestInfo(request.Info, null, null)));
                    response.WriteText($"{request.RawTarget}\n{request.Path}");
                }),
                settings =>
                {
                    settings.Listen.Add(isTls ? "https://127.0.0.1:0" : "http://127.0.0.1:0");
                    if (isTls)
                    {
                        settings.DangerousRawOptions["ssl_certificate"] = _certificate!;
                    }

                    settings.AllowedHosts.Add("*");
                    if (hasFewThreads)
                    {
                        settings.MaxConnections = 1;
                        settings.ReservedHttpThreads = FewestThreads(true) - 1;
                    }

                    foreach ((string name, string value) in options)
                    {
                        settings.DangerousRawOptions[name] = value;
                    }
                }).GetAwaiter().GetResult();
            return;
        }

        var callbacks = new Callbacks
        {
            BeginRequest = handler ?? (connection =>
            {
                RequestInfo info = Http.GetRequestInfo(connection);
                Seen.Enqueue("begin " + Describe(info));
                string body = $"{info.RawTarget}\n{info.LocalUri}";
                Http.Print(connection, $"HTTP/1.1 200 OK\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}");
                return 200;
            }),
            EndRequest = (connection, _) => Seen.Enqueue("end " + Describe(Http.GetRequestInfo(connection))),
            HttpError = (connection, _, message) =>
            {
                Seen.Enqueue($"error {message} {Describe(Http.GetRequestInfo(connection))}");
                return 1;
            },
            LogAccess = (_, message) => Note(message),
            LogMessage = (_, message) => Note(message),
        };
        string port = options.FirstOrDefault(option => option.Name == "listening_ports").Value ?? "127.0.0.1:0";
        _callbackServer = new TestServer(
            callbacks,
            [
                ("allowed_hosts", "*"), ("enable_keep_alive", "yes"), ("keep_alive_timeout_ms", "60000"), ("num_threads", hasFewThreads ? "1" : "64"), .. options, ("listening_ports", isTls ? port + "s" : port),
                .. isTls ? [("ssl_certificate", _certificate!)] : Array.Empty<(string, string)>(),
            ]);
    }

    public bool IsTls { get; }

    public int Port => _callbackServer?.Port ?? _server!.Port;

    /// <summary>What the application has been told; the server API's log is in it once <see cref="TakeSeen"/> is called.</summary>
    public ConcurrentQueue<string> Seen { get; } = new();

    /// <param name="isServerApi">The server API instead of the callback API.</param>
    /// <param name="isTls">TLS on all ports.</param>
    /// <param name="options">CivetWeb's options.</param>
    /// <param name="handler">The callback API's request callback, instead of the one that tells what it was asked for.</param>
    /// <param name="hasFewThreads">So that a client soon gets the thread that another one had.</param>
    public static EitherServer Start(bool isServerApi, bool isTls, (string Name, string Value)[]? options = null, RequestCallback? handler = null, bool hasFewThreads = false) =>
        new(isServerApi, isTls, options ?? [], handler, hasFewThreads);

    /// <summary>How many threads, and so buffers, it has when it has few.</summary>
    public static int FewestThreads(bool isServerApi) => isServerApi ? 2 : 1;

    /// <summary>Everything told so far, which is then forgotten.</summary>
    public string TakeSeen()
    {
        var all = new List<string>();
        while (Seen.TryDequeue(out string? one))
        {
            all.Add(one);
        }

        while (_server is not null && _server.Log.Entries.TryDequeue(out var entry))
        {
            all.Add(entry.Message);
        }

        return string.Join('\n', all);
    }

    public StreamClient Connect() => new(Port, IsTls);

    /// <summary>One request and its response, status and body; the body is what the handler was asked for.</summary>
    public (int Status, string RawTarget, string Path) Ask(string target)
    {
        using StreamClient client = Connect();
        client.Send($"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (int status, byte[] body) = client.ReadResponse();
        string[] lines = Encoding.UTF8.GetString(body).Split('\n');
        return status == 200 ? (status, lines[0], lines[1]) : (status, "", "");
    }

    public async ValueTask DisposeAsync()
    {
        _callbackServer?.Dispose();
        if (_server is not null)
        {
            await _server.DisposeAsync();
        }

        if (_certificate is not null)
        {
            File.Delete(_certificate);
        }
    }

    private static string Describe(RequestInfo info) =>
        $"{info.Method} {info.Uri} {info.LocalUriRaw} {info.LocalUri} {info.QueryString} {info.HttpVersion} {info.RemoteUser} "
        + string.Join(' ', info.Headers.Select(header => $"{header.Key}: {header.Value}"));

    private int Note(string message)
    {
        Seen.Enqueue(message);
        return 1;
    }
}
