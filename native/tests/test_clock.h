/* How long waiting takes, to the millisecond. */

#if defined(FAKE_CLOCK)

static void
clock_test_wake(void)
{
	static const int timeouts[] = {0, 1, 49, 50, 51, 999, 1000, 1001, 1050, 1500, 2001, 60000, 3600000};
	cwn_wake wake;
	bool woken;
	size_t i;
	int sleeps, round;
	for (i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
		for (sleeps = 0; sleeps < 2; sleeps++) {
			struct mg_pollfd poller = {sleeps ? INVALID_SOCKET : 0, POLLIN, 0};
			CHECK(cwn_wake_create(&wake));
			cwn_wake_begin(&wake);
			/* after the handshake, after a busy time, idle */
			for (round = 0; round < 4; round++) {
				uint64_t start = cwn_now_ms();
				CHECK_EQUAL(0, cwn_wake_wait(&wake, &poller, timeouts[i], &woken));
				CHECK(!woken);
				CHECK_EQUAL(timeouts[i], cwn_now_ms() - start);
				if (round == 1) {
					cwn_wake_set(&wake);
					CHECK_EQUAL(-1, cwn_wake_wait(&wake, &poller, 60000, &woken));
					CHECK(woken);
					CHECK_EQUAL(timeouts[i], cwn_now_ms() - start);
				}
			}
			cwn_wake_end(&wake);
			cwn_wake_destroy(&wake);
		}
	}
}

static void
clock_test_arithmetic(void)
{
	CHECK_EQUAL(-1, cwn_poll_timeout(0));
	CHECK_EQUAL(0, cwn_poll_timeout(cwn_now_ms()));
	CHECK_EQUAL(0, cwn_poll_timeout(cwn_now_ms() - 1));
	CHECK_EQUAL(1500, cwn_poll_timeout(cwn_now_ms() + 1500));
	CHECK_EQUAL(INT_MAX, cwn_poll_timeout(UINT64_MAX));
	CHECK_EQUAL(7, cwn_earlier(7, 9));
	CHECK_EQUAL(7, cwn_earlier(9, 7));
	CHECK_EQUAL(7, cwn_earlier(0, 7));
	CHECK_EQUAL(7, cwn_earlier(7, 0));
	CHECK_EQUAL(0, cwn_earlier(0, 0));
}

static void
clock_test_transport(struct mg_context *ctx)
{
	static const int timeouts[] = {1, 50, 999, 1500, 61000};
	struct mg_connection *conn;
	cwn_session_options options;
	cwn_session *session;
	SOCKET pair[2];
	size_t i;
	test_pair(pair);
	conn = test_connection(ctx, pair[0]);
	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	options.keep_thread = 1;
	session = cwn_session_create(conn, &options);
	CHECK(session != NULL);
	CHECK_EQUAL(1, cwn_session_begin(session, NULL, NULL));
	for (i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
		uint64_t start = cwn_now_ms();
		CHECK_EQUAL(0, cwn_session_wait(session, CWN_CAN_READ, timeouts[i]));
		CHECK_EQUAL(timeouts[i], cwn_now_ms() - start);
	}
	cwn_session_end(session, 0);
	cwn_session_release(session);
	test_free_connection(conn);
	closesocket(pair[0]);
	closesocket(pair[1]);
}

static int
clock_on_data(struct mg_connection *conn, int bits, char *data, size_t size, void *user)
{
	(void)conn;
	(void)bits;
	(void)data;
	(void)size;
	(void)user;
	return 1;
}

/* A session whose peer says nothing but this; how long it lasts. */
static uint64_t
clock_run(struct mg_context *ctx, const cwn_session_options *options, const void *said, size_t size)
{
	uint64_t start = cwn_now_ms();
	struct mg_connection *conn;
	cwn_session *session;
	SOCKET pair[2];
	test_pair(pair);
	conn = test_connection(ctx, pair[0]);
	memcpy(conn->buf, said, size);
	conn->data_len = (int)size;
	session = cwn_session_create(conn, options);
	CHECK(session != NULL);
	cwn_session_run(session, clock_on_data, NULL);
	CHECK_EQUAL(1, conn->must_close);
	cwn_session_release(session);
	test_free_connection(conn);
	closesocket(pair[0]);
	closesocket(pair[1]);
	return cwn_now_ms() - start;
}

static void
clock_test_session(struct mg_context *ctx)
{
	unsigned char frame[64];
	cwn_session_options options;
	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	options.keep_thread = 1;
	options.max_message_size = 1000;
	options.max_queue_size = 1000;
	options.send_timeout_ms = 10000;
	options.close_timeout_ms = 2500;
	/* half a frame */
	options.frame_timeout_ms = 1700;
	CHECK_EQUAL(1700, clock_run(ctx, &options, "\x81", 1));
	/* a ping that nobody answers */
	options.ping_interval_ms = 3300;
	options.pong_timeout_ms = 1200;
	CHECK_EQUAL(3300 + 1200, clock_run(ctx, &options, "", 0));
	/* half a frame ends it before, and is the earlier of the two */
	CHECK_EQUAL(1700, clock_run(ctx, &options, "\x81", 1));
	options.frame_timeout_ms = 9000;
	CHECK_EQUAL(3300 + 1200, clock_run(ctx, &options, "\x81", 1));
	/* a Close of ours, not answered */
	CHECK_EQUAL(2500, clock_run(ctx, &options, "\x81\x01", 2));
	/* both closes: the peer is given a moment to hang up, never more than it had */
	CHECK_EQUAL(250, clock_run(ctx, &options, frame, put_frame(frame, 0x88, "\x03\xE8", 2)));
	options.close_timeout_ms = 100;
	CHECK_EQUAL(100, clock_run(ctx, &options, frame, put_frame(frame, 0x88, "\x03\xE8", 2)));
}

static void *
clock_thread(void *argument)
{
	struct mg_context *ctx = (struct mg_context *)mg_calloc(1, sizeof(*ctx));
	(void)argument;
	clock_is_fake = true;
	clock_test_wake();
	clock_test_arithmetic();
	clock_test_transport(ctx);
	clock_test_session(ctx);
	CHECK_EQUAL(0, cwn_session_count());
	mg_free(ctx);
	return NULL;
}

static void
test_clock(void)
{
	pthread_t thread;
	CHECK_EQUAL(1, cwn_init(0));
	/* a thread's own clock */
	CHECK_EQUAL(0, pthread_create(&thread, NULL, clock_thread, NULL));
	pthread_join(thread, NULL);
}

#else

static void
test_clock(void)
{
	test_skipped = "the clock can be taken over on Linux only";
}

#endif
