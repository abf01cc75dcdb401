/* Chaos for a while: clients that leave at any point, writers that use sessions
 * whatever their state, and an honest client that must not notice. Under the
 * sanitizers this is where races and stale pointers would show. */

enum { SOAK_SLOTS = 8, SOAK_CLIENTS = 6 };

typedef struct soak {
	struct mg_context *ctx;
	int port;
	cwn_session_options options;
	pthread_mutex_t lock;
	cwn_session *slots[SOAK_SLOTS]; /* the latest sessions, dead or alive; each a reference */
	unsigned next_slot;
	atomic_bool stop;
	atomic_llong connections;
	atomic_llong echoes;
	atomic_int readies, closes;
} soak;

static int
soak_on_data(struct mg_connection *conn, int bits, char *data, size_t size, void *user)
{
	cwn_session *session = (cwn_session *)user;
	(void)conn;
	leaders_at_once(session); /* short connections too */
	if (bits <= 2) {
		if (size % 512 == 77) {
			mg_sleep(25); /* late: the watch goes round the leader, the sender sends what is left */
		}
		(void)cwn_session_send(session, bits, data, size);
	}
	return (size == 13) ? 0 : 1;
}

static void
soak_on_ready(struct mg_connection *conn, void *user)
{
	soak *s = (soak *)user;
	cwn_session_options options = s->options;
	cwn_session *session, *old;
	options.ping_interval_ms = 5; /* not for the honest client, which expects echoes only */
	session = cwn_session_create(conn, &options);
	CHECK(session != NULL);
	atomic_fetch_add(&s->readies, 1);
	/* two references: the loop below needs one however long the slot keeps its own */
	atomic_fetch_add(&session->references, 1);
	pthread_mutex_lock(&s->lock);
	old = s->slots[s->next_slot % SOAK_SLOTS];
	s->slots[s->next_slot++ % SOAK_SLOTS] = session;
	pthread_mutex_unlock(&s->lock);
	cwn_session_release(old);
	cwn_session_run(session, soak_on_data, session);
	cwn_session_release(session);
}

static void
soak_on_close(const struct mg_connection *conn, void *user)
{
	(void)conn;
	atomic_fetch_add(&((soak *)user)->closes, 1);
}

/* Uses any session in any way. */
static void *
soak_meddler(void *argument)
{
	soak *s = (soak *)argument;
	static _Thread_local uint32_t r = 12345;
	char payload[2000];
	static char large[100000]; /* some of it is left when the client does not read */
	memset(payload, 'm', sizeof(payload));
	while (!atomic_load(&s->stop)) {
		cwn_session *session;
		cwn_session_info info;
		r = r * 1664525u + 1013904223u;
		pthread_mutex_lock(&s->lock);
		session = s->slots[(r >> 8) % SOAK_SLOTS];
		if (session != NULL) {
			atomic_fetch_add(&session->references, 1);
		}
		pthread_mutex_unlock(&s->lock);
		if (session == NULL) {
			mg_sleep(1);
			continue;
		}
		switch ((r >> 16) % 16) {
		case 0:
			cwn_session_abort(session);
			break;
		case 1:
			(void)cwn_session_close(session, 1001, "meddled", 7);
			break;
		case 2:
			cwn_session_request_close(session, 1001);
			break;
		case 3:
			info.size = sizeof(info);
			cwn_session_get_info(session, &info);
			(void)cwn_session_is_open(session);
			break;
		case 4:
		case 5:
		case 6:
		case 7:
			(void)cwn_session_send(session, 2, payload, (r >> 20) % sizeof(payload));
			break;
		case 8:
			(void)cwn_session_post(session, 2, large, sizeof(large));
			break;
		default:
			(void)cwn_session_post(session, 2, payload, (r >> 20) % sizeof(payload));
			break;
		}
		cwn_session_release(session);
		if ((r >> 24) % 8 == 0) {
			mg_sleep(1);
		}
	}
	return NULL;
}

static SOCKET
soak_connect(const soak *s)
{
	test_server server;
	memset(&server, 0, sizeof(server));
	server.port = s->port;
	return connect_to(&server);
}

/* Connects and leaves, at any point, in any way. */
static void *
soak_client(void *argument)
{
	soak *s = (soak *)argument;
	uint32_t r = (uint32_t)(uintptr_t)&r;
	unsigned char frame[5000], sink[8192];
	memset(frame, 0, sizeof(frame));
	while (!atomic_load(&s->stop)) {
		static const char request[] = UPGRADE("/ws", RFC_KEY);
		SOCKET sock = soak_connect(s);
		size_t cut = strlen(request);
		int frames, i;
		r = r * 1664525u + 1013904223u;
		atomic_fetch_add(&s->connections, 1);
		if ((r >> 8) % 8 == 0) {
			cut = (r >> 12) % cut;
		}
		(void)send(sock, request, (cwn_io_size)cut, MSG_NOSIGNAL);
		frames = (cut == strlen(request)) ? (int)((r >> 16) % 6) : 0;
		for (i = 0; i < frames; i++) {
			size_t n;
			r = r * 1664525u + 1013904223u;
			n = cwn_write_header(frame, 2, (r >> 8) % 3000);
			frame[1] |= 0x80;
			n += 4 + ((r >> 8) % 3000);
			if ((r >> 20) % 6 == 0) {
				frame[0] ^= (unsigned char)(r >> 24); /* any mistake */
			}
			if ((r >> 21) % 6 == 0) {
				n = n * ((r >> 24) % 8) / 8; /* half a frame */
			}
			if (send(sock, (const char *)frame, (cwn_io_size)n, MSG_NOSIGNAL) < 0) {
				break;
			}
			if ((r >> 22) % 2 == 0) {
				(void)test_receive_now(sock, sink, sizeof(sink));
			}
		}
		if ((r >> 9) % 3 == 0) {
			struct linger reset = {1, 0};
			(void)setsockopt(sock, SOL_SOCKET, SO_LINGER, (const char *)&reset, sizeof(reset));
		}
		closesocket(sock);
	}
	return NULL;
}

static void *
soak_honest(void *argument)
{
	soak *s = (soak *)argument;
	unsigned char frame[2000], payload[1500];
	while (!atomic_load(&s->stop)) {
		/* on a path of its own: meddlers do not reach it */
		static const char request[] = UPGRADE("/honest", RFC_KEY);
		SOCKET sock = soak_connect(s);
		int i;
		send_all(sock, request, strlen(request));
		receive_head(sock);
		for (i = 0; (i < 200) && !atomic_load(&s->stop); i++) {
			size_t size = (size_t)(i * 37 % 1400) + 14, n = 0;
			unsigned char header[4];
			uint32_t key = 0x12345678u * (uint32_t)(i + 1);
			memset(payload, i, size);
			n = cwn_write_header(frame, 2, size);
			frame[1] |= 0x80;
			memcpy(frame + n, &key, 4);
			memcpy(frame + n + 4, payload, size);
			cwn_unmask(frame + n + 4, size, frame + n, 0);
			send_all(sock, frame, n + 4 + size);
			receive_exactly(sock, header, (size < 126) ? 2 : 4);
			receive_exactly(sock, frame, size);
			CHECK(memcmp(frame, payload, size) == 0);
			atomic_fetch_add(&s->echoes, 1);
		}
		closesocket(sock);
	}
	return NULL;
}

static void
soak_honest_ready(struct mg_connection *conn, void *user)
{
	soak *s = (soak *)user;
	cwn_session *session = cwn_session_create(conn, &s->options);
	CHECK(session != NULL);
	atomic_fetch_add(&s->readies, 1);
	cwn_session_run(session, soak_on_data, session);
	cwn_session_release(session);
}

static void
test_soak(void)
{
	static soak s;
	static const char *options[] = {"listening_ports", "127.0.0.1:0", "num_threads", "24", "decode_url", "no",
	                                "tcp_nodelay", "1", "request_timeout_ms", "500", NULL};
	uint64_t end = cwn_now_ms() + test_soak_ms(5000);
	struct mg_callbacks callbacks;
	struct mg_server_port port;
	pthread_t threads[SOAK_CLIENTS + 3];
	int i, count = 0;

	memset(&callbacks, 0, sizeof(callbacks));
	callbacks.begin_request = on_begin;
	s.options.size = sizeof(s.options);
	s.options.max_message_size = 1 << 20;
	s.options.pong_timeout_ms = 10000;
	s.options.frame_timeout_ms = 10000;
	s.options.send_timeout_ms = 500;
	s.options.close_timeout_ms = 200;
	s.options.max_queue_size = 1 << 18;
	pthread_mutex_init(&s.lock, NULL);
	CHECK_EQUAL(1, cwn_init(0));
	s.ctx = mg_start(&callbacks, &s, options);
	CHECK(s.ctx != NULL);
	mg_set_websocket_handler(s.ctx, "/ws$", NULL, soak_on_ready, soak_on_data, soak_on_close, &s);
	mg_set_websocket_handler(s.ctx, "/honest$", NULL, soak_honest_ready, soak_on_data, soak_on_close, &s);
	CHECK_EQUAL(1, mg_get_server_ports(s.ctx, 1, &port));
	s.port = port.port;

	CHECK_EQUAL(0, pthread_create(&threads[count++], NULL, soak_honest, &s));
	CHECK_EQUAL(0, pthread_create(&threads[count++], NULL, soak_meddler, &s));
	CHECK_EQUAL(0, pthread_create(&threads[count++], NULL, soak_meddler, &s));
	for (i = 0; i < SOAK_CLIENTS; i++) {
		CHECK_EQUAL(0, pthread_create(&threads[count++], NULL, soak_client, &s));
	}
	while ((cwn_now_ms() < end) || (atomic_load(&s.echoes) == 0)) {
		CHECK_STEP();
		mg_sleep(50);
	}
	atomic_store(&s.stop, true);
	for (i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
	}
	/* every client is gone: every session ends by itself */
	while (atomic_load(&s.closes) < atomic_load(&s.readies)) {
		mg_sleep(10);
	}
	mg_stop(s.ctx);
	for (i = 0; i < SOAK_SLOTS; i++) {
		cwn_session_release(s.slots[i]);
	}
	CHECK_EQUAL(0, cwn_session_count());
	CHECK_EQUAL(atomic_load(&s.readies), atomic_load(&s.closes));
	printf("soak: %lld connections, %lld honest echoes, %d sessions\n", (long long)atomic_load(&s.connections),
	       (long long)atomic_load(&s.echoes), atomic_load(&s.readies));
}
