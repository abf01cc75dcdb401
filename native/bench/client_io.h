/* One WebSocket client: its connection, its deadline in the epoll set, and bytes in and out. */

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
