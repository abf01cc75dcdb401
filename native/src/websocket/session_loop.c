/* The loop that drives a session: wait, receive, hand out, mind the deadlines. */

typedef enum cwn_wait_result {
	CWN_READABLE,
	CWN_WRITABLE, /* only waited for while frames are queued */
	CWN_WOKEN,
	CWN_TIMED_OUT
} cwn_wait_result;

/* Whether there is more to wait for than input, which a leader would not see. */
static bool
cwn_loop_is_busy(const cwn_loop *loop)
{
	cwn_session *session = loop->session;
	return (atomic_load(&session->stalled_at) != 0) || (atomic_load(&session->queued) != 0)
	       || atomic_load(&session->close_sent) || atomic_load(&session->failed)
	       || (atomic_load(&session->requested_close) != 0);
}

/* deadline 0: none. */
static cwn_wait_result
cwn_loop_wait(cwn_loop *loop, uint64_t deadline)
{
	cwn_session *session = loop->session;
	struct mg_pollfd poller;
	bool woken;
	int result;
	uint64_t keep_until = 0;
	if (atomic_load(&session->close_sent)) {
		/* No leader runs it any more: leaders need not be told of input. */
		cwn_seat_disarm(session->seat);
	}
	if (!cwn_loop_is_busy(loop) && cwn_seat_may_park(session->seat, &keep_until)) {
		switch (cwn_seat_wait(session->seat, deadline)) {
		case CWN_PARK_OVER:
			return CWN_TIMED_OUT;
		case CWN_PARK_WOKEN:
			return CWN_WOKEN;
		default:
			break;
		}
	}
	deadline = cwn_earlier(deadline, keep_until);
	poller.fd = session->sock;
	poller.events = POLLIN;
	if (atomic_load(&session->stalled_at) != 0) {
		poller.events |= POLLOUT;
	}
	result = cwn_session_poll(session, &poller, deadline, &woken);
	if (result == 0) {
		return CWN_TIMED_OUT;
	}
	/* Input goes first: threads that wake this one all the time must not keep
	 * it from reading. Every turn looks at what a wake can mean. */
	if (woken && (poller.revents == 0)) {
		return CWN_WOKEN;
	}
	if ((poller.revents & (POLLIN | POLLOUT)) == POLLOUT) {
		return CWN_WRITABLE;
	}
	/* An interrupted poll counts as readable: receiving then would block. */
	return CWN_READABLE;
}

/* Sends what is left as far as the peer takes it. */
static void
cwn_loop_send_left(cwn_session *session)
{
	bool left;
	if ((atomic_load(&session->stalled_at) == 0) && (atomic_load(&session->queued) == 0)) {
		return;
	}
	do {
		pthread_mutex_lock(&session->send_lock);
		(void)cwn_session_try_left(session);
		cwn_session_unlock_send(session);
		/* One of the two sees what the other has written: this, or cwn_session_post, which
		 * found the lock taken. What is left and has not stalled came since. */
		atomic_store(&session->queue_watched, false);
		left = atomic_load(&session->queued) > 0;
		atomic_store(&session->queue_watched, left);
	} while (left && (atomic_load(&session->stalled_at) == 0) && !atomic_load(&session->failed));
}

/* When the loop has to act even if nothing comes; 0: never. */
static uint64_t
cwn_loop_deadline(const cwn_loop *loop)
{
	const cwn_session_options *options = &loop->session->options;
	uint64_t stalled_at = atomic_load(&loop->session->stalled_at);
	uint64_t deadline = 0;

	if (atomic_load(&loop->session->close_sent)) {
		return loop->session->close_deadline;
	}
	if ((stalled_at != 0) && (options->send_timeout_ms != 0)) {
		deadline = stalled_at + options->send_timeout_ms;
	}
	if ((options->ping_interval_ms != 0) && !loop->pings_over) {
		if (!loop->ping_unanswered) {
			deadline =
			    cwn_earlier(deadline, loop->progress_at + options->ping_interval_ms);
		} else if (options->pong_timeout_ms != 0) {
			deadline = cwn_earlier(deadline, loop->ping_at + options->pong_timeout_ms);
		}
	}
	if ((options->frame_timeout_ms != 0)
	    && cwn_reader_is_inside_frame(&loop->reader)) {
		deadline =
		    cwn_earlier(deadline, loop->progress_at + options->frame_timeout_ms);
	}
	return deadline;
}

/* A deadline has passed. False when that ends the connection. */
static bool
cwn_loop_handle_timeout(cwn_loop *loop)
{
	cwn_session *session = loop->session;
	const cwn_session_options *options = &session->options;

	if (!atomic_load(&session->close_sent)
	    && (options->ping_interval_ms != 0) && !loop->ping_unanswered && !loop->pings_over
	    && (cwn_now_ms() >= loop->progress_at + options->ping_interval_ms)) {
		cwn_reader *reader = &loop->reader;
		if ((reader->message_opcode == 0) && !cwn_reader_is_inside_frame(reader)) {
			/* An idle connection frees the buffers of a busy time. */
			cwn_reader_free(reader);
		}
		loop->ping_unanswered = true;
		loop->ping_at = cwn_now_ms();
		/* Posted: the loop must not wait for a peer that may be gone. Not taken when
		 * another thread is closing: its Close frame is on its way, within the time-outs
		 * of sending, and its end wakes the loop. */
		loop->pings_over = cwn_session_post(session, CWN_OPCODE_PING, NULL, 0) != 0;
		return !atomic_load(&session->failed);
	}
	/* No answer to a ping, queued frames not taken, a frame begun and not
	 * continued, or no Close: the peer is gone or pretends to be. */
	cwn_session_abort(session);
	return false;
}

typedef enum cwn_receive_result {
	CWN_RECEIVED,
	CWN_NOTHING_THERE,
	CWN_RECEIVE_OVER
} cwn_receive_result;

/* Receives once and hands out what is complete. */
static cwn_receive_result
cwn_loop_receive(cwn_loop *loop)
{
	size_t size;
	unsigned char *space = cwn_reader_space(&loop->reader, &size);
	if (space != NULL) {
		int n = cwn_session_receive(loop->session, space, size, &loop->receive_first);
		if (n <= 0) {
			return (n == -1) ? CWN_NOTHING_THERE : CWN_RECEIVE_OVER;
		}
		cwn_reader_commit(&loop->reader, (size_t)n);
		loop->trickle += (size_t)n;
		if (loop->trickle >= CWN_PROGRESS) {
			cwn_loop_note_progress(loop);
		}
	}
	return cwn_loop_drain_input(loop) ? CWN_RECEIVED : CWN_RECEIVE_OVER;
}

/* One turn on the own thread: waits if it has to, receives once. False when it is
 * over. */
static bool
cwn_loop_step(cwn_loop *loop)
{
	cwn_session *session = loop->session;
	uint64_t deadline;
	bool alive;

	cwn_loop_send_left(session);
	deadline = cwn_loop_deadline(loop);

	/* A peer that trickles, sends on after our Close, or sends without reading,
	 * keeps the socket readable: its deadline must not depend on silence. */
	if ((deadline != 0)
	    && ((loop->trickle > 0) || (atomic_load(&session->stalled_at) != 0)
	        || atomic_load(&session->close_sent))
	    && (cwn_now_ms() >= deadline)) {
		return cwn_loop_handle_timeout(loop);
	}

	if (!loop->receive_first) {
		cwn_wait_result result = cwn_loop_wait(loop, deadline);
		int requested = atomic_load(&session->requested_close);
		if (loop->over || atomic_load(&session->failed)) {
			return false;
		}
		if (result == CWN_TIMED_OUT) {
			/* poll may wake a moment early by the resolution of our clock, and earlier than the
			 * deadline because of the seat; and others may have sent since. */
			cwn_loop_send_left(session);
			deadline = cwn_loop_deadline(loop);
			return (deadline == 0) || (cwn_now_ms() < deadline)
			       || cwn_loop_handle_timeout(loop);
		}
		if (requested != 0) {
			(void)cwn_session_close(session, requested, NULL, 0);
		}
		if (result != CWN_READABLE) {
			return true;
		}
	}
	if (atomic_load(&session->stalled_at) != 0) {
		cwn_sender_enlist(session); /* the application may take its time */
	}
	cwn_seat_begin_turn(session->seat);
	alive = cwn_loop_receive(loop) != CWN_RECEIVE_OVER;
	cwn_seat_end_turn(session->seat);
	return alive;
}

/* One turn on a leader's thread. until_empty: not only as long as a full buffer says
 * that there is more. */
static int
cwn_loop_lead(void *user_data, const cwn_leader *leader, bool until_empty)
{
	cwn_loop *loop = (cwn_loop *)user_data;
	uint64_t deadline;
	do {
		cwn_receive_result result = cwn_loop_receive(loop);
		if (result == CWN_RECEIVE_OVER) {
			loop->over = true;
			return CWN_TURN_OWN;
		}
		if (result == CWN_NOTHING_THERE) {
			break;
		}
		if (cwn_loop_is_busy(loop) || cwn_leader_is_late(leader)) {
			return CWN_TURN_OWN;
		}
	} while (loop->receive_first || until_empty);
	deadline = cwn_loop_deadline(loop);
	return cwn_seat_is_parked_for(loop->session->seat, deadline) ? CWN_TURN_DONE : CWN_TURN_OWN;
}

static void
cwn_loop_linger(cwn_loop *loop)
{
	enum { AFTER_BOTH_CLOSES_MS = 250 };
	cwn_session *session = loop->session;
	uint64_t deadline = session->close_deadline;

	/* With both Close frames exchanged nothing is left to come but the end, and
	 * a peer that does not hang up must not hold the thread for it. */
	if (loop->close_received && (deadline > cwn_now_ms() + AFTER_BOTH_CLOSES_MS)) {
		deadline = cwn_now_ms() + AFTER_BOTH_CLOSES_MS;
	}
	if (!cwn_session_linger(session, loop->reader.input, loop->reader.capacity, deadline)
	    && !loop->close_received) {
		cwn_session_abort(session);
	}
}

static void
cwn_loop_init(cwn_loop *loop, cwn_session *session, mg_websocket_data_handler handler, void *user_data)
{
	memset(loop, 0, sizeof(*loop));
	loop->session = session;
	loop->handler = handler;
	loop->user_data = user_data;
	loop->progress_at = cwn_now_ms();
}

CWN_API void
cwn_session_run(cwn_session *session,
                mg_websocket_data_handler handler,
                void *user_data)
{
	enum { MIN_INPUT = 4096 };
	struct mg_connection *conn = session->conn;
	cwn_session *outer = cwn_own_session;
	unsigned char *own_input = NULL;
	unsigned char *input = (unsigned char *)conn->buf + conn->request_len;
	size_t capacity = (size_t)(conn->buf_size - conn->request_len);
	size_t length = (size_t)(conn->data_len - conn->request_len);
	cwn_loop loop;

	cwn_loop_init(&loop, session, handler, user_data);

	/* What CivetWeb has read behind the request is the first input, and the
	 * rest of its request buffer makes a good input buffer: an idle session
	 * then needs no memory of its own. */
	if (capacity < MIN_INPUT) {
		own_input = (unsigned char *)mg_malloc(MIN_INPUT);
		if (own_input == NULL) {
			conn->must_close = 1;
			cwn_session_detach(session);
			return;
		}
		memcpy(own_input, input, length);
		input = own_input;
		capacity = MIN_INPUT;
	}
	cwn_reader_init(&loop.reader,
	                input,
	                capacity,
	                length,
	                session->options.max_message_size);

	atomic_fetch_add(&session->references, 1);
	cwn_own_session = session;
	cwn_wake_begin(&session->wake);
	loop.receive_first = (session->ssl != NULL);
	if (cwn_loop_drain_input(&loop)) {
		session->seat = cwn_seat_begin(session, cwn_loop_lead, &loop);
		while (cwn_loop_step(&loop)) {
		}
		cwn_seat_end(session->seat);
		session->seat = NULL;
	}
	if (atomic_load(&session->close_sent) && !atomic_load(&session->failed)) {
		cwn_loop_linger(&loop);
	}

	/* CivetWeb's loop, which follows, ends at once; so does keep-alive. */
	conn->data_len = conn->request_len;
	conn->must_close = 1;
	cwn_session_detach(session);
	cwn_wake_end(&session->wake);
	cwn_own_session = outer;
	cwn_reader_free(&loop.reader);
	mg_free(own_input);
	cwn_session_release(session);
}
