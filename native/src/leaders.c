/* Who runs a session's turns (Linux): its own thread, or one of a few leaders.
 *
 * Waking a thread for every message costs more than the message. So the sockets of
 * sessions that wait for input are in one epoll set, and as many threads as there
 * are processors, the leaders, take turns at it (the pattern is known as
 * leader/followers): whoever gets an event runs that session's turn and comes back
 * for the next. A session's own thread is parked meanwhile; it comes back for
 * everything else: a deadline, a wake, the end.
 *
 * Each session has a seat. Who holds its turn is one word in it, together with the
 * seat's generation, so that an event that arrives late for a session that is gone
 * says so itself. Seats are used again, never freed.
 *
 *   OWN      the own thread's
 *   PARKED   nobody's: whoever changes it has it
 *   RUNNING  a leader's
 *   PENDING  an event came while it was somebody's: it must receive once more
 *   WANTED   the own thread wants it from the leader
 *
 * A turn may take its time: it calls the application. The watch looks every few
 * milliseconds, while any leader runs; one that is still in the same turn is late.
 * As long as one is, the watch takes events from the set too, and gives each to its
 * session's own thread. So what blocks holds up nobody, however many block, and
 * there are never more threads than sessions, leaders and one.
 *
 * Most of what blocks is over long before the watch looks: a query takes a millisecond.
 * Hence turns are measured. One that has taken long and during which its thread has
 * slept was a waste of a leader, and its session keeps its own thread for a while. To
 * learn whether a thread has slept costs a call of the system, so that is only asked
 * for some time after a turn that has taken long (preempted, it may be), and on the
 * own thread, which is dear in any case. When most sessions are of that kind, new ones
 * have to show that they are not before leaders run them. */

typedef enum cwn_park_result {
	CWN_PARK_OVER,    /* the deadline */
	CWN_PARK_WOKEN,   /* a wake, or a leader has given the turn back */
	CWN_PARK_FAILED   /* keep the thread */
} cwn_park_result;

#if defined(__linux__)

#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum {
	CWN_SEATS_PER_CHUNK = 1024,
	CWN_MAX_CHUNKS = 1024, /* sessions beyond a million keep their threads */
	CWN_MAX_LEADERS = 64,
	CWN_WATCH_MS = 10, /* between two looks; more of them cost latency on one processor */
	CWN_HELP_MS = 50, /* the same while a turn is late and events wake the watch */
	CWN_LATE_MS = 5, /* a turn that was seen twice, so far apart, holds up others */
	CWN_OWN_WHEN_LATE = 64, /* turns after one that was late */
	CWN_OWN_QUIET_MS = 50,  /* the first turns are over when nothing comes for so long */
	CWN_LONG_US = 50,       /* a turn that takes so long may have blocked */
	/* What a turn costs more on the own thread, about: after one that has blocked, those
	 * there cost together as much as it has. */
	CWN_OWN_COSTS_US = 4,
	CWN_MAX_OWN_TURNS = 4096,
	CWN_MIN_SUSPECT = 8, /* turns whose sleeps are counted after one that was long */
	CWN_MAX_SUSPECT = 256
};

/* Turns before leaders run a session: a short connection has no more. Tests that want
 * leaders at once change it. */
static unsigned cwn_own_at_first = 4;

#define CWN_SEAT_OWN 0u
#define CWN_SEAT_PARKED 1u
#define CWN_SEAT_RUNNING 2u
#define CWN_SEAT_HOLDER 3u /* mask of the three */
#define CWN_SEAT_PENDING 4u
#define CWN_SEAT_WANTED 8u
#define CWN_SEAT_GENERATION 16u /* and above */

typedef struct cwn_leader cwn_leader;

struct cwn_seat {
	_Atomic uint64_t turn;
	/* the rest belongs to whoever holds the turn */
	cwn_session *session;
	int (*run)(void *user_data, const cwn_leader *leader, bool until_empty);
	void *user_data;
	uint64_t parked_until; /* 0: for ever */
	uint64_t own_until;    /* at the beginning */
	unsigned own_turns;    /* left before leaders may run it */
	uint64_t began;        /* the turn, in microseconds; 0: not measured */
	long slept;            /* how often its thread had, then; -1: not asked */
	unsigned suspect;      /* turns left whose sleeps are counted */
	unsigned suspect_for;  /* as many the next time: less when there was nothing */
	uint32_t index;
	bool known;  /* by its turns, whether it blocks */
	bool blocks; /* it did, some time */
	bool armed;  /* in the set, with events asked for */
	bool added;
	cwn_seat *next_free; /* under cwn_leaders.lock */
};

struct cwn_leader {
	_Alignas(64) atomic_uint turns; /* odd: in one; no other leader's in its cache line */
	atomic_bool late;  /* the current one; the watch says so */
	/* the watch's */
	unsigned seen;
	uint64_t seen_at;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t watch_wakes;
	bool begun;
	atomic_bool failed; /* sessions keep their threads */
	unsigned processors; /* the program may use; 0: has not been said */
	int epoll;
	unsigned count;
	cwn_leader leaders[CWN_MAX_LEADERS];
	atomic_bool watch_sleeps;
	atomic_int blocking; /* of the last sessions so much of 256 has blocked, about */
	_Atomic(cwn_seat *) chunks[CWN_MAX_CHUNKS];
	uint32_t used; /* seats ever */
	cwn_seat *free;
} cwn_leaders = {.lock = PTHREAD_MUTEX_INITIALIZER, .watch_wakes = PTHREAD_COND_INITIALIZER};

static uint64_t
cwn_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* How often this thread has waited of its own accord. */
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

/* Giving a turn to the own thread. From then on this thread must not touch the seat. */
static void
cwn_seat_give_back(cwn_seat *seat)
{
	cwn_session *session = seat->session;
	uint64_t turn = atomic_load(&seat->turn);
	/* The own thread may end and release the session before this is through. */
	atomic_fetch_add(&session->references, 1);
	pthread_mutex_lock(&session->state_lock);
	while (!atomic_compare_exchange_weak(
	    &seat->turn, &turn, (turn & ~(uint64_t)(CWN_SEAT_HOLDER | CWN_SEAT_WANTED)) | CWN_SEAT_OWN)) {
	}
	/* Detaching takes the lock too: the own thread is still there. */
	cwn_wake_set(&session->wake);
	pthread_mutex_unlock(&session->state_lock);
	cwn_session_release(session);
}

static cwn_seat *
cwn_seat_at(uint32_t index)
{
	return atomic_load(&cwn_leaders.chunks[index / CWN_SEATS_PER_CHUNK]) + index % CWN_SEATS_PER_CHUNK;
}

/* Takes the turn that an event is for; NULL when it is somebody's or nobody's any more. */
static cwn_seat *
cwn_seat_take(const struct epoll_event *event)
{
	uint64_t generation = event->data.u64 >> 32;
	cwn_seat *seat = cwn_seat_at((uint32_t)event->data.u64);
	uint64_t turn = atomic_load(&seat->turn);
	for (;;) {
		uint64_t next;
		if ((uint32_t)(turn / CWN_SEAT_GENERATION) != generation) {
			return NULL;
		}
		next = ((turn & CWN_SEAT_HOLDER) == CWN_SEAT_PARKED)
		           ? turn - CWN_SEAT_PARKED + CWN_SEAT_RUNNING
		           : (turn | CWN_SEAT_PENDING);
		if (atomic_compare_exchange_weak(&seat->turn, &turn, next)) {
			return ((turn & CWN_SEAT_HOLDER) == CWN_SEAT_PARKED) ? seat : NULL;
		}
	}
}

/* Lets go of the turn. False: the seat is still this leader's, something has come, and
 * perhaps the end behind it: only receiving until nothing is there will tell. */
static bool
cwn_seat_park(cwn_seat *seat)
{
	uint64_t turn = atomic_load(&seat->turn);
	for (;;) {
		if ((turn & CWN_SEAT_WANTED) != 0) {
			cwn_seat_give_back(seat);
			return true;
		}
		if ((turn & CWN_SEAT_PENDING) != 0) {
			if (atomic_compare_exchange_weak(&seat->turn, &turn, turn & ~(uint64_t)CWN_SEAT_PENDING)) {
				return false;
			}
		} else if (atomic_compare_exchange_weak(
		               &seat->turn, &turn, turn - CWN_SEAT_RUNNING + CWN_SEAT_PARKED)) {
			return true;
		}
	}
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

/* The set cannot be waited for any more (who closes all descriptors that he does not
 * know closes ours): all who are parked get their turns back, and keep them. */
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
	 * without it nobody minds a callback that blocks. */
	while ((cwn_leaders.count < wanted)
	       && (mg_start_thread(cwn_leader_thread, &cwn_leaders.leaders[cwn_leaders.count]) == 0)) {
		cwn_leaders.count++;
	}
	if ((cwn_leaders.count == 0) || (mg_start_thread(cwn_watch_thread, NULL) != 0)) {
		atomic_store(&cwn_leaders.failed, true);
	}
	return !atomic_load(&cwn_leaders.failed);
}

/* A seat whose turn is the own thread's; NULL: none to be had. Under the lock. */
static cwn_seat *
cwn_seat_new(void)
{
	cwn_seat *seat = cwn_leaders.free;
	if (seat != NULL) {
		cwn_leaders.free = seat->next_free;
		return seat;
	}
	if (cwn_leaders.used == (uint32_t)CWN_SEATS_PER_CHUNK * CWN_MAX_CHUNKS) {
		return NULL;
	}
	if (cwn_leaders.used % CWN_SEATS_PER_CHUNK == 0) {
		cwn_seat *chunk = (cwn_seat *)mg_calloc(CWN_SEATS_PER_CHUNK, sizeof(cwn_seat));
		if (chunk == NULL) {
			return NULL;
		}
		atomic_store(&cwn_leaders.chunks[cwn_leaders.used / CWN_SEATS_PER_CHUNK], chunk);
	}
	seat = cwn_seat_at(cwn_leaders.used);
	seat->index = cwn_leaders.used++;
	return seat;
}

/* From here on on the session's own thread only. */

/* NULL: the session keeps its thread. run gets user_data; it receives until nothing
 * is there. */
static cwn_seat *
cwn_seat_begin(cwn_session *session,
               int (*run)(void *user_data, const cwn_leader *leader, bool until_empty),
               void *user_data)
{
	cwn_seat *seat = NULL;
	if (session->options.keep_thread != 0) {
		return NULL;
	}
	pthread_mutex_lock(&cwn_leaders.lock);
	if (cwn_leaders_begin()) {
		seat = cwn_seat_new();
	}
	pthread_mutex_unlock(&cwn_leaders.lock);
	if (seat != NULL) {
		seat->session = session;
		seat->run = run;
		seat->user_data = user_data;
		seat->own_turns = cwn_own_at_first;
		seat->own_until = cwn_now_ms() + CWN_OWN_QUIET_MS;
		seat->began = 0;
		seat->suspect = 0;
		seat->suspect_for = CWN_MAX_SUSPECT;
		seat->known = seat->blocks = false;
		seat->armed = seat->added = false;
	}
	return seat;
}

static void
cwn_seat_end(cwn_seat *seat)
{
	if (seat == NULL) {
		return;
	}
	if (seat->added) {
		(void)epoll_ctl(cwn_leaders.epoll, EPOLL_CTL_DEL, seat->session->sock, NULL);
	}
	if (seat->known && !seat->blocks) {
		cwn_leaders_note_kind(false);
	}
	seat->session = NULL;
	seat->user_data = NULL;
	/* The next generation, and neither pending nor wanted. */
	atomic_store(&seat->turn,
	             (atomic_load(&seat->turn) / CWN_SEAT_GENERATION + 1) * CWN_SEAT_GENERATION);
	pthread_mutex_lock(&cwn_leaders.lock);
	seat->next_free = cwn_leaders.free;
	cwn_leaders.free = seat;
	pthread_mutex_unlock(&cwn_leaders.lock);
}

/* Puts it into the set, or changes what is asked for; what is there already gives an
 * event, in either case. */
static bool
cwn_seat_ask(cwn_seat *seat, uint32_t events)
{
	struct epoll_event event;
	event.events = events | (uint32_t)EPOLLET;
	event.data.u64 = ((atomic_load(&seat->turn) / CWN_SEAT_GENERATION) << 32) | seat->index;
	if (epoll_ctl(cwn_leaders.epoll,
	              seat->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
	              seat->session->sock,
	              &event)
	    != 0) {
		return false;
	}
	seat->added = true;
	seat->armed = (events != 0);
	return true;
}

/* Leaders are not told of what comes. */
static void
cwn_seat_disarm(cwn_seat *seat)
{
	if ((seat != NULL) && seat->armed) {
		(void)cwn_seat_ask(seat, 0);
	}
}

/* Whether leaders may run the next turn. If not, keep_until says when to ask again
 * though nothing has come; 0: never. */
static bool
cwn_seat_may_park(cwn_seat *seat, uint64_t *keep_until)
{
	*keep_until = 0;
	if ((seat == NULL) || atomic_load(&cwn_leaders.failed)) {
		return false;
	}
	if (seat->own_until != 0) {
		if ((seat->own_turns > 0) && (cwn_now_ms() < seat->own_until)) {
			*keep_until = seat->own_until;
			return false;
		}
		seat->own_until = 0;
		seat->own_turns = 0;
	}
	if (seat->own_turns > 1) {
		/* Each message of a session that keeps its thread would wake a leader. */
		cwn_seat_disarm(seat);
	}
	return seat->own_turns == 0;
}

/* For a turn that has not received all there is: no other event will say so. */
static void
cwn_seat_receive_again(cwn_seat *seat)
{
	atomic_fetch_or(&seat->turn, (uint64_t)CWN_SEAT_PENDING);
}

/* On the leader that has the turn. */
static bool
cwn_leader_is_late(const cwn_leader *leader)
{
	return atomic_load(&leader->late);
}

/* Whether the own thread comes back by itself in time for the deadline. */
static bool
cwn_seat_is_parked_for(const cwn_seat *seat, uint64_t deadline)
{
	return (deadline == 0) || ((seat->parked_until != 0) && (seat->parked_until <= deadline));
}

/* A turn of the own thread begins. */
static void
cwn_seat_begin_turn(cwn_seat *seat)
{
	if (seat != NULL) {
		if (seat->own_turns > 0) {
			seat->own_turns--;
		}
		cwn_seat_turn_begins(seat, true);
	}
}

/* It ends, if one has begun. */
static void
cwn_seat_end_turn(cwn_seat *seat)
{
	if (seat != NULL) {
		(void)cwn_seat_turn_ends(seat);
	}
}

/* Leaves the turn to the leaders until the deadline (0: none) or a wake. The turn is
 * the own thread's again afterwards. */
static cwn_park_result
cwn_seat_wait(cwn_seat *seat, uint64_t deadline)
{
	static const uint32_t events = (uint32_t)(EPOLLIN | EPOLLPRI | EPOLLRDHUP);
	uint64_t turn = atomic_load(&seat->turn);
	bool waits;
	if (!seat->armed && !cwn_seat_ask(seat, events)) {
		seat->own_turns = CWN_OWN_WHEN_LATE;
		return CWN_PARK_FAILED;
	}
	seat->parked_until = deadline;
	while (!atomic_compare_exchange_weak(
	    &seat->turn,
	    &turn,
	    (turn & ~(uint64_t)CWN_SEAT_PENDING) - CWN_SEAT_OWN + CWN_SEAT_PARKED)) {
	}
	/* One of the two sees what the other has written: this, or cwn_leaders_fail. */
	waits = !atomic_load(&cwn_leaders.failed);
	if (waits && ((turn & CWN_SEAT_PENDING) != 0)) {
		/* What that was for may have been received since, or in part: the set has to
		 * look again. */
		waits = cwn_seat_ask(seat, events);
	}
	for (;;) {
		bool woken = false;
		int result = -1;
		if (waits) {
			struct mg_pollfd nothing = {INVALID_SOCKET, 0, 0};
			result = cwn_wake_wait(&seat->session->wake, &nothing, cwn_poll_timeout(deadline), &woken);
		}
		turn = atomic_load(&seat->turn);
		for (;;) {
			if ((turn & CWN_SEAT_HOLDER) == CWN_SEAT_OWN) {
				break;
			}
			if ((turn & CWN_SEAT_HOLDER) == CWN_SEAT_PARKED) {
				if (atomic_compare_exchange_weak(
				        &seat->turn, &turn, turn - CWN_SEAT_PARKED + CWN_SEAT_OWN)) {
					if (!waits) {
						seat->own_turns = CWN_OWN_WHEN_LATE;
					}
					return ((result == 0) && !woken) ? CWN_PARK_OVER : CWN_PARK_WOKEN;
				}
			} else if (atomic_compare_exchange_weak(&seat->turn, &turn, turn | CWN_SEAT_WANTED)) {
				/* The leader wakes this thread when its turn is over. */
				deadline = 0;
				waits = true;
				break;
			}
		}
		if ((turn & CWN_SEAT_HOLDER) == CWN_SEAT_OWN) {
			return CWN_PARK_WOKEN;
		}
	}
}

#else

/* A session keeps its thread. */
typedef struct cwn_leader cwn_leader;

static cwn_seat *
cwn_seat_begin(cwn_session *session,
               int (*run)(void *user_data, const cwn_leader *leader, bool until_empty),
               void *user_data)
{
	(void)session;
	(void)run;
	(void)user_data;
	return NULL;
}

static void
cwn_seat_end(cwn_seat *seat)
{
	(void)seat;
}

static void
cwn_seat_disarm(cwn_seat *seat)
{
	(void)seat;
}

static bool
cwn_seat_may_park(cwn_seat *seat, uint64_t *keep_until)
{
	(void)seat;
	*keep_until = 0;
	return false;
}

static void
cwn_seat_begin_turn(cwn_seat *seat)
{
	(void)seat;
}

static void
cwn_seat_end_turn(cwn_seat *seat)
{
	(void)seat;
}

static cwn_park_result
cwn_seat_wait(cwn_seat *seat, uint64_t deadline)
{
	(void)seat;
	(void)deadline;
	return CWN_PARK_FAILED;
}

static void
cwn_seat_receive_again(cwn_seat *seat)
{
	(void)seat;
}

static bool
cwn_leader_is_late(const cwn_leader *leader)
{
	(void)leader;
	return true;
}

static bool
cwn_seat_is_parked_for(const cwn_seat *seat, uint64_t deadline)
{
	(void)seat;
	(void)deadline;
	return false;
}

#endif

CWN_API void
cwn_use_processors(unsigned count)
{
#if defined(__linux__)
	pthread_mutex_lock(&cwn_leaders.lock);
	cwn_leaders.processors = count;
	pthread_mutex_unlock(&cwn_leaders.lock);
#else
	(void)count;
#endif
}
