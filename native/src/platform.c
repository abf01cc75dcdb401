/* The only file with operating-system differences of its own; the rest uses
 * what civetweb.c already evens out (SOCKET, poll, closesocket, pthread_mutex). */

/* An invariant, checked in the native tests only (tests/asserts.h). */
#ifndef CWN_ASSERT
#define CWN_ASSERT(condition) ((void)0)
#endif

#if defined(_MSC_VER)
#define CWN_THREAD_LOCAL __declspec(thread)
#else
#define CWN_THREAD_LOCAL _Thread_local
#endif

/* Monotonic, unlike mg_get_current_time_ns: a clock set back must not keep a
 * dead peer, one set forward must not cut live ones. */
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

/* For poll; deadline 0: none. */
static int
cwn_poll_timeout(uint64_t deadline)
{
	uint64_t now, left;
	if (deadline == 0) {
		return -1;
	}
	now = cwn_now_ms();
	left = (now >= deadline) ? 0 : deadline - now;
	return (left > INT_MAX) ? INT_MAX : (int)left;
}

/* Of two deadlines, 0 being none. */
static uint64_t
cwn_earlier(uint64_t a, uint64_t b)
{
	return ((a == 0) || ((b != 0) && (b < a))) ? b : a;
}

#if defined(_WIN32)
/* What CivetWeb's own pthreads for Windows lack. */
static int
pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	return TryEnterCriticalSection(&mutex->sec) ? 0 : EBUSY;
}
#endif

/* As poll does on other systems: waits for ever with -1, leaves INVALID_SOCKET
 * out, and tells without being asked that a connection is lost, but not that its
 * peer has only finished sending. */
#if defined(_WIN32)

enum {
	CWN_MAX_POLLERS = 2,
	CWN_LOOK_MS = 200,     /* how soon a loss is noticed on sockets that are not read */
	CWN_WSA_POLLERR = 0x1, /* civetweb.c has redefined POLLERR, POLLIN, POLLOUT */
};

/* All are read: WSAPoll may say that the peer has finished sending. */
static int
cwn_poll_readers(struct mg_pollfd *pollers, unsigned count, int timeout_ms)
{
	WSAPOLLFD polled[CWN_MAX_POLLERS];
	unsigned i, used = 0;
	int result;
	for (i = 0; i < count; i++) {
		if (pollers[i].fd != INVALID_SOCKET) {
			polled[used].fd = pollers[i].fd;
			polled[used].revents = 0;
			polled[used++].events =
			    POLLRDNORM | (((pollers[i].events & POLLOUT) != 0) ? POLLWRNORM : 0);
		}
	}
	result = WSAPoll(polled, used, timeout_ms);
	for (i = 0, used = 0; i < count; i++) {
		pollers[i].revents = 0;
		if (pollers[i].fd != INVALID_SOCKET) {
			short got = polled[used++].revents;
			if (result > 0) {
				pollers[i].revents =
				    (short)((((got & POLLRDNORM) != 0) ? POLLIN : 0)
				            | (((got & POLLWRNORM) != 0) ? POLLOUT : 0)
				            | (((got & (CWN_WSA_POLLERR | POLLNVAL)) != 0) ? POLLERR : 0)
				            | (((got & POLLHUP) != 0) ? POLLHUP : 0));
			}
		}
	}
	return result;
}

static bool
cwn_is_lost(SOCKET sock)
{
	WSAPOLLFD polled = {sock, 0, 0};
	char byte;
	return ((WSAPoll(&polled, 1, 0) > 0) && ((polled.revents & CWN_WSA_POLLERR) != 0))
	       || ((recv(sock, &byte, 1, MSG_PEEK) < 0) && !ERROR_TRY_AGAIN(ERRNO));
}

/* Some are not read. WSAPoll would tell at once, and again at every call,
 * that the peer has finished sending; select does not, nor does it tell a loss. */
static int
cwn_poll_writers(struct mg_pollfd *pollers, unsigned count, int timeout_ms)
{
	fd_set readable, writable;
	struct timeval time;
	unsigned i;
	int ready = 0;

	FD_ZERO(&readable);
	FD_ZERO(&writable);
	for (i = 0; i < count; i++) {
		pollers[i].revents = 0;
		if (pollers[i].fd == INVALID_SOCKET) {
			continue;
		}
		if ((pollers[i].events & POLLIN) != 0) {
			FD_SET(pollers[i].fd, &readable);
		} else if (cwn_is_lost(pollers[i].fd)) {
			pollers[i].revents = POLLHUP | POLLERR;
			ready++;
		}
		if ((pollers[i].events & POLLOUT) != 0) {
			FD_SET(pollers[i].fd, &writable);
		}
	}
	if (ready > 0) {
		timeout_ms = 0;
	}
	if ((readable.fd_count == 0) && (writable.fd_count == 0)) {
		/* select refuses to wait for nothing */
		Sleep((DWORD)timeout_ms);
		return ready;
	}
	time.tv_sec = timeout_ms / 1000;
	time.tv_usec = (timeout_ms % 1000) * 1000;
	if (select(0, &readable, &writable, NULL, &time) < 0) {
		return -1;
	}
	for (i = 0; i < count; i++) {
		short got = 0;
		if (pollers[i].fd != INVALID_SOCKET) {
			got = (short)((FD_ISSET(pollers[i].fd, &readable) ? POLLIN : 0)
			              | (FD_ISSET(pollers[i].fd, &writable) ? POLLOUT : 0));
		}
		ready += ((got != 0) && (pollers[i].revents == 0)) ? 1 : 0;
		pollers[i].revents |= got;
	}
	return ready;
}

static int
cwn_poll(struct mg_pollfd *pollers, unsigned count, int timeout_ms)
{
	uint64_t end = cwn_now_ms() + (uint64_t)((timeout_ms > 0) ? timeout_ms : 0);
	bool all_read = true;
	unsigned i;

	for (i = 0; i < count; i++) {
		all_read = all_read
		           && ((pollers[i].fd == INVALID_SOCKET) || ((pollers[i].events & POLLIN) != 0));
	}
	if (all_read) {
		return cwn_poll_readers(pollers, count, timeout_ms);
	}
	for (;;) {
		uint64_t now = cwn_now_ms();
		int step = CWN_LOOK_MS;
		int result;
		if ((timeout_ms >= 0) && (end < now + CWN_LOOK_MS)) {
			step = (end > now) ? (int)(end - now) : 0;
		}
		result = cwn_poll_writers(pollers, count, step);
		if ((result != 0) || ((timeout_ms >= 0) && (cwn_now_ms() >= end))) {
			return result;
		}
	}
}

#else

static int
cwn_poll(struct mg_pollfd *pollers, unsigned count, int timeout_ms)
{
	return poll(pollers, count, timeout_ms);
}

#endif

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
	/* Windows takes all of any one call, however little the peer has read. */
	enum { LIMIT = 64 * 1024 };
	WSABUF buffers[CWN_MAX_PARTS];
	size_t room = LIMIT;
	DWORD used = 0, sent = 0;
	for (; (count > 0) && (room > 0); count--, parts++) {
		size_t size = (parts->size < room) ? parts->size : room;
		buffers[used].buf = (CHAR *)(uintptr_t)parts->data;
		buffers[used++].len = (ULONG)size;
		room -= size;
	}
	if (WSASend(sock, buffers, used, &sent, 0, NULL, NULL) == 0) {
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

/* Whether the peer has finished sending, or is lost. What it has sent before may not
 * have been received yet. */
static bool
cwn_socket_is_over(SOCKET sock)
{
#if defined(POLLRDHUP)
	struct pollfd poller = {sock, POLLRDHUP, 0};
	return poll(&poller, 1, 0) > 0;
#else
	/* Seen when all has been received. */
	char byte;
	int n = (int)recv(sock, &byte, 1, MSG_PEEK | CWN_DONTWAIT);
	return (n == 0) || ((n < 0) && !ERROR_TRY_AGAIN(ERRNO));
#endif
}

/* Resets a connection before CivetWeb, as it does, ends the stream in order. */
static void
cwn_reset(struct mg_connection *conn)
{
	struct linger at_once = {1, 0};
	(void)setsockopt(conn->client.sock,
	                 SOL_SOCKET,
	                 SO_LINGER,
	                 (const char *)&at_once,
	                 sizeof(at_once));
#if !defined(__linux__)
	/* Only closing resets, on Windows and macOS. The TLS object must not write to the connection
	 * that gets the socket's number next. */
	if (conn->ssl != NULL) {
		(void)SSL_set_fd(conn->ssl, -1);
	}
	closesocket(conn->client.sock);
	conn->client.sock = INVALID_SOCKET;
#else
	{
		struct sockaddr nobody;
		memset(&nobody, 0, sizeof(nobody));
		nobody.sa_family = AF_UNSPEC;
		(void)connect(conn->client.sock, &nobody, (socklen_t)sizeof(nobody));
	}
#endif
}

/* A file's own bytes: opening a pipe would wait for its other end, and Windows
 * has devices and streams among the names of files. */
static bool
cwn_is_regular(const char *path)
{
#if defined(_WIN32)
	wchar_t name[UTF16_PATH_MAX];
	const char *colon = strrchr(path, ':');
	HANDLE file;
	bool regular;
	if ((colon != NULL) && (colon != path + 1)) {
		return false; /* not a drive's */
	}
	path_to_unicode(NULL, path, name, ARRAY_SIZE(name));
	file = CreateFileW(name,
	                   0,
	                   FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
	                   NULL,
	                   OPEN_EXISTING,
	                   0,
	                   NULL);
	if (file == INVALID_HANDLE_VALUE) {
		return false;
	}
	regular = (GetFileType(file) == FILE_TYPE_DISK);
	CloseHandle(file);
	return regular;
#else
	struct stat info;
	return (stat(path, &info) == 0) && S_ISREG(info.st_mode);
#endif
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

CWN_API int
cwn_is_file(const char *path)
{
#if defined(_WIN32)
	/* Pipes have names of another kind there. */
	(void)path;
	return 1;
#else
	struct stat file;
	if ((path == NULL) || (stat(path, &file) != 0)) {
		return -1;
	}
	return S_ISREG(file.st_mode) ? 1 : 0;
#endif
}

/* While it is on, what is sent waits until a packet is full. Sockets that know no such
 * thing send at once, as always. */
static void
cwn_socket_cork(SOCKET sock, int on)
{
#if defined(__linux__)
	(void)setsockopt(sock, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
#else
	(void)sock;
	(void)on;
#endif
}
