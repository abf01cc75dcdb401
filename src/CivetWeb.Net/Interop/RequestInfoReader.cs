using System;
using System.Collections.Generic;

namespace CivetWeb.Net.Interop;

/// <summary>Copies <c>mg_request_info</c>: its strings live in a buffer that the next request overwrites.</summary>
internal static unsafe class RequestInfoReader
{
    /// <summary>A copy of what CivetWeb knows about the request; null when there is none.</summary>
    public static RequestInfo? Read(nint connection, object? userData, object? connectionData)
    {
        mg_request_info* info = NativeMethods.mg_get_request_info((mg_connection*)connection);
        if (info == null)
        {
            return null;
        }

        int count = Math.Clamp(info->num_headers, 0, 64);
        var headers = new KeyValuePair<string, string>[count];
        for (int i = 0; i < count; i++)
        {
            ref mg_header header = ref info->http_headers[i];
            headers[i] = new(NativeText.FromPointer(header.name) ?? "", NativeText.FromPointer(header.value)?.TrimEnd(' ') ?? ""); // RFC 9110, section 5.5
        }

        byte* address = (byte*)&info->remote_addr;
        return new RequestInfo(headers)
        {
            Method = NativeText.FromPointer(info->request_method) ?? "",
            Uri = NativeText.FromPointer(info->request_uri) ?? "",
            LocalUriRaw = NativeText.FromPointer(info->local_uri_raw) ?? "",
            LocalUri = NativeText.FromPointer(info->local_uri) ?? "",
            HttpVersion = NativeText.FromPointer(info->http_version) ?? "",
            QueryString = NativeText.FromPointer(info->query_string),
            RemoteUser = NativeText.FromPointer(info->remote_user),
            RemoteAddress = NativeText.FromPointer(address) ?? "",
            RemotePort = info->remote_port,
            ServerPort = info->server_port,
            ContentLength = info->content_length,
            IsSsl = info->is_ssl != 0,
            Subprotocol = NativeText.FromPointer(info->acceptedWebSocketSubprotocol),
            UserData = userData,
            ConnectionData = connectionData,
        };
    }
}
