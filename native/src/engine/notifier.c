/* Something to wake a thread that waits for sockets: it becomes readable when it is set.
 *
 * open, close    before and after all other use
 * set            any thread
 * clear          the thread that waits */

typedef struct cwn_notifier {
	SOCKET read_end, write_end; /* the same except for a pipe */
} cwn_notifier;

#if defined(_WIN32)

/* A UDP socket connected to itself: poll on Windows takes sockets only. */
static bool
cwn_notifier_open(cwn_notifier *notifier)
{
	struct sockaddr_in address;
	int size = (int)sizeof(address);
	u_long nonblocking = 1;
	SOCKET sock = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
	if (sock == INVALID_SOCKET) {
		return false;
	}
	set_close_on_exec(sock, NULL, NULL);
	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((bind(sock, (struct sockaddr *)&address, size) != 0)
	    || (getsockname(sock, (struct sockaddr *)&address, &size) != 0)
	    || (connect(sock, (struct sockaddr *)&address, size) != 0)
	    || (ioctlsocket(sock, (long)FIONBIO, &nonblocking) != 0)) {
		closesocket(sock);
		return false;
	}
	notifier->read_end = notifier->write_end = sock;
	return true;
}

static void
cwn_notifier_set(cwn_notifier *notifier)
{
	(void)send(notifier->write_end, "", 1, 0);
}

static void
cwn_notifier_clear(cwn_notifier *notifier)
{
	char sink[64];
	while (recv(notifier->read_end, sink, (int)sizeof(sink), 0) > 0) {
	}
}

#else

#if defined(__linux__)
#include <sys/eventfd.h>
#endif

static bool
cwn_notifier_open(cwn_notifier *notifier)
{
#if defined(__linux__)
	notifier->read_end = notifier->write_end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return notifier->read_end >= 0;
#else
	int ends[2], i;
	if (pipe(ends) != 0) {
		return false;
	}
	for (i = 0; i < 2; i++) {
		(void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
		(void)fcntl(ends[i], F_SETFL, O_NONBLOCK);
	}
	notifier->read_end = ends[0];
	notifier->write_end = ends[1];
	return true;
#endif
}

static void
cwn_notifier_set(cwn_notifier *notifier)
{
	static const uint64_t one = 1; /* the size that an eventfd takes; a full pipe is set, too */
	ssize_t n = write(notifier->write_end, &one, sizeof(one));
	(void)n;
}

static void
cwn_notifier_clear(cwn_notifier *notifier)
{
	char sink[64];
	ssize_t n = read(notifier->read_end, sink, sizeof(sink));
	(void)n;
}

#endif

static void
cwn_notifier_close(cwn_notifier *notifier)
{
	closesocket(notifier->read_end);
	if (notifier->write_end != notifier->read_end) {
		closesocket(notifier->write_end);
	}
}
