/* The only file with operating-system differences of its own; the rest uses
 * what civetweb.c already evens out (SOCKET, poll, closesocket, pthread_mutex). */

#if defined(__linux__)
#include <sys/eventfd.h>
#endif

#if defined(_MSC_VER)
#define CWN_THREAD_LOCAL __declspec(thread)
#else
#define CWN_THREAD_LOCAL _Thread_local
#endif

/* Monotonic, unlike mg_get_current_time_ns: a clock set back must not keep a
 * dead peer, one set forward must not kill the living. */
static uint64_t
cwn_now_ms(void)
{
#if defined(_WIN32)
	return (uint64_t)GetTickCount64();
#else
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
#endif
}

#if defined(_WIN32)
/* What CivetWeb's own pthreads for Windows lack. */
static int
pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	return TryEnterCriticalSection(&mutex->sec) ? 0 : EBUSY;
}
#endif

/* Something poll can wait for that any thread can set. */
typedef struct cwn_wake {
	SOCKET read_end;
	SOCKET write_end;
} cwn_wake;

#if defined(_WIN32)

static bool
cwn_wake_create(cwn_wake *wake)
{
	/* A UDP socket connected to itself: poll on Windows takes sockets only. */
	struct sockaddr_in address;
	int size = (int)sizeof(address);
	u_long nonblocking = 1;
	SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
	if (s == INVALID_SOCKET) {
		return false;
	}
	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((bind(s, (struct sockaddr *)&address, size) != 0)
	    || (getsockname(s, (struct sockaddr *)&address, &size) != 0)
	    || (connect(s, (struct sockaddr *)&address, size) != 0)
	    || (ioctlsocket(s, (long)FIONBIO, &nonblocking) != 0)) {
		closesocket(s);
		return false;
	}
	wake->read_end = wake->write_end = s;
	return true;
}

static void
cwn_wake_set(const cwn_wake *wake)
{
	(void)send(wake->write_end, "", 1, 0);
}

static void
cwn_wake_clear(const cwn_wake *wake)
{
	char buffer[64];
	while (recv(wake->read_end, buffer, (int)sizeof(buffer), 0) > 0) {
	}
}

#else

static bool
cwn_wake_create(cwn_wake *wake)
{
#if defined(__linux__)
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0) {
		return false;
	}
	wake->read_end = wake->write_end = fd;
	return true;
#else
	int ends[2];
	int i;
	if (pipe(ends) != 0) {
		return false;
	}
	for (i = 0; i < 2; i++) {
		(void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
		(void)fcntl(ends[i], F_SETFL, O_NONBLOCK);
	}
	wake->read_end = ends[0];
	wake->write_end = ends[1];
	return true;
#endif
}

static void
cwn_wake_set(const cwn_wake *wake)
{
	/* eventfd wants eight bytes; a pipe takes them too. A full one is set. */
	uint64_t one = 1;
	ssize_t n = write(wake->write_end, &one, sizeof(one));
	(void)n;
}

static void
cwn_wake_clear(const cwn_wake *wake)
{
	uint64_t buffer[8];
	ssize_t n = read(wake->read_end, buffer, sizeof(buffer));
	(void)n;
}

#endif

static void
cwn_wake_destroy(cwn_wake *wake)
{
	closesocket(wake->read_end);
	if (wake->write_end != wake->read_end) {
		closesocket(wake->write_end);
	}
}

/* Non-blocking, whatever mode the socket is in (on Windows CivetWeb's accepted
 * sockets are non-blocking already). Bytes, 0 at the end, -1 would block, -2 error. */
#if defined(_WIN32)
#define CWN_DONTWAIT 0
typedef int cwn_io_size;
#else
#define CWN_DONTWAIT MSG_DONTWAIT
typedef size_t cwn_io_size;
#include <sys/uio.h>
#endif

static int
cwn_socket_recv(SOCKET sock, void *buffer, size_t size)
{
	int n = (int)recv(sock, buffer, (cwn_io_size)size, CWN_DONTWAIT);
	if (n < 0) {
		int err = ERRNO;
		return ERROR_TRY_AGAIN(err) ? -1 : -2;
	}
	return n;
}

typedef struct cwn_part {
	const unsigned char *data;
	size_t size;
} cwn_part;

#define CWN_MAX_PARTS 3

/* Sends as much of the parts as the socket takes, in one call. -1 would block,
 * -2 error. */
static int
cwn_socket_send(SOCKET sock, const cwn_part *parts, int count)
{
	int err;
#if defined(_WIN32)
	WSABUF buffers[CWN_MAX_PARTS];
	DWORD sent = 0;
	int i;
	for (i = 0; i < count; i++) {
		buffers[i].buf = (CHAR *)(uintptr_t)parts[i].data;
		buffers[i].len = (ULONG)parts[i].size;
	}
	if (WSASend(sock, buffers, (DWORD)count, &sent, 0, NULL, NULL) == 0) {
		return (int)sent;
	}
	err = WSAGetLastError();
#else
	struct iovec vectors[CWN_MAX_PARTS];
	struct msghdr message;
	ssize_t n;
	int i;
	for (i = 0; i < count; i++) {
		vectors[i].iov_base = (void *)(uintptr_t)parts[i].data;
		vectors[i].iov_len = parts[i].size;
	}
	memset(&message, 0, sizeof(message));
	message.msg_iov = vectors;
	message.msg_iovlen = (size_t)count;
	n = sendmsg(sock, &message, CWN_DONTWAIT | MSG_NOSIGNAL);
	if (n >= 0) {
		return (int)n;
	}
	err = ERRNO;
#endif
	return ERROR_TRY_AGAIN(err) ? -1 : -2;
}

CWN_API int
cwn_is_socket(const char *path)
{
#if defined(_WIN32)
	/* USE_X_DOM_SOCKET is for other systems only. */
	(void)path;
	return -1;
#else
	struct stat file;
	if ((path == NULL) || (lstat(path, &file) != 0)) {
		return -1;
	}
	return S_ISSOCK(file.st_mode) ? 1 : 0;
#endif
}
