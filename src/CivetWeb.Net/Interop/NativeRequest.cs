using System;
using System.Buffers;
using System.Collections.Generic;
using System.Text;

namespace CivetWeb.Net.Interop;

/// <summary>Request and response calls on a live connection; only within its callbacks, under its gate.</summary>
internal static unsafe class NativeRequest
{
    public static int Write(nint connection, ReadOnlySpan<byte> data)
    {
        fixed (byte* pointer = data)
        {
            return data.IsEmpty ? 0 : CwnMethods.cwn_write((mg_connection*)connection, pointer, (nuint)data.Length);
        }
    }

    public static void SendFile(nint connection, byte[] path, byte[]? mimeType)
    {
        fixed (byte* file = path, mime = mimeType)
        {
            if (mime == null)
            {
                NativeMethods.mg_send_file((mg_connection*)connection, file);
            }
            else
            {
                NativeMethods.mg_send_mime_file((mg_connection*)connection, file, mime);
            }
        }
    }

    /// <summary>A complete response that works on upgrade requests too; the connection closes after it.</summary>
    public static int Refuse(nint connection, int status, string? headers, string text)
    {
        byte[]? headerBytes = headers is null ? null : NativeText.ToBytes(headers, nameof(headers));
        byte[] textBytes = NativeText.ToBytes(text, nameof(text));
        fixed (byte* h = headerBytes, t = textBytes)
        {
            return CwnMethods.cwn_refuse((mg_connection*)connection, status, h, t);
        }
    }

    /// <summary>The address of the connection's peer, as CivetWeb writes it.</summary>
    public static string PeerAddress(nint connection)
    {
        const int MaxLength = 64;
        byte* text = stackalloc byte[MaxLength];
        text[0] = 0;
        _ = CwnMethods.cwn_peer_address((mg_connection*)connection, text, MaxLength);
        return NativeText.FromPointer(text) ?? "";
    }

    /// <summary>The server's side of the connection: address and port, or the path of a Unix domain socket.</summary>
    public static (string Address, int Port) LocalAddress(nint connection)
    {
        const int MaxLength = 128;
        byte* text = stackalloc byte[MaxLength];
        text[0] = 0;
        int port = CwnMethods.cwn_local_address((mg_connection*)connection, text, MaxLength);
        return (NativeText.FromPointer(text) ?? "", port);
    }

    /// <summary>Whether only programs on this machine can have connected, by TCP; also when that cannot be told.</summary>
    public static bool IsOnLoopback(nint connection) => CwnMethods.cwn_is_on_loopback((mg_connection*)connection) != 0;

    /// <summary>The Host headers and the target of the request.</summary>
    public static (List<string> Hosts, string Target) ReadHosts(nint connection)
    {
        mg_request_info* info = NativeMethods.mg_get_request_info((mg_connection*)connection);
        var hosts = new List<string>(1);
        for (int i = 0; i < info->num_headers; i++)
        {
            ref mg_header header = ref info->http_headers[i];
            if (string.Equals(NativeText.FromPointer(header.name), "Host", StringComparison.OrdinalIgnoreCase))
            {
                hosts.Add(NativeText.FromPointer(header.value)?.Trim(' ', '\t') ?? "");
            }
        }

        return (hosts, NativeText.FromPointer(info->request_uri) ?? "");
    }

    public static int CheckUpgrade(nint connection) => CwnMethods.cwn_check_upgrade((mg_connection*)connection);

    /// <summary>Answers with 101 and the complete header lines given.</summary>
    public static bool AcceptUpgrade(nint connection, string headers)
    {
        fixed (byte* h = NativeText.ToBytes(headers, nameof(headers)))
        {
            return CwnMethods.cwn_accept_upgrade((mg_connection*)connection, h) != 0;
        }
    }

    public static bool IsClientGone(nint connection) => CwnMethods.cwn_client_is_gone((mg_connection*)connection) != 0;

    public static bool CanKeepAlive(nint connection) => CwnMethods.cwn_can_keep_alive((mg_connection*)connection) != 0;

    /// <summary>Receives the PROXY header the peer must send; false when the connection ends for want of it.</summary>
    public static bool ReadProxyHeader(nint connection) => CwnMethods.cwn_read_proxy_header((mg_connection*)connection) >= 0;

    public static long BytesSent(nint connection) => CwnMethods.cwn_bytes_sent((mg_connection*)connection);

    /// <summary>The certificate the client has proved to own, in DER; null without one.</summary>
    public static byte[]? PeerCertificate(nint connection)
    {
        const int Usual = 4096;
        byte[] der = new byte[Usual];
        while (true)
        {
            fixed (byte* pointer = der)
            {
                int size = CwnMethods.cwn_peer_certificate((mg_connection*)connection, pointer, (nuint)der.Length);
                if (size <= der.Length)
                {
                    return size == 0 ? null : der[..size];
                }

                der = new byte[size];
            }
        }
    }

    /// <summary>Ends the connection after the current request; on a slot known to be live only.</summary>
    public static void EndAfterRequest(nint connection) =>
        NativeMethods.mg_disable_connection_keep_alive((mg_connection*)connection);

    /// <summary>The decoded value of a form variable, or null.</summary>
    public static string? GetVariable(ReadOnlySpan<byte> data, byte[] name)
    {
        if (data.IsEmpty)
        {
            return null;
        }

        // Decoding never makes a value longer than the data it is in.
        byte[] buffer = ArrayPool<byte>.Shared.Rent(data.Length + 1);
        try
        {
            fixed (byte* d = data, n = name, b = buffer)
            {
                int length = NativeMethods.mg_get_var(d, (nuint)data.Length, n, b, (nuint)buffer.Length);
                return length < 0 ? null : Encoding.UTF8.GetString(buffer, 0, length);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
