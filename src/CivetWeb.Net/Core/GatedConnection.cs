using System;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.Core;

/// <summary>
/// An mg_connection behind a gate: it can be used, from any thread, while a callback for it runs; before and after, every call does nothing
/// and says so by its result. So no pointer to it is ever used when it stands for another client.
/// </summary>
internal abstract class GatedConnection
{
    private readonly object _gate = new();
    private nint _native; // while a callback that may use it runs
    private int _uses;

    /// <summary>Whether the connection can serve another request after this one, for all CivetWeb knows.</summary>
    public bool CanKeepAlive
    {
        get
        {
            lock (_gate)
            {
                return _native != 0 && NativeRequest.CanKeepAlive(_native);
            }
        }
    }

    /// <summary>The server's side of the connection.</summary>
    public EndPoint LocalEndPoint
    {
        get
        {
            lock (_gate)
            {
                if (_native == 0)
                {
                    return SocketAddresses.Unix;
                }

                (string address, int port) = NativeRequest.LocalAddress(_native);
                return address.StartsWith('/') ? new UnixDomainSocketEndPoint(address) : SocketAddresses.Parse(address, port);
            }
        }
    }

    /// <summary>The certificate the client has proved to own, in DER; null without one.</summary>
    public byte[]? PeerCertificate
    {
        get
        {
            lock (_gate)
            {
                return _native == 0 ? null : NativeRequest.PeerCertificate(_native);
            }
        }
    }

    /// <summary>The length of the request's body; -1 when it is chunked, 0 when the request has ended.</summary>
    public long BodyLength
    {
        get
        {
            lock (_gate)
            {
                return _native == 0 ? 0 : NativeBody.Length(_native);
            }
        }
    }

    /// <summary>
    /// Whether the client has gone, or at least finished sending, while its request is handled. Never waits: false while another
    /// thread reads or writes, which notices by itself.
    /// </summary>
    public bool IsClientGone()
    {
        if (!Monitor.TryEnter(_gate))
        {
            return false;
        }

        try
        {
            return _native != 0 && NativeRequest.IsClientGone(_native);
        }
        finally
        {
            Monitor.Exit(_gate);
        }
    }

    /// <summary>The number of bytes written (<c>mg_write</c>), or -1.</summary>
    public int Write(ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            return _native == 0 ? -1 : NativeRequest.Write(_native, data);
        }
    }

    /// <summary>False: the client is gone, or too slow; the connection ends after the request.</summary>
    public bool WriteResponse(ReadOnlySpan<byte> data, int timeout)
    {
        lock (_gate)
        {
            return _native != 0 && NativeBody.Write(_native, data, timeout);
        }
    }

    /// <summary>What is there of the request's body, or one of the constants of <see cref="NativeBody"/>.</summary>
    public int ReadBody(Span<byte> buffer, int timeout, Span<long> chunk)
    {
        lock (_gate)
        {
            return _native == 0 ? NativeBody.Lost : NativeBody.Read(_native, buffer, timeout, chunk);
        }
    }

    /// <summary>0 when CivetWeb has answered with the file (<c>mg_send_file</c>), otherwise -1.</summary>
    public int SendFile(byte[] path, byte[]? mimeType)
    {
        lock (_gate)
        {
            if (_native == 0)
            {
                return -1;
            }

            NativeRequest.SendFile(_native, path, mimeType);
            return 0;
        }
    }

    /// <summary>The status sent, or 404 when nothing was.</summary>
    public int SendFile(byte[] path, byte[]? mimeType, byte[] headers, int timeout)
    {
        lock (_gate)
        {
            return _native == 0 ? 404 : NativeBody.SendFile(_native, path, mimeType, headers, timeout);
        }
    }

    /// <summary>A complete response that works for WebSocket requests too; the connection ends after it.</summary>
    public int Refuse(int status, string? headers, string text)
    {
        lock (_gate)
        {
            return _native == 0 ? status : NativeRequest.Refuse(_native, status, headers, text);
        }
    }

    /// <summary>The status HTTP has for what CivetWeb has refused; inside the http_error callback.</summary>
    public int ErrorStatus(int status)
    {
        lock (_gate)
        {
            return _native == 0 ? status : NativeBody.ErrorStatus(_native, status);
        }
    }

    /// <summary>0: not a WebSocket request; 1: a valid one; otherwise the status of the refusal that was sent.</summary>
    public int CheckUpgrade()
    {
        lock (_gate)
        {
            return _native == 0 ? 0 : NativeRequest.CheckUpgrade(_native);
        }
    }

    /// <summary>Answers a valid WebSocket request with 101; false when that could not be sent.</summary>
    /// <param name="headers">Complete header lines.</param>
    public bool AcceptUpgrade(string headers)
    {
        lock (_gate)
        {
            return _native != 0 && NativeRequest.AcceptUpgrade(_native, headers);
        }
    }

    /// <summary>The session of a WebSocket; null when out of memory or descriptors.</summary>
    public SessionHandle? CreateSession(in cwn_session_options options)
    {
        lock (_gate)
        {
            return _native == 0 ? null : SessionHandle.TryCreate(_native, options);
        }
    }

    /// <summary>Ends the connection after the current request.</summary>
    public void EndAfterRequest()
    {
        lock (_gate)
        {
            if (_native != 0)
            {
                NativeRequest.EndAfterRequest(_native);
            }
        }
    }

    /// <summary>Closes after a complete response; a client that still sends has that long to read it.</summary>
    public void CloseAfterResponse(int timeout)
    {
        lock (_gate)
        {
            if (_native != 0)
            {
                NativeBody.CloseAfterResponse(_native, timeout);
            }
        }
    }

    /// <summary>Resets the connection, so that half a response is not taken for a whole one.</summary>
    public void Cut()
    {
        lock (_gate)
        {
            if (_native != 0)
            {
                NativeBody.Cut(_native);
            }
        }
    }

    /// <summary>What CivetWeb knows about the request; null when there is none.</summary>
    protected NativeRequestData? ReadRequest()
    {
        lock (_gate)
        {
            return _native == 0 ? null : NativeRequestData.Read(_native);
        }
    }

    /// <summary>Opens the gate, for the duration of a callback.</summary>
    protected void BeginUse(nint native)
    {
        lock (_gate)
        {
            _native = native;
            _uses++;
        }
    }

    /// <summary>Closes the gate. Waits for a call of another thread that is still using the connection.</summary>
    protected void EndUse()
    {
        lock (_gate)
        {
            if (--_uses == 0)
            {
                _native = 0;
            }
        }
    }
}
