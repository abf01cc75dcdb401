/* Times in nanoseconds, counted in buckets that are linear inside each power of
 * two: a percentile is right within 1/64 of its value, at any size, and
 * recording one is a few instructions. */

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_BUCKETS = 64 * 40 };

typedef struct histogram {
	uint64_t count;
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
} histogram;

static size_t
histogram_bucket(uint64_t value)
{
	unsigned shift;
	size_t bucket;
	if (value < 2 * HISTOGRAM_STEPS) {
		return (size_t)value;
	}
	shift = 63u - (unsigned)__builtin_clzll(value) - 6u;
	bucket = (size_t)shift * HISTOGRAM_STEPS + (size_t)(value >> shift);
	return (bucket < HISTOGRAM_BUCKETS) ? bucket : HISTOGRAM_BUCKETS - 1;
}

static void
histogram_add(histogram *h, uint64_t value, uint64_t times)
{
	h->count += times;
	h->buckets[histogram_bucket(value)] += times;
	if (value > h->max) {
		h->max = value;
	}
}

/* The value that so large a part of all values does not exceed. */
static uint64_t
histogram_at(const histogram *h, double part)
{
	uint64_t wanted = (uint64_t)(part * (double)h->count + 0.5);
	uint64_t seen = 0;
	size_t i;
	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if ((seen >= wanted) && (seen > 0)) {
			unsigned shift;
			uint64_t upper;
			if (i < 2 * HISTOGRAM_STEPS) {
				return i;
			}
			shift = (unsigned)(i / HISTOGRAM_STEPS) - 1u;
			upper = (((uint64_t)(i % HISTOGRAM_STEPS) + HISTOGRAM_STEPS + 1) << shift) - 1;
			return (upper < h->max) ? upper : h->max;
		}
	}
	return 0;
}
