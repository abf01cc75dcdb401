/* Requests whose end two programs could see at different places (RFC 9112,
 * section 11.2) are refused: behind a proxy they would smuggle another request
 * past it. CivetWeb itself lets all of these through. */

/* Whether the head that CivetWeb has parsed was never sent: it gives its parser the whole
 * buffer of the thread, and that skips empty lines. When nothing else has come as
 * the head, it has gone on to what lies behind it: the client's next request, or
 * what an earlier one has left there. And when no head has come at all, pointers
 * to an earlier one are left. */
static bool
cwn_is_head_missing(const struct mg_connection *conn)
{
	const char *method = conn->request_info.request_method;
	return (conn->request_len <= 0) || (method == NULL) || (method < conn->buf)
	       || (method >= conn->buf + conn->request_len);
}

static void
cwn_forget_request(struct mg_connection *conn)
{
	struct mg_request_info *info = &conn->request_info;
	if (info->local_uri != info->local_uri_raw) {
		mg_free((void *)(uintptr_t)info->local_uri);
	}
	info->local_uri = NULL;
	info->local_uri_raw = NULL;
	info->request_method = NULL;
	info->request_uri = NULL;
	info->http_version = NULL;
	info->query_string = NULL;
	info->num_headers = 0;
}

CWN_API int
cwn_forget_unsent(struct mg_connection *conn)
{
	bool parsed;
	if (conn == NULL) {
		return 0;
	}
	if (conn->request_info.local_uri == NULL) {
		/* These are an earlier request's, and point into what has come since. */
		conn->request_info.local_uri_raw = NULL;
		conn->request_info.query_string = NULL;
	}
	if (!cwn_is_head_missing(conn)) {
		return 0;
	}
	parsed = (conn->request_info.request_method != NULL);
	cwn_forget_request(conn);
	return parsed ? 1 : 0;
}

/* In pages: of a buffer that was hardly used most are not in memory yet, and
 * reading them does not put them there. */
static void
cwn_clear(char *data, size_t size)
{
	enum { PAGE = 4096 };
	while (size > 0) {
		size_t part = (size < PAGE) ? size : PAGE;
		if ((data[0] != 0) || (memcmp(data, data + 1, part - 1) != 0)) {
			memset(data, 0, part);
		}
		data += part;
		size -= part;
	}
}

CWN_API int
cwn_begin_connection(struct mg_connection *conn)
{
	int index;
	if (conn == NULL) {
		return 0;
	}
	/* The thread's last connection was another client's. */
	cwn_clear(conn->buf, (size_t)conn->buf_size);
	cwn_forget_request(conn);
	if (conn->client.is_ssl || !conn->client.ssl_redir) {
		return 0;
	}
	index = get_first_ssl_listener_index(conn->phys_ctx);
	if (index < 0) {
		return 0;
	}
	conn->client.ssl_redir = 0;
	return (int)ntohs(
	    USA_IN_PORT_UNSAFE(&(conn->phys_ctx->listening_sockets[index].lsa)));
}

/* Behind the headers CivetWeb has understood: it stops in silence at its 64th,
 * and at a line that begins with a space. */
static const char *
cwn_rest_of_head(const struct mg_connection *conn)
{
	const struct mg_request_info *info = &conn->request_info;
	const char *end = conn->buf + conn->request_len;
	const char *p;
	if (info->num_headers > 0) {
		p = info->http_headers[info->num_headers - 1].value;
	} else {
		p = info->http_version;
	}
	for (p += strlen(p); p < end; p++) {
		if ((*p != 0) && (*p != '\r') && (*p != '\n')) {
			return p;
		}
	}
	return NULL;
}

/* A space before the colon: CivetWeb drops it, others drop the header. */
static bool
cwn_has_space_before_colon(const struct mg_header *header)
{
	const char *p = header->name + strlen(header->name) + 1;
	for (; p < header->value; p++) {
		if (*p == 0) {
			return true;
		}
	}
	return false;
}

static bool
cwn_is_number(const char *text)
{
	size_t length = strspn(text, "0123456789");
	/* CivetWeb leaves spaces behind a value. 18 digits fit 63 bits. */
	return (length > 0) && (length <= 18)
	       && (text[length + strspn(text + length, " \t")] == 0);
}

/* Whether a header's value is this, apart from spaces at its end. */
static bool
cwn_value_is(const char *value, const char *expected)
{
	size_t length = strlen(expected);
	return (mg_strncasecmp(value, expected, length) == 0)
	       && (value[length + strspn(value + length, " \t")] == 0);
}

static int
cwn_refuse_framing(struct mg_connection *conn, const char *text)
{
	return cwn_refuse(conn, 400, NULL, text);
}

/* 0, or the status of the refusal that was sent. */
static int
cwn_check_framing(struct mg_connection *conn)
{
	const struct mg_request_info *info = &conn->request_info;
	const char *length = NULL;
	const char *coding = NULL;
	const char *rest;
	int i, codings = 0;

	if (cwn_forget_unsent(conn) != 0) {
		conn->request_info.http_version = ""; /* log_access needs one */
		return cwn_refuse_framing(conn, "Empty lines precede the request.\n");
	}
	rest = cwn_rest_of_head(conn);
	if ((rest != NULL) && (info->num_headers < MG_MAX_HEADERS)) {
		return cwn_refuse_framing(conn, "A header is malformed.\n");
	}
	if (rest != NULL) {
		/* Not only a length could be among them: Host, Origin, Authorization,
		 * X-Forwarded-For. What is not seen would not be asked for. */
		return cwn_refuse(conn, 431, NULL, "There are too many headers.\n");
	}
	for (i = 0; i < info->num_headers; i++) {
		const struct mg_header *header = &info->http_headers[i];
		if (cwn_has_space_before_colon(header)) {
			return cwn_refuse_framing(conn, "A space precedes the colon of a header.\n");
		}
		if (mg_strcasecmp(header->name, "Transfer-Encoding") == 0) {
			codings++;
			coding = header->value;
		} else if (mg_strcasecmp(header->name, "Content-Length") == 0) {
			if (!cwn_is_number(header->value)) {
				return cwn_refuse_framing(conn, "Content-Length must be a number.\n");
			}
			if ((length != NULL)
			    && (strtoll(length, NULL, 10)
			        != strtoll(header->value, NULL, 10))) {
				return cwn_refuse_framing(conn, "Content-Length is given twice.\n");
			}
			length = header->value;
		}
	}
	if (codings == 0) {
		return 0;
	}
	if (length != NULL) {
		return cwn_refuse_framing(conn,
		                          "Transfer-Encoding and Content-Length exclude "
		                          "each other.\n");
	}
	if (strcmp(info->http_version, "1.1") != 0) {
		return cwn_refuse_framing(conn, "Transfer-Encoding needs HTTP/1.1.\n");
	}
	if ((codings != 1) || !cwn_value_is(coding, "chunked")
	    || (conn->is_chunked == 0)) {
		return cwn_refuse_framing(conn, "Transfer-Encoding must be chunked.\n");
	}
	return 0;
}

CWN_API int
cwn_error_status(const struct mg_connection *conn, int status)
{
	const struct mg_request_info *info;
	if (conn == NULL) {
		return status;
	}
	if ((conn->request_len < 0) && (conn->data_len >= conn->buf_size)) {
		return 431; /* CivetWeb: 400 */
	}
	/* parse_http_request looks at the version first, then at the method. */
	info = &conn->request_info;
	if ((info->request_method != NULL) && (info->http_version != NULL)
	    && ((strcmp(info->http_version, "1.1") == 0)
	        || (strcmp(info->http_version, "1.0") == 0))
	    && !is_valid_http_method(info->request_method)) {
		return 501; /* CivetWeb: 400 */
	}
	return (status == 411) ? 400 : status; /* a length that is not a number */
}

CWN_API void
cwn_answer_unrouted(struct mg_connection *conn, const char *allow)
{
	const struct mg_request_info *info;
	char head[512];
	int truncated = 0;

	if ((conn == NULL) || cwn_is_head_missing(conn)
	    || (conn->request_info.request_method == NULL)
	    || (conn->request_info.request_uri == NULL)
	    || (conn->request_info.http_version == NULL)
	    || (conn->request_info.local_uri != NULL)
	    || (conn->request_info.local_uri_raw != NULL)
	    || (conn->num_bytes_sent != 0)) {
		return;
	}
	info = &conn->request_info;
	if (strcmp(info->request_uri, "*") != 0) {
		(void)cwn_refuse(conn,
		                 421,
		                 NULL,
		                 "This server is not the one the request is for.\n");
		return;
	}
	if (strcmp(info->request_method, "OPTIONS") != 0) {
		(void)cwn_refuse(conn, 400, NULL, "Only OPTIONS has the target *.\n");
		return;
	}
	mg_snprintf(conn,
	            &truncated,
	            head,
	            sizeof(head),
	            "HTTP/1.1 204 No Content\r\n"
	            "Allow: %s\r\n"
	            "Connection: close\r\n"
	            "\r\n",
	            allow);
	if (!truncated) {
		(void)mg_write(conn, head, strlen(head));
	}
}
