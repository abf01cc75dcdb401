/* Chunked bodies (RFC 9112, section 7.1).
 *
 * Behind the head, CivetWeb's buffer has room for what follows. The decoder reads ahead
 * into it, and consumed_content is its place there: at the end of the body content_len is
 * set to that place, so that CivetWeb finds a pipelined request behind it. */
enum { CWN_MAX_CHUNK_LINE = 1024, CWN_MAX_TRAILER = 8 * 1024 };

/* Where the decoder is:
 *   SIZE    -> DATA      a chunk with bytes begins
 *   SIZE    -> TRAILER   the last chunk, of size 0
 *   DATA    -> END       all of the chunk's bytes are read
 *   END     -> SIZE      the CRLF behind them is read
 *   TRAILER -> DONE      the empty line is read
 *   any     -> BAD       malformed, timed out or lost: every later read fails
 * A body with a Content-Length is in SIZE, or BAD. */
typedef enum cwn_chunk_state {
	CWN_CHUNK_SIZE,
	CWN_CHUNK_DATA,
	CWN_CHUNK_END,
	CWN_CHUNK_TRAILER,
	CWN_CHUNK_DONE,
	CWN_CHUNK_BAD
} cwn_chunk_state;

enum { CWN_MALFORMED = -3 };

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
	/* An extension is skipped. */
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

/* Skips the trailer, up to and including its empty line. */
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
		switch ((cwn_chunk_state)chunk[0]) {
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
		case CWN_CHUNK_BAD:
		default: /* the caller keeps the number */
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
