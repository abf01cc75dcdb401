/* Headers of frames, read and written, and the payload of a Close frame (RFC 6455, sections 5.2
 * and 5.5.1). */

enum {
	CWN_OPCODE_CONTINUATION = 0,
	CWN_OPCODE_TEXT = 1,
	CWN_OPCODE_BINARY = 2,
	CWN_OPCODE_CLOSE = 8,
	CWN_OPCODE_PING = 9,
	CWN_OPCODE_PONG = 10
};

enum { CWN_MAX_HEADER = 14, CWN_MAX_CONTROL = 125 };

/* What of a frame header can be told from size bytes: its own size, 0 while it
 * is not complete. *payload is set as soon as the length field is there. */
static size_t
cwn_header_size(const unsigned char *p, size_t size, uint64_t *payload, bool *known)
{
	size_t header = 2;
	*known = false;
	if (size < 2) {
		return 0;
	}
	*payload = p[1] & 0x7Fu;
	if (*payload == 126) {
		header = 4;
		if (size < header) {
			return 0;
		}
		*payload = ((uint64_t)p[2] << 8) | p[3];
	} else if (*payload == 127) {
		int i;
		header = 10;
		if (size < header) {
			return 0;
		}
		*payload = 0;
		for (i = 2; i < 10; i++) {
			*payload = (*payload << 8) | p[i];
		}
	}
	*known = true;
	if ((p[1] & 0x80u) != 0) {
		header += 4;
	}
	return (size < header) ? 0 : header;
}

static size_t
cwn_write_header(unsigned char *header, int opcode, size_t size)
{
	int i;
	header[0] = (unsigned char)(0x80 | opcode);
	if (size < 126) {
		header[1] = (unsigned char)size;
		return 2;
	}
	if (size <= 0xFFFF) {
		header[1] = 126;
		header[2] = (unsigned char)(size >> 8);
		header[3] = (unsigned char)size;
		return 4;
	}
	header[1] = 127;
	for (i = 0; i < 8; i++) {
		header[2 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
	}
	return 10;
}

/* Close codes a peer may send (section 7.4; 1012-1014 are IANA's). */
static bool
cwn_close_code_is_valid(int code)
{
	return ((code >= 1000) && (code <= 1014) && (code != 1004) && (code != 1005)
	        && (code != 1006))
	       || ((code >= 3000) && (code <= 4999));
}

/* The payload of a Close frame: its code (1005 without one), or the reason to
 * fail the connection in *error (1002 or 1007). */
static int
cwn_parse_close(const unsigned char *data, size_t size, int *error)
{
	int code;
	*error = 0;
	if (size == 0) {
		return 1005;
	}
	if (size == 1) {
		*error = 1002;
		return 0;
	}
	code = (data[0] << 8) | data[1];
	if (!cwn_close_code_is_valid(code)) {
		*error = 1002;
	} else if (!cwn_utf8_is_valid(data + 2, size - 2)) {
		*error = 1007;
	}
	return code;
}
