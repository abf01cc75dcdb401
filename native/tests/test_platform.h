/* What the tests need of the operating system beyond what civetweb.c evens out. */

/* Why the group that runs cannot run here; CTest shows it. */
static const char *test_skipped;

#if defined(_WIN32)

typedef struct test_thread {
	void *(*run)(void *);
	void *argument;
} test_thread;

static unsigned __stdcall
test_thread_main(void *argument)
{
	test_thread thread = *(test_thread *)argument;
	mg_free(argument);
	(void)thread.run(thread.argument);
	return 0;
}

static int
pthread_create(pthread_t *id, const void *attributes, void *(*run)(void *), void *argument)
{
	test_thread *thread = (test_thread *)mg_malloc(sizeof(*thread));
	(void)attributes;
	CHECK(thread != NULL);
	thread->run = run;
	thread->argument = argument;
	*id = (HANDLE)_beginthreadex(NULL, 0, test_thread_main, thread, 0, NULL);
	return (*id != NULL) ? 0 : EAGAIN;
}

static int
pthread_join(pthread_t id, void **result)
{
	(void)result;
	return mg_join_thread(id);
}

static void
test_begin(void)
{
	WSADATA data;
	CHECK_EQUAL(0, WSAStartup(MAKEWORD(2, 2), &data));
	/* A failed check is not to open a window. */
	(void)SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
}

/* Two ends of one connection. */
static void
test_pair(SOCKET pair[2])
{
	struct sockaddr_in address;
	int size = (int)sizeof(address);
	SOCKET listener = socket(AF_INET, SOCK_STREAM, 0);
	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQUAL(0, bind(listener, (struct sockaddr *)&address, size));
	CHECK_EQUAL(0, listen(listener, 1));
	CHECK_EQUAL(0, getsockname(listener, (struct sockaddr *)&address, &size));
	pair[1] = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQUAL(0, connect(pair[1], (struct sockaddr *)&address, size));
	pair[0] = accept(listener, NULL, NULL);
	CHECK(pair[0] != INVALID_SOCKET);
	closesocket(listener);
}

/* Without waiting, whatever mode the socket is in. */
static int
test_receive_now(SOCKET sock, void *data, size_t size)
{
	int n;
	(void)set_non_blocking_mode(sock);
	n = recv(sock, (char *)data, (int)size, 0);
	(void)set_blocking_mode(sock);
	return n;
}

/* Whether a connection that has ended was reset. wine forgets it in recv, but not here. */
static bool
test_was_reset(SOCKET sock)
{
	WSAPOLLFD polled = {sock, 0, 0};
	return (WSAPoll(&polled, 1, 0) > 0) && ((polled.revents & CWN_WSA_POLLERR) != 0);
}

/* How long a blocking call on the socket may take. */
static void
test_set_patience(SOCKET sock, int milliseconds)
{
	DWORD time = (DWORD)milliseconds;
	(void)setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, (const char *)&time, sizeof(time));
	(void)setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, (const char *)&time, sizeof(time));
}

static void
test_temporary_file(char *path, size_t size)
{
	CHECK(GetTempPathA((DWORD)size, path) > 0);
	CHECK(GetTempFileNameA(path, "cwn", 0, path) != 0);
}

static void
test_set_variable(const char *name, const char *value)
{
	CHECK(SetEnvironmentVariableA(name, value));
}

#else

static void
test_begin(void)
{
}

static void
test_pair(SOCKET pair[2])
{
	CHECK_EQUAL(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static int
test_receive_now(SOCKET sock, void *data, size_t size)
{
	return (int)recv(sock, data, size, MSG_DONTWAIT);
}

static bool
test_was_reset(SOCKET sock)
{
	(void)sock;
	return false; /* recv has told */
}

static void
test_set_patience(SOCKET sock, int milliseconds)
{
	struct timeval time = {milliseconds / 1000, (milliseconds % 1000) * 1000};
	(void)setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	(void)setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

static void
test_temporary_file(char *path, size_t size)
{
	int file;
	mg_strlcpy(path, "/tmp/cwn-test-XXXXXX", size);
	CHECK((file = mkstemp(path)) >= 0);
	(void)close(file);
}

static void
test_set_variable(const char *name, const char *value)
{
	CHECK_EQUAL(0, setenv(name, value, 1));
}

#endif

/* As recv, but what does not come in time fails the test, where it was waited for. */
static int
test_receive(SOCKET sock, void *data, size_t size, const char *file, int line)
{
	struct mg_pollfd poller;
	check_step(file, line);
	poller.fd = sock;
	poller.events = POLLIN;
	poller.revents = 0;
	if (cwn_poll(&poller, 1, CHECK_PATIENCE_MS) == 0) {
		fprintf(stderr, "%s:%d: nothing was received in %d ms\n", file, line, CHECK_PATIENCE_MS);
		abort();
	}
	return (int)recv(sock, (char *)data, (cwn_io_size)size, 0);
}

static void
test_receive_exactly(SOCKET sock, void *data, size_t size, const char *file, int line)
{
	size_t got = 0;
	while (got < size) {
		int n = test_receive(sock, (char *)data + got, size - got, file, line);
		if (n <= 0) {
			fprintf(stderr, "%s:%d: it ended %d bytes early\n", file, line, (int)(size - got));
			abort();
		}
		got += (size_t)n;
	}
}

#define receive(sock, data, size) test_receive((sock), (data), (size), __FILE__, __LINE__)
#define receive_exactly(sock, data, size) test_receive_exactly((sock), (data), (size), __FILE__, __LINE__)
