/* Bodies of requests and responses, for servers that stream them.
 *
 * CivetWeb's mg_read returns when the whole buffer is full, and its mg_write
 * starts its time-out anew with every byte the client takes. Here a read returns
 * what is there, and every call has one deadline. */

/* One try on the connection's socket. Bytes, -1 would block, -2 error or end. */
static int
cwn_conn_recv(struct mg_connection *conn, char *buffer, size_t size)
{
	int n;
	if (size > INT_MAX) {
		size = INT_MAX;
	}
	n = (conn->ssl == NULL) ? cwn_socket_recv(conn->client.sock, buffer, size)
	                        : cwn_ssl_recv(conn->ssl, buffer, size);
	return (n == 0) ? -2 : n;
}

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

CWN_API int
cwn_write_response(struct mg_connection *conn,
                   const char *data,
                   size_t size,
                   int timeout_ms)
{
	uint64_t deadline = 0;
	size_t sent = 0;

	if ((conn == NULL) || (data == NULL) || (size > INT_MAX)) {
		return -1;
	}
	conn->request_state = 10; /* as mg_write: the response has begun */
	while (sent < size) {
		int n = cwn_conn_send(conn, data + sent, size - sent);
		if (n == -1) {
			if (deadline == 0) {
				deadline = cwn_now_ms() + (uint64_t)timeout_ms;
			}
			if (cwn_conn_wait(conn, POLLOUT, deadline)) {
				continue;
			}
			n = -2;
		}
		if (n < 0) {
			conn->must_close = 1;
			return -1;
		}
		sent += (size_t)n;
		conn->num_bytes_sent += n;
	}
	return (int)sent;
}

CWN_API int
cwn_client_is_gone(const struct mg_connection *conn)
{
	return ((conn != NULL) && (conn->client.sock != INVALID_SOCKET)
	        && cwn_socket_is_over(conn->client.sock))
	           ? 1
	           : 0;
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

/* Bytes received and not consumed yet. */
static int64_t
cwn_buffered(const struct mg_connection *conn)
{
	return (int64_t)conn->data_len - conn->request_len - conn->consumed_content;
}

/* Waits for the first bytes. -1: time-out, -2: error or end of the stream. */
static int
cwn_pull(struct mg_connection *conn, char *buffer, size_t size, uint64_t deadline)
{
	for (;;) {
		int n = cwn_conn_recv(conn, buffer, size);
		if (n != -1) {
			return n;
		}
		if (!cwn_conn_wait(conn, POLLIN, deadline)) {
			return STOP_FLAG_IS_ZERO(&conn->phys_ctx->stop_flag) ? -1 : -2;
		}
	}
}

static int
cwn_take_buffered(struct mg_connection *conn, char *buffer, size_t size)
{
	int64_t available = cwn_buffered(conn);
	size_t n = ((uint64_t)available < size) ? (size_t)available : size;
	memcpy(buffer, conn->buf + conn->request_len + conn->consumed_content, n);
	conn->consumed_content += (int64_t)n;
	return (int)n;
}

/* A body with Content-Length. */
static int
cwn_read_sized(struct mg_connection *conn,
               char *buffer,
               size_t size,
               uint64_t deadline)
{
	int64_t left = conn->content_len - conn->consumed_content;
	int n;
	if (left <= 0) {
		return 0;
	}
	if ((uint64_t)left < size) {
		size = (size_t)left;
	}
	if (cwn_buffered(conn) > 0) {
		return cwn_take_buffered(conn, buffer, size);
	}
	n = cwn_pull(conn, buffer, size, deadline);
	if (n > 0) {
		conn->consumed_content += n;
	}
	return n;
}

/* Chunked bodies (RFC 9112, section 7.1).
 *
 * Where the head ends CivetWeb's buffer has room for what follows. The decoder
 * reads ahead into it, and consumed_content is its place there: when the body is
 * over, content_len is set to that place, and CivetWeb finds a pipelined request
 * behind it. */
enum {
	CWN_CHUNK_SIZE,
	CWN_CHUNK_DATA,
	CWN_CHUNK_END,
	CWN_CHUNK_TRAILER,
	CWN_CHUNK_DONE,
	CWN_CHUNK_BAD,

	CWN_MAX_CHUNK_LINE = 1024,
	CWN_MAX_TRAILER = 8 * 1024
};

static int
cwn_fill_buffer(struct mg_connection *conn, uint64_t deadline)
{
	int n;
	conn->data_len = conn->request_len;
	conn->consumed_content = 0;
	n = cwn_pull(conn,
	             conn->buf + conn->request_len,
	             (size_t)(conn->buf_size - conn->request_len),
	             deadline);
	if (n > 0) {
		conn->data_len += n;
	}
	return n;
}

/* The next byte, or a negative number as cwn_pull. */
static int
cwn_next_byte(struct mg_connection *conn, uint64_t deadline)
{
	if (cwn_buffered(conn) <= 0) {
		int n;
		if (conn->buf_size <= conn->request_len) {
			/* The head has filled the buffer. */
			char byte;
			n = cwn_pull(conn, &byte, 1, deadline);
			return (n > 0) ? (unsigned char)byte : n;
		}
		n = cwn_fill_buffer(conn, deadline);
		if (n <= 0) {
			return n;
		}
	}
	return (unsigned char)conn->buf[conn->request_len + conn->consumed_content++];
}

enum { CWN_MALFORMED = -3 };

/* LF behind a CR that was read. */
static int
cwn_expect_lf(struct mg_connection *conn, uint64_t deadline)
{
	int c = cwn_next_byte(conn, deadline);
	return (c < 0) ? c : ((c == '\n') ? 0 : CWN_MALFORMED);
}

/* 0 and the size, or a negative number. */
static int
cwn_read_chunk_size(struct mg_connection *conn, int64_t *size, uint64_t deadline)
{
	int64_t value = 0;
	int digits = 0;
	int length, c, digit;

	for (;;) {
		c = cwn_next_byte(conn, deadline);
		if (c < 0) {
			return c;
		}
		digit = cwn_hex_digit((char)c);
		if (digit < 0) {
			break;
		}
		if (++digits > 15) {
			return CWN_MALFORMED;
		}
		value = value * 16 + digit;
	}
	if (digits == 0) {
		return CWN_MALFORMED;
	}
	/* An extension is read over. */
	for (length = 0; c != '\r'; length++) {
		if ((length == 0) && (c != ';') && (c != ' ') && (c != '\t')) {
			return CWN_MALFORMED;
		}
		if (((c < 0x20) && (c != '\t')) || (c == 0x7F)
		    || (length > CWN_MAX_CHUNK_LINE)) {
			return CWN_MALFORMED;
		}
		c = cwn_next_byte(conn, deadline);
		if (c < 0) {
			return c;
		}
	}
	*size = value;
	return cwn_expect_lf(conn, deadline);
}

/* Reads the trailer over, up to and with its empty line. */
static int
cwn_read_trailer(struct mg_connection *conn, uint64_t deadline)
{
	int line = 0;
	int total;
	for (total = 0; total < CWN_MAX_TRAILER; total++) {
		int c = cwn_next_byte(conn, deadline);
		if (c < 0) {
			return c;
		}
		if (c == '\r') {
			c = cwn_expect_lf(conn, deadline);
			if ((c < 0) || (line == 0)) {
				return c;
			}
			line = 0;
		} else if (((c < 0x20) && (c != '\t')) || (c == 0x7F)) {
			return CWN_MALFORMED;
		} else {
			line++;
		}
	}
	return CWN_MALFORMED;
}

static int
cwn_read_chunk_data(struct mg_connection *conn,
                    char *buffer,
                    size_t size,
                    uint64_t deadline)
{
	if ((cwn_buffered(conn) <= 0)
	    && ((size >= 4096) || (conn->buf_size <= conn->request_len))) {
		return cwn_pull(conn, buffer, size, deadline);
	}
	if (cwn_buffered(conn) <= 0) {
		int n = cwn_fill_buffer(conn, deadline);
		if (n <= 0) {
			return n;
		}
	}
	return cwn_take_buffered(conn, buffer, size);
}

/* chunk[0]: state, chunk[1]: what is left of the chunk. */
static int
cwn_read_chunked(struct mg_connection *conn,
                 char *buffer,
                 size_t size,
                 uint64_t deadline,
                 int64_t *chunk)
{
	for (;;) {
		int n = 0;
		switch (chunk[0]) {
		case CWN_CHUNK_SIZE:
			n = cwn_read_chunk_size(conn, &chunk[1], deadline);
			if (n == 0) {
				chunk[0] = (chunk[1] > 0) ? CWN_CHUNK_DATA : CWN_CHUNK_TRAILER;
			}
			break;
		case CWN_CHUNK_DATA:
			n = cwn_read_chunk_data(conn,
			                        buffer,
			                        ((uint64_t)chunk[1] < size)
			                            ? (size_t)chunk[1]
			                            : size,
			                        deadline);
			if (n > 0) {
				chunk[1] -= n;
				if (chunk[1] == 0) {
					chunk[0] = CWN_CHUNK_END;
				}
				return n;
			}
			break;
		case CWN_CHUNK_END:
			n = cwn_next_byte(conn, deadline);
			if (n >= 0) {
				n = (n == '\r') ? cwn_expect_lf(conn, deadline) : CWN_MALFORMED;
			}
			if (n == 0) {
				chunk[0] = CWN_CHUNK_SIZE;
			}
			break;
		case CWN_CHUNK_TRAILER:
			n = cwn_read_trailer(conn, deadline);
			if (n == 0) {
				chunk[0] = CWN_CHUNK_DONE;
				conn->is_chunked = 4; /* CivetWeb's word for "read to its end" */
			}
			break;
		case CWN_CHUNK_DONE:
			return 0;
		default:
			return CWN_MALFORMED;
		}
		if (n < 0) {
			return n;
		}
	}
}

CWN_API int
cwn_read_body(struct mg_connection *conn,
              char *buffer,
              size_t size,
              int timeout_ms,
              int64_t *chunk)
{
	uint64_t deadline;
	int n;

	if ((conn == NULL) || (buffer == NULL) || (size == 0) || (chunk == NULL)) {
		return -2;
	}
	if (timeout_ms < 0) {
		const char *configured = conn->phys_ctx->dd.config[REQUEST_TIMEOUT];
		timeout_ms = (configured != NULL) ? atoi(configured) : 0;
		if (timeout_ms <= 0) {
			timeout_ms = atoi(config_options[REQUEST_TIMEOUT].default_value);
		}
	}
	deadline = cwn_now_ms() + (uint64_t)timeout_ms;
	if (conn->is_chunked == 0) {
		n = (chunk[0] == CWN_CHUNK_BAD) ? -2 : cwn_read_sized(conn, buffer, size, deadline);
	} else {
		n = cwn_read_chunked(conn, buffer, size, deadline, chunk);
		conn->content_len = conn->consumed_content;
	}
	if (n < 0) {
		/* Were it tried again, what comes late would look like the rest. */
		chunk[0] = CWN_CHUNK_BAD;
		conn->must_close = 1;
	}
	return n;
}

CWN_API int64_t
cwn_body_length(const struct mg_connection *conn)
{
	if (conn == NULL) {
		return 0;
	}
	return (conn->is_chunked != 0) ? -1 : conn->content_len;
}
