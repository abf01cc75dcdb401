/* Which of many sockets can be received from or sent to.
 *
 * What changes is told once (edge-triggered): the caller receives until nothing is
 * there, and sends until nothing more is taken, or says with cwn_poller_rearm that it has
 * not. Two back ends: epoll on Linux, poll elsewhere (WSAPoll on Windows). Both are
 * compiled on Linux, so that the second is tested where most of the work is done.
 *
 *   add, remove, rearm, wake   any thread
 *   wait                       one thread at a time */

enum {
	CWN_POLL_IN = 1,
	CWN_POLL_OUT = 2,
	CWN_POLL_GONE = 4, /* the peer has finished sending, or the connection is lost */
	CWN_POLL_EVERYTHING = CWN_POLL_IN | CWN_POLL_OUT | CWN_POLL_GONE
};

typedef enum cwn_poller_kind {
#if defined(__linux__)
	CWN_POLLER_EPOLL,
#endif
	CWN_POLLER_POLL
} cwn_poller_kind;

/* A socket in a set; the memory stays valid as long as the set does. */
typedef struct cwn_watched {
	SOCKET sock;
	uint64_t key;    /* what an event says */
	unsigned place;  /* in the list of the back end poll */
	unsigned events; /* not told yet; of the back end poll too */
} cwn_watched;

typedef struct cwn_ready {
	uint64_t key;
	unsigned events;
} cwn_ready;

enum { CWN_MAX_READY = 64 };

typedef struct cwn_poller {
	cwn_poller_kind kind;
	int epoll;
	cwn_notifier notifier;
	atomic_bool woken;
	/* of the back end poll */
	pthread_mutex_t lock;
	cwn_watched **watched; /* under lock */
	unsigned count, capacity;
	struct mg_pollfd *polled; /* the waiting thread's */
	unsigned *places; /* where they were in the list */
	uint64_t *keys;
	unsigned polled_capacity;
	unsigned next; /* where to begin, so that no socket is always last */
} cwn_poller;

#if defined(__linux__)
#include <sys/epoll.h>

#define CWN_WAKE_KEY UINT64_MAX
#endif

static void
cwn_poller_close(cwn_poller *poller)
{
#if defined(__linux__)
	if (poller->epoll >= 0) {
		(void)close(poller->epoll);
	}
#endif
	cwn_notifier_close(&poller->notifier);
	mg_free(poller->watched);
	mg_free(poller->polled);
	mg_free(poller->places);
	mg_free(poller->keys);
	pthread_mutex_destroy(&poller->lock);
}

/* False: no descriptors, or no memory. */
static bool
cwn_poller_open(cwn_poller *poller, cwn_poller_kind kind)
{
	memset(poller, 0, sizeof(*poller));
	poller->kind = kind;
	poller->epoll = -1;
	if (!cwn_notifier_open(&poller->notifier)) {
		return false;
	}
	pthread_mutex_init(&poller->lock, NULL);
#if defined(__linux__)
	if (kind == CWN_POLLER_EPOLL) {
		struct epoll_event event;
		event.events = EPOLLIN;
		event.data.u64 = CWN_WAKE_KEY;
		poller->epoll = epoll_create1(EPOLL_CLOEXEC);
		if ((poller->epoll < 0) || (epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->notifier.read_end, &event) != 0)) {
			cwn_poller_close(poller);
			return false;
		}
	}
#endif
	return true;
}

/* Ends the wait, or the next one at once. */
static void
cwn_poller_wake(cwn_poller *poller)
{
	if (!atomic_exchange(&poller->woken, true)) {
		cwn_notifier_set(&poller->notifier);
	}
}

/* What is there already is told as well. False: no memory, or the system refuses. */
static bool
cwn_poller_add(cwn_poller *poller, cwn_watched *watched)
{
#if defined(__linux__)
	if (poller->kind == CWN_POLLER_EPOLL) {
		struct epoll_event event;
		event.events = (uint32_t)(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI) | (uint32_t)EPOLLET;
		event.data.u64 = watched->key;
		return epoll_ctl(poller->epoll, EPOLL_CTL_ADD, watched->sock, &event) == 0;
	}
#endif
	pthread_mutex_lock(&poller->lock);
	if (poller->count == poller->capacity) {
		unsigned capacity = (poller->capacity == 0) ? 64 : poller->capacity * 2;
		cwn_watched **grown = (cwn_watched **)mg_realloc(poller->watched, capacity * sizeof(cwn_watched *));
		if (grown == NULL) {
			pthread_mutex_unlock(&poller->lock);
			return false;
		}
		poller->watched = grown;
		poller->capacity = capacity;
	}
	watched->place = poller->count;
	watched->events = CWN_POLL_EVERYTHING;
	poller->watched[poller->count++] = watched;
	pthread_mutex_unlock(&poller->lock);
	cwn_poller_wake(poller);
	return true;
}

/* Before the socket is closed. An event that was harvested before may still come. */
static void
cwn_poller_remove(cwn_poller *poller, cwn_watched *watched)
{
#if defined(__linux__)
	if (poller->kind == CWN_POLLER_EPOLL) {
		(void)epoll_ctl(poller->epoll, EPOLL_CTL_DEL, watched->sock, NULL);
		return;
	}
#endif
	pthread_mutex_lock(&poller->lock);
	poller->count--;
	poller->watched[watched->place] = poller->watched[poller->count];
	poller->watched[watched->place]->place = watched->place;
	pthread_mutex_unlock(&poller->lock);
}

/* Asks to be told again, after the caller was told and has received, or sent, until the socket
 * would block. */
static void
cwn_poller_rearm(cwn_poller *poller, cwn_watched *watched, unsigned events)
{
	bool news;
	if (poller->kind != CWN_POLLER_POLL) {
		return; /* the kernel keeps account */
	}
	pthread_mutex_lock(&poller->lock);
	news = (watched->events & events) != events;
	watched->events |= events;
	pthread_mutex_unlock(&poller->lock);
	if (news) {
		cwn_poller_wake(poller);
	}
}

#if defined(__linux__)
static unsigned
cwn_poller_wait_epoll(cwn_poller *poller, cwn_ready *ready, int timeout_ms)
{
	struct epoll_event events[CWN_MAX_READY];
	int n = epoll_wait(poller->epoll, events, CWN_MAX_READY, timeout_ms);
	unsigned i, used = 0;
	if ((n < 0) && (errno != EINTR)) {
		mg_sleep(10); /* whatever it is, it must not take all of a processor */
	}
	for (i = 0; (int)i < n; i++) {
		uint32_t got = events[i].events;
		if (events[i].data.u64 == CWN_WAKE_KEY) {
			/* In this order: a wake in between writes again. */
			cwn_notifier_clear(&poller->notifier);
			atomic_store(&poller->woken, false);
			continue;
		}
		ready[used].key = events[i].data.u64;
		ready[used++].events = (((got & (uint32_t)(EPOLLIN | EPOLLPRI)) != 0) ? CWN_POLL_IN : 0u)
		                       | (((got & (uint32_t)EPOLLOUT) != 0) ? CWN_POLL_OUT : 0u)
		                       | (((got & (uint32_t)(EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) ? CWN_POLL_GONE : 0u);
	}
	return used;
}
#endif

/* Memory for as many as there are, and for the wake. */
static bool
cwn_poller_make_room(cwn_poller *poller)
{
	unsigned capacity = poller->capacity + 1;
	if (poller->polled_capacity >= capacity) {
		return true;
	}
	mg_free(poller->polled);
	mg_free(poller->places);
	mg_free(poller->keys);
	poller->polled = (struct mg_pollfd *)mg_calloc(capacity, sizeof(poller->polled[0]));
	poller->places = (unsigned *)mg_calloc(capacity, sizeof(poller->places[0]));
	poller->keys = (uint64_t *)mg_calloc(capacity, sizeof(poller->keys[0]));
	poller->polled_capacity = capacity;
	if ((poller->polled == NULL) || (poller->places == NULL) || (poller->keys == NULL)) {
		poller->polled_capacity = 0;
		return false;
	}
	return true;
}

#if defined(_WIN32)
#define CWN_POLL_NEWS POLLRDNORM
#define CWN_POLL_ROOM POLLWRNORM
#define CWN_POLL_END (CWN_WSA_POLLERR | POLLHUP | POLLNVAL)
#else
#define CWN_POLL_NEWS (POLLIN | POLLPRI)
#define CWN_POLL_ROOM POLLOUT
#define CWN_POLL_END (POLLERR | POLLHUP | POLLNVAL)
#endif

static int
cwn_poller_call(struct mg_pollfd *polled, unsigned count, int timeout_ms)
{
#if defined(_WIN32)
	return WSAPoll((WSAPOLLFD *)polled, count, timeout_ms);
#else
	return poll(polled, count, timeout_ms);
#endif
}

static unsigned
cwn_poller_wait_poll(cwn_poller *poller, cwn_ready *ready, int timeout_ms)
{
	unsigned i, asked = 0, used = 0;
	int n;
	pthread_mutex_lock(&poller->lock);
	if (!cwn_poller_make_room(poller)) {
		pthread_mutex_unlock(&poller->lock);
		mg_sleep(10); /* memory may come back */
		return 0;
	}
	poller->polled[0].fd = poller->notifier.read_end;
	poller->polled[0].events = CWN_POLL_NEWS;
	for (i = 0; i < poller->count; i++) {
		cwn_watched *watched = poller->watched[i];
		if (watched->events != 0) {
			struct mg_pollfd *polled = &poller->polled[1 + asked];
			polled->fd = watched->sock;
			polled->events = (short)((((watched->events & CWN_POLL_IN) != 0) ? CWN_POLL_NEWS : 0)
			                         | (((watched->events & CWN_POLL_OUT) != 0) ? CWN_POLL_ROOM : 0));
			poller->keys[asked] = watched->key;
			poller->places[asked++] = i;
		}
	}
	pthread_mutex_unlock(&poller->lock);
	n = cwn_poller_call(poller->polled, asked + 1, timeout_ms);
	if (n <= 0) {
		return 0;
	}
	if (poller->polled[0].revents != 0) {
		cwn_notifier_clear(&poller->notifier);
		atomic_store(&poller->woken, false);
	}
	pthread_mutex_lock(&poller->lock);
	for (i = 0; (i < asked) && (used < CWN_MAX_READY); i++) {
		unsigned at = (poller->next + i) % asked;
		unsigned place = poller->places[at];
		cwn_watched *watched = (place < poller->count) ? poller->watched[place] : NULL;
		short got = poller->polled[1 + at].revents;
		unsigned events = (((got & CWN_POLL_NEWS) != 0) ? CWN_POLL_IN : 0u)
		                  | (((got & CWN_POLL_ROOM) != 0) ? CWN_POLL_OUT : 0u)
		                  | (((got & CWN_POLL_END) != 0) ? CWN_POLL_GONE : 0u);
		if ((events == 0) || (watched == NULL) || (watched->key != poller->keys[at])) {
			continue; /* nothing; or it has left its place meanwhile, and is told next time if it has another */
		}
		/* A lost connection is told with every call and may be told just once. */
		watched->events &= ((events & CWN_POLL_GONE) != 0) ? 0 : ~events;
		ready[used].key = watched->key;
		ready[used++].events = events;
	}
	poller->next = (asked == 0) ? 0 : (poller->next + i) % asked;
	pthread_mutex_unlock(&poller->lock);
	return used;
}

/* Waits for events; returns how many, 0 also when woken or the time is over. */
static unsigned
cwn_poller_wait(cwn_poller *poller, cwn_ready ready[CWN_MAX_READY], int timeout_ms)
{
#if defined(__linux__)
	if (poller->kind == CWN_POLLER_EPOLL) {
		return cwn_poller_wait_epoll(poller, ready, timeout_ms);
	}
#endif
	return cwn_poller_wait_poll(poller, ready, timeout_ms);
}
