using System;
using System.Collections.Generic;
using System.Net;
using CivetWeb.Net.CallbackApi;
using CivetWeb.Net.Core;

namespace CivetWeb.Net.Interop;

/// <summary>Copies <c>mg_request_info</c>: its strings live in a buffer that the next request overwrites.</summary>
internal static unsafe class RequestInfoReader
{
    private const int MaxHeaders = 64;

    /// <summary>A copy of what CivetWeb knows about the request; null when there is none.</summary>
    /// <param name="connection">The mg_connection, inside one of its callbacks.</param>
    /// <param name="server">Its server.</param>
    /// <param name="peer">The peer's address if a PROXY header has replaced it.</param>
    /// <param name="connectionData">The application's object.</param>
    public static RequestInfo? Read(nint connection, Context server, string? peer, object? connectionData)
    {
        mg_request_info* info = NativeMethods.mg_get_request_info((mg_connection*)connection);
        if (info == null)
        {
            return null;
        }

        int count = Math.Clamp(info->num_headers, 0, MaxHeaders);
        var headers = new KeyValuePair<string, string>[count];
        for (int i = 0; i < count; i++)
        {
            ref mg_header header = ref info->http_headers[i];
            headers[i] = new(NativeText.FromPointer(header.name) ?? "", NativeText.FromPointer(header.value)?.TrimEnd(' ') ?? ""); // RFC 9110, section 5.5
        }

        string? query = NativeText.FromPointer(info->query_string);
        string remote = NativeText.FromPointer((byte*)&info->remote_addr) ?? "";
        string? client = null;

        bool isKnown = true;
        if (server.Settings.TrustedProxies is { } proxies && proxies.Contains(remote))
        {
            isKnown = proxies.TryFindClient(headers, out client);
        }

        return new RequestInfo(headers)
        {
            Method = NativeText.FromPointer(info->request_method) ?? "",
            Uri = NativeText.FromPointer(info->request_uri) ?? "",
            LocalUriRaw = NativeText.FromPointer(info->local_uri_raw) ?? "",
            LocalUri = NativeText.FromPointer(info->local_uri) ?? "",
            HttpVersion = NativeText.FromPointer(info->http_version) ?? "",
            RawQuery = query,
            QueryString = query is not null && server.Settings.DecodesQueries ? WebUtility.UrlDecode(query) : query,
            RemoteUser = NativeText.FromPointer(info->remote_user),
            RemoteAddress = client ?? remote,
            PeerAddress = peer ?? remote,
            IsForwarded = client is not null,
            IsClientUnknown = !isKnown,
            RemotePort = client is null ? info->remote_port : 0,
            ServerPort = info->server_port,
            ContentLength = info->content_length,
            IsTls = info->is_ssl != 0,
            Subprotocol = NativeText.FromPointer(info->acceptedWebSocketSubprotocol),
            UserData = server.UserData,
            ConnectionData = connectionData,
        };
    }
}
