/* Requests before they are WebSockets: the upgrade, the refusal. */

/* A client that sends on would have its answer destroyed by the reset that
 * closing with unread bytes causes: give it a moment to stop. */
static void
cwn_shut_and_drain(struct mg_connection *conn, uint64_t time_ms)
{
	struct mg_pollfd poller;
	uint64_t deadline = cwn_now_ms() + time_ms;
	char sink[512];

	if (conn->ssl != NULL) {
		return;
	}
	(void)shutdown(conn->client.sock, SHUTDOWN_WR);
	while (cwn_now_ms() < deadline) {
		int n = cwn_socket_recv(conn->client.sock, sink, sizeof(sink));
		if ((n == 0) || (n == -2)) {
			break;
		}
		if (n == -1) {
			poller.fd = conn->client.sock;
			poller.events = POLLIN;
			poller.revents = 0;
			(void)cwn_poll(&poller, 1, cwn_poll_timeout(deadline));
		}
	}
}

CWN_API int
cwn_refuse(struct mg_connection *conn,
           int status,
           const char *headers,
           const char *text)
{
	enum { HEAD_SIZE = 2048 };
	char head[HEAD_SIZE];
	int truncated = 0;
	bool with_body = true;

	if (conn == NULL) {
		return status;
	}
	if ((conn->request_info.request_method != NULL)
	    && (strcmp(conn->request_info.request_method, "HEAD") == 0)) {
		with_body = false;
	}
	mg_snprintf(conn,
	            &truncated,
	            head,
	            sizeof(head),
	            "HTTP/1.1 %i %s\r\n"
	            "Content-Type: text/plain; charset=utf-8\r\n"
	            "Content-Length: %u\r\n"
	            "Connection: close\r\n"
	            "%s\r\n",
	            status,
	            mg_get_response_code_text(conn, status),
	            (unsigned)strlen(text),
	            (headers != NULL) ? headers : "");
	conn->status_code = status;
	conn->must_close = 1;
	if (!truncated) {
		(void)mg_write(conn, head, strlen(head));
		if (with_body) {
			(void)mg_write(conn, text, strlen(text));
		}
		cwn_shut_and_drain(conn, 200);
	}
	return status;
}

CWN_API int
cwn_http_error(struct mg_connection *conn, int status, const char *text)
{
	if ((conn == NULL) || (conn->protocol_type != PROTOCOL_TYPE_WEBSOCKET)) {
		return 1;
	}
	(void)cwn_refuse(conn, status, NULL, text);
	return 0;
}

CWN_API int64_t
cwn_bytes_sent(const struct mg_connection *conn)
{
	return (conn != NULL) ? conn->num_bytes_sent : 0;
}

CWN_API void
cwn_accept_subprotocol(struct mg_connection *conn, const char *name)
{
	if (conn != NULL) {
		conn->request_info.acceptedWebSocketSubprotocol = name;
	}
}

/* The value of a header that occurs once; otherwise NULL, and *count says how often. */
static const char *
cwn_header(const struct mg_connection *conn, const char *name, int *count)
{
	const char *value = NULL;
	int i;
	*count = 0;
	for (i = 0; i < conn->request_info.num_headers; i++) {
		const struct mg_header *header = &conn->request_info.http_headers[i];
		if (mg_strcasecmp(header->name, name) == 0) {
			(*count)++;
			value = header->value;
		}
	}
	return value;
}

/* Whether any header of that name lists the token (section 4.2.1, 3 and 4). */
static bool
cwn_header_has_token(const struct mg_connection *conn,
                     const char *name,
                     const char *token)
{
	size_t size = strlen(token);
	int i;
	for (i = 0; i < conn->request_info.num_headers; i++) {
		const struct mg_header *header = &conn->request_info.http_headers[i];
		const char *p = header->value;
		if (mg_strcasecmp(header->name, name) != 0) {
			continue;
		}
		while (*p != 0) {
			size_t length;
			p += strspn(p, " \t,");
			length = strcspn(p, " \t,");
			if ((length == size) && (mg_strncasecmp(p, token, size) == 0)) {
				return true;
			}
			p += length;
		}
	}
	return false;
}

/* 16 bytes in base64: 22 digits, the last with its four low bits clear, "==". */
static bool
cwn_key_is_valid(const char *key)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	return (strlen(key) == 24) && (strspn(key, digits) == 22)
	       && (strcmp(key + 22, "==") == 0) && (strchr("AQgw", key[21]) != NULL);
}

CWN_API int
cwn_check_upgrade(struct mg_connection *conn)
{
	const struct mg_request_info *info;
	const char *key, *version;
	int keys, versions, hosts, count;

	if ((conn == NULL) || (conn->protocol_type != PROTOCOL_TYPE_WEBSOCKET)) {
		return 0;
	}
	info = &conn->request_info;
	version = cwn_header(conn, "Sec-WebSocket-Version", &versions);
	key = cwn_header(conn, "Sec-WebSocket-Key", &keys);
	(void)cwn_header(conn, "Host", &hosts);

	if (strcmp(info->request_method, "GET") != 0) {
		return cwn_refuse(conn,
		                  405,
		                  "Allow: GET\r\n",
		                  "A WebSocket is opened with GET.\n");
	}
	if (strcmp(info->http_version, "1.1") != 0) {
		return cwn_refuse(conn, 400, NULL, "A WebSocket needs HTTP/1.1.\n");
	}
	if (!cwn_header_has_token(conn, "Upgrade", "websocket")
	    || !cwn_header_has_token(conn, "Connection", "Upgrade")) {
		return cwn_refuse(conn,
		                  400,
		                  NULL,
		                  "The Upgrade and Connection headers do not ask for a "
		                  "WebSocket.\n");
	}
	if (hosts != 1) {
		return cwn_refuse(conn, 400, NULL, "One Host header is needed.\n");
	}
	if ((versions != 1) || (strcmp(version, "13") != 0)) {
		return cwn_refuse(conn,
		                  426,
		                  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
		                  "This server speaks WebSocket version 13.\n");
	}
	if ((keys != 1) || !cwn_key_is_valid(key)) {
		return cwn_refuse(conn,
		                  400,
		                  NULL,
		                  "Sec-WebSocket-Key must be 16 bytes in base64.\n");
	}
	(void)cwn_header(conn, "Transfer-Encoding", &count);
	if ((count != 0) || (conn->content_len > 0)) {
		return cwn_refuse(conn,
		                  400,
		                  NULL,
		                  "A WebSocket request has no body.\n");
	}
	return 1;
}

CWN_API int
cwn_can_keep_alive(const struct mg_connection *conn)
{
	return (conn != NULL) && should_keep_alive(conn);
}

/* Sec-WebSocket-Accept for a valid key (section 4.2.2, 5.4). */
static void
cwn_accept_value(const char *key, char *accept, size_t size)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	char text[24 + sizeof(guid)];
	unsigned char digest[20];
	memcpy(text, key, 24);
	memcpy(text + 24, guid, sizeof(guid));
	/* Through CivetWeb's table: without OpenSSL its own SHA-1 is there. */
	(void)EVP_Digest((unsigned char *)text,
	                 strlen(text),
	                 digest,
	                 NULL,
	                 EVP_get_digestbyname("sha1"),
	                 NULL);
	(void)mg_base64_encode(digest, sizeof(digest), accept, &size);
}

CWN_API void
cwn_gather_handshake(struct mg_connection *conn)
{
	if (conn != NULL) {
		cwn_socket_cork(conn->client.sock, 1);
	}
}

CWN_API int
cwn_accept_upgrade(struct mg_connection *conn, const char *headers)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n"
	                           "Upgrade: websocket\r\n"
	                           "Connection: Upgrade\r\n"
	                           "Sec-WebSocket-Accept: ";
	char accept[32];
	char *response;
	size_t size;
	int keys, sent;
	const char *key;

	if ((conn == NULL)
	    || ((key = cwn_header(conn, "Sec-WebSocket-Key", &keys)) == NULL)
	    || !cwn_key_is_valid(key)) {
		return 0;
	}
	if (headers == NULL) {
		headers = "";
	}
	cwn_accept_value(key, accept, sizeof(accept));
	/* One write: one packet. */
	size = sizeof(head) + strlen(accept) + strlen(headers) + 4;
	response = (char *)mg_malloc(size + 1);
	if (response == NULL) {
		return 0;
	}
	mg_snprintf(conn, NULL, response, size + 1, "%s%s\r\n%s\r\n", head, accept, headers);
	sent = mg_write(conn, response, strlen(response));
	conn->status_code = 101;
	size = strlen(response);
	mg_free(response);
	return (sent > 0) && ((size_t)sent == size);
}
