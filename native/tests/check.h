#ifndef CWN_CHECK_H
#define CWN_CHECK_H

/* A failed check ends the program: what follows it would only confuse. */
#define CHECK(condition)                                                       \
	do {                                                                       \
		if (!(condition)) {                                                    \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                           \
		}                                                                      \
	} while (0)

#define CHECK_EQUAL(expected, actual)                                          \
	do {                                                                       \
		long long expected_ = (long long)(expected);                           \
		long long actual_ = (long long)(actual);                               \
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

#endif
