/* Workers: the threads that run the turns. */

/* The turns of a link, until no other is wanted. */
static void
cwn_link_run(cwn_link *link)
{
	unsigned rounds = 0;
	for (;;) {
		uint64_t turn = atomic_fetch_and(&link->turn, ~(uint64_t)CWN_REASONS);
		cwn_turn_result result;
		CWN_ASSERT((turn & CWN_LINK_RUNNING) != 0);
		result = link->type->run(link, (unsigned)(turn & CWN_REASONS));
		if (result == CWN_LINK_OVER) {
			void (*ended)(void *, SOCKET) = link->type->ended;
			void *user = link->user;
			SOCKET sock = link->watched.sock;
			cwn_poller_remove(&link->home->poller, &link->watched);
			ended(user, sock);
			cwn_link_forget(link);
			return;
		}
		cwn_link_set_timer(link);
		if ((result == CWN_LINK_HAS_MORE) || (++rounds == CWN_MAX_ROUNDS)) {
			(void)atomic_fetch_or(&link->turn, CWN_FOR_MORE);
			cwn_link_post(link);
			return;
		}
		turn = atomic_load(&link->turn);
		while ((turn & CWN_REASONS) == 0) {
			if (atomic_compare_exchange_weak(&link->turn, &turn, turn & ~(uint64_t)CWN_LINK_RUNNING)) {
				return; /* from here on another worker may have it, or it may be gone */
			}
		}
	}
}

static void
cwn_worker_run(cwn_worker *worker, cwn_link *link)
{
	cwn_processor *processor = worker->processor;
	cwn_engine *engine = worker->engine;
	uint64_t word = worker->word + 1;
	CWN_ASSERT(word % 2 != 0);
	worker->word = word;
	atomic_store(&processor->word, word);
	if (atomic_load(&engine->watch_sleeps)) {
		pthread_mutex_lock(&engine->lock);
		pthread_cond_signal(&engine->watch_wakes);
		pthread_mutex_unlock(&engine->lock);
	}
	cwn_link_run(link);
	if (worker->processor != NULL) {
		worker->word = word + 1;
		if (!atomic_compare_exchange_strong(&processor->word, &word, worker->word)) {
			worker->processor = NULL;
		}
	}
}

/* Serves a processor until another worker has it, or the engine ends. */
static void
cwn_worker_serve(cwn_worker *worker)
{
	while (worker->processor != NULL) {
		cwn_link *link = cwn_processor_next(worker->processor);
		if (link != NULL) {
			cwn_worker_run(worker, link);
		} else if (atomic_load(&worker->engine->ends)) {
			return;
		} else {
			cwn_processor_harvest(worker->processor);
		}
	}
}

/* False: the worker is not needed any more. */
static bool
cwn_worker_find_processor(cwn_worker *worker)
{
	cwn_engine *engine = worker->engine;
	struct timespec until;
	cwn_worker **at;
	pthread_mutex_lock(&engine->lock);
	if (engine->orphans != NULL) {
		worker->processor = engine->orphans;
		engine->orphans = worker->processor->next_orphan;
		worker->word = atomic_load(&worker->processor->word);
	} else if (!atomic_load(&engine->ends)) {
		worker->next = engine->spare;
		engine->spare = worker;
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += (time_t)(engine->options.spare_ms / 1000);
		until.tv_nsec += (long)(engine->options.spare_ms % 1000) * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000L;
		}
		while ((worker->processor == NULL) && !atomic_load(&engine->ends)) {
			if (pthread_cond_timedwait(&worker->wakes, &engine->lock, &until) != 0) {
				break;
			}
		}
		for (at = &engine->spare; (worker->processor == NULL) && (*at != NULL); at = &(*at)->next) {
			if (*at == worker) {
				*at = worker->next;
				break;
			}
		}
	}
	pthread_mutex_unlock(&engine->lock);
	return worker->processor != NULL;
}

/* What CivetWeb, and its condition variables on Windows, need of every thread. */
static bool
cwn_thread_begin(struct mg_workerTLS *tls)
{
	memset(tls, 0, sizeof(*tls));
	tls->thread_idx = (unsigned long)mg_atomic_inc(&thread_idx_max);
#if defined(_WIN32)
	tls->pthread_cond_helper_mutex = CreateEvent(NULL, FALSE, FALSE, NULL);
	if (tls->pthread_cond_helper_mutex == NULL) {
		return false;
	}
#endif
	return pthread_setspecific(sTlsKey, tls) == 0;
}

static void
cwn_thread_end(struct mg_workerTLS *tls)
{
	pthread_setspecific(sTlsKey, NULL);
#if defined(_WIN32)
	CloseHandle(tls->pthread_cond_helper_mutex);
#else
	(void)tls;
#endif
}

#if defined(_WIN32)
#define CWN_THREAD unsigned __stdcall
#define CWN_THREAD_RESULT 0
#else
#define CWN_THREAD void *
#define CWN_THREAD_RESULT NULL
#endif

static CWN_THREAD
cwn_worker_thread(void *argument)
{
	cwn_worker *worker = (cwn_worker *)argument;
	cwn_engine *engine = worker->engine;
	struct mg_workerTLS tls;
	bool usable = cwn_thread_begin(&tls);
	mg_set_thread_name("worker");
	cwn_this_worker = worker;
	if (usable && (engine->options.worker_begins != NULL)) {
		engine->options.worker_begins(engine->options.user);
	}
	while (usable && (worker->processor != NULL)) {
		cwn_worker_serve(worker);
		if ((worker->processor != NULL) || !cwn_worker_find_processor(worker)) {
			break;
		}
	}
	if (usable && (engine->options.worker_ends != NULL)) {
		engine->options.worker_ends(engine->options.user);
	}
	cwn_thread_end(&tls);
	/* Last: the watch then waits for this thread to be gone. */
	pthread_mutex_lock(&engine->lock);
	if (!usable) {
		worker->processor->next_orphan = engine->orphans;
		engine->orphans = worker->processor;
	}
	engine->workers--;
	worker->next = engine->ended;
	engine->ended = worker;
	pthread_cond_signal(&engine->watch_wakes);
	pthread_mutex_unlock(&engine->lock);
	return CWN_THREAD_RESULT;
}

/* Under the lock. */
static bool
cwn_worker_start(cwn_engine *engine, cwn_processor *processor, uint64_t word)
{
	cwn_worker *worker = (cwn_worker *)mg_calloc(1, sizeof(*worker));
	if (worker == NULL) {
		return false;
	}
	worker->engine = engine;
	worker->processor = processor;
	worker->word = word;
	(void)pthread_cond_init(&worker->wakes, NULL);
	if (mg_start_thread_with_id(cwn_worker_thread, worker, &worker->thread) != 0) {
		(void)pthread_cond_destroy(&worker->wakes);
		mg_free(worker);
		return false;
	}
	if (++engine->workers > engine->peak_workers) {
		engine->peak_workers = engine->workers;
	}
	return true;
}
