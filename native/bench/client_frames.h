/* Frames of a client: sent, and checked when they arrive. */

/* Puts a control frame before the next message. */
static void
client_control(client *c, int opcode, const unsigned char *data, size_t size)
{
	size_t header, i;
	if (c->control_size > 0) {
		return; /* one is on its way: a pong may be left out (section 5.5.3) */
	}
	header = write_header(c->control, opcode, size);
	for (i = 0; i < size; i++) {
		c->control[header + i] = data[i] ^ mask_key[i % 4];
	}
	c->control_start = 0;
	c->control_size = header + size;
}

static void
client_close(client *c)
{
	static const unsigned char normal[2] = {0x03, 0xE8};
	c->control_size = 0;
	client_control(c, 8, normal, sizeof(normal));
	c->state = CLIENT_CLOSING;
	client_send(c);
}

/* Sends what is due as far as the socket takes it. */
static void
client_send(client *c)
{
	for (;;) {
		ssize_t n;
		if ((c->control_size > 0) && (c->frame_offset == 0)) {
			n = client_write(c, c->control + c->control_start, c->control_size);
			if (n > 0) {
				c->control_start += (size_t)n;
				c->control_size -= (size_t)n;
				continue;
			}
		} else if (c->due > 0) {
			size_t count = (c->due < common.batch_frames) ? c->due : common.batch_frames;
			uint64_t now = now_ns();
			size_t i, total;
			unsigned k;
			for (i = 0; i < count; i++) {
				unsigned char *payload =
				    common.batch + i * common.frame_size + common.header_size;
				for (k = 0; (k < 4) && (k < common.size); k++) {
					payload[k] = number_byte(c->sent + i, k) ^ mask_key[k];
				}
			}
			n = client_write(c,
			                 common.batch + c->frame_offset,
			                 count * common.frame_size - c->frame_offset);
			if (n > 0) {
				size_t first = (c->frame_offset > 0) ? 1 : 0;
				total = c->frame_offset + (size_t)n;
				for (i = first; i * common.frame_size < total; i++) {
					c->sent_at[(c->sent + i) % common.in_flight] = now;
				}
				c->sent += total / common.frame_size;
				c->due -= (uint32_t)(total / common.frame_size);
				c->frame_offset = total % common.frame_size;
				continue;
			}
		} else {
			client_watch(c, false);
			return;
		}
		if (n == -1) {
			client_watch(c, true);
		} else {
			load_lost(c, "a write failed");
		}
		return;
	}
}

/* Whether a piece of a message is what was sent: all of a small one, both ends
 * of what a large one comes in. */
static bool
client_check(client *c, const unsigned char *data, size_t size)
{
	enum { WHOLE = 1024, END = 64 };
	size_t at = c->message_done;
	if (size == 0) {
		return true;
	}
	if (common.greeting && !c->greeted) {
		return (size == 1) && (data[0] == '+');
	}
	if (size > common.size - at) {
		return false;
	}
	for (; (at < 4) && (size > 0); at++, data++, size--) {
		if (*data != number_byte(c->received, (unsigned)at)) {
			return false;
		}
	}
	if (size <= WHOLE) {
		return memcmp(data, common.message + at, size) == 0;
	}
	return (memcmp(data, common.message + at, END) == 0)
	       && (memcmp(data + size - END, common.message + at + size - END, END) == 0);
}

/* A header begins a frame once all of it is there; false when it is not a valid header. */
static bool
client_begin_frame(client *c)
{
	const unsigned char *p = c->header;
	uint64_t size = p[1] & 0x7Fu;
	size_t i;
	if (size == 126) {
		size = ((uint64_t)p[2] << 8) | p[3];
	} else if (size == 127) {
		size = 0;
		for (i = 2; i < 10; i++) {
			size = (size << 8) | p[i];
		}
	}
	c->fin = (p[0] & 0x80) != 0;
	c->is_control = (p[0] & 0x08) != 0;
	c->opcode = p[0] & 0x0F;
	c->frame_left = size;
	c->in_frame = true;
	c->header_size = 0;
	c->payload_size = 0;
	if (((p[0] & 0x70) != 0) || ((p[1] & 0x80) != 0)) {
		return false; /* a reserved bit, a masked frame */
	}
	if (c->is_control) {
		return c->fin && (size <= MAX_CONTROL) && (c->opcode <= 10);
	}
	if (common.greeting && !c->greeted) {
		return true;
	}
	return c->opcode == ((c->message_done > 0) ? 0 : common.opcode);
}

/* False when the client is gone or was reused. */
static bool
client_end_frame(client *c, uint64_t now)
{
	c->in_frame = false;
	if (c->is_control) {
		if (c->opcode == 9) {
			client_control(c, 10, c->payload, c->payload_size);
			client_send(c);
		} else if (c->opcode == 8) {
			c->close_received = true;
			if (c->state != CLIENT_CLOSING) {
				load_lost(c, "the server has closed a connection");
				return false;
			}
		}
		return c->state != CLIENT_UNUSED;
	}
	if (!c->fin) {
		return true;
	}
	c->message_done = 0;
	if (common.greeting && !c->greeted) {
		c->greeted = true;
		load_opened(c, now);
		return true;
	}
	load_received(c, now);
	return c->state != CLIENT_UNUSED;
}

static void
client_take(client *c, const unsigned char *data, size_t size, uint64_t now)
{
	while ((size > 0) || (c->in_frame && (c->frame_left == 0))) {
		size_t n;
		if (!c->in_frame) {
			size_t needed;
			c->header[c->header_size++] = *data++;
			size--;
			needed = (c->header_size < 2)                   ? 2
			         : ((c->header[1] & 0x7F) == 126) ? 4
			         : ((c->header[1] & 0x7F) == 127) ? 10
			                                                : 2;
			if (c->header_size < needed) {
				continue;
			}
			if (!client_begin_frame(c)) {
				load_lost(c, "the server has sent a wrong frame");
				return;
			}
		}
		n = (size < c->frame_left) ? size : (size_t)c->frame_left;
		if (c->is_control) {
			memcpy(c->payload + c->payload_size, data, n);
			c->payload_size += n;
		} else {
			if (!client_check(c, data, n)) {
				load_lost(c, "an echo differs from what was sent");
				return;
			}
			c->message_done += n;
		}
		data += n;
		size -= n;
		c->frame_left -= n;
		if (c->frame_left == 0) {
			if (c->fin && !c->is_control && c->greeted == common.greeting
			    && (c->message_done != common.size)) {
				load_lost(c, "an echo has the wrong length");
				return;
			}
			if (!client_end_frame(c, now)) {
				return;
			}
		}
	}
}
