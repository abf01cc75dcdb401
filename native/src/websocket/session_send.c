/* Frames out: two ways to send one, and the Close frame.
 *
 * cwn_session_send waits for a slow peer. cwn_session_post never waits: what the socket
 * does not take at once stays in a bounded queue, which the session's own thread empties
 * as the peer reads, or the sender (engine/sender.c) while that thread is busy with the
 * application. Frames leave in the order of the calls. */

/* Under send_lock; the caller has checked that a frame may be sent. */
static bool
cwn_session_send_frame(cwn_session *session,
                       int opcode,
                       const unsigned char *data,
                       size_t size)
{
	unsigned char header[CWN_MAX_HEADER];
	size_t header_size = cwn_write_header(header, opcode, size);
	cwn_part parts[CWN_MAX_PARTS];
	int count = 0;

	/* What is older goes first. Not later, in the middle of this frame: others post
	 * meanwhile. */
	if ((atomic_load(&session->queued) > 0)
	    && (!cwn_session_flush_output(session) || !cwn_session_send_queue(session))) {
		return false;
	}
	if ((cwn_own_session == session) && session->gather
	    && (session->output_size + header_size + size <= CWN_OUTPUT_SIZE)
	    && cwn_session_hold(session)) {
		if (cwn_session_append(session, header, header_size)) {
			session->gathered = true;
			return (size == 0) || cwn_session_append(session, data, size);
		}
	}

	if (session->ssl != NULL) {
		return cwn_session_send_buffered(session, header, header_size)
		       && cwn_session_send_buffered(session, data, size)
		       && cwn_session_flush_output(session);
	}

	if (session->output_start < session->output_size) {
		parts[count].data = session->output + session->output_start;
		parts[count++].size = session->output_size - session->output_start;
		session->output_start = session->output_size = 0;
	}
	parts[count].data = header;
	parts[count++].size = header_size;
	if (size > 0) {
		parts[count].data = data;
		parts[count++].size = size;
	}
	return cwn_session_send_parts(session, parts, count);
}

/* Under send_lock. */
static bool
cwn_session_can_send(const cwn_session *session)
{
	return session->attached && !atomic_load(&session->close_sent)
	       && !atomic_load(&session->failed);
}

CWN_API int
cwn_session_send(cwn_session *session, int opcode, const char *data, size_t size)
{
	bool sent = false;
	if ((session == NULL) || (size > INT_MAX) || ((data == NULL) && (size > 0))) {
		return -1;
	}
	pthread_mutex_lock(&session->send_lock);
	if (cwn_session_can_send(session)) {
		sent = cwn_session_send_frame(session,
		                              opcode,
		                              (const unsigned char *)data,
		                              size);
	}
	cwn_session_unlock_send(session);
	return sent ? (int)size : -1;
}

CWN_API int
cwn_session_post(cwn_session *session, int opcode, const char *data, size_t size)
{
	unsigned char header[CWN_MAX_HEADER];
	size_t header_size;
	int result = -1;
	bool full = false;

	if ((session == NULL) || (size > INT_MAX) || ((data == NULL) && (size > 0))) {
		return -1;
	}
	header_size = cwn_write_header(header, opcode, size);
	pthread_mutex_lock(&session->queue_lock);
	if (session->open_for_posts) {
		size_t total = header_size + size;
		size_t limit = session->options.max_queue_size;
		size_t waiting = atomic_load(&session->queued);
		size_t end = session->queue.end;
		/* One frame may always wait, however large. */
		full = (waiting > 0) && ((waiting > limit) || (total > limit - waiting));
		if (!full && cwn_bytes_append(&session->queue, header, header_size)) {
			if (cwn_bytes_append(&session->queue, (const unsigned char *)data, size)) {
				atomic_fetch_add(&session->queued, total);
				result = (int)size;
			} else {
				session->queue.end = end;
			}
		}
	}
	pthread_mutex_unlock(&session->queue_lock);
	if (full) {
		/* A peer that is this far behind will not catch up, and leaving frames
		 * out would break what the application says to it. */
		cwn_session_abort(session);
	}
	if (result < 0) {
		return -1;
	}

	/* Usually the socket takes it at once. Another thread that is sending, or a socket
	 * that is full, leaves it to the session's own thread, and to the sender while
	 * that is busy. */
	if (pthread_mutex_trylock(&session->send_lock) == 0) {
		if (session->attached) {
			(void)cwn_session_try_left(session);
		}
		cwn_session_unlock_send(session);
	}
	if (atomic_load(&session->queued) > 0) {
		cwn_sender_enlist(session);
	}
	if ((atomic_load(&session->queued) > 0) && !atomic_load(&session->queue_watched)) {
		pthread_mutex_lock(&session->state_lock);
		if (session->attached) {
			cwn_wake_set(&session->wake);
		}
		pthread_mutex_unlock(&session->state_lock);
	}
	return result;
}

/* By the thread that has the turn. */
static bool
cwn_session_flush(cwn_session *session)
{
	bool ok;
	session->gather = false;
	if (!session->gathered) {
		return true;
	}
	session->gathered = false;
	cwn_session_hold_ends(session);
	pthread_mutex_lock(&session->send_lock);
	ok = cwn_session_flush_output(session);
	cwn_session_unlock_send(session);
	return ok;
}

CWN_API int
cwn_session_close(cwn_session *session,
                  int code,
                  const char *reason,
                  size_t reason_size)
{
	unsigned char payload[CWN_MAX_CONTROL];
	size_t size = 0;
	int result = -1;

	if ((session == NULL) || (reason_size > sizeof(payload) - 2)) {
		return -1;
	}
	if (code != 0) {
		payload[0] = (unsigned char)(code >> 8);
		payload[1] = (unsigned char)code;
		if (reason_size > 0) {
			memcpy(payload + 2, reason, reason_size);
		}
		size = 2 + reason_size;
	}

	pthread_mutex_lock(&session->send_lock);
	if (cwn_session_can_send(session)) {
		if (cwn_own_session == session) {
			/* The last frame: nothing is worth waiting for behind it. */
			session->gather = false;
		}
		/* What was posted before goes out before; nothing follows a Close. */
		pthread_mutex_lock(&session->queue_lock);
		session->open_for_posts = false;
		pthread_mutex_unlock(&session->queue_lock);
		pthread_mutex_lock(&session->state_lock);
		session->info.local_code = (code != 0) ? code : 1005;
		pthread_mutex_unlock(&session->state_lock);
		if (cwn_session_send_frame(session, CWN_OPCODE_CLOSE, payload, size)) {
			result = 0;
		}
		session->close_deadline =
		    (session->options.close_timeout_ms == 0)
		        ? UINT64_MAX
		        : cwn_now_ms() + session->options.close_timeout_ms;
		atomic_store(&session->close_sent, true);
		if (cwn_own_session != session) {
			/* The loop has to learn the deadline. */
			cwn_wake_set(&session->wake);
		}
	}
	cwn_session_unlock_send(session);
	return result;
}

CWN_API void
cwn_session_request_close(cwn_session *session, int code)
{
	int none = 0;
	if (session == NULL) {
		return;
	}
	pthread_mutex_lock(&session->state_lock);
	if (session->attached
	    && atomic_compare_exchange_strong(&session->requested_close, &none, code)) {
		cwn_wake_set(&session->wake);
	}
	pthread_mutex_unlock(&session->state_lock);
}

CWN_API int
cwn_session_is_open(cwn_session *session)
{
	bool open;
	if (session == NULL) {
		return 0;
	}
	pthread_mutex_lock(&session->state_lock);
	open = cwn_session_can_send(session);
	pthread_mutex_unlock(&session->state_lock);
	return open ? 1 : 0;
}

CWN_API void
cwn_session_get_info(cwn_session *session, cwn_session_info *info)
{
	if ((session == NULL) || (info == NULL)
	    || (info->size != sizeof(cwn_session_info))) {
		return;
	}
	pthread_mutex_lock(&session->state_lock);
	*info = session->info;
	pthread_mutex_unlock(&session->state_lock);
}
