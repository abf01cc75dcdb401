/* Invariants that the library relies on are checked in the tests. Included before the library. */
#ifndef CWN_TEST_ASSERTS_H
#define CWN_TEST_ASSERTS_H

#include <stdio.h>
#include <stdlib.h>

static void
assert_failed(const char *condition, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, condition);
	abort();
}

#define CWN_ASSERT(condition) ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__))

#endif
