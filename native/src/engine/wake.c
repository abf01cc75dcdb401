/* How a session's own thread waits for its socket, and how other threads wake it.
 *
 * create, destroy   with the session
 * begin, end        the own thread, around all its waiting
 * wait              the own thread
 * set               any thread, under a lock that detaching takes too: the own
 *                   thread has not ended
 *
 * On Linux a signal does it: it is blocked in the own thread except while that waits
 * (ppoll), so none is lost, and a connection costs one descriptor, not two. A thread
 * that waits for no socket sleeps on a futex, which is woken at less cost. */

#if defined(__linux__)

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Ignored by default, so it disturbs no other part of a process. */
#define CWN_WAKE_SIGNAL SIGURG

/* The kernel's numbers: musl's compiler does not come with its headers. */
enum { CWN_FUTEX_WAIT_PRIVATE = 128, CWN_FUTEX_WAKE_PRIVATE = 129 };

/* When stack is given back: soon after the handshake, the deepest that a
 * connection goes, and after each time it was busy. Not at once: unmapping
 * interrupts every processor, and a connection that ends soon leaves the stack
 * to the next one on its thread. */
enum { CWN_SOON_MS = 50, CWN_IDLE_MS = 1000 };

/* What the own thread does.
 *   BUSY   -> POLLS    it begins to wait for a socket: a signal wakes it
 *   BUSY   -> SLEEPS   it begins to wait without one: the futex wakes it
 *   POLLS, SLEEPS -> BUSY   it has waited
 * Each wait looks at is_set after the change and before it sleeps, and cwn_wake_set looks at
 * the state after it has set is_set: one of the two sees what the other has written. */
enum { CWN_WAKE_BUSY, CWN_WAKE_POLLS, CWN_WAKE_SLEEPS };

typedef struct cwn_wake {
	pthread_t thread; /* the own one, once waiting has been other than busy */
	_Atomic uint32_t is_set; /* 0 or 1; the futex */
	atomic_int waiting;
	bool was_blocked; /* the signal */
	bool is_idle;
	uint64_t give_back_at; /* the stack that the handshake took; 0: done */
} cwn_wake;

static void
cwn_wake_signal(int signal_number)
{
	(void)signal_number; /* interrupting ppoll is all it is for */
}

/* Before the first session, and again before each signal: the program may have set the
 * signal back to what it was meanwhile. */
static bool
cwn_wake_prepare(void)
{
	struct sigaction action;
	if (sigaction(CWN_WAKE_SIGNAL, NULL, &action) != 0) {
		return false;
	}
	if ((action.sa_flags & SA_SIGINFO) || ((action.sa_handler != SIG_DFL) && (action.sa_handler != SIG_IGN))) {
		return true; /* any handler interrupts ppoll as well */
	}
	memset(&action, 0, sizeof(action));
	action.sa_handler = cwn_wake_signal;
	action.sa_flags = SA_RESTART; /* ppoll is interrupted all the same */
	(void)sigemptyset(&action.sa_mask);
	return sigaction(CWN_WAKE_SIGNAL, &action, NULL) == 0;
}

static bool
cwn_wake_create(cwn_wake *wake)
{
	memset(wake, 0, sizeof(*wake));
	atomic_init(&wake->is_set, 0);
	atomic_init(&wake->waiting, CWN_WAKE_BUSY);
	return true;
}

static void
cwn_wake_destroy(cwn_wake *wake)
{
	(void)wake;
}

/* For the signal alone: the rest of the thread's mask is the application's, which may
 * change it at any time. */
static void
cwn_wake_mask(int how, sigset_t *before)
{
	sigset_t ours;
	(void)sigemptyset(&ours);
	(void)sigaddset(&ours, CWN_WAKE_SIGNAL);
	(void)pthread_sigmask(how, &ours, before);
}

static void
cwn_wake_begin(cwn_wake *wake)
{
	sigset_t before;
	wake->give_back_at = cwn_now_ms() + CWN_SOON_MS;
	wake->thread = pthread_self();
	cwn_wake_mask(SIG_BLOCK, &before);
	wake->was_blocked = sigismember(&before, CWN_WAKE_SIGNAL) == 1;
}

static void
cwn_wake_set(cwn_wake *wake)
{
	if (atomic_exchange(&wake->is_set, 1) == 0) {
		int waiting = atomic_load(&wake->waiting);
		if (waiting == CWN_WAKE_POLLS) {
			(void)cwn_wake_prepare();
			(void)pthread_kill(wake->thread, CWN_WAKE_SIGNAL);
		} else if (waiting == CWN_WAKE_SLEEPS) {
			(void)syscall(SYS_futex, &wake->is_set, CWN_FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		}
	}
}

/* What was called before went deeper into the stack than waiting does. */
static void
cwn_give_back_stack(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	enum { IN_USE = 512 }; /* by this function and those it calls */
	pthread_attr_t attributes;
	/* arm64 has pages of 16 and 64 KiB too, and madvise takes a page begun for
	 * whole: the one that is in use must not be among them. */
	long page = sysconf(_SC_PAGESIZE);
	uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - IN_USE) & ~((uintptr_t)page - 1);
	void *low = NULL;
	size_t size = 0;
	if ((page <= 0) || (pthread_getattr_np(pthread_self(), &attributes) != 0)) {
		return;
	}
	if (pthread_attr_getstack(&attributes, &low, &size) != 0) {
		low = NULL;
	}
	(void)pthread_attr_destroy(&attributes);
	if ((low != NULL) && ((uintptr_t)low < end)) {
		(void)madvise(low, end - (uintptr_t)low, MADV_DONTNEED);
	}
#endif
}

static void
cwn_wake_end(cwn_wake *wake)
{
	/* Closing may have gone deep too, an exception of the application's above all. */
	if (wake->give_back_at == 0) {
		cwn_give_back_stack();
	}
	if (!wake->was_blocked) {
		cwn_wake_mask(SIG_UNBLOCK, NULL);
	}
}

/* As poll. */
static int
cwn_wake_poll(cwn_wake *wake, struct mg_pollfd *poller, int timeout_ms)
{
	struct timespec time;
	struct timespec *limit = (timeout_ms < 0) ? NULL : &time;
	sigset_t while_waiting;
	int result = 0;
	time.tv_sec = timeout_ms / 1000;
	time.tv_nsec = (timeout_ms % 1000) * 1000000L;
	poller->revents = 0;
#if defined(__LP64__) /* elsewhere the kernel's timespec may be another */
	if (poller->fd == INVALID_SOCKET) {
		atomic_store(&wake->waiting, CWN_WAKE_SLEEPS);
		if (atomic_load(&wake->is_set) == 0) {
			result = (int)syscall(SYS_futex, &wake->is_set, CWN_FUTEX_WAIT_PRIVATE, 0, limit, NULL, 0);
			result = ((result == -1) && (errno == ETIMEDOUT)) ? 0 : -1;
		}
		atomic_store(&wake->waiting, CWN_WAKE_BUSY);
		return result;
	}
#endif
	/* Blocked again, should a callback have unblocked it. */
	cwn_wake_mask(SIG_BLOCK, &while_waiting);
	(void)sigdelset(&while_waiting, CWN_WAKE_SIGNAL);
	atomic_store(&wake->waiting, CWN_WAKE_POLLS);
	if (atomic_load(&wake->is_set) == 0) {
		result = ppoll(poller, 1, limit, &while_waiting);
	}
	atomic_store(&wake->waiting, CWN_WAKE_BUSY);
	return result;
}

/* As poll for one socket, or for none with INVALID_SOCKET; -1 also when woken.
 * woken: whether set was called since the last time. */
static int
cwn_wake_wait(cwn_wake *wake, struct mg_pollfd *poller, int timeout_ms, bool *woken)
{
	int result = 0;
	if ((wake->give_back_at != 0) && (cwn_now_ms() >= wake->give_back_at)) {
		wake->give_back_at = 0;
		cwn_give_back_stack();
	}
	if (!wake->is_idle) {
		int quiet_ms = (wake->give_back_at != 0) ? CWN_SOON_MS : CWN_IDLE_MS;
		if ((timeout_ms < 0) || (timeout_ms > quiet_ms)) {
			result = cwn_wake_poll(wake, poller, quiet_ms);
			if ((result == 0) && (atomic_load(&wake->is_set) == 0)) {
				wake->is_idle = true;
				wake->give_back_at = 0;
				cwn_give_back_stack();
				timeout_ms -= (timeout_ms > 0) ? quiet_ms : 0;
			}
		}
	}
	if ((result == 0) && (atomic_load(&wake->is_set) == 0)) {
		result = cwn_wake_poll(wake, poller, timeout_ms);
	}
	*woken = atomic_exchange(&wake->is_set, 0) != 0;
	if ((result != 0) || *woken) {
		wake->is_idle = false;
	}
	return (*woken && (result <= 0)) ? -1 : result;
}

#else

typedef cwn_notifier cwn_wake;

static bool
cwn_wake_prepare(void)
{
	return true;
}

static bool
cwn_wake_create(cwn_wake *wake)
{
	return cwn_notifier_open(wake);
}

static void
cwn_wake_set(cwn_wake *wake)
{
	cwn_notifier_set(wake);
}

static void
cwn_wake_destroy(cwn_wake *wake)
{
	cwn_notifier_close(wake);
}

static void
cwn_wake_begin(cwn_wake *wake)
{
	(void)wake;
}

static void
cwn_wake_end(cwn_wake *wake)
{
	(void)wake;
}

/* As poll for one socket, or for none with INVALID_SOCKET; -1 also when woken.
 * woken: whether set was called since the last time. */
static int
cwn_wake_wait(cwn_wake *wake, struct mg_pollfd *poller, int timeout_ms, bool *woken)
{
	struct mg_pollfd pollers[2];
	int result;
	pollers[0] = *poller;
	pollers[0].revents = 0;
	pollers[1].fd = wake->read_end;
	pollers[1].events = POLLIN;
	pollers[1].revents = 0;
	result = cwn_poll(pollers, 2, timeout_ms);
	poller->revents = (result > 0) ? pollers[0].revents : 0;
	*woken = (result > 0) && (pollers[1].revents != 0);
	if (*woken) {
		cwn_notifier_clear(wake);
	}
	return (*woken && (poller->revents == 0)) ? -1 : result;
}

#endif
