/* Processors, workers and links. */

#include "engine/scheduler.h"
#include "engine/links.c"
#include "engine/processors.c"
#include "engine/workers.c"
#include "engine/engine_watch.c"
#include "engine/scheduler.c"

/* A link of these tests: answers every byte with the same; 'b' blocks until told, 's'
 * sleeps, 'k' has more to do, 'q' ends. */
typedef struct pong {
	cwn_engine *engine;
	uint64_t key;
	SOCKET sock, peer;
	atomic_int turns, running, timers, kicks, ended;
	unsigned timer_ms;
	int sleep_ms;
	bool leaves;
} pong;

static atomic_bool pong_release;
static atomic_int pong_blocked;

static cwn_turn_result
pong_run(cwn_link *link, unsigned reasons)
{
	pong *self = (pong *)link->user;
	bool over = (reasons & (CWN_FOR_CLOSE | CWN_FOR_ABORT)) != 0;
	CHECK_EQUAL(0, atomic_fetch_add(&self->running, 1));
	atomic_fetch_add(&self->turns, 1);
	if (((reasons & CWN_FOR_TIMER) != 0) && (cwn_now_ms() >= link->deadline)) {
		atomic_fetch_add(&self->timers, 1);
		link->deadline = 0;
	}
	if ((reasons & CWN_FOR_KICK) != 0) {
		atomic_fetch_add(&self->kicks, 1);
	}
	while (!over) {
		char byte;
		int n = cwn_socket_recv(self->sock, &byte, 1);
		cwn_part part = {(const unsigned char *)&byte, 1};
		if (n == -1) {
			cwn_poller_rearm(&link->home->poller, &link->watched, CWN_POLL_IN);
			break;
		}
		over = (n != 1) || (byte == 'q');
		if (byte == 'b') {
			if (self->leaves) {
				cwn_worker_leave();
			}
			atomic_fetch_add(&pong_blocked, 1);
			while (!atomic_load(&pong_release)) {
				mg_sleep(1);
			}
		} else if (byte == 's') {
			if (self->leaves) {
				cwn_worker_leave();
			}
			mg_sleep(self->sleep_ms);
		} else if (byte == 't') {
			link->deadline = cwn_now_ms() + self->timer_ms;
		}
		if (!over) {
			CHECK_EQUAL(1, cwn_socket_send(self->sock, &part, 1));
			if (byte == 'k') {
				atomic_fetch_sub(&self->running, 1);
				return CWN_LINK_HAS_MORE;
			}
		}
	}
	atomic_fetch_sub(&self->running, 1);
	return over ? CWN_LINK_OVER : CWN_LINK_WAITS;
}

static void
pong_ended(void *user, SOCKET sock)
{
	closesocket(sock);
	atomic_store(&((pong *)user)->ended, 1);
}

static const cwn_link_type pong_type = {pong_run, pong_ended};

static void
pong_open(pong *self, cwn_engine *engine)
{
	SOCKET pair[2];
	memset(self, 0, sizeof(*self));
	test_pair(pair);
	(void)set_non_blocking_mode(pair[0]);
	test_set_patience(pair[1], 30000);
	self->engine = engine;
	self->sock = pair[0];
	self->peer = pair[1];
	self->timer_ms = 30;
	self->sleep_ms = 50;
	self->key = cwn_engine_open_link(engine, pair[0], &pong_type, self);
	CHECK(self->key != 0);
}

static void
pong_send(pong *self, char byte)
{
	CHECK_EQUAL(1, send(self->peer, &byte, 1, 0));
}

static void
pong_expect(pong *self, char byte)
{
	char got = 0;
	CHECK_EQUAL(1, recv(self->peer, &got, 1, 0));
	CHECK_EQUAL(byte, got);
}

static void
engine_wait(atomic_int *value, int expected)
{
	uint64_t deadline = cwn_now_ms() + 30000;
	while ((atomic_load(value) < expected) && (cwn_now_ms() < deadline)) {
		mg_sleep(1);
	}
	CHECK(atomic_load(value) >= expected);
}

static cwn_engine_options
engine_options(cwn_poller_kind kind, unsigned processors, unsigned max_workers)
{
	cwn_engine_options options;
	memset(&options, 0, sizeof(options));
	options.poller = kind;
	options.processors = processors;
	options.max_workers = max_workers;
	options.watch_ms = 10;
	options.hot_us = 500;
	options.spare_ms = 10000;
	return options;
}

static unsigned
engine_peak_workers(cwn_engine *engine)
{
	unsigned most;
	pthread_mutex_lock(&engine->lock);
	most = engine->peak_workers;
	pthread_mutex_unlock(&engine->lock);
	return most;
}

static void
engine_end(cwn_engine *engine, pong *pongs, size_t count)
{
	size_t i;
	cwn_engine_close(engine);
	cwn_engine_tell_all(engine, CWN_FOR_CLOSE);
	cwn_engine_join(engine);
	for (i = 0; i < count; i++) {
		CHECK_EQUAL(1, atomic_load(&pongs[i].ended));
		closesocket(pongs[i].peer);
	}
}

static void
check_engine_turns(cwn_poller_kind kind)
{
	enum { LINKS = 40 };
	static pong pongs[LINKS];
	cwn_engine_options options = engine_options(kind, 2, 8);
	cwn_engine *engine = cwn_engine_start(&options);
	uint64_t key;
	size_t i, round;
	CHECK(engine != NULL);
	for (i = 0; i < LINKS; i++) {
		pong_open(&pongs[i], engine);
	}
	CHECK_EQUAL(LINKS / 2, atomic_load(&engine->processors[0].links));
	CHECK_EQUAL(LINKS / 2, atomic_load(&engine->processors[1].links));
	for (round = 0; round < 50; round++) {
		for (i = 0; i < LINKS; i++) {
			pong_send(&pongs[i], (round % 10 == 0) ? 'k' : 'e');
		}
		for (i = 0; i < LINKS; i++) {
			pong_expect(&pongs[i], (round % 10 == 0) ? 'k' : 'e');
		}
	}
	/* A deadline, and the next ones. */
	for (i = 1; i <= 3; i++) {
		pong_send(&pongs[0], 't');
		pong_expect(&pongs[0], 't');
		engine_wait(&pongs[0].timers, (int)i);
	}
	/* A kick from a thread that is not the engine's. */
	cwn_engine_kick(engine, pongs[1].key, CWN_FOR_KICK);
	engine_wait(&pongs[1].kicks, 1);
	/* One that ends by itself, and one whose peer does: the place is somebody else's then, whom the old key does not reach. */
	pong_send(&pongs[2], 'q');
	engine_wait(&pongs[2].ended, 1);
	closesocket(pongs[3].peer);
	engine_wait(&pongs[3].ended, 1);
	closesocket(pongs[2].peer);
	key = pongs[2].key;
	pong_open(&pongs[2], engine);
	pong_open(&pongs[3], engine);
	CHECK(((uint32_t)pongs[2].key == (uint32_t)key) || ((uint32_t)pongs[3].key == (uint32_t)key));
	cwn_engine_kick(engine, key, CWN_FOR_CLOSE);
	for (i = 2; i < 4; i++) {
		pong_send(&pongs[i], 'e');
		pong_expect(&pongs[i], 'e');
		CHECK_EQUAL(0, atomic_load(&pongs[i].ended));
	}
	engine_end(engine, pongs, LINKS);
}

/* However many turns block, and whatever they wait for, others are served. */
static void
check_engine_blocked(cwn_poller_kind kind, bool leaves)
{
	enum { LINKS = 60, BLOCKED = 50 };
	static pong pongs[LINKS];
	cwn_engine_options options = engine_options(kind, 2, BLOCKED + 2);
	cwn_engine *engine = cwn_engine_start(&options);
	size_t i, round;
	CHECK(engine != NULL);
	atomic_store(&pong_release, false);
	atomic_store(&pong_blocked, 0);
	for (i = 0; i < LINKS; i++) {
		pong_open(&pongs[i], engine);
		pongs[i].leaves = leaves;
	}
	for (i = 0; i < BLOCKED; i++) {
		pong_send(&pongs[i], 'b');
	}
	engine_wait(&pong_blocked, BLOCKED);
	for (round = 0; round < 200; round++) {
		for (i = BLOCKED; i < LINKS; i++) {
			pong_send(&pongs[i], 'e');
			pong_expect(&pongs[i], 'e');
		}
	}
	/* What comes for a blocked one waits for it. */
	pong_send(&pongs[0], 'e');
	atomic_store(&pong_release, true);
	for (i = 0; i < BLOCKED; i++) {
		pong_expect(&pongs[i], 'b');
	}
	pong_expect(&pongs[0], 'e');
	CHECK(engine_peak_workers(engine) <= BLOCKED + 2);
	engine_end(engine, pongs, LINKS);
}

/* More block than there may be workers: the rest waits, and nothing is lost. */
static void
check_engine_starved(cwn_poller_kind kind)
{
	enum { LINKS = 20, WORKERS = 4 };
	static pong pongs[LINKS];
	cwn_engine_options options = engine_options(kind, 2, WORKERS);
	cwn_engine *engine = cwn_engine_start(&options);
	size_t i;
	CHECK(engine != NULL);
	atomic_store(&pong_release, false);
	atomic_store(&pong_blocked, 0);
	for (i = 0; i < LINKS; i++) {
		pong_open(&pongs[i], engine);
	}
	for (i = 0; i < LINKS; i++) {
		pong_send(&pongs[i], 'b');
	}
	engine_wait(&pong_blocked, WORKERS);
	while (atomic_load(&engine->starved) == 0) {
		mg_sleep(1);
	}
	CHECK_EQUAL(WORKERS, engine_peak_workers(engine));
	CHECK_EQUAL(WORKERS, atomic_load(&pong_blocked));
	atomic_store(&pong_release, true);
	for (i = 0; i < LINKS; i++) {
		pong_expect(&pongs[i], 'b');
	}
	engine_end(engine, pongs, LINKS);
}

/* Spare workers end after a while; new ones come when they are needed. */
static void
check_engine_spares(cwn_poller_kind kind)
{
	enum { LINKS = 12 };
	static pong pongs[LINKS];
	cwn_engine_options options = engine_options(kind, 2, 64);
	cwn_engine *engine;
	unsigned workers;
	uint64_t deadline;
	size_t i;
	int round;
	options.spare_ms = 50;
	engine = cwn_engine_start(&options);
	CHECK(engine != NULL);
	for (i = 0; i < LINKS; i++) {
		pong_open(&pongs[i], engine);
		pongs[i].leaves = true;
	}
	for (round = 0; round < 2; round++) {
		for (i = 0; i < LINKS; i++) {
			pong_send(&pongs[i], 's');
		}
		for (i = 0; i < LINKS; i++) {
			pong_expect(&pongs[i], 's');
		}
		CHECK(engine_peak_workers(engine) > 2);
		deadline = cwn_now_ms() + 30000;
		do {
			mg_sleep(10);
			pthread_mutex_lock(&engine->lock);
			workers = engine->workers;
			pthread_mutex_unlock(&engine->lock);
		} while ((workers > 2) && (cwn_now_ms() < deadline));
		CHECK_EQUAL(2, workers);
	}
	engine_end(engine, pongs, LINKS);
}

static atomic_int engine_begun, engine_ended;

static void
engine_worker_begins(void *user)
{
	CHECK(user == &engine_begun);
	atomic_fetch_add(&engine_begun, 1);
}

static void
engine_worker_ends(void *user)
{
	(void)user;
	atomic_fetch_add(&engine_ended, 1);
}

/* Its ends: without links, twice over, and each worker tells its beginning and its end. */
static void
check_engine_ends(cwn_poller_kind kind)
{
	cwn_engine_options options = engine_options(kind, 3, 8);
	int i;
	options.worker_begins = engine_worker_begins;
	options.worker_ends = engine_worker_ends;
	options.user = &engine_begun;
	atomic_store(&engine_begun, 0);
	atomic_store(&engine_ended, 0);
	for (i = 0; i < 20; i++) {
		cwn_engine *engine = cwn_engine_start(&options);
		SOCKET pair[2];
		CHECK(engine != NULL);
		cwn_engine_close(engine);
		test_pair(pair);
		CHECK_EQUAL(0, cwn_engine_open_link(engine, pair[0], &pong_type, NULL));
		closesocket(pair[0]);
		closesocket(pair[1]);
		cwn_engine_join(engine);
	}
	CHECK_EQUAL(60, atomic_load(&engine_begun));
	CHECK_EQUAL(60, atomic_load(&engine_ended));
}

/* Not used on Windows yet: under wine its end has hung once, and nobody knows why. */
static bool
engine_is_for_here(void)
{
#if defined(_WIN32)
	test_skipped = "the engine has not been made to work on Windows yet";
	return false;
#else
	return true;
#endif
}

static void
test_engine(void)
{
	size_t k;
	if (!engine_is_for_here()) {
		return;
	}
	CHECK_EQUAL(1, cwn_init(0));
	for (k = 0; k < sizeof(poller_kinds) / sizeof(poller_kinds[0]); k++) {
		check_engine_turns(poller_kinds[k]);
		check_engine_blocked(poller_kinds[k], false);
		check_engine_blocked(poller_kinds[k], true);
		check_engine_starved(poller_kinds[k]);
		check_engine_spares(poller_kinds[k]);
		check_engine_ends(poller_kinds[k]);
	}
}
