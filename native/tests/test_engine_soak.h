/* The engine under load, with a watch that takes every processor it finds in a turn. */

typedef struct soak_player {
	pthread_t thread;
	cwn_engine *engine;
	uint64_t until, seed;
	atomic_llong echoes, opened;
} soak_player;

static void *
soak_engine_player(void *argument)
{
	enum { LINKS = 6 };
	soak_player *self = (soak_player *)argument;
	pong *pongs = (pong *)mg_calloc(LINKS, sizeof(pong));
	size_t i;
	CHECK(pongs != NULL);
	for (i = 0; i < LINKS; i++) {
		pong_open(&pongs[i], self->engine);
		pongs[i].sleep_ms = 1;
		pongs[i].leaves = (i % 2 == 0);
	}
	while (cwn_now_ms() < self->until) {
		static const char bytes[] = "eeeeeeeeeeeeekkktts";
		char sent[LINKS];
		for (i = 0; i < LINKS; i++) {
			self->seed = self->seed * 6364136223846793005u + 1442695040888963407u;
			sent[i] = bytes[(self->seed >> 33) % (sizeof(bytes) - 1)];
			pong_send(&pongs[i], sent[i]);
			if ((self->seed >> 50) % 8 == 0) {
				cwn_engine_kick(self->engine, pongs[i].key, CWN_FOR_KICK);
			}
		}
		for (i = 0; i < LINKS; i++) {
			pong_expect(&pongs[i], sent[i]);
			atomic_fetch_add(&self->echoes, 1);
		}
		if ((self->seed >> 40) % 16 == 0) {
			/* One goes, by its own will, its peer's, or somebody's kick; another comes. */
			i = (size_t)(self->seed >> 44) % LINKS;
			if ((self->seed >> 36) % 3 == 0) {
				pong_send(&pongs[i], 'q');
			} else if ((self->seed >> 36) % 3 == 1) {
				(void)shutdown(pongs[i].peer, SHUTDOWN_BOTH);
			} else {
				cwn_engine_kick(self->engine, pongs[i].key, CWN_FOR_ABORT);
			}
			engine_wait(&pongs[i].ended, 1);
			closesocket(pongs[i].peer);
			pong_open(&pongs[i], self->engine);
			pongs[i].sleep_ms = 1;
			atomic_fetch_add(&self->opened, 1);
		}
	}
	for (i = 0; i < LINKS; i++) {
		cwn_engine_kick(self->engine, pongs[i].key, CWN_FOR_CLOSE);
		engine_wait(&pongs[i].ended, 1);
		closesocket(pongs[i].peer);
	}
	mg_free(pongs);
	return NULL;
}

static void
test_engine_soak(void)
{
	enum { PLAYERS = 4 };
	size_t k, i;
	if (!engine_is_for_here()) {
		return;
	}
	CHECK_EQUAL(1, cwn_init(0));
	for (k = 0; k < sizeof(poller_kinds) / sizeof(poller_kinds[0]); k++) {
		static soak_player players[PLAYERS];
		cwn_engine_options options = engine_options(poller_kinds[k], 2, 16);
		cwn_engine *engine;
		long long echoes = 0, opened = 0;
		options.watch_ms = 0;
		options.hot_us = 0;
		options.spare_ms = 2;
		engine = cwn_engine_start(&options);
		CHECK(engine != NULL);
		memset(players, 0, sizeof(players));
		for (i = 0; i < PLAYERS; i++) {
			players[i].engine = engine;
			players[i].seed = i + 1;
			players[i].until = cwn_now_ms() + test_soak_ms(4000) / (sizeof(poller_kinds) / sizeof(poller_kinds[0]));
			CHECK_EQUAL(0, pthread_create(&players[i].thread, NULL, soak_engine_player, &players[i]));
		}
		for (i = 0; i < PLAYERS; i++) {
			CHECK_EQUAL(0, pthread_join(players[i].thread, NULL));
			echoes += atomic_load(&players[i].echoes);
			opened += atomic_load(&players[i].opened);
		}
		printf("engine_soak: %lld echoes, %lld links, %llu turns lost their processor, %llu times none was free\n",
		       echoes,
		       opened,
		       (unsigned long long)atomic_load(&engine->handed_over),
		       (unsigned long long)atomic_load(&engine->starved));
		cwn_engine_close(engine);
		cwn_engine_join(engine);
	}
}
