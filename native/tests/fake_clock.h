/* A clock that a test can take over, for its own thread: then waiting takes no time and
 * is measured to the millisecond. Included before the library, whose calls it replaces. */

#if defined(__linux__) && defined(__LP64__)
#define FAKE_CLOCK 1

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Thread_local bool clock_is_fake;
static _Thread_local uint64_t clock_fake_ms = 1000000;

static int
fake_clock_gettime(clockid_t clock, struct timespec *time)
{
	if (!clock_is_fake || (clock != CLOCK_MONOTONIC)) {
		return clock_gettime(clock, time);
	}
	time->tv_sec = (time_t)(clock_fake_ms / 1000);
	time->tv_nsec = (long)(clock_fake_ms % 1000) * 1000000L;
	return 0;
}

/* Nothing ever happens while it waits. */
static void
fake_wait(const struct timespec *limit)
{
	if ((limit == NULL) || (limit->tv_nsec < 0) || (limit->tv_nsec > 999999999L)) {
		abort();
	}
	clock_fake_ms += (uint64_t)limit->tv_sec * 1000 + (uint64_t)limit->tv_nsec / 1000000;
}

static int
fake_ppoll(struct pollfd *polled, nfds_t count, const struct timespec *limit, const sigset_t *mask)
{
	if (!clock_is_fake) {
		return ppoll(polled, count, limit, mask);
	}
	fake_wait(limit);
	return 0;
}

static long
fake_syscall(long number, ...)
{
	long arguments[6];
	va_list list;
	int i;
	va_start(list, number);
	for (i = 0; i < 6; i++) {
		arguments[i] = va_arg(list, long);
	}
	va_end(list);
	if (!clock_is_fake || (number != SYS_futex)) {
		return syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
	}
	fake_wait((const struct timespec *)arguments[3]);
	errno = ETIMEDOUT;
	return -1;
}

#define clock_gettime fake_clock_gettime
#define ppoll fake_ppoll
#define syscall fake_syscall

#endif
