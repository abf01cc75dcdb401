/* Seats: who runs a session's turn (Linux), its own thread or one of a few leaders.
 *
 * Waking a thread for every message costs more than the message. So the sockets of
 * sessions that wait for input are in one epoll set, and as many threads as there
 * are processors, the leaders, take turns at it (the leader/followers pattern): the
 * thread that gets an event runs that session's turn and comes back for the next
 * event. The session's own thread is parked meanwhile; it comes back for everything
 * else: a deadline, a wake, the end.
 *
 *   seat.c          the states, and how a turn changes hands
 *   turn_times.c    which sessions block, and therefore keep their own threads
 *   leaders.c       the threads of the leaders, and the watch
 *   parking.c       the own thread's side
 *   no_leaders.c    systems without epoll: sessions keep their threads
 *
 * Each session has a seat, which is used again for another session and never freed.
 * One word of it says who has the turn. The word holds the seat's generation too, so
 * that an event that arrives late, for a session that has ended, is recognised. */

#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>

/* How a wait on a seat has ended. */
typedef enum cwn_park_result {
	CWN_PARK_OVER,  /* the deadline has passed */
	CWN_PARK_WOKEN, /* a wake, or a leader has given the turn back */
	CWN_PARK_FAILED /* it could not be parked: the own thread keeps the turn */
} cwn_park_result;

enum {
	CWN_SEATS_PER_CHUNK = 1024,
	CWN_MAX_CHUNKS = 1024, /* sessions beyond a million keep their threads */
	CWN_MAX_LEADERS = 64
};

/* Who has the turn: the lowest bits of the word.
 *   OWN     -> PARKED    the own thread waits for input alone (cwn_seat_wait)
 *   PARKED  -> RUNNING   a leader, or the watch, has got an event (cwn_seat_take); or the
 *                        set has failed (cwn_leaders_fail)
 *   PARKED  -> OWN       the own thread was woken or its deadline has passed (cwn_seat_wait)
 *   RUNNING -> PARKED    the turn is over and nothing else has come (cwn_seat_park)
 *   RUNNING -> OWN       the own thread has to go on (cwn_seat_give_back)
 *   OWN     -> OWN       the session ends: the next generation (cwn_seat_end)
 * The thread that makes such a change, always by a compare-and-swap, has the turn, or had it. */
enum {
	CWN_SEAT_OWN = 0,
	CWN_SEAT_PARKED = 1,
	CWN_SEAT_RUNNING = 2,
	CWN_SEAT_HOLDER = 3, /* mask of the three */
	/* Beside it. PENDING: an event came while a thread had the turn, which has to receive
	 * again; cleared when that begins. WANTED: the own thread wants the turn from the
	 * leader; cleared when it gets it. */
	CWN_SEAT_PENDING = 4,
	CWN_SEAT_WANTED = 8,
	CWN_SEAT_GENERATION = 16 /* and all bits above */
};

typedef struct cwn_leader cwn_leader;

struct cwn_seat {
	_Atomic uint64_t turn;
	/* the rest belongs to the thread that has the turn */
	cwn_session *session;
	int (*run)(void *user_data, const cwn_leader *leader, bool until_empty);
	void *user_data;
	uint64_t parked_until; /* 0: for ever */
	uint64_t own_until;    /* at the beginning */
	unsigned own_turns;    /* of the own thread before leaders may run one */
	uint64_t began;        /* the turn, in microseconds; 0: not measured */
	long slept;            /* how often its thread had slept when it began; -1: not asked */
	unsigned suspect;      /* turns left whose sleeps are counted */
	unsigned suspect_for;  /* the same for the next time: fewer when none had slept */
	uint32_t index;
	bool known;  /* whether it blocks, from its turns */
	bool blocks; /* it has blocked */
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
	unsigned processors; /* the program may use; 0: unknown */
	int epoll;
	unsigned count;
	cwn_leader leaders[CWN_MAX_LEADERS];
	atomic_bool watch_sleeps;
	atomic_int blocking; /* about how many of 256 recent sessions have blocked */
	_Atomic(cwn_seat *) chunks[CWN_MAX_CHUNKS];
	uint32_t used; /* seats ever handed out */
	cwn_seat *free;
} cwn_leaders = {.lock = PTHREAD_MUTEX_INITIALIZER, .watch_wakes = PTHREAD_COND_INITIALIZER};

/* Giving a turn to the own thread. From then on this thread must not touch the seat. */
static void
cwn_seat_give_back(cwn_seat *seat)
{
	cwn_session *session = seat->session;
	uint64_t turn = atomic_load(&seat->turn);
	CWN_ASSERT((turn & CWN_SEAT_HOLDER) == CWN_SEAT_RUNNING);
	/* The own thread may end and release the session before this function is done. */
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

/* Takes the turn that an event is for; NULL when a thread has it already, or the session has ended. */
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
	CWN_ASSERT((turn & CWN_SEAT_HOLDER) == CWN_SEAT_RUNNING);
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
