/* What the bytes that a reader has received mean: checks of frame headers, and events. */

/* Checks the two bytes every frame starts with. */
static bool
cwn_reader_check_start(cwn_reader *reader, const unsigned char *p)
{
	int opcode = p[0] & 0x0F;
	bool fin = (p[0] & 0x80) != 0;

	if ((p[0] & 0x70) != 0) {
		return cwn_reader_fail(reader, 1002, "reserved bit set");
	}
	if (((opcode > CWN_OPCODE_BINARY) && (opcode < CWN_OPCODE_CLOSE))
	    || (opcode > CWN_OPCODE_PONG)) {
		return cwn_reader_fail(reader, 1002, "reserved opcode");
	}
	if ((p[1] & 0x80) == 0) {
		return cwn_reader_fail(reader, 1002, "frame is not masked");
	}
	if (opcode >= CWN_OPCODE_CLOSE) {
		if (!fin) {
			return cwn_reader_fail(reader, 1002, "fragmented control frame");
		}
		if ((p[1] & 0x7F) > CWN_MAX_CONTROL) {
			return cwn_reader_fail(reader, 1002, "control frame too large");
		}
	} else if ((opcode == CWN_OPCODE_CONTINUATION)
	           && (reader->message_opcode == 0)) {
		return cwn_reader_fail(reader, 1002, "continuation of no message");
	} else if ((opcode != CWN_OPCODE_CONTINUATION)
	           && (reader->message_opcode != 0)) {
		return cwn_reader_fail(reader, 1002, "message inside a message");
	}
	return true;
}

static bool
cwn_reader_check_length(cwn_reader *reader, const unsigned char *p, uint64_t payload)
{
	unsigned field = p[1] & 0x7Fu;
	size_t gathered =
	    (reader->message_opcode != 0) ? reader->message_size : 0;

	if ((payload >> 63) != 0) {
		return cwn_reader_fail(reader, 1002, "length has its top bit set");
	}
	if (((field == 126) && (payload < 126))
	    || ((field == 127) && (payload <= 0xFFFF))) {
		return cwn_reader_fail(reader, 1002, "length not in its shortest form");
	}
	if (((p[0] & 0x8F) < CWN_OPCODE_CLOSE) && (payload == 0)
	    && (reader->empty_fragments == CWN_MAX_EMPTY_FRAGMENTS)) {
		return cwn_reader_fail(reader, 1008, "too many empty fragments");
	}
	if (((p[0] & 0x0F) < CWN_OPCODE_CLOSE)
	    && (payload > (uint64_t)reader->max_message_size - gathered)) {
		return cwn_reader_fail(reader, 1009, "message too big");
	}
	return true;
}

/* Reads the next header. False: incomplete, or broken_code is set. */
static bool
cwn_reader_begin_frame(cwn_reader *reader)
{
	unsigned char *p = reader->input + reader->position;
	size_t available = reader->length - reader->position;
	uint64_t payload = 0;
	bool known;
	size_t header;

	if ((available < 2) || !cwn_reader_check_start(reader, p)) {
		return false;
	}
	header = cwn_header_size(p, available, &payload, &known);
	if (known && !cwn_reader_check_length(reader, p, payload)) {
		return false;
	}
	if (header == 0) {
		return false;
	}

	reader->in_frame = true;
	reader->fin = (p[0] & 0x80) != 0;
	reader->opcode = p[0] & 0x0F;
	reader->frame_size = (size_t)payload;
	reader->frame_done = 0;
	memcpy(reader->key, p + header - 4, 4);
	reader->position += header;

	if (reader->opcode >= CWN_OPCODE_CLOSE) {
		reader->in_place = true;
	} else {
		reader->empty_fragments =
		    (reader->fin || (reader->frame_size > 0)) ? 0 : reader->empty_fragments + 1;
		reader->in_place = reader->fin && (reader->message_opcode == 0)
		                   && (reader->frame_size <= reader->capacity);
		if (reader->opcode != CWN_OPCODE_CONTINUATION) {
			reader->message_opcode = reader->opcode;
			cwn_utf8_reset(&reader->utf8);
		}
	}
	return true;
}

static cwn_event_kind
cwn_reader_emit(cwn_event *event, int opcode, const unsigned char *data, size_t size)
{
	event->kind = CWN_MESSAGE;
	event->opcode = opcode;
	event->data = data;
	event->size = size;
	return CWN_MESSAGE;
}

static bool
cwn_reader_end_message(cwn_reader *reader)
{
	bool whole = (reader->message_opcode != CWN_OPCODE_TEXT)
	             || cwn_utf8_is_complete(&reader->utf8);
	reader->message_opcode = 0;
	return whole ? true
	             : cwn_reader_fail(reader, 1007, "text ends inside a character");
}

/* A frame that is handed out where it was received. True: it is complete, and the event is set. */
static bool
cwn_reader_take_in_place(cwn_reader *reader, cwn_event *event)
{
	size_t available = reader->length - reader->position;
	size_t left = reader->frame_size - reader->frame_done;
	/* frame_done bytes of this payload are at position already */
	size_t n = available - reader->frame_done;
	unsigned char *data = reader->input + reader->position;

	n = (n < left) ? n : left;
	if (!cwn_reader_take(reader, data + reader->frame_done, n)
	    || (reader->frame_done < reader->frame_size)) {
		return false;
	}
	reader->position += reader->frame_size;
	reader->in_frame = false;
	if ((reader->opcode < CWN_OPCODE_CLOSE) && !cwn_reader_end_message(reader)) {
		return false;
	}
	(void)cwn_reader_emit(event, reader->opcode, data, reader->frame_size);
	return true;
}

/* A frame that is gathered in the message buffer. True: it is complete. */
static bool
cwn_reader_gather(cwn_reader *reader)
{
	size_t available = reader->length - reader->position;
	size_t left = reader->frame_size - reader->frame_done;
	size_t n = (available < left) ? available : left;

	if (n > 0) {
		unsigned char *data;
		if (!cwn_reader_reserve(reader, reader->message_size + n)) {
			return false;
		}
		data = reader->message + reader->message_size;
		memcpy(data, reader->input + reader->position, n);
		reader->position += n;
		reader->message_size += n;
		if (!cwn_reader_take(reader, data, n)) {
			return false;
		}
	}
	if (reader->frame_done < reader->frame_size) {
		return false;
	}
	reader->in_frame = false;
	return true;
}

/* The next event. Data stays valid until the next call on this reader. */
static cwn_event_kind
cwn_reader_next(cwn_reader *reader, cwn_event *event)
{
	if (reader->message_delivered) {
		reader->message_delivered = false;
		reader->message_size = 0;
		if (reader->message_capacity > CWN_KEEP_MESSAGE) {
			cwn_reader_free(reader);
		}
	}

	while (reader->broken_code == 0) {
		if (!reader->in_frame && !cwn_reader_begin_frame(reader)) {
			break;
		}
		if (reader->in_place) {
			if (!cwn_reader_take_in_place(reader, event)) {
				break;
			}
			return CWN_MESSAGE;
		}
		if (!cwn_reader_gather(reader)) {
			break;
		}
		if (reader->fin) {
			int opcode = reader->message_opcode;
			if (!cwn_reader_end_message(reader)) {
				break;
			}
			reader->message_delivered = true;
			return cwn_reader_emit(event, opcode, reader->message, reader->message_size);
		}
	}

	if (reader->broken_code != 0) {
		event->kind = CWN_BROKEN;
		event->code = reader->broken_code;
		event->reason = reader->broken_reason;
	} else {
		event->kind = CWN_NEED_BYTES;
	}
	return event->kind;
}
