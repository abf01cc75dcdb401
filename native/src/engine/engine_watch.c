/* The watch of the engine: it takes processors away from workers whose turns take long, and waits
 * for workers that end. */

/* Under the lock, which it leaves meanwhile. */
static void
cwn_watch_reap(cwn_engine *engine)
{
	while (engine->ended != NULL) {
		cwn_worker *worker = engine->ended;
		engine->ended = worker->next;
		pthread_mutex_unlock(&engine->lock);
		(void)mg_join_thread(worker->thread);
		(void)pthread_cond_destroy(&worker->wakes);
		mg_free(worker);
		pthread_mutex_lock(&engine->lock);
	}
}

static void
cwn_sleep_us(unsigned us)
{
#if defined(_WIN32)
	Sleep((us + 999) / 1000);
#else
	struct timespec pause = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000L};
	(void)nanosleep(&pause, NULL);
#endif
}

/* Looks at every processor once. False: nothing has happened since the last time. */
static bool
cwn_watch_look(cwn_engine *engine, uint64_t *hot_until)
{
	bool busy = false;
	unsigned i;
	for (i = 0; i < engine->options.processors; i++) {
		cwn_processor *processor = &engine->processors[i];
		uint64_t word = atomic_load(&processor->word);
		busy |= (word % 2 != 0) || (word != processor->seen);
		if ((word % 2 != 0) && (word == processor->seen) && cwn_processor_take_over(processor, word)) {
			*hot_until = cwn_now_ms() + CWN_HOT_MS;
		}
		processor->seen = word;
	}
	return busy;
}

/* All links are gone: every worker is told, and waited for. Under the lock. */
static void
cwn_watch_end_workers(cwn_engine *engine)
{
	cwn_worker *spare;
	unsigned i;
	for (i = 0; i < engine->options.processors; i++) {
		cwn_poller_wake(&engine->processors[i].poller);
	}
	for (spare = engine->spare; spare != NULL; spare = spare->next) {
		pthread_cond_signal(&spare->wakes);
	}
	while ((engine->workers > 0) || (engine->ended != NULL)) {
		cwn_watch_reap(engine);
		if (engine->workers > 0) {
			(void)pthread_cond_wait(&engine->watch_wakes, &engine->lock);
		}
	}
}

static CWN_THREAD
cwn_engine_watch_thread(void *argument)
{
	cwn_engine *engine = (cwn_engine *)argument;
	struct mg_workerTLS tls;
	uint64_t hot_until = 0;
	(void)cwn_thread_begin(&tls);
	mg_set_thread_name("watch");
	while (!atomic_load(&engine->ends)) {
		if (cwn_watch_look(engine, &hot_until)) {
			unsigned us = (cwn_now_ms() < hot_until) ? engine->options.hot_us : engine->options.watch_ms * 1000;
			cwn_sleep_us(us);
		} else {
			/* No link has had a turn since the last look: until one has. */
			pthread_mutex_lock(&engine->lock);
			atomic_store(&engine->watch_sleeps, true);
			while (!atomic_load(&engine->ends) && (engine->ended == NULL)) {
				bool quiet = true;
				unsigned i;
				for (i = 0; i < engine->options.processors; i++) {
					quiet &= atomic_load(&engine->processors[i].word) == engine->processors[i].seen;
				}
				if (!quiet) {
					break;
				}
				(void)pthread_cond_wait(&engine->watch_wakes, &engine->lock);
			}
			atomic_store(&engine->watch_sleeps, false);
			pthread_mutex_unlock(&engine->lock);
		}
		pthread_mutex_lock(&engine->lock);
		cwn_watch_reap(engine);
		pthread_mutex_unlock(&engine->lock);
	}
	pthread_mutex_lock(&engine->lock);
	cwn_watch_end_workers(engine);
	pthread_mutex_unlock(&engine->lock);
	cwn_thread_end(&tls);
	return CWN_THREAD_RESULT;
}
