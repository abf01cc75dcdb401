/* Sessions as transports (websocket/session_pull.c) in a real CivetWeb server: the server, its
 * clients, and a guard that sees OpenSSL used by two threads at once. */

enum { PULL_ECHO = 32, PULL_DUPLEX = 32, PULL_HONEST = PULL_ECHO + PULL_DUPLEX };

/* OpenSSL must never do two things with one SSL at once. The order of the atomics is
 * relaxed on purpose: they must not order what the thread sanitizer looks at. */
enum { PULL_BUSY_SLOTS = 512 };
static SSL *_Atomic pull_busy[PULL_BUSY_SLOTS];
static int (*pull_real_read)(SSL *, void *, int);
static int (*pull_real_write)(SSL *, const void *, int);

static int
pull_enter(SSL *ssl)
{
	int i, own = -1, users = 0;
	for (i = 0; (i < PULL_BUSY_SLOTS) && (own < 0); i++) {
		SSL *none = NULL;
		if (atomic_compare_exchange_strong_explicit(
		        &pull_busy[i], &none, ssl, memory_order_relaxed, memory_order_relaxed)) {
			own = i;
		}
	}
	CHECK(own >= 0);
	for (i = 0; i < PULL_BUSY_SLOTS; i++) {
		users += (atomic_load_explicit(&pull_busy[i], memory_order_relaxed) == ssl);
	}
	CHECK_EQUAL(1, users);
	return own;
}

static int
pull_guarded_read(SSL *ssl, void *data, int size)
{
	int own = pull_enter(ssl);
	int n = pull_real_read(ssl, data, size);
	atomic_store_explicit(&pull_busy[own], NULL, memory_order_relaxed);
	return n;
}

static int
pull_guarded_write(SSL *ssl, const void *data, int size)
{
	int own = pull_enter(ssl);
	int n = pull_real_write(ssl, data, size);
	atomic_store_explicit(&pull_busy[own], NULL, memory_order_relaxed);
	return n;
}

static void
pull_guard_openssl(void)
{
	size_t i;
	for (i = 0; ssl_sw[i].name != NULL; i++) {
		if (strcmp(ssl_sw[i].name, "SSL_read") == 0) {
			pull_real_read = (int (*)(SSL *, void *, int))ssl_sw[i].ptr;
			ssl_sw[i].ptr = (void (*)(void))pull_guarded_read;
		} else if (strcmp(ssl_sw[i].name, "SSL_write") == 0) {
			pull_real_write = (int (*)(SSL *, const void *, int))ssl_sw[i].ptr;
			ssl_sw[i].ptr = (void (*)(void))pull_guarded_write;
		}
	}
	CHECK((pull_real_read != NULL) && (pull_real_write != NULL));
}

static void
pull_unguard_openssl(void)
{
	size_t i;
	for (i = 0; ssl_sw[i].name != NULL; i++) {
		if (strcmp(ssl_sw[i].name, "SSL_read") == 0) {
			ssl_sw[i].ptr = (void (*)(void))pull_real_read;
		} else if (strcmp(ssl_sw[i].name, "SSL_write") == 0) {
			ssl_sw[i].ptr = (void (*)(void))pull_real_write;
		}
	}
}

/* A server, and clients of it */

typedef struct pull_server {
	struct mg_context *ctx;
	int port;
	cwn_tls *tls; /* NULL: plain TCP */
	SSL_CTX *client;
	const char *max_request_size; /* NULL: CivetWeb's */
	void *user;
} pull_server;

typedef struct pull_peer {
	SOCKET sock;
	SSL *ssl;
} pull_peer;

static int
pull_on_init(void *ssl_ctx, void *user)
{
	char error[256];
	return cwn_tls_attach(((pull_server *)user)->tls, ssl_ctx, error, sizeof(error)) ? 0 : -1;
}

static void
pull_start(pull_server *server, bool with_tls, const char *threads, int (*on_request)(struct mg_connection *))
{
	const char *options[] = {"listening_ports", with_tls ? "127.0.0.1:0s" : "127.0.0.1:0",
	                         "num_threads", threads, "decode_url", "no", "tcp_nodelay", "1",
	                         "request_timeout_ms", "30000", "max_request_size",
	                         (server->max_request_size != NULL) ? server->max_request_size : "16384", NULL};
	struct mg_callbacks callbacks;
	struct mg_server_port port;
	char error[256];

	memset(&callbacks, 0, sizeof(callbacks));
	server->tls = NULL;
	server->client = NULL;
	CHECK_EQUAL(1, cwn_init(0));
	if (with_tls) {
		tls_der certificate = tls_decode(tls_first), key = tls_decode(tls_first_key);
		server->tls = cwn_tls_create(0x0303, "HIGH", 0, 3, NULL, 0, error, sizeof(error));
		CHECK(server->tls != NULL);
		CHECK_EQUAL(CWN_CERTIFICATE_SET, tls_set(server->tls, &certificate, NULL, &key, error, sizeof(error)));
		server->client = SSL_CTX_new(TLS_client_method());
		CHECK(server->client != NULL);
		callbacks.init_ssl = pull_on_init;
	}
	callbacks.begin_request = on_request;
	callbacks.log_message = tls_silent;
	server->ctx = mg_start(&callbacks, server, options);
	CHECK(server->ctx != NULL);
	CHECK_EQUAL(1, mg_get_server_ports(server->ctx, 1, &port));
	server->port = port.port;
}

static void
pull_stop(pull_server *server)
{
	mg_stop(server->ctx);
	if (server->tls != NULL) {
		cwn_tls_release(server->tls);
		SSL_CTX_free(server->client);
	}
	CHECK_EQUAL(0, cwn_tls_count());
}

/* A small receive buffer: a peer that does not read is soon felt. */
static SOCKET
pull_connect(const pull_server *server)
{
	struct sockaddr_in address;
	int on = 1, small = 64 * 1024;
	SOCKET sock = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(sock != INVALID_SOCKET);
	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_port = htons((uint16_t)server->port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)setsockopt(sock, SOL_SOCKET, SO_RCVBUF, (const char *)&small, sizeof(small));
	CHECK_EQUAL(0, connect(sock, (struct sockaddr *)&address, sizeof(address)));
	(void)setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof(on));
	test_set_patience(sock, CHECK_PATIENCE_MS);
	return sock;
}

static bool
pull_send(const pull_peer *peer, const void *data, size_t size)
{
	if (peer->ssl != NULL) {
		ERR_clear_error();
		return SSL_write(peer->ssl, data, (int)size) == (int)size;
	}
	return (int)send(peer->sock, (const char *)data, (cwn_io_size)size, MSG_NOSIGNAL) == (int)size;
}

static int
pull_receive(const pull_peer *peer, void *data, size_t size)
{
	if (peer->ssl != NULL) {
		ERR_clear_error();
		return SSL_read(peer->ssl, data, (int)size);
	}
	return (int)recv(peer->sock, data, size, 0);
}

static void
pull_receive_exactly(const pull_peer *peer, void *data, size_t size)
{
	size_t got = 0;
	while (got < size) {
		int n = pull_receive(peer, (char *)data + got, size - got);
		CHECK(n > 0);
		got += (size_t)n;
	}
}

/* Ends the peer's side in order; it can still receive. */
static void
pull_finish(const pull_peer *peer)
{
	if (peer->ssl != NULL) {
		(void)SSL_shutdown(peer->ssl);
		ERR_clear_error();
	}
	(void)shutdown(peer->sock, SHUTDOWN_WR);
}

static void
pull_close(pull_peer *peer, bool reset)
{
	if (reset) {
		struct linger at_once = {1, 0};
		(void)setsockopt(peer->sock, SOL_SOCKET, SO_LINGER, (const char *)&at_once, sizeof(at_once));
	}
	if (peer->ssl != NULL) {
		SSL_free(peer->ssl);
	}
	closesocket(peer->sock);
}

/* The upgrade, and what is sent with it in one piece. */
static pull_peer
pull_open(const pull_server *server, const char *path, const char *early)
{
	char request[400], head[400];
	size_t got = 0;
	pull_peer peer = {pull_connect(server), NULL};
	if (server->client != NULL) {
		peer.ssl = SSL_new(server->client);
		CHECK_EQUAL(1, SSL_set_fd(peer.ssl, peer.sock));
		CHECK_EQUAL(1, SSL_connect(peer.ssl));
	}
	mg_snprintf(NULL,
	            NULL,
	            request,
	            sizeof(request),
	            "GET %s HTTP/1.1\r\n" HOST UP VERSION KEY "\r\n%s",
	            path,
	            early);
	CHECK(pull_send(&peer, request, strlen(request)));
	do {
		pull_receive_exactly(&peer, head + got, 1);
		got++;
	} while ((got < 4) || (memcmp(head + got - 4, "\r\n\r\n", 4) != 0));
	CHECK(memcmp(head, "HTTP/1.1 101 ", 13) == 0);
	return peer;
}

static atomic_bool pull_leaders_at_once;

/* The session of an upgrade, begun; NULL when the request is not a valid upgrade. */
static cwn_session *
pull_accept(struct mg_connection *conn,
            const cwn_session_options *options,
            cwn_turn_handler handler,
            void *user_data)
{
	cwn_session *session;
	if ((cwn_prepare_request(conn, 1) != 0) || (cwn_check_upgrade(conn) != 1)
	    || !cwn_accept_upgrade(conn, NULL)) {
		return NULL;
	}
	session = cwn_session_create(conn, options);
	CHECK(session != NULL);
	CHECK_EQUAL(1, cwn_session_begin(session, handler, user_data));
	if (atomic_load(&pull_leaders_at_once)) {
		leaders_at_once(session);
	}
	return session;
}

/* The byte at a place of a stream. */
static unsigned char
pull_byte(uint64_t place)
{
	return (unsigned char)(place * 131 + (place >> 8) * 7 + (place >> 16));
}

static void
pull_fill(unsigned char *data, size_t size, uint64_t place)
{
	size_t i;
	for (i = 0; i < size; i++) {
		data[i] = pull_byte(place + i);
	}
}

static void
pull_check_bytes(const unsigned char *data, size_t size, uint64_t place)
{
	size_t i;
	for (i = 0; i < size; i++) {
		CHECK_EQUAL(pull_byte(place + i), data[i]);
	}
}

/* A script runs on the connection's own thread, the test
 * is the client and every other thread. */

typedef struct pull_test {
	pull_server server;
	cwn_session_options options;
	void (*script)(struct pull_test *t, cwn_session *session);
	cwn_turn_handler handler; /* NULL: no leader runs it */
	cwn_session *_Atomic last; /* kept after its end on purpose */
	atomic_int step;
	atomic_int ended;
	atomic_bool deaf, over;
} pull_test;

#define pull_wait_for(value, least) CHECK_EVENTUALLY(atomic_load(value) >= (least))

static int
pull_on_request(struct mg_connection *conn)
{
	pull_server *server = (pull_server *)mg_get_user_data(mg_get_context(conn));
	pull_test *t = (pull_test *)server->user;
	cwn_session *session = pull_accept(conn, &t->options, t->handler, t);
	CHECK(session != NULL);
	cwn_session_release(atomic_exchange(&t->last, session));
	t->script(t, session);
	cwn_session_end(session, 0);
	CHECK(cwn_own_session == NULL);
	atomic_fetch_add(&t->ended, 1);
	return 101;
}

static pull_peer
pull_run(pull_test *t, void (*script)(pull_test *, cwn_session *), const char *early)
{
	t->script = script;
	atomic_store(&t->step, 0);
	atomic_store(&t->ended, 0);
	return pull_open(&t->server, "/pull", early);
}
