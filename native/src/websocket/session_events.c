/* What a session does with each frame that was read: it answers, and calls the application
 * (RFC 6455, sections 5.4 and 5.5). */

/* What the loop alone knows. */
typedef struct cwn_loop {
	cwn_session *session;
	cwn_reader reader;
	mg_websocket_data_handler handler;
	void *user_data;
	bool receive_first;   /* more is likely there: do not poll before */
	bool close_received;
	bool ping_unanswered;
	bool pings_over;
	uint64_t progress_at; /* last sign of life that counts */
	size_t trickle;       /* bytes since then that were not */
	uint64_t ping_at;
	bool over;      /* a leader has seen the end */
} cwn_loop;

static void
cwn_loop_note_close(cwn_loop *loop, int code, const unsigned char *reason, size_t size)
{
	cwn_session_info *info = &loop->session->info;
	pthread_mutex_lock(&loop->session->state_lock);
	info->remote_code = code;
	memcpy(info->reason, reason, size);
	info->reason[size] = 0;
	info->reason_size = (uint32_t)size;
	pthread_mutex_unlock(&loop->session->state_lock);
}

static void
cwn_loop_fail(cwn_loop *loop, int code, const char *reason)
{
	(void)cwn_session_close(loop->session, code, reason, strlen(reason));
}

/* Calls the application, unless closing has begun: nothing is delivered after
 * it. Returns false when it wants no more. */
static bool
cwn_loop_deliver(cwn_loop *loop, const cwn_event *event)
{
	if (atomic_load(&loop->session->close_sent)) {
		return true;
	}
	/* The callback type is CivetWeb's: char pointer, never NULL. */
	return loop->handler(loop->session->conn,
	                     event->opcode,
	                     (event->size > 0) ? (char *)(uintptr_t)event->data
	                                       : (char *)(uintptr_t) "",
	                     event->size,
	                     loop->user_data)
	       != 0;
}

static bool
cwn_loop_handle_close(cwn_loop *loop, const cwn_event *event)
{
	int error;
	int code = cwn_parse_close(event->data, event->size, &error);
	if (error != 0) {
		cwn_loop_fail(loop,
		              error,
		              (error == 1007) ? "close reason is not valid UTF-8"
		                              : "invalid close frame");
		return false;
	}
	loop->close_received = true;
	if (event->size > 2) {
		cwn_loop_note_close(loop, code, event->data + 2, event->size - 2);
	} else {
		cwn_loop_note_close(loop, code, (const unsigned char *)"", 0);
	}
	(void)cwn_loop_deliver(loop, event);
	/* Section 5.5.1: the answer carries the code received. */
	(void)cwn_session_close(loop->session, (code == 1005) ? 0 : code, NULL, 0);
	return false;
}

/* False when the connection is over. */
static bool
cwn_loop_handle(cwn_loop *loop, const cwn_event *event)
{
	cwn_session *session = loop->session;

	switch (event->opcode) {
	case CWN_OPCODE_CLOSE:
		return cwn_loop_handle_close(loop, event);
	case CWN_OPCODE_PING:
		(void)cwn_session_send(session,
		                       CWN_OPCODE_PONG,
		                       (const char *)event->data,
		                       event->size);
		break;
	case CWN_OPCODE_PONG:
		loop->ping_unanswered = false;
		break;
	default:
		break;
	}
	if (!cwn_loop_deliver(loop, event)) {
		(void)cwn_session_close(session, 1000, NULL, 0);
	}
	return true;
}

/* The peer has given a sign of life that counts. */
static void
cwn_loop_note_progress(cwn_loop *loop)
{
	loop->progress_at = cwn_now_ms();
	loop->trickle = 0;
	loop->ping_unanswered = false;
}

/* Hands out all that has been received. False when the connection is over. */
static bool
cwn_loop_drain_input(cwn_loop *loop)
{
	cwn_session *session = loop->session;
	bool worked = false;
	bool alive = true;

	while (alive) {
		cwn_event event;
		cwn_event_kind kind = cwn_reader_next(&loop->reader, &event);
		int requested;

		if (kind == CWN_NEED_BYTES) {
			break;
		}
		worked = true;
		if (kind == CWN_BROKEN) {
			cwn_loop_fail(loop, event.code, event.reason);
			alive = false;
			break;
		}
		/* While more input is waiting its answers travel together; the answer
		 * to the last goes at once, however long its callback takes. */
		session->gather = cwn_reader_has_frame(&loop->reader);
		alive = cwn_loop_handle(loop, &event);
		requested = atomic_load(&session->requested_close);
		if (requested != 0) {
			(void)cwn_session_close(session, requested, NULL, 0);
		}
		if (atomic_load(&session->failed)) {
			alive = false;
		}
	}

	if (!cwn_session_flush(session)) {
		return false;
	}
	if (worked) {
		/* Callbacks may take their time; the peer is not to blame for it. */
		cwn_loop_note_progress(loop);
	}
	return alive;
}
