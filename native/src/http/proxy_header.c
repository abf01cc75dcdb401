/* The PROXY protocol (versions 1 and 2): a proxy's word for where a connection
 * comes from, sent before the first byte of the connection itself. */

#define CWN_PROXY_V1_MAX 107u
#define CWN_PROXY_V2_HEAD 16u
#define CWN_PROXY_V2_MAX 2048u /* addresses and TLVs; the TLVs are skipped */
#define CWN_PROXY_MAX (CWN_PROXY_V2_HEAD + CWN_PROXY_V2_MAX)

typedef struct cwn_proxy_header {
	bool has_source; /* false: LOCAL or UNKNOWN, or an address of no network */
	union usa source;
} cwn_proxy_header;

static void
cwn_proxy_set_v4(cwn_proxy_header *header, const void *address, uint16_t port)
{
	header->has_source = true;
	header->source.sin.sin_family = AF_INET;
	memcpy(&header->source.sin.sin_addr, address, 4);
	header->source.sin.sin_port = htons(port);
}

static void
cwn_proxy_set_v6(cwn_proxy_header *header, const void *address, uint16_t port)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
	if (memcmp(address, mapped, sizeof(mapped)) == 0) {
		cwn_proxy_set_v4(header, (const unsigned char *)address + 12, port);
		return;
	}
	header->has_source = true;
	header->source.sin6.sin6_family = AF_INET6;
	memcpy(&header->source.sin6.sin6_addr, address, 16);
	header->source.sin6.sin6_port = htons(port);
}

/* A decimal number without a sign or leading zeros; -1 when it is not one. */
static int
cwn_proxy_port(const char *text)
{
	int port = 0;
	size_t i;
	if ((text[0] == 0) || ((text[0] == '0') && (text[1] != 0))) {
		return -1;
	}
	for (i = 0; text[i] != 0; i++) {
		if ((i == 5) || (text[i] < '0') || (text[i] > '9')) {
			return -1;
		}
		port = port * 10 + (text[i] - '0');
	}
	return (port <= 65535) ? port : -1;
}

/* Cuts the text at its next space; returns what follows, NULL without one. */
static char *
cwn_proxy_cut(char *text)
{
	char *space = (text != NULL) ? strchr(text, ' ') : NULL;
	if (space == NULL) {
		return NULL;
	}
	*space = 0;
	return space + 1;
}

/* A whole line without its end: "TCP4 192.0.2.1 192.0.2.2 56324 443". */
static bool
cwn_proxy_parse_line(char *protocol, cwn_proxy_header *header)
{
	unsigned char from[16], to[16];
	char *source, *destination, *source_port, *destination_port;
	int family, port;

	if ((strncmp(protocol, "UNKNOWN", 7) == 0) && ((protocol[7] == 0) || (protocol[7] == ' '))) {
		return true; /* the rest of it is to be ignored */
	}
	source = cwn_proxy_cut(protocol);
	destination = cwn_proxy_cut(source);
	source_port = cwn_proxy_cut(destination);
	destination_port = cwn_proxy_cut(source_port);
	if (destination_port == NULL) {
		return false;
	}
	if (strcmp(protocol, "TCP4") == 0) {
		family = AF_INET;
	} else if (strcmp(protocol, "TCP6") == 0) {
		family = AF_INET6;
	} else {
		return false;
	}
	port = cwn_proxy_port(source_port);
	if ((port < 0) || (cwn_proxy_port(destination_port) < 0)
	    || (inet_pton(family, source, from) != 1) || (inet_pton(family, destination, to) != 1)) {
		return false;
	}
	if (family == AF_INET) {
		cwn_proxy_set_v4(header, from, (uint16_t)port);
	} else {
		cwn_proxy_set_v6(header, from, (uint16_t)port);
	}
	return true;
}

static int
cwn_proxy_parse_v1(const unsigned char *data, size_t size, cwn_proxy_header *header)
{
	char line[CWN_PROXY_V1_MAX + 1];
	size_t limit = (size < CWN_PROXY_V1_MAX) ? size : CWN_PROXY_V1_MAX;
	const unsigned char *end = (const unsigned char *)memchr(data, '\n', limit);
	size_t length;

	if (end == NULL) {
		return (size < CWN_PROXY_V1_MAX) ? 0 : -1;
	}
	length = (size_t)(end - data) + 1;
	if ((length < 8) || (data[length - 2] != '\r') || (memchr(data, 0, length) != NULL)) {
		return -1;
	}
	memcpy(line, data, length - 2);
	line[length - 2] = 0;
	return cwn_proxy_parse_line(line + 6, header) ? (int)length : -1;
}

static int
cwn_proxy_parse_v2(const unsigned char *data, size_t size, cwn_proxy_header *header)
{
	const unsigned char *block = data + CWN_PROXY_V2_HEAD;
	size_t length;

	if (size < CWN_PROXY_V2_HEAD) {
		return 0;
	}
	length = ((size_t)data[14] << 8) | data[15];
	if (((data[12] != 0x20) && (data[12] != 0x21)) || (length > CWN_PROXY_V2_MAX)) {
		return -1;
	}
	if (size < CWN_PROXY_V2_HEAD + length) {
		return 0;
	}
	if (data[12] == 0x21) { /* PROXY; otherwise LOCAL, whose block says nothing */
		switch (data[13]) {
		case 0x00: /* unspecified */
			break;
		case 0x11: /* TCP over IPv4: two addresses, two ports */
			if (length < 12) {
				return -1;
			}
			cwn_proxy_set_v4(header, block, (uint16_t)((block[8] << 8) | block[9]));
			break;
		case 0x21: /* TCP over IPv6 */
			if (length < 36) {
				return -1;
			}
			cwn_proxy_set_v6(header, block, (uint16_t)((block[32] << 8) | block[33]));
			break;
		case 0x31: /* a Unix domain stream: two paths */
			if (length < 216) {
				return -1;
			}
			break;
		default: /* datagrams, and what is not known */
			return -1;
		}
	}
	return (int)(CWN_PROXY_V2_HEAD + length);
}

/* The bytes of the header when all of it is there, 0 while more is needed, -1
 * as soon as it cannot become one. */
static int
cwn_proxy_parse(const unsigned char *data, size_t size, cwn_proxy_header *header)
{
	static const unsigned char v1[6] = {'P', 'R', 'O', 'X', 'Y', ' '};
	static const unsigned char v2[12] = {
	    '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

	memset(header, 0, sizeof(*header));
	if (size == 0) {
		return 0;
	}
	if (data[0] == v1[0]) {
		if (memcmp(data, v1, (size < sizeof(v1)) ? size : sizeof(v1)) != 0) {
			return -1;
		}
		return cwn_proxy_parse_v1(data, size, header);
	}
	if (memcmp(data, v2, (size < sizeof(v2)) ? size : sizeof(v2)) != 0) {
		return -1;
	}
	return cwn_proxy_parse_v2(data, size, header);
}

/* Takes exactly the header from the socket: bytes are peeked at before they are
 * received. NULL, or what was wrong. */
static const char *
cwn_proxy_receive(struct mg_connection *conn, int timeout_ms, cwn_proxy_header *header)
{
	unsigned char data[CWN_PROXY_MAX];
	size_t size = 0;
	uint64_t deadline = cwn_now_ms() + (uint64_t)timeout_ms;

	for (;;) {
		struct mg_pollfd pfd;
		uint64_t now = cwn_now_ms();
		size_t take;
		int n, length;

		pfd.fd = conn->client.sock;
		pfd.events = POLLIN;
		pfd.revents = 0;
		n = (now < deadline)
		        ? mg_poll(&pfd, 1, (int)(deadline - now), &conn->phys_ctx->stop_flag)
		        : 0;
		if (n == 0) {
			return "it did not come in time";
		}
		if (n == -2) {
			return ""; /* the server is stopping */
		}
		n = (int)recv(conn->client.sock,
		              (void *)(data + size),
		              (cwn_io_size)(sizeof(data) - size),
		              MSG_PEEK | CWN_DONTWAIT);
		if ((n < 0) && ERROR_TRY_AGAIN(ERRNO)) {
			continue;
		}
		if (n <= 0) {
			/* Health checks connect and say nothing. */
			return ((n == 0) && (size == 0)) ? "" : "the connection ended";
		}
		length = cwn_proxy_parse(data, size + (size_t)n, header);
		if (length < 0) {
			return "it is malformed";
		}
		take = (length > 0) ? (size_t)length - size : (size_t)n;
		while (take > 0) {
			n = (int)recv(conn->client.sock, (void *)(data + size), (cwn_io_size)take, 0);
			if (n <= 0) {
				return "the connection ended";
			}
			size += (size_t)n;
			take -= (size_t)n;
		}
		if (length > 0) {
			return NULL;
		}
	}
}

CWN_API int
cwn_peer_address(const struct mg_connection *conn, char *text, size_t size)
{
	if ((conn == NULL) || (text == NULL) || (size == 0)) {
		return -1;
	}
	sockaddr_to_string(text, size, &conn->client.rsa);
	return (conn->client.rsa.sa.sa_family == AF_UNIX) ? 0 : ntohs(USA_IN_PORT_UNSAFE(&conn->client.rsa));
}

CWN_API int
cwn_local_address(const struct mg_connection *conn, char *text, size_t size)
{
	union usa address;
	socklen_t length = (socklen_t)sizeof(address);
	if ((conn == NULL) || (text == NULL) || (size == 0)) {
		return -1;
	}
	memset(&address, 0, sizeof(address));
	if (getsockname(conn->client.sock, &address.sa, &length) != 0) {
		text[0] = 0;
		return -1;
	}
	sockaddr_to_string(text, size, &address);
#if defined(USE_X_DOM_SOCKET)
	if ((address.sa.sa_family == AF_UNIX) && (address.sun.sun_path[0] != 0)) {
		mg_strlcpy(text, address.sun.sun_path, size);
	}
#endif
	return (address.sa.sa_family == AF_UNIX) ? 0 : ntohs(USA_IN_PORT_UNSAFE(&address));
}

/* Whether it is an address that only programs on this machine reach. */
static bool
cwn_is_loopback(const union usa *address)
{
	static const unsigned char mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127};
	if (address->sa.sa_family == AF_INET) {
		return (ntohl(address->sin.sin_addr.s_addr) >> 24) == 127;
	}
	return (address->sa.sa_family == AF_INET6)
	       && (IN6_IS_ADDR_LOOPBACK(&address->sin6.sin6_addr)
	           || (memcmp(&address->sin6.sin6_addr, mapped, sizeof(mapped)) == 0));
}

static bool
cwn_is_any(const union usa *address)
{
	return (address->sa.sa_family == AF_INET)
	           ? (address->sin.sin_addr.s_addr == INADDR_ANY)
	           : ((address->sa.sa_family == AF_INET6)
	              && IN6_IS_ADDR_UNSPECIFIED(&address->sin6.sin6_addr));
}

CWN_API int
cwn_is_on_loopback(const struct mg_connection *conn)
{
	const union usa *local;
	bool open = false;
	unsigned i;
	if (conn == NULL) {
		return 1;
	}
	local = &conn->client.lsa;
	if (!cwn_is_loopback(local)) {
		/* Without an address it is a Unix domain socket, or unknown. */
		return (local->sa.sa_family != AF_INET) && (local->sa.sa_family != AF_INET6)
		       && (local->sa.sa_family != AF_UNIX);
	}
	for (i = 0; i < conn->phys_ctx->num_listening_sockets; i++) {
		const union usa *listener = &conn->phys_ctx->listening_sockets[i].lsa;
		if ((listener->sa.sa_family != local->sa.sa_family)
		    || (USA_IN_PORT_UNSAFE(listener) != USA_IN_PORT_UNSAFE(local))) {
			continue;
		}
		if (cwn_is_loopback(listener)) {
			return 1;
		}
		open = open || cwn_is_any(listener);
	}
	return !open;
}

CWN_API int
cwn_read_proxy_header(struct mg_connection *conn)
{
	cwn_proxy_header header;
	const char *wrong, *configured;
	int timeout_ms;

	if ((conn == NULL) || (conn->ssl != NULL)) {
		return -1;
	}
	configured = conn->dom_ctx->config[REQUEST_TIMEOUT];
	timeout_ms = atoi((configured != NULL) ? configured : config_options[REQUEST_TIMEOUT].default_value);
	wrong = cwn_proxy_receive(conn, timeout_ms, &header);
	if (wrong != NULL) {
		char rest[1024];
		if (wrong[0] != 0) {
			mg_cry_internal(conn,
			                "%s should have sent a PROXY protocol header, but %s",
			                conn->request_info.remote_addr,
			                wrong);
		}
		/* CivetWeb goes on to read a request. What has arrived must not be taken
		 * for one, and once the socket is shut down nothing more arrives. */
		conn->must_close = 1;
		(void)shutdown(conn->client.sock, SHUTDOWN_BOTH);
		while (cwn_socket_recv(conn->client.sock, rest, sizeof(rest)) > 0) {
		}
		return -1;
	}
	if (!header.has_source) {
		return 0;
	}
	/* Both: the request's information, and what logs and throttling look at. */
	conn->client.rsa = header.source;
	sockaddr_to_string(conn->request_info.remote_addr,
	                   sizeof(conn->request_info.remote_addr),
	                   &header.source);
	conn->request_info.remote_port = ntohs(USA_IN_PORT_UNSAFE(&header.source));
	return 1;
}
