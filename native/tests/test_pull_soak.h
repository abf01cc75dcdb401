/* All at once: the clients of the soak, and those that push, meddle and vanish. */

#include "pull_soak_sessions.h"

static void *
pull_echo_client(void *argument)
{
	pull_soak *s = ((pull_thread *)argument)->s;
	unsigned char data[20000], echo[20000];
	uint32_t random = (uint32_t)((pull_thread *)argument)->number;
	do {
		pull_peer peer = pull_open(&s->server, (pull_random(&random) % 2 == 0) ? "/echo" : "/led", "");
		uint64_t place = random;
		int i;
		atomic_fetch_add(&s->honest_connections, 1);
		for (i = 0; (i < 200) && !atomic_load(&s->stop); i++) {
			size_t size = 1 + pull_random(&random) % ((i % 4 == 0) ? sizeof(data) : 200);
			pull_fill(data, size, place);
			CHECK(pull_send(&peer, data, size));
			pull_receive_exactly(&peer, echo, size);
			CHECK(memcmp(data, echo, size) == 0);
			place += size;
			atomic_fetch_add(&s->echoed, (long long)size);
		}
		pull_finish(&peer);
		CHECK_EQUAL(0, pull_receive(&peer, echo, 1));
		pull_close(&peer, false);
	} while (!atomic_load(&s->stop));
	return NULL;
}

static void *
pull_duplex_client(void *argument)
{
	pull_thread *self = (pull_thread *)argument;
	pull_soak *s = self->s;
	pull_duplex *d = &s->duplex[self->number];
	unsigned char data[8192];
	uint32_t random = (uint32_t)self->number;
	char path[32];
	mg_snprintf(NULL, NULL, path, sizeof(path), "/duplex?%d", self->number);
	do {
		pull_peer peer = pull_open(&s->server, path, "");
		uint64_t sent = 0, received = 0;
		int i, n;
		atomic_fetch_add(&s->honest_connections, 1);
		for (i = 0; (i < 200) && !atomic_load(&s->stop); i++) {
			size_t size = 1 + pull_random(&random) % 5000;
			pull_fill(data, size, sent);
			CHECK(pull_send(&peer, data, size));
			sent += size;
			n = pull_receive(&peer, data, sizeof(data));
			CHECK(n > 0);
			pull_check_bytes(data, (size_t)n, received);
			received += (uint64_t)n;
		}
		pull_finish(&peer);
		while ((n = pull_receive(&peer, data, sizeof(data))) > 0) {
			pull_check_bytes(data, (size_t)n, received);
			received += (uint64_t)n;
		}
		CHECK_EQUAL(0, n);
		/* nothing is lost, either way */
		pthread_mutex_lock(&d->lock);
		CHECK(d->session == NULL);
		CHECK_EQUAL(sent, d->received);
		CHECK_EQUAL(received, d->pushed);
		pthread_mutex_unlock(&d->lock);
		pull_close(&peer, false);
		atomic_fetch_add(&s->pulled, (long long)sent);
		atomic_fetch_add(&s->pushed, (long long)received);
	} while (!atomic_load(&s->stop));
	return NULL;
}

static void *
pull_pusher(void *argument)
{
	pull_thread *self = (pull_thread *)argument;
	pull_soak *s = self->s;
	unsigned char data[20000];
	uint32_t random = (uint32_t)self->number;
	while (!atomic_load(&s->stop_pushing)) {
		int i, progress = 0;
		for (i = self->number; i < PULL_DUPLEX; i += PULL_PUSHERS) {
			pull_duplex *d = &s->duplex[i];
			pthread_mutex_lock(&d->lock);
			if (d->session != NULL) {
				size_t size = 1 + pull_random(&random) % ((random % 4 == 0) ? sizeof(data) : 300);
				int n;
				pull_fill(data, size, d->pushed);
				n = cwn_session_write(d->session, (char *)data, size, 0);
				CHECK(n >= 0);
				d->pushed += (uint64_t)n;
				progress += n;
			}
			pthread_mutex_unlock(&d->lock);
		}
		if (progress == 0) {
			mg_sleep(1);
		}
	}
	return NULL;
}

static void *
pull_meddler(void *argument)
{
	pull_thread *self = (pull_thread *)argument;
	pull_soak *s = self->s;
	uint32_t random = 77u + (uint32_t)self->number;
	char data[20000];
	memset(data, 'm', sizeof(data));
	while (!atomic_load(&s->stop)) {
		uint32_t r = pull_random(&random);
		cwn_session *session;
		pthread_mutex_lock(&s->lock);
		session = s->slots[r % PULL_SLOTS];
		if (session != NULL) {
			atomic_fetch_add(&session->references, 1);
		}
		pthread_mutex_unlock(&s->lock);
		switch ((r >> 4) % 16) {
		case 0:
			cwn_session_abort(session);
			break;
		case 1:
		case 2:
		case 3:
			cwn_session_wake(session);
			break;
		case 4:
		case 5:
			(void)cwn_session_read(session, data, 1 + (r >> 8) % (sizeof(data) - 1));
			break;
		default:
			(void)cwn_session_write(session, data, (r >> 8) % sizeof(data), (int)(r % 2));
			break;
		}
		atomic_fetch_add(&s->meddled, session != NULL);
		cwn_session_release(session);
		if ((r >> 12) % 4 == 0) {
			mg_sleep(1);
		}
	}
	return NULL;
}

/* Leaves at any point of the handshakes or of what follows, in any way. */
static void *
pull_vanisher(void *argument)
{
	static const char request[] = UPGRADE("/chaos", RFC_KEY) "early";
	pull_thread *self = (pull_thread *)argument;
	pull_soak *s = self->s;
	uint32_t random = 1000u + (uint32_t)self->number;
	char data[8000];
	memset(data, 'v', sizeof(data));
	while (!atomic_load(&s->stop)) {
		pull_peer peer = {pull_connect(&s->server), NULL};
		uint32_t r = pull_random(&random);
		size_t size = (r % 8 == 0) ? (r >> 4) % strlen(request) : strlen(request);
		int turns = (size < strlen(request)) ? 0 : (int)((r >> 4) % 8);
		bool alive = true;
		test_set_patience(peer.sock, 2000);
		if (s->server.client != NULL) {
			if ((r >> 12) % 8 == 0) {
				/* not TLS at all, or only its beginning */
				(void)send(peer.sock, "\x16\x03\x01\x02\x00\x01", 1 + (r >> 4) % 6, MSG_NOSIGNAL);
				alive = false;
			} else {
				peer.ssl = SSL_new(s->server.client);
				CHECK_EQUAL(1, SSL_set_fd(peer.ssl, peer.sock));
				alive = SSL_connect(peer.ssl) == 1;
			}
		}
		alive = alive && (size > 0) && pull_send(&peer, request, size);
		while (alive && (turns-- > 0)) {
			r = pull_random(&random);
			if (r % 2 == 0) {
				alive = pull_send(&peer, data, 1 + (r >> 4) % (sizeof(data) - 1));
			} else if ((r % 4 == 1) && (pull_receive(&peer, data, sizeof(data)) <= 0)) {
				alive = false;
			}
		}
		if ((r >> 6) % 3 == 0) {
			pull_finish(&peer);
		}
		if (peer.ssl != NULL) {
			ERR_clear_error();
		}
		pull_close(&peer, (r >> 8) % 3 == 0);
		atomic_fetch_add(&s->vanished, 1);
	}
	return NULL;
}

static void
pull_soak_all(bool with_tls)
{
	static pull_soak s;
	static pull_thread arguments[PULL_HONEST + PULL_PUSHERS + PULL_MEDDLERS + PULL_VANISHERS];
	uint64_t end = cwn_now_ms() + test_soak_ms(5000);
	pthread_t threads[PULL_HONEST + PULL_PUSHERS + PULL_MEDDLERS + PULL_VANISHERS];
	int i, count = 0, first_pusher;

	memset(&s, 0, sizeof(s));
	s.honest.size = s.chaos.size = sizeof(s.honest);
	s.honest.send_timeout_ms = 60000;
	s.chaos.send_timeout_ms = 100;
	s.server.user = &s;
	pthread_mutex_init(&s.lock, NULL);
	for (i = 0; i < PULL_DUPLEX; i++) {
		pthread_mutex_init(&s.duplex[i].lock, NULL);
	}
	pull_start(&s.server, with_tls, "96", pull_soak_on_request);
	for (i = 0; i < PULL_HONEST + PULL_PUSHERS + PULL_MEDDLERS + PULL_VANISHERS; i++) {
		arguments[i].s = &s;
	}
#define PULL_THREADS(how_many, function)                                                    \
	for (i = 0; i < (how_many); i++, count++) {                                             \
		arguments[count].number = i;                                                        \
		CHECK_EQUAL(0, pthread_create(&threads[count], NULL, (function), &arguments[count])); \
	}
	PULL_THREADS(PULL_ECHO, pull_echo_client)
	PULL_THREADS(PULL_DUPLEX, pull_duplex_client)
	PULL_THREADS(PULL_VANISHERS, pull_vanisher)
	PULL_THREADS(PULL_MEDDLERS, pull_meddler)
	first_pusher = count;
	PULL_THREADS(PULL_PUSHERS, pull_pusher)
#undef PULL_THREADS
	/* longer where the machine is slow: until everybody has done something */
	while ((cwn_now_ms() < end) || (atomic_load(&s.echoed) == 0) || (atomic_load(&s.vanished) == 0)
	       || (atomic_load(&s.meddled) == 0)) {
		CHECK_STEP();
		mg_sleep(50);
	}
	atomic_store(&s.stop, true);
	for (i = 0; i < first_pusher; i++) {
		pthread_join(threads[i], NULL);
	}
	atomic_store(&s.stop_pushing, true);
	for (i = first_pusher; i < count; i++) {
		pthread_join(threads[i], NULL);
	}
	/* every client is gone: every session ends by itself */
	while (atomic_load(&s.ended) < atomic_load(&s.begun)) {
		mg_sleep(10);
	}
	pull_stop(&s.server);
	for (i = 0; i < PULL_SLOTS; i++) {
		cwn_session_release(s.slots[i]);
	}
	CHECK_EQUAL(0, cwn_session_count());
	CHECK_EQUAL(atomic_load(&s.begun), atomic_load(&s.ended));
	CHECK((atomic_load(&s.pushed) > 0) && (atomic_load(&s.pulled) > 0));
#if defined(__linux__)
	CHECK(atomic_load(&s.led) > 0);
#endif
	printf("pull_soak over %s: %lld honest connections, %lld bytes echoed, %lld pushed while %lld came the other way; "
	       "%lld clients vanished, %lld calls by meddlers, %lld sessions, %lld turns by leaders\n",
	       with_tls ? "TLS" : "TCP",
	       (long long)atomic_load(&s.honest_connections),
	       (long long)atomic_load(&s.echoed),
	       (long long)atomic_load(&s.pushed),
	       (long long)atomic_load(&s.pulled),
	       (long long)atomic_load(&s.vanished),
	       (long long)atomic_load(&s.meddled),
	       (long long)atomic_load(&s.ended),
	       (long long)atomic_load(&s.led));
}

static void
test_pull_soak(void)
{
	pull_soak_all(false);
}

static void
test_pull_soak_tls(void)
{
	if (cwn_init((unsigned)MG_FEATURES_TLS) == 0) {
		test_skipped = TLS_MISSING;
		return;
	}
	pull_guard_openssl();
	atomic_store(&pull_leaders_at_once, true); /* short connections too */
	pull_soak_all(true);
	pull_unguard_openssl();
}
