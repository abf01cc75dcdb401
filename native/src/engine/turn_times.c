/* Which sessions block in their turns, and therefore keep their own threads.
 *
 * Most blocking calls are over long before the watch looks: a query takes a millisecond.
 * Hence turns are measured. One that has taken long and during which its thread has slept
 * has kept a leader from others, and its session keeps its own thread for a while. To learn
 * whether a thread has slept costs a system call, so that is only asked for some time after
 * a turn that has taken long (perhaps it was preempted), and on the own thread, whose turns
 * are expensive in any case. When most sessions block, new ones have to show that they do
 * not before leaders run them. */

enum {
	CWN_OWN_AT_FIRST = 4,   /* turns before leaders run a session: a short connection has no more */
	CWN_OWN_QUIET_MS = 50,  /* the first turns are over when nothing comes for so long */
	CWN_OWN_WHEN_LATE = 64, /* turns after one that was late */
	CWN_LONG_US = 50,       /* a turn that takes so long may have blocked */
	/* What a turn costs more on the own thread, about: after one that has blocked, so many
	 * follow there that they cost together as much as it has. */
	CWN_OWN_COSTS_US = 4,
	CWN_MAX_OWN_TURNS = 4096,
	CWN_MIN_SUSPECT = 8, /* turns whose sleeps are counted after one that was long */
	CWN_MAX_SUSPECT = 256
};

static uint64_t
cwn_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* How often this thread has slept, not counting preemption. */
static long
cwn_times_slept(void)
{
	struct rusage usage;
	return (getrusage(RUSAGE_THREAD, &usage) == 0) ? usage.ru_nvcsw : 0;
}

/* One more session is known to block, or not to. Two at once may count as one. */
static void
cwn_leaders_note_kind(bool blocks)
{
	int now = atomic_load_explicit(&cwn_leaders.blocking, memory_order_relaxed);
	atomic_store_explicit(
	    &cwn_leaders.blocking, now + ((blocks ? 256 : 0) - now) / 8, memory_order_relaxed);
}

static void
cwn_seat_keep_own(cwn_seat *seat, unsigned turns)
{
	seat->own_until = 0;
	if (seat->own_turns < turns) {
		seat->own_turns = turns;
	}
}

static void
cwn_seat_turn_begins(cwn_seat *seat, bool counted)
{
	seat->slept = counted ? cwn_times_slept() : -1;
	seat->began = cwn_now_us();
}

/* On the thread on which it began. True: it has blocked, and the own thread is to run
 * the next ones. */
static bool
cwn_seat_turn_ends(cwn_seat *seat)
{
	uint64_t took, turns;
	if (seat->began == 0) {
		return false;
	}
	took = cwn_now_us() - seat->began;
	seat->began = 0;
	if ((took < CWN_LONG_US) || (seat->slept == -1) || (cwn_times_slept() == seat->slept)) {
		if (seat->suspect > 0) {
			if (--seat->suspect == 0) {
				seat->suspect_for = (seat->suspect_for / 2 > CWN_MIN_SUSPECT)
				                        ? seat->suspect_for / 2
				                        : (unsigned)CWN_MIN_SUSPECT;
			}
		} else if ((took >= CWN_LONG_US) && (seat->slept == -1)) {
			seat->suspect = seat->suspect_for;
		}
		return false;
	}
	seat->suspect = seat->suspect_for = CWN_MAX_SUSPECT;
	seat->known = true;
	if (!seat->blocks) {
		seat->blocks = true;
		cwn_leaders_note_kind(true);
	}
	turns = took / CWN_OWN_COSTS_US;
	turns = (turns < CWN_OWN_WHEN_LATE) ? CWN_OWN_WHEN_LATE : turns;
	cwn_seat_keep_own(seat, (turns > CWN_MAX_OWN_TURNS) ? (unsigned)CWN_MAX_OWN_TURNS : (unsigned)turns);
	return true;
}
