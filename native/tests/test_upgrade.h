/* Upgrades, valid ones and refused ones. */

static void
expect_response(const test_server *server, const char *request, const char *start)
{
	static char response[2000];
	SOCKET sock = connect_to(server);
	send_all(sock, request, strlen(request));
	receive_to_end(sock, response, sizeof(response));
	closesocket(sock);
	if (strncmp(response, start, strlen(start)) != 0) {
		fprintf(stderr, "request:\n%s\nresponse:\n%s\n", request, response);
		abort();
	}
	CHECK(strstr(response, "\r\nContent-Length: ") != NULL);
	CHECK(strstr(response, "\r\n\r\n") != NULL);
}

#define REQUEST(line, headers) line "\r\n" headers "\r\n"
#define HOST "Host: test\r\n"
#define UP "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: " RFC_KEY "\r\n"

static void
test_upgrade(void)
{
	static test_server server;
	static const char *bad_keys[] = {"", "!", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZR==",
	                                 "dGhlIHNhbXBsZSBub25jZQ==A", "dGhlIHNhbXBsZSBub25j!Q=="};
	size_t i;
	start_server(&server);

	expect_response(&server, REQUEST("POST /ws HTTP/1.1", HOST UP VERSION KEY), "HTTP/1.1 405 ");
	expect_response(&server, REQUEST("GET /ws HTTP/1.0", HOST UP VERSION KEY), "HTTP/1.1 400 ");
	expect_response(&server, REQUEST("GET /ws HTTP/1.1", UP VERSION KEY), "HTTP/1.1 400 ");
	expect_response(&server, REQUEST("GET /ws HTTP/1.1", HOST HOST UP VERSION KEY), "HTTP/1.1 400 ");
	expect_response(&server, REQUEST("GET /ws HTTP/1.1", HOST "Upgrade: websockets\r\nConnection: Upgrade\r\n" VERSION KEY), "HTTP/1.1 400 ");
	expect_response(&server, REQUEST("GET /ws HTTP/1.1", HOST "Upgrade: websocket\r\nConnection: no-upgrade\r\n" VERSION KEY), "HTTP/1.1 400 ");
	expect_response(&server, REQUEST("GET /ws HTTP/1.1", HOST UP KEY), "HTTP/1.1 426 ");
	expect_response(&server, REQUEST("GET /ws HTTP/1.1", HOST UP "Sec-WebSocket-Version: 8\r\n" KEY), "HTTP/1.1 426 ");
	expect_response(&server, REQUEST("GET /ws HTTP/1.1", HOST UP VERSION), "HTTP/1.1 400 ");
	expect_response(&server, REQUEST("GET /ws HTTP/1.1", HOST UP VERSION KEY KEY), "HTTP/1.1 400 ");
	expect_response(&server, REQUEST("GET /ws HTTP/1.1", HOST UP VERSION KEY "Content-Length: 3\r\n") "abc", "HTTP/1.1 400 ");
	expect_response(&server, REQUEST("GET /ws%00evil HTTP/1.1", HOST UP VERSION KEY), "HTTP/1.1 400 ");
	expect_response(&server, REQUEST("GET /a%0d%0ab HTTP/1.1", HOST), "HTTP/1.1 400 ");
	for (i = 0; i < sizeof(bad_keys) / sizeof(bad_keys[0]); i++) {
		char request[500];
		(void)mg_snprintf(NULL, NULL, request, sizeof(request), "GET /ws HTTP/1.1\r\n" HOST UP VERSION "Sec-WebSocket-Key: %s\r\n\r\n", bad_keys[i]);
		expect_response(&server, request, "HTTP/1.1 400 ");
	}

	/* the path is decoded once, after which dot segments are gone */
	{
		SOCKET sock = connect_to(&server);
		char line[16];
		send_all(sock, UPGRADE("/x/%2e%2e/w%73", RFC_KEY), strlen(UPGRADE("/x/%2e%2e/w%73", RFC_KEY)));
		receive_exactly(sock, line, 12);
		CHECK(strncmp(line, "HTTP/1.1 101", 12) == 0);
		closesocket(sock);
		wait_closed(&server, 1);
	}
	stop_server(&server);
}
