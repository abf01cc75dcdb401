/* Few threads for many connections, whose turns may block.
 *
 * Three kinds of object:
 *
 *   processor  as many as there are to use: a poller, what was harvested from it and has
 *              not run, an inbox, a wheel of deadlines
 *   worker     a thread; it serves the processor it has, or it is spare
 *   link       a connection, or a listening socket: a socket and what is to be done with it
 *
 * A link's turn is one call of its handler. Its word says whether the turn is taken
 * and for what reasons it is wanted:
 *
 *   idle      no reasons; any source of a reason takes the turn by setting RUNNING
 *   running   RUNNING: a worker runs it, or it is in an inbox to be run
 *   wanted    RUNNING and reasons: the holder runs it again
 *
 *   idle -> wanted      an event, a deadline, a kick: whatever sets RUNNING sees to the turn
 *   wanted -> running   the holder takes the reasons and calls the handler
 *   running -> wanted   a reason came meanwhile
 *   running -> idle     the holder, by one compare-and-swap, which fails if a reason came
 *   running -> free     the holder, when the handler says that it is over: the
 *                       generation, in the word's upper half, goes up, so that what
 *                       still names the old one is dropped
 *
 * So no wake-up can be lost: every source sets a bit in the same word whose change ends the turn.
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
	uint64_t deadline;      /* of the worker that has the turn */
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
	uint64_t wakes_at; /* under wheel_lock: its worker sleeps until then; 0: without limit */
	/* of the worker that has it */
	cwn_ready ready[CWN_MAX_READY];
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
	unsigned workers, peak_workers;
	cwn_worker *spare, *ended;
	cwn_processor *orphans; /* without a worker: all are busy */
	bool closes;            /* it ends when no link is left */
	unsigned links;
	_Atomic(cwn_link *) chunks[CWN_MAX_LINK_CHUNKS];
	uint32_t used;
	cwn_link *free;
	/* counters */
	atomic_ullong handed_over; /* turns that have lost their processor */
	atomic_ullong starved;     /* times a processor had to wait for a worker */
};

static CWN_THREAD_LOCAL cwn_worker *cwn_this_worker;

enum { CWN_HOT_MS = 50, CWN_MAX_ROUNDS = 8 };
