/* Who runs the turns: leaders where there are any, the own thread where it must. */

#include "leaders_server.h"
#include "test_leaders_turns.h"

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
	atomic_fetch_sub(&next->turn, CWN_SEAT_RUNNING - CWN_SEAT_OWN); /* given back */
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
