/* What of HTTP depends on the operating system: files, and a response cut short. */

typedef struct http_test {
	struct mg_context *ctx;
	test_server server; /* for connect_to */
	char path[300];
	atomic_int refused; /* what cwn_send_file said of names that are no files */
} http_test;

#if defined(_WIN32)
static const char *const http_no_files[] = {"NUL", "C:\\NUL", "CON", "C:\\windows", "C:\\no\\such\\file"};
#else
static const char *const http_no_files[] = {"/dev/null", "/dev/zero", "/", "/no/such/file"};
#endif

static int
http_on_begin(struct mg_connection *conn)
{
	static const char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
	http_test *t = (http_test *)mg_get_user_data(mg_get_context(conn));
	const char *uri = mg_get_request_info(conn)->local_uri;
	size_t i;

	if (strcmp(uri, "/file") == 0) {
		return cwn_send_file(conn, t->path, "text/plain", "X-Test: yes\r\n", 5000);
	}
	if (strcmp(uri, "/cut") == 0) {
		CHECK_EQUAL(sizeof(half) - 1, cwn_write_response(conn, half, sizeof(half) - 1, 5000));
		cwn_cut(conn);
		CHECK_EQUAL(-1, cwn_write_response(conn, half, sizeof(half) - 1, 5000));
		return 200;
	}
	for (i = 0; i < sizeof(http_no_files) / sizeof(http_no_files[0]); i++) {
		CHECK_EQUAL(404, cwn_send_file(conn, http_no_files[i], NULL, NULL, 5000));
		atomic_fetch_add(&t->refused, 1);
	}
#if defined(_WIN32)
	{
		char stream[320]; /* another stream of the file */
		mg_snprintf(conn, NULL, stream, sizeof(stream), "%s::$DATA", t->path);
		CHECK_EQUAL(404, cwn_send_file(conn, stream, NULL, NULL, 5000));
	}
#endif
	return cwn_refuse(conn, 404, NULL, "None of them is a file.\n");
}

/* The whole response as a string; how receiving ended. */
static int
http_get(const http_test *t, const char *request, char *response, size_t size)
{
	SOCKET sock = connect_to(&t->server);
	size_t got = 0;
	int n;
	send_all(sock, request, strlen(request));
	while ((n = receive(sock, response + got, size - 1 - got)) > 0) {
		got += (size_t)n;
	}
	response[got] = 0;
	if ((n == 0) && test_was_reset(sock)) {
		n = -1;
	}
	closesocket(sock);
	return n;
}

#define HTTP_GET(path, headers) "GET " path " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n" headers "\r\n"

static void
test_http(void)
{
	static http_test t;
	static char response[4000];
	static const char *options[] = {"listening_ports", "127.0.0.1:0", "num_threads", "2", "decode_url", "no", NULL};
	struct mg_callbacks callbacks;
	struct mg_server_port port;
	FILE *file;

	test_temporary_file(t.path, sizeof(t.path));
	file = fopen(t.path, "wb");
	CHECK(file != NULL);
	/* bytes that a text mode would change */
	CHECK_EQUAL(12, fwrite("0123\r\n\n\x1A" "89ab", 1, 12, file));
	CHECK_EQUAL(0, fclose(file));

	memset(&callbacks, 0, sizeof(callbacks));
	callbacks.begin_request = http_on_begin;
	CHECK_EQUAL(1, cwn_init(0));
	t.ctx = mg_start(&callbacks, &t, options);
	CHECK(t.ctx != NULL);
	CHECK_EQUAL(1, mg_get_server_ports(t.ctx, 1, &port));
	t.server.port = port.port;

	CHECK_EQUAL(0, http_get(&t, HTTP_GET("/file", ""), response, sizeof(response)));
	CHECK(strncmp(response, "HTTP/1.1 200 ", 13) == 0);
	CHECK(strstr(response, "\r\nX-Test: yes\r\n") != NULL);
	CHECK(strstr(response, "\r\nContent-Length: 12\r\n") != NULL);
	CHECK(strstr(response, "\r\n\r\n0123\r\n\n\x1A" "89ab") != NULL);
	CHECK_EQUAL(0, http_get(&t, HTTP_GET("/file", "Range: bytes=8-9\r\n"), response, sizeof(response)));
	CHECK(strncmp(response, "HTTP/1.1 206 ", 13) == 0);
	CHECK(strstr(response, "\r\nContent-Range: bytes 8-9/12\r\n") != NULL);
	CHECK_EQUAL(0, strcmp(strstr(response, "\r\n\r\n"), "\r\n\r\n89"));

	CHECK_EQUAL(0, http_get(&t, HTTP_GET("/file", "Range: bytes=-3\r\n"), response, sizeof(response)));
	CHECK(strstr(response, "\r\nContent-Range: bytes 9-11/12\r\n") != NULL);
	CHECK_EQUAL(0, strcmp(strstr(response, "\r\n\r\n"), "\r\n\r\n9ab"));
	/* another file's tag: all of this one */
	CHECK_EQUAL(0,
	            http_get(&t,
	                     HTTP_GET("/file", "Range: bytes=8-9\r\nIf-Range: \"other\"\r\n"),
	                     response,
	                     sizeof(response)));
	CHECK(strncmp(response, "HTTP/1.1 200 ", 13) == 0);
	CHECK(strstr(response, "\r\nContent-Length: 12\r\n") != NULL);
	/* up to the file's end, and beyond */
	CHECK_EQUAL(0, http_get(&t, HTTP_GET("/file", "Range: bytes=8-11\r\n"), response, sizeof(response)));
	CHECK(strstr(response, "\r\nContent-Range: bytes 8-11/12\r\n") != NULL);
	CHECK_EQUAL(0, strcmp(strstr(response, "\r\n\r\n"), "\r\n\r\n89ab"));
	CHECK_EQUAL(0, http_get(&t, HTTP_GET("/file", "Range: bytes=8-12\r\n"), response, sizeof(response)));
	CHECK(strstr(response, "\r\nContent-Range: bytes 8-11/12\r\n") != NULL);
	CHECK(strstr(response, "\r\nContent-Length: 4\r\n") != NULL);
	CHECK_EQUAL(0, strcmp(strstr(response, "\r\n\r\n"), "\r\n\r\n89ab"));
	CHECK_EQUAL(0, http_get(&t, HTTP_GET("/file", "Range: bytes=11-\r\n"), response, sizeof(response)));
	CHECK(strstr(response, "\r\nContent-Range: bytes 11-11/12\r\n") != NULL);
	CHECK_EQUAL(0, strcmp(strstr(response, "\r\n\r\n"), "\r\n\r\nb"));
	CHECK_EQUAL(0, http_get(&t, HTTP_GET("/file", "Range: bytes=12-\r\n"), response, sizeof(response)));
	CHECK(strncmp(response, "HTTP/1.1 416 ", 13) == 0);
	CHECK(strstr(response, "\r\nContent-Range: bytes */12\r\n") != NULL);

	CHECK_EQUAL(0, http_get(&t, HTTP_GET("/none", ""), response, sizeof(response)));
	CHECK(strncmp(response, "HTTP/1.1 404 ", 13) == 0);
	CHECK_EQUAL(sizeof(http_no_files) / sizeof(http_no_files[0]), atomic_load(&t.refused));

	/* half a body must not look whole: a reset, not an end */
	CHECK(http_get(&t, HTTP_GET("/cut", ""), response, sizeof(response)) < 0);

	mg_stop(t.ctx);
	CHECK_EQUAL(0, remove(t.path));
}
