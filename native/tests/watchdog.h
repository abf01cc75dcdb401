/* A test that hangs says where, instead of falling to the runner's limit without a word;
 * one that fails says who had called what failed (glibc). */

enum {
	WATCHDOG_STEP_MS = 60000,   /* from one check to the next */
	WATCHDOG_GROUP_MS = 110000, /* CTest's limit is a little more; soaks get their time besides */
	WATCHDOG_LOOK_MS = 200
};

static const char *_Atomic watchdog_group;
static atomic_llong watchdog_until;

#if defined(__GLIBC__)
#include <execinfo.h>

static pthread_t watchdog_watched;
extern char __executable_start, etext; /* the linker's */

/* The stack of the thread that the signal has met, in words if addr2line is there. */
static void
watchdog_on_abort(int signal_number)
{
	void *frames[48];
	char command[2048];
	int i, count = backtrace(frames, 48);
	mg_snprintf(NULL, NULL, command, sizeof(command), "addr2line -e /proc/%d/exe -f -i -p -s", (int)getpid());
	/* The first two are this function and the signal's. */
	for (i = 2; i < count; i++) {
		if (((char *)frames[i] > &__executable_start) && ((char *)frames[i] < &etext)) {
			/* A return address is behind its call. */
			size_t used = strlen(command);
			mg_snprintf(NULL,
			            NULL,
			            command + used,
			            sizeof(command) - used,
			            " 0x%lx",
			            (unsigned long)((char *)frames[i] - 1 - &__executable_start));
		}
	}
	mg_strlcpy(command + strlen(command), " >&2", sizeof(command) - strlen(command));
	fflush(NULL);
	if (system(command) != 0) {
		backtrace_symbols_fd(frames, count, 2);
	}
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number);
}
#endif

static void *
watchdog_thread(void *argument)
{
	unsigned seen = 0;
	uint64_t since = cwn_now_ms();
	(void)argument;
	for (;;) {
		unsigned steps = atomic_load(&check_steps);
		uint64_t now = cwn_now_ms();
		if (steps != seen) {
			seen = steps;
			since = now;
		}
		if ((now - since >= WATCHDOG_STEP_MS) || (now >= (uint64_t)atomic_load(&watchdog_until))) {
			fprintf(stderr,
			        "%s: hangs; its last step, %u s ago, was %s:%d\n",
			        atomic_load(&watchdog_group),
			        (unsigned)((now - since) / 1000),
			        atomic_load(&check_file),
			        atomic_load(&check_line));
#if defined(__GLIBC__)
			(void)pthread_kill(watchdog_watched, SIGABRT);
			mg_sleep(10000);
			(void)signal(SIGABRT, SIG_DFL);
#endif
			abort();
		}
		mg_sleep(WATCHDOG_LOOK_MS);
	}
	return NULL;
}

/* The calling thread's tests are watched from here on. */
static void
watchdog_begin(void)
{
	pthread_t thread;
	check_is_watched = true;
#if defined(__GLIBC__)
	void *frame;
	watchdog_watched = pthread_self();
	(void)backtrace(&frame, 1); /* loads what it needs, which a signal handler may not */
	(void)signal(SIGABRT, watchdog_on_abort);
#endif
	atomic_store(&watchdog_group, "nothing yet");
	atomic_store(&watchdog_until, INT64_MAX);
	CHECK_EQUAL(0, pthread_create(&thread, NULL, watchdog_thread, NULL));
#if !defined(_WIN32)
	(void)pthread_detach(thread);
#endif
}

/* How long a soak goes on: CWN_SOAK_SECONDS, or as given when that is not set. */
static uint64_t
test_soak_ms(uint64_t otherwise)
{
	const char *seconds = getenv("CWN_SOAK_SECONDS");
	return (seconds != NULL) ? 1000u * (uint64_t)atoi(seconds) : otherwise;
}

static void
watchdog_watch(const char *group)
{
	int64_t soak_ms = (int64_t)(test_soak_ms(0) * 3 / 2);
	CHECK_STEP();
	atomic_store(&watchdog_group, group);
	atomic_store(&watchdog_until, (int64_t)cwn_now_ms() + WATCHDOG_GROUP_MS + soak_ms);
}
