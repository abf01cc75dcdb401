using System;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.CallbackApi;

// What the server API needs of a connection between a request and its response.
public sealed partial class Connection
{
    /// <summary>The length of the request's body; -1 when it is chunked, 0 when the request is over.</summary>
    internal long BodyLength
    {
        get
        {
            lock (_gate)
            {
                return _native == 0 ? 0 : NativeBody.Length(_native);
            }
        }
    }

    /// <summary>The status HTTP has for what CivetWeb has refused; inside the http_error callback.</summary>
    internal int ErrorStatus(int status)
    {
        lock (_gate)
        {
            return _native == 0 ? status : NativeBody.ErrorStatus(_native, status);
        }
    }

    /// <summary>What is there of the request's body, or one of the constants of <see cref="NativeBody"/>.</summary>
    internal int ReadBody(Span<byte> buffer, int timeout, Span<long> chunk)
    {
        lock (_gate)
        {
            return _native == 0 ? NativeBody.Lost : NativeBody.Read(_native, buffer, timeout, chunk);
        }
    }

    /// <summary>False: the client is gone, or too slow; the connection ends after the request.</summary>
    internal bool WriteResponse(ReadOnlySpan<byte> data, int timeout)
    {
        lock (_gate)
        {
            return _native != 0 && NativeBody.Write(_native, data, timeout);
        }
    }

    /// <summary>The status sent, or 404 when nothing was.</summary>
    internal int SendFile(byte[] path, byte[]? mimeType, byte[] headers, int timeout)
    {
        lock (_gate)
        {
            return _native == 0 ? 404 : NativeBody.SendFile(_native, path, mimeType, headers, timeout);
        }
    }

    /// <summary>Resets the connection, so that half a response is not taken for a whole one.</summary>
    internal void Cut()
    {
        lock (_gate)
        {
            if (_native != 0)
            {
                NativeBody.Cut(_native);
            }
        }
    }

    /// <summary>Closes after a complete response; a client that still sends has that long to read it.</summary>
    internal void CloseAfterResponse(int timeout)
    {
        lock (_gate)
        {
            if (_native != 0)
            {
                NativeBody.CloseAfterResponse(_native, timeout);
            }
        }
    }

    /// <summary>The connection is about to close: of a server, after a request that CivetWeb would not have answered.</summary>
    internal void AnswerUnrouted(nint native)
    {
        if (Context.UserData is CivetWebServer)
        {
            NativeBody.AnswerUnrouted(native, HttpPipeline.AllMethods);
        }
    }
}
