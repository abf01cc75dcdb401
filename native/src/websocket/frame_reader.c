/* Frames in, whole messages out (RFC 6455, section 5), with no I/O of its own:
 * the loop asks where to put bytes (cwn_reader_space), says how many came
 * (cwn_reader_commit), and takes events until it needs more (cwn_reader_next).
 * Where the bytes go is decided here, what they mean in frame_parser.c.
 *
 * Three ways for a payload:
 *   in place   control frames, and unfragmented messages that fit the input
 *              buffer: handed out where they were received, never copied
 *   gathered   the rest, collected in a message buffer that grows with what has
 *              arrived, never with what was announced
 *   direct     the part of a gathered frame not yet received goes straight into
 *              the message buffer
 *
 * Everything a frame header can do wrong is refused from the header alone.
 */

enum {
	/* what is reserved for a message before any of it has arrived */
	CWN_FIRST_RESERVE = 64 * 1024,
	/* a larger message buffer is freed after the message */
	CWN_KEEP_MESSAGE = 256 * 1024,
	/* A message may have empty fragments, but not an endless row of them. */
	CWN_MAX_EMPTY_FRAGMENTS = 1024
};

typedef enum cwn_event_kind {
	CWN_NEED_BYTES,
	CWN_MESSAGE, /* opcode, data, size: a whole message or control frame */
	CWN_BROKEN   /* code, reason: the peer broke the protocol or a limit */
} cwn_event_kind;

typedef struct cwn_event {
	cwn_event_kind kind;
	int opcode;
	const unsigned char *data;
	size_t size;
	int code;
	const char *reason;
} cwn_event;

typedef struct cwn_reader {
	uint32_t max_message_size;

	/* input buffer: [position, length) is received and not yet consumed */
	unsigned char *input;
	size_t capacity, position, length;

	/* the frame being read, once its header is complete */
	bool in_frame, fin, in_place;
	int opcode;
	unsigned char key[4];
	size_t frame_size;
	size_t frame_done; /* payload bytes unmasked and checked */

	/* the message being gathered; opcode 0: no message */
	int message_opcode;
	unsigned empty_fragments; /* one after the other, up to here */
	cwn_utf8 utf8;
	unsigned char *message;
	size_t message_size, message_capacity;
	bool message_delivered; /* by the last event; its buffer is free again */
	bool direct;            /* the last space was the message's */

	int broken_code;
	const char *broken_reason;
} cwn_reader;

static void
cwn_reader_init(cwn_reader *reader, unsigned char *input, size_t capacity, size_t length, uint32_t max_message_size)
{
	memset(reader, 0, sizeof(*reader));
	reader->input = input;
	reader->capacity = capacity;
	reader->length = length;
	reader->max_message_size = max_message_size;
	cwn_utf8_reset(&reader->utf8);
}

static void
cwn_reader_free(cwn_reader *reader)
{
	mg_free(reader->message);
	reader->message = NULL;
	reader->message_capacity = 0;
}

/* A frame has begun and is not complete. */
static bool
cwn_reader_is_inside_frame(const cwn_reader *reader)
{
	return reader->in_frame || (reader->position < reader->length);
}

static bool
cwn_reader_fail(cwn_reader *reader, int code, const char *reason)
{
	reader->broken_code = code;
	reader->broken_reason = reason;
	return false;
}

static bool
cwn_reader_reserve(cwn_reader *reader, size_t needed)
{
	size_t capacity = reader->message_capacity;
	unsigned char *grown;
	if (needed <= capacity) {
		return true;
	}
	capacity = (capacity == 0) ? 4096 : capacity;
	while (capacity < needed) {
		capacity *= 2;
	}
	grown = (unsigned char *)mg_realloc(reader->message, capacity);
	if (grown == NULL) {
		return cwn_reader_fail(reader, 1011, "out of memory");
	}
	reader->message = grown;
	reader->message_capacity = capacity;
	return true;
}

/* Unmasks and checks the next size payload bytes, wherever they lie. */
static bool
cwn_reader_take(cwn_reader *reader, unsigned char *data, size_t size)
{
	cwn_unmask(data, size, reader->key, reader->frame_done);
	reader->frame_done += size;
	if ((reader->opcode < CWN_OPCODE_CLOSE)
	    && (reader->message_opcode == CWN_OPCODE_TEXT)
	    && !cwn_utf8_feed(&reader->utf8, data, size)) {
		return cwn_reader_fail(reader, 1007, "text is not valid UTF-8");
	}
	return true;
}

/* Where the next bytes go; at least one fits. NULL: see broken_code. */
static unsigned char *
cwn_reader_space(cwn_reader *reader, size_t *size)
{
	size_t kept = reader->length - reader->position;
	size_t left = reader->frame_size - reader->frame_done;

	reader->direct = false;
	if (reader->in_frame && !reader->in_place && (kept == 0)
	    && (left > reader->capacity / 4)) {
		size_t ahead = reader->message_capacity - reader->message_size;
		if (ahead < left) {
			size_t wanted =
			    (left < CWN_FIRST_RESERVE) ? left : CWN_FIRST_RESERVE;
			if (!cwn_reader_reserve(reader, reader->message_size + wanted)) {
				return NULL;
			}
			ahead = reader->message_capacity - reader->message_size;
		}
		reader->direct = true;
		*size = (ahead < left) ? ahead : left;
		return reader->message + reader->message_size;
	}

	/* Move what is kept to the front when little room is left behind it, or
	 * when the frame handed out in place would not fit. */
	if (reader->position > 0) {
		size_t frame = reader->in_frame ? reader->frame_size : CWN_MAX_HEADER;
		if ((kept == 0) || (reader->position + frame > reader->capacity)
		    || (reader->capacity - reader->length < reader->capacity / 4)) {
			memmove(reader->input, reader->input + reader->position, kept);
			reader->position = 0;
			reader->length = kept;
		}
	}
	*size = reader->capacity - reader->length;
	return reader->input + reader->length;
}

static void
cwn_reader_commit(cwn_reader *reader, size_t size)
{
	if (reader->direct) {
		unsigned char *data = reader->message + reader->message_size;
		reader->message_size += size;
		(void)cwn_reader_take(reader, data, size);
	} else {
		reader->length += size;
	}
}

/* Whether another frame can be read without waiting for the socket. */
static bool
cwn_reader_has_frame(const cwn_reader *reader)
{
	uint64_t payload;
	bool known;
	size_t size = reader->length - reader->position;
	size_t header = cwn_header_size(reader->input + reader->position, size, &payload, &known);
	return (header != 0) && (payload <= size - header);
}
