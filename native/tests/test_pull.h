/* The transport, over plain TCP and over TLS. */

#include "pull_server.h"
#include "test_pull_io.h"
#include "test_pull_ends.h"

static void
pull_test_all(bool with_tls)
{
	static pull_test t;
	pull_peer peer;
	char data[2];
	memset(&t, 0, sizeof(t));
	t.options.size = sizeof(t.options);
	t.options.send_timeout_ms = 30000;
	t.server.user = &t;
	pull_start(&t.server, with_tls, "4", pull_on_request);
	pull_test_misuse();
	peer = pull_run(&t, pull_script_misuse, "");
	pull_receive_exactly(&peer, data, 2);
	CHECK(memcmp(data, "ok", 2) == 0);
	pull_wait_for(&t.ended, 1);
	pull_close(&peer, false);
	pull_test_early(&t);
	pull_test_gather(&t);
	pull_test_partial(&t);
	pull_test_waits(&t);
	pull_test_stall(&t);
	pull_test_slow(&t);
	pull_test_hangup(&t);
	pull_test_abort(&t);
	pull_test_end(&t);
	pull_test_record(&t);
#if defined(__linux__)
	pull_test_deaf(&t);
#endif
	pull_stop(&t.server);
	cwn_session_release(t.last);
	CHECK_EQUAL(0, cwn_session_count());
}

static void
test_pull(void)
{
	pull_test_all(false);
}

static void
test_pull_tls(void)
{
	if (cwn_init((unsigned)MG_FEATURES_TLS) == 0) {
		test_skipped = TLS_MISSING;
		return;
	}
	pull_guard_openssl();
	pull_test_all(true);
	pull_unguard_openssl();
}
