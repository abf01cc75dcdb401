/* Gathered output that is held back, and the longest time it may be.
 *
 * While more input is at hand the answers of a turn are gathered and sent together when the
 * input is used up (websocket/session_send.c, session_pull.c). But the application may take
 * its time with the next message, and the answer to the last must not wait for that. Sessions
 * with such output are in a list. While the list is not empty a thread goes through it every
 * few milliseconds, and sends what has not changed since the time before.
 *
 * A session's word, held; only the thread that has the turn changes it:
 *   even -> odd    output is held back (cwn_session_hold)
 *   odd  -> even   the turn sends it, or the session ends (cwn_session_hold_ends)
 * Its place in the list, under the lock:
 *   out -> in      output is held back (cwn_held_enter)
 *   in  -> out     nothing was held back between two looks (cwn_held_look), or the session
 *                  is detached (cwn_held_leave)
 * So a busy session takes the lock once, not in every turn. The lock may be taken with the
 * session's send_lock held; the other way round, send_lock is only tried. */

enum {
	CWN_HELD_MS = 10,
	CWN_HELD_STAYS_MS = 1000 /* how long the thread stays without work */
};

static struct {
	pthread_mutex_t lock;
	bool running;
	cwn_session *first;
} cwn_held;

/* Once, before the first session. */
static void
cwn_held_prepare(void)
{
	(void)pthread_mutex_init(&cwn_held.lock, NULL);
}

static bool
cwn_session_holds(cwn_session *session)
{
	return (atomic_load(&session->held) % 2) != 0;
}

/* Under the lock. */
static void
cwn_held_unlink(cwn_session *session)
{
	CWN_ASSERT(*session->held_link == session);
	*session->held_link = session->held_next;
	if (session->held_next != NULL) {
		session->held_next->held_link = session->held_link;
	}
}

/* Sends what is held back, as far as the peer takes it at once. */
static void
cwn_held_send(cwn_session *session)
{
	/* A thread that has the lock is sending, and sends this too. */
	if (pthread_mutex_trylock(&session->send_lock) == 0) {
		if (session->attached && (cwn_session_try_left(session) == 0)) {
			cwn_sender_enlist(session); /* the peer does not take it at once */
		}
		cwn_session_unlock_send(session);
	}
}

static void
cwn_held_look(cwn_session *session)
{
	unsigned held = atomic_load(&session->held);
	if (held != session->held_seen) {
		session->held_seen = held;
	} else if ((held % 2) != 0) {
		cwn_held_send(session);
	} else {
		atomic_store(&session->held_listed, false);
		/* One of the two sees what the other has written: this, or cwn_session_hold. */
		if (cwn_session_holds(session)) {
			atomic_store(&session->held_listed, true);
		} else {
			cwn_held_unlink(session);
		}
	}
}

static void *
cwn_held_thread(void *argument)
{
	uint64_t busy_at = cwn_now_ms();
	(void)argument;
	mg_set_thread_name("held");
	pthread_mutex_lock(&cwn_held.lock);
	for (;;) {
		cwn_session *session = cwn_held.first;
		if (session != NULL) {
			busy_at = cwn_now_ms();
		} else if (cwn_now_ms() - busy_at >= CWN_HELD_STAYS_MS) {
			break;
		}
		while (session != NULL) {
			cwn_session *next = session->held_next;
			cwn_held_look(session);
			session = next;
		}
		pthread_mutex_unlock(&cwn_held.lock);
		mg_sleep(CWN_HELD_MS);
		pthread_mutex_lock(&cwn_held.lock);
	}
	cwn_held.running = false;
	pthread_mutex_unlock(&cwn_held.lock);
	return NULL;
}

/* False: there is no thread to look, so nothing may be held back. */
static bool
cwn_held_enter(cwn_session *session)
{
	bool entered;
	pthread_mutex_lock(&cwn_held.lock);
	if (!cwn_held.running) {
		cwn_held.running = mg_start_thread((mg_thread_func_t)cwn_held_thread, NULL) == 0;
	}
	entered = cwn_held.running;
	if (entered && !atomic_load(&session->held_listed)) {
		session->held_seen = 0;
		session->held_next = cwn_held.first;
		session->held_link = &cwn_held.first;
		if (cwn_held.first != NULL) {
			cwn_held.first->held_link = &session->held_next;
		}
		cwn_held.first = session;
		atomic_store(&session->held_listed, true);
	}
	pthread_mutex_unlock(&cwn_held.lock);
	return entered;
}

/* Before output is held back, by the thread that has the turn. False: it must not be. */
static bool
cwn_session_hold(cwn_session *session)
{
	if (cwn_session_holds(session)) {
		return true;
	}
	atomic_fetch_add(&session->held, 1);
	if (atomic_load(&session->held_listed) || cwn_held_enter(session)) {
		return true;
	}
	atomic_fetch_add(&session->held, 1);
	return false;
}

/* When the turn sends it itself. */
static void
cwn_session_hold_ends(cwn_session *session)
{
	if (cwn_session_holds(session)) {
		atomic_fetch_add(&session->held, 1);
	}
}

/* The thread does not look at it any more afterwards. */
static void
cwn_held_leave(cwn_session *session)
{
	cwn_session_hold_ends(session);
	pthread_mutex_lock(&cwn_held.lock);
	if (atomic_load(&session->held_listed)) {
		cwn_held_unlink(session);
		atomic_store(&session->held_listed, false);
	}
	pthread_mutex_unlock(&cwn_held.lock);
}
