/* One WebSocket client: connects, upgrades, sends the one message there is again
 * and again, and checks what comes back. Knows nothing of phases and measuring:
 * it calls load_opened, load_received and load_lost. */

typedef enum client_state {
	CLIENT_UNUSED,
	CLIENT_CONNECTING,
	CLIENT_TLS,
	CLIENT_UPGRADING,
	CLIENT_OPEN,
	CLIENT_CLOSING /* its Close frame is out, or on its way */
} client_state;

enum { HEAD_SIZE = 2048, MAX_CONTROL = 125, MAX_HEADER = 14, BATCH_BYTES = 256 * 1024 };

typedef struct client {
	int fd;
	SSL *ssl;
	client_state state;
	bool watches_writing;
	uint64_t began; /* connecting */

	/* output: frames due, the first of them partly sent */
	uint32_t due;
	uint64_t sent;
	size_t frame_offset;
	uint64_t *sent_at; /* of the last in_flight frames */
	unsigned char control[MAX_HEADER + MAX_CONTROL];
	size_t control_start, control_size;
	size_t request_sent;

	/* input */
	char *head; /* the response's, while upgrading */
	size_t head_size;
	unsigned char header[MAX_HEADER];
	size_t header_size;
	bool in_frame, fin, is_control, greeted, close_received;
	int opcode;
	uint64_t frame_left;
	size_t message_done;
	uint64_t received;
	unsigned char payload[MAX_CONTROL]; /* a control frame's */
	size_t payload_size;
} client;

/* What all clients have in common. */
static struct {
	struct sockaddr_in server;
	SSL_CTX *tls;
	int epoll;
	int opcode;
	size_t size; /* of the message */
	uint32_t in_flight;
	bool greeting; /* the server says "+" when a client is ready */
	char request[512];
	size_t request_size;
	unsigned char *message; /* as it comes back */
	unsigned char *batch;   /* masked frames, one after the other */
	size_t frame_size, header_size, batch_frames;
	unsigned char *input;
	char tls_name[128];
} common;

static const unsigned char mask_key[4] = {0x37, 0xFA, 0x21, 0x3D};

static void load_opened(client *c, uint64_t now);
static void load_received(client *c, uint64_t now);
static void load_lost(client *c, const char *why);
static void client_send(client *c);

static uint64_t
now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The number of a message is in its first four bytes, as text. */
static unsigned char
number_byte(uint64_t number, unsigned i)
{
	return (unsigned char)('0' + ((number >> (6 * i)) & 63u));
}

static size_t
write_header(unsigned char *header, int opcode, size_t size)
{
	size_t n;
	int i;
	header[0] = (unsigned char)(0x80 | opcode);
	if (size < 126) {
		header[1] = (unsigned char)(0x80 | size);
		n = 2;
	} else if (size <= 0xFFFF) {
		header[1] = 0x80 | 126;
		header[2] = (unsigned char)(size >> 8);
		header[3] = (unsigned char)size;
		n = 4;
	} else {
		header[1] = 0x80 | 127;
		for (i = 0; i < 8; i++) {
			header[2 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
		}
		n = 10;
	}
	memcpy(header + n, mask_key, 4);
	return n + 4;
}

static void
common_prepare(const char *path, int port)
{
	uint32_t random = 12345;
	size_t i, k;

	common.request_size = (size_t)snprintf(common.request,
	                                       sizeof(common.request),
	                                       "GET %s HTTP/1.1\r\n"
	                                       "Host: 127.0.0.1:%d\r\n"
	                                       "Upgrade: websocket\r\n"
	                                       "Connection: Upgrade\r\n"
	                                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	                                       "Sec-WebSocket-Version: 13\r\n\r\n",
	                                       path,
	                                       port);
	common.message = (unsigned char *)malloc(common.size + 1);
	for (i = 0; i < common.size; i++) {
		random = random * 1664525u + 1013904223u;
		common.message[i] = (unsigned char)(' ' + ((random >> 16) % 95));
	}
	{
		unsigned char header[MAX_HEADER];
		common.header_size = write_header(header, common.opcode, common.size);
		common.frame_size = common.header_size + common.size;
		common.batch_frames = BATCH_BYTES / common.frame_size;
		if (common.batch_frames > common.in_flight) {
			common.batch_frames = common.in_flight;
		}
		if (common.batch_frames == 0) {
			common.batch_frames = 1;
		}
		common.batch = (unsigned char *)malloc(common.batch_frames * common.frame_size);
		for (k = 0; k < common.batch_frames; k++) {
			unsigned char *frame = common.batch + k * common.frame_size;
			memcpy(frame, header, common.header_size);
			for (i = 0; i < common.size; i++) {
				frame[common.header_size + i] = common.message[i] ^ mask_key[i % 4];
			}
		}
	}
	common.input = (unsigned char *)malloc(BATCH_BYTES);
}

/* Bytes, 0 at the end, -1 would block, -2 error. */
static ssize_t
client_io_result(client *c, ssize_t n)
{
	if (c->ssl != NULL) {
		int error;
		if (n > 0) {
			return n;
		}
		error = tls.SSL_get_error(c->ssl, (int)n);
		tls.ERR_clear_error();
		return ((error == TLS_WANT_READ) || (error == TLS_WANT_WRITE)) ? -1
		       : (error == TLS_ZERO_RETURN)                            ? 0
		                                                               : -2;
	}
	if (n >= 0) {
		return n;
	}
	return ((errno == EAGAIN) || (errno == EINTR)) ? -1 : -2;
}

static ssize_t
client_write(client *c, const void *data, size_t size)
{
	return client_io_result(c,
	                        (c->ssl != NULL)
	                            ? tls.SSL_write(c->ssl, data, (int)size)
	                            : send(c->fd, data, size, MSG_NOSIGNAL));
}

static ssize_t
client_read(client *c, void *buffer, size_t size)
{
	return client_io_result(c,
	                        (c->ssl != NULL) ? tls.SSL_read(c->ssl, buffer, (int)size)
	                                         : recv(c->fd, buffer, size, 0));
}

static void
client_watch(client *c, bool writing)
{
	struct epoll_event event;
	if (c->watches_writing == writing) {
		return;
	}
	c->watches_writing = writing;
	event.events = writing ? (EPOLLIN | EPOLLOUT) : EPOLLIN;
	event.data.ptr = c;
	(void)epoll_ctl(common.epoll, EPOLL_CTL_MOD, c->fd, &event);
}

/* Makes it unused; it keeps its memory for the next connection. */
static void
client_end(client *c)
{
	uint64_t *sent_at = c->sent_at;
	char *head = c->head;
	if (c->state == CLIENT_UNUSED) {
		return;
	}
	if (c->ssl != NULL) {
		tls.SSL_free(c->ssl);
	}
	(void)close(c->fd);
	memset(c, 0, sizeof(*c));
	c->sent_at = sent_at;
	c->head = head;
}

/* number chooses the source address: one has some 28,000 ports. */
static bool
client_begin(client *c, uint64_t number)
{
	enum { PER_ADDRESS = 2000, ADDRESSES = 250 };
	struct sockaddr_in source;
	struct epoll_event event;
	int one = 1;

	if (c->sent_at == NULL) {
		c->sent_at = (uint64_t *)calloc(common.in_flight, sizeof(uint64_t));
	}
	if (c->head == NULL) {
		c->head = (char *)malloc(HEAD_SIZE);
	}
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		return false;
	}
	c->state = CLIENT_CONNECTING;
	c->began = now_ns();
	memset(&source, 0, sizeof(source));
	source.sin_family = AF_INET;
	source.sin_addr.s_addr =
	    htonl(INADDR_LOOPBACK + (uint32_t)((number / PER_ADDRESS) % ADDRESSES));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(c->fd, (struct sockaddr *)&source, sizeof(source)) != 0) {
		return false;
	}
	if ((connect(c->fd, (struct sockaddr *)&common.server, sizeof(common.server)) != 0)
	    && (errno != EINPROGRESS)) {
		return false;
	}
	event.events = EPOLLIN | EPOLLOUT;
	event.data.ptr = c;
	c->watches_writing = true;
	return epoll_ctl(common.epoll, EPOLL_CTL_ADD, c->fd, &event) == 0;
}

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

/* A header begins a frame once it is there; false when it is none. */
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

/* The response to the upgrade; what follows it is frames already. */
static void
client_take_head(client *c, const char *data, size_t size, uint64_t now)
{
	static const char accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
	char *end;
	size_t used;
	size_t before = c->head_size;
	size_t n = (size < HEAD_SIZE - 1 - before) ? size : HEAD_SIZE - 1 - before;

	memcpy(c->head + before, data, n);
	c->head_size += n;
	c->head[c->head_size] = 0;
	end = strstr(c->head, "\r\n\r\n");
	if (end == NULL) {
		if (c->head_size == HEAD_SIZE - 1) {
			load_lost(c, "the answer to the upgrade is too long");
		}
		return;
	}
	if ((strncmp(c->head, "HTTP/1.1 101", 12) != 0) || (strstr(c->head, accept) == NULL)) {
		load_lost(c, "the upgrade was refused");
		return;
	}
	used = (size_t)(end + 4 - c->head) - before;
	c->state = CLIENT_OPEN;
	client_watch(c, false);
	if (!common.greeting) {
		load_opened(c, now);
	}
	if (c->state != CLIENT_UNUSED) {
		client_take(c, (const unsigned char *)data + used, size - used, now);
	}
}

static void
client_receive(client *c)
{
	for (;;) {
		ssize_t n = client_read(c, common.input, BATCH_BYTES);
		uint64_t now;
		if (n == -1) {
			return;
		}
		if (n <= 0) {
			load_lost(c, (n == 0) ? "the server has hung up" : "a read failed");
			return;
		}
		now = now_ns();
		if (c->state == CLIENT_UPGRADING) {
			client_take_head(c, (const char *)common.input, (size_t)n, now);
		} else {
			client_take(c, common.input, (size_t)n, now);
		}
		/* Only TLS may hold more than epoll knows of. */
		if ((c->state == CLIENT_UNUSED) || (c->state == CLIENT_CONNECTING)
		    || (c->ssl == NULL)) {
			return;
		}
	}
}

static void
client_upgrade(client *c)
{
	ssize_t n = client_write(c,
	                         common.request + c->request_sent,
	                         common.request_size - c->request_sent);
	if (n == -1) {
		client_watch(c, true);
		return;
	}
	if (n <= 0) {
		load_lost(c, "the request could not be sent");
		return;
	}
	c->request_sent += (size_t)n;
	client_watch(c, c->request_sent < common.request_size);
}

static void
client_handle(client *c, uint32_t events)
{
	if (c->state == CLIENT_CONNECTING) {
		int error = 0;
		socklen_t size = sizeof(error);
		(void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if ((error != 0) || ((events & EPOLLOUT) == 0)) {
			load_lost(c, "connecting failed");
			return;
		}
		c->state = CLIENT_UPGRADING;
		if (common.tls != NULL) {
			c->ssl = tls.SSL_new(common.tls);
			(void)tls.SSL_set_fd(c->ssl, c->fd);
			c->state = CLIENT_TLS;
		}
	}
	if (c->state == CLIENT_TLS) {
		int n = tls.SSL_connect(c->ssl);
		if (n != 1) {
			int error = tls.SSL_get_error(c->ssl, n);
			tls.ERR_clear_error();
			if ((error != TLS_WANT_READ) && (error != TLS_WANT_WRITE)) {
				load_lost(c, "the TLS handshake failed");
				return;
			}
			client_watch(c, error == TLS_WANT_WRITE);
			return;
		}
		if (common.tls_name[0] == 0) {
			(void)snprintf(common.tls_name,
			               sizeof(common.tls_name),
			               "%s %s",
			               tls.SSL_get_version(c->ssl),
			               tls.SSL_CIPHER_get_name(tls.SSL_get_current_cipher(c->ssl)));
		}
		c->state = CLIENT_UPGRADING;
	}
	if ((c->state == CLIENT_UPGRADING) && (c->request_sent < common.request_size)) {
		client_upgrade(c);
		if (c->state != CLIENT_UPGRADING) {
			return;
		}
	}
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
		client_receive(c);
	}
	if (((c->state == CLIENT_OPEN) || (c->state == CLIENT_CLOSING))
	    && ((events & EPOLLOUT) != 0)) {
		client_send(c);
	}
}
