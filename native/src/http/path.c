/* The path of a request as a proxy in front of the server sees it (RFC 3986):
 * "." and ".." are the only dot segments, also when their dots are escaped, and
 * no byte that is not a separator in the target becomes one. CivetWeb's own
 * remove_dot_segments turns \ into /, drops dots at a segment's end and merges
 * slashes: then /admin./x is /admin/x here and something else to the proxy. */

static int
cwn_hex_digit(char c)
{
	if ((c >= '0') && (c <= '9')) {
		return c - '0';
	}
	if ((c >= 'a') && (c <= 'f')) {
		return c - 'a' + 10;
	}
	if ((c >= 'A') && (c <= 'F')) {
		return c - 'A' + 10;
	}
	return -1;
}

/* The byte an escape at p stands for, or -1. */
static int
cwn_escaped_byte(const char *p)
{
	int high, low;
	if ((p[0] != '%') || ((high = cwn_hex_digit(p[1])) < 0)
	    || ((low = cwn_hex_digit(p[2])) < 0)) {
		return -1;
	}
	return high * 16 + low;
}

/* Copies one segment, from its slash on, up to the next. Returns the number of
 * its dots when it is a dot segment, 0 when it is none, -1 when it is refused:
 * *error then says why. %2F and %5C stay escaped: to a program that makes a file name of
 * the path, the slash or backslash would separate. */
static int
cwn_read_segment(char **out, const char **raw, bool decode, cwn_utf8 *utf8, const char **error)
{
	const char *p = *raw + 1;
	char *o = *out;
	int dots = 0;
	bool other = false;

	*o++ = '/';
	while ((*p != 0) && (*p != '/')) {
		int escaped = cwn_escaped_byte(p);
		unsigned char byte = (escaped < 0) ? (unsigned char)*p : (unsigned char)escaped;
		if ((byte < 0x20) || (byte == 0x7F)) {
			*error = "The path contains an encoded control character.\n";
			return -1;
		}
		if ((escaped < 0) && (byte == '\\')) {
			*error = "A backslash in the path must be escaped (%5C).\n";
			return -1;
		}
		if (!cwn_utf8_feed(utf8, &byte, 1)) {
			*error = "The path is not UTF-8.\n";
			return -1;
		}
		if (byte == '.') {
			dots++;
		} else {
			other = true;
		}
		if (escaped < 0) {
			*o++ = *p++;
		} else if (!decode || (byte == '/') || (byte == '\\')) {
			*o++ = *p++;
			*o++ = *p++;
			*o++ = *p++;
		} else {
			*o++ = (char)byte;
			p += 3;
		}
	}
	if (!cwn_utf8_is_complete(utf8)) {
		*error = "The path is not UTF-8.\n";
		return -1;
	}
	*raw = p;
	*out = o;
	return (other || (dots > 2)) ? 0 : dots;
}

/* The path without dot segments, never longer than it was; or why it is refused. */
static const char *
cwn_read_path(char *out, const char *raw, bool decode)
{
	const char *error = NULL;
	char *end = out;
	cwn_utf8 utf8;

	cwn_utf8_reset(&utf8);
	while (*raw == '/') {
		char *segment = end;
		int dots = cwn_read_segment(&end, &raw, decode, &utf8, &error);
		if (dots < 0) {
			return error;
		}
		if (dots == 0) {
			continue;
		}
		end = segment;
		if ((dots == 2) && (end > out)) {
			do {
				end--;
			} while (*end != '/');
			if (segment - end == 1) {
				/* Programs that merge slashes first, as nginx does, go up
				 * from another place. */
				return "In the path .. follows an empty segment.\n";
			}
		}
		if (*raw == 0) {
			*end++ = '/';
		}
	}
	*end = 0;
	return NULL;
}

CWN_API int
cwn_prepare_request(struct mg_connection *conn, int decode_path)
{
	struct mg_request_info *info;
	const char *error;
	int refused;

	if ((conn == NULL) || (conn->request_info.local_uri == NULL)) {
		return 0;
	}
	info = &conn->request_info;
	refused = cwn_check_framing(conn);
	if (refused != 0) {
		return refused;
	}
	if ((strchr(info->request_uri, '#') != NULL)
	    || ((info->query_string != NULL)
	        && (strchr(info->query_string, '#') != NULL))) {
		return cwn_refuse(conn,
		                  400,
		                  NULL,
		                  "The request target has a fragment (#).\n");
	}
	/* handle_request has made local_uri a copy of local_uri_raw just before it
	 * calls begin_request. */
	error = cwn_read_path((char *)(uintptr_t)info->local_uri,
	                      info->local_uri_raw,
	                      decode_path != 0);
	if (error != NULL) {
		return cwn_refuse(conn, 400, NULL, error);
	}
	/* CivetWeb has chosen it by its own form of the path. */
	conn->throttle = set_throttle(conn->dom_ctx->config[THROTTLE],
	                              &conn->client.rsa,
	                              info->local_uri);
	return 0;
}

/* Whether the path names a file, the same to everybody: no separator that is
 * data, nothing a file system would read otherwise. */
static bool
cwn_is_file_path(const char *path)
{
	const unsigned char *p;
	for (p = (const unsigned char *)path; *p != 0; p++) {
		int escaped = cwn_escaped_byte((const char *)p);
		if ((*p < 0x20) || (*p == 0x7F) || (*p == '\\') || (escaped == '/')
		    || (escaped == '\\') || ((*p == 0xC2) && (p[1] < 0xA0))
		    || ((p[0] == '/') && (p[1] == '/'))) {
			return false;
		}
#if defined(_WIN32)
		if ((strchr(":*?\"<>|", *p) != NULL)
		    || (((*p == '.') || (*p == ' ')) && ((p[1] == '/') || (p[1] == 0)))) {
			return false;
		}
#endif
	}
	return true;
}

/* The path as the client has sent it, with a slash, and the query. */
static void
cwn_send_folder_redirect(struct mg_connection *conn)
{
	static const char digits[] = "0123456789ABCDEF";
	const struct mg_request_info *info = &conn->request_info;
	const char *query = (info->query_string != NULL) ? info->query_string : "";
	const char *parts[2];
	size_t size = 3 * (strlen(info->local_uri_raw) + strlen(query)) + 3;
	char *location = (char *)mg_malloc(size);
	char *out = location;
	int i;

	if (location == NULL) {
		mg_send_http_error(conn, 500, "%s", "Out of memory");
		return;
	}
	parts[0] = info->local_uri_raw;
	parts[1] = query;
	for (i = 0; i < 2; i++) {
		const unsigned char *p;
		for (p = (const unsigned char *)parts[i]; *p != 0; p++) {
			if ((*p <= 0x20) || (*p >= 0x7F) || (strchr("\"<>\\^`{|}", *p) != NULL)) {
				*out++ = '%';
				*out++ = digits[*p >> 4];
				*out++ = digits[*p & 15];
			} else {
				*out++ = (char)*p;
			}
		}
		if (i == 0) {
			*out++ = '/';
			if (info->query_string != NULL) {
				*out++ = '?';
			}
		}
	}
	*out = 0;
	(void)mg_send_http_redirect(conn, location, 301);
	mg_free(location);
}

/* What CivetWeb answers by itself before it looks for files. */
static bool
cwn_is_preflight(const struct mg_connection *conn)
{
	const char *methods = conn->dom_ctx->config[ACCESS_CONTROL_ALLOW_METHODS];
	const char *origin = conn->dom_ctx->config[ACCESS_CONTROL_ALLOW_ORIGIN];
	return (strcmp(conn->request_info.request_method, "OPTIONS") == 0)
	       && (methods != NULL) && (*methods != 0) && (origin != NULL)
	       && (*origin != 0) && (mg_get_header(conn, "Origin") != NULL)
	       && (mg_get_header(conn, "Access-Control-Request-Method") != NULL);
}

/* CivetWeb would redirect the clients of a folder without its slash to option
 * authentication_domain, whose default is mydomain.com. */
static bool
cwn_is_folder_without_slash(struct mg_connection *conn)
{
	char path[UTF8_PATH_MAX];
	struct mg_file_stat stat;
	const char *uri = conn->request_info.local_uri;
	int is_found = 0, is_script = 0, is_websocket = 0, is_put_or_delete = 0,
	    is_webdav = 0, is_template = 0;

	if ((*uri == 0) || (uri[strlen(uri) - 1] == '/')) {
		return false;
	}
	path[0] = 0;
	memset(&stat, 0, sizeof(stat));
	interpret_uri(conn,
	              path,
	              sizeof(path),
	              &stat,
	              &is_found,
	              &is_script,
	              &is_websocket,
	              &is_put_or_delete,
	              &is_webdav,
	              &is_template);
	if (!is_found || !stat.is_directory || is_script || is_put_or_delete
	    || (is_webdav && (conn->dom_ctx->config[ENABLE_WEBDAV][0] != 'y'))
	    || must_hide_file(conn, path)) {
		return false;
	}
	if (!check_authorization(conn, path)) {
		/* CivetWeb will ask for the password, and set this again. */
		mg_free((void *)(uintptr_t)conn->request_info.remote_user);
		conn->request_info.remote_user = NULL;
		return false;
	}
	return true;
}

CWN_API int
cwn_prepare_file(struct mg_connection *conn)
{
	if ((conn == NULL) || (conn->protocol_type == PROTOCOL_TYPE_WEBSOCKET)
	    || (conn->dom_ctx->config[DOCUMENT_ROOT] == NULL)
	    || (conn->request_info.local_uri == NULL)) {
		return 0;
	}
	if (!cwn_is_file_path(conn->request_info.local_uri)) {
		mg_send_http_error(conn, 404, "%s", "Not found");
		return 404;
	}
	if (!cwn_is_preflight(conn) && cwn_is_folder_without_slash(conn)) {
		cwn_send_folder_redirect(conn);
		return 301;
	}
	return 0;
}
