/* What a session has to send, in the order in which it leaves, and how long its peer may
 * take for it. All functions here are called under send_lock, except
 * cwn_session_cut_if_stalled.
 *
 *   output   gathered, or what TLS has not taken; the oldest
 *   leaving  taken from the queue, perhaps sent in part
 *   queue    posted
 *   a frame of cwn_session_send, whose caller sends the others first
 *
 * stalled_at
 *   0 -> now     the socket takes nothing of what is left
 *   now -> now   the peer has taken CWN_PROGRESS bytes since: the time begins anew
 *   now -> 0     nothing is left */

/* Less than this many bytes are not progress: a peer that sends or takes a few
 * now and then must not hold a thread for ever. */
enum { CWN_PROGRESS = 4096 };

/* size bytes have left. */
static void
cwn_session_note_sent(cwn_session *session, size_t size)
{
	session->moved += size;
	if (session->moved >= CWN_PROGRESS) {
		session->moved = 0;
		if (atomic_load(&session->stalled_at) != 0) {
			atomic_store(&session->stalled_at, cwn_now_ms());
		}
	}
}

/* All bytes that wait for the peer. */
static size_t
cwn_session_left(cwn_session *session)
{
	return session->output_size - session->output_start + atomic_load(&session->queued);
}

/* An idle session keeps no buffers. */
static void
cwn_session_unlock_send(cwn_session *session)
{
	if (session->output_start == session->output_size) {
		mg_free(session->output);
		session->output = NULL;
		session->output_start = session->output_size = 0;
	}
	if (cwn_session_left(session) == 0) {
		session->moved = 0;
		atomic_store(&session->stalled_at, 0);
	}
	pthread_mutex_unlock(&session->send_lock);
}

/* Aborts a session whose peer has taken less than CWN_PROGRESS of what is left for too long. */
static bool
cwn_session_cut_if_stalled(cwn_session *session)
{
	uint64_t stalled_at = atomic_load(&session->stalled_at);
	uint32_t timeout = session->options.send_timeout_ms;
	if ((stalled_at == 0) || (timeout == 0) || (cwn_now_ms() - stalled_at < timeout)) {
		return false;
	}
	cwn_session_abort(session);
	return true;
}

/* Sends all parts, or aborts the session: half a frame must be the last thing
 * a stream carries. send_timeout_ms is for a peer that takes nothing; one that
 * goes on reading gets it all, however large. Under send_lock. */
static bool
cwn_session_send_parts(cwn_session *session, cwn_part *parts, int count)
{
	/* poll calls a socket writable when much of its buffer is free, which for a
	 * slow peer can take long; a try now and then finds what is free before. */
	enum { TRY_AGAIN_MS = 500 };
	uint64_t deadline = 0;
	size_t progress = 0;

	while (count > 0) {
		int n;
		if (atomic_load(&session->failed)) {
			return false;
		}
		n = cwn_session_try_send(session, parts, (session->ssl != NULL) ? 1 : count);
		if (n == -1) {
			if ((deadline == 0) && (session->options.send_timeout_ms != 0)) {
				deadline = cwn_now_ms() + session->options.send_timeout_ms;
			}
			if ((deadline != 0) && (cwn_now_ms() >= deadline)) {
				n = -2;
			} else {
				uint64_t again = cwn_now_ms() + TRY_AGAIN_MS;
				(void)cwn_session_wait_writable(session,
				                                ((deadline != 0) && (deadline < again))
				                                    ? deadline
				                                    : again);
			}
		}
		if (n == -2) {
			cwn_session_abort(session);
			return false;
		}
		if (n > 0) {
			cwn_session_note_sent(session, (size_t)n);
			progress += (size_t)n;
			if (progress >= CWN_PROGRESS) {
				progress = 0;
				deadline = 0;
			}
		}
		while ((count > 0) && (n >= 0) && ((size_t)n >= parts->size)) {
			n -= (int)parts->size;
			parts++;
			count--;
		}
		if ((count > 0) && (n > 0)) {
			parts->data += n;
			parts->size -= (size_t)n;
		}
	}
	return true;
}

/* Makes leaving hold what is to be sent next; false when nothing is. Under
 * send_lock. */
static bool
cwn_session_next_queued(cwn_session *session)
{
	if (session->leaving.start < session->leaving.end) {
		return true;
	}
	if (atomic_load(&session->queued) == 0) {
		return false;
	}
	pthread_mutex_lock(&session->queue_lock);
	session->leaving = session->queue;
	memset(&session->queue, 0, sizeof(session->queue));
	pthread_mutex_unlock(&session->queue_lock);
	return session->leaving.start < session->leaving.end;
}

static void
cwn_session_queue_sent(cwn_session *session, size_t size)
{
	CWN_ASSERT((size <= session->leaving.end - session->leaving.start) && (size <= atomic_load(&session->queued)));
	session->leaving.start += size;
	if (session->leaving.start == session->leaving.end) {
		cwn_bytes_free(&session->leaving);
	}
	atomic_fetch_sub(&session->queued, size);
}

/* Sends what was gathered, waiting for the peer if it has to. Under send_lock. */
static bool
cwn_session_flush_output(cwn_session *session)
{
	cwn_part part;
	part.size = session->output_size - session->output_start;
	if (part.size == 0) {
		return true;
	}
	part.data = session->output + session->output_start;
	session->output_start = session->output_size = 0;
	return cwn_session_send_parts(session, &part, 1);
}

/* The same with what was posted. Under send_lock. */
static bool
cwn_session_send_queue(cwn_session *session)
{
	while (cwn_session_next_queued(session)) {
		cwn_part part;
		size_t size = session->leaving.end - session->leaving.start;
		part.data = session->leaving.data + session->leaving.start;
		part.size = size;
		if (!cwn_session_send_parts(session, &part, 1)) {
			return false;
		}
		cwn_session_queue_sent(session, size);
	}
	return true;
}

/* Sends as much of what is left as the socket takes now. 1: all; 0: some is left; -1: failed.
 * Under send_lock. */
static int
cwn_session_try_left(cwn_session *session)
{
	while (!atomic_load(&session->failed)) {
		bool gathered = session->output_start < session->output_size;
		cwn_part part;
		int n;
		if (gathered) {
			part.data = session->output + session->output_start;
			part.size = session->output_size - session->output_start;
		} else if (cwn_session_next_queued(session)) {
			part.data = session->leaving.data + session->leaving.start;
			part.size = session->leaving.end - session->leaving.start;
		} else {
			return 1;
		}
		n = cwn_session_try_send(session, &part, 1);
		if (n == -1) {
			if (atomic_load(&session->stalled_at) == 0) {
				session->moved = 0;
				atomic_store(&session->stalled_at, cwn_now_ms());
			}
			return 0;
		}
		if (n == -2) {
			cwn_session_abort(session);
			break;
		}
		cwn_session_note_sent(session, (size_t)n);
		if (gathered) {
			session->output_start += (size_t)n;
			if (session->output_start == session->output_size) {
				session->output_start = session->output_size = 0;
			}
		} else {
			cwn_session_queue_sent(session, (size_t)n);
		}
	}
	return -1;
}

static bool
cwn_session_append(cwn_session *session, const unsigned char *data, size_t size)
{
	if (session->output == NULL) {
		session->output = (unsigned char *)mg_malloc(CWN_OUTPUT_SIZE);
		if (session->output == NULL) {
			return false;
		}
	}
	CWN_ASSERT(size <= CWN_OUTPUT_SIZE - session->output_size);
	memcpy(session->output + session->output_size, data, size);
	session->output_size += size;
	return true;
}

/* TLS: through the output buffer, so that a frame up to 16 KiB is one record. */
static bool
cwn_session_send_buffered(cwn_session *session,
                          const unsigned char *data,
                          size_t size)
{
	while (size > 0) {
		size_t room = CWN_OUTPUT_SIZE - session->output_size;
		size_t n = (size < room) ? size : room;
		if (!cwn_session_append(session, data, n)) {
			cwn_session_abort(session);
			return false;
		}
		data += n;
		size -= n;
		if ((session->output_size == CWN_OUTPUT_SIZE)
		    && !cwn_session_flush_output(session)) {
			return false;
		}
	}
	return true;
}
