/* A process that ends while its threads serve TLS. */

#if defined(__linux__)

#include <sys/wait.h>

/* Says that the environment of a process is that of tls_end_process. */
#define TLS_END_VARIABLE "CWN_TLS_END"

enum { TLS_ENDS = 20, TLS_END_MS = 100 };

static void
tls_go_on(void)
{
	mg_sleep(TLS_END_MS);
}

/* A process that ends while its threads make handshakes, on either side. Never returns. */
static void
tls_end_process(void)
{
	static tls_test t;
	pthread_t thread;
	char error[256];
	int i;

	/* Called last, when the libraries have cleaned up what they clean up. */
	CHECK_EQUAL(0, atexit(tls_go_on));
	CHECK(cwn_init((unsigned)MG_FEATURES_TLS) != 0);
	tls_decode_all(&t);
	t.tls = cwn_tls_create(0x0303, "ECDHE+AESGCM", 0, 3, NULL, 0, error, sizeof(error));
	CHECK(t.tls != NULL);
	CHECK_EQUAL(CWN_CERTIFICATE_SET, tls_set(t.tls, &t.first, NULL, &t.first_key, error, sizeof(error)));
	tls_start(&t);
	for (i = 0; i < TLS_CLIENTS; i++) {
		CHECK_EQUAL(0, pthread_create(&thread, NULL, tls_client, &t));
	}
	while (atomic_load(&t.handshakes[0]) < 2 * TLS_CLIENTS) {
		mg_sleep(1);
	}
	exit(0);
}

static void
test_tls_end(void)
{
	char *arguments[] = {"native_tests", "tls_end", NULL};
	int i, status;
	pid_t child;

	if (getenv(TLS_END_VARIABLE) != NULL) {
		tls_end_process();
	}
	if (cwn_init((unsigned)MG_FEATURES_TLS) == 0) {
		test_skipped = TLS_MISSING;
		return;
	}
	for (i = 0; i < TLS_ENDS; i++) {
		child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			(void)alarm(60); /* a child that hangs ends by SIGALRM, and says so */
			(void)setenv(TLS_END_VARIABLE, "1", 1);
			/* what its threads hold when it ends is no leak */
			(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
			(void)execv("/proc/self/exe", arguments);
			_exit(127);
		}
		CHECK_EQUAL(child, waitpid(child, &status, 0));
#if !defined(__x86_64__)
		if (WIFEXITED(status) && (WEXITSTATUS(status) == 127)) {
			test_skipped = "an emulated program cannot start itself again";
			return;
		}
#endif
		CHECK_EQUAL(0, status);
	}
}

#else

static void
test_tls_end(void)
{
	test_skipped = "it starts itself again, which is written for Linux alone";
}

#endif
