/* How a transport ends: peers that stall, hang up, or are cut. */

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
