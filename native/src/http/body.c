/* Bodies of requests, for servers that stream them: a read returns what is there, and has one
 * deadline. CivetWeb's mg_read returns when the whole buffer is full. */

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
