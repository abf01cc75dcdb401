/* The own thread's side of a seat: it begins and ends the session, and leaves the turn to the
 * leaders while it waits for input alone. All functions here are called on that thread, but
 * cwn_seat_receive_again and cwn_seat_is_parked_for by the thread that has the turn. */

/* A seat whose turn is the own thread's; NULL: no memory, or too many. Under the lock. */
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
		seat->own_turns = CWN_OWN_AT_FIRST;
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
	CWN_ASSERT((atomic_load(&seat->turn) & (CWN_SEAT_HOLDER | CWN_SEAT_WANTED)) == CWN_SEAT_OWN);
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
	CWN_ASSERT((turn & (CWN_SEAT_HOLDER | CWN_SEAT_WANTED)) == CWN_SEAT_OWN);
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
