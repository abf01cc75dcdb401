/* PROXY protocol headers: whole, in pieces, wrong; and in front of a request. */

#define V2 "\r\n\r\n\0\r\nQUIT\n"

static int
parse_proxy(const void *data, size_t size, char *source, int *port)
{
	cwn_proxy_header header;
	/* a copy of that size: a sanitizer sees what is read beyond it */
	unsigned char *copy = (unsigned char *)mg_malloc((size > 0) ? size : 1);
	int result;
	memcpy(copy, data, size);
	result = cwn_proxy_parse(copy, size, &header);
	mg_free(copy);
	source[0] = 0;
	*port = 0;
	if ((result > 0) && header.has_source) {
		sockaddr_to_string(source, 64, &header.source);
		*port = ntohs(USA_IN_PORT_UNSAFE(&header.source));
	}
	return result;
}

/* Every shorter piece of it needs more, what follows it is left alone. */
static void
check_proxy(const void *data, size_t size, const char *source, int port)
{
	char text[64];
	unsigned char longer[CWN_PROXY_MAX + 8];
	int got;
	size_t i;
	for (i = 0; i < size; i++) {
		CHECK_EQUAL(0, parse_proxy(data, i, text, &got));
	}
	CHECK_EQUAL(size, parse_proxy(data, size, text, &got));
	CHECK_EQUAL(0, strcmp(source, text));
	CHECK_EQUAL(port, got);
	memcpy(longer, data, size);
	memcpy(longer + size, "GET / \r\n", 8);
	CHECK_EQUAL(size, parse_proxy(longer, size + 8, text, &got));
	CHECK_EQUAL(0, strcmp(source, text));
}

static void
test_proxy_v1(void)
{
	static const struct {
		const char *line, *source;
		int port;
	} good[] = {
	    {"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", "192.0.2.1", 56324},
	    {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", 65535},
	    {"PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n", "1.2.3.4", 0},
	    {"PROXY TCP6 2001:db8::1 2001:db8::2 1234 80\r\n", "2001:db8::1", 1234},
	    {"PROXY TCP6 ::ffff:192.0.2.9 ::1 1 2\r\n", "192.0.2.9", 1},
	    {"PROXY UNKNOWN\r\n", "", 0},
	    {"PROXY UNKNOWN ffff::1 whatever 65535\r\n", "", 0},
	};
	static const char *const bad[] = {
	    "GET / HTTP/1.1\r\n",
	    "PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n",
	    "PROXY \r\n",
	    "PROXY \n",
	    "P\n",
	    "PROXY TCP4\r\n",
	    "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
	    "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
	    "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
	    "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
	    "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
	    "PROXY TCP4 1.2.3.4 5.6.7 1 2\r\n",
	    "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
	    "PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n",
	    "PROXY TCP4 ::1 ::1 1 2\r\n",
	    "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
	    "PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
	    "PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n",
	    "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
	    "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
	    "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
	    "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
	    "PROXY TCP4 1.2.3.4 5.6.7.8 1 99999999999\r\n",
	    "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
	    "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
	    "PROXY UNKNOWNS\r\n",
	    "proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
	};
	char line[200], text[64];
	int port;
	size_t i;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		check_proxy(good[i].line, strlen(good[i].line), good[i].source, good[i].port);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQUAL(-1, parse_proxy(bad[i], strlen(bad[i]), text, &port));
	}
	CHECK_EQUAL(-1, parse_proxy("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n", 33, text, &port));
	/* at the first byte that is wrong */
	CHECK_EQUAL(-1, parse_proxy("G", 1, text, &port));
	CHECK_EQUAL(-1, parse_proxy("PROXX", 5, text, &port));

	/* 107 bytes are the most */
	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	memcpy(line + 105, "\r\n", 2);
	check_proxy(line, 107, "", 0);
	memcpy(line + 105, "x\r\n", 3);
	CHECK_EQUAL(0, parse_proxy(line, 106, text, &port));
	CHECK_EQUAL(-1, parse_proxy(line, 107, text, &port));
	CHECK_EQUAL(-1, parse_proxy(line, 108, text, &port));
}

static void
test_proxy_v2(void)
{
	unsigned char data[CWN_PROXY_MAX + 8];
	char text[64];
	int port, i;

	memset(data, 0, sizeof(data));
	memcpy(data, V2 "\x21\x11\x00\x0C\xC0\x00\x02\x01\xC6\x33\x64\x07\xDC\x04\x01\xBB", 28);
	check_proxy(data, 28, "192.0.2.1", 56324);
	/* TLVs behind the addresses, and the most of them */
	data[15] = 12 + 20;
	check_proxy(data, 48, "192.0.2.1", 56324);
	data[14] = 0x08;
	data[15] = 0x00;
	check_proxy(data, CWN_PROXY_MAX, "192.0.2.1", 56324);
	data[15] = 0x01;
	CHECK_EQUAL(-1, parse_proxy(data, 16, text, &port));
	/* too short for its addresses */
	data[14] = 0;
	data[15] = 11;
	CHECK_EQUAL(-1, parse_proxy(data, 28, text, &port));

	memset(data, 0, sizeof(data));
	memcpy(data, V2 "\x21\x21\x00\x24\x20\x01\x0D\xB8", 20);
	data[31] = 1;
	data[48] = 0x04;
	data[49] = 0xD2;
	check_proxy(data, 52, "2001:db8::1", 1234);
	data[15] = 35;
	CHECK_EQUAL(-1, parse_proxy(data, 52, text, &port));
	data[15] = 36;
	memcpy(data + 16, "\0\0\0\0\0\0\0\0\0\0\xFF\xFF\xC0\0\2\x09", 16);
	check_proxy(data, 52, "192.0.2.9", 1234);

	/* LOCAL, whatever its block; unspecified; a Unix domain stream */
	data[12] = 0x20;
	check_proxy(data, 52, "", 0);
	data[13] = 0x55;
	check_proxy(data, 52, "", 0);
	memcpy(data, V2 "\x20\x00\x00\x00", 16);
	check_proxy(data, 16, "", 0);
	memcpy(data, V2 "\x21\x00\x00\x00", 16);
	check_proxy(data, 16, "", 0);
	memcpy(data, V2 "\x21\x31\x00\xD8", 16);
	check_proxy(data, 16 + 216, "", 0);
	data[15] = 0xD7;
	CHECK_EQUAL(-1, parse_proxy(data, 16 + 216, text, &port));

	/* every other version, command and family */
	for (i = 0; i < 256; i++) {
		memcpy(data, V2 "\x21\x11\x00\xD8", 16);
		data[12] = (unsigned char)i;
		CHECK_EQUAL((i == 0x20 || i == 0x21) ? 232 : -1, parse_proxy(data, 232, text, &port));
		data[12] = 0x21;
		data[13] = (unsigned char)i;
		CHECK_EQUAL((i == 0 || i == 0x11 || i == 0x21 || i == 0x31) ? 232 : -1,
		            parse_proxy(data, 232, text, &port));
	}
	/* every byte of the signature counts, as soon as it is there */
	for (i = 0; i < 12; i++) {
		memcpy(data, V2, 12);
		data[i] ^= 0x01;
		CHECK_EQUAL(-1, parse_proxy(data, (size_t)i + 1, text, &port));
	}
}

static void
test_proxy_random(void)
{
	unsigned char data[300];
	char text[64];
	int port;
	uint32_t i;
	for (i = 0; i < 200000; i++) {
		size_t size = next_random() % sizeof(data);
		size_t k;
		for (k = 0; k < size; k++) {
			data[k] = (unsigned char)next_random();
		}
		if (i % 2 == 0) {
			memcpy(data, V2 "\x21\x11\x00", 15);
			size = (size < 15) ? 15 : size;
		} else {
			static const char line[] = "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n";
			size = sizeof(line) - 1;
			memcpy(data, line, size);
			data[next_random() % size] = (unsigned char)next_random();
		}
		CHECK(parse_proxy(data, size, text, &port) <= (int)size);
	}
}

static struct mg_connection *
proxied_connection(struct mg_context *ctx, SOCKET sock)
{
	struct mg_connection *conn = (struct mg_connection *)mg_calloc(1, sizeof(*conn));
	ctx->context_type = CONTEXT_SERVER;
	conn->phys_ctx = ctx;
	conn->dom_ctx = &ctx->dd;
	conn->client.sock = sock;
	conn->client.rsa.sa.sa_family = AF_UNIX;
	return conn;
}

/* A connection of no server, with a buffer that is empty. */
static struct mg_connection *
test_connection(struct mg_context *ctx, SOCKET sock)
{
	struct mg_connection *conn = proxied_connection(ctx, sock);
	conn->buf = (char *)mg_calloc(1, 8192);
	conn->buf_size = 8192;
	return conn;
}

static void
test_free_connection(struct mg_connection *conn)
{
	mg_free(conn->buf);
	mg_free(conn);
}

static int
ignore_log(const struct mg_connection *conn, const char *message)
{
	(void)conn;
	(void)message;
	return 1;
}

/* Not a byte of what follows is taken; what is no header is never left over. */
static void
test_proxy_reading(void)
{
	static const char header[] = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
	static const char request[] = "GET / HTTP/1.1\r\n\r\n";
	char timeout[] = "200", rest[100], text[64];
	struct mg_context *ctx = (struct mg_context *)mg_calloc(1, sizeof(*ctx));
	int round;
	ctx->dd.config[REQUEST_TIMEOUT] = timeout;
	ctx->callbacks.log_message = ignore_log;
	for (round = 0; round < 6; round++) {
		struct mg_connection *conn;
		SOCKET pair[2];
		test_pair(pair);
		conn = proxied_connection(ctx, pair[0]);
		CHECK_EQUAL(0, cwn_peer_address(conn, text, sizeof(text)));
#if defined(USE_X_DOM_SOCKET)
		CHECK_EQUAL(0, strcmp("*", text));
#endif
		switch (round) {
		case 0: /* header and request together */
			send_all(pair[1], header, sizeof(header) - 1);
			send_all(pair[1], request, sizeof(request) - 1);
			CHECK_EQUAL(1, cwn_read_proxy_header(conn));
			CHECK_EQUAL(0, strcmp("192.0.2.1", conn->request_info.remote_addr));
			CHECK_EQUAL(56324, conn->request_info.remote_port);
			CHECK_EQUAL(56324, cwn_peer_address(conn, text, sizeof(text)));
			CHECK_EQUAL(0, strcmp("192.0.2.1", text));
			break;
		case 1: /* no address */
			send_all(pair[1], V2 "\x20\x00\x00\x02xx", 18);
			send_all(pair[1], request, sizeof(request) - 1);
			CHECK_EQUAL(0, cwn_read_proxy_header(conn));
			CHECK_EQUAL(AF_UNIX, conn->client.rsa.sa.sa_family);
			break;
		case 2: /* none at all: the request must not be served */
			send_all(pair[1], request, sizeof(request) - 1);
			CHECK_EQUAL(-1, cwn_read_proxy_header(conn));
			break;
		case 3: /* a piece of it, then nothing */
			send_all(pair[1], header, 10);
			CHECK_EQUAL(-1, cwn_read_proxy_header(conn));
			break;
		case 4: /* a piece of it, then the end */
			send_all(pair[1], header, 10);
			shutdown(pair[1], SHUTDOWN_WR);
			CHECK_EQUAL(-1, cwn_read_proxy_header(conn));
			break;
		default: /* the server stops */
			ctx->stop_flag = 1;
			CHECK_EQUAL(-1, cwn_read_proxy_header(conn));
			break;
		}
		if (round < 2) {
			receive_exactly(pair[0], rest, sizeof(request) - 1);
			CHECK(memcmp(rest, request, sizeof(request) - 1) == 0);
			CHECK_EQUAL(-1, test_receive_now(pair[0], rest, 1));
		} else {
			CHECK_EQUAL(1, conn->must_close);
			/* nothing is left, nothing comes: the end, or on Windows an error */
			int n = cwn_socket_recv(pair[0], rest, sizeof(rest));
			CHECK((n == 0) || (n == -2));
			CHECK_EQUAL(0, receive(pair[1], rest, sizeof(rest)));
		}
		closesocket(pair[0]);
		closesocket(pair[1]);
		mg_free(conn);
	}
	mg_free(ctx);
	CHECK_EQUAL(-1, cwn_read_proxy_header(NULL));
	CHECK_EQUAL(-1, cwn_peer_address(NULL, text, sizeof(text)));
}

typedef struct proxy_drip {
	SOCKET sock;
	atomic_bool stop;
	int sent;
} proxy_drip;

static void *
proxy_send_drips(void *argument)
{
	static const char line[] = "PROXY UNKNOWN and whatever else there is to say about a connection of which nothing is known\r\n";
	proxy_drip *drip = (proxy_drip *)argument;
	for (; !atomic_load(&drip->stop) && (drip->sent < (int)sizeof(line) - 1); drip->sent++) {
		if (send(drip->sock, line + drip->sent, 1, MSG_NOSIGNAL) != 1) {
			break;
		}
		mg_sleep(50);
	}
	return NULL;
}

/* A byte now and then: one time-out for all of it, not one for each. */
static void
test_proxy_drip(void)
{
	char timeout[] = "300";
	struct mg_context *ctx = (struct mg_context *)mg_calloc(1, sizeof(*ctx));
	struct mg_connection *conn;
	proxy_drip drip;
	pthread_t thread;
	SOCKET pair[2];
	ctx->dd.config[REQUEST_TIMEOUT] = timeout;
	ctx->callbacks.log_message = ignore_log;
	test_pair(pair);
	conn = proxied_connection(ctx, pair[0]);
	memset(&drip, 0, sizeof(drip));
	drip.sock = pair[1];
	CHECK_EQUAL(0, pthread_create(&thread, NULL, proxy_send_drips, &drip));
	CHECK_EQUAL(-1, cwn_read_proxy_header(conn)); /* 0, had it waited for the whole line */
	CHECK_EQUAL(1, conn->must_close);
	atomic_store(&drip.stop, true);
	pthread_join(thread, NULL);
	closesocket(pair[0]);
	closesocket(pair[1]);
	mg_free(conn);
	mg_free(ctx);
}

static void
test_proxy_header(void)
{
	test_proxy_v1();
	test_proxy_v2();
	test_proxy_random();
	test_proxy_reading();
	test_proxy_drip();
}
