/* Starting an engine, and its end. */

static void
cwn_engine_free(cwn_engine *engine)
{
	unsigned i;
	for (i = 0; i < engine->options.processors; i++) {
		cwn_poller_close(&engine->processors[i].poller);
		pthread_mutex_destroy(&engine->processors[i].wheel_lock);
	}
	for (i = 0; i < CWN_MAX_LINK_CHUNKS; i++) {
		mg_free(atomic_load(&engine->chunks[i]));
	}
	mg_free(engine->processors);
	(void)pthread_cond_destroy(&engine->watch_wakes);
	pthread_mutex_destroy(&engine->lock);
	mg_free(engine);
}

/* Serves no new link from now on, and ends when the last one has ended, for which
 * somebody has to see. */
static void
cwn_engine_close(cwn_engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	engine->closes = true;
	if (engine->links == 0) {
		atomic_store(&engine->ends, true);
		pthread_cond_signal(&engine->watch_wakes);
	}
	pthread_mutex_unlock(&engine->lock);
}

/* Once, after cwn_engine_close, on a thread that is not the engine's own: waits for the end. */
static void
cwn_engine_join(cwn_engine *engine)
{
	(void)mg_join_thread(engine->watch);
	cwn_engine_free(engine);
}

/* NULL: no memory, descriptors or threads; nothing is left behind. */
static cwn_engine *
cwn_engine_start(const cwn_engine_options *options)
{
	cwn_engine *engine = (cwn_engine *)mg_calloc(1, sizeof(*engine));
	unsigned i;
	bool started = true;
	if (engine == NULL) {
		return NULL;
	}
	engine->options = *options;
	engine->options.processors = 0;
	pthread_mutex_init(&engine->lock, NULL);
	(void)pthread_cond_init(&engine->watch_wakes, NULL);
	engine->processors = (cwn_processor *)mg_calloc(options->processors, sizeof(cwn_processor));
	for (i = 0; (engine->processors != NULL) && (i < options->processors); i++) {
		cwn_processor *processor = &engine->processors[i];
		if (!cwn_poller_open(&processor->poller, options->poller)) {
			break;
		}
		processor->engine = engine;
		processor->seen = UINT64_MAX;
		pthread_mutex_init(&processor->wheel_lock, NULL);
		cwn_wheel_init(&processor->wheel, cwn_now_ms());
		engine->options.processors++;
	}
	if ((engine->options.processors < options->processors)
	    || (mg_start_thread_with_id(cwn_engine_watch_thread, engine, &engine->watch) != 0)) {
		cwn_engine_free(engine);
		return NULL;
	}
	pthread_mutex_lock(&engine->lock);
	for (i = 0; started && (i < options->processors); i++) {
		started = cwn_worker_start(engine, &engine->processors[i], 0);
	}
	pthread_mutex_unlock(&engine->lock);
	if (!started) {
		cwn_engine_close(engine);
		cwn_engine_join(engine);
		return NULL;
	}
	return engine;
}
