/* Frames as a client writes them. */

static uint32_t random_state = 1;

static uint32_t
next_random(void)
{
	/* xorshift: the same sequence everywhere, for repeatable failures */
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

/* Appends one masked frame at out; returns its size. */
static size_t
put_frame(unsigned char *out, int first_byte, const void *payload, size_t size)
{
	size_t n = cwn_write_header(out, 0, size);
	uint32_t key = next_random();
	out[0] = (unsigned char)first_byte;
	out[1] |= 0x80;
	memcpy(out + n, &key, 4);
	if (size > 0) {
		memcpy(out + n + 4, payload, size);
		cwn_unmask(out + n + 4, size, out + n, 0);
	}
	return n + 4 + size;
}
