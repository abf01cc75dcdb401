/* Processors: what is to be run next, and who serves a processor whose worker is in a turn. */

static bool cwn_worker_start(cwn_engine *engine, cwn_processor *processor, uint64_t word);

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
	/* In this order: a thread that posts, or sets a timer, looks at sleeps afterwards. */
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

/* A processor without a worker goes to a spare worker, a new one, or the next that
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
