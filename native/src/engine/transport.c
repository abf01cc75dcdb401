/* A session's socket, plain or TLS: one try to send or to receive, waiting for room, and
 * the end of the stream. */

/* One try. Bytes taken, -1 would block, -2 error. Under send_lock. */
static int
cwn_session_try_send(cwn_session *session, const cwn_part *parts, int count)
{
	int n;
	if (session->ssl == NULL) {
		n = cwn_socket_send(session->sock, parts, count);
	} else {
		/* One part: cwn_session_send_parts sends TLS output from one buffer. */
		pthread_mutex_lock(&session->tls_lock);
		n = cwn_ssl_send(session->ssl, parts[0].data, parts[0].size);
		pthread_mutex_unlock(&session->tls_lock);
	}
	return n;
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

/* Ends the stream, and reads on until the peer has hung up: closing
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
		/* The raw socket, TLS or not: the bytes are discarded. */
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

/* The own thread waits for its socket, and attends to what is left: the sender need not. */
static int
cwn_session_poll(cwn_session *session, struct mg_pollfd *poller, uint64_t until, bool *woken)
{
	int ready;
	atomic_store(&session->attended, true);
	ready = cwn_wake_wait(&session->wake, poller, cwn_poll_timeout(until), woken);
	atomic_store(&session->attended, false);
	return ready;
}
