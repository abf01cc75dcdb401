/* libFuzzer: any bytes, cut in any way, into the frame reader. Besides what the
 * sanitizers find, it checks that the outcome does not depend on how the bytes
 * were cut, and that memory follows what arrived. */

#include "asserts.h"

#include "civetweb_net.c"

#include "check.h"

typedef struct outcome {
	uint64_t hash; /* of all events, in order */
	int broken;
} outcome;

static void
mix(outcome *o, uint64_t value)
{
	o->hash = (o->hash ^ value) * 1099511628211u;
}

static outcome
read_all(const unsigned char *data, size_t size, size_t capacity, uint32_t seed)
{
	outcome o = {14695981039346656037u, 0};
	unsigned char *input = (unsigned char *)mg_malloc(capacity);
	cwn_reader reader;
	cwn_event event;
	size_t fed = 0;

	cwn_reader_init(&reader, input, capacity, 0, 1 << 20);
	while ((fed < size) && (o.broken == 0)) {
		size_t space, n;
		unsigned char *to = cwn_reader_space(&reader, &space);
		CHECK((to != NULL) && (space > 0));
		seed = seed * 1664525u + 1013904223u;
		n = 1 + (seed >> 16) % 300;
		n = (n < space) ? n : space;
		n = (n < size - fed) ? n : size - fed;
		memcpy(to, data + fed, n);
		cwn_reader_commit(&reader, n);
		fed += n;
		CHECK(reader.message_capacity <= 2 * (fed + CWN_FIRST_RESERVE));
		while (cwn_reader_next(&reader, &event) != CWN_NEED_BYTES) {
			size_t i;
			if (event.kind == CWN_BROKEN) {
				o.broken = event.code;
				CHECK((event.code == 1002) || (event.code == 1007) || (event.code == 1009));
				break;
			}
			mix(&o, (uint64_t)event.opcode);
			mix(&o, event.size);
			for (i = 0; i < event.size; i++) {
				mix(&o, event.data[i]);
			}
			if (event.opcode == CWN_OPCODE_TEXT) {
				CHECK(cwn_utf8_is_valid(event.data, event.size));
			}
			if (event.opcode == CWN_OPCODE_CLOSE) {
				int error;
				(void)cwn_parse_close(event.data, event.size, &error);
			}
		}
	}
	cwn_reader_free(&reader);
	mg_free(input);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	outcome a, b;
	uint32_t seed;
	if (size < 4) {
		return 0;
	}
	memcpy(&seed, data, 4);
	a = read_all(data + 4, size - 4, 4096, seed);
	b = read_all(data + 4, size - 4, 16384, ~seed);
	CHECK(a.broken == b.broken);
	CHECK(a.hash == b.hash);
	return 0;
}
