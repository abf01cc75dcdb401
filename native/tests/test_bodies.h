/* Bodies of requests and responses: what ends a connection, and deadlines that no
 * trickle moves. */

typedef struct bodies_test {
	struct mg_context *ctx;
	test_server server; /* for connect_to */
	atomic_int requests;
	atomic_int end;   /* what the last read of a body said */
	atomic_int after; /* and the one after it */
	atomic_int must_close;
	atomic_int size;
} bodies_test;

static int
bodies_on_begin(struct mg_connection *conn)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	bodies_test *t = (bodies_test *)mg_get_user_data(mg_get_context(conn));
	int64_t chunk[2] = {0, 0};
	char data[100];
	int status = cwn_prepare_request(conn, 1);
	int n, size = 0;
	atomic_fetch_add(&t->requests, 1);
	if (status != 0) {
		return status;
	}
	while ((n = cwn_read_body(conn, data, sizeof(data), 300, chunk)) > 0) {
		size += n;
	}
	atomic_store(&t->size, size);
	atomic_store(&t->end, n);
	atomic_store(&t->must_close, conn->must_close);
	if (conn->is_chunked != 0) {
		atomic_store(&t->after, cwn_read_body(conn, data, sizeof(data), 300, chunk));
	}
	(void)mg_write(conn, answer, strlen(answer)); /* as a handler that would go on */
	return 200;
}

/* The connection has ended, in order or by a reset; how many answers came. */
static int
bodies_answers(SOCKET sock)
{
	static char answers[4000];
	char *p = answers;
	int count = 0;
	receive_to_end(sock, answers, sizeof(answers));
	while ((p = strstr(p, "HTTP/1.1 ")) != NULL) {
		count++;
		p++;
	}
	return count;
}

#define BODIES_POST(headers) "POST / HTTP/1.1\r\nHost: test\r\n" headers "\r\n"
#define BODIES_CHUNKED BODIES_POST("Transfer-Encoding: chunked\r\n")
#define BODIES_NEXT "GET /next HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"

static void
bodies_test_ends(bodies_test *t)
{
	static const struct {
		const char *request; /* the next one behind it */
		const char *later;   /* sent when the body's time is over */
		int end, size;
	} cases[] = {
	    /* whole: the next is served */
	    {BODIES_POST("Content-Length: 5\r\n") "whole" BODIES_NEXT, NULL, 0, 5},
	    {BODIES_CHUNKED "5\r\nwhole\r\n0\r\n\r\n" BODIES_NEXT, NULL, 0, 5},
	    {BODIES_CHUNKED "5;x=y\r\nwhole\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n" BODIES_NEXT, NULL, 0, 6},
	    /* malformed: nothing behind it is a request */
	    {BODIES_CHUNKED "x\r\nwhole\r\n0\r\n\r\n" BODIES_NEXT, NULL, -3, 0},
	    {BODIES_CHUNKED "\r\n5\r\nwhole\r\n0\r\n\r\n" BODIES_NEXT, NULL, -3, 0},
	    {BODIES_CHUNKED "5\r\nwholeX\r\n0\r\n\r\n" BODIES_NEXT, NULL, -3, 5},
	    {BODIES_CHUNKED "5\r\nwhole\rX0\r\n\r\n" BODIES_NEXT, NULL, -3, 5},
	    {BODIES_CHUNKED "5\nwhole\r\n0\r\n\r\n" BODIES_NEXT, NULL, -3, 0},
	    {BODIES_CHUNKED "1000000000000000\r\nwhole\r\n0\r\n\r\n" BODIES_NEXT, NULL, -3, 0},
	    {BODIES_CHUNKED "5\r\nwhole\r\n0\r\nA: \x01\r\n\r\n" BODIES_NEXT, NULL, -3, 5},
	    /* not in time: neither is the rest */
	    {BODIES_POST("Content-Length: 5\r\n") "who", "le" BODIES_NEXT, -1, 3},
	    {BODIES_CHUNKED "5\r\nwho", "le\r\n0\r\n\r\n" BODIES_NEXT, -1, 3},
	    {BODIES_CHUNKED "5\r\nwhole\r\n", "0\r\n\r\n" BODIES_NEXT, -1, 5},
	    {BODIES_CHUNKED "5\r\nwhole\r\n0\r\n", "\r\n" BODIES_NEXT, -1, 5},
	};
	size_t i;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SOCKET sock = connect_to(&t->server);
		bool whole = (cases[i].end == 0);
		int answers;
		atomic_store(&t->requests, 0);
		atomic_store(&t->end, 99);
		send_all(sock, cases[i].request, strlen(cases[i].request));
		if (cases[i].later != NULL) {
			CHECK_EVENTUALLY(atomic_load(&t->end) != 99);
			/* which may meet a connection that has ended */
			(void)send(sock, cases[i].later, (cwn_io_size)strlen(cases[i].later), MSG_NOSIGNAL);
		}
		answers = bodies_answers(sock);
		closesocket(sock);
		if (whole) {
			CHECK_EQUAL(2, answers);
			CHECK_EQUAL(2, atomic_load(&t->requests));
			continue; /* what was read last was the next one's */
		}
		/* a reset may have taken the answer with it */
		CHECK(answers <= 1);
		CHECK_EQUAL(1, atomic_load(&t->requests));
		CHECK_EQUAL(cases[i].end, atomic_load(&t->end));
		CHECK_EQUAL(cases[i].size, atomic_load(&t->size));
		CHECK_EQUAL(1, atomic_load(&t->must_close));
		if (strstr(cases[i].request, "chunked") != NULL) {
			CHECK_EQUAL(-3, atomic_load(&t->after)); /* never "the end" */
		}
	}
}

/* What nobody wants is read over, to a limit. */
static void
bodies_test_limits(struct mg_context *ctx)
{
	static const struct {
		const char *before;
		int filler;
		const char *after;
		int end;
	} cases[] = {
	    {"1;", 1000, "\r\nx\r\n0\r\n\r\n", 0},
	    {"1;", 1100, "\r\nx\r\n0\r\n\r\n", -3},
	    {"1\r\nx\r\n0\r\nA: ", 8000, "\r\n\r\n", 0},
	    {"1\r\nx\r\n0\r\nA: ", 8300, "\r\n\r\n", -3},
	    {"000000000000001\r\nx\r\n0\r\n\r\n", 0, "", 0},
	    {"0000000000000001\r\nx\r\n0\r\n\r\n", 0, "", -3},
	};
	static char filler[9000];
	size_t i;
	memset(filler, 'f', sizeof(filler));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t chunk[2] = {0, 0};
		char data[10];
		int n;
		SOCKET pair[2];
		struct mg_connection *conn;
		test_pair(pair);
		conn = test_connection(ctx, pair[0]);
		conn->is_chunked = 1;
		send_all(pair[1], cases[i].before, strlen(cases[i].before));
		send_all(pair[1], filler, (size_t)cases[i].filler);
		send_all(pair[1], cases[i].after, strlen(cases[i].after));
		while ((n = cwn_read_body(conn, data, sizeof(data), CHECK_PATIENCE_MS, chunk)) > 0) {
			CHECK_EQUAL(1, n);
			CHECK_EQUAL('x', data[0]);
		}
		CHECK_EQUAL(cases[i].end, n);
		CHECK_EQUAL(cases[i].end < 0, conn->must_close);
		test_free_connection(conn);
		closesocket(pair[0]);
		closesocket(pair[1]);
	}
}

static void
bodies_test_framing(bodies_test *t)
{
	static const char *const refused[] = {
	    BODIES_POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") "0\r\n\r\n",
	    BODIES_POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n") "0\r\n\r\n",
	    BODIES_POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") "0\r\n\r\n",
	    BODIES_POST("Content-Length: 5\r\nContent-Length: 6\r\n") "abcdef",
	    BODIES_POST("Content-Length: 6\r\nContent-Length: 5\r\n") "abcdef",
	    BODIES_POST("Content-Length: 5\r\nContent-Length: x\r\n") "abcde",
	    BODIES_POST("Content-Length: +5\r\n") "abcde",
	    BODIES_POST("Content-Length : 5\r\n") "abcde",
	};
	size_t i;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		static char answer[2000];
		SOCKET sock = connect_to(&t->server);
		send_all(sock, refused[i], strlen(refused[i]));
		receive_to_end(sock, answer, sizeof(answer));
		closesocket(sock);
		if (strncmp(answer, "HTTP/1.1 400 ", 13) != 0) {
			fprintf(stderr, "request:\n%s\nresponse:\n%s\n", refused[i], answer);
			abort();
		}
	}
}

typedef struct bodies_drip {
	SOCKET sock;
	const char *bytes;
	size_t size, sent;
	int pause_ms;
	atomic_bool stop;
} bodies_drip;

static void *
bodies_send_drips(void *argument)
{
	bodies_drip *drip = (bodies_drip *)argument;
	while (!atomic_load(&drip->stop) && (drip->sent < drip->size)) {
		if (send(drip->sock, drip->bytes + drip->sent, 1, MSG_NOSIGNAL) != 1) {
			break;
		}
		drip->sent++;
		mg_sleep(drip->pause_ms);
	}
	return NULL;
}

/* Bytes that come one at a time: each within the time-out, all together not. */
static void
bodies_test_drip(struct mg_context *ctx)
{
	char text[201];
	bodies_drip drip;
	pthread_t thread;
	SOCKET pair[2];
	int64_t chunk[2] = {0, 0};
	char data[10];
	struct mg_connection *conn;
	memset(text, 'x', sizeof(text));
	memcpy(text, "1;", 2);
	memcpy(text + 190, "\r\nx\r\n0\r\n\r\n", 11);
	memset(&drip, 0, sizeof(drip));
	test_pair(pair);
	(void)set_non_blocking_mode(pair[0]); /* as those that CivetWeb accepts are on Windows */
	conn = test_connection(ctx, pair[0]);
	conn->is_chunked = 1;
	drip.sock = pair[1];
	drip.bytes = text;
	drip.size = 200;
	drip.pause_ms = 50;
	CHECK_EQUAL(0, pthread_create(&thread, NULL, bodies_send_drips, &drip));
	CHECK_EQUAL(-1, cwn_read_body(conn, data, sizeof(data), 400, chunk));
	atomic_store(&drip.stop, true);
	pthread_join(thread, NULL);
	CHECK(drip.sent < drip.size);
	CHECK_EQUAL(1, conn->must_close);
	test_free_connection(conn);
	closesocket(pair[0]);
	closesocket(pair[1]);
}

static void *
bodies_trickling_reader(void *argument)
{
	bodies_drip *drip = (bodies_drip *)argument;
	static char data[4096];
	int rounds;
	/* For a while; then all that is left. */
	for (rounds = 0; !atomic_load(&drip->stop); rounds++) {
		int n = test_receive_now(drip->sock, data, sizeof(data));
		if (n == 0) {
			break;
		}
		drip->sent += (n > 0) ? (size_t)n : 0;
		if ((rounds < 200) || (n < 0)) {
			mg_sleep((rounds < 200) ? 20 : 1);
		}
	}
	return NULL;
}

/* One deadline for all of a response's piece, however often a little of it leaves. */
static void
bodies_test_trickling_reader(struct mg_context *ctx)
{
	enum { SIZE = 4 << 20 };
	static char response[SIZE];
	bodies_drip drip;
	pthread_t thread;
	SOCKET pair[2];
	struct mg_connection *conn;
	memset(&drip, 0, sizeof(drip));
	test_pair(pair);
	(void)set_non_blocking_mode(pair[0]); /* as those that CivetWeb accepts are on Windows */
	conn = test_connection(ctx, pair[0]);
	drip.sock = pair[1];
	CHECK_EQUAL(0, pthread_create(&thread, NULL, bodies_trickling_reader, &drip));
	CHECK_EQUAL(-1, cwn_write_response(conn, response, SIZE, 500));
	CHECK_EQUAL(1, conn->must_close);
	CHECK((conn->num_bytes_sent > 0) && (conn->num_bytes_sent < SIZE));
	atomic_store(&drip.stop, true);
	pthread_join(thread, NULL);
	test_free_connection(conn);
	closesocket(pair[0]);
	closesocket(pair[1]);
}

static void
test_bodies(void)
{
	static bodies_test t;
	static const char *options[] = {"listening_ports", "127.0.0.1:0", "num_threads", "2", "decode_url", "no",
	                                "enable_keep_alive", "yes", "keep_alive_timeout_ms", "60000", NULL};
	struct mg_callbacks callbacks;
	struct mg_server_port port;
	struct mg_context *ctx = (struct mg_context *)mg_calloc(1, sizeof(*ctx));
	memset(&t, 0, sizeof(t));
	memset(&callbacks, 0, sizeof(callbacks));
	callbacks.begin_request = bodies_on_begin;
	CHECK_EQUAL(1, cwn_init(0));
	t.ctx = mg_start(&callbacks, &t, options);
	CHECK(t.ctx != NULL);
	CHECK_EQUAL(1, mg_get_server_ports(t.ctx, 1, &port));
	t.server.port = port.port;
	bodies_test_ends(&t);
	bodies_test_framing(&t);
	mg_stop(t.ctx);
	bodies_test_limits(ctx);
	bodies_test_drip(ctx);
#if !defined(_WIN32) /* which takes all of a response, however little the peer reads */
	bodies_test_trickling_reader(ctx);
#endif
	mg_free(ctx);
}
