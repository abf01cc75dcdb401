/* Links: reasons for a turn, places in an inbox, deadlines, and the life of a link. */

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
	CWN_ASSERT((atomic_load(&link->turn) & CWN_LINK_RUNNING) != 0);
	do {
		link->next = first;
	} while (!atomic_compare_exchange_weak(&home->inbox, &first, link));
	cwn_processor_wake(home);
}

/* Asks for a turn of a link, from any thread; a link that is gone is skipped. */
static void
cwn_engine_kick(cwn_engine *engine, uint64_t key, unsigned reasons)
{
	cwn_link *link = cwn_link_claim(engine, key, reasons);
	if (link != NULL) {
		cwn_link_post(link);
	}
}

/* After a turn. A deadline that has moved away is not followed: the timer then expires
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
