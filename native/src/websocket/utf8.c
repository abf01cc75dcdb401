/* UTF-8 checked as it arrives (RFC 3629): the first byte that cannot continue a
 * valid text is found when it comes, not at the end of the message. */
typedef struct cwn_utf8 {
	unsigned char missing; /* continuation bytes of the character begun */
	unsigned char low;     /* bounds of the next one */
	unsigned char high;
} cwn_utf8;

static void
cwn_utf8_reset(cwn_utf8 *state)
{
	state->missing = 0;
	state->low = 0x80;
	state->high = 0xBF;
}

static bool
cwn_utf8_feed(cwn_utf8 *state, const unsigned char *data, size_t size)
{
	size_t i = 0;
	while (i < size) {
		unsigned char c;

		if (state->missing == 0) {
			while (i + 16 <= size) {
				uint64_t block[2];
				memcpy(block, data + i, sizeof(block));
				if (((block[0] | block[1]) & 0x8080808080808080u) != 0) {
					break;
				}
				i += 16;
			}
			while ((i < size) && (data[i] < 0x80)) {
				i++;
			}
			if (i == size) {
				break;
			}
		}

		c = data[i++];
		if (state->missing != 0) {
			if ((c < state->low) || (c > state->high)) {
				return false;
			}
			state->missing--;
			state->low = 0x80;
			state->high = 0xBF;
		} else if ((c >= 0xC2) && (c <= 0xDF)) {
			state->missing = 1;
		} else if ((c >= 0xE0) && (c <= 0xEF)) {
			state->missing = 2;
			/* E0: overlong forms; ED: surrogates */
			state->low = (c == 0xE0) ? 0xA0 : 0x80;
			state->high = (c == 0xED) ? 0x9F : 0xBF;
		} else if ((c >= 0xF0) && (c <= 0xF4)) {
			state->missing = 3;
			/* F0: overlong forms; F4: beyond U+10FFFF */
			state->low = (c == 0xF0) ? 0x90 : 0x80;
			state->high = (c == 0xF4) ? 0x8F : 0xBF;
		} else {
			return false;
		}
	}
	return true;
}

static bool
cwn_utf8_is_complete(const cwn_utf8 *state)
{
	return state->missing == 0;
}

static bool
cwn_utf8_is_valid(const unsigned char *data, size_t size)
{
	cwn_utf8 state;
	cwn_utf8_reset(&state);
	return cwn_utf8_feed(&state, data, size) && cwn_utf8_is_complete(&state);
}
