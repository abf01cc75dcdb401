/* Sessions as transports (session_pull.c) in a real CivetWeb server, over plain TCP
 * and over TLS: what each function promises, then all of them at once for a while. */

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

/* The session of an upgrade, begun; NULL when there is none. */
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

/* What each function promises: a script runs on the connection's own thread, the test
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

static void
pull_own_read(cwn_session *session, char *data, size_t size)
{
	size_t got = 0;
	while (got < size) {
		int n = cwn_session_read(session, data + got, size - got);
		CHECK((n > 0) || (n == -1));
		if (n > 0) {
			got += (size_t)n;
		} else {
			CHECK((cwn_session_wait(session, CWN_CAN_READ, -1) & CWN_CAN_READ) != 0);
		}
	}
}

static int
pull_own_read_end(cwn_session *session)
{
	char byte;
	int n;
	while ((n = cwn_session_read(session, &byte, 1)) == -1) {
		(void)cwn_session_wait(session, CWN_CAN_READ, -1);
	}
	return n;
}

static void
pull_script_early(pull_test *t, cwn_session *session)
{
	char data[64];
	CHECK_EQUAL(CWN_CAN_READ, cwn_session_wait(session, CWN_CAN_READ, -1));
	CHECK_EQUAL(3, cwn_session_read(session, data, 3));
	CHECK_EQUAL(CWN_CAN_READ, cwn_session_wait(session, CWN_CAN_READ, 0));
	CHECK_EQUAL(2, cwn_session_read(session, data + 3, sizeof(data) - 3));
	CHECK(memcmp(data, "early", 5) == 0);
	CHECK_EQUAL(-1, cwn_session_read(session, data, sizeof(data)));
	CHECK_EQUAL(0, cwn_session_wait(session, CWN_CAN_READ, 20));
	atomic_store(&t->step, 1);
	pull_own_read(session, data, 5);
	CHECK(memcmp(data, "later", 5) == 0);
	CHECK_EQUAL(0, pull_own_read_end(session));
}

static void
pull_test_early(pull_test *t)
{
	pull_peer peer = pull_run(t, pull_script_early, "early");
	pull_wait_for(&t->step, 1);
	CHECK(pull_send(&peer, "later", 5));
	pull_finish(&peer);
	pull_wait_for(&t->ended, 1);
	pull_close(&peer, false);
}

static void
pull_script_gather(pull_test *t, cwn_session *session)
{
	static unsigned char data[20000];
	CHECK_EQUAL(1, cwn_session_write(session, "a", 1, 1));
	CHECK_EQUAL(1, session->output_size);
	CHECK_EQUAL(1, cwn_session_write(session, "b", 1, 1));
	CHECK_EQUAL(2, session->output_size);
	CHECK_EQUAL(1, cwn_session_write(session, "c", 1, 0));
	CHECK_EQUAL(0, session->output_size);
	/* what another thread writes comes behind what was gathered, and never waits */
	CHECK_EQUAL(1, cwn_session_write(session, "d", 1, 1));
	atomic_store(&t->step, 1);
	pull_wait_for(&t->step, 2);
	CHECK_EQUAL(0, session->output_size);
	/* a wait sends it */
	CHECK_EQUAL(1, cwn_session_write(session, "f", 1, 1));
	CHECK_EQUAL(0, cwn_session_wait(session, 0, 0));
	CHECK_EQUAL(0, session->output_size);
	/* what does not fit is not gathered */
	pull_fill(data, sizeof(data), 0);
	CHECK_EQUAL(10000, cwn_session_write(session, (char *)data, 10000, 1));
	CHECK_EQUAL(10000, cwn_session_write(session, (char *)data + 10000, 10000, 1));
	CHECK_EQUAL(0, session->output_size);
	CHECK_EQUAL(0, cwn_session_write(session, "", 0, 0));
	CHECK_EQUAL(0, cwn_session_write(session, "", 0, 1));
	/* the end sends it too */
	CHECK_EQUAL(1, cwn_session_write(session, "g", 1, 1));
	cwn_session_end(session, 5000);
}

static void
pull_test_gather(pull_test *t)
{
	static unsigned char data[20000];
	pull_peer peer = pull_run(t, pull_script_gather, "");
	pull_wait_for(&t->step, 1);
	CHECK_EQUAL(1, cwn_session_write(t->last, "e", 1, 1));
	atomic_store(&t->step, 2);
	pull_receive_exactly(&peer, data, 6);
	CHECK(memcmp(data, "abcdef", 6) == 0);
	pull_receive_exactly(&peer, data, sizeof(data));
	pull_check_bytes(data, sizeof(data), 0);
	pull_receive_exactly(&peer, data, 1);
	CHECK_EQUAL('g', data[0]);
	CHECK_EQUAL(0, pull_receive(&peer, data, 1));
	pull_close(&peer, false);
	pull_wait_for(&t->ended, 1);
}

enum { PULL_MUCH = 12 << 20 };
static unsigned char pull_much[PULL_MUCH];

static void
pull_script_partial(pull_test *t, cwn_session *session)
{
	size_t sent;
	int n = cwn_session_write(session, (char *)pull_much, PULL_MUCH, 0);
	CHECK((n > 0) && (n < PULL_MUCH));
	CHECK_EQUAL(0, cwn_session_wait(session, CWN_CAN_WRITE, 20));
	atomic_store(&t->step, 1);
	for (sent = (size_t)n; sent < PULL_MUCH; sent += (size_t)n) {
		CHECK_EQUAL(CWN_CAN_WRITE, cwn_session_wait(session, CWN_CAN_WRITE, -1));
		n = cwn_session_write(session, (char *)pull_much + sent, PULL_MUCH - sent, 0);
		CHECK(n >= 0);
	}
	cwn_session_end(session, 5000);
}

static void
pull_test_partial(pull_test *t)
{
	static unsigned char data[PULL_MUCH];
	pull_peer peer;
	pull_fill(pull_much, PULL_MUCH, 0);
	peer = pull_run(t, pull_script_partial, "");
	pull_wait_for(&t->step, 1);
	pull_receive_exactly(&peer, data, sizeof(data));
	CHECK(memcmp(data, pull_much, sizeof(data)) == 0);
	CHECK_EQUAL(0, pull_receive(&peer, data, 1));
	pull_close(&peer, false);
	pull_wait_for(&t->ended, 1);
}

static void
pull_script_waits(pull_test *t, cwn_session *session)
{
	char data[4];
	uint64_t start = cwn_now_ms();
	CHECK_EQUAL(0, cwn_session_wait(session, 0, 0));
	CHECK_EQUAL(0, cwn_session_wait(session, 0, 30));
	CHECK(cwn_now_ms() - start >= 30);
	CHECK_EQUAL(CWN_CAN_WRITE, cwn_session_wait(session, CWN_CAN_WRITE, -1));
	/* wakes before the wait end it, once */
	cwn_session_wake(session);
	cwn_session_wake(session);
	CHECK_EQUAL(CWN_WOKEN_UP, cwn_session_wait(session, 0, -1));
	CHECK_EQUAL(0, cwn_session_wait(session, 0, 0));
	atomic_store(&t->step, 1);
	CHECK_EQUAL(CWN_WOKEN_UP, cwn_session_wait(session, CWN_CAN_READ, -1));
	atomic_store(&t->step, 2);
	/* what nobody asks for is not told */
	CHECK_EQUAL(CWN_CAN_READ, cwn_session_wait(session, CWN_CAN_READ, -1));
	CHECK_EQUAL(0, cwn_session_wait(session, 0, 20));
	CHECK_EQUAL(CWN_CAN_READ | CWN_CAN_WRITE, cwn_session_wait(session, CWN_CAN_READ | CWN_CAN_WRITE, -1));
	pull_own_read(session, data, 1);
	CHECK_EQUAL('x', data[0]);
	CHECK_EQUAL(-1, cwn_session_read(session, data, sizeof(data)));
}

static void
pull_test_waits(pull_test *t)
{
	pull_peer peer = pull_run(t, pull_script_waits, "");
	pull_wait_for(&t->step, 1);
	cwn_session_wake(t->last);
	pull_wait_for(&t->step, 2);
	CHECK(pull_send(&peer, "x", 1));
	pull_wait_for(&t->ended, 1);
	pull_close(&peer, false);
}

/* Every call after a session has failed. */
static void
pull_check_failed(cwn_session *session)
{
	char byte;
	CHECK_EQUAL(-1, cwn_session_write(session, "x", 1, 0));
	CHECK_EQUAL(-1, cwn_session_write(session, "x", 1, 1));
	CHECK_EQUAL(-2, cwn_session_read(session, &byte, 1));
	CHECK_EQUAL(CWN_HUNG_UP, cwn_session_wait(session, 0, -1));
	CHECK_EQUAL(CWN_HUNG_UP, cwn_session_wait(session, CWN_CAN_READ | CWN_CAN_WRITE, -1));
}

static void
pull_script_stall(pull_test *t, cwn_session *session)
{
	uint64_t start = cwn_now_ms(); /* it may stall at any time from here on */
	int events;
	/* until what was gathered cannot leave */
	do {
		while (cwn_session_write(session, (char *)pull_much, 100000, 0) > 0) {
		}
		(void)cwn_session_write(session, (char *)pull_much, 16000, 1);
		events = cwn_session_wait(session, 0, 1000);
	} while (events == 0);
	CHECK_EQUAL(CWN_HUNG_UP, events);
	CHECK(cwn_now_ms() - start >= 300);
	pull_check_failed(session);
	atomic_store(&t->step, 1);
}

/* The same, with the output of another thread; the own thread only reads. */
static void
pull_script_stall_pushed(pull_test *t, cwn_session *session)
{
	atomic_store(&t->step, 1);
	while (cwn_session_wait(session, CWN_CAN_READ, -1) != CWN_HUNG_UP) {
	}
	pull_check_failed(session);
}

static void
pull_test_stall(pull_test *t)
{
	pull_peer peer;
	t->options.send_timeout_ms = 300;
	peer = pull_run(t, pull_script_stall, "");
	pull_wait_for(&t->ended, 1);
	pull_close(&peer, false);
	if (t->server.client != NULL) {
		/* Over plain TCP nothing that others write is kept: they wait themselves. */
		peer = pull_run(t, pull_script_stall_pushed, "");
		pull_wait_for(&t->step, 1);
		while (cwn_session_write(t->last, (char *)pull_much, 100000, 0) >= 0) {
			mg_sleep(1);
		}
		pull_wait_for(&t->ended, 1);
		CHECK_EQUAL(-1, cwn_session_write(t->last, "x", 1, 0));
		pull_close(&peer, false);
	}
	t->options.send_timeout_ms = 30000;
}

enum { PULL_SLOW = 3 << 20 };

static void
pull_script_slow(pull_test *t, cwn_session *session)
{
	size_t sent = 0;
	int small = 16 * 1024;
	(void)t;
	CHECK_EQUAL(0, setsockopt(session->sock, SOL_SOCKET, SO_SNDBUF, (const char *)&small, sizeof(small)));
	while (sent < PULL_SLOW) {
		int n = cwn_session_write(session, (char *)pull_much + sent, PULL_SLOW - sent, 0);
		CHECK(n >= 0);
		sent += (size_t)n;
		CHECK(cwn_session_wait(session, CWN_CAN_WRITE, -1) == CWN_CAN_WRITE);
	}
	cwn_session_end(session, 5000);
}

/* A peer that reads slowly, for longer than a write may take, but goes on. */
static void
pull_test_slow(pull_test *t)
{
	static unsigned char data[8192];
	uint64_t got = 0;
	pull_peer peer;
	t->options.send_timeout_ms = 1500;
	peer = pull_run(t, pull_script_slow, "");
	while (got < PULL_SLOW) {
		int n = pull_receive(&peer, data, sizeof(data));
		CHECK(n > 0);
		CHECK(memcmp(data, pull_much + got, (size_t)n) == 0);
		got += (uint64_t)n;
		mg_sleep(10);
	}
	CHECK_EQUAL(0, pull_receive(&peer, data, 1));
	pull_close(&peer, false);
	pull_wait_for(&t->ended, 1);
	t->options.send_timeout_ms = 30000;
}

/* wine forgets a reset before it is read; writing tells. */
#if defined(_WIN32)
#define PULL_UNDER_WINE (GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") != NULL)
#else
#define PULL_UNDER_WINE false
#endif

static void
pull_script_hangup(pull_test *t, cwn_session *session)
{
	char byte;
	int n;
	atomic_store(&t->step, 1);
	CHECK_EQUAL(CWN_HUNG_UP, cwn_session_wait(session, 0, -1));
	/* told once; wakes and times go on */
	CHECK_EQUAL(0, cwn_session_wait(session, 0, 20));
	cwn_session_wake(session);
	CHECK_EQUAL(CWN_WOKEN_UP, cwn_session_wait(session, 0, -1));
	CHECK_EQUAL(CWN_CAN_READ, cwn_session_wait(session, CWN_CAN_READ, -1));
	n = cwn_session_read(session, &byte, 1);
	CHECK((n == -2) || (PULL_UNDER_WINE && (n == 0)));
	CHECK_EQUAL(-1, cwn_session_write(session, "x", 1, 0));
	pull_check_failed(session);
}

static void
pull_script_finished(pull_test *t, cwn_session *session)
{
	/* half the connection is still there */
	CHECK_EQUAL(0, pull_own_read_end(session));
	CHECK_EQUAL(4, cwn_session_write(session, "last", 4, 1));
	CHECK_EQUAL(0, cwn_session_wait(session, 0, 20));
	atomic_store(&t->step, 1);
}

static void
pull_test_hangup(pull_test *t)
{
	char data[4];
	pull_peer peer = pull_run(t, pull_script_hangup, "");
	pull_wait_for(&t->step, 1);
	pull_close(&peer, true);
	pull_wait_for(&t->ended, 1);

	peer = pull_run(t, pull_script_finished, "");
	pull_finish(&peer);
	pull_receive_exactly(&peer, data, 4);
	CHECK(memcmp(data, "last", 4) == 0);
	pull_wait_for(&t->ended, 1);
	pull_close(&peer, false);
}

static void
pull_script_abort(pull_test *t, cwn_session *session)
{
	atomic_store(&t->step, 1);
	while (cwn_session_wait(session, 0, -1) != CWN_HUNG_UP) {
	}
	pull_check_failed(session);
}

static void
pull_test_abort(pull_test *t)
{
	char byte;
	pull_peer peer = pull_run(t, pull_script_abort, "");
	pull_wait_for(&t->step, 1);
	cwn_session_abort(t->last);
	CHECK(pull_receive(&peer, &byte, 1) <= 0);
	pull_wait_for(&t->ended, 1);
	pull_close(&peer, false);
}

static void
pull_script_end(pull_test *t, cwn_session *session)
{
	(void)t;
	CHECK_EQUAL(CWN_CAN_READ, cwn_session_wait(session, CWN_CAN_READ, -1));
	CHECK_EQUAL(3, cwn_session_write(session, "bye", 3, 1));
	cwn_session_end(session, 10000);
	pull_check_failed(session);
	CHECK_EQUAL(0, cwn_session_begin(session, NULL, NULL));
}

static void
pull_script_linger(pull_test *t, cwn_session *session)
{
	uint64_t start = cwn_now_ms();
	(void)t;
	cwn_session_end(session, 100);
	CHECK(cwn_now_ms() - start >= 100);
}

static void
pull_test_end(pull_test *t)
{
	static char data[60000];
	cwn_session *session;
	/* the rest arrives though the peer has sent what nobody reads */
	pull_peer peer = pull_run(t, pull_script_end, "");
	CHECK(pull_send(&peer, data, sizeof(data)));
	pull_receive_exactly(&peer, data, 3);
	CHECK(memcmp(data, "bye", 3) == 0);
	CHECK_EQUAL(0, pull_receive(&peer, data, 1));
	CHECK_EQUAL(0, atomic_load(&t->ended)); /* it waits for the peer */
	pull_close(&peer, false);
	pull_wait_for(&t->ended, 1);
	/* a session outlives its connection and touches nothing of it */
	session = t->last;
	CHECK(!session->attached);
	pull_check_failed(session);
	cwn_session_wake(session);
	cwn_session_abort(session);
	cwn_session_end(session, 1000);
	/* but not for ever */
	peer = pull_run(t, pull_script_linger, "");
	pull_wait_for(&t->ended, 1);
	pull_close(&peer, false);
}

static void
pull_test_misuse(void)
{
	char byte;
	CHECK_EQUAL(0, cwn_session_begin(NULL, NULL, NULL));
	CHECK_EQUAL(-2, cwn_session_read(NULL, &byte, 1));
	CHECK_EQUAL(-1, cwn_session_write(NULL, "x", 1, 0));
	CHECK_EQUAL(CWN_HUNG_UP, cwn_session_wait(NULL, CWN_CAN_READ, -1));
	cwn_session_wake(NULL);
	cwn_session_end(NULL, 100);
}

static void
pull_script_misuse(pull_test *t, cwn_session *session)
{
	char byte;
	(void)t;
	CHECK_EQUAL(-2, cwn_session_read(session, NULL, 1));
	CHECK_EQUAL(-2, cwn_session_read(session, &byte, 0));
	CHECK_EQUAL(-1, cwn_session_write(session, NULL, 1, 0));
	CHECK_EQUAL(-1, cwn_session_write(session, "x", (size_t)INT_MAX + 1, 0));
	/* it is as good as before */
	CHECK_EQUAL(2, cwn_session_write(session, "ok", 2, 0));
}

/* Takes a piece of what is there and says that it was all. */
static int
pull_record_turn(void *user_data)
{
	pull_test *t = (pull_test *)user_data;
	char data[1000];
	int n = cwn_session_read(t->last, data, sizeof(data));
	atomic_fetch_add(&t->step, 1);
	if (n > 0) {
		CHECK_EQUAL(n, cwn_session_write(t->last, data, (size_t)n, 1));
	}
	return ((n > 0) || (n == -1)) ? CWN_TURN_DONE : CWN_TURN_OWN;
}

static void
pull_script_record(pull_test *t, cwn_session *session)
{
	char data[1000];
	int n = -1;
	(void)t;
	while ((n > 0) || (n == -1)) {
		n = cwn_session_read(session, data, sizeof(data));
		if (n > 0) {
			CHECK_EQUAL(n, cwn_session_write(session, data, (size_t)n, 1));
		} else if (n == -1) {
			(void)cwn_session_wait(session, CWN_CAN_READ, -1);
		}
	}
	CHECK_EQUAL(0, n);
}

/* What a leader's turn leaves behind, in OpenSSL too, where no event tells of it. */
static void
pull_test_record(pull_test *t)
{
	static unsigned char data[10000];
	pull_peer peer;
	int i;
	atomic_store(&pull_leaders_at_once, true);
	t->handler = pull_record_turn;
	peer = pull_run(t, pull_script_record, "");
	for (i = 0; i < 20; i++) {
		pull_fill(data, sizeof(data), 0);
		CHECK(pull_send(&peer, data, sizeof(data)));
		memset(data, 0, sizeof(data));
		pull_receive_exactly(&peer, data, sizeof(data));
		pull_check_bytes(data, sizeof(data), 0);
	}
#if defined(__linux__)
	CHECK(atomic_load(&t->step) > 0); /* leaders have had their turns */
#endif
	atomic_store(&pull_leaders_at_once, false);
	pull_finish(&peer);
	pull_wait_for(&t->ended, 1);
	pull_close(&peer, false);
	t->handler = NULL;
}

#if defined(__linux__)
/* Reads when it may; nobody reads while it is deaf. */
static int
pull_deaf_turn(void *user_data)
{
	pull_test *t = (pull_test *)user_data;
	char data[100];
	int n;
	atomic_fetch_add(&t->step, 1);
	if (atomic_load(&t->deaf)) {
		return CWN_TURN_UNREAD;
	}
	n = cwn_session_read(t->last, data, sizeof(data));
	if (n > 0) {
		CHECK_EQUAL(n, cwn_session_write(t->last, data, (size_t)n, 1));
		return CWN_TURN_AGAIN;
	}
	atomic_store(&t->over, n != -1);
	return (n == -1) ? CWN_TURN_DONE : CWN_TURN_OWN;
}

static void
pull_script_deaf(pull_test *t, cwn_session *session)
{
	while (!atomic_load(&t->over)) {
		(void)cwn_session_wait(session, CWN_CAN_READ, -1);
	}
}

/* What came while nobody read has had its event; it is not forgotten. */
static void
pull_test_deaf(pull_test *t)
{
	pull_peer peer;
	char byte;
	int turns;
	atomic_store(&pull_leaders_at_once, true);
	t->handler = pull_deaf_turn;
	atomic_store(&t->deaf, true);
	atomic_store(&t->over, false);
	peer = pull_run(t, pull_script_deaf, "");
	CHECK(pull_send(&peer, "x", 1));
	pull_wait_for(&t->step, 1);
	atomic_store(&t->deaf, false);
	cwn_session_wake(t->last);
	pull_receive_exactly(&peer, &byte, 1);
	CHECK_EQUAL('x', byte);
	turns = atomic_load(&t->step);
	CHECK(turns < 100); /* and nobody has asked for it all the time */
	pull_finish(&peer);
	pull_wait_for(&t->ended, 1);
	pull_close(&peer, false);
	t->handler = NULL;
	atomic_store(&pull_leaders_at_once, false);
}
#endif

static void
pull_test_all(bool with_tls)
{
	static pull_test t;
	pull_peer peer;
	char data[2];
	memset(&t, 0, sizeof(t));
	t.options.size = sizeof(t.options);
	t.options.send_timeout_ms = 30000;
	t.server.user = &t;
	pull_start(&t.server, with_tls, "4", pull_on_request);
	pull_test_misuse();
	peer = pull_run(&t, pull_script_misuse, "");
	pull_receive_exactly(&peer, data, 2);
	CHECK(memcmp(data, "ok", 2) == 0);
	pull_wait_for(&t.ended, 1);
	pull_close(&peer, false);
	pull_test_early(&t);
	pull_test_gather(&t);
	pull_test_partial(&t);
	pull_test_waits(&t);
	pull_test_stall(&t);
	pull_test_slow(&t);
	pull_test_hangup(&t);
	pull_test_abort(&t);
	pull_test_end(&t);
	pull_test_record(&t);
#if defined(__linux__)
	pull_test_deaf(&t);
#endif
	pull_stop(&t.server);
	cwn_session_release(t.last);
	CHECK_EQUAL(0, cwn_session_count());
}

static void
test_pull(void)
{
	pull_test_all(false);
}

static void
test_pull_tls(void)
{
	if (cwn_init((unsigned)MG_FEATURES_TLS) == 0) {
		test_skipped = TLS_MISSING;
		return;
	}
	pull_guard_openssl();
	pull_test_all(true);
	pull_unguard_openssl();
}

/* All at once */

enum { PULL_SLOTS = 8, PULL_VANISHERS = 6, PULL_MEDDLERS = 2, PULL_PUSHERS = 4 };

/* A connection whose own thread reads while others write. */
typedef struct pull_duplex {
	pthread_mutex_t lock; /* not between reading and writing: only beginnings and ends */
	cwn_session *session;
	uint64_t pushed;   /* bytes the session has taken */
	uint64_t received; /* bytes the session has read */
} pull_duplex;

typedef struct pull_soak {
	pull_server server;
	cwn_session_options honest, chaos;
	pull_duplex duplex[PULL_DUPLEX];
	pthread_mutex_t lock;
	cwn_session *slots[PULL_SLOTS]; /* the latest chaotic sessions, dead or alive; each a reference */
	unsigned next_slot;
	atomic_bool stop, stop_pushing;
	atomic_llong honest_connections, echoed, pushed, pulled, vanished, begun, ended, meddled, led;
} pull_soak;

typedef struct pull_thread {
	pull_soak *s;
	int number;
} pull_thread;

static uint32_t
pull_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Writes all, waiting where it must; false when the session is over. */
static bool
pull_own_write(cwn_session *session, const unsigned char *data, size_t size, int gather)
{
	size_t sent = 0;
	while (sent < size) {
		int n = cwn_session_write(session, (const char *)data + sent, size - sent, gather);
		if (n < 0) {
			return false;
		}
		sent += (size_t)n;
		if ((sent < size) && ((cwn_session_wait(session, CWN_CAN_WRITE, -1) & CWN_HUNG_UP) != 0)) {
			return false;
		}
	}
	return true;
}

static void
pull_soak_echo(cwn_session *session)
{
	unsigned char data[6000];
	uint32_t random = (uint32_t)(uintptr_t)session;
	for (;;) {
		int n = cwn_session_read(session, (char *)data, 1 + pull_random(&random) % sizeof(data));
		if (n > 0) {
			CHECK(pull_own_write(session, data, (size_t)n, (int)(pull_random(&random) % 2)));
		} else if (n == -1) {
			CHECK_EQUAL(0, cwn_session_wait(session, CWN_CAN_READ, -1) & CWN_HUNG_UP);
		} else {
			/* the client has read all it wanted */
			return;
		}
	}
}

static void
pull_soak_duplex(pull_duplex *d, cwn_session *session)
{
	unsigned char data[6000];
	uint64_t received = 0;
	int n;
	pthread_mutex_lock(&d->lock);
	d->session = session;
	d->pushed = 0;
	pthread_mutex_unlock(&d->lock);
	while ((n = cwn_session_read(session, (char *)data, sizeof(data))) != 0) {
		if (n > 0) {
			pull_check_bytes(data, (size_t)n, received);
			received += (uint64_t)n;
		} else {
			CHECK_EQUAL(-1, n);
			CHECK_EQUAL(0, cwn_session_wait(session, CWN_CAN_READ, -1) & CWN_HUNG_UP);
		}
	}
	pthread_mutex_lock(&d->lock);
	d->session = NULL;
	d->received = received;
	pthread_mutex_unlock(&d->lock);
	cwn_session_end(session, 30000);
}

/* Whatever comes: some own threads read, some write, some leave the reading to others. */
static void
pull_soak_chaos(pull_soak *s, cwn_session *session)
{
	unsigned char data[6000];
	uint32_t random = (uint32_t)(uintptr_t)&random ^ (uint32_t)atomic_load(&s->begun);
	int turns = (int)(pull_random(&random) % 60);
	cwn_session *old;

	atomic_fetch_add(&session->references, 1);
	pthread_mutex_lock(&s->lock);
	old = s->slots[s->next_slot % PULL_SLOTS];
	s->slots[s->next_slot++ % PULL_SLOTS] = session;
	pthread_mutex_unlock(&s->lock);
	cwn_session_release(old);
	memset(data, 'c', sizeof(data));
	while (turns-- > 0) {
		uint32_t r = pull_random(&random);
		int events = 0;
		switch (r % 4) {
		case 0:
		case 1: {
			int n = cwn_session_read(session, (char *)data, sizeof(data));
			if ((n == 0) || (n == -2)) {
				return;
			}
			if (n > 0) {
				(void)cwn_session_write(session, (char *)data, (size_t)n, (int)(r >> 8) % 2);
			}
			break;
		}
		case 2:
			(void)cwn_session_write(session, (char *)data, (r >> 4) % sizeof(data), (int)(r >> 8) % 2);
			break;
		default:
			events = cwn_session_wait(session, (int)((r >> 6) % 4), (int)((r >> 9) % 10));
			break;
		}
		if ((events & CWN_HUNG_UP) != 0) {
			return;
		}
	}
}

/* An echo whose turns run wherever they may: what a turn cannot finish the own thread
 * does. */
typedef struct pull_led {
	cwn_session *session;
	uint32_t random;
	unsigned char data[6000];
	size_t size, sent; /* what is left to write */
	atomic_bool inside;
	bool more, over;
	bool timed; /* the own thread comes back by itself */
	int elsewhere; /* turns that a leader ran */
} pull_led;

static int
pull_led_turn(void *user_data)
{
	pull_led *led = (pull_led *)user_data;
	size_t size = 1 + pull_random(&led->random) % sizeof(led->data);
	int turn = CWN_TURN_OWN;
	int n;
	CHECK(!atomic_exchange(&led->inside, true)); /* never two at a time */
	n = cwn_session_read(led->session, (char *)led->data, size);
	led->more = (n > 0);
	if (n > 0) {
		int taken = cwn_session_write(led->session,
		                              (char *)led->data,
		                              (size_t)n,
		                              (int)(pull_random(&led->random) % 2));
		CHECK(taken >= 0);
		led->size = (size_t)n;
		led->sent = (size_t)taken;
		turn = (taken == n) ? CWN_TURN_AGAIN : CWN_TURN_OWN;
	} else if (n == -1) {
		turn = CWN_TURN_DONE;
	} else {
		CHECK_EQUAL(0, n);
		led->over = true;
	}
	if (pull_random(&led->random) % 4096 == 0) {
		mg_sleep(25); /* late: the watch goes round the leader */
	}
	atomic_store(&led->inside, false);
	return turn;
}

static int
pull_led_turn_elsewhere(void *user_data)
{
	pull_led *led = (pull_led *)user_data;
	led->elsewhere++;
	if (led->timed && (pull_random(&led->random) % 8 == 0)) {
		return CWN_TURN_UNREAD;
	}
	return pull_led_turn(led);
}

static void
pull_soak_led(pull_led *led)
{
	int events = CWN_CAN_READ;
	while (!led->over) {
		uint32_t r = pull_random(&led->random);
		CHECK(!atomic_load(&led->inside));
		if (led->sent < led->size) {
			CHECK(pull_own_write(led->session, led->data + led->sent, led->size - led->sent, (int)(r % 2)));
			led->sent = led->size;
		}
		/* Wherever the last turn was: what it left must be read before waiting. */
		if (led->more || ((events & CWN_CAN_READ) != 0)) {
			events = 0;
			(void)pull_led_turn(led);
		} else {
			led->timed = (r % 2 == 0);
			events = cwn_session_wait(led->session, CWN_CAN_READ, led->timed ? (int)((r >> 4) % 12) : -1);
			CHECK_EQUAL(0, events & CWN_HUNG_UP);
		}
	}
}

static int
pull_soak_on_request(struct mg_connection *conn)
{
	pull_server *server = (pull_server *)mg_get_user_data(mg_get_context(conn));
	pull_soak *s = (pull_soak *)server->user;
	const struct mg_request_info *info = mg_get_request_info(conn);
	bool chaos = strcmp(info->local_uri, "/chaos") == 0;
	pull_led led;
	cwn_session *session;
	memset(&led, 0, sizeof(led));
	led.random = (uint32_t)atomic_load(&s->begun);
	if (strcmp(info->local_uri, "/led") == 0) {
		session = led.session = pull_accept(conn, &s->honest, pull_led_turn_elsewhere, &led);
	} else {
		session = pull_accept(conn, chaos ? &s->chaos : &s->honest, NULL, NULL);
	}
	if (session == NULL) {
		CHECK(chaos);
		return 500;
	}
	atomic_fetch_add(&s->begun, 1);
	if (chaos) {
		pull_soak_chaos(s, session);
		cwn_session_end(session, 20);
	} else if (led.session != NULL) {
		pull_soak_led(&led);
		cwn_session_end(session, 1000);
		atomic_fetch_add(&s->led, led.elsewhere);
	} else if (strcmp(info->local_uri, "/echo") == 0) {
		pull_soak_echo(session);
		cwn_session_end(session, 1000);
	} else {
		pull_soak_duplex(&s->duplex[atoi(info->query_string)], session);
	}
	cwn_session_release(session);
	atomic_fetch_add(&s->ended, 1);
	return 101;
}

static void *
pull_echo_client(void *argument)
{
	pull_soak *s = ((pull_thread *)argument)->s;
	unsigned char data[20000], echo[20000];
	uint32_t random = (uint32_t)((pull_thread *)argument)->number;
	do {
		pull_peer peer = pull_open(&s->server, (pull_random(&random) % 2 == 0) ? "/echo" : "/led", "");
		uint64_t place = random;
		int i;
		atomic_fetch_add(&s->honest_connections, 1);
		for (i = 0; (i < 200) && !atomic_load(&s->stop); i++) {
			size_t size = 1 + pull_random(&random) % ((i % 4 == 0) ? sizeof(data) : 200);
			pull_fill(data, size, place);
			CHECK(pull_send(&peer, data, size));
			pull_receive_exactly(&peer, echo, size);
			CHECK(memcmp(data, echo, size) == 0);
			place += size;
			atomic_fetch_add(&s->echoed, (long long)size);
		}
		pull_finish(&peer);
		CHECK_EQUAL(0, pull_receive(&peer, echo, 1));
		pull_close(&peer, false);
	} while (!atomic_load(&s->stop));
	return NULL;
}

static void *
pull_duplex_client(void *argument)
{
	pull_thread *self = (pull_thread *)argument;
	pull_soak *s = self->s;
	pull_duplex *d = &s->duplex[self->number];
	unsigned char data[8192];
	uint32_t random = (uint32_t)self->number;
	char path[32];
	mg_snprintf(NULL, NULL, path, sizeof(path), "/duplex?%d", self->number);
	do {
		pull_peer peer = pull_open(&s->server, path, "");
		uint64_t sent = 0, received = 0;
		int i, n;
		atomic_fetch_add(&s->honest_connections, 1);
		for (i = 0; (i < 200) && !atomic_load(&s->stop); i++) {
			size_t size = 1 + pull_random(&random) % 5000;
			pull_fill(data, size, sent);
			CHECK(pull_send(&peer, data, size));
			sent += size;
			n = pull_receive(&peer, data, sizeof(data));
			CHECK(n > 0);
			pull_check_bytes(data, (size_t)n, received);
			received += (uint64_t)n;
		}
		pull_finish(&peer);
		while ((n = pull_receive(&peer, data, sizeof(data))) > 0) {
			pull_check_bytes(data, (size_t)n, received);
			received += (uint64_t)n;
		}
		CHECK_EQUAL(0, n);
		/* nothing is lost, either way */
		pthread_mutex_lock(&d->lock);
		CHECK(d->session == NULL);
		CHECK_EQUAL(sent, d->received);
		CHECK_EQUAL(received, d->pushed);
		pthread_mutex_unlock(&d->lock);
		pull_close(&peer, false);
		atomic_fetch_add(&s->pulled, (long long)sent);
		atomic_fetch_add(&s->pushed, (long long)received);
	} while (!atomic_load(&s->stop));
	return NULL;
}

static void *
pull_pusher(void *argument)
{
	pull_thread *self = (pull_thread *)argument;
	pull_soak *s = self->s;
	unsigned char data[20000];
	uint32_t random = (uint32_t)self->number;
	while (!atomic_load(&s->stop_pushing)) {
		int i, progress = 0;
		for (i = self->number; i < PULL_DUPLEX; i += PULL_PUSHERS) {
			pull_duplex *d = &s->duplex[i];
			pthread_mutex_lock(&d->lock);
			if (d->session != NULL) {
				size_t size = 1 + pull_random(&random) % ((random % 4 == 0) ? sizeof(data) : 300);
				int n;
				pull_fill(data, size, d->pushed);
				n = cwn_session_write(d->session, (char *)data, size, 0);
				CHECK(n >= 0);
				d->pushed += (uint64_t)n;
				progress += n;
			}
			pthread_mutex_unlock(&d->lock);
		}
		if (progress == 0) {
			mg_sleep(1);
		}
	}
	return NULL;
}

static void *
pull_meddler(void *argument)
{
	pull_thread *self = (pull_thread *)argument;
	pull_soak *s = self->s;
	uint32_t random = 77u + (uint32_t)self->number;
	char data[20000];
	memset(data, 'm', sizeof(data));
	while (!atomic_load(&s->stop)) {
		uint32_t r = pull_random(&random);
		cwn_session *session;
		pthread_mutex_lock(&s->lock);
		session = s->slots[r % PULL_SLOTS];
		if (session != NULL) {
			atomic_fetch_add(&session->references, 1);
		}
		pthread_mutex_unlock(&s->lock);
		switch ((r >> 4) % 16) {
		case 0:
			cwn_session_abort(session);
			break;
		case 1:
		case 2:
		case 3:
			cwn_session_wake(session);
			break;
		case 4:
		case 5:
			(void)cwn_session_read(session, data, 1 + (r >> 8) % (sizeof(data) - 1));
			break;
		default:
			(void)cwn_session_write(session, data, (r >> 8) % sizeof(data), (int)(r % 2));
			break;
		}
		atomic_fetch_add(&s->meddled, session != NULL);
		cwn_session_release(session);
		if ((r >> 12) % 4 == 0) {
			mg_sleep(1);
		}
	}
	return NULL;
}

/* Leaves at any point of the handshakes or of what follows, in any way. */
static void *
pull_vanisher(void *argument)
{
	static const char request[] = UPGRADE("/chaos", RFC_KEY) "early";
	pull_thread *self = (pull_thread *)argument;
	pull_soak *s = self->s;
	uint32_t random = 1000u + (uint32_t)self->number;
	char data[8000];
	memset(data, 'v', sizeof(data));
	while (!atomic_load(&s->stop)) {
		pull_peer peer = {pull_connect(&s->server), NULL};
		uint32_t r = pull_random(&random);
		size_t size = (r % 8 == 0) ? (r >> 4) % strlen(request) : strlen(request);
		int turns = (size < strlen(request)) ? 0 : (int)((r >> 4) % 8);
		bool alive = true;
		test_set_patience(peer.sock, 2000);
		if (s->server.client != NULL) {
			if ((r >> 12) % 8 == 0) {
				/* not TLS at all, or only its beginning */
				(void)send(peer.sock, "\x16\x03\x01\x02\x00\x01", 1 + (r >> 4) % 6, MSG_NOSIGNAL);
				alive = false;
			} else {
				peer.ssl = SSL_new(s->server.client);
				CHECK_EQUAL(1, SSL_set_fd(peer.ssl, peer.sock));
				alive = SSL_connect(peer.ssl) == 1;
			}
		}
		alive = alive && (size > 0) && pull_send(&peer, request, size);
		while (alive && (turns-- > 0)) {
			r = pull_random(&random);
			if (r % 2 == 0) {
				alive = pull_send(&peer, data, 1 + (r >> 4) % (sizeof(data) - 1));
			} else if ((r % 4 == 1) && (pull_receive(&peer, data, sizeof(data)) <= 0)) {
				alive = false;
			}
		}
		if ((r >> 6) % 3 == 0) {
			pull_finish(&peer);
		}
		if (peer.ssl != NULL) {
			ERR_clear_error();
		}
		pull_close(&peer, (r >> 8) % 3 == 0);
		atomic_fetch_add(&s->vanished, 1);
	}
	return NULL;
}

static void
pull_soak_all(bool with_tls)
{
	static pull_soak s;
	static pull_thread arguments[PULL_HONEST + PULL_PUSHERS + PULL_MEDDLERS + PULL_VANISHERS];
	uint64_t end = cwn_now_ms() + test_soak_ms(5000);
	pthread_t threads[PULL_HONEST + PULL_PUSHERS + PULL_MEDDLERS + PULL_VANISHERS];
	int i, count = 0, first_pusher;

	memset(&s, 0, sizeof(s));
	s.honest.size = s.chaos.size = sizeof(s.honest);
	s.honest.send_timeout_ms = 60000;
	s.chaos.send_timeout_ms = 100;
	s.server.user = &s;
	pthread_mutex_init(&s.lock, NULL);
	for (i = 0; i < PULL_DUPLEX; i++) {
		pthread_mutex_init(&s.duplex[i].lock, NULL);
	}
	pull_start(&s.server, with_tls, "96", pull_soak_on_request);
	for (i = 0; i < PULL_HONEST + PULL_PUSHERS + PULL_MEDDLERS + PULL_VANISHERS; i++) {
		arguments[i].s = &s;
	}
#define PULL_THREADS(how_many, function)                                                    \
	for (i = 0; i < (how_many); i++, count++) {                                             \
		arguments[count].number = i;                                                        \
		CHECK_EQUAL(0, pthread_create(&threads[count], NULL, (function), &arguments[count])); \
	}
	PULL_THREADS(PULL_ECHO, pull_echo_client)
	PULL_THREADS(PULL_DUPLEX, pull_duplex_client)
	PULL_THREADS(PULL_VANISHERS, pull_vanisher)
	PULL_THREADS(PULL_MEDDLERS, pull_meddler)
	first_pusher = count;
	PULL_THREADS(PULL_PUSHERS, pull_pusher)
#undef PULL_THREADS
	/* longer where the machine is slow: until everybody has done something */
	while ((cwn_now_ms() < end) || (atomic_load(&s.echoed) == 0) || (atomic_load(&s.vanished) == 0)
	       || (atomic_load(&s.meddled) == 0)) {
		CHECK_STEP();
		mg_sleep(50);
	}
	atomic_store(&s.stop, true);
	for (i = 0; i < first_pusher; i++) {
		pthread_join(threads[i], NULL);
	}
	atomic_store(&s.stop_pushing, true);
	for (i = first_pusher; i < count; i++) {
		pthread_join(threads[i], NULL);
	}
	/* every client is gone: every session ends by itself */
	while (atomic_load(&s.ended) < atomic_load(&s.begun)) {
		mg_sleep(10);
	}
	pull_stop(&s.server);
	for (i = 0; i < PULL_SLOTS; i++) {
		cwn_session_release(s.slots[i]);
	}
	CHECK_EQUAL(0, cwn_session_count());
	CHECK_EQUAL(atomic_load(&s.begun), atomic_load(&s.ended));
	CHECK((atomic_load(&s.pushed) > 0) && (atomic_load(&s.pulled) > 0));
#if defined(__linux__)
	CHECK(atomic_load(&s.led) > 0);
#endif
	printf("pull_soak over %s: %lld honest connections, %lld bytes echoed, %lld pushed while %lld came the other way; "
	       "%lld clients vanished, %lld calls by meddlers, %lld sessions, %lld turns by leaders\n",
	       with_tls ? "TLS" : "TCP",
	       (long long)atomic_load(&s.honest_connections),
	       (long long)atomic_load(&s.echoed),
	       (long long)atomic_load(&s.pushed),
	       (long long)atomic_load(&s.pulled),
	       (long long)atomic_load(&s.vanished),
	       (long long)atomic_load(&s.meddled),
	       (long long)atomic_load(&s.ended),
	       (long long)atomic_load(&s.led));
}

static void
test_pull_soak(void)
{
	pull_soak_all(false);
}

static void
test_pull_soak_tls(void)
{
	if (cwn_init((unsigned)MG_FEATURES_TLS) == 0) {
		test_skipped = TLS_MISSING;
		return;
	}
	pull_guard_openssl();
	atomic_store(&pull_leaders_at_once, true); /* short connections too */
	pull_soak_all(true);
	pull_unguard_openssl();
}
