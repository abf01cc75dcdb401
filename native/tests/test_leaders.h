/* Who runs the turns: leaders where there are any, the own thread where it must. */

/* A new session need not have its first turns on its own thread. By the thread that has its turn. */
static void
leaders_at_once(cwn_session *session)
{
#if defined(__linux__)
	if (session->seat != NULL) {
		session->seat->own_turns = 0;
	}
#else
	(void)session;
#endif
}


enum { LEADERS_CLIENTS = 12, LEADERS_WARM = 8 };

typedef struct leaders_test {
	struct mg_context *ctx;
	int port;
	cwn_session_options options;
	cwn_session *_Atomic last;
	atomic_int ready, closed;
	atomic_int elsewhere; /* messages that another than the own thread has handed out */
	atomic_int own;
	atomic_int waiting; /* callbacks that wait for each other */
	int meet;           /* so many */
	atomic_bool usr2_stays_blocked; /* after the session */
	int ended;
	uintptr_t deep; /* where the stack was used */
	size_t own_stack, leader_stack; /* bytes */
} leaders_test;

typedef struct leaders_session {
	leaders_test *t;
	cwn_session *session;
	uintptr_t own;
	atomic_bool inside;
} leaders_session;

/* Uses the stack as code of an application does that does much, an exception for one. */
#if defined(__GNUC__)
__attribute__((noinline))
#endif
static void
leaders_go_deep(leaders_test *t)
{
	volatile unsigned char deep[100 * 1024];
	size_t i;
	for (i = 0; i < sizeof(deep); i += 512) {
		deep[i] = 1;
	}
	t->deep = (uintptr_t)deep;
}

static size_t
leaders_stack_size(void)
{
	size_t size = 0;
#if defined(__linux__)
	pthread_attr_t attributes;
	void *low;
	CHECK_EQUAL(0, pthread_getattr_np(pthread_self(), &attributes));
	CHECK_EQUAL(0, pthread_attr_getstack(&attributes, &low, &size));
	(void)pthread_attr_destroy(&attributes);
#endif
	return size;
}

#if defined(__linux__)
/* Whether it was blocked before. */
static bool
leaders_mask(int how, int signal_number)
{
	sigset_t set, before;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, signal_number);
	CHECK_EQUAL(0, pthread_sigmask(how, &set, &before));
	return sigismember(&before, signal_number) == 1;
}
#endif

static int
leaders_on_data(struct mg_connection *conn, int bits, char *data, size_t size, void *user)
{
	leaders_session *s = (leaders_session *)user;
	(void)conn;
	CHECK(!atomic_exchange(&s->inside, true)); /* never two at a time */
	if (bits <= 2) {
		atomic_fetch_add((s->own == (uintptr_t)pthread_self()) ? &s->t->own : &s->t->elsewhere, 1);
		if ((size == 4) && (memcmp(data, "deep", 4) == 0)) {
			leaders_go_deep(s->t);
		}
		if ((size == 4) && (memcmp(data, "size", 4) == 0)) {
			*((s->own == (uintptr_t)pthread_self()) ? &s->t->own_stack : &s->t->leader_stack) = leaders_stack_size();
		}
#if defined(__linux__)
		if ((size == 4) && (memcmp(data, "mask", 4) == 0)) {
			leaders_mask(SIG_BLOCK, SIGUSR2);
			leaders_mask(SIG_UNBLOCK, SIGURG);
		}
#endif
		if ((size == 4) && (memcmp(data, "late", 4) == 0)) {
			mg_sleep(300);
		}
		if ((size == 4) && (memcmp(data, "nap!", 4) == 0)) {
			mg_sleep(1);
		}
		if ((size == 4) && (memcmp(data, "meet", 4) == 0)) {
			atomic_fetch_add(&s->t->waiting, 1);
			while (atomic_load(&s->t->waiting) < s->t->meet) {
				mg_sleep(1);
			}
		}
		(void)cwn_session_send(s->session, bits, data, size);
	}
	atomic_store(&s->inside, false);
	return (size == 3) ? 0 : 1;
}

static void
leaders_on_ready(struct mg_connection *conn, void *user)
{
	leaders_session s;
	memset(&s, 0, sizeof(s));
	s.t = (leaders_test *)user;
	s.session = cwn_session_create(conn, &s.t->options);
	s.own = (uintptr_t)pthread_self();
	CHECK(s.session != NULL);
	atomic_fetch_add(&s.session->references, 1);
	cwn_session_release(atomic_exchange(&s.t->last, s.session));
	atomic_fetch_add(&s.t->ready, 1);
	cwn_session_run(s.session, leaders_on_data, &s);
	CHECK(cwn_own_session == NULL);
#if defined(__linux__)
	atomic_store(&s.t->usr2_stays_blocked, leaders_mask(SIG_UNBLOCK, SIGUSR2));
#endif
	cwn_session_release(s.session);
}

static void
leaders_on_close(const struct mg_connection *conn, void *user)
{
	(void)conn;
	atomic_fetch_add(&((leaders_test *)user)->closed, 1);
}

/* What does not come in time fails where it is waited for. */
static void
leaders_limit(SOCKET sock)
{
#if !defined(_WIN32)
	struct timeval limit = {30, 0};
	CHECK_EQUAL(0, setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, (const char *)&limit, sizeof(limit)));
#else
	(void)sock;
#endif
}

static SOCKET
leaders_open(leaders_test *t)
{
	static const char request[] = UPGRADE("/ws", RFC_KEY);
	test_server server;
	int ready = atomic_load(&t->ready);
	SOCKET sock;
	memset(&server, 0, sizeof(server));
	server.port = t->port;
	sock = connect_to(&server);
	leaders_limit(sock);
	send_all(sock, request, strlen(request));
	receive_head(sock);
	CHECK_EVENTUALLY(atomic_load(&t->ready) != ready);
	return sock;
}

static void
leaders_send(SOCKET sock, const char *text)
{
	unsigned char frame[64];
	send_all(sock, frame, put_frame(frame, 0x81, text, strlen(text)));
}

static void
leaders_expect(SOCKET sock, const char *text)
{
	unsigned char reply[64];
	receive_exactly(sock, reply, 2 + strlen(text));
	CHECK(memcmp(reply + 2, text, strlen(text)) == 0);
}

/* More than the first messages: leaders have it now. */
static void
leaders_warm(leaders_test *t, SOCKET sock)
{
	int i, before = atomic_load(&t->elsewhere);
#if defined(__linux__)
	bool led = t->options.keep_thread == 0;
#else
	bool led = false;
#endif
	for (i = 0; (i < LEADERS_WARM) || (led && (atomic_load(&t->elsewhere) == before)); i++) {
		leaders_send(sock, "warm");
		leaders_expect(sock, "warm");
	}
	CHECK(led || (atomic_load(&t->elsewhere) == before));
}

static void
leaders_end(leaders_test *t, SOCKET sock)
{
	closesocket(sock);
	CHECK_EVENTUALLY(atomic_load(&t->closed) > t->ended);
	t->ended++;
}

/* Everybody's callback waits for everybody else's: more than there are leaders. */
static void
leaders_test_blocking(leaders_test *t)
{
	SOCKET socks[LEADERS_CLIENTS];
	int i, round;
	for (i = 0; i < LEADERS_CLIENTS; i++) {
		socks[i] = leaders_open(t);
		leaders_warm(t, socks[i]);
	}
	t->meet = LEADERS_CLIENTS;
	for (round = 0; round < 3; round++) {
		atomic_store(&t->waiting, 0);
		for (i = 0; i < LEADERS_CLIENTS; i++) {
			leaders_send(socks[i], "meet");
		}
		for (i = 0; i < LEADERS_CLIENTS; i++) {
			leaders_expect(socks[i], "meet");
		}
	}
	/* afterwards leaders serve them again, when they have been good for a while */
	for (i = 0; i < LEADERS_CLIENTS; i++) {
		for (round = 0; round < 100; round++) {
			leaders_send(socks[i], "good");
			leaders_expect(socks[i], "good");
		}
		leaders_warm(t, socks[i]);
		leaders_end(t, socks[i]);
	}
}

static void
leaders_exchange(SOCKET sock, const char *text, int times)
{
	while (times-- > 0) {
		leaders_send(sock, text);
		leaders_expect(sock, text);
	}
}

/* Callbacks that block for much less than the watch looks for: the own thread has such
 * a session soon, and as long as it goes on. */
static void
leaders_test_naps(leaders_test *t)
{
#if defined(__linux__)
	enum { NAPPERS = 16 };
	SOCKET socks[NAPPERS], sock;
	int i, elsewhere;

	sock = leaders_open(t);
	leaders_warm(t, sock);
	/* one to be suspected for, one to be found out by; a turn may have two of them */
	leaders_exchange(sock, "nap!", 4);
	elsewhere = atomic_load(&t->elsewhere);
	leaders_exchange(sock, "nap!", 10);
	for (i = 0; i < 10; i++) {
		leaders_exchange(sock, "good", 100); /* one in a hundred is enough */
		leaders_exchange(sock, "nap!", 1);
	}
	CHECK_EQUAL(elsewhere, atomic_load(&t->elsewhere));
	leaders_warm(t, sock); /* leaders have it again, some time */
	leaders_end(t, sock);

	/* rare naps are found out too */
	sock = leaders_open(t);
	leaders_warm(t, sock);
	for (i = 0; (i < 10) && (elsewhere != atomic_load(&t->elsewhere)); i++) {
		elsewhere = atomic_load(&t->elsewhere);
		leaders_exchange(sock, "nap!", 1);
		leaders_exchange(sock, "good", 50);
	}
	CHECK(i < 10);
	leaders_end(t, sock);

	/* when most sessions block, a new one has its own thread from the first nap on */
	for (i = 0; i < NAPPERS; i++) {
		sock = leaders_open(t);
		leaders_exchange(sock, "nap!", 4);
		leaders_end(t, sock);
	}
	sock = leaders_open(t);
	mg_sleep(100); /* its first turns are over: a leader gets the event */
	elsewhere = atomic_load(&t->elsewhere);
	leaders_exchange(sock, "nap!", 8);
	CHECK_EQUAL(elsewhere, atomic_load(&t->elsewhere));
	leaders_end(t, sock);

	/* and when most do not, leaders have a new one at once */
	for (i = 0; i < NAPPERS; i++) {
		socks[i] = leaders_open(t);
		leaders_warm(t, socks[i]);
		leaders_end(t, socks[i]);
	}
	sock = leaders_open(t);
	mg_sleep(100);
	elsewhere = atomic_load(&t->elsewhere);
	leaders_exchange(sock, "good", 1);
	CHECK_EQUAL(elsewhere + 1, atomic_load(&t->elsewhere));
	leaders_end(t, sock);
#else
	(void)t;
#endif
}

/* The answer to the first of two frames that came together does not wait for the
 * callback of the second, whoever runs it. */
static void
leaders_test_held(leaders_test *t)
{
	int i;
	for (i = 0; i < 3; i++) {
		unsigned char frames[64];
		size_t n;
		SOCKET sock, other;
		t->options.keep_thread = (i == 1);
		sock = leaders_open(t);
		other = leaders_open(t);
		if (i != 2) {
			leaders_warm(t, sock);
		}
		t->meet = 2;
		atomic_store(&t->waiting, 0);
		n = put_frame(frames, 0x81, "1st!", 4);
		n += put_frame(frames + n, 0x81, "2nd!", 4);
		n += put_frame(frames + n, 0x81, "meet", 4);
		send_all(sock, frames, n);
		leaders_expect(sock, "1st!");
		leaders_expect(sock, "2nd!");
		CHECK_EQUAL(1, atomic_load(&t->waiting));
		leaders_exchange(other, "meet", 1);
		leaders_expect(sock, "meet");
		leaders_exchange(sock, "good", 3);
		leaders_end(t, other);
		leaders_end(t, sock);
	}
	t->options.keep_thread = 0;
	CHECK(cwn_held.first == NULL); /* detached, so not looked at */
}

/* What the program does with signals: the session's own thread can be woken all the
 * same, and the thread's other signals stay as it wants them. */
static void
leaders_test_signals(leaders_test *t)
{
#if defined(__linux__)
	static const char *const disposition[] = {"default", "ignored"};
	unsigned char reply[4];
	int i;
	for (i = 0; i < 2; i++) {
		SOCKET sock;
		t->options.keep_thread = 1;
		sock = leaders_open(t);
		leaders_exchange(sock, "mask", 1);
		(void)signal(SIGURG, (disposition[i][0] == 'd') ? SIG_DFL : SIG_IGN);
		mg_sleep(100); /* it is in ppoll */
		cwn_session_request_close(t->last, 1001);
		receive_exactly(sock, reply, 4);
		CHECK(memcmp(reply, "\x88\x02\x03\xE9", 4) == 0);
		leaders_end(t, sock);
		CHECK(atomic_load(&t->usr2_stays_blocked));
	}
	t->options.keep_thread = 0;
#else
	(void)t;
#endif
}

#if defined(__linux__)
static atomic_int leaders_signals;

static void
leaders_on_signal(int signal_number)
{
	(void)signal_number;
	atomic_fetch_add(&leaders_signals, 1);
}
#endif

/* A peer that reads slowly, posted to all the time: who posts fills up what it has read,
 * so the own thread sees neither room nor progress, and need not be woken. */
static void
leaders_test_steady_posts(leaders_test *t)
{
#if defined(__linux__)
	static char block[16 * 1024], sink[64 * 1024];
	struct sigaction action, before;
	uint64_t end;
	int small = 4096, count = 0;
	SOCKET sock;
	memset(&action, 0, sizeof(action));
	action.sa_handler = leaders_on_signal;
	CHECK_EQUAL(0, sigaction(SIGURG, &action, &before));
	t->options.send_timeout_ms = 1500;
	sock = leaders_open(t);
	CHECK_EQUAL(0, setsockopt(sock, SOL_SOCKET, SO_RCVBUF, (const char *)&small, sizeof(small)));
	leaders_warm(t, sock);
	while (atomic_load(&t->last->queued) < 4u << 20) { /* more than it reads in all */
		CHECK_EQUAL(sizeof(block), cwn_session_post(t->last, 2, block, sizeof(block)));
	}
	mg_sleep(50);
	atomic_store(&leaders_signals, 0);
	for (end = cwn_now_ms() + 4000; cwn_now_ms() < end; count++) {
		CHECK(recv(sock, sink, 2000, 0) > 0);
		CHECK_EQUAL(2000, cwn_session_post(t->last, 2, block, 2000));
		mg_sleep(2);
	}
	CHECK_EQUAL(1, cwn_session_is_open(t->last));
	CHECK(atomic_load(&leaders_signals) < count / 4);
	leaders_end(t, sock);
	CHECK_EQUAL(0, sigaction(SIGURG, &before, NULL));
	t->options.send_timeout_ms = 0;
#else
	(void)t;
#endif
}

/* A set that cannot be waited for: everybody is served by their own threads. The last
 * of the tests, for it stays so. */
static void
leaders_test_failing(leaders_test *t)
{
#if defined(__linux__)
	SOCKET socks[4];
	int i, elsewhere, other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (i = 0; i < 4; i++) {
		socks[i] = leaders_open(t);
		leaders_warm(t, socks[i]);
	}
	CHECK(dup2(other, cwn_leaders.epoll) == cwn_leaders.epoll);
	for (i = 0; i < 4; i++) {
		leaders_exchange(socks[i], "good", 50);
	}
	elsewhere = atomic_load(&t->elsewhere);
	for (i = 0; i < 4; i++) {
		leaders_exchange(socks[i], "good", 300);
		leaders_end(t, socks[i]);
	}
	socks[0] = leaders_open(t);
	leaders_exchange(socks[0], "good", 50);
	leaders_end(t, socks[0]);
	CHECK_EQUAL(elsewhere, atomic_load(&t->elsewhere));
	(void)close(other);
#else
	(void)t;
#endif
}

/* Urgent data ends a receive before all that is there has come. */
static void
leaders_test_urgent(leaders_test *t)
{
	int i;
	for (i = 0; i < 50; i++) {
		unsigned char frame[64];
		SOCKET sock = leaders_open(t);
		if (i % 2 == 0) {
			leaders_warm(t, sock);
		}
		if (i % 4 < 2) {
			leaders_send(sock, "nap!"); /* the others come while it is being handled */
		}
		/* The message, a byte that is not of the stream, another message. */
		send_all(sock, frame, put_frame(frame, 0x81, "1st!", 4));
		CHECK_EQUAL(1, send(sock, "!", 1, MSG_OOB));
		leaders_send(sock, "last");
		if (i % 4 < 2) {
			leaders_expect(sock, "nap!");
		}
		leaders_expect(sock, "1st!");
		leaders_expect(sock, "last");
		leaders_end(t, sock);
	}
}

/* A leader's stack is as large as the own thread's. */
static void
leaders_test_stack_size(leaders_test *t)
{
	SOCKET sock = leaders_open(t);
	leaders_exchange(sock, "size", 1);
	leaders_warm(t, sock);
	leaders_exchange(sock, "size", 1);
#if defined(__linux__)
	CHECK(t->own_stack > 0);
	/* glibc counts the guard page, and not for every thread */
	CHECK(t->leader_stack + 64 * 1024 >= t->own_stack);
#endif
	leaders_end(t, sock);
}

/* What the own thread sees to comes in time though it is parked. */
static void
leaders_test_parked(leaders_test *t)
{
	static unsigned char frame[70000], payload[65000], reply[70000];
	cwn_session_info info;
	size_t n;
	SOCKET sock;

	/* a message in two halves, then half a one for ever */
	t->options.frame_timeout_ms = 300;
	sock = leaders_open(t);
	leaders_warm(t, sock);
	memset(payload, 'p', sizeof(payload));
	n = put_frame(frame, 0x82, payload, sizeof(payload));
	send_all(sock, frame, n / 2);
	mg_sleep(20);
	send_all(sock, frame + n / 2, n - n / 2);
	receive_exactly(sock, reply, 4 + sizeof(payload));
	CHECK(memcmp(reply + 4, payload, sizeof(payload)) == 0);
	send_all(sock, frame, 10);
	CHECK(receive(sock, reply, 1) <= 0);
	leaders_end(t, sock);
	t->options.frame_timeout_ms = 0;

	/* pings go out, and the answer is noticed */
	t->options.ping_interval_ms = 100;
	t->options.pong_timeout_ms = 300;
	sock = leaders_open(t);
	leaders_warm(t, sock);
	for (n = 0; n < 6; n++) {
		receive_exactly(sock, reply, 2);
		CHECK(memcmp(reply, "\x89\x00", 2) == 0);
		send_all(sock, frame, put_frame(frame, 0x8A, "", 0));
	}
	CHECK_EQUAL(1, cwn_session_is_open(t->last));
	receive_exactly(sock, reply, 2);
	CHECK(receive(sock, reply, 1) <= 0); /* not answered */
	leaders_end(t, sock);
	t->options.ping_interval_ms = 0;

	/* other threads: a post, a request to close, an abort */
	sock = leaders_open(t);
	leaders_warm(t, sock);
	CHECK_EQUAL(4, cwn_session_post(t->last, 1, "post", 4));
	leaders_expect(sock, "post");
	cwn_session_request_close(t->last, 1001);
	receive_exactly(sock, reply, 4);
	CHECK(memcmp(reply, "\x88\x02\x03\xE9", 4) == 0);
	leaders_end(t, sock);
	sock = leaders_open(t);
	leaders_warm(t, sock);
	cwn_session_abort(t->last);
	CHECK(receive(sock, reply, 1) <= 0);
	leaders_end(t, sock);

	/* the handler closes; so does the peer, whose code comes back */
	sock = leaders_open(t);
	leaders_warm(t, sock);
	leaders_send(sock, "bye");
	leaders_expect(sock, "bye");
	receive_exactly(sock, reply, 4);
	CHECK(memcmp(reply, "\x88\x02\x03\xE8", 4) == 0);
	leaders_end(t, sock);
	sock = leaders_open(t);
	leaders_warm(t, sock);
	send_all(sock, frame, put_frame(frame, 0x88, "\x03\xE9gone", 6));
	receive_exactly(sock, reply, 4);
	CHECK(memcmp(reply, "\x88\x02\x03\xE9", 4) == 0);
	CHECK_EQUAL(0, receive(sock, reply, 1));
	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
	leaders_end(t, sock);
	cwn_session_get_info(t->last, &info);
	CHECK_EQUAL(1001, info.remote_code);

	/* more than the peer takes: the own thread sends the rest when it reads again */
	sock = leaders_open(t);
	leaders_warm(t, sock);
	for (n = 0; n < 100; n++) {
		CHECK_EQUAL(sizeof(payload), cwn_session_post(t->last, 2, (char *)payload, sizeof(payload)));
	}
	for (n = 0; n < 100; n++) {
		receive_exactly(sock, reply, 4 + sizeof(payload));
		CHECK(memcmp(reply + 4, payload, sizeof(payload)) == 0);
	}
	leaders_warm(t, sock);
	leaders_end(t, sock);
}

/* After a late turn a session keeps its own thread, for a while. */
static void
leaders_test_late(leaders_test *t)
{
#if defined(__linux__)
	SOCKET sock = leaders_open(t);
	int i, elsewhere, own;
	leaders_warm(t, sock);
	leaders_send(sock, "late");
	leaders_expect(sock, "late");
	elsewhere = atomic_load(&t->elsewhere);
	own = atomic_load(&t->own);
	for (i = 0; i < 20; i++) {
		leaders_send(sock, "mine");
		leaders_expect(sock, "mine");
	}
	CHECK_EQUAL(elsewhere, atomic_load(&t->elsewhere));
	CHECK_EQUAL(own + 20, atomic_load(&t->own));
	leaders_end(t, sock);
#else
	(void)t;
#endif
}

/* An event that was harvested for a session that is gone is not the next one's. */
static void
leaders_test_stale_event(leaders_test *t)
{
#if defined(__linux__)
	cwn_session session; /* of which only the options are looked at */
	struct epoll_event event;
	cwn_seat *seat, *next;
	(void)t;
	memset(&session, 0, sizeof(session));
	seat = cwn_seat_begin(&session, NULL, NULL);
	CHECK(seat != NULL);
	event.data.u64 = ((atomic_load(&seat->turn) / CWN_SEAT_GENERATION) << 32) | seat->index;
	cwn_seat_end(seat);
	CHECK(cwn_seat_take(&event) == NULL);
	next = cwn_seat_begin(&session, NULL, NULL);
	CHECK(next == seat);
	atomic_fetch_add(&next->turn, CWN_SEAT_PARKED - CWN_SEAT_OWN);
	CHECK(cwn_seat_take(&event) == NULL);
	/* its own is */
	event.data.u64 = ((atomic_load(&seat->turn) / CWN_SEAT_GENERATION) << 32) | seat->index;
	CHECK(cwn_seat_take(&event) == next);
	CHECK_EQUAL(CWN_SEAT_RUNNING, atomic_load(&next->turn) & CWN_SEAT_HOLDER);
	/* while it is somebody's: noted */
	CHECK(cwn_seat_take(&event) == NULL);
	CHECK((atomic_load(&next->turn) & CWN_SEAT_PENDING) != 0);
	cwn_seat_end(next);
	CHECK_EQUAL(0, atomic_load(&next->turn) % CWN_SEAT_GENERATION);
#else
	(void)t;
#endif
}

/* The peer's end comes together with its last message, while another is being handled:
 * there is no event of its own for it. */
static void
leaders_test_end_behind_message(leaders_test *t)
{
	int i;
	for (i = 0; i < 100; i++) {
		char byte;
		SOCKET sock = leaders_open(t);
		leaders_warm(t, sock);
		leaders_send(sock, "nap!");
		if (i % 2 == 0) {
			mg_sleep(1);
		}
		leaders_send(sock, "last");
		(void)shutdown(sock, SHUTDOWN_WR);
		leaders_expect(sock, "nap!");
		leaders_expect(sock, "last");
		CHECK_EQUAL(0, receive(sock, &byte, 1));
		leaders_end(t, sock);
	}
}

/* What a connection's last doings have left on the stack goes with it, if it was not so
 * short that the next one is waiting for the thread. */
static void
leaders_test_stack(leaders_test *t)
{
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	unsigned char resident = 1;
	SOCKET sock = leaders_open(t);
	mg_sleep(150); /* it has given back what the handshake took */
	leaders_send(sock, "deep");
	leaders_expect(sock, "deep");
	CHECK_EQUAL(0, mincore((void *)(t->deep & ~(page - 1)), page, &resident));
	CHECK_EQUAL(1, resident & 1);
	leaders_end(t, sock);
	/* the close callback comes after the session, so it is done */
	CHECK_EQUAL(0, mincore((void *)(t->deep & ~(page - 1)), page, &resident));
	CHECK_EQUAL(0, resident & 1);
#else
	(void)t;
#endif
}

static void
test_leaders(void)
{
	static leaders_test t;
	static const char *options[] = {"listening_ports", "127.0.0.1:0", "num_threads", "14",
	                                "decode_url", "no", "tcp_nodelay", "1", NULL};
	struct mg_callbacks callbacks;
	struct mg_server_port port;
	SOCKET sock;
	memset(&callbacks, 0, sizeof(callbacks));
	callbacks.begin_request = on_begin;
	t.options.size = sizeof(t.options);
	t.options.max_message_size = 1 << 20;
	t.options.close_timeout_ms = 300;
	t.options.max_queue_size = 8 << 20;
	CHECK_EQUAL(1, cwn_init(0));
	t.ctx = mg_start(&callbacks, &t, options);
	CHECK(t.ctx != NULL);
	mg_set_websocket_handler(t.ctx, "/ws$", NULL, leaders_on_ready, leaders_on_data, leaders_on_close, &t);
	CHECK_EQUAL(1, mg_get_server_ports(t.ctx, 1, &port));
	t.port = port.port;

	leaders_test_blocking(&t);
	leaders_test_stack_size(&t);
	leaders_test_naps(&t);
	leaders_test_urgent(&t);
	leaders_test_held(&t);
	leaders_test_signals(&t);
	leaders_test_steady_posts(&t);
	leaders_test_parked(&t);
	leaders_test_end_behind_message(&t);
	leaders_test_late(&t);
	leaders_test_stale_event(&t);
	t.options.keep_thread = 1;
	sock = leaders_open(&t);
	leaders_warm(&t, sock);
	leaders_end(&t, sock);
	leaders_test_stack(&t);
	t.options.keep_thread = 0;
	leaders_test_failing(&t);

	mg_stop(t.ctx);
	cwn_session_release(t.last);
	CHECK_EQUAL(0, cwn_session_count());
}
