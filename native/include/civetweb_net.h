/* The extension that CivetWeb.Net compiles together with CivetWeb 1.16.
 *
 * CivetWeb's own WebSocket loop trusts the client; a cwn_session replaces it.
 * Everything here is C11 with a plain C ABI. Functions whose description does
 * not say otherwise may be called on any thread.
 */
#ifndef CIVETWEB_NET_H
#define CIVETWEB_NET_H

#include <stddef.h>
#include <stdint.h>

#include "civetweb.h"

#ifndef CWN_API
#if defined(_WIN32)
#define CWN_API __declspec(dllexport)
#else
#define CWN_API __attribute__((visibility("default")))
#endif
#endif

/* Raised whenever a signature or a struct below changes. */
#define CWN_ABI_VERSION 4u

typedef struct cwn_session cwn_session;

typedef struct cwn_tls cwn_tls;

/* Limits of one session. Times are milliseconds; 0 switches a time-out off. */
typedef struct cwn_session_options {
	uint32_t size;             /* sizeof(cwn_session_options) */
	uint32_t max_message_size; /* bytes; a larger frame or message: 1009 */
	uint32_t ping_interval_ms; /* silence after which a ping is sent */
	uint32_t pong_timeout_ms;  /* silence after that ping which ends it */
	uint32_t frame_timeout_ms; /* a frame begun must make progress in this */
	uint32_t send_timeout_ms;  /* a peer that takes nothing; then it is aborted */
	uint32_t close_timeout_ms; /* for the peer's half of the closing */
	uint32_t max_queue_size;   /* bytes posted and not sent; more: aborted */
	uint32_t keep_thread;      /* 1: its own thread runs every turn, no leader */
} cwn_session_options;

/* How a session ended; filled in while it runs and final when it is over. */
typedef struct cwn_session_info {
	uint32_t size;        /* sizeof(cwn_session_info), set by the caller */
	int32_t local_code;   /* close code sent, 0 = none, 1005 = without code */
	int32_t remote_code;  /* close code received, with the same special values */
	uint32_t reason_size; /* bytes of the peer's reason (UTF-8, checked) */
	char reason[124];
} cwn_session_info;

/* Binding check */
CWN_API uint32_t cwn_abi_version(void);
CWN_API const char *cwn_build_info(void);
/* Writes up to count sizes as compiled (order: see layout.c); returns how many
 * there are. */
CWN_API uint32_t cwn_layout(uint32_t *values, uint32_t count);

/* mg_init_library, made safe to call once for plain servers (features = 0) and
 * again for TLS (MG_FEATURES_TLS). Returns 1, or 0 when the library itself or
 * the TLS asked for is not available. Not thread-safe: the caller serialises. */
CWN_API int cwn_init(unsigned features);

/* How many processors the program may use, quotas included; before the first session.
 * As many threads take turns at WebSockets that wait (Linux). */
CWN_API void cwn_use_processors(unsigned count);

/* 1 when there is a Unix domain socket of that name, 0 when there is something
 * else, be it a link to one; -1 when there is nothing. */
CWN_API int cwn_is_socket(const char *path);

/* Whether the name leads to a regular file (1) or to something else (0), such as a pipe,
 * which opening would wait for. -1: nothing is there. Windows: always 1. */
CWN_API int cwn_is_file(const char *path);

/* Requests; on the connection's own thread, inside its callbacks only. */

/* First thing in init_connection: clears what the thread's last connection has
 * left in its buffer. Returns the https port when the connection has come to one
 * that redirects there (CivetWeb will not do it then), otherwise 0. */
CWN_API int cwn_begin_connection(struct mg_connection *conn);

/* First thing in http_error: forgets what CivetWeb has taken for a request when
 * the client has not sent it as one: it has parsed what lies behind empty lines,
 * or no head has come, or it is an earlier request's. Returns 1 in the first
 * case. */
CWN_API int cwn_forget_unsent(struct mg_connection *conn);

/* First thing in begin_request: refuses a head that leaves open where the request
 * ends (RFC 9112, section 11.2) or was not sent as one, and a target that has a
 * fragment, or a path with encoded control characters (%00 above all) or
 * backslashes, or that is no UTF-8. Then local_uri is local_uri_raw without dot
 * segments (RFC 3986, section 5.2.4), decoded if asked for, except %2F and %5C.
 * CivetWeb itself must run with decode_url=no. Returns 0, or the status of the
 * complete response that was sent. */
CWN_API int cwn_prepare_request(struct mg_connection *conn, int decode_path);

/* Before CivetWeb looks for a file: answers a path that cannot be a file's (404) and a
 * folder without its slash (301). Returns 0, or the status that was sent. */
CWN_API int cwn_prepare_file(struct mg_connection *conn);

/* Checks a WebSocket upgrade against RFC 6455, section 4.2.1.
 * 0: not an upgrade; 1: a valid one; 400...: refused, complete response sent. */
CWN_API int cwn_check_upgrade(struct mg_connection *conn);

/* Sends a complete HTTP/1.1 response and closes; works where mg_send_http_error
 * does not, on upgrade requests. headers: complete lines or NULL. Returns status. */
CWN_API int cwn_refuse(struct mg_connection *conn,
                       int status,
                       const char *headers,
                       const char *text);

/* For the http_error callback: answers an upgrade request with a complete
 * response (CivetWeb's own would lack its status line). Returns 0 when it did,
 * 1 when CivetWeb should go on, as that callback does. */
CWN_API int
cwn_http_error(struct mg_connection *conn, int status, const char *text);

/* Bytes written to the connection so far, over all its requests. */
CWN_API int64_t cwn_bytes_sent(const struct mg_connection *conn);

/* HTTP bodies; as above on the connection's own thread or, while its callback
 * runs, on one other at a time. */

/* What of the request's body is there, waiting for the first byte; timeout_ms
 * < 0: request_timeout_ms. chunk: two numbers, 0 at first, kept for the next
 * call. Returns bytes, 0 at the end of the body, -1 time-out, -2 connection lost
 * or server stopping, -3 malformed; after these the connection closes, and every
 * later call fails. */
CWN_API int cwn_read_body(struct mg_connection *conn,
                          char *buffer,
                          size_t size,
                          int timeout_ms,
                          int64_t *chunk);

/* The length of the request's body, -1 when it is chunked. */
CWN_API int64_t cwn_body_length(const struct mg_connection *conn);

/* As mg_write, with throttle and request_timeout_ms without progress, over TLS too.
 * Returns the bytes sent, less than size when the client stopped reading, or -1 when none
 * were; the connection then closes after the request. */
CWN_API int cwn_write(struct mg_connection *conn, const char *data, size_t size);

/* Sends all of it within timeout_ms. Returns size, or -1; the connection then
 * closes after the request. */
CWN_API int cwn_write_response(struct mg_connection *conn,
                               const char *data,
                               size_t size,
                               int timeout_ms);

/* 1 when the client has gone, or has at least finished sending. Never waits. */
CWN_API int cwn_client_is_gone(const struct mg_connection *conn);

/* Resets the connection: the client must not take what it got for the whole. */
CWN_API void cwn_cut(struct mg_connection *conn);

/* Closes after a complete response, letting a client that still sends read it:
 * waits up to timeout_ms for its end. */
CWN_API void cwn_close_after_response(struct mg_connection *conn, int timeout_ms);

/* Answers with a file: conditions (RFC 9110, section 13), one range (section
 * 14), HEAD. mime_type and headers (complete lines) may be NULL. timeout_ms: for
 * each 16 KiB. Returns the status sent, or 404: nothing was sent. */
CWN_API int cwn_send_file(struct mg_connection *conn,
                          const char *path,
                          const char *mime_type,
                          const char *headers,
                          int timeout_ms);

/* In the http_error callback: the status HTTP has for what was wrong, where it is
 * another than CivetWeb's. */
CWN_API int cwn_error_status(const struct mg_connection *conn, int status);

/* In connection_close: answers what CivetWeb drops without a word, OPTIONS * (204
 * with that Allow) and requests for another server (421). */
CWN_API void cwn_answer_unrouted(struct mg_connection *conn, const char *allow);

/* The subprotocol CivetWeb's handshake will announce. Not copied. */
CWN_API void cwn_accept_subprotocol(struct mg_connection *conn,
                                    const char *name);

/* Last thing in a connect callback that accepts: CivetWeb sends its 101 response in two
 * pieces, which from here on wait for each other, so that it is one packet (Linux).
 * cwn_session_create lets it go. */
CWN_API void cwn_gather_handshake(struct mg_connection *conn);

/* The address of the connection's peer as text (at least 48 bytes; "*": a Unix
 * domain socket). Returns its port. After cwn_read_proxy_header has returned 1:
 * what that header said. */
CWN_API int cwn_peer_address(const struct mg_connection *conn, char *text, size_t size);

/* The same for the server's side of the connection; of a Unix domain socket its path (at
 * least 110 bytes), "*" where the system does not tell. */
CWN_API int cwn_local_address(const struct mg_connection *conn, char *text, size_t size);

/* 1 when the client has connected to a socket that listens on a loopback address, so
 * that it is on this machine; also when that cannot be told. 0 for a Unix domain
 * socket, and for one that listens on all addresses, whichever was used. */
CWN_API int cwn_is_on_loopback(const struct mg_connection *conn);

/* 1 when the connection can serve another request after this one. */
CWN_API int cwn_can_keep_alive(const struct mg_connection *conn);

/* Answers an upgrade that cwn_check_upgrade has found valid with 101. headers:
 * complete lines or NULL. From here on the connection is a session's. Returns 1,
 * or 0 when the response could not be sent. */
CWN_API int cwn_accept_upgrade(struct mg_connection *conn, const char *headers);

/* In init_connection, without TLS only: receives the PROXY protocol header (1 or
 * 2) that the peer must send, exactly, within request_timeout_ms. 1: the client's
 * address and port are now the connection's; 0: the header names none (LOCAL,
 * UNKNOWN), the peer's stay; -1: there was none, which is logged, and the
 * connection ends without a response. */
CWN_API int cwn_read_proxy_header(struct mg_connection *conn);

/* Right after mg_start2: how many threads the server has, of num_threads and one
 * more. mg_start2 succeeds with fewer, even without the one that accepts. */
CWN_API uint32_t cwn_context_threads(const struct mg_context *ctx);

/* mg_stop, for such servers too. */
CWN_API void cwn_stop(struct mg_context *ctx);

/* Tries to start count threads at once, 256 at most, and ends them. Returns how many started. */
CWN_API uint32_t cwn_try_threads(uint32_t count);

/* 1 while clients that have been accepted wait for a thread. Not while it stops. */
CWN_API int cwn_clients_wait(struct mg_context *ctx);

/* Closes sockets accepted but never served. In exit_context only. */
CWN_API void cwn_context_drain(struct mg_context *ctx);

/* TLS; only after cwn_init(MG_FEATURES_TLS) has returned 1. What goes wrong is
 * said in error (error_size bytes with its NUL). */

/* Whether clients are asked for a certificate. One that does not come from the
 * authorities always ends the handshake. */
enum {
	CWN_CLIENT_CERTIFICATES_NONE = 0,
	CWN_CLIENT_CERTIFICATES_OPTIONAL = 1,
	CWN_CLIENT_CERTIFICATES_REQUIRED = 2
};

/* How a server does TLS, without a certificate yet. min_version: 0x0303 (1.2) or
 * 0x0304. ciphers: OpenSSL's notation, for TLS 1.2. authorities: certificates in
 * DER, one after the other; the system's never count. NULL: OpenSSL refuses. */
CWN_API cwn_tls *cwn_tls_create(int min_version,
                                const char *ciphers,
                                int client_certificates,
                                int verify_depth,
                                const unsigned char *authorities,
                                size_t authorities_size,
                                char *error,
                                size_t error_size);

enum {
	CWN_CERTIFICATE_SET = 0,
	CWN_CERTIFICATE_KEY_UNREADABLE = 1, /* not a key, or not with this password */
	CWN_CERTIFICATE_KEY_MISMATCH = 2,   /* the key of another certificate */
	CWN_CERTIFICATE_REFUSED = 3
};

/* The certificate of all handshakes that begin from now on, with its chain and
 * its private key; open connections stay as they are. leaf and chain: DER, the
 * chain's certificates one after the other. password NULL: key is DER (PKCS#8 or
 * the algorithm's own form); otherwise PEM, "" when it needs no password. After a
 * failure the old certificate stays. */
CWN_API int cwn_tls_set_certificate(cwn_tls *tls,
                                    const unsigned char *leaf,
                                    size_t leaf_size,
                                    const unsigned char *chain,
                                    size_t chain_size,
                                    const unsigned char *key,
                                    size_t key_size,
                                    const char *password,
                                    char *error,
                                    size_t error_size);

/* In the init_ssl callback, with the SSL_CTX it got; it then returns 0. The
 * cwn_tls must not be released before mg_stop has returned. Returns 1, or 0 when
 * OpenSSL refuses. */
CWN_API int cwn_tls_attach(cwn_tls *tls, void *ssl_ctx, char *error, size_t error_size);

/* Once, by its creator. cwn_tls_count: objects of this kind alive in the process, their
 * certificates among them, for leak checks. */
CWN_API void cwn_tls_release(cwn_tls *tls);
CWN_API int64_t cwn_tls_count(void);

/* The certificate the client has proved to own, in DER, if it fits; on the
 * connection's own thread, inside its callbacks. Returns its size, 0: none. */
CWN_API int cwn_peer_certificate(const struct mg_connection *conn,
                                 unsigned char *buffer,
                                 size_t size);

/* Sessions */

/* In the ready callback. NULL: out of memory or descriptors. */
CWN_API cwn_session *cwn_session_create(struct mg_connection *conn,
                                        const cwn_session_options *options);

/* Drives the connection until it is over; on the thread and inside the ready
 * callback that created the session. handler gets whole messages (bits 1 or 2)
 * and control frames (8, 9, 10); its 0 closes with 1000. Its calls never overlap,
 * but on Linux they come from this thread or from one that serves many sessions,
 * unless keep_thread says otherwise. When it returns, the session no longer knows
 * the connection. */
CWN_API void cwn_session_run(cwn_session *session,
                             mg_websocket_data_handler handler,
                             void *user_data);

/* A transport instead of cwn_session_run: the raw bytes behind the handshake. */

/* What a turn handler returns. */
enum {
	CWN_TURN_OWN = 0,  /* the own thread's wait has to end */
	CWN_TURN_DONE = 1, /* all that was there has been read: wait for more */
	CWN_TURN_AGAIN = 2, /* call at once again: there may be more */
	CWN_TURN_UNREAD = 3 /* the program does not read now; a wake will come before it does */
};

/* Called on another thread, with what the own one may do, while that one waits for
 * CWN_CAN_READ alone and input has come. Never two at a time. */
typedef int (*cwn_turn_handler)(void *user_data);

/* On the connection's own thread, before the rest. Without a handler the own thread
 * learns of all input itself, as it does where there are no leaders: on other
 * systems than Linux, and with keep_thread. Returns 1, or 0 on misuse. */
CWN_API int cwn_session_begin(cwn_session *session, cwn_turn_handler handler, void *user_data);

/* Never waits. Bytes, 0 at the end, -1 nothing there now, -2 failed or over. One
 * reader at a time. */
CWN_API int cwn_session_read(cwn_session *session, char *buffer, size_t size);

/* Never waits. Returns how many bytes were taken, or -1: failed or over. gather:
 * on the own thread the bytes may wait for its next wait, in a turn handler for its
 * end. */
CWN_API int cwn_session_write(cwn_session *session,
                              const char *data,
                              size_t size,
                              int gather);

enum {
	CWN_CAN_READ = 1,
	CWN_CAN_WRITE = 2,
	CWN_WOKEN_UP = 4, /* by cwn_session_wake, or interrupted */
	CWN_HUNG_UP = 8   /* the connection is lost; told once while not reading */
};

/* On the own thread: sends what was gathered, then waits for any of the events
 * asked for, a wake or the loss of the connection. timeout_ms -1: none. Returns
 * what has happened; 0: the time is over. */
CWN_API int cwn_session_wait(cwn_session *session, int events, int timeout_ms);

/* Ends the wait; never blocks. */
CWN_API void cwn_session_wake(cwn_session *session);

/* On the own thread, last: sends the rest, lets the peer hang up for up to
 * linger_ms, forgets the connection, which closes when its callback returns. */
CWN_API void cwn_session_end(cwn_session *session, int linger_ms);

/* One frame. Returns size, or -1: closed, closing, failed or timed out. */
CWN_API int cwn_session_send(cwn_session *session,
                             int opcode,
                             const char *data,
                             size_t size);

/* One frame, without ever waiting for the peer: what the socket does not take
 * now is sent by the session's own thread. Returns size, or -1: closed, closing,
 * failed, or more than max_queue_size waiting, which aborts the session. */
CWN_API int cwn_session_post(cwn_session *session,
                             int opcode,
                             const char *data,
                             size_t size);

/* Sends a Close frame; nothing can be sent after it. code 0: without code.
 * Returns 0, or -1 when one was sent before or the session is over. */
CWN_API int cwn_session_close(cwn_session *session,
                              int code,
                              const char *reason,
                              size_t reason_size);

/* The same, by the session's own thread as soon as it can; never blocks. */
CWN_API void cwn_session_request_close(cwn_session *session, int code);

/* Cuts the connection now; never blocks. */
CWN_API void cwn_session_abort(cwn_session *session);

/* 1 while frames can be sent. */
CWN_API int cwn_session_is_open(cwn_session *session);

CWN_API void cwn_session_get_info(cwn_session *session, cwn_session_info *info);

/* Every session is released once, by its creator. cwn_session_count: sessions alive in the
 * process, for leak checks. */
CWN_API void cwn_session_release(cwn_session *session);
CWN_API int64_t cwn_session_count(void);

#endif
