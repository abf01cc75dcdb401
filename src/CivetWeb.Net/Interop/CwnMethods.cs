using System.Runtime.InteropServices;

namespace CivetWeb.Net.Interop;

/// <summary>Limits of one session; the layout of <c>cwn_session_options</c>.</summary>
internal struct cwn_session_options
{
    public uint size;
    public uint max_message_size;
    public uint ping_interval_ms;
    public uint pong_timeout_ms;
    public uint frame_timeout_ms;
    public uint send_timeout_ms;
    public uint close_timeout_ms;
    public uint max_queue_size;
    public uint keep_thread;

    /// <summary>What <see cref="size"/> has to be.</summary>
    public static unsafe uint Size => (uint)sizeof(cwn_session_options);
}

/// <summary>How a session ended; the layout of <c>cwn_session_info</c>.</summary>
internal struct cwn_session_info
{
    public uint size;
    public int local_code;
    public int remote_code;
    public uint reason_size;
    public ReasonBuffer reason;

    [System.Runtime.CompilerServices.InlineArray(124)]
    public struct ReasonBuffer
    {
        public byte e0;
    }
}

/// <summary>The extension's functions, as native/include/civetweb_net.h declares them.</summary>
internal static unsafe class CwnMethods
{
    private const string Library = "civetweb_net";

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern uint cwn_abi_version();

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern byte* cwn_build_info();

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern uint cwn_layout(uint* values, uint count);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_init(uint features);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_use_processors(uint count);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_begin_connection(mg_connection* conn);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_forget_unsent(mg_connection* conn);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_prepare_request(mg_connection* conn, int decode_path);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_prepare_file(mg_connection* conn);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_check_upgrade(mg_connection* conn);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_refuse(mg_connection* conn, int status, byte* headers, byte* text);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_http_error(mg_connection* conn, int status, byte* text);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern long cwn_bytes_sent(mg_connection* conn);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_accept_subprotocol(mg_connection* conn, byte* name);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_gather_handshake(mg_connection* conn);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_peer_address(mg_connection* conn, byte* text, nuint size);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_local_address(mg_connection* conn, byte* text, nuint size);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_is_on_loopback(mg_connection* conn);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_is_socket(byte* path);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_is_file(byte* path);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_can_keep_alive(mg_connection* conn);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_accept_upgrade(mg_connection* conn, byte* headers);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_read_proxy_header(mg_connection* conn);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern uint cwn_context_threads(mg_context* ctx);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_stop(mg_context* ctx);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern uint cwn_try_threads(uint count);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_clients_wait(mg_context* ctx);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_client_is_gone(mg_connection* conn);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_context_drain(mg_context* ctx);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern nint cwn_tls_create(
        int min_version, byte* ciphers, int client_certificates, int verify_depth, byte* authorities, nuint authorities_size, byte* error, nuint error_size);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_tls_set_certificate(
        nint tls, byte* leaf, nuint leaf_size, byte* chain, nuint chain_size, byte* key, nuint key_size, byte* password, byte* error, nuint error_size);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_tls_attach(nint tls, void* ssl_ctx, byte* error, nuint error_size);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_tls_release(nint tls);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern long cwn_tls_count();

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_peer_certificate(mg_connection* conn, byte* buffer, nuint size);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern nint cwn_session_create(mg_connection* conn, cwn_session_options* options);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_session_run(
        nint session, delegate* unmanaged[Cdecl]<mg_connection*, int, byte*, nuint, void*, int> handler, void* user_data);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_session_begin(nint session, delegate* unmanaged[Cdecl]<void*, int> handler, void* user_data);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_session_read(nint session, byte* buffer, nuint size);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_session_write(nint session, byte* data, nuint size, int gather);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_session_wait(nint session, int events, int timeout_ms);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_session_wake(nint session);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_session_end(nint session, int linger_ms);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_session_send(nint session, int opcode, byte* data, nuint size);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_session_post(nint session, int opcode, byte* data, nuint size);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_session_close(nint session, int code, byte* reason, nuint reason_size);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_session_request_close(nint session, int code);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_session_abort(nint session);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_session_is_open(nint session);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_session_get_info(nint session, cwn_session_info* info);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_session_release(nint session);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern long cwn_session_count();

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_read_body(mg_connection* conn, byte* buffer, nuint size, int timeout_ms, long* chunk);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern long cwn_body_length(mg_connection* conn);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_write(mg_connection* conn, byte* data, nuint size);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_write_response(mg_connection* conn, byte* data, nuint size, int timeout_ms);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_cut(mg_connection* conn);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_close_after_response(mg_connection* conn, int timeout_ms);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_send_file(mg_connection* conn, byte* path, byte* mime_type, byte* headers, int timeout_ms);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern int cwn_error_status(mg_connection* conn, int status);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    public static extern void cwn_answer_unrouted(mg_connection* conn, byte* allow);
}
