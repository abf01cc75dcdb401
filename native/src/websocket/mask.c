/* XORs size bytes with the masking key (RFC 6455, section 5.3), as bytes in
 * memory order; offset is the position of data[0] in the frame's payload. */
static void
cwn_unmask(unsigned char *data, size_t size, const unsigned char key[4], size_t offset)
{
	unsigned char pattern[8];
	uint64_t word;
	size_t i;

	for (i = 0; i < sizeof(pattern); i++) {
		pattern[i] = key[(offset + i) & 3u];
	}
	memcpy(&word, pattern, sizeof(word));

	i = 0;
	/* Four words a turn: the compiler makes vector code of it. */
	for (; i + 32 <= size; i += 32) {
		uint64_t block[4];
		memcpy(block, data + i, sizeof(block));
		block[0] ^= word;
		block[1] ^= word;
		block[2] ^= word;
		block[3] ^= word;
		memcpy(data + i, block, sizeof(block));
	}
	for (; i + 8 <= size; i += 8) {
		uint64_t block;
		memcpy(&block, data + i, sizeof(block));
		block ^= word;
		memcpy(data + i, &block, sizeof(block));
	}
	for (; i < size; i++) {
		data[i] ^= pattern[i & 7u];
	}
}
