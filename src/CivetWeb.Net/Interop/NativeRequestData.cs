using System;
using System.Collections.Generic;

namespace CivetWeb.Net.Interop;

/// <summary>A copy of <c>mg_request_info</c>: its strings live in a buffer that the next request overwrites.</summary>
internal readonly unsafe struct NativeRequestData
{
    private const int MaxHeaders = 64;

    private NativeRequestData(mg_request_info* info)
    {
        int count = Math.Clamp(info->num_headers, 0, MaxHeaders);
        var headers = new KeyValuePair<string, string>[count];
        for (int i = 0; i < count; i++)
        {
            ref mg_header header = ref info->http_headers[i];
            headers[i] = new(NativeText.FromPointer(header.name) ?? "", NativeText.FromPointer(header.value)?.TrimEnd(' ') ?? ""); // RFC 9110, section 5.5
        }

        Headers = headers;
        Method = NativeText.FromPointer(info->request_method) ?? "";
        Uri = NativeText.FromPointer(info->request_uri) ?? "";
        LocalUriRaw = NativeText.FromPointer(info->local_uri_raw) ?? "";
        LocalUri = NativeText.FromPointer(info->local_uri) ?? "";
        HttpVersion = NativeText.FromPointer(info->http_version) ?? "";
        Query = NativeText.FromPointer(info->query_string);
        RemoteUser = NativeText.FromPointer(info->remote_user);
        RemoteAddress = NativeText.FromPointer((byte*)&info->remote_addr) ?? "";
        RemotePort = info->remote_port;
        ServerPort = info->server_port;
        ContentLength = info->content_length;
        IsTls = info->is_ssl != 0;
        Subprotocol = NativeText.FromPointer(info->acceptedWebSocketSubprotocol);
    }

    public KeyValuePair<string, string>[] Headers { get; init; }

    public string Method { get; init; }

    public string Uri { get; init; }

    public string LocalUriRaw { get; init; }

    public string LocalUri { get; init; }

    public string HttpVersion { get; init; }

    public string? Query { get; init; }

    public string? RemoteUser { get; init; }

    public string RemoteAddress { get; init; }

    public int RemotePort { get; init; }

    public int ServerPort { get; init; }

    public long ContentLength { get; init; }

    public bool IsTls { get; init; }

    public string? Subprotocol { get; init; }

    /// <summary>What CivetWeb knows about the request; null when there is none.</summary>
    /// <param name="connection">The mg_connection, inside one of its callbacks.</param>
    public static NativeRequestData? Read(nint connection)
    {
        mg_request_info* info = NativeMethods.mg_get_request_info((mg_connection*)connection);
        return info == null ? null : new NativeRequestData(info);
    }
}
