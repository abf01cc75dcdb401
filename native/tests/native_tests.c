/* What C alone can show: the parts without I/O, and sessions on loopback. */

#include "asserts.h"
#include "fake_clock.h"

#include "civetweb_net.c"

#include "check.h"
#include "test_platform.h"
#include "watchdog.h"
#include "frames.h"
#include "test_parts.h"
#include "test_reader.h"
#include "test_session.h"
#include "test_upgrade.h"
#include "test_leaders.h"
#include "test_http.h"
#include "test_proxy_header.h"
#include "test_soak.h"
#include "test_tls.h"
#include "test_tls_end.h"
#include "test_pull.h"
#include "test_pull_soak.h"
#include "test_sending.h"
#include "test_wheel.h"
#include "test_poller.h"
#include "test_engine.h"
#include "test_engine_soak.h"
#include "test_clock.h"
#include "test_ends.h"
#include "test_bodies.h"

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
    {"mask", test_mask},
    {"utf8", test_utf8},
    {"close_codes", test_close_codes},
    {"reader", test_reader},
    {"reader_limits", test_reader_limits},
    {"reader_random", test_reader_random},
    {"library", test_library},
    {"drain", test_drain},
    {"session", test_session},
    {"session_posts", test_session_posts},
    {"session_threads", test_session_threads},
    {"session_ends", test_session_ends},
    {"session_ends_tls", test_session_ends_tls},
    {"clock", test_clock},
    {"leaders", test_leaders},
    {"path", test_path},
    {"clear", test_clear},
    {"upgrade", test_upgrade},
    {"http", test_http},
    {"bodies", test_bodies},
    {"proxy_header", test_proxy_header},
    {"tls", test_tls},
    {"tls_end", test_tls_end},
    {"soak", test_soak},
    {"pull", test_pull},
    {"pull_tls", test_pull_tls},
    {"pull_soak", test_pull_soak},
    {"pull_soak_tls", test_pull_soak_tls},
    {"sending", test_sending},
    {"sending_tls", test_sending_tls},
    {"wheel", test_wheel},
    {"poller", test_poller},
    {"engine", test_engine},
    {"engine_soak", test_engine_soak},
};

int
main(int argc, char **argv)
{
	enum { SKIPPED = 77 }; /* CTest's SKIP_RETURN_CODE */
	size_t i;
	int ran = 0;
	test_begin();
	watchdog_begin();
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if ((argc < 2) || (strcmp(argv[1], groups[i].name) == 0)) {
			test_skipped = NULL;
			watchdog_watch(groups[i].name);
			groups[i].run();
			printf("%s: %s%s\n",
			       groups[i].name,
			       (test_skipped != NULL) ? "skipped: " : "ok",
			       (test_skipped != NULL) ? test_skipped : "");
			ran++;
		}
	}
	if (ran == 0) {
		return 2;
	}
	return ((argc >= 2) && (test_skipped != NULL)) ? SKIPPED : 0;
}
