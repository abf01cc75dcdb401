/* Responses: cwn_write_response has one deadline for each write, cwn_write has one for each
 * progress, as CivetWeb's mg_write. That notices no progress over TLS before all is sent. */

static int
cwn_conn_send(struct mg_connection *conn, const char *data, size_t size)
{
	if (size > INT_MAX) {
		size = INT_MAX;
	}
	if (conn->ssl == NULL) {
		cwn_part part;
		part.data = (const unsigned char *)data;
		part.size = size;
		return cwn_socket_send(conn->client.sock, &part, 1);
	}
	return cwn_ssl_send(conn->ssl, data, size);
}

/* False: the deadline has passed or the server is being stopped. */
static bool
cwn_conn_wait(struct mg_connection *conn, int events, uint64_t deadline)
{
	struct mg_pollfd poller;
	uint64_t now = cwn_now_ms();
	uint64_t wait = (deadline > now) ? deadline - now : 0;
	if ((wait == 0) || !STOP_FLAG_IS_ZERO(&conn->phys_ctx->stop_flag)) {
		return false;
	}
	poller.fd = conn->client.sock;
	poller.events = (short)events;
	poller.revents = 0;
	/* In steps, so that stopping is noticed. Errors show at the next try. */
	(void)cwn_poll(&poller,
	               1,
	               (wait < SOCKET_TIMEOUT_QUANTUM) ? (int)wait
	                                               : SOCKET_TIMEOUT_QUANTUM);
	return true;
}

/* Returns the bytes sent; when they are not all, the connection closes after the request.
 * anew: the deadline is for the next bytes, not for all of them. */
static size_t
cwn_conn_send_all(struct mg_connection *conn,
                  const char *data,
                  size_t size,
                  int timeout_ms,
                  bool anew)
{
	uint64_t deadline = 0;
	size_t sent = 0;

	conn->request_state = 10; /* as mg_write: the response has begun */
	while (sent < size) {
		int n = cwn_conn_send(conn, data + sent, size - sent);
		if (n == -1) {
			if (deadline == 0) {
				deadline = cwn_now_ms() + (uint64_t)timeout_ms;
			}
			/* After the wait is one more try: poll may report room long after there is some. */
			if (cwn_conn_wait(conn, POLLOUT, deadline)) {
				continue;
			}
			n = -2;
		}
		if (n < 0) {
			conn->must_close = 1;
			break;
		}
		sent += (size_t)n;
		conn->num_bytes_sent += n;
		if (anew) {
			deadline = 0;
		}
	}
	return sent;
}

CWN_API int
cwn_write_response(struct mg_connection *conn,
                   const char *data,
                   size_t size,
                   int timeout_ms)
{
	if ((conn == NULL) || (data == NULL) || (size > INT_MAX)) {
		return -1;
	}
	return (cwn_conn_send_all(conn, data, size, timeout_ms, false) == size) ? (int)size : -1;
}

CWN_API int
cwn_write(struct mg_connection *conn, const char *data, size_t size)
{
	const char *option;
	int timeout_ms;
	size_t sent;

	if ((conn == NULL) || (data == NULL) || (size > INT_MAX)) {
		return -1;
	}
	if (conn->throttle > 0) {
		return mg_write(conn, data, size); /* in pieces, one a second */
	}
	option = conn->phys_ctx->dd.config[REQUEST_TIMEOUT];
	timeout_ms = (option != NULL) ? atoi(option) : 0;
	if (timeout_ms <= 0) {
		timeout_ms = atoi(config_options[REQUEST_TIMEOUT].default_value);
	}
	sent = cwn_conn_send_all(conn, data, size, timeout_ms, true);
	return ((sent > 0) || (size == 0)) ? (int)sent : -1;
}

CWN_API void
cwn_cut(struct mg_connection *conn)
{
	if (conn == NULL) {
		return;
	}
	conn->must_close = 1;
	/* CivetWeb ends the stream in order before it closes the socket, which
	 * would make half a body look whole: the reset has to come before that. */
	cwn_reset(conn);
}

CWN_API void
cwn_close_after_response(struct mg_connection *conn, int timeout_ms)
{
	if (conn == NULL) {
		return;
	}
	conn->must_close = 1;
	cwn_shut_and_drain(conn, (uint64_t)timeout_ms);
}

CWN_API int
cwn_client_is_gone(const struct mg_connection *conn)
{
	return ((conn != NULL) && (conn->client.sock != INVALID_SOCKET)
	        && cwn_socket_is_over(conn->client.sock))
	           ? 1
	           : 0;
}
