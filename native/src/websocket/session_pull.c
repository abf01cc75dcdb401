/* The session as a transport: bytes in, bytes out, for a protocol engine above it
 * (the server API runs .NET's own WebSocket there).
 *
 * The connection's own thread begins, waits and ends. Reading and writing never
 * wait and may be done by any thread, one reader at a time. What is written while
 * more input is at hand is gathered; every wait sends it first.
 */

static int cwn_session_lead(void *user_data, const cwn_leader *leader, bool until_empty);

CWN_API int
cwn_session_begin(cwn_session *session, cwn_turn_handler handler, void *user_data)
{
	struct mg_connection *conn;
	if ((session == NULL) || (session->conn == NULL)) {
		return 0;
	}
	conn = session->conn;
	atomic_fetch_add(&session->references, 1);
	session->outer = cwn_own_session;
	cwn_own_session = session;
	cwn_wake_begin(&session->wake);
	/* What CivetWeb has read behind the request is the first input. */
	session->early = (unsigned char *)conn->buf + conn->request_len;
	atomic_store(&session->early_size, (size_t)(conn->data_len - conn->request_len));
	if (handler != NULL) {
		session->turn = handler;
		session->turn_data = user_data;
		session->seat = cwn_seat_begin(session, cwn_session_lead, session);
	}
	return 1;
}

CWN_API int
cwn_session_read(cwn_session *session, char *buffer, size_t size)
{
	int n = -2;
	bool more;

	if ((session == NULL) || (buffer == NULL) || (size == 0)) {
		return -2;
	}
	/* The lock keeps the socket from being closed, and its number from being
	 * another client's, during the call. */
	pthread_mutex_lock(&session->state_lock);
	if (session->attached && !atomic_load(&session->failed)) {
		size_t early_size = atomic_load(&session->early_size);
		if (early_size > 0) {
			size_t count = (size < early_size) ? size : early_size;
			memcpy(buffer, session->early, count);
			session->early += count;
			atomic_store(&session->early_size, early_size - count);
			n = (int)count;
		} else {
			n = cwn_session_receive(session, buffer, size, &more);
			atomic_store(&session->unread, more);
			atomic_store(&session->emptied, n == -1);
		}
	}
	pthread_mutex_unlock(&session->state_lock);
	return n;
}

/* Bytes taken, or -1. Under send_lock. */
static int
cwn_session_write_plain(cwn_session *session, const unsigned char *data, size_t size)
{
	size_t taken = 0;
	while (taken < size) {
		cwn_part parts[2];
		size_t waiting = session->output_size - session->output_start;
		int count = 0;
		int n;
		if (waiting > 0) {
			parts[count].data = session->output + session->output_start;
			parts[count++].size = waiting;
		}
		parts[count].data = data + taken;
		parts[count++].size = size - taken;
		n = cwn_session_try_send(session, parts, count);
		if (n == -1) {
			break;
		}
		if (n == -2) {
			cwn_session_abort(session);
			return -1;
		}
		cwn_session_note_sent(session, (size_t)n);
		if ((size_t)n < waiting) {
			session->output_start += (size_t)n;
		} else {
			session->output_start = session->output_size = 0;
			taken += (size_t)n - waiting;
		}
	}
	return (int)taken;
}

/* The same, through the output buffer: OpenSSL wants the same bytes again when it
 * could not send them, and a frame up to 16 KiB should be one record. */
static int
cwn_session_write_tls(cwn_session *session, const unsigned char *data, size_t size)
{
	size_t taken = 0;
	int flushed = 1;
	while ((taken < size) && (flushed == 1)) {
		size_t room = CWN_OUTPUT_SIZE - session->output_size;
		size_t n = (size - taken < room) ? size - taken : room;
		if (!cwn_session_append(session, data + taken, n)) {
			cwn_session_abort(session);
			return -1;
		}
		taken += n;
		flushed = cwn_session_try_left(session);
	}
	if (flushed == 0) {
		cwn_sender_enlist(session);
		if (cwn_own_session != session) {
			/* The connection's own thread has to know that output is waiting. */
			cwn_wake_set(&session->wake);
		}
	}
	return (flushed < 0) ? -1 : (int)taken;
}

CWN_API int
cwn_session_write(cwn_session *session, const char *data, size_t size, int gather)
{
	const unsigned char *bytes = (const unsigned char *)data;
	int result = -1;

	if ((session == NULL) || (data == NULL) || (size > INT_MAX)) {
		return -1;
	}
	pthread_mutex_lock(&session->send_lock);
	if (session->attached && !atomic_load(&session->failed)) {
		if (gather && (cwn_own_session == session)
		    && (session->output_size + size <= CWN_OUTPUT_SIZE)
		    && cwn_session_hold(session)
		    && cwn_session_append(session, bytes, size)) {
			result = (int)size;
		} else if (session->ssl != NULL) {
			result = cwn_session_write_tls(session, bytes, size);
		} else {
			result = cwn_session_write_plain(session, bytes, size);
		}
	}
	cwn_session_unlock_send(session);
	return result;
}

/* As cwn_session_try_left; aborts when the peer has taken nothing for too long. */
static int
cwn_session_send_output(cwn_session *session)
{
	int flushed = -1;
	cwn_session_hold_ends(session);
	pthread_mutex_lock(&session->send_lock);
	if (session->attached && !atomic_load(&session->failed)) {
		flushed = cwn_session_try_left(session);
	}
	cwn_session_unlock_send(session);
	return ((flushed == 0) && cwn_session_cut_if_stalled(session)) ? -1 : flushed;
}

/* One turn on a leader's thread. */
static int
cwn_session_lead(void *user_data, const cwn_leader *leader, bool until_empty)
{
	cwn_session *session = (cwn_session *)user_data;
	int turn;
	do {
		turn = session->turn(session->turn_data);
	} while (!cwn_leader_is_late(leader)
	         && ((turn == CWN_TURN_AGAIN)
	             || ((turn == CWN_TURN_DONE) && until_empty && !atomic_load(&session->emptied))));
	if ((turn == CWN_TURN_UNREAD) && !until_empty) {
		session->missed = true;
		turn = CWN_TURN_DONE;
	} else if ((turn != CWN_TURN_DONE) || atomic_load(&session->unread)
	           || (until_empty && !atomic_load(&session->emptied))) {
		/* Late, over, lost while nothing is read, or more than a turn can do. */
		turn = CWN_TURN_OWN;
	}
	if ((turn == CWN_TURN_DONE) && (cwn_session_send_output(session) == 1)) {
		return CWN_TURN_DONE;
	}
	cwn_seat_receive_again(session->seat);
	return CWN_TURN_OWN;
}

/* What poll is asked for. */
static void
cwn_session_ask(const cwn_session *session, struct mg_pollfd *poller, int events)
{
	poller->fd = session->sock;
	poller->events = 0;
	if ((events & CWN_CAN_READ) != 0) {
		poller->events |= POLLIN;
	}
	if ((events & CWN_CAN_WRITE) != 0) {
		poller->events |= POLLOUT;
	}
	if ((poller->events == 0) && session->hung_up) {
		/* Reported before; poll would report it again and again. */
		poller->fd = INVALID_SOCKET;
	}
}

/* What its answer means for a caller that waits for the events; 0: nothing. */
static int
cwn_session_answer(cwn_session *session, int events, short got)
{
	int result = 0;
	if ((events & CWN_CAN_READ) != 0) {
		if ((got & (POLLIN | POLLHUP | POLLERR)) != 0) {
			result |= CWN_CAN_READ; /* reading tells what it is */
		}
	} else if ((got & (POLLHUP | POLLERR)) != 0) {
		session->hung_up = true;
		result |= CWN_HUNG_UP;
	}
	if (((events & CWN_CAN_WRITE) != 0) && ((got & POLLOUT) != 0)) {
		result |= CWN_CAN_WRITE;
	}
	return result;
}

static cwn_park_result
cwn_session_park(cwn_session *session, uint64_t deadline)
{
	if (session->missed) {
		session->missed = false;
		cwn_seat_receive_again(session->seat);
	}
	return cwn_seat_wait(session->seat, deadline);
}

CWN_API int
cwn_session_wait(cwn_session *session, int events, int timeout_ms)
{
	uint64_t deadline = (timeout_ms < 0) ? 0 : cwn_now_ms() + (uint64_t)timeout_ms;

	if (session == NULL) {
		return CWN_HUNG_UP;
	}
	if (((events & CWN_CAN_READ) != 0) && (atomic_load(&session->early_size) > 0)) {
		return CWN_CAN_READ;
	}
	cwn_seat_end_turn(session->seat);
	for (;;) {
		struct mg_pollfd poller;
		bool woken;
		uint64_t until = deadline, keep_until = 0;
		int flushed = cwn_session_send_output(session);
		int result, ready;

		if (flushed < 0) {
			return CWN_HUNG_UP;
		}
		if ((flushed == 0) && (session->options.send_timeout_ms != 0)) {
			until = cwn_earlier(atomic_load(&session->stalled_at) + session->options.send_timeout_ms, until);
		}
		if ((events == CWN_CAN_READ) && (flushed == 1) && !atomic_load(&session->unread)
		    && cwn_seat_may_park(session->seat, &keep_until)) {
			switch (cwn_session_park(session, deadline)) {
			case CWN_PARK_WOKEN:
				return CWN_WOKEN_UP;
			case CWN_PARK_OVER:
				if (cwn_now_ms() >= deadline) {
					return 0;
				}
				continue;
			default:
				break;
			}
		}
		until = cwn_earlier(until, keep_until);
		cwn_session_ask(session, &poller, ((flushed == 0) ? CWN_CAN_WRITE : 0) | events);
		ready = cwn_session_poll(session, &poller, until, &woken);
		if ((flushed == 0) && (ready != 0)) {
			cwn_sender_enlist(session); /* the caller may call the application */
		}
		if (ready < 0) {
			return CWN_WOKEN_UP; /* or interrupted: the caller looks at everything */
		}
		if (ready == 0) {
			if ((deadline != 0) && (cwn_now_ms() >= deadline)) {
				return 0;
			}
			continue; /* the stalled output, or poll a moment early */
		}
		result = cwn_session_answer(session, events, poller.revents) | (woken ? CWN_WOKEN_UP : 0);
		if (result != 0) {
			cwn_seat_begin_turn(session->seat);
			return result;
		}
	}
}

CWN_API void
cwn_session_wake(cwn_session *session)
{
	if (session == NULL) {
		return;
	}
	pthread_mutex_lock(&session->state_lock);
	if (session->attached) {
		cwn_wake_set(&session->wake);
	}
	pthread_mutex_unlock(&session->state_lock);
}

CWN_API void
cwn_session_end(cwn_session *session, int linger_ms)
{
	struct mg_connection *conn;
	if ((session == NULL) || (session->conn == NULL)) {
		return;
	}
	conn = session->conn;
	while (cwn_session_send_output(session) == 0) {
		(void)cwn_session_wait_writable(session, cwn_now_ms() + 200);
	}
	/* Bytes that still come are discarded: leaders need not be told of them. */
	cwn_seat_end(session->seat);
	session->seat = NULL;
	if ((linger_ms > 0) && !atomic_load(&session->failed)) {
		char sink[1024];
		cwn_session_linger(session, sink, sizeof(sink), cwn_now_ms() + (uint64_t)linger_ms);
	}
	conn->data_len = conn->request_len;
	conn->must_close = 1;
	cwn_session_detach(session);
	cwn_wake_end(&session->wake);
	cwn_own_session = session->outer;
	cwn_session_release(session);
}
