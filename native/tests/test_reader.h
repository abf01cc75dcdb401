/* Feeds bytes to a reader in chunks and writes down what comes out. */

typedef struct log_entry {
	int opcode; /* or minus the close code */
	size_t size;
	uint32_t sum;
} log_entry;

typedef struct feed_result {
	log_entry entries[4096];
	int count;
	size_t consumed; /* bytes fed until the reader broke, or all */
	size_t capacity; /* of the message buffer, at its largest */
} feed_result;

static uint32_t
checksum(const unsigned char *data, size_t size)
{
	uint32_t sum = 5381;
	size_t i;
	for (i = 0; i < size; i++) {
		sum = sum * 33 + data[i];
	}
	return sum;
}

/* chunk 0: random sizes */
static void
feed(feed_result *result,
     const unsigned char *bytes,
     size_t size,
     size_t chunk,
     uint32_t max_message,
     size_t capacity)
{
	unsigned char *input = (unsigned char *)mg_malloc(capacity);
	cwn_reader reader;
	cwn_event event;
	size_t fed = 0;
	bool broken = false;

	memset(result, 0, sizeof(*result));
	cwn_reader_init(&reader, input, capacity, 0, max_message);
	while ((fed < size) && !broken) {
		size_t space, n;
		unsigned char *to = cwn_reader_space(&reader, &space);
		CHECK(to != NULL);
		CHECK(space > 0);
		n = (chunk != 0) ? chunk : 1 + next_random() % 5000;
		n = (n < space) ? n : space;
		n = (n < size - fed) ? n : size - fed;
		memcpy(to, bytes + fed, n);
		cwn_reader_commit(&reader, n);
		fed += n;
		while (cwn_reader_next(&reader, &event) != CWN_NEED_BYTES) {
			log_entry *entry = &result->entries[result->count++];
			CHECK(result->count < 4096);
			if (event.kind == CWN_BROKEN) {
				entry->opcode = -event.code;
				broken = true;
				break;
			}
			entry->opcode = event.opcode;
			entry->size = event.size;
			entry->sum = checksum(event.data, event.size);
		}
		if (reader.message_capacity > result->capacity) {
			result->capacity = reader.message_capacity;
		}
	}
	result->consumed = fed;
	cwn_reader_free(&reader);
	mg_free(input);
}

static feed_result result;

/* One event with that outcome, at that byte: not before, not after. */
static void
expect_break(const void *bytes, size_t size, int code)
{
	feed(&result, (const unsigned char *)bytes, size, 1, 1000, 4096);
	CHECK_EQUAL(1, result.count);
	CHECK_EQUAL(-code, result.entries[0].opcode);
	CHECK_EQUAL(size, result.consumed);
}

static void
test_reader(void)
{
	static unsigned char bytes[400000], payload[300000];
	static const size_t sizes[] = {0, 1, 125, 126, 127, 4000, 4082, 4083, 4096, 4097, 65535, 65536, 300000};
	size_t i, chunk, n;

	for (i = 0; i < sizeof(payload); i++) {
		payload[i] = (unsigned char)('a' + i % 26);
	}

	/* every size, alone and between others, in chunks small and large */
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (chunk = 1; chunk < 70000; chunk = chunk * 3 + 1) {
			n = put_frame(bytes, 0x82, payload, sizes[i]);
			n += put_frame(bytes + n, 0x89, "hi", 2);
			n += put_frame(bytes + n, 0x81, payload, sizes[i] % 1000);
			feed(&result, bytes, n, chunk, 1 << 20, 4096);
			CHECK_EQUAL(3, result.count);
			CHECK_EQUAL(2, result.entries[0].opcode);
			CHECK_EQUAL(sizes[i], result.entries[0].size);
			CHECK_EQUAL(checksum(payload, sizes[i]), result.entries[0].sum);
			CHECK_EQUAL(9, result.entries[1].opcode);
			CHECK_EQUAL(checksum((const unsigned char *)"hi", 2), result.entries[1].sum);
			CHECK_EQUAL(1, result.entries[2].opcode);
			CHECK_EQUAL(checksum(payload, sizes[i] % 1000), result.entries[2].sum);
		}
	}

	/* fragments, empty ones too, with control frames between them; a character
	 * split between two of them */
	n = put_frame(bytes, 0x01, "caf\xC3", 4);
	n += put_frame(bytes + n, 0x8A, "pong", 4);
	n += put_frame(bytes + n, 0x00, "", 0);
	n += put_frame(bytes + n, 0x80, "\xA9!", 2);
	for (chunk = 1; chunk <= n; chunk++) {
		feed(&result, bytes, n, chunk, 1000, 4096);
		CHECK_EQUAL(2, result.count);
		CHECK_EQUAL(10, result.entries[0].opcode);
		CHECK_EQUAL(1, result.entries[1].opcode);
		CHECK_EQUAL(checksum((const unsigned char *)"caf\xC3\xA9!", 6), result.entries[1].sum);
	}

	/* empty fragments are counted anew after one that has something */
	for (i = 0; i < 2; i++) {
		size_t k;
		n = put_frame(bytes, 0x01, "", 0);
		for (k = 0; k < 2 * CWN_MAX_EMPTY_FRAGMENTS; k++) {
			n += put_frame(bytes + n, 0x00, "x", (i + k) % 2);
		}
		n += put_frame(bytes + n, 0x80, "", 0);
		feed(&result, bytes, n, 0, 1 << 20, 4096);
		CHECK_EQUAL(1, result.count);
		CHECK_EQUAL(1, result.entries[0].opcode);
		CHECK_EQUAL(CWN_MAX_EMPTY_FRAGMENTS, result.entries[0].size);
	}

	/* section 5.2: reserved bits and opcodes, refused at the second byte */
	expect_break("\xC1\x80", 2, 1002);
	expect_break("\xA1\x80", 2, 1002);
	expect_break("\x91\x80", 2, 1002);
	for (i = 3; i <= 15; i++) {
		unsigned char start[2] = {(unsigned char)(0x80 | i), 0x80};
		if ((i <= 7) || (i >= 11)) {
			expect_break(start, 2, 1002);
		}
	}
	/* section 5.1: unmasked */
	expect_break("\x81\x05", 2, 1002);
	/* section 5.5: control frames fragmented or too large */
	expect_break("\x09\x80", 2, 1002);
	expect_break("\x89\xFE", 2, 1002);
	/* section 5.4: continuation of nothing; a message inside a message */
	expect_break("\x80\x80", 2, 1002);
	n = put_frame(bytes, 0x01, "a", 1);
	bytes[n] = 0x81;
	bytes[n + 1] = 0x81;
	expect_break(bytes, n + 2, 1002);
	/* section 5.2: lengths not in their shortest form, and the top bit */
	expect_break("\x82\xFE\x00\x7D", 4, 1002);
	expect_break("\x82\xFF\x00\x00\x00\x00\x00\x00\xFF\xFF", 10, 1002);
	expect_break("\x82\xFF\x80\x00\x00\x00\x00\x01\x00\x00", 10, 1002);

	/* section 8.1: invalid text, at the byte that breaks it */
	n = put_frame(bytes, 0x81, "ab\xC3(", 4);
	expect_break(bytes, n, 1007);
	n = put_frame(bytes, 0x81, "ab\xFFmore text", 12);
	expect_break(bytes, n - 9, 1007);
	/* ... and text that ends inside a character */
	n = put_frame(bytes, 0x81, "ab\xC3", 3);
	expect_break(bytes, n, 1007);
	n = put_frame(bytes, 0x01, "ab\xC3", 3);
	n += put_frame(bytes + n, 0x80, "", 0);
	expect_break(bytes, n, 1007);
	/* binary is never checked */
	n = put_frame(bytes, 0x82, "\xFF\xFE", 2);
	feed(&result, bytes, n, 1, 1000, 4096);
	CHECK_EQUAL(2, result.entries[0].opcode);
}

/* A large message's memory goes with it; a small one's is kept for the next. */
static void
test_reader_memory(void)
{
	enum { SMALL = 100000, LARGE = 300000 };
	static unsigned char bytes[LARGE + 14], payload[LARGE], input[4096];
	size_t size[2] = {SMALL, LARGE};
	int i;
	for (i = 0; i < 2; i++) {
		cwn_reader reader;
		cwn_event event;
		size_t fed = 0, n = put_frame(bytes, 0x82, payload, size[i]);
		cwn_reader_init(&reader, input, sizeof(input), 0, 1 << 20);
		while (cwn_reader_next(&reader, &event) == CWN_NEED_BYTES) {
			size_t space;
			unsigned char *to = cwn_reader_space(&reader, &space);
			CHECK((to != NULL) && (fed < n));
			space = (space < n - fed) ? space : n - fed;
			memcpy(to, bytes + fed, space);
			cwn_reader_commit(&reader, space);
			fed += space;
		}
		CHECK_EQUAL(CWN_MESSAGE, event.kind);
		CHECK_EQUAL(size[i], event.size);
		CHECK(reader.message_capacity >= size[i]);
		CHECK_EQUAL(CWN_NEED_BYTES, cwn_reader_next(&reader, &event));
		CHECK_EQUAL(0, reader.message_size);
		CHECK_EQUAL(size[i] == SMALL, reader.message_capacity != 0);
		CHECK_EQUAL(size[i] == SMALL, reader.message != NULL);
		cwn_reader_free(&reader);
	}
}

static void
test_reader_limits(void)
{
	static unsigned char bytes[70000], payload[60000];
	size_t n;

	/* 1009 from the length alone: no mask, no payload, no memory */
	expect_break("\x82\xFE\x03\xE9", 4, 1009);
	CHECK_EQUAL(0, result.capacity);
	expect_break("\x82\xFF\x00\x00\x00\x00\x7F\xFF\x00\x00", 10, 1009);
	CHECK_EQUAL(0, result.capacity);
	expect_break("\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 10, 1009);
	/* exactly the limit is allowed */
	n = put_frame(bytes, 0x82, payload, 1000);
	feed(&result, bytes, n, 7, 1000, 4096);
	CHECK_EQUAL(1000, result.entries[0].size);
	/* a sum of fragments over the limit, at the header that exceeds it */
	n = put_frame(bytes, 0x02, payload, 600);
	memcpy(bytes + n, "\x80\xFE\x01\x91", 4);
	expect_break(bytes, n + 4, 1009);

	/* memory follows what arrived, not what was announced */
	memcpy(bytes, "\x82\xFF\x00\x00\x00\x00\x01\x00\x00\x00mask", 14);
	memset(bytes + 14, 'x', 20000);
	feed(&result, bytes, 14 + 20000, 0, 16 << 20, 4096);
	CHECK_EQUAL(0, result.count);
	CHECK(result.capacity <= 2 * (20000 + CWN_FIRST_RESERVE));
	test_reader_memory();
}

static void
test_reader_random(void)
{
	enum { BYTES = 1 << 20 };
	unsigned char *bytes = (unsigned char *)mg_malloc(BYTES + 200000);
	static log_entry expected[4096];
	static unsigned char payload[100000];
	int round;

	for (round = 0; round < 60; round++) {
		size_t used = 0;
		int count = 0, i;
		while ((used < BYTES / 4) && (count < 3000)) {
			static unsigned char message[400000];
			size_t message_size = 0;
			int fragments = 1 + (int)(next_random() % 4), k;
			bool text = (next_random() % 2) == 0;
			for (k = 0; k < fragments; k++) {
				size_t size = next_random() % ((next_random() % 8 == 0) ? 20000 : 200);
				int first = ((k == 0) ? (text ? 1 : 2) : 0)
				            | ((k == fragments - 1) ? 0x80 : 0);
				size_t j;
				for (j = 0; j < size; j++) {
					payload[j] = (unsigned char)(text ? 'a' + next_random() % 26
					                                  : next_random());
				}
				memcpy(message + message_size, payload, size);
				message_size += size;
				used += put_frame(bytes + used, first, payload, size);
				if (next_random() % 3 == 0) {
					int opcode = (next_random() % 2 == 0) ? 9 : 10;
					log_entry *entry = &expected[count];
					size_t control = next_random() % 126;
					if (k == fragments - 1) {
						continue; /* the message comes first then: keep it simple */
					}
					entry->opcode = opcode;
					entry->size = control;
					entry->sum = checksum(payload, control);
					count++;
					used += put_frame(bytes + used, 0x80 | opcode, payload, control);
				}
			}
			expected[count].opcode = text ? 1 : 2;
			expected[count].size = message_size;
			expected[count].sum = checksum(message, message_size);
			count++;
		}
		feed(&result, bytes, used, (round % 3 == 0) ? 1 + next_random() % 50 : 0, 1 << 20,
		     4096 + next_random() % 13000);
		CHECK_EQUAL(count, result.count);
		for (i = 0; i < count; i++) {
			CHECK_EQUAL(expected[i].opcode, result.entries[i].opcode);
			CHECK_EQUAL(expected[i].size, result.entries[i].size);
			CHECK_EQUAL(expected[i].sum, result.entries[i].sum);
		}
	}
	mg_free(bytes);
}
