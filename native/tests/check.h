#ifndef CWN_CHECK_H
#define CWN_CHECK_H

/* Where the thread that runs the tests stands: the watchdog looks at it (watchdog.h). */
static const char *_Atomic check_file;
static atomic_int check_line;
static atomic_uint check_steps;
static CWN_THREAD_LOCAL bool check_is_watched;

static inline void
check_step(const char *file, int line)
{
	if (check_is_watched) {
		atomic_store_explicit(&check_file, file, memory_order_relaxed);
		atomic_store_explicit(&check_line, line, memory_order_relaxed);
		atomic_fetch_add_explicit(&check_steps, 1, memory_order_relaxed);
	}
}

/* For a loop that may well take long. */
#define CHECK_STEP() check_step(__FILE__, __LINE__)

/* A failed check ends the program: what follows it would only confuse. */
#define CHECK(condition)                                                       \
	do {                                                                       \
		check_step(__FILE__, __LINE__);                                        \
		if (!(condition)) {                                                    \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                           \
		}                                                                      \
	} while (0)

#define CHECK_EQUAL(expected, actual)                                          \
	do {                                                                       \
		long long expected_, actual_;                                          \
		check_step(__FILE__, __LINE__);                                        \
		expected_ = (long long)(expected);                                     \
		actual_ = (long long)(actual);                                         \
		if (expected_ != actual_) {                                            \
			fprintf(stderr,                                                    \
			        "%s:%d: %s is %lld, not %lld\n",                           \
			        __FILE__,                                                  \
			        __LINE__,                                                  \
			        #actual,                                                   \
			        actual_,                                                   \
			        expected_);                                                \
			abort();                                                           \
		}                                                                      \
	} while (0)

/* How long anything may take that is to come: far longer than it does. */
enum { CHECK_PATIENCE_MS = 30000 };

#define CHECK_EVENTUALLY(condition)                                            \
	do {                                                                       \
		uint64_t until_ = cwn_now_ms() + CHECK_PATIENCE_MS;                    \
		while (!(condition)) {                                                 \
			check_step(__FILE__, __LINE__);                                    \
			if (cwn_now_ms() >= until_) {                                      \
				fprintf(stderr,                                                \
				        "%s:%d: not true in %d ms: %s\n",                      \
				        __FILE__,                                              \
				        __LINE__,                                              \
				        CHECK_PATIENCE_MS,                                     \
				        #condition);                                           \
				abort();                                                       \
			}                                                                  \
			mg_sleep(1);                                                       \
		}                                                                      \
	} while (0)

#endif
