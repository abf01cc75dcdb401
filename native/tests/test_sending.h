/* Sending: in which order, while the receiver's own thread is busy, and what is kept
 * afterwards. */

/* A client that waits for a while, not for ever. */
static SOCKET
sending_patient(SOCKET sock)
{
#if defined(_WIN32)
	DWORD limit = 20000;
#else
	struct timeval limit = {20, 0};
#endif
	CHECK_EQUAL(0, setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, (const char *)&limit, sizeof(limit)));
	return sock;
}

/* Until it is so; 20 s at most. */
#define SENDING_EVENTUALLY(condition)                                          \
	do {                                                                       \
		uint64_t end_ = cwn_now_ms() + 20000;                                  \
		while (!(condition)) {                                                 \
			CHECK(cwn_now_ms() < end_);                                        \
			mg_sleep(1);                                                       \
		}                                                                      \
	} while (0)

static atomic_int sending_blocked; /* in the callback */

static int
sending_on_data(struct mg_connection *conn, int bits, char *data, size_t size, void *user)
{
	test_server *server = (test_server *)user;
	(void)conn;
	if ((bits == 1) && (size == 5) && (memcmp(data, "order", 5) == 0)) {
		CHECK_EQUAL(1, cwn_session_send(server->last, 1, "a", 1));
		CHECK_EQUAL(1, cwn_session_post(server->last, 1, "b", 1));
		CHECK_EQUAL(1, cwn_session_send(server->last, 1, "c", 1));
		CHECK_EQUAL(1, cwn_session_post(server->last, 1, "d", 1));
	} else if (bits == 1) {
		atomic_fetch_add(&sending_blocked, 1);
		while (atomic_load(&server->hold)) {
			mg_sleep(1);
		}
	}
	return 1;
}

static void
sending_on_ready(struct mg_connection *conn, void *user)
{
	test_server *server = (test_server *)user;
	cwn_session *session = cwn_session_create(conn, &server->options);
	CHECK(session != NULL);
	cwn_session_release(server->last);
	server->last = session;
	atomic_fetch_add(&server->ready, 1);
	cwn_session_run(session, sending_on_data, server);
}

static void
sending_block(test_server *server, SOCKET sock)
{
	unsigned char frame[50];
	int before = atomic_load(&sending_blocked);
	atomic_store(&server->hold, 1);
	send_all(sock, frame, put_frame(frame, 0x81, "block", 5));
	SENDING_EVENTUALLY(atomic_load(&sending_blocked) > before);
}

/* The order of the calls, while what one callback sends is gathered. */
static void
sending_test_order(test_server *server)
{
	static const char expected[] = "\x81\x01" "a" "\x81\x01" "b" "\x81\x01" "c" "\x81\x01" "d";
	unsigned char frames[1000], reply[12];
	SOCKET sock = sending_patient(open_websocket(server));
	size_t n = 0;
	int i;
	for (i = 0; i < 20; i++) {
		n += put_frame(frames + n, 0x81, "order", 5);
	}
	send_all(sock, frames, n);
	for (i = 0; i < 20; i++) {
		receive_exactly(sock, reply, sizeof(reply));
		CHECK(memcmp(reply, expected, sizeof(reply)) == 0);
	}
	closesocket(sock);
}

enum { SENDING_FRAME = 300000, SENDING_FRAMES = 40 }; /* more than the system buffers */

/* What is posted to a session whose callback blocks arrives all the same. */
static void
sending_test_blocked(test_server *server)
{
	static unsigned char payload[SENDING_FRAME], got[10 + SENDING_FRAME];
	SOCKET sock;
	int i, k;
	server->options.max_queue_size = 64 << 20;
	for (k = 0; k < 2; k++) {
		sock = sending_patient(open_websocket(server));
		if (k == 1) {
			/* something is left when the callback begins, not only later */
			for (i = 0; i < SENDING_FRAMES; i++) {
				CHECK_EQUAL(SENDING_FRAME, cwn_session_post(server->last, 2, (char *)payload, SENDING_FRAME));
			}
		}
		sending_block(server, sock);
		for (i = 0; (k == 0) && (i < SENDING_FRAMES); i++) {
			memset(payload, i, sizeof(payload));
			CHECK_EQUAL(SENDING_FRAME, cwn_session_post(server->last, 2, (char *)payload, SENDING_FRAME));
		}
		for (i = 0; i < SENDING_FRAMES; i++) {
			receive_exactly(sock, got, 10 + SENDING_FRAME);
			CHECK_EQUAL((k == 0) ? i : payload[0], got[10 + SENDING_FRAME - 1]);
		}
		atomic_store(&server->hold, 0);
		closesocket(sock);
	}

	/* its client does not read: it is cut in time, and the callback need not return */
	server->options.send_timeout_ms = 200;
	sock = sending_patient(open_websocket(server));
	sending_block(server, sock);
	for (i = 0; i < SENDING_FRAMES; i++) {
		CHECK_EQUAL(SENDING_FRAME, cwn_session_post(server->last, 2, (char *)payload, SENDING_FRAME));
	}
	SENDING_EVENTUALLY(!cwn_session_is_open(server->last));
	atomic_store(&server->hold, 0);
	closesocket(sock);
	server->options.send_timeout_ms = 20000;
}

/* What is posted while the own thread waits for input alone: it is told of what the socket
 * has not taken. */
static void
sending_test_idle(test_server *server)
{
	static unsigned char payload[SENDING_FRAME], got[10 + SENDING_FRAME];
	SOCKET sock;
	int i;
	server->options.keep_thread = 1;
	sock = sending_patient(open_websocket(server));
	server->options.keep_thread = 0;
	SENDING_EVENTUALLY(atomic_load(&server->last->attended));
	for (i = 0; i < SENDING_FRAMES; i++) {
		CHECK_EQUAL(SENDING_FRAME, cwn_session_post(server->last, 2, (char *)payload, SENDING_FRAME));
	}
	for (i = 0; i < SENDING_FRAMES; i++) {
		receive_exactly(sock, got, 10 + SENDING_FRAME);
	}
	closesocket(sock);
}

/* An idle session keeps no buffers. */
static void
sending_test_kept(test_server *server)
{
	static unsigned char payload[1 << 20], got[10 + (1 << 20)];
	unsigned char frames[200];
	size_t n;
	cwn_session *session;
	SOCKET sock = sending_patient(open_websocket(server));
	session = server->last;
	CHECK_EQUAL(sizeof(payload), cwn_session_post(session, 2, (char *)payload, sizeof(payload)));
	receive_exactly(sock, got, sizeof(got));
	n = put_frame(frames, 0x81, "order", 5);
	n += put_frame(frames + n, 0x81, "order", 5);
	send_all(sock, frames, n);
	receive_exactly(sock, got, 24);
	SENDING_EVENTUALLY(atomic_load(&session->queued) == 0);
	pthread_mutex_lock(&session->send_lock);
	CHECK(session->leaving.data == NULL);
	CHECK(session->output == NULL);
	pthread_mutex_unlock(&session->send_lock);
	pthread_mutex_lock(&session->queue_lock);
	CHECK(session->queue.data == NULL);
	pthread_mutex_unlock(&session->queue_lock);
	closesocket(sock);
}

/* A few bytes are no progress. */
static void
sending_test_progress(void)
{
	static cwn_session session;
	pthread_mutex_init(&session.state_lock, NULL);
	session.options.send_timeout_ms = 1000;
	atomic_store(&session.stalled_at, 1);
	atomic_store(&session.queued, 100000);
	cwn_session_note_sent(&session, 1);
	CHECK_EQUAL(1, atomic_load(&session.stalled_at));
	cwn_session_note_sent(&session, CWN_PROGRESS - 2);
	CHECK_EQUAL(1, atomic_load(&session.stalled_at));
	CHECK(cwn_session_cut_if_stalled(&session));
	cwn_session_note_sent(&session, 1);
	CHECK(atomic_load(&session.stalled_at) + 1000 > cwn_now_ms());
	CHECK(!cwn_session_cut_if_stalled(&session));
	/* and from there on as much again is needed */
	atomic_store(&session.stalled_at, 1);
	cwn_session_note_sent(&session, CWN_PROGRESS - 1);
	CHECK_EQUAL(1, atomic_load(&session.stalled_at));
}

static int
sending_remote_code(cwn_session *session)
{
	cwn_session_info info;
	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
	cwn_session_get_info(session, &info);
	return info.remote_code;
}

/* Another thread is closing and waits for the peer while a ping becomes due: the Close
 * frame still arrives, and is answered. */
static void *
sending_close(void *argument)
{
	test_server *server = (test_server *)argument;
	CHECK_EQUAL(0, cwn_session_close(server->last, 1001, NULL, 0));
	return NULL;
}

static void
sending_test_ping(test_server *server)
{
	static unsigned char payload[SENDING_FRAME], got[10 + SENDING_FRAME];
	pthread_t closer;
	SOCKET sock;
	int i;
	server->options.ping_interval_ms = 30;
	sock = sending_patient(open_websocket(server));
	server->options.ping_interval_ms = 0;
	CHECK_EQUAL(0, pthread_mutex_lock(&server->last->send_lock)); /* nothing leaves now */
	for (i = 0; i < SENDING_FRAMES; i++) {
		CHECK_EQUAL(SENDING_FRAME, cwn_session_post(server->last, 2, (char *)payload, SENDING_FRAME));
	}
	pthread_mutex_unlock(&server->last->send_lock);
	CHECK_EQUAL(0, pthread_create(&closer, NULL, sending_close, server));
	mg_sleep(300); /* pings fall due meanwhile */
	for (i = 0; i < SENDING_FRAMES; i++) {
		do {
			receive_exactly(sock, got, 2);
		} while (got[0] == 0x89);
		CHECK_EQUAL(0x82, got[0]);
		receive_exactly(sock, got, 8 + SENDING_FRAME);
	}
	do {
		receive_exactly(sock, got, 2);
	} while (got[0] == 0x89);
	receive_exactly(sock, got + 2, 2);
	CHECK(memcmp(got, "\x88\x02\x03\xE9", 4) == 0);
	pthread_join(closer, NULL);
	/* and its answer is waited for */
	send_all(sock, got, put_frame(got, 0x88, "\x03\xE9", 2));
	CHECK_EQUAL(0, recv(sock, (char *)got, 1, 0));
	closesocket(sock);
	SENDING_EVENTUALLY(sending_remote_code(server->last) == 1001);
}

/* A message of nothing, for ever. */
static void
sending_test_empty_fragments(test_server *server)
{
	static unsigned char frames[6 * (CWN_MAX_EMPTY_FRAGMENTS + 100)];
	unsigned char reply[200];
	size_t n;
	int i, k;
	for (k = 0; k < 2; k++) {
		SOCKET sock = sending_patient(open_websocket(server));
		n = put_frame(frames, 0x01, NULL, 0);
		for (i = 1; i < CWN_MAX_EMPTY_FRAGMENTS + k; i++) {
			n += put_frame(frames + n, 0x00, NULL, 0);
		}
		send_all(sock, frames, n);
		/* as many as are allowed, and one more */
		n = put_frame(frames, (k == 0) ? 0x00 : 0x89, "order", (k == 0) ? 5 : 0);
		n += (k == 0) ? put_frame(frames + n, 0x80, NULL, 0) : 0;
		n += put_frame(frames + n, 0x89, NULL, 0);
		send_all(sock, frames, n);
		if (k == 0) {
			receive_exactly(sock, reply, 12);
			CHECK_EQUAL('a', reply[2]);
			receive_exactly(sock, reply, 2);
			CHECK(memcmp(reply, "\x8A\x00", 2) == 0);
		} else {
			receive_exactly(sock, reply, 4);
			CHECK_EQUAL(0x88, reply[0]);
			CHECK(memcmp(reply + 2, "\x03\xF0", 2) == 0);
		}
		closesocket(sock);
	}
}

static void
test_sending(void)
{
	static test_server server;
	start_server(&server);
	server.options.send_timeout_ms = 20000;
	mg_set_websocket_handler(server.ctx, "/ws$", NULL, sending_on_ready, sending_on_data, on_close, &server);
	sending_test_order(&server);
	sending_test_blocked(&server);
	sending_test_idle(&server);
	sending_test_kept(&server);
	sending_test_progress();
	sending_test_ping(&server);
	sending_test_empty_fragments(&server);
	wait_closed(&server, 9);
	stop_server(&server);
}

/* Over TLS a large frame is several records: what others post meanwhile must not come
 * between them. */

enum { SENDING_TLS_FRAMES = 60, SENDING_TLS_SIZE = 100000, SENDING_TLS_POSTS = 3000 };

static test_server sending_tls; /* of which only what its callbacks use */

static void *
sending_tls_post(void *argument)
{
	int i;
	(void)argument;
	for (i = 0; i < SENDING_TLS_POSTS; i++) {
		CHECK_EQUAL(5, cwn_session_post(sending_tls.last, 1, "small", 5));
	}
	return NULL;
}

static void *
sending_tls_send(void *argument)
{
	static char payload[SENDING_TLS_SIZE];
	int i;
	(void)argument;
	memset(payload, 'L', sizeof(payload));
	for (i = 0; i < SENDING_TLS_FRAMES; i++) {
		CHECK_EQUAL(SENDING_TLS_SIZE, cwn_session_send(sending_tls.last, 2, payload, sizeof(payload)));
	}
	return NULL;
}

static void
test_sending_tls(void)
{
	static unsigned char got[SENDING_TLS_SIZE];
	pull_server server;
	pull_peer peer;
	pthread_t threads[2];
	int large = 0, small = 0;

	if (!cwn_init((unsigned)MG_FEATURES_TLS)) {
		test_skipped = TLS_MISSING;
		return;
	}
	memset(&server, 0, sizeof(server));
	memset(&sending_tls, 0, sizeof(sending_tls));
	sending_tls.options.size = sizeof(sending_tls.options);
	sending_tls.options.max_message_size = 1 << 20;
	sending_tls.options.close_timeout_ms = 300;
	sending_tls.options.send_timeout_ms = 20000;
	sending_tls.options.max_queue_size = 64 << 20;
	pull_start(&server, true, "4", on_begin);
	mg_set_websocket_handler(server.ctx, "/ws$", NULL, sending_on_ready, sending_on_data, on_close, &sending_tls);
	peer = pull_open(&server, "/ws", "");
	(void)sending_patient(peer.sock);
	SENDING_EVENTUALLY(atomic_load(&sending_tls.ready) == 1);
	CHECK_EQUAL(0, pthread_create(&threads[0], NULL, sending_tls_send, NULL));
	CHECK_EQUAL(0, pthread_create(&threads[1], NULL, sending_tls_post, NULL));
	while ((large < SENDING_TLS_FRAMES) || (small < SENDING_TLS_POSTS)) {
		size_t i;
		pull_receive_exactly(&peer, got, 2);
		if (got[0] == 0x81) {
			pull_receive_exactly(&peer, got, 5);
			CHECK(memcmp(got, "small", 5) == 0);
			small++;
		} else {
			CHECK(memcmp(got, "\x82\x7F", 2) == 0);
			pull_receive_exactly(&peer, got, 8);
			pull_receive_exactly(&peer, got, SENDING_TLS_SIZE);
			for (i = 0; i < SENDING_TLS_SIZE; i++) {
				CHECK_EQUAL('L', got[i]);
			}
			large++;
		}
	}
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	SENDING_EVENTUALLY(atomic_load(&sending_tls.last->queued) == 0);
	pthread_mutex_lock(&sending_tls.last->send_lock);
	CHECK(sending_tls.last->output == NULL);
	pthread_mutex_unlock(&sending_tls.last->send_lock);
	pull_close(&peer, false);
	SENDING_EVENTUALLY(atomic_load(&sending_tls.closed) == 1);
	cwn_session_release(sending_tls.last);
	pull_stop(&server);
	CHECK_EQUAL(0, cwn_session_count());
}
