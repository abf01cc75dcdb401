/* A server whose sessions block, wait for each other or end when a client says so. */

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
