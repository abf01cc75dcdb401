/* The sender: it sends what is left when a session's own thread cannot, because a callback or
 * handler has its turn, perhaps for long. Neither other threads' frames nor the time-out for a
 * peer that does not read may wait for that.
 *
 * One thread of the process tries the enlisted sessions again every few milliseconds, and never
 * waits for a peer. A session that is attended it leaves to the session's own thread, which polls
 * the socket and enlists the session again before it calls the application. The thread exists
 * while there is something to do. If it cannot be started, the own thread does it all, after
 * its turn.
 *
 * A session, under the lock:
 *   idle      -> enlisted    something is left (cwn_sender_enlist)
 *   enlisted  -> current     the sender tries it, without the lock
 *   current   -> enlisted    some of it is still left
 *   current   -> idle        all is sent, or the own thread attends to it, or it has failed
 *   any state -> forgotten   it is about to be detached (cwn_sender_forget); for good
 *
 * cwn_sender.lock is the last of all locks, and held shortly. No reference is held: a session is
 * forgotten before it is detached. */

enum {
	CWN_SENDER_SHORT_MS = 1, /* between two rounds while peers take something */
	CWN_SENDER_LONG_MS = 16,
	CWN_SENDER_STAYS_MS = 1000 /* without work */
};

static struct {
	pthread_mutex_t lock;
	cwn_session *first, *last;
	unsigned count;
	cwn_session *current; /* not listed meanwhile */
	bool running;
} cwn_sender;

static void
cwn_sender_prepare(void)
{
	pthread_mutex_init(&cwn_sender.lock, NULL);
}

/* Under the lock. */
static void
cwn_sender_add(cwn_session *session)
{
	CWN_ASSERT(!session->enlisted && !session->forgotten);
	session->enlisted = true;
	session->previous_enlisted = cwn_sender.last;
	session->next_enlisted = NULL;
	*((cwn_sender.last != NULL) ? &cwn_sender.last->next_enlisted : &cwn_sender.first) = session;
	cwn_sender.last = session;
	cwn_sender.count++;
}

/* Under the lock. */
static void
cwn_sender_remove(cwn_session *session)
{
	cwn_session *previous = session->previous_enlisted;
	cwn_session *next = session->next_enlisted;
	CWN_ASSERT(session->enlisted && (cwn_sender.count > 0));
	*((previous != NULL) ? &previous->next_enlisted : &cwn_sender.first) = next;
	*((next != NULL) ? &next->previous_enlisted : &cwn_sender.last) = previous;
	session->enlisted = false;
	cwn_sender.count--;
}

/* One try. Whether to come back; *progress: the peer has taken something. */
static bool
cwn_sender_try(cwn_session *session, bool *progress)
{
	size_t before;
	int result;
	/* A thread that holds it is sending, the queue first. */
	if (pthread_mutex_trylock(&session->send_lock) != 0) {
		return true;
	}
	result = -1;
	if (session->attached && !atomic_load(&session->failed) && !atomic_load(&session->attended)) {
		before = cwn_session_left(session);
		result = cwn_session_try_left(session);
		*progress |= cwn_session_left(session) != before;
	}
	cwn_session_unlock_send(session);
	return (result == 0) && !cwn_session_cut_if_stalled(session);
}

static void *
cwn_sender_thread(void *argument)
{
	int pause = CWN_SENDER_SHORT_MS;
	uint64_t busy_at = cwn_now_ms();
	(void)argument;
	mg_set_thread_name("sender");
	pthread_mutex_lock(&cwn_sender.lock);
	for (;;) {
		bool progress = false;
		unsigned left = cwn_sender.count;
		if (left > 0) {
			busy_at = cwn_now_ms();
		} else if (cwn_now_ms() - busy_at >= CWN_SENDER_STAYS_MS) {
			break;
		}
		for (; (left > 0) && (cwn_sender.first != NULL); left--) {
			cwn_session *session = cwn_sender.first;
			bool again;
			cwn_sender_remove(session);
			cwn_sender.current = session;
			pthread_mutex_unlock(&cwn_sender.lock);
			again = cwn_sender_try(session, &progress);
			pthread_mutex_lock(&cwn_sender.lock);
			cwn_sender.current = NULL;
			if (again && !session->enlisted && !session->forgotten) {
				cwn_sender_add(session);
			}
		}
		pthread_mutex_unlock(&cwn_sender.lock);
		pause = progress ? CWN_SENDER_SHORT_MS : (pause < CWN_SENDER_LONG_MS) ? pause * 2 : pause;
		mg_sleep(pause);
		pthread_mutex_lock(&cwn_sender.lock);
	}
	cwn_sender.running = false;
	pthread_mutex_unlock(&cwn_sender.lock);
	return NULL;
}

/* Something is left, and the own thread may be busy. Any thread that may use the
 * session. */
static void
cwn_sender_enlist(cwn_session *session)
{
	pthread_mutex_lock(&cwn_sender.lock);
	if (!session->enlisted && !session->forgotten) {
		cwn_sender_add(session);
	}
	if (!cwn_sender.running && (cwn_sender.first != NULL)) {
		cwn_sender.running = mg_start_thread((mg_thread_func_t)cwn_sender_thread, NULL) == 0;
	}
	pthread_mutex_unlock(&cwn_sender.lock);
}

/* From here on the sender does not touch it. Without any lock. */
static void
cwn_sender_forget(cwn_session *session)
{
	pthread_mutex_lock(&cwn_sender.lock);
	session->forgotten = true;
	if (session->enlisted) {
		cwn_sender_remove(session);
	}
	while (cwn_sender.current == session) {
		pthread_mutex_unlock(&cwn_sender.lock);
		mg_sleep(1); /* the sender does not wait for anything */
		pthread_mutex_lock(&cwn_sender.lock);
	}
	pthread_mutex_unlock(&cwn_sender.lock);
}
