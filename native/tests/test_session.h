/* Sessions in a real CivetWeb server, a raw socket as the client. */

#include "session_server.h"

static void
test_session(void)
{
	static test_server server;
	static unsigned char frame[200000], reply[200000], payload[150000];
	SOCKET sock;
	size_t n;
	int closed = 0;
	cwn_session_info info;

	start_server(&server);

	/* echo; a frame is one packet */
	sock = open_websocket(&server);
	n = put_frame(frame, 0x81, "hello", 5);
	send_all(sock, frame, n);
	CHECK_EQUAL(7, receive(sock, reply, sizeof(reply)));
	CHECK(memcmp(reply, "\x81\x05hello", 7) == 0);
	memset(payload, 'p', sizeof(payload));
	n = put_frame(frame, 0x82, payload, sizeof(payload));
	send_all(sock, frame, n);
	receive_exactly(sock, reply, 10 + sizeof(payload));
	CHECK(memcmp(reply, "\x82\x7F\0\0\0\0\0\x02\x49\xF0", 10) == 0);
	CHECK(memcmp(reply + 10, payload, sizeof(payload)) == 0);
	/* many in one packet come back in one packet */
	n = put_frame(frame, 0x81, "one", 3);
	n += put_frame(frame + n, 0x81, "two", 3);
	n += put_frame(frame + n, 0x89, "ping", 4);
	send_all(sock, frame, n);
	CHECK_EQUAL(16, receive(sock, reply, sizeof(reply)));
	CHECK(memcmp(reply, "\x81\x03one\x81\x03two\x8A\x04ping", 16) == 0);
	/* the client closes: its code comes back, then the end */
	n = put_frame(frame, 0x88, "\x03\xE9gone", 6);
	send_all(sock, frame, n);
	receive_exactly(sock, reply, 4);
	CHECK(memcmp(reply, "\x88\x02\x03\xE9", 4) == 0);
	CHECK_EQUAL(0, receive(sock, reply, 1));
	closesocket(sock);
	wait_closed(&server, ++closed);
	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
	cwn_session_get_info(server.last, &info);
	CHECK_EQUAL(1001, info.remote_code);
	CHECK_EQUAL(1001, info.local_code);
	CHECK_EQUAL(0, strcmp(info.reason, "gone"));
	/* a session outlives its connection and touches nothing of it */
	CHECK_EQUAL(-1, cwn_session_send(server.last, 1, "late", 4));
	CHECK_EQUAL(-1, cwn_session_close(server.last, 1000, NULL, 0));
	CHECK_EQUAL(0, cwn_session_is_open(server.last));
	cwn_session_abort(server.last);
	cwn_session_request_close(server.last, 1001);

	/* the handler closes */
	sock = open_websocket(&server);
	n = put_frame(frame, 0x81, "bye", 3);
	send_all(sock, frame, n);
	receive_exactly(sock, reply, 4);
	CHECK(memcmp(reply, "\x88\x02\x03\xE8", 4) == 0);
	n = put_frame(frame, 0x88, "\x03\xE8", 2);
	send_all(sock, frame, n);
	CHECK_EQUAL(0, receive(sock, reply, 1));
	closesocket(sock);
	wait_closed(&server, ++closed);

	/* another thread asks for it; the peer never answers: bounded */
	sock = open_websocket(&server);
	cwn_session_request_close(server.last, 1001);
	receive_exactly(sock, reply, 4);
	CHECK(memcmp(reply, "\x88\x02\x03\xE9", 4) == 0);
	wait_closed(&server, ++closed);
	closesocket(sock);

	/* a broken frame: 1002, and the Close arrives though more was sent */
	sock = open_websocket(&server);
	memset(frame, 'x', sizeof(frame));
	memcpy(frame, "\x81\x05", 2);
	send_all(sock, frame, 60000);
	receive_exactly(sock, reply, 4);
	CHECK(memcmp(reply, "\x88", 1) == 0);
	CHECK(memcmp(reply + 2, "\x03\xEA", 2) == 0);
	closesocket(sock);
	wait_closed(&server, ++closed);

	/* abort from another thread */
	sock = open_websocket(&server);
	cwn_session_abort(server.last);
	CHECK(receive(sock, reply, 1) <= 0);
	closesocket(sock);
	wait_closed(&server, ++closed);

	/* keep-alive: a peer that does not answer pings is dropped; one stalled
	 * inside a frame too */
	server.options.ping_interval_ms = 50;
	server.options.pong_timeout_ms = 100;
	sock = open_websocket(&server);
	receive_exactly(sock, reply, 2);
	CHECK(memcmp(reply, "\x89\x00", 2) == 0);
	wait_closed(&server, ++closed);
	closesocket(sock);
	server.options.ping_interval_ms = 0;
	server.options.frame_timeout_ms = 50;
	sock = open_websocket(&server);
	send_all(sock, "\x81", 1);
	wait_closed(&server, ++closed);
	closesocket(sock);

	stop_server(&server);
}

typedef struct writer {
	test_server *server;
	atomic_int *sent;
	int number;
} writer;

static void *
write_frames(void *argument)
{
	writer *w = (writer *)argument;
	unsigned char payload[3000];
	int i;
	for (i = 0; i < 300; i++) {
		size_t size = 1 + (size_t)(i * 7 % 2900);
		memset(payload, 'A' + w->number, size);
		CHECK_EQUAL(size,
		            ((w->number & 1) != 0)
		                ? cwn_session_post(w->server->last, 2, (char *)payload, size)
		                : cwn_session_send(w->server->last, 2, (char *)payload, size));
		atomic_fetch_add(w->sent, 1);
	}
	return NULL;
}

static void *
write_to_deaf(void *argument)
{
	writer *w = (writer *)argument;
	static char payload[1 << 20];
	while (cwn_session_send(w->server->last, 2, payload, sizeof(payload)) > 0) {
		atomic_fetch_add(w->sent, 1);
	}
	return NULL;
}

/* Posts numbered frames to a peer; none is lost or out of order. */
static void
test_session_posts(void)
{
	enum { FRAMES = 2000 };
	static test_server server;
	static unsigned char frame[200], payload[4000];
	SOCKET sock;
	int i;
	size_t n;

	start_server(&server);
	server.options.max_queue_size = 64 << 20;
	server.options.send_timeout_ms = 20000;
	sock = open_websocket(&server);
	/* the peer does not read: the socket fills, the rest is queued, nothing waits */
	for (i = 0; i < FRAMES; i++) {
		memset(payload, i & 0xFF, sizeof(payload));
		memcpy(payload, &i, sizeof(i));
		CHECK_EQUAL(sizeof(payload), cwn_session_post(server.last, 2, (char *)payload, sizeof(payload)));
	}
	/* a frame that waits its turn comes behind them */
	CHECK_EQUAL(0, cwn_session_post(server.last, 9, NULL, 0));
	for (i = 0; i < FRAMES; i++) {
		int number;
		receive_exactly(sock, frame, 4);
		CHECK(memcmp(frame, "\x82\x7E\x0F\xA0", 4) == 0);
		receive_exactly(sock, payload, sizeof(payload));
		memcpy(&number, payload, sizeof(number));
		CHECK_EQUAL(i, number);
		CHECK_EQUAL(i & 0xFF, payload[sizeof(payload) - 1]);
	}
	receive_exactly(sock, frame, 2);
	CHECK(memcmp(frame, "\x89\x00", 2) == 0);
	/* what was posted before a close comes before it; nothing can be after */
	CHECK_EQUAL(5, cwn_session_post(server.last, 1, "first", 5));
	CHECK_EQUAL(0, cwn_session_close(server.last, 1000, NULL, 0));
	CHECK_EQUAL(-1, cwn_session_post(server.last, 1, "late", 4));
	receive_exactly(sock, frame, 11);
	CHECK(memcmp(frame, "\x81\x05" "first\x88\x02\x03\xE8", 11) == 0);
	n = put_frame(frame, 0x88, "\x03\xE8", 2);
	send_all(sock, frame, n);
	CHECK_EQUAL(0, receive(sock, frame, 1));
	closesocket(sock);
	wait_closed(&server, 1);
	CHECK_EQUAL(-1, cwn_session_post(server.last, 1, "late", 4));

	/* a peer too far behind is cut off */
	server.options.max_queue_size = 256 * 1024;
	sock = open_websocket(&server);
	while (cwn_session_post(server.last, 2, (char *)payload, sizeof(payload)) > 0) {
	}
	wait_closed(&server, 2);
	closesocket(sock);

	/* one that takes nothing of what is queued, too */
	server.options.max_queue_size = 64 << 20;
	server.options.send_timeout_ms = 200;
	sock = open_websocket(&server);
	for (i = 0; (i < 16000) && (cwn_session_post(server.last, 2, (char *)payload, sizeof(payload)) > 0); i++) {
	}
	wait_closed(&server, 3);
	closesocket(sock);
	stop_server(&server);
}

static void
test_session_threads(void)
{
	enum { WRITERS = 4 };
	static test_server server;
	static unsigned char frame[200], payload[4000];
	pthread_t threads[WRITERS];
	writer writers[WRITERS];
	atomic_int sent;
	int i, frames, echoes = 0;
	SOCKET sock;
	size_t n;

	start_server(&server);
	server.options.send_timeout_ms = 20000;
	server.options.max_queue_size = 64 << 20;

	/* four writers and the echo at once: whole frames, none lost */
	sock = open_websocket(&server);
	atomic_init(&sent, 0);
	for (i = 0; i < 50; i++) {
		n = put_frame(frame, 0x81, "echo", 4);
		send_all(sock, frame, n);
	}
	for (i = 0; i < WRITERS; i++) {
		writers[i].server = &server;
		writers[i].sent = &sent;
		writers[i].number = i;
		CHECK_EQUAL(0, pthread_create(&threads[i], NULL, write_frames, &writers[i]));
	}
	for (frames = 0; frames < WRITERS * 300 + 50; frames++) {
		unsigned char header[4];
		size_t size, k;
		receive_exactly(sock, header, 2);
		size = header[1];
		if (size == 126) {
			receive_exactly(sock, header + 2, 2);
			size = ((size_t)header[2] << 8) | header[3];
		}
		receive_exactly(sock, payload, size);
		if (header[0] == 0x81) {
			CHECK(memcmp(payload, "echo", 4) == 0);
			echoes++;
		} else {
			CHECK_EQUAL(0x82, header[0]);
			for (k = 1; k < size; k++) {
				CHECK_EQUAL(payload[0], payload[k]);
			}
		}
	}
	CHECK_EQUAL(50, echoes);
	for (i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
	}
	closesocket(sock);
	wait_closed(&server, 1);

	/* a peer that does not read: writers get -1 in bounded time, the session ends */
	server.options.send_timeout_ms = 200;
	sock = open_websocket(&server);
	CHECK_EQUAL(0, pthread_create(&threads[0], NULL, write_to_deaf, &writers[0]));
	pthread_join(threads[0], NULL);
	wait_closed(&server, 2);
	closesocket(sock);

	/* abort while a writer waits for such a peer */
	server.options.send_timeout_ms = 60000;
	sock = open_websocket(&server);
	atomic_store(&sent, 0);
	CHECK_EQUAL(0, pthread_create(&threads[0], NULL, write_to_deaf, &writers[0]));
	CHECK_EVENTUALLY(atomic_load(&sent) != 0);
	mg_sleep(50);
	cwn_session_abort(server.last);
	pthread_join(threads[0], NULL);
	wait_closed(&server, 3);
	closesocket(sock);

	stop_server(&server);
}
