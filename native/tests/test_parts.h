static void
test_mask(void)
{
	unsigned char data[200], expected[200], key[4] = {0x12, 0x00, 0xFE, 0x7B};
	size_t size, offset, start, i;
	for (size = 0; size < 150; size++) {
		for (offset = 0; offset < 5; offset++) {
			for (start = 0; start < 3; start++) {
				for (i = 0; i < sizeof(data); i++) {
					data[i] = expected[i] = (unsigned char)(i * 7 + size);
				}
				for (i = 0; i < size; i++) {
					expected[start + i] ^= key[(offset + i) % 4];
				}
				cwn_unmask(data + start, size, key, offset);
				CHECK(memcmp(data, expected, sizeof(data)) == 0);
			}
		}
	}
}

/* Written from the definition: decode, then check range and shortest form. */
static bool
is_utf8_by_definition(const unsigned char *p, size_t size)
{
	size_t i = 0;
	while (i < size) {
		uint32_t value;
		size_t more, k;
		if (p[i] < 0x80) {
			i++;
			continue;
		} else if ((p[i] & 0xE0) == 0xC0) {
			more = 1;
			value = p[i] & 0x1Fu;
		} else if ((p[i] & 0xF0) == 0xE0) {
			more = 2;
			value = p[i] & 0x0Fu;
		} else if ((p[i] & 0xF8) == 0xF0) {
			more = 3;
			value = p[i] & 0x07u;
		} else {
			return false;
		}
		for (k = 1; k <= more; k++) {
			if ((i + k >= size) || ((p[i + k] & 0xC0) != 0x80)) {
				return false;
			}
			value = (value << 6) | (p[i + k] & 0x3Fu);
		}
		if ((more == 1 && value < 0x80) || (more == 2 && value < 0x800)
		    || (more == 3 && value < 0x10000) || (value > 0x10FFFF)
		    || ((value >= 0xD800) && (value <= 0xDFFF))) {
			return false;
		}
		i += more + 1;
	}
	return true;
}

static void
test_utf8(void)
{
	unsigned char text[24];
	uint32_t i;
	int k;
	size_t split;

	/* every two bytes, and every lead with every pair of edges behind it */
	for (i = 0; i < 0x10000; i++) {
		text[0] = (unsigned char)(i >> 8);
		text[1] = (unsigned char)i;
		CHECK_EQUAL(is_utf8_by_definition(text, 2), cwn_utf8_is_valid(text, 2));
		text[2] = 0xBF;
		CHECK_EQUAL(is_utf8_by_definition(text, 3), cwn_utf8_is_valid(text, 3));
		text[2] = 0x80;
		text[3] = 0x80;
		CHECK_EQUAL(is_utf8_by_definition(text, 4), cwn_utf8_is_valid(text, 4));
	}
	/* random bytes behind text of every length: the fast path and its end */
	for (i = 0; i < 200000; i++) {
		size_t size = next_random() % sizeof(text);
		for (k = 0; k < (int)size; k++) {
			text[k] = (unsigned char)((next_random() % 4 == 0) ? next_random() : 'a');
		}
		CHECK_EQUAL(is_utf8_by_definition(text, size), cwn_utf8_is_valid(text, size));
	}
	/* the same verdict however the bytes are split */
	{
		static const unsigned char sample[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
		size_t size = sizeof(sample) - 1;
		for (split = 0; split <= size; split++) {
			cwn_utf8 state;
			cwn_utf8_reset(&state);
			CHECK(cwn_utf8_feed(&state, sample, split));
			CHECK(cwn_utf8_feed(&state, sample + split, size - split));
			CHECK(cwn_utf8_is_complete(&state));
		}
	}
	/* at the first impossible byte, not at the end */
	{
		cwn_utf8 state;
		cwn_utf8_reset(&state);
		CHECK(cwn_utf8_feed(&state, (const unsigned char *)"\xF4", 1));
		CHECK(!cwn_utf8_feed(&state, (const unsigned char *)"\x90", 1));
	}
}

static void
test_close_codes(void)
{
	int code, error;
	unsigned char payload[4] = {0};
	for (code = 0; code <= 0xFFFF; code++) {
		bool valid = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014)
		             || (code >= 3000 && code <= 4999);
		payload[0] = (unsigned char)(code >> 8);
		payload[1] = (unsigned char)code;
		(void)cwn_parse_close(payload, 2, &error);
		CHECK_EQUAL(valid ? 0 : 1002, error);
	}
	CHECK_EQUAL(1005, cwn_parse_close(payload, 0, &error));
	CHECK_EQUAL(0, error);
	(void)cwn_parse_close(payload, 1, &error);
	CHECK_EQUAL(1002, error);
	memcpy(payload, "\x03\xE8\xC3\x28", 4);
	(void)cwn_parse_close(payload, 4, &error);
	CHECK_EQUAL(1007, error);
}

static void
test_library(void)
{
	uint32_t sizes[32];
	unsigned char digest[20];
	static const unsigned char expected[20] = {0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81,
	                                           0x6a, 0xba, 0x3e, 0x25, 0x71, 0x78, 0x50,
	                                           0xc2, 0x6c, 0x9c, 0xd0, 0xd8, 0x9d};
	CHECK_EQUAL(CWN_ABI_VERSION, cwn_abi_version());
	CHECK(cwn_layout(sizes, 32) >= 10);
	CHECK_EQUAL(sizeof(void *), sizes[0]);
	CHECK_EQUAL(sizeof(struct mg_request_info), sizes[1]);
	CHECK(strncmp(cwn_build_info(), "CivetWeb 1.16", 13) == 0);
	CHECK_EQUAL(0, strcmp(mg_version(), "1.16"));
	CHECK(mg_check_feature(MG_FEATURES_WEBSOCKET) != 0);
	CHECK_EQUAL(0, mg_check_feature(MG_FEATURES_CGI));

	/* SHA-1 without OpenSSL: FIPS 180's "abc" */
	CHECK_EQUAL(1, cwn_init(0));
	CHECK_EQUAL(1, EVP_Digest("abc", 3, digest, NULL, EVP_get_digestbyname("sha1"), NULL));
	CHECK(memcmp(digest, expected, sizeof(expected)) == 0);
}

/* Sockets that were accepted and never served: in the queue, and in the hands of
 * a worker that found the server stopping. */
static void
test_drain(void)
{
	struct mg_context *ctx = (struct mg_context *)mg_calloc(1, sizeof(*ctx));
	struct mg_connection *workers = (struct mg_connection *)mg_calloc(3, sizeof(*workers));
	struct socket queue[4];
	SOCKET pairs[4][2];
	int i;
	char byte;

	memset(queue, 0, sizeof(queue));
	for (i = 0; i < 4; i++) {
		test_pair(pairs[i]);
	}
	ctx->squeue = queue;
	ctx->sq_size = 4;
	ctx->sq_tail = 3;
	ctx->sq_head = 5; /* wrapped */
	queue[3].sock = pairs[0][0];
	queue[0].sock = pairs[1][0];
	ctx->worker_connections = workers;
	ctx->cfg_worker_threads = 3;
	workers[0].client.sock = pairs[2][0];
	workers[0].client.lsa.sa.sa_family = AF_INET;
	/* served and closed: the number may be somebody else's by now */
	workers[1].client.sock = INVALID_SOCKET;
	workers[1].client.lsa.sa.sa_family = AF_INET;
	/* workers[2] never had one: its zero is not descriptor 0 */
	cwn_context_drain(ctx);
	for (i = 0; i < 3; i++) {
		CHECK_EQUAL(0, receive(pairs[i][1], &byte, 1)); /* the other end is closed */
	}
	CHECK_EQUAL(-1, test_receive_now(pairs[3][1], &byte, 1));
#if !defined(_WIN32)
	CHECK(fcntl(0, F_GETFD) != -1);
#endif
	for (i = 0; i < 4; i++) {
		closesocket(pairs[i][1]);
	}
	closesocket(pairs[3][0]);
	mg_free(workers);
	mg_free(ctx);
}

/* What a path becomes; NULL: refused. Encoded and decoded. */
static void
check_path(const char *raw, const char *decoded, const char *encoded)
{
	char out[200];
	CHECK_EQUAL(decoded == NULL, cwn_read_path(out, raw, true) != NULL);
	CHECK((decoded == NULL) || (strcmp(out, decoded) == 0));
	CHECK_EQUAL(decoded == NULL, cwn_read_path(out, raw, false) != NULL);
	CHECK((decoded == NULL) || (strcmp(out, (encoded != NULL) ? encoded : decoded) == 0));
}

static void
test_path(void)
{
	static const char *const refused[] = {"/\\", "/a\\b", "/%00", "/a%1f", "/%7F", "/%ff", "/%c0%ae", "/%C3/%BC",
	                                      "/%E4%B8", "/%ED%A0%80", "/%F4%90%80%80", "//..", "/a//../b", "/a//%2e%2e",
	                                      "/a/.//.././b", "/a/b///..", "///../"};
	static const char *const same[] = {"/", "//", "/a", "/a/", "/a.", "/a./b", "/a../b", "/...", "/.../b", "/..a", "/.a/b",
	                                   "/a//b//", "/https://b", "/a%2Fb", "/a%2fb", "/a%5c..%5cb", "/..%2F", "/..%5C..",
	                                   "/%", "/%2", "/%zz", "/a;b=c/d", "/\xC3\xBC"};
	size_t i;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		check_path(refused[i], NULL, NULL);
	}
	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		check_path(same[i], same[i], NULL);
	}
	check_path("/.", "/", NULL);
	check_path("/./", "/", NULL);
	check_path("/..", "/", NULL);
	check_path("/../..", "/", NULL);
	check_path("/../a", "/a", NULL);
	check_path("/a/..", "/", NULL);
	check_path("/a/../", "/", NULL);
	check_path("/a/../..//b", "//b", NULL);
	check_path("/a/b/../c/./d", "/a/c/d", NULL);
	check_path("/a/b/..", "/a/", NULL);
	check_path("/a/b/.", "/a/b/", NULL);
	check_path("/a/%2e%2e/b", "/b", NULL);
	check_path("/a/.%2E/%2e/b", "/b", NULL);
	check_path("/a%2e/b", "/a./b", "/a%2e/b");
	check_path("/%41%20%C3%BC", "/A \xC3\xBC", "/%41%20%C3%BC");
	check_path("/%252F%255c", "/%2F%5c", "/%252F%255c");
	check_path("/a%2F..%2Fb/..", "/", NULL);
	check_path("/%23%3F", "/#?", "/%23%3F");

	CHECK(cwn_is_file_path("/a/b.c/d..e/"));
	CHECK(cwn_is_file_path("/%41%zz/\xC3\xBC"));
	CHECK(!cwn_is_file_path("/a//b"));
	CHECK(!cwn_is_file_path("//"));
	CHECK(!cwn_is_file_path("/a\\b"));
	CHECK(!cwn_is_file_path("/a%2Fb"));
	CHECK(!cwn_is_file_path("/a%5cb"));
	CHECK(!cwn_is_file_path("/a\x01"));
	CHECK(!cwn_is_file_path("/a\x7F"));
	CHECK(!cwn_is_file_path("/a\xC2\x80"));
	CHECK(!cwn_is_file_path("/a\xC2\x9F"));
	CHECK(cwn_is_file_path("/a\xC2\xA0"));
#if defined(_WIN32)
	CHECK(!cwn_is_file_path("/a./b"));
	CHECK(!cwn_is_file_path("/a "));
	CHECK(!cwn_is_file_path("/a:b"));
#else
	CHECK(cwn_is_file_path("/a./b :"));
#endif
}

/* A buffer with another client's bytes anywhere in it. */
static void
test_clear(void)
{
	static char buffer[3 * 4096 + 5];
	size_t i, j;
	for (i = 0; i < sizeof(buffer); i += 97) {
		buffer[i] = 'x';
		buffer[sizeof(buffer) - 1 - i] = 'y';
		cwn_clear(buffer, sizeof(buffer));
		for (j = 0; j < sizeof(buffer); j++) {
			CHECK_EQUAL(0, buffer[j]);
		}
	}
}
