/* Turns that take long, and what others see of them. */

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
