/* libFuzzer: any bytes, cut in any way, as a chunked request body. Besides what the
 * sanitizers find, it checks that the outcome does not depend on how the bytes
 * arrive, on the room behind the head or on how much is read at a time, and that
 * what follows the body stays there for CivetWeb. */

#include "asserts.h"

#include "civetweb_net.c"

#include "check.h"

enum { BODY_HEAD = 16, MAX_BODY_INPUT = 60000 };

typedef struct outcome {
	uint64_t hash; /* of the body */
	int end;       /* what the last read said */
	size_t left;   /* bytes behind the body */
} outcome;

static outcome
read_all(const unsigned char *data, size_t size, size_t early, size_t room, uint32_t seed)
{
	static struct mg_context ctx;
	static struct mg_connection conn;
	static char out[8192];
	outcome o = {14695981039346656037u, 0, 0};
	int64_t chunk[2] = {0, 0};
	int ends[2];
	int n;

	early = (early < size) ? early : size;
	early = (early < room) ? early : room;
	memset(&conn, 0, sizeof(conn));
	conn.phys_ctx = &ctx;
	conn.buf = (char *)mg_malloc(BODY_HEAD + room);
	conn.buf_size = (int)(BODY_HEAD + room);
	conn.request_len = BODY_HEAD;
	conn.data_len = (int)(BODY_HEAD + early);
	memset(conn.buf, 'h', BODY_HEAD);
	if (early > 0) {
		memcpy(conn.buf + BODY_HEAD, data, early);
	}
	conn.is_chunked = 1;
	CHECK_EQUAL(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	conn.client.sock = ends[0];
	if (size > early) {
		CHECK_EQUAL(size - early, send(ends[1], data + early, size - early, MSG_DONTWAIT));
	}
	(void)close(ends[1]);

	do {
		size_t i, ask;
		seed = seed * 1664525u + 1013904223u;
		ask = 1 + (seed >> 12) % ((seed % 4 == 0) ? sizeof(out) : 50);
		n = cwn_read_body(&conn, out, ask, 1000, chunk);
		CHECK(n <= (int)ask);
		for (i = 0; (int)i < n; i++) {
			o.hash = (o.hash ^ (unsigned char)out[i]) * 1099511628211u;
		}
		CHECK((conn.data_len >= BODY_HEAD) && (conn.data_len <= conn.buf_size));
		CHECK((conn.consumed_content >= 0) && (conn.consumed_content <= conn.data_len - BODY_HEAD));
		CHECK(conn.content_len == conn.consumed_content);
	} while (n > 0);
	o.end = n;
	if (n == 0) {
		CHECK_EQUAL(0, cwn_read_body(&conn, out, sizeof(out), 1000, chunk));
		o.left = (size_t)(conn.data_len - BODY_HEAD - conn.consumed_content);
		while ((n = (int)recv(ends[0], out, sizeof(out), 0)) > 0) {
			o.left += (size_t)n;
		}
	} else {
		CHECK((n == -2) || (n == -3));
		CHECK(cwn_read_body(&conn, out, sizeof(out), 1000, chunk) < 0);
		CHECK(conn.must_close);
	}
	for (n = 0; n < BODY_HEAD; n++) {
		CHECK_EQUAL('h', conn.buf[n]);
	}
	(void)close(ends[0]);
	mg_free(conn.buf);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	outcome a, b;
	uint32_t seed;
	if ((size < 4) || (size > MAX_BODY_INPUT)) {
		return 0;
	}
	memcpy(&seed, data, 4);
	a = read_all(data + 4, size - 4, size, 16384, seed);
	b = read_all(data + 4, size - 4, (seed >> 8) % 100, (seed >> 16) % 200, ~seed);
	CHECK_EQUAL(a.end, b.end);
	CHECK(a.hash == b.hash);
	CHECK_EQUAL(a.left, b.left);
	return 0;
}
