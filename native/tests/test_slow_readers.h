/* Peers that read slowly, or not at all. */

/* Reads slowly, for several time-outs, but all the time: whatever was posted arrives. */
static void
ends_test_slow_reader(ends_test *t)
{
	enum { FRAMES = 64, FRAME_SIZE = 48 * 1024 };
	static unsigned char payload[FRAME_SIZE], data[16 * 1024];
	int small = 16 * 1024, i, frames = 0;
	size_t place = 0;
	uint64_t start;
	pull_peer peer;
	t->options.send_timeout_ms = 1000;
	t->options.max_queue_size = FRAMES * (FRAME_SIZE + 4);
	peer = ends_open(t);
	CHECK_EQUAL(0, setsockopt(t->last->sock, SOL_SOCKET, SO_SNDBUF, (const char *)&small, sizeof(small)));
	for (i = 0; i < FRAMES; i++) {
		memset(payload, i, sizeof(payload));
		CHECK_EQUAL(FRAME_SIZE, cwn_session_post(t->last, 2, (char *)payload, FRAME_SIZE));
	}
	start = cwn_now_ms();
	while (frames < FRAMES) {
		int n = pull_receive(&peer, data, (sizeof(data) < FRAME_SIZE + 4 - place) ? sizeof(data) : FRAME_SIZE + 4 - place);
		CHECK(n > 0);
		if (place >= 4) {
			CHECK_EQUAL(frames, data[0]);
			CHECK_EQUAL(frames, data[n - 1]);
		}
		place += (size_t)n;
		if (place == FRAME_SIZE + 4) {
			place = 0;
			frames++;
		}
		/* a little less than three quarters of a megabyte in a second */
		while (cwn_now_ms() - start < ((uint64_t)frames * (FRAME_SIZE + 4) + place) * 10 / 7168) {
			mg_sleep(2);
		}
	}
	CHECK(cwn_now_ms() - start > 3 * t->options.send_timeout_ms);
	CHECK_EQUAL(1, cwn_session_is_open(t->last));
	pull_close(&peer, true);
	CHECK_EVENTUALLY(atomic_load(&t->closed) == t->opened);
	t->options.send_timeout_ms = 30000;
}

typedef struct ends_sender {
	cwn_session *session;
	const unsigned char *data;
	size_t size;
	int result;
} ends_sender;

static void *
ends_send_much(void *argument)
{
	ends_sender *sender = (ends_sender *)argument;
	sender->result = cwn_session_send(sender->session, 2, (const char *)sender->data, sender->size);
	return NULL;
}

/* The same with one large frame that a thread sends and waits for. */
static void
ends_test_slow_reader_of_one(ends_test *t)
{
	enum { SIZE = 3 << 20 };
	static unsigned char payload[SIZE], data[16 * 1024];
	int small = 16 * 1024;
	size_t got = 0;
	ends_sender sender;
	pthread_t thread;
	uint64_t start;
	pull_peer peer;
	t->options.send_timeout_ms = 1000;
	peer = ends_open(t);
	CHECK_EQUAL(0, setsockopt(t->last->sock, SOL_SOCKET, SO_SNDBUF, (const char *)&small, sizeof(small)));
	pull_fill(payload, SIZE, 0);
	sender.session = t->last;
	sender.data = payload;
	sender.size = SIZE;
	start = cwn_now_ms();
	CHECK_EQUAL(0, pthread_create(&thread, NULL, ends_send_much, &sender));
	pull_receive_exactly(&peer, data, 10);
	while (got < SIZE) {
		int n = pull_receive(&peer, data, (sizeof(data) < SIZE - got) ? sizeof(data) : SIZE - got);
		CHECK(n > 0);
		CHECK(memcmp(data, payload + got, (size_t)n) == 0);
		got += (size_t)n;
		while (cwn_now_ms() - start < got * 10 / 7168) {
			mg_sleep(2);
		}
	}
	pthread_join(thread, NULL);
	CHECK_EQUAL(SIZE, sender.result);
	CHECK(cwn_now_ms() - start > 3 * t->options.send_timeout_ms);
	pull_close(&peer, true);
	CHECK_EVENTUALLY(atomic_load(&t->closed) == t->opened);
	t->options.send_timeout_ms = 30000;
}

/* What waits and what comes are counted together, headers included, to the byte. Not on
 * Windows, where a lock lets its own thread through again. */
#if !defined(_WIN32)
static void
ends_test_queue_limit(ends_test *t)
{
	static char payload[10000];
	int round;
	t->options.max_queue_size = 10000;
	for (round = 0; round < 2; round++) {
		pull_peer peer = ends_open(t);
		/* as if somebody's frame were waiting for the peer: what is posted stays */
		pthread_mutex_lock(&t->last->send_lock);
		CHECK_EQUAL(1000, cwn_session_post(t->last, 2, payload, 1000));
		CHECK_EQUAL(1004, atomic_load(&t->last->queued));
		if (round == 0) {
			CHECK_EQUAL(8992, cwn_session_post(t->last, 2, payload, 8992));
			CHECK_EQUAL(10000, atomic_load(&t->last->queued));
			CHECK(!atomic_load(&t->last->failed));
			pthread_mutex_unlock(&t->last->send_lock);
			pull_receive_exactly(&peer, payload, 10000);
			CHECK_EVENTUALLY(atomic_load(&t->last->queued) == 0);
			/* alone any may wait, however large */
			pthread_mutex_lock(&t->last->send_lock);
			CHECK_EQUAL(10000, cwn_session_post(t->last, 2, payload, 10000));
			CHECK_EQUAL(-1, cwn_session_post(t->last, 2, payload, 0));
		} else {
			CHECK_EQUAL(-1, cwn_session_post(t->last, 2, payload, 8993));
		}
		CHECK(atomic_load(&t->last->failed));
		pthread_mutex_unlock(&t->last->send_lock);
		ENDS_BY_ITSELF(t, &peer);
	}
	t->options.max_queue_size = 8 << 20;
}

#endif
