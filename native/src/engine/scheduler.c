/* Few threads for many connections, whose turns may block.
 *
 * Three kinds of object:
 *
 *   processor  as many as there are to use: a poller, what was harvested from it and has
 *              not run, an inbox, a wheel of deadlines
 *   worker     a thread; it serves the processor it has, or it is spare
 *   link       a connection, or a listening socket: a socket and what is to be done with it
 *
 * A link's turn is one call of its handler. Its word says whether the turn is somebody's
 * and for what reasons it is wanted:
 *
 *   idle      no reasons; any source of a reason takes the turn by setting RUNNING
 *   running   RUNNING: a worker runs it, or it lies in an inbox to be run
 *   wanted    RUNNING and reasons: the holder runs it once more
 *
 *   idle -> wanted      an event, a deadline, a kick: who sets RUNNING sees to the turn
 *   wanted -> running   the holder takes the reasons and calls the handler
 *   running -> wanted   a reason came meanwhile
 *   running -> idle     the holder, by one compare-and-swap, which fails if a reason came
 *   running -> free     the holder, when the handler says that it is over: the
 *                       generation, in the word's upper half, goes up, so that whatever
 *                       still names the old one is dropped
 *
 * So no wake-up can be lost: every source sets a bit in the word that ends the turn.
 *
 * A turn may block. A worker makes its processor's word odd before each turn. The watch
 * looks now and then: where it finds the same odd word twice, it raises the epoch in the
 * word's upper half and gives the processor, with the rest of its harvest, to a spare
 * worker or a new one. The worker that comes back finds the epoch changed, finishes its
 * link's turn, and is spare. It touches nothing of the processor any more. A handler that
 * knows that it will block leaves its processor before (cwn_worker_leave).
 *
 * When there are as many workers as may be, and all are in turns, a processor waits for
 * the first that comes back. */

typedef struct cwn_engine cwn_engine;
typedef struct cwn_link cwn_link;
typedef struct cwn_processor cwn_processor;
typedef struct cwn_worker cwn_worker;

/* Why a turn is wanted. A handler may be called for a reason that is over by then. */
enum {
	CWN_FOR_INPUT = CWN_POLL_IN,
	CWN_FOR_ROOM = CWN_POLL_OUT, /* it can be sent to again */
	CWN_FOR_END = CWN_POLL_GONE,
	CWN_FOR_KICK = 8,
	CWN_FOR_TIMER = 16,
	CWN_FOR_CLOSE = 32,
	CWN_FOR_ABORT = 64,
	CWN_FOR_MORE = 128, /* the last turn has left something */
	CWN_REASONS = 255,
	CWN_LINK_RUNNING = 256
};

typedef enum cwn_turn_result {
	CWN_LINK_WAITS,    /* for the next reason, or its deadline */
	CWN_LINK_HAS_MORE, /* to do; others first */
	CWN_LINK_OVER
} cwn_turn_result;

typedef struct cwn_link_type {
	/* One turn; sets link->deadline (ms, 0: none). Never two at a time for one link. */
	cwn_turn_result (*run)(cwn_link *link, unsigned reasons);
	/* After the last turn: closes the socket. */
	void (*ended)(void *user, SOCKET sock);
} cwn_link_type;

struct cwn_link {
	_Atomic uint64_t turn; /* generation << 32 | RUNNING | reasons; odd generations are in use */
	uint32_t index;
	const cwn_link_type *type;
	void *user;
	cwn_processor *home;
	uint64_t deadline;      /* whoever has the turn */
	_Atomic uint64_t armed; /* for when the timer is set; 0: it is not */
	cwn_timer timer;        /* under home->wheel_lock */
	cwn_watched watched;
	cwn_link *next; /* in an inbox, or among the free ones */
};

struct cwn_processor {
	_Atomic uint64_t word;     /* epoch << 32 | turns; odd: its worker is in one */
	_Atomic(cwn_link *) inbox;          /* newest first; RUNNING is set on their behalf */
	atomic_bool sleeps;                 /* its worker waits for events, or is about to */
	atomic_uint links;
	cwn_engine *engine;
	cwn_poller poller;
	pthread_mutex_t wheel_lock;
	cwn_wheel wheel;   /* under wheel_lock */
	uint64_t wakes_at; /* likewise: its worker sleeps until then; 0: for ever */
	/* of the worker that has it */
	cwn_ready ready[CWN_MOST_READY];
	unsigned next, count;
	cwn_link *taken; /* from the inbox, oldest first */
	bool timers_are_due;
	/* the watch's */
	uint64_t seen;
	/* under engine->lock */
	cwn_processor *next_orphan;
};

struct cwn_worker {
	cwn_engine *engine;
	cwn_processor *processor; /* NULL: it is spare, or has lost it in this turn */
	uint64_t word;            /* as this worker has left it */
	pthread_t thread;
	pthread_cond_t wakes; /* a spare one */
	cwn_worker *next;     /* among the spare, or the ended ones */
};

enum { CWN_LINKS_PER_CHUNK = 1024, CWN_MAX_LINK_CHUNKS = 1024, CWN_MAX_PROCESSORS = 64 };

typedef struct cwn_engine_options {
	cwn_poller_kind poller;
	unsigned processors;
	unsigned max_workers; /* threads for turns: so many turns can block at once, less one for each processor */
	unsigned watch_ms;    /* between two looks of the watch */
	unsigned hot_us;      /* the same for a while after it has found a turn that blocks */
	unsigned spare_ms;    /* how long a spare worker waits before it ends */
	/* On each worker's thread, first and last; may be NULL. */
	void (*worker_begins)(void *user);
	void (*worker_ends)(void *user);
	void *user;
} cwn_engine_options;

struct cwn_engine {
	cwn_engine_options options;
	pthread_mutex_t lock;
	pthread_cond_t watch_wakes;
	pthread_t watch;
	atomic_bool watch_sleeps;
	atomic_bool ends; /* no link is left and none will come */
	cwn_processor *processors;
	/* under lock */
	unsigned workers, most_workers;
	cwn_worker *spare, *ended;
	cwn_processor *orphans; /* without a worker: all are busy */
	bool closes;            /* it ends when no link is left */
	unsigned links;
	_Atomic(cwn_link *) chunks[CWN_MAX_LINK_CHUNKS];
	uint32_t used;
	cwn_link *free;
	/* for those who want to know */
	atomic_ullong handed_over; /* turns that have lost their processor */
	atomic_ullong starved;     /* times a processor had to wait for a worker */
};

static CWN_THREAD_LOCAL cwn_worker *cwn_this_worker;

enum { CWN_HOT_MS = 50, CWN_MOST_ROUNDS = 8 };

/* Links */

static uint64_t
cwn_link_key(const cwn_link *link)
{
	return (atomic_load(&link->turn) & ~(uint64_t)UINT32_MAX) | link->index;
}

static cwn_link *
cwn_engine_link(cwn_engine *engine, uint64_t key)
{
	uint32_t index = (uint32_t)key;
	return atomic_load(&engine->chunks[index / CWN_LINKS_PER_CHUNK]) + index % CWN_LINKS_PER_CHUNK;
}

/* Gives a reason for a turn. The link: the turn is the caller's now, to run or to put into
 * an inbox. NULL: its holder will see the reason, or the link is gone. */
static cwn_link *
cwn_link_claim(cwn_engine *engine, uint64_t key, unsigned reasons)
{
	cwn_link *link = cwn_engine_link(engine, key);
	uint64_t turn = atomic_load(&link->turn);
	do {
		if ((turn ^ key) >> 32 != 0) {
			return NULL;
		}
	} while (!atomic_compare_exchange_weak(&link->turn, &turn, turn | reasons | CWN_LINK_RUNNING));
	return ((turn & CWN_LINK_RUNNING) == 0) ? link : NULL;
}

static void
cwn_processor_wake(cwn_processor *processor)
{
	if (atomic_load(&processor->sleeps) && atomic_exchange(&processor->sleeps, false)) {
		cwn_poller_wake(&processor->poller);
	}
}

/* For a turn that the caller has. */
static void
cwn_link_post(cwn_link *link)
{
	cwn_processor *home = link->home;
	cwn_link *first = atomic_load(&home->inbox);
	do {
		link->next = first;
	} while (!atomic_compare_exchange_weak(&home->inbox, &first, link));
	cwn_processor_wake(home);
}

/* Wants a turn of a link, from any thread; one that is gone is passed over. */
static void
cwn_engine_kick(cwn_engine *engine, uint64_t key, unsigned reasons)
{
	cwn_link *link = cwn_link_claim(engine, key, reasons);
	if (link != NULL) {
		cwn_link_post(link);
	}
}

/* After a turn. A deadline that has moved away is not followed: the timer then comes
 * early, finds nothing to do and is set anew, which costs less than moving it each time. */
static void
cwn_link_set_timer(cwn_link *link)
{
	cwn_processor *home = link->home;
	uint64_t armed = atomic_load(&link->armed);
	bool sooner;
	if ((link->deadline == 0) || ((armed != 0) && (armed <= link->deadline))) {
		return;
	}
	pthread_mutex_lock(&home->wheel_lock);
	cwn_wheel_set(&home->wheel, &link->timer, link->deadline);
	atomic_store(&link->armed, link->deadline);
	sooner = (home->wakes_at == 0) || (link->deadline < home->wakes_at);
	pthread_mutex_unlock(&home->wheel_lock);
	if (sooner) {
		cwn_processor_wake(home);
	}
}

/* Under the lock. NULL: no memory, or too many. */
static cwn_link *
cwn_link_new(cwn_engine *engine)
{
	cwn_link *link = engine->free;
	uint32_t index = engine->used;
	if (link != NULL) {
		engine->free = link->next;
		return link;
	}
	if (index == (uint32_t)CWN_LINKS_PER_CHUNK * CWN_MAX_LINK_CHUNKS) {
		return NULL;
	}
	if (index % CWN_LINKS_PER_CHUNK == 0) {
		cwn_link *chunk = (cwn_link *)mg_calloc(CWN_LINKS_PER_CHUNK, sizeof(cwn_link));
		if (chunk == NULL) {
			return NULL;
		}
		atomic_store(&engine->chunks[index / CWN_LINKS_PER_CHUNK], chunk);
	}
	link = cwn_engine_link(engine, index);
	link->index = index;
	engine->used++;
	return link;
}

/* Under the lock. */
static cwn_processor *
cwn_engine_least_busy(cwn_engine *engine)
{
	cwn_processor *least = &engine->processors[0];
	unsigned i;
	for (i = 1; i < engine->options.processors; i++) {
		if (atomic_load(&engine->processors[i].links) < atomic_load(&least->links)) {
			least = &engine->processors[i];
		}
	}
	return least;
}

/* Gives a link's place back. Its turn is the caller's, or it has never had one. */
static void
cwn_link_forget(cwn_link *link)
{
	cwn_processor *home = link->home;
	cwn_engine *engine = home->engine;
	bool last;
	pthread_mutex_lock(&home->wheel_lock);
	cwn_wheel_remove(&home->wheel, &link->timer);
	atomic_store(&link->armed, 0);
	pthread_mutex_unlock(&home->wheel_lock);
	atomic_fetch_sub(&home->links, 1);
	/* The next generation, without reasons. */
	atomic_store(&link->turn, ((atomic_load(&link->turn) >> 32) + 1) << 32);
	pthread_mutex_lock(&engine->lock);
	link->next = engine->free;
	engine->free = link;
	last = (--engine->links == 0) && engine->closes;
	if (last) {
		atomic_store(&engine->ends, true);
		pthread_cond_signal(&engine->watch_wakes);
	}
	pthread_mutex_unlock(&engine->lock);
}

/* Begins to serve a socket, which must not block. Returns its key; 0: no memory, no room, or
 * the engine closes, and the socket is the caller's still. Handlers may run before this has
 * returned. */
static uint64_t
cwn_engine_open_link(cwn_engine *engine, SOCKET sock, const cwn_link_type *type, void *user)
{
	cwn_link *link;
	uint64_t key;
	pthread_mutex_lock(&engine->lock);
	link = engine->closes ? NULL : cwn_link_new(engine);
	if (link == NULL) {
		pthread_mutex_unlock(&engine->lock);
		return 0;
	}
	engine->links++;
	link->home = cwn_engine_least_busy(engine);
	atomic_fetch_add(&link->home->links, 1);
	pthread_mutex_unlock(&engine->lock);

	link->type = type;
	link->user = user;
	link->deadline = 0;
	/* From here on it can be found: an odd generation. */
	key = (((atomic_load(&link->turn) >> 32) + 1) << 32) | link->index;
	link->watched.sock = sock;
	link->watched.key = key;
	atomic_store(&link->turn, key & ~(uint64_t)UINT32_MAX);
	if (!cwn_poller_add(&link->home->poller, &link->watched)) {
		cwn_link_forget(link);
		return 0;
	}
	return key;
}

/* Gives every link a reason for a turn. */
static void
cwn_engine_tell_all(cwn_engine *engine, unsigned reasons)
{
	uint32_t index, used;
	pthread_mutex_lock(&engine->lock);
	used = engine->used;
	pthread_mutex_unlock(&engine->lock);
	for (index = 0; index < used; index++) {
		uint64_t key = cwn_link_key(cwn_engine_link(engine, index));
		if ((key >> 32) % 2 != 0) {
			cwn_engine_kick(engine, key, reasons);
		}
	}
}

/* Workers */

static bool cwn_worker_start(cwn_engine *engine, cwn_processor *processor, uint64_t word);

/* A processor that nobody has any more goes to a spare worker, a new one, or the next that
 * comes back. */
static void
cwn_processor_give(cwn_processor *processor, uint64_t word)
{
	cwn_engine *engine = processor->engine;
	cwn_worker *spare;
	pthread_mutex_lock(&engine->lock);
	spare = engine->spare;
	if (spare != NULL) {
		engine->spare = spare->next;
		spare->processor = processor;
		spare->word = word;
		pthread_cond_signal(&spare->wakes);
	} else if ((engine->workers == engine->options.max_workers) || !cwn_worker_start(engine, processor, word)) {
		processor->next_orphan = engine->orphans;
		engine->orphans = processor;
		atomic_fetch_add(&engine->starved, 1);
	}
	pthread_mutex_unlock(&engine->lock);
}

/* Takes a processor away from its worker, which is in the turn that the word says. */
static bool
cwn_processor_take_over(cwn_processor *processor, uint64_t word)
{
	uint64_t next = ((word >> 32) + 1) << 32;
	if (!atomic_compare_exchange_strong(&processor->word, &word, next)) {
		return false;
	}
	atomic_fetch_add(&processor->engine->handed_over, 1);
	cwn_processor_give(processor, next);
	return true;
}

/* In a turn, before a call that will block: others go on without waiting to be noticed. */
static void
cwn_worker_leave(void)
{
	cwn_worker *worker = cwn_this_worker;
	if ((worker != NULL) && (worker->processor != NULL)) {
		cwn_processor *processor = worker->processor;
		worker->processor = NULL; /* taken over now, or before */
		(void)cwn_processor_take_over(processor, worker->word);
	}
}

/* The turns of a link, until nobody wants another. */
static void
cwn_link_run(cwn_link *link)
{
	unsigned rounds = 0;
	for (;;) {
		uint64_t turn = atomic_fetch_and(&link->turn, ~(uint64_t)CWN_REASONS);
		cwn_turn_result result = link->type->run(link, (unsigned)(turn & CWN_REASONS));
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
		if ((result == CWN_LINK_HAS_MORE) || (++rounds == CWN_MOST_ROUNDS)) {
			(void)atomic_fetch_or(&link->turn, CWN_FOR_MORE);
			cwn_link_post(link);
			return;
		}
		turn = atomic_load(&link->turn);
		while ((turn & CWN_REASONS) == 0) {
			if (atomic_compare_exchange_weak(&link->turn, &turn, turn & ~(uint64_t)CWN_LINK_RUNNING)) {
				return; /* from here on it may be anybody's, or gone */
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

/* The oldest first. */
static void
cwn_processor_empty_inbox(cwn_processor *processor)
{
	cwn_link *newest = atomic_exchange(&processor->inbox, NULL);
	while (newest != NULL) {
		cwn_link *next = newest->next;
		newest->next = processor->taken;
		processor->taken = newest;
		newest = next;
	}
}

/* Waits until there is something to do, and harvests it. */
static void
cwn_processor_harvest(cwn_processor *processor)
{
	uint64_t deadline, now;
	int timeout;
	cwn_processor_empty_inbox(processor);
	/* In this order: who posts, or sets a timer, looks at it afterwards. */
	atomic_store(&processor->sleeps, true);
	pthread_mutex_lock(&processor->wheel_lock);
	deadline = cwn_wheel_deadline(&processor->wheel);
	processor->wakes_at = deadline;
	pthread_mutex_unlock(&processor->wheel_lock);
	now = (deadline != 0) ? cwn_now_ms() : 0;
	timeout = (deadline == 0) ? -1 : (deadline <= now) ? 0 : (deadline - now > INT_MAX) ? INT_MAX : (int)(deadline - now);
	if ((processor->taken != NULL) || (atomic_load(&processor->inbox) != NULL) || atomic_load(&processor->engine->ends)) {
		timeout = 0;
	}
	processor->next = 0;
	processor->count = cwn_poller_wait(&processor->poller, processor->ready, timeout);
	atomic_store(&processor->sleeps, false);
	if (processor->taken == NULL) {
		cwn_processor_empty_inbox(processor);
	}
	processor->timers_are_due = (deadline != 0) && (deadline <= cwn_now_ms());
}

/* A link whose deadline is over and whose turn is the caller's now. */
static cwn_link *
cwn_processor_next_due(cwn_processor *processor)
{
	while (processor->timers_are_due) {
		cwn_link *link = NULL;
		cwn_timer *timer;
		uint64_t key = 0;
		pthread_mutex_lock(&processor->wheel_lock);
		timer = cwn_wheel_expire(&processor->wheel, cwn_now_ms());
		if (timer != NULL) {
			link = (cwn_link *)(void *)((char *)timer - offsetof(cwn_link, timer));
			atomic_store(&link->armed, 0);
			key = cwn_link_key(link); /* under the lock: it cannot be forgotten before */
		}
		pthread_mutex_unlock(&processor->wheel_lock);
		if (timer == NULL) {
			processor->timers_are_due = false;
			return NULL;
		}
		link = cwn_link_claim(processor->engine, key, CWN_FOR_TIMER);
		if (link != NULL) {
			return link;
		}
	}
	return NULL;
}

/* What is to be run next; NULL: nothing that was harvested. */
static cwn_link *
cwn_processor_next(cwn_processor *processor)
{
	cwn_link *link;
	while (processor->next < processor->count) {
		const cwn_ready *ready = &processor->ready[processor->next++];
		link = cwn_link_claim(processor->engine, ready->key, ready->events);
		if (link != NULL) {
			return link;
		}
	}
	link = processor->taken;
	if (link != NULL) {
		processor->taken = link->next;
		return link;
	}
	return cwn_processor_next_due(processor);
}

/* Serves a processor until it is somebody else's, or all is over. */
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

/* What CivetWeb, and its conditions on Windows, want of every thread. */
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
	if (++engine->workers > engine->most_workers) {
		engine->most_workers = engine->workers;
	}
	return true;
}

/* The watch */

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
			/* Nobody has had a turn since the last look: until somebody does. */
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

/* The engine */

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
