/* The poller, with both back ends. */

#if defined(__linux__)
#include "engine/notifier.c" /* elsewhere the library includes it */
#endif
#include "engine/poller.c"

static const cwn_poller_kind poller_kinds[] = {
#if defined(__linux__)
    CWN_POLLER_EPOLL,
#endif
    CWN_POLLER_POLL};

/* The events of one key, or 0; anything else that comes is a failure. */
static unsigned
poll_for(cwn_poller *poller, uint64_t key, int timeout_ms)
{
	cwn_ready ready[CWN_MAX_READY];
	unsigned i, events = 0, count = cwn_poller_wait(poller, ready, timeout_ms);
	for (i = 0; i < count; i++) {
		CHECK_EQUAL(key, ready[i].key);
		events |= ready[i].events;
	}
	return events;
}

static void *
wake_poller(void *argument)
{
	mg_sleep(20);
	cwn_poller_wake((cwn_poller *)argument);
	return NULL;
}

/* Those that stay are told of, whichever are taken out. */
static void
check_poller_remove(cwn_poller_kind kind)
{
	enum { LONG = 10000, NOW = 0, SOCKETS = 3 };
	cwn_ready ready[CWN_MAX_READY];
	cwn_poller poller;
	cwn_watched watched[SOCKETS];
	SOCKET pairs[SOCKETS][2];
	size_t i;
	memset(watched, 0, sizeof(watched));
	CHECK(cwn_poller_open(&poller, kind));
	for (i = 0; i < SOCKETS; i++) {
		test_pair(pairs[i]);
		(void)set_non_blocking_mode(pairs[i][0]);
		watched[i].sock = pairs[i][0];
		watched[i].key = 1 + i;
		CHECK(cwn_poller_add(&poller, &watched[i]));
	}
	while (cwn_poller_wait(&poller, ready, NOW) > 0) {
		/* that they can be sent to */
	}
	/* The last moves to the place of the first, and goes too. */
	cwn_poller_remove(&poller, &watched[0]);
	cwn_poller_remove(&poller, &watched[2]);
	for (i = 0; i < SOCKETS; i++) {
		CHECK_EQUAL(1, send(pairs[i][1], "a", 1, 0));
	}
	CHECK_EQUAL(CWN_POLL_IN, poll_for(&poller, 2, LONG) & CWN_POLL_IN);
	CHECK_EQUAL(0, poll_for(&poller, 2, NOW) & CWN_POLL_IN);
	cwn_poller_remove(&poller, &watched[1]);
	cwn_poller_close(&poller);
	for (i = 0; i < SOCKETS; i++) {
		closesocket(pairs[i][0]);
		closesocket(pairs[i][1]);
	}
}

static void
test_poller(void)
{
	enum { LONG = 10000, NOW = 0 };
	size_t k;
	for (k = 0; k < sizeof(poller_kinds) / sizeof(poller_kinds[0]); k++) {
		cwn_poller poller;
		cwn_watched watched;
		pthread_t thread;
		SOCKET pair[2];
		char sink[8];
		memset(&watched, 0, sizeof(watched));
		test_pair(pair);
		(void)set_non_blocking_mode(pair[0]);
		CHECK(cwn_poller_open(&poller, poller_kinds[k]));
		CHECK_EQUAL(0, poll_for(&poller, 0, NOW));
		watched.sock = pair[0];
		watched.key = 77;
		CHECK(cwn_poller_add(&poller, &watched));

		/* What is there already is told, once. */
		CHECK_EQUAL(CWN_POLL_OUT, poll_for(&poller, 77, LONG) & CWN_POLL_OUT);
		CHECK_EQUAL(0, poll_for(&poller, 77, NOW));
		CHECK_EQUAL(1, send(pair[1], "a", 1, 0));
		CHECK_EQUAL(CWN_POLL_IN, poll_for(&poller, 77, LONG) & CWN_POLL_IN);
		CHECK_EQUAL(0, poll_for(&poller, 77, NOW) & CWN_POLL_IN);
		CHECK_EQUAL(1, recv(pair[0], sink, sizeof(sink), 0));
		cwn_poller_rearm(&poller, &watched, CWN_POLL_IN);
		CHECK_EQUAL(0, poll_for(&poller, 77, NOW) & CWN_POLL_IN);

		/* And after the rearming what comes then, or has come before it. */
		CHECK_EQUAL(1, send(pair[1], "b", 1, 0));
		CHECK_EQUAL(CWN_POLL_IN, poll_for(&poller, 77, LONG) & CWN_POLL_IN);
		CHECK_EQUAL(1, recv(pair[0], sink, sizeof(sink), 0));
		CHECK_EQUAL(1, send(pair[1], "c", 1, 0));
		cwn_poller_rearm(&poller, &watched, CWN_POLL_IN);
		CHECK_EQUAL(CWN_POLL_IN, poll_for(&poller, 77, LONG) & CWN_POLL_IN);
		CHECK_EQUAL(1, recv(pair[0], sink, sizeof(sink), 0));
		cwn_poller_rearm(&poller, &watched, CWN_POLL_IN);

		/* A wake ends the wait for ever; one before it ends the next one. */
		CHECK_EQUAL(0, pthread_create(&thread, NULL, wake_poller, &poller));
		CHECK_EQUAL(0, poll_for(&poller, 77, -1));
		CHECK_EQUAL(0, pthread_join(thread, NULL));
		cwn_poller_wake(&poller);
		cwn_poller_wake(&poller);
		CHECK_EQUAL(0, poll_for(&poller, 77, -1));

		/* The peer's end. */
		CHECK_EQUAL(0, shutdown(pair[1], SHUTDOWN_WR));
		CHECK(poll_for(&poller, 77, LONG) != 0);
		CHECK_EQUAL(0, recv(pair[0], sink, sizeof(sink), 0));

		/* What was taken out is not told of any more. */
		cwn_poller_remove(&poller, &watched);
		closesocket(pair[1]);
		CHECK_EQUAL(0, poll_for(&poller, 77, NOW));
		closesocket(pair[0]);
		cwn_poller_close(&poller);
		check_poller_remove(poller_kinds[k]);
	}
}
