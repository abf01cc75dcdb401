/* The leaders, which run turns, and the watch, which notices those that take long.
 *
 * A turn calls the application, which may block. The watch looks every few milliseconds
 * while any leader runs; a leader that is still in the same turn is late. As long as one
 * is, the watch takes events from the set too, and gives each to its session's own thread.
 * So a callback that blocks delays nobody else, however many block, and there are never
 * more threads than sessions, leaders and one. */

enum {
	CWN_WATCH_MS = 10, /* between two looks; more of them cost latency on one processor */
	CWN_HELP_MS = 50,  /* the same while a turn is late and events wake the watch */
	CWN_LATE_MS = 5    /* a turn that was seen twice, so far apart, holds up others */
};

/* On the leader that has the turn. */
static bool
cwn_leader_is_late(const cwn_leader *leader)
{
	return atomic_load(&leader->late);
}

/* until_empty: the event says more than that there is input: the end, or urgent data,
 * before which a receive stops as if nothing followed. */
static void
cwn_leader_run(cwn_leader *leader, cwn_seat *seat, bool until_empty)
{
	if (!seat->known) {
		seat->known = true;
		if (atomic_load_explicit(&cwn_leaders.blocking, memory_order_relaxed) > 128) {
			cwn_seat_keep_own(seat, CWN_OWN_WHEN_LATE);
			cwn_seat_give_back(seat);
			return;
		}
	}
	atomic_fetch_add(&leader->turns, 1);
	if (atomic_load(&cwn_leaders.watch_sleeps)) {
		pthread_mutex_lock(&cwn_leaders.lock);
		pthread_cond_signal(&cwn_leaders.watch_wakes);
		pthread_mutex_unlock(&cwn_leaders.lock);
	}
	cwn_own_session = seat->session;
	for (;;) {
		int result;
		bool blocked;
		cwn_seat_turn_begins(seat, seat->suspect > 0);
		result = seat->run(seat->user_data, leader, until_empty);
		blocked = cwn_seat_turn_ends(seat);
		if (atomic_load(&leader->late)) {
			cwn_seat_keep_own(seat, CWN_OWN_WHEN_LATE);
			result = CWN_TURN_OWN;
		} else if (blocked) {
			result = CWN_TURN_OWN;
		}
		if (result == CWN_TURN_OWN) {
			cwn_seat_give_back(seat);
			break;
		}
		if (cwn_seat_park(seat)) {
			break;
		}
		until_empty = true;
	}
	cwn_own_session = NULL;
	atomic_fetch_add(&leader->turns, 1);
	atomic_store(&leader->late, false);
}

/* The set cannot be waited for any more (a program that closes all descriptors it does not
 * know closes this one): all own threads that are parked get their turns back, and keep them. */
static void
cwn_leaders_fail(void)
{
	uint32_t used, i;
	pthread_mutex_lock(&cwn_leaders.lock);
	atomic_store(&cwn_leaders.failed, true);
	used = cwn_leaders.used;
	pthread_mutex_unlock(&cwn_leaders.lock);
	for (i = 0; i < used; i++) {
		cwn_seat *seat = cwn_seat_at(i);
		uint64_t turn = atomic_load(&seat->turn);
		while ((turn & CWN_SEAT_HOLDER) == CWN_SEAT_PARKED) {
			if (atomic_compare_exchange_weak(
			        &seat->turn, &turn, turn - CWN_SEAT_PARKED + CWN_SEAT_RUNNING)) {
				cwn_seat_give_back(seat);
				break;
			}
		}
	}
}

static bool
cwn_leaders_wait(struct epoll_event *event, int timeout_ms)
{
	int n = epoll_wait(cwn_leaders.epoll, event, 1, timeout_ms);
	if ((n == -1) && (errno != EINTR)) {
		cwn_leaders_fail();
	}
	return n == 1;
}

static void *
cwn_leader_thread(void *argument)
{
	cwn_leader *leader = (cwn_leader *)argument;
	mg_set_thread_name("leader");
	while (!atomic_load(&cwn_leaders.failed)) {
		struct epoll_event event;
		if (cwn_leaders_wait(&event, -1)) {
			cwn_seat *seat = cwn_seat_take(&event);
			if (seat != NULL) {
				cwn_leader_run(leader, seat, (event.events & (uint32_t)~EPOLLIN) != 0);
			}
		}
	}
	/* This one may have parked a session since. */
	cwn_leaders_fail();
	return NULL;
}

/* Sleeps until a leader runs. */
static void
cwn_watch_sleep(void)
{
	unsigned i;
	pthread_mutex_lock(&cwn_leaders.lock);
	atomic_store(&cwn_leaders.watch_sleeps, true);
	for (;;) {
		bool quiet = true;
		for (i = 0; i < cwn_leaders.count; i++) {
			quiet &= atomic_load(&cwn_leaders.leaders[i].turns) == cwn_leaders.leaders[i].seen;
		}
		if (!quiet) {
			break;
		}
		(void)pthread_cond_wait(&cwn_leaders.watch_wakes, &cwn_leaders.lock);
	}
	atomic_store(&cwn_leaders.watch_sleeps, false);
	pthread_mutex_unlock(&cwn_leaders.lock);
}

static void *
cwn_watch_thread(void *argument)
{
	static const struct timespec pause = {0, CWN_WATCH_MS * 1000000L};
	(void)argument;
	mg_set_thread_name("watch");
	while (!atomic_load(&cwn_leaders.failed)) {
		bool quiet = true, late = false;
		uint64_t now = cwn_now_ms();
		unsigned i;
		for (i = 0; i < cwn_leaders.count; i++) {
			cwn_leader *leader = &cwn_leaders.leaders[i];
			unsigned turns = atomic_load(&leader->turns);
			if (turns != leader->seen) {
				leader->seen = turns;
				leader->seen_at = now;
				quiet = false;
			} else if ((turns % 2) != 0) {
				quiet = false;
				if (now - leader->seen_at >= CWN_LATE_MS) {
					late = true;
					/* Should that turn end just now, the next one passes for late: it only
					 * goes to its own thread for a while. */
					atomic_store(&leader->late, true);
				}
			}
		}
		if (late) {
			struct epoll_event event;
			if (cwn_leaders_wait(&event, CWN_HELP_MS)) {
				cwn_seat *seat = cwn_seat_take(&event);
				if (seat != NULL) {
					seat->own_turns = 1;
					cwn_seat_give_back(seat);
				}
			}
		} else if (quiet) {
			cwn_watch_sleep();
		} else {
			(void)nanosleep(&pause, NULL);
		}
	}
	return NULL;
}

static unsigned
cwn_leaders_wanted(void)
{
	cpu_set_t cpus;
	long count = (long)cwn_leaders.processors;
	if (count == 0) {
		/* The set is too small for the largest machines. */
		count = (sched_getaffinity(0, sizeof(cpus), &cpus) == 0) ? CPU_COUNT(&cpus)
		                                                         : sysconf(_SC_NPROCESSORS_ONLN);
	}
	return (count < 1) ? 1u : (count > CWN_MAX_LEADERS) ? (unsigned)CWN_MAX_LEADERS : (unsigned)count;
}

/* Once, with the first session that waits. Under the lock. False: sessions keep
 * their threads. */
static bool
cwn_leaders_begin(void)
{
	unsigned wanted;
	if (cwn_leaders.begun) {
		return !atomic_load(&cwn_leaders.failed);
	}
	wanted = cwn_leaders_wanted();
	cwn_leaders.begun = true;
	cwn_leaders.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (cwn_leaders.epoll < 0) {
		atomic_store(&cwn_leaders.failed, true);
		return false;
	}
	/* CivetWeb's own way gives them the stack that its threads have. The watch last:
	 * without it a callback that blocks would not be noticed. */
	while ((cwn_leaders.count < wanted)
	       && (mg_start_thread(cwn_leader_thread, &cwn_leaders.leaders[cwn_leaders.count]) == 0)) {
		cwn_leaders.count++;
	}
	if ((cwn_leaders.count == 0) || (mg_start_thread(cwn_watch_thread, NULL) != 0)) {
		atomic_store(&cwn_leaders.failed, true);
	}
	return !atomic_load(&cwn_leaders.failed);
}

CWN_API void
cwn_use_processors(unsigned count)
{
	pthread_mutex_lock(&cwn_leaders.lock);
	cwn_leaders.processors = count;
	pthread_mutex_unlock(&cwn_leaders.lock);
}
