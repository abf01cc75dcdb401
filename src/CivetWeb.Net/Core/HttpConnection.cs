using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.Core;

/// <summary>
/// One opening of a connection, from accept to close, as far as both APIs are the same: who may come in, what a request is, what a stopping
/// server does to it. Each API derives its own, which handles the request.
/// </summary>
internal abstract class HttpConnection(HttpHost host, int httpsPort) : GatedConnection, INativeConnection
{
    private RequestHead? _head;
    private string? _peer; // the proxy, where its PROXY header has replaced it

    /// <summary>The server the connection belongs to.</summary>
    public HttpHost Host => host;

    /// <inheritdoc/>
    public bool DecodesUrls => host.Settings.DecodesUrls;

    /// <summary>The request, once there is one.</summary>
    /// <exception cref="InvalidOperationException">There is no request, or it has ended.</exception>
    public RequestHead Head
    {
        get
        {
            RequestHead? head = Volatile.Read(ref _head);
            if (head is null)
            {
                head = ReadRequest() is { } data ? new RequestHead(data, host.Settings, _peer) : throw new InvalidOperationException(
                    "There is no request to read: its callback has returned, or none has arrived yet. Read it inside the callback; the result can be kept.");
                head = Interlocked.CompareExchange(ref _head, head, null) ?? head;
            }

            return head;
        }
    }

    /// <summary>Sends a Close frame as soon as it can; never blocks. Does nothing to what is not a WebSocket.</summary>
    public abstract void RequestClose(int code);

    /// <summary>Cuts a WebSocket; never blocks.</summary>
    public abstract void Abort();

    /// <summary>Receives the PROXY header that a trusted proxy must send; without one the connection ends.</summary>
    public void ReadProxyHeader(nint native)
    {
        string peer = NativeRequest.PeerAddress(native);
        if (host.Settings.TrustedProxies!.Contains(peer))
        {
            _peer = peer;
            NativeRequest.ReadProxyHeader(native);
        }
    }

    /// <inheritdoc/>
    public int OnBeginRequest(nint native)
    {
        ForgetRequest();
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            // Only a library built with a small USE_STACK_SIZE gets here; user code would overflow and end the process.
            return NativeRequest.Refuse(native, 503, null, "The server's threads have too little stack.\n");
        }

        using CallbackScope scope = CallbackScope.Enter();
        long sent = NativeRequest.BytesSent(native);
        BeginUse(native);
        try
        {
            (int refused, string reason) = CheckAccess(native);
            if (refused != 0)
            {
                host.ReportRefusal(this, refused, reason);
                return NativeRequest.Refuse(native, refused, null, reason + "\n");
            }

            return httpsPort > 0 ? HttpsLocation.Answer(this, httpsPort) : HandleRequest(native);
        }
        catch (Exception e)
        {
            host.ReportException(e, "BeginRequest");
            return RefuseIfSilent(native, sent, 500, "The request could not be handled.\n");
        }
        finally
        {
            EndUse();
        }
    }

    /// <inheritdoc/>
    public virtual void OnEndRequest(nint native, int status)
    {
    }

    /// <inheritdoc/>
    public abstract bool OnHttpError(nint native, int status, string message);

    /// <inheritdoc/>
    public void OnConnectionClose(nint native)
    {
        try
        {
            if (host.UnroutedMethods is { } methods)
            {
                NativeBody.AnswerUnrouted(native, methods);
            }
        }
        finally
        {
            try
            {
                OnClose();
            }
            finally
            {
                // Only a connection accepted by its callback and then lost to a failing handshake is still here.
                host.Forget(this);
            }
        }
    }

    /// <inheritdoc/>
    public virtual void OnConnectionClosed()
    {
    }

    /// <inheritdoc/>
    public abstract int OnWebSocketConnect(nint native);

    /// <inheritdoc/>
    public abstract void OnWebSocketReady(nint native, nint handle);

    /// <inheritdoc/>
    public abstract int OnWebSocketData(int bits, ReadOnlySpan<byte> data);

    /// <inheritdoc/>
    public abstract void OnWebSocketClose();

    /// <inheritdoc/>
    public abstract void FailWebSocket(Exception exception, string callback);

    /// <summary>Handles a request that may come in; the status of the response, or 0: CivetWeb goes on.</summary>
    protected abstract int HandleRequest(nint native);

    /// <summary>The connection is about to be closed.</summary>
    protected virtual void OnClose()
    {
    }

    /// <summary>What is kept of a request was of an earlier one.</summary>
    protected virtual void ForgetRequest() => Volatile.Write(ref _head, null);

    /// <summary>
    /// What becomes a WebSocket while the server stops is closed, or cut, as the others have been. Stopping looks at the WebSocket after it
    /// has set its flag; this, after the WebSocket can be seen, looks at the flag: one of the two sees the other.
    /// </summary>
    protected void CatchUpWithStop()
    {
        Interlocked.MemoryBarrier();
        if (host.IsStopping)
        {
            RequestClose(1001);
        }

        if (host.IsCutting)
        {
            Abort();
        }
    }

    /// <summary>A refusal, unless something has been sent already: then the connection ends.</summary>
    protected static int RefuseIfSilent(nint native, long sentBefore, int status, string text)
    {
        if (NativeRequest.BytesSent(native) == sentBefore)
        {
            return NativeRequest.Refuse(native, status, null, text);
        }

        NativeRequest.EndAfterRequest(native);
        return status;
    }

    /// <summary>Whether the request may reach anybody, by the host it asks for and by who it comes from.</summary>
    private (int Status, string Reason) CheckAccess(nint native)
    {
        HostPolicy policy = host.Settings.Hosts;
        if (!policy.IsEverything && (!policy.IsDefault || NativeRequest.IsOnLoopback(native)))
        {
            (List<string> hosts, string target) = NativeRequest.ReadHosts(native);
            (int Status, string Reason) answer = policy.Check(hosts, target);
            if (answer.Status != 0)
            {
                return answer;
            }
        }

        return host.Settings.TrustedProxies is not null && Head.IsClientUnknown
            ? (400, "X-Forwarded-For does not tell the client's address.")
            : default;
    }
}
