/* What ends a WebSocket, and when: peers that are silent, slow, or say only a little, over
 * plain TCP and over TLS; and what is left of it afterwards. */

#include "ends_server.h"
#include "test_slow_readers.h"

/* Another thread closes, and the peer never says a word. */
static void
ends_test_silent(ends_test *t)
{
	int round;
	t->options.close_timeout_ms = 300;
	for (round = 0; round < 4; round++) {
		pull_peer peer = ends_open(t);
		uint64_t start = cwn_now_ms();
		if (round % 2 == 1) {
			ends_warm(&peer);
		}
		if (round < 2) {
			CHECK_EQUAL(0, cwn_session_close(t->last, 1001, NULL, 0));
		} else {
			cwn_session_request_close(t->last, 1001);
		}
		ends_expect(&peer, "\x88\x02\x03\xE9", 4);
		ENDS_BY_ITSELF(t, &peer);
		CHECK(cwn_now_ms() - start >= 290);
	}
}

/* The peer has answered; that it does not hang up is its own affair. */
static void
ends_test_answered(ends_test *t)
{
	int round;
	t->options.close_timeout_ms = 600000;
	for (round = 0; round < 2; round++) {
		pull_peer peer = ends_open(t);
		if (round == 0) {
			cwn_session_request_close(t->last, 1001);
			ends_expect(&peer, "\x88\x02\x03\xE9", 4);
			ends_send(&peer, 0x88, "\x03\xE9", 2);
		} else {
			ends_send(&peer, 0x88, "\x03\xE9", 2);
			ends_expect(&peer, "\x88\x02\x03\xE9", 4);
		}
		ENDS_BY_ITSELF(t, &peer);
	}
	t->options.close_timeout_ms = 300;
}

/* What comes behind our Close is for nobody. */
static void
ends_test_late(ends_test *t)
{
	int before;
	pull_peer peer = ends_open(t);
	before = atomic_load(&t->delivered);
	CHECK_EQUAL(0, cwn_session_close(t->last, 1001, NULL, 0));
	ends_expect(&peer, "\x88\x02\x03\xE9", 4);
	ends_send(&peer, 0x81, "late", 4);
	ends_send(&peer, 0x89, "late", 4);
	ends_send(&peer, 0x88, "\x03\xE9", 2);
	ENDS_BY_ITSELF(t, &peer);
	CHECK_EQUAL(before, atomic_load(&t->delivered));
}

/* Whoever talks is alive, pongs or not. */
static void
ends_test_talker(ends_test *t)
{
	uint64_t start;
	pull_peer peer;
	t->options.ping_interval_ms = 200;
	t->options.pong_timeout_ms = 1500;
	peer = ends_open(t);
	start = cwn_now_ms();
	while (cwn_now_ms() - start < 3000) {
		ends_send(&peer, 0x82, "talk", 4);
		mg_sleep(250); /* a ping goes out between */
	}
	CHECK_EQUAL(1, cwn_session_is_open(t->last));
	ENDS_BY_ITSELF(t, &peer); /* and now it has stopped */
	t->options.ping_interval_ms = 0;
}

/* Without a code: answered without one. */
static void
ends_test_no_code(ends_test *t)
{
	cwn_session_info info;
	pull_peer peer = ends_open(t);
	ends_send(&peer, 0x88, "", 0);
	ends_expect(&peer, "\x88\x00", 2);
	ENDS_BY_ITSELF(t, &peer);
	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
	cwn_session_get_info(t->last, &info);
	CHECK_EQUAL(1005, info.remote_code);
	CHECK_EQUAL(1005, info.local_code);
	CHECK_EQUAL(0, info.reason_size);
	/* nobody has said anything */
	peer = ends_open(t);
	cwn_session_abort(t->last);
	ENDS_BY_ITSELF(t, &peer);
	cwn_session_get_info(t->last, &info);
	CHECK_EQUAL(0, info.remote_code);
	CHECK_EQUAL(0, info.local_code);
}

/* A large message has been progress; what trickles in after it is none. */
static void
ends_test_trickle(ends_test *t)
{
	static unsigned char frame[200100], payload[200000], reply[200100];
	size_t size;
	int round, i;
	t->options.frame_timeout_ms = 300;
	for (round = 0; round < 2; round++) {
		pull_peer peer = ends_open(t);
		bool cut = false;
		if (round == 1) {
			ends_warm(&peer);
		}
		size = put_frame(frame, 0x82, payload, sizeof(payload));
		CHECK(pull_send(&peer, frame, size));
		pull_receive_exactly(&peer, reply, 10 + sizeof(payload));
		/* as the first bytes of a frame; the last one never comes */
		for (i = 0; (i < 200) && !cut; i++) {
			cut = !pull_send(&peer, frame + i, 1) || (atomic_load(&t->closed) == t->opened);
			mg_sleep(50);
		}
		CHECK(cut);
		ENDS_BY_ITSELF(t, &peer);
	}
	t->options.frame_timeout_ms = 0;
}

/* A session that is over holds nothing but itself. */
static void
ends_test_memory(ends_test *t)
{
	static unsigned char frame[4000];
	static char payload[4000];
	pull_peer peer;
	size_t size = 0;
	int i;
	t->options.max_queue_size = 64 << 20;
	peer = ends_open(t);
	/* answers that are gathered, then frames that wait */
	for (i = 0; i < 4; i++) {
		size += put_frame(frame + size, 0x82, payload, 500);
	}
	CHECK(pull_send(&peer, frame, size));
	pull_receive_exactly(&peer, frame, 4 * 504);
	while (atomic_load(&t->last->queued) < (1 << 20)) {
		CHECK_EQUAL(sizeof(payload), cwn_session_post(t->last, 2, payload, sizeof(payload)));
	}
	cwn_session_abort(t->last);
	ENDS_BY_ITSELF(t, &peer);
	CHECK(t->last->output == NULL);
	CHECK_EQUAL(0, t->last->output_size);
	CHECK((t->last->queue.data == NULL) && (t->last->leaving.data == NULL));
	CHECK_EQUAL(0, t->last->queue.capacity + t->last->leaving.capacity);
	CHECK_EQUAL(0, atomic_load(&t->last->queued));
	CHECK((t->last->conn == NULL) && (t->last->ssl == NULL) && (t->last->sock == INVALID_SOCKET));
	CHECK_EQUAL(-1, cwn_session_post(t->last, 2, payload, 1));
	CHECK_EQUAL(1, atomic_load(&t->last->references));
	t->options.max_queue_size = 8 << 20;
}

/* TLS ends as it should: a peer can tell the end from a cut. */
static void
ends_test_close_notify(ends_test *t)
{
	enum { SSL_ERROR_OF_CLOSE_NOTIFY = 6 }; /* SSL_ERROR_ZERO_RETURN */
	int round;
	for (round = 0; round < 3; round++) {
		pull_peer peer = ends_open(t);
		char byte;
		int n;
		if (round == 0) {
			ends_send(&peer, 0x88, "\x03\xE9", 2);
		} else if (round == 1) {
			cwn_session_request_close(t->last, 1001);
		} else {
			CHECK_EQUAL(0, cwn_session_close(t->last, 1001, NULL, 0));
		}
		ends_expect(&peer, "\x88\x02\x03\xE9", 4);
		if (round != 0) {
			ends_send(&peer, 0x88, "\x03\xE9", 2);
		}
		n = pull_receive(&peer, &byte, 1);
		CHECK_EQUAL(0, n);
		CHECK_EQUAL(SSL_ERROR_OF_CLOSE_NOTIFY, SSL_get_error(peer.ssl, n));
		ENDS_BY_ITSELF(t, &peer);
	}
}

/* OpenSSL has decrypted what no buffer had room for, and no poll will tell. */
static void
ends_test_record(ends_test *t)
{
	static const char request[] = UPGRADE("/ws", RFC_KEY);
	static unsigned char record[16 * 1024], payload[12000], reply[12100];
	size_t size = strlen(request), i;
	char last[4] = {0};
	pull_peer peer = {pull_connect(&t->server), NULL};
	peer.ssl = SSL_new(t->server.client);
	CHECK_EQUAL(1, SSL_set_fd(peer.ssl, peer.sock));
	CHECK_EQUAL(1, SSL_connect(peer.ssl));
	memcpy(record, request, size);
	for (i = 0; i < sizeof(payload); i++) {
		payload[i] = (unsigned char)(i % 251);
	}
	size += put_frame(record + size, 0x82, payload, sizeof(payload));
	CHECK(pull_send(&peer, record, size)); /* as one record: it is not longer */
	t->opened++;
	while (memcmp(last, "\r\n\r\n", 4) != 0) {
		memmove(last, last + 1, 3);
		pull_receive_exactly(&peer, last + 3, 1);
	}
	pull_receive_exactly(&peer, reply, 4 + sizeof(payload));
	CHECK(memcmp(reply + 4, payload, sizeof(payload)) == 0);
	pull_close(&peer, false);
	CHECK_EVENTUALLY(atomic_load(&t->closed) == t->opened);
}

static void
ends_test_all(bool with_tls)
{
	static ends_test t;
	memset(&t, 0, sizeof(t));
	t.options.size = sizeof(t.options);
	t.options.max_message_size = 1 << 20;
	t.options.max_queue_size = 8 << 20;
	t.options.send_timeout_ms = 30000;
	t.options.close_timeout_ms = 300;
	t.server.max_request_size = "2048";
	pull_start(&t.server, with_tls, "4", on_begin);
	mg_set_websocket_handler(t.server.ctx, "/ws$", NULL, ends_on_ready, ends_on_data, ends_on_close, &t);
	ends_test_silent(&t);
	ends_test_answered(&t);
	ends_test_no_code(&t);
	ends_test_late(&t);
	ends_test_talker(&t);
#if !defined(_WIN32)
	ends_test_queue_limit(&t);
#endif
	ends_test_trickle(&t);
	ends_test_memory(&t);
	if (with_tls) {
		ends_test_close_notify(&t);
		ends_test_record(&t);
	}
	ends_test_slow_reader(&t);
	ends_test_slow_reader_of_one(&t);
	pull_stop(&t.server);
	cwn_session_release(t.last);
	CHECK_EQUAL(0, cwn_session_count());
}

static void
test_session_ends(void)
{
	ends_test_all(false);
}

static void
test_session_ends_tls(void)
{
	if (cwn_init((unsigned)MG_FEATURES_TLS) == 0) {
		test_skipped = TLS_MISSING;
		return;
	}
	ends_test_all(true);
}
