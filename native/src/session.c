/* A session drives one upgraded connection and outlives it.
 *
 * Memory: reference-counted. The creator holds one reference, the running loop
 * another, so a handle kept for ever points to a small dead struct, never to a
 * connection slot that serves somebody else by now.
 *
 * Threads: cwn_session_run belongs to the connection's own thread, though leaders
 * may run the turns inside it (leaders.c); "own" below is whoever does. Everything
 * else may be called by any thread at any time. Four locks, always taken in
 * this order:
 *   send_lock   whole frames, one after the other; held while a frame waits for
 *               a slow peer (bounded by send_timeout_ms). Left with
 *               cwn_session_unlock_send
 *   queue_lock  short: frames posted, not sent yet
 *   state_lock  short: the socket is still ours; closing asked for
 *   tls_lock    short: OpenSSL must not read and write one SSL at once
 *
 * Two ways to send. cwn_session_send waits for a slow peer. cwn_session_post
 * never waits: what the socket does not take at once stays in a bounded queue
 * that the session's own thread empties as the peer reads, or the sender (sender.c)
 * while that thread is busy with the application. Frames leave in the order of the
 * calls: output, where frames are gathered, is older than leaving, and that older
 * than queue, because whoever sends a frame sends these first.
 *
 * States, and who moves them:
 *   open       frames go both ways
 *   closing    close_sent: our Close frame is out; any thread under send_lock
 *   failed     a write failed or timed out, or somebody aborted: the socket is
 *              shut down, the loop ends at its next step; any thread
 *   detached   the loop is over; only the loop, under send_lock and state_lock
 */

enum { CWN_OUTPUT_SIZE = 16 * 1024 };

/* SSL_ctrl and SSL_CTX_ctrl; CivetWeb has no names for these. */
#define CWN_SSL_CTRL_MODE 33
#define CWN_SSL_MODE_RELEASE_BUFFERS 0x10L

typedef struct cwn_seat cwn_seat; /* leaders.c */

/* Bytes in the order they are to be sent; [start, end) is left. */
typedef struct cwn_bytes {
	unsigned char *data;
	size_t start, end, capacity;
} cwn_bytes;

struct cwn_session {
	atomic_int references;
	cwn_session_options options;

	pthread_mutex_t send_lock;
	pthread_mutex_t queue_lock;
	pthread_mutex_t state_lock;
	pthread_mutex_t tls_lock;

	/* under state_lock to change; detaching also holds send_lock */
	struct mg_connection *conn;
	SOCKET sock;
	SSL *ssl;
	cwn_wake wake;
	bool attached;

	/* held.c */
	atomic_uint held;
	atomic_bool held_listed;
	unsigned held_seen;
	cwn_session *held_next, **held_link;

	/* whoever has the turn (leaders.c): the own thread or a leader */
	bool gather;   /* more input is waiting, so output may */
	bool gathered; /* something does */
	cwn_session *outer; /* what this thread ran before */

	/* of a transport (session_pull.c), on the own thread or under state_lock */
	unsigned char *early; /* input that came with the request */
	atomic_size_t early_size; /* waiting looks at it without the lock */
	atomic_bool unread; /* no event will tell of what the last read may have left */
	atomic_bool emptied; /* the last read has found nothing */
	bool missed; /* a turn in which nobody read; whoever has the turn */
	bool hung_up;
	cwn_turn_handler turn;
	void *turn_data;
	cwn_seat *seat; /* NULL: no leader runs it */

	/* under send_lock to change */
	atomic_bool close_sent;
	unsigned char *output;
	size_t output_start; /* sent before it */
	size_t output_size;
	size_t moved; /* what the peer has taken since stalled_at was set */
	_Atomic uint64_t stalled_at; /* since when it takes nothing of what is left; 0: it does */
	uint64_t close_deadline;
	cwn_bytes leaving; /* taken from the queue, partly sent */

	/* under queue_lock to change */
	bool open_for_posts;
	cwn_bytes queue;
	atomic_size_t queued; /* bytes of queue and leaving together */
	atomic_bool queue_watched; /* the own thread waits for room already, or looks soon */

	/* under cwn_sender.lock (sender.c) */
	cwn_session *previous_enlisted, *next_enlisted;
	bool enlisted, forgotten;
	atomic_bool attended; /* the own thread polls the socket for what is left */

	atomic_bool failed;
	atomic_int requested_close; /* code, 0 = none */

	/* how it ended, under state_lock */
	cwn_session_info info;
};

static atomic_llong cwn_sessions_alive;

static void cwn_sender_enlist(cwn_session *session);
static void cwn_sender_forget(cwn_session *session);

/* The session this thread is running, if any: only its own output may wait. */
static CWN_THREAD_LOCAL cwn_session *cwn_own_session;

CWN_API int64_t
cwn_session_count(void)
{
	return (int64_t)atomic_load(&cwn_sessions_alive);
}

CWN_API cwn_session *
cwn_session_create(struct mg_connection *conn, const cwn_session_options *options)
{
	cwn_session *session;

	if ((conn == NULL) || (options == NULL)
	    || (options->size != sizeof(cwn_session_options))) {
		return NULL;
	}
	session = (cwn_session *)mg_calloc(1, sizeof(*session));
	if (session == NULL) {
		return NULL;
	}
	if (!cwn_wake_create(&session->wake)) {
		mg_free(session);
		return NULL;
	}
	cwn_socket_cork(conn->client.sock, 0);
	if (conn->ssl != NULL) {
		/* OpenSSL's 34 KB for each connection, most of which are idle. */
		(void)SSL_ctrl(conn->ssl, CWN_SSL_CTRL_MODE, CWN_SSL_MODE_RELEASE_BUFFERS, NULL);
	}
	atomic_init(&session->references, 1);
	session->options = *options;
	pthread_mutex_init(&session->send_lock, NULL);
	pthread_mutex_init(&session->queue_lock, NULL);
	pthread_mutex_init(&session->state_lock, NULL);
	pthread_mutex_init(&session->tls_lock, NULL);
	session->conn = conn;
	session->sock = conn->client.sock;
	session->ssl = conn->ssl;
	session->attached = true;
	session->open_for_posts = true;
	session->info.size = sizeof(session->info);
	atomic_fetch_add(&cwn_sessions_alive, 1);
	return session;
}

static void
cwn_bytes_free(cwn_bytes *bytes)
{
	mg_free(bytes->data);
	memset(bytes, 0, sizeof(*bytes));
}

static bool
cwn_bytes_append(cwn_bytes *bytes, const unsigned char *data, size_t size)
{
	if (bytes->capacity - bytes->end < size) {
		size_t capacity = (bytes->capacity == 0) ? 4096 : bytes->capacity;
		unsigned char *grown;
		while (capacity - bytes->end < size) {
			capacity *= 2;
		}
		grown = (unsigned char *)mg_realloc(bytes->data, capacity);
		if (grown == NULL) {
			return false;
		}
		bytes->data = grown;
		bytes->capacity = capacity;
	}
	if (size > 0) {
		memcpy(bytes->data + bytes->end, data, size);
	}
	bytes->end += size;
	return true;
}

static bool cwn_session_hold(cwn_session *session); /* held.c */
static void cwn_session_hold_ends(cwn_session *session);
static void cwn_held_leave(cwn_session *session);

/* Forgets the connection. From here on no thread can reach its socket. */
static void
cwn_session_detach(cwn_session *session)
{
	cwn_held_leave(session);
	cwn_sender_forget(session);
	pthread_mutex_lock(&session->send_lock);
	pthread_mutex_lock(&session->state_lock);
	if (session->attached) {
		session->attached = false;
		session->conn = NULL;
		session->ssl = NULL;
		session->sock = INVALID_SOCKET;
		cwn_wake_destroy(&session->wake);
	}
	pthread_mutex_unlock(&session->state_lock);
	mg_free(session->output);
	session->output = NULL;
	session->output_start = session->output_size = 0;
	cwn_bytes_free(&session->leaving);
	pthread_mutex_lock(&session->queue_lock);
	session->open_for_posts = false;
	cwn_bytes_free(&session->queue);
	atomic_store(&session->queued, 0);
	pthread_mutex_unlock(&session->queue_lock);
	pthread_mutex_unlock(&session->send_lock);
}

CWN_API void
cwn_session_release(cwn_session *session)
{
	if ((session == NULL)
	    || (atomic_fetch_sub(&session->references, 1) != 1)) {
		return;
	}
	cwn_session_detach(session);
	pthread_mutex_destroy(&session->send_lock);
	pthread_mutex_destroy(&session->queue_lock);
	pthread_mutex_destroy(&session->state_lock);
	pthread_mutex_destroy(&session->tls_lock);
	mg_free(session);
	atomic_fetch_sub(&cwn_sessions_alive, 1);
}

CWN_API void
cwn_session_abort(cwn_session *session)
{
	if (session == NULL) {
		return;
	}
	pthread_mutex_lock(&session->state_lock);
	if (session->attached && !atomic_exchange(&session->failed, true)) {
		/* Wakes whoever polls the socket, and makes the kernel drop what
		 * the peer does not read. */
		struct linger reset = {1, 0};
		(void)setsockopt(session->sock,
		                 SOL_SOCKET,
		                 SO_LINGER,
		                 (const char *)&reset,
		                 sizeof(reset));
		(void)shutdown(session->sock, SHUTDOWN_BOTH);
		cwn_wake_set(&session->wake);
	}
	pthread_mutex_unlock(&session->state_lock);
}

/* Sending */

/* One try on a TLS connection, whose lock is held if it has one. As
 * cwn_socket_recv and cwn_socket_send. */
static int
cwn_ssl_result(SSL *ssl, int n)
{
	int error;
	if (n > 0) {
		return n;
	}
	error = SSL_get_error(ssl, n);
	ERR_clear_error(); /* CivetWeb's own calls look at the queue unasked */
	switch (error) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -2;
	}
}

static int
cwn_ssl_recv(SSL *ssl, void *buffer, size_t size)
{
	ERR_clear_error();
	return cwn_ssl_result(ssl, SSL_read(ssl, buffer, (int)size));
}

static int
cwn_ssl_send(SSL *ssl, const void *data, size_t size)
{
	int n;
	ERR_clear_error();
	n = cwn_ssl_result(ssl, SSL_write(ssl, data, (int)size));
	return (n == 0) ? -2 : n; /* the peer has ended it */
}

/* One try. Bytes taken, -1 would block, -2 error. Under send_lock. */
static int
cwn_session_try_send(cwn_session *session, const cwn_part *parts, int count)
{
	int n;
	if (session->ssl == NULL) {
		n = cwn_socket_send(session->sock, parts, count);
	} else {
		/* One part: cwn_session_send_parts sends TLS output from one buffer. And of that one
		 * record: of more OpenSSL says nothing until the last byte is out, so that a peer which
		 * reads slowly would pass for one that does not read. */
		size_t size = (parts[0].size < CWN_OUTPUT_SIZE) ? parts[0].size : CWN_OUTPUT_SIZE;
		pthread_mutex_lock(&session->tls_lock);
		n = cwn_ssl_send(session->ssl, parts[0].data, size);
		pthread_mutex_unlock(&session->tls_lock);
	}
	return n;
}

/* For poll; deadline 0: none. */
static int
cwn_poll_timeout(uint64_t deadline)
{
	uint64_t now, left;
	if (deadline == 0) {
		return -1;
	}
	now = cwn_now_ms();
	left = (now >= deadline) ? 0 : deadline - now;
	return (left > INT_MAX) ? INT_MAX : (int)left;
}

/* Of two deadlines, 0 being none. */
static uint64_t
cwn_earlier(uint64_t a, uint64_t b)
{
	return ((a == 0) || ((b != 0) && (b < a))) ? b : a;
}

/* One try. Bytes, 0 at the end, -1 would block, -2 error. more: what poll does not
 * know of may be there. */
static int
cwn_session_receive(cwn_session *session, void *buffer, size_t size, bool *more)
{
	int n;
	if (size > INT_MAX) {
		size = INT_MAX;
	}
	if (session->ssl == NULL) {
		n = cwn_socket_recv(session->sock, buffer, size);
		/* A full buffer means there is probably more; otherwise save the call
		 * that would only say no. */
		*more = (n == (int)size);
		return n;
	}
	pthread_mutex_lock(&session->tls_lock);
	n = cwn_ssl_recv(session->ssl, buffer, size);
	pthread_mutex_unlock(&session->tls_lock);
	/* OpenSSL may hold decrypted bytes that poll does not know of. */
	*more = (n > 0);
	return n;
}

/* Says that nothing follows, and reads on until the peer has hung up: closing
 * with unread bytes would reset the connection and could destroy the Close
 * frame on its way (RFC 6455, section 7.1.1). False: the deadline has passed. */
static bool
cwn_session_linger(cwn_session *session, void *sink, size_t size, uint64_t deadline)
{
	if (session->ssl != NULL) {
		pthread_mutex_lock(&session->tls_lock);
		(void)SSL_shutdown(session->ssl);
		ERR_clear_error();
		pthread_mutex_unlock(&session->tls_lock);
	}
	(void)shutdown(session->sock, SHUTDOWN_WR);
	while (!atomic_load(&session->failed)) {
		struct mg_pollfd poller;
		bool woken;
		/* The raw socket, TLS or not: what comes is thrown away. */
		int n = cwn_socket_recv(session->sock, sink, size);
		if ((n == 0) || (n == -2)) {
			return true;
		}
		if (cwn_now_ms() >= deadline) {
			return false;
		}
		if (n == -1) {
			poller.fd = session->sock;
			poller.events = POLLIN;
			/* Woken: an abort. */
			(void)cwn_wake_wait(&session->wake, &poller, cwn_poll_timeout(deadline), &woken);
		}
	}
	return true;
}

/* Waits until the socket takes more. False: the deadline has passed. */
static bool
cwn_session_wait_writable(cwn_session *session, uint64_t deadline)
{
	struct mg_pollfd poller;
	int timeout = -1;
	if (deadline != 0) {
		uint64_t now = cwn_now_ms();
		if (now >= deadline) {
			return false;
		}
		timeout = (int)(deadline - now);
	}
	poller.fd = session->sock;
	poller.events = POLLOUT;
	poller.revents = 0;
	/* Errors and hang-ups show at the next send. */
	(void)cwn_poll(&poller, 1, timeout);
	return true;
}

/* Less than this many bytes are not progress: a peer that sends or takes a few
 * now and then must not hold a thread for ever. */
enum { CWN_PROGRESS = 4096 };

/* So much has left. Under send_lock. */
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

/* What is held for the peer, all together. Under send_lock. */
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

/* Aborts a session whose peer has not taken anything worth the name of what is left. */
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

/* Sends of what is left what the socket takes now. 1: all; 0: some is left; -1: failed.
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

static size_t
cwn_write_header(unsigned char *header, int opcode, size_t size)
{
	int i;
	header[0] = (unsigned char)(0x80 | opcode);
	if (size < 126) {
		header[1] = (unsigned char)size;
		return 2;
	}
	if (size <= 0xFFFF) {
		header[1] = 126;
		header[2] = (unsigned char)(size >> 8);
		header[3] = (unsigned char)size;
		return 4;
	}
	header[1] = 127;
	for (i = 0; i < 8; i++) {
		header[2 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
	}
	return 10;
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

	/* Usually the socket takes it at once. Somebody else sending, or a socket
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

/* For whoever has the turn. */
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
