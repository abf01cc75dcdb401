/* Micro benchmarks of the native parts: what one unmasking, one UTF-8 check, one
 * frame, one send costs. Includes the library as the native tests do, so it is
 * the very code that is shipped. Prints one line for each: name, bytes, and
 * nanoseconds, the median, the smallest and the largest of all rounds. */

#include "civetweb_net.c"

/* civetweb.c takes the usual names away. */
#undef printf
#undef malloc
#undef free

enum { ROUNDS = 9, MAX_SIZE = 65536, STREAM = 256 * 1024 };

static const size_t sizes[] = {16, 128, 1024, 4096, 16384, 65536};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static volatile uint64_t sink;

static double
seconds_now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Runs it often enough for a round to be measurable, and then several rounds.
 * Each call does so many operations. */
static void
measure(const char *name, size_t size, size_t operations, void (*call)(size_t))
{
	double rounds[ROUNDS], seconds = 0;
	size_t calls = 1, i;
	int round;
	while (seconds < 0.02) {
		double begin = seconds_now();
		for (i = 0; i < calls; i++) {
			call(size);
		}
		seconds = seconds_now() - begin;
		calls *= 2;
	}
	for (round = 0; round < ROUNDS; round++) {
		double begin = seconds_now();
		for (i = 0; i < calls; i++) {
			call(size);
		}
		rounds[round] = (seconds_now() - begin) / (double)(calls * operations) * 1e9;
	}
	qsort(rounds, ROUNDS, sizeof(rounds[0]), compare_doubles);
	printf("%s\t%zu\t%.3f\t%.3f\t%.3f\n",
	       name,
	       size,
	       rounds[ROUNDS / 2],
	       rounds[0],
	       rounds[ROUNDS - 1]);
	(void)fflush(stdout);
}

static const unsigned char key[4] = {0x37, 0xFA, 0x21, 0x3D};
static unsigned char data[MAX_SIZE + 8];

static void
unmask_aligned(size_t size)
{
	cwn_unmask(data, size, key, 0);
	sink += data[0];
}

/* As in a stream: behind a header, any address may come. */
static void
unmask_unaligned(size_t size)
{
	cwn_unmask(data + 3, size, key, 1);
	sink += data[3];
}

static void
check_utf8(size_t size)
{
	sink += cwn_utf8_is_valid(data, size);
}

static void
fill_text(const char *character)
{
	size_t n = strlen(character), i;
	for (i = 0; i < sizeof(data); i++) {
		data[i] = (i - i % n + n <= sizeof(data)) ? (unsigned char)character[i % n] : 'x';
	}
}

/* --- frames ------------------------------------------------------------------------------------- */

static unsigned char stream[STREAM + MAX_SIZE + 16];
static size_t stream_size, stream_frames;

static void
make_stream(int opcode, size_t size)
{
	stream_size = stream_frames = 0;
	do {
		unsigned char *frame = stream + stream_size;
		size_t header = cwn_write_header(frame, opcode, size), i;
		frame[1] |= 0x80;
		memcpy(frame + header, key, 4);
		for (i = 0; i < size; i++) {
			frame[header + 4 + i] = (unsigned char)('a' + i % 26) ^ key[i % 4];
		}
		stream_size += header + 4 + size;
		stream_frames++;
	} while (stream_size < STREAM);
}

/* Copying the bytes in, as receiving would, is part of it. */
static void
read_frames(size_t size)
{
	static unsigned char input[16384];
	cwn_reader reader;
	cwn_event event;
	size_t fed = 0;
	cwn_reader_init(&reader, input, sizeof(input), 0, 1 << 20);
	while (fed < stream_size) {
		size_t space;
		unsigned char *to = cwn_reader_space(&reader, &space);
		size_t n = (space < stream_size - fed) ? space : stream_size - fed;
		memcpy(to, stream + fed, n);
		fed += n;
		cwn_reader_commit(&reader, n);
		while (cwn_reader_next(&reader, &event) == CWN_MESSAGE) {
			sink += event.size;
		}
	}
	cwn_reader_free(&reader);
	(void)size;
}

/* --- sending ------------------------------------------------------------------------------------ */

static struct mg_connection connection;
static int ends[2];
static cwn_session *session;
static unsigned char drained[STREAM];

static void
drain(void)
{
	while (recv(ends[1], drained, sizeof(drained), MSG_DONTWAIT) > 0) {
	}
}

static bool
open_session(void)
{
	cwn_session_options options;
	int size = 4 * 1024 * 1024;
	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	options.max_message_size = 1 << 24;
	options.max_queue_size = 1 << 24;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
		return false;
	}
	(void)setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	memset(&connection, 0, sizeof(connection));
	connection.client.sock = ends[0];
	session = cwn_session_create(&connection, &options);
	cwn_own_session = session;
	return session != NULL;
}

static void
send_and_drain(size_t size)
{
	sink += (uint64_t)cwn_session_send(session, CWN_OPCODE_BINARY, (const char *)data, size);
	drain();
}

static void
post_and_drain(size_t size)
{
	sink += (uint64_t)cwn_session_post(session, CWN_OPCODE_BINARY, (const char *)data, size);
	drain();
}

enum { GATHERED = 64 };

static void
gather_and_drain(size_t size)
{
	int i;
	session->gather = true;
	for (i = 0; i < GATHERED; i++) {
		sink += (uint64_t)cwn_session_send(session, CWN_OPCODE_BINARY, (const char *)data, size);
		if (session->output_size + size + CWN_MAX_HEADER > CWN_OUTPUT_SIZE) {
			(void)cwn_session_flush(session);
			drain();
			session->gather = true;
		}
	}
	(void)cwn_session_flush(session);
	drain();
}

/* What sending is measured with, without the library: one write, one read. */
static void
write_and_drain(size_t size)
{
	sink += (uint64_t)send(ends[0], data, size, MSG_NOSIGNAL);
	drain();
}

/* --- the whole loop ----------------------------------------------------------------------------- */

enum { LOOP_BYTES = 128 * 1024 };

static int
echo(struct mg_connection *conn, int bits, char *message, size_t size, void *user_data)
{
	(void)conn;
	(void)user_data;
	return cwn_session_send(session, bits & 0x0F, message, size) >= 0;
}

static size_t
loop_frames(size_t size)
{
	size_t frame = stream_size / stream_frames;
	(void)size;
	return (LOOP_BYTES / frame > 0) ? LOOP_BYTES / frame : 1;
}

/* A connection whose client has sent all and hung up: received, handed out,
 * echoed. Making the connection and the session is part of it. */
static void
run_loop(size_t size)
{
	static char request[16384];
	cwn_session_options options;
	int room = 4 * 1024 * 1024;
	size_t bytes = loop_frames(size) * (stream_size / stream_frames);

	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	options.max_message_size = 1 << 24;
	options.max_queue_size = 1 << 24;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
		abort();
	}
	(void)setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	(void)setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	if (send(ends[1], stream, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) {
		abort();
	}
	(void)shutdown(ends[1], SHUT_WR);
	memset(&connection, 0, sizeof(connection));
	connection.client.sock = ends[0];
	connection.buf = request;
	connection.buf_size = sizeof(request);
	session = cwn_session_create(&connection, &options);
	cwn_session_run(session, echo, NULL);
	cwn_session_release(session);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

int
main(void)
{
	size_t i;
	for (i = 0; i < SIZES; i++) {
		measure("unmask", sizes[i], 1, unmask_aligned);
	}
	for (i = 0; i < SIZES; i++) {
		measure("unmask, unaligned", sizes[i], 1, unmask_unaligned);
	}
	fill_text("x");
	for (i = 0; i < SIZES; i++) {
		measure("UTF-8, 1 byte a character", sizes[i], 1, check_utf8);
	}
	fill_text("\xD8\xB3"); /* Arabic */
	for (i = 0; i < SIZES; i++) {
		measure("UTF-8, 2 bytes a character", sizes[i], 1, check_utf8);
	}
	fill_text("x\xF0\x9F\x98\x80yz\x20"); /* one emoji in eight bytes */
	for (i = 0; i < SIZES; i++) {
		measure("UTF-8, an emoji in 8 bytes", sizes[i], 1, check_utf8);
	}
	for (i = 0; i < SIZES; i++) {
		make_stream(CWN_OPCODE_BINARY, sizes[i]);
		measure("frame reader, binary", sizes[i], stream_frames, read_frames);
	}
	for (i = 0; i < SIZES; i++) {
		make_stream(CWN_OPCODE_TEXT, sizes[i]);
		measure("frame reader, text", sizes[i], stream_frames, read_frames);
	}
	if (!open_session()) {
		fprintf(stderr, "bench_micro: no session could be made\n");
		return 1;
	}
	for (i = 0; i < SIZES; i++) {
		measure("one write and one read of the system", sizes[i], 1, write_and_drain);
	}
	for (i = 0; i < SIZES; i++) {
		measure("send, at once", sizes[i], 1, send_and_drain);
	}
	for (i = 0; i < SIZES; i++) {
		measure("post, at once", sizes[i], 1, post_and_drain);
	}
	for (i = 0; i < 4; i++) {
		measure("send, gathered", sizes[i], GATHERED, gather_and_drain);
	}
	for (i = 0; i < SIZES; i++) {
		make_stream(CWN_OPCODE_BINARY, sizes[i]);
		measure("session loop, echo", sizes[i], loop_frames(sizes[i]), run_loop);
	}
	return 0;
}
