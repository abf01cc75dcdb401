/* What reading, writing and waiting promise. */

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
