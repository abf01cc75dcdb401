/* A server whose sessions have short time-outs. */

typedef struct ends_test {
	pull_server server;
	cwn_session_options options;
	cwn_session *_Atomic last; /* kept after its end on purpose */
	atomic_int ready, closed, delivered;
	int opened;
} ends_test;

typedef struct ends_session {
	ends_test *t;
	cwn_session *session;
} ends_session;

static int
ends_on_data(struct mg_connection *conn, int bits, char *data, size_t size, void *user)
{
	ends_session *s = (ends_session *)user;
	(void)conn;
	atomic_fetch_add(&s->t->delivered, 1);
	if (bits <= 2) {
		(void)cwn_session_send(s->session, bits, data, size);
	}
	return 1;
}

static void
ends_on_ready(struct mg_connection *conn, void *user)
{
	ends_test *t = (ends_test *)user;
	cwn_session *session = cwn_session_create(conn, &t->options);
	ends_session s = {t, session};
	CHECK(session != NULL);
	atomic_fetch_add(&session->references, 1);
	cwn_session_release(atomic_exchange(&t->last, session));
	atomic_fetch_add(&t->ready, 1);
	cwn_session_run(session, ends_on_data, &s);
	cwn_session_release(session);
}

static void
ends_on_close(const struct mg_connection *conn, void *user)
{
	(void)conn;
	atomic_fetch_add(&((ends_test *)user)->closed, 1);
}

static pull_peer
ends_open(ends_test *t)
{
	pull_peer peer = pull_open(&t->server, "/ws", "");
	t->opened++;
	CHECK_EVENTUALLY(atomic_load(&t->ready) == t->opened);
	return peer;
}

/* The server has let go of it, though the peer has not. */
#define ENDS_BY_ITSELF(t, peer)                                                \
	do {                                                                       \
		CHECK_EVENTUALLY(atomic_load(&(t)->closed) == (t)->opened);            \
		pull_close((peer), false);                                             \
	} while (0)

static void
ends_send(const pull_peer *peer, int first_byte, const void *payload, size_t size)
{
	unsigned char frame[200];
	CHECK(pull_send(peer, frame, put_frame(frame, first_byte, payload, size)));
}

static void
ends_expect(const pull_peer *peer, const void *bytes, size_t size)
{
	unsigned char got[64];
	pull_receive_exactly(peer, got, size);
	CHECK(memcmp(got, bytes, size) == 0);
}

/* Enough messages for leaders to have it. */
static void
ends_warm(const pull_peer *peer)
{
	int i;
	for (i = 0; i < 12; i++) {
		ends_send(peer, 0x81, "warm", 4);
		ends_expect(peer, "\x81\x04warm", 6);
	}
}
