/* A real CivetWeb server with sessions, and a raw socket as the client. */

typedef struct test_server {
	struct mg_context *ctx;
	int port;
	cwn_session_options options;
	/* the last session; kept after its end on purpose */
	cwn_session *_Atomic last;
	atomic_int ready;
	atomic_int closed;
	atomic_int hold; /* the data handler waits while set */
} test_server;

static int
on_begin(struct mg_connection *conn)
{
	int status = cwn_prepare_request(conn, 1);
	if (status == 0) {
		status = cwn_check_upgrade(conn);
	}
	return (status >= 400) ? status : 0;
}

static int
on_data(struct mg_connection *conn, int bits, char *data, size_t size, void *user)
{
	test_server *server = (test_server *)user;
	(void)conn;
	while (atomic_load(&server->hold)) {
		mg_sleep(5);
	}
	if (bits <= 2) {
		if ((size == 3) && (memcmp(data, "bye", 3) == 0)) {
			return 0;
		}
		(void)cwn_session_send(server->last, bits, data, size);
	}
	return 1;
}

static void
on_ready(struct mg_connection *conn, void *user)
{
	test_server *server = (test_server *)user;
	cwn_session *session = cwn_session_create(conn, &server->options);
	CHECK(session != NULL);
	if (server->last != NULL) {
		cwn_session_release(server->last);
	}
	server->last = session;
	atomic_fetch_add(&server->ready, 1);
	cwn_session_run(session, on_data, server);
}

static void
on_close(const struct mg_connection *conn, void *user)
{
	(void)conn;
	atomic_fetch_add(&((test_server *)user)->closed, 1);
}

static void
start_server(test_server *server)
{
	static const char *options[] = {"listening_ports", "127.0.0.1:0", "num_threads", "6",
	                                "decode_url", "no", "tcp_nodelay", "1", NULL};
	struct mg_callbacks callbacks;
	struct mg_server_port port;
	memset(&callbacks, 0, sizeof(callbacks));
	memset(server, 0, sizeof(*server));
	callbacks.begin_request = on_begin;
	server->options.size = sizeof(server->options);
	server->options.max_message_size = 1 << 20;
	server->options.close_timeout_ms = 300;
	server->options.send_timeout_ms = 500;
	server->options.max_queue_size = 256 * 1024;
	CHECK_EQUAL(1, cwn_init(0));
	server->ctx = mg_start(&callbacks, server, options);
	CHECK(server->ctx != NULL);
	mg_set_websocket_handler(server->ctx, "/ws$", NULL, on_ready, on_data, on_close, server);
	CHECK_EQUAL(1, mg_get_server_ports(server->ctx, 1, &port));
	server->port = port.port;
}

static void
stop_server(test_server *server)
{
	mg_stop(server->ctx);
	if (server->last != NULL) {
		cwn_session_release(server->last);
	}
	CHECK_EQUAL(0, cwn_session_count());
}

static SOCKET
connect_to(const test_server *server)
{
	struct sockaddr_in address;
	int on = 1;
	SOCKET sock = socket(AF_INET, SOCK_STREAM, 0);
	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_port = htons((uint16_t)server->port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQUAL(0, connect(sock, (struct sockaddr *)&address, sizeof(address)));
	(void)setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof(on));
	return sock;
}

static void
send_all(SOCKET sock, const void *data, size_t size)
{
	CHECK_EQUAL(size, send(sock, (const char *)data, (cwn_io_size)size, MSG_NOSIGNAL));
}

/* A response up to its empty line, of which nothing is kept. */
static void
receive_head(SOCKET sock)
{
	char last[4] = {0};
	while (memcmp(last, "\r\n\r\n", 4) != 0) {
		memmove(last, last + 1, 3);
		receive_exactly(sock, last + 3, 1);
	}
}

/* Everything until the server hangs up, as a string. */
static void
receive_to_end(SOCKET sock, char *text, size_t size)
{
	size_t got = 0;
	int n;
	while ((got < size - 1) && ((n = receive(sock, text + got, size - 1 - got)) > 0)) {
		got += (size_t)n;
	}
	text[got] = 0;
}

#define UPGRADE(path, key)                                                     \
	"GET " path " HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n"            \
	"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"         \
	"Sec-WebSocket-Key: " key "\r\n\r\n"
#define RFC_KEY "dGhlIHNhbXBsZSBub25jZQ=="

static SOCKET
open_websocket(test_server *server)
{
	char response[1000];
	size_t got = 0;
	int ready = atomic_load(&server->ready);
	SOCKET sock = connect_to(server);
	send_all(sock, UPGRADE("/ws", RFC_KEY), strlen(UPGRADE("/ws", RFC_KEY)));
	do {
		receive_exactly(sock, response + got, 1);
		got++;
	} while ((got < 4) || (memcmp(response + got - 4, "\r\n\r\n", 4) != 0));
	response[got] = 0;
	CHECK(strncmp(response, "HTTP/1.1 101 ", 13) == 0);
	/* the value of RFC 6455, section 1.3 */
	CHECK(strstr(response, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != NULL);
	CHECK_EVENTUALLY(atomic_load(&server->ready) != ready);
	return sock;
}

#define wait_closed(server, count)                                             \
	do {                                                                       \
		int count_ = (count);                                                  \
		CHECK_EVENTUALLY(atomic_load(&(server)->closed) >= count_);            \
	} while (0)
