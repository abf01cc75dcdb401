/* A session: one upgraded connection as an object that outlives it.
 *
 * Memory: reference-counted. The creator holds one reference, the running loop
 * another. A handle that is kept for ever points to a small dead struct, never to
 * a connection slot that serves another client by now.
 *
 * Threads: one thread at a time has the session's turn: the connection's own
 * thread, or a leader (seat.c). All other functions may be called by any thread at
 * any time. Four locks, always taken in this order:
 *   send_lock   whole frames, one after the other; held while a frame waits for
 *               a slow peer (at most send_timeout_ms). Released with
 *               cwn_session_unlock_send
 *   queue_lock  short: frames that are posted and not sent yet
 *   state_lock  short: whether the socket is still the session's; closing requested
 *   tls_lock    short: OpenSSL must not read and write one SSL object at once
 *
 * States, from the fields attached, failed and close_sent (none of them changes back):
 *   open      -> closing    a Close frame is being sent; any thread, under send_lock
 *   open      -> failed     a write failed or timed out, or an abort: the socket is
 *   closing   -> failed     shut down, and the loop ends at its next step; any thread
 *   open      -> detached   the loop has ended and forgets the connection; the own
 *   closing   -> detached   thread, or the last release if no loop has run, under
 *   failed    -> detached   send_lock and state_lock
 * Frames are sent in the state open only.
 */

enum { CWN_OUTPUT_SIZE = 16 * 1024 };

/* SSL_ctrl and SSL_CTX_ctrl; CivetWeb has no names for these. */
#define CWN_SSL_CTRL_MODE 33
#define CWN_SSL_MODE_RELEASE_BUFFERS 0x10L

typedef struct cwn_seat cwn_seat; /* seat.c */

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

	/* of the thread that has the turn (seat.c) */
	cwn_seat *seat; /* NULL: no leader runs it */
	bool gather;   /* more input is waiting, so output may wait too */
	bool gathered; /* output is waiting */
	cwn_session *outer; /* the session this thread ran before */

	/* of a transport (websocket/session_pull.c), on the own thread or under state_lock */
	unsigned char *early; /* input that came with the request */
	atomic_size_t early_size; /* waiting looks at it without the lock */
	atomic_bool unread; /* no event will tell of what the last read may have left */
	atomic_bool emptied; /* the last read has found nothing */
	bool missed; /* a turn in which nothing was read; of the thread that has the turn */
	bool hung_up;
	cwn_turn_handler turn;
	void *turn_data;

	/* under send_lock to change */
	atomic_bool close_sent;
	unsigned char *output;
	size_t output_start; /* sent before it */
	size_t output_size;
	size_t moved; /* what the peer has taken since stalled_at was set */
	_Atomic uint64_t stalled_at; /* since when it takes nothing of the output that is left; 0: it does */
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

/* sender.c and held.c */
static void cwn_sender_enlist(cwn_session *session);
static void cwn_sender_forget(cwn_session *session);
static void cwn_held_leave(cwn_session *session);

/* The session whose turn this thread has, if any: only output of its turn may be gathered. */
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
	CWN_ASSERT(session->seat == NULL); /* the loop has ended, or none has begun */
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
		/* Wakes every thread that polls the socket, and makes the kernel drop what
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
