/* Files, by CivetWeb's own file serving: it finds the type, writes the head, and
 * knows about caches. What it gets wrong is done here: a range beyond the end of
 * the file makes it announce more bytes than it sends, an If-Range is
 * ignored, and a file that becomes shorter, or a client that does not read, goes
 * unnoticed. */

typedef struct cwn_range {
	int64_t first;
	int64_t last;
} cwn_range;

/* 1: range is what to send; 0: everything; -1: none of it exists (RFC 9110,
 * section 14). A list of ranges is ignored, which a server may do. */
static int
cwn_parse_range(const char *text, int64_t size, cwn_range *range)
{
	char *end;
	if (mg_strncasecmp(text, "bytes=", 6) != 0) {
		return 0;
	}
	text += 6;
	if (*text == '-') {
		int64_t count;
		if (!isdigit((unsigned char)text[1])) {
			return 0;
		}
		count = (int64_t)strtoll(text + 1, &end, 10);
		if (end[strspn(end, " \t")] != 0) {
			return 0;
		}
		if ((count == 0) || (size == 0)) {
			return -1;
		}
		range->first = (count < size) ? size - count : 0;
		range->last = size - 1;
		return 1;
	}
	if (!isdigit((unsigned char)*text)) {
		return 0;
	}
	range->first = (int64_t)strtoll(text, &end, 10);
	if (*end != '-') {
		return 0;
	}
	text = end + 1;
	range->last = INT64_MAX;
	if (isdigit((unsigned char)*text)) {
		range->last = (int64_t)strtoll(text, &end, 10);
		text = end;
	}
	if ((text[strspn(text, " \t")] != 0) || (range->last < range->first)) {
		return 0;
	}
	if (range->first >= size) {
		return -1;
	}
	if (range->last >= size) {
		range->last = size - 1;
	}
	return 1;
}

/* Whether an If-None-Match names the file as it is (RFC 9110, section 13.1.2). */
static bool
cwn_etag_matches(const char *list, const char *etag)
{
	size_t size = strlen(etag);
	if (cwn_value_is(list, "*")) {
		return true;
	}
	while (*list != 0) {
		size_t length;
		list += strspn(list, " \t,");
		if (strncmp(list, "W/", 2) == 0) {
			list += 2;
		}
		length = strcspn(list, " \t,");
		if ((length == size) && (strncmp(list, etag, size) == 0)) {
			return true;
		}
		list += length;
	}
	return false;
}

static bool
cwn_is_not_modified(const struct mg_connection *conn,
                    const struct mg_file_stat *stat,
                    const char *etag)
{
	int count;
	const char *value = cwn_header(conn, "If-None-Match", &count);
	if (value != NULL) {
		return cwn_etag_matches(value, etag);
	}
	value = cwn_header(conn, "If-Modified-Since", &count);
	return (value != NULL) && (stat->last_modified <= parse_date_string(value));
}

/* The range the client asks for, as cwn_parse_range. */
static int
cwn_find_range(const struct mg_connection *conn,
               const struct mg_file_stat *stat,
               const char *etag,
               cwn_range *range)
{
	int count;
	const char *value = cwn_header(conn, "If-Range", &count);
	if ((value != NULL) && !cwn_value_is(value, etag)
	    && ((value[0] == '"') || (strncmp(value, "W/", 2) == 0)
	        || (parse_date_string(value) != stat->last_modified))) {
		return 0;
	}
	value = cwn_header(conn, "Range", &count);
	return ((value != NULL) && (count == 1)
	        && (strcmp(conn->request_info.request_method, "GET") == 0))
	           ? cwn_parse_range(value, (int64_t)stat->size, range)
	           : 0;
}

/* A head without a body: 304 or 416. */
static void
cwn_send_file_status(struct mg_connection *conn,
                     int status,
                     const struct mg_file_stat *stat,
                     const char *etag,
                     const char *headers)
{
	char text[64];
	if (mg_response_header_start(conn, status) != 0) {
		return;
	}
	(void)send_static_cache_header(conn);
	if (status == 416) {
		mg_snprintf(conn,
		            NULL,
		            text,
		            sizeof(text),
		            "bytes */%" INT64_FMT,
		            (int64_t)stat->size);
		(void)mg_response_header_add(conn, "Content-Range", text, -1);
		(void)mg_response_header_add(conn, "Content-Length", "0", -1);
	} else {
		gmt_time_string(text, sizeof(text), (time_t *)(uintptr_t)&stat->last_modified);
		(void)mg_response_header_add(conn, "Last-Modified", text, -1);
		(void)mg_response_header_add(conn, "Etag", etag, -1);
	}
	if (headers != NULL) {
		(void)mg_response_header_add_lines(conn, headers);
	}
	(void)mg_response_header_send(conn);
}

/* CivetWeb's head for the file; it sees our range instead of the client's. */
static void
cwn_send_file_head(struct mg_connection *conn,
                   const char *path,
                   const char *mime_type,
                   const char *headers,
                   const cwn_range *range)
{
	static const char *const hidden[] = {"Range",
	                                     "If-Range",
	                                     "If-None-Match",
	                                     "If-Modified-Since"};
	struct mg_request_info *info = &conn->request_info;
	struct mg_header saved[MG_MAX_HEADERS];
	int saved_count = info->num_headers;
	const char *method = info->request_method;
	char text[64];
	int i, count = 0;

	memcpy(saved, info->http_headers, sizeof(saved));
	for (i = 0; i < saved_count; i++) {
		size_t h;
		for (h = 0; h < sizeof(hidden) / sizeof(hidden[0]); h++) {
			if (mg_strcasecmp(saved[i].name, hidden[h]) == 0) {
				break;
			}
		}
		if (h == sizeof(hidden) / sizeof(hidden[0])) {
			info->http_headers[count++] = saved[i];
		}
	}
	if (range != NULL) {
		/* The client's own Range has left room for it. */
		mg_snprintf(conn,
		            NULL,
		            text,
		            sizeof(text),
		            "bytes=%" INT64_FMT "-%" INT64_FMT,
		            range->first,
		            range->last);
		info->http_headers[count].name = "Range";
		info->http_headers[count++].value = text;
	}
	info->num_headers = count;
	info->request_method = "HEAD"; /* the body is sent by cwn_send_file_body */
	mg_send_mime_file2(conn, path, mime_type, headers);
	info->request_method = method;
	info->num_headers = saved_count;
	memcpy(info->http_headers, saved, sizeof(saved));
}

static bool
cwn_send_file_body(struct mg_connection *conn,
                   FILE *fp,
                   const cwn_range *range,
                   int timeout_ms)
{
	char block[16 * 1024];
	int64_t left = range->last - range->first + 1;
	if ((range->first > 0) && (fseeko(fp, range->first, SEEK_SET) != 0)) {
		return false;
	}
	while (left > 0) {
		size_t want = ((uint64_t)left < sizeof(block)) ? (size_t)left
		                                               : sizeof(block);
		size_t n = fread(block, 1, want, fp);
		if ((n == 0) || (cwn_write_response(conn, block, n, timeout_ms) < 0)) {
			return false;
		}
		left -= (int64_t)n;
	}
	return true;
}

CWN_API int
cwn_send_file(struct mg_connection *conn,
              const char *path,
              const char *mime_type,
              const char *headers,
              int timeout_ms)
{
	struct mg_file file = STRUCT_FILE_INITIALIZER;
	struct mg_file_stat after;
	cwn_range range = {0, 0};
	char etag[64];
	int found;
	bool whole = true;

	if ((conn == NULL) || (path == NULL) || !mg_stat(conn, path, &file.stat) || file.stat.is_directory
	    || (file.stat.size > (uint64_t)INT64_MAX) || !cwn_is_regular(path)) {
		return 404;
	}
	conn->request_state = 0; /* a 100 Continue may have gone out */
	construct_etag(etag, sizeof(etag), &file.stat);
	if (cwn_is_not_modified(conn, &file.stat, etag)) {
		cwn_send_file_status(conn, 304, &file.stat, etag, headers);
		return 304;
	}
	found = cwn_find_range(conn, &file.stat, etag, &range);
	if (found < 0) {
		cwn_send_file_status(conn, 416, &file.stat, etag, headers);
		return 416;
	}
	if (found == 0) {
		range.first = 0;
		range.last = (int64_t)file.stat.size - 1;
	}
	if (!mg_fopen(conn, path, MG_FOPEN_MODE_READ, &file)) {
		return 404;
	}
	fclose_on_exec(&file.access, conn);
	cwn_send_file_head(conn, path, mime_type, headers, (found > 0) ? &range : NULL);
	if (strcmp(conn->request_info.request_method, "HEAD") != 0) {
		/* CivetWeb has looked at the file again for its head. */
		memset(&after, 0, sizeof(after));
		whole = mg_stat(conn, path, &after) && (after.size == file.stat.size)
		        && (after.last_modified == file.stat.last_modified)
		        && ((conn->status_code == 200) || (conn->status_code == 206))
		        && cwn_send_file_body(conn, file.access.fp, &range, timeout_ms);
	}
	(void)mg_fclose(&file.access);
	if (!whole) {
		cwn_cut(conn);
	}
	return conn->status_code;
}
