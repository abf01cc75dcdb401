/* Runs a program with what a server under load needs: as many descriptors as the
 * system lets us have, and one CPU only when it is asked for.
 *
 *   bench_launch [--cpu N] -- PROGRAM [ARGUMENTS]
 */

#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "descriptors.h"

int
main(int argc, char **argv)
{
	int i = 1;
	if ((argc > 2) && (strcmp(argv[1], "--cpu") == 0)) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET(atoi(argv[2]), &set);
		if (sched_setaffinity(0, sizeof(set), &set) != 0) {
			perror("bench_launch: sched_setaffinity");
			return 1;
		}
		i = 3;
	}
	if ((i + 1 >= argc) || (strcmp(argv[i], "--") != 0)) {
		fprintf(stderr, "usage: bench_launch [--cpu N] -- PROGRAM [ARGUMENTS]\n");
		return 1;
	}
	raise_descriptor_limit();
	(void)execvp(argv[i + 1], argv + i + 1);
	perror(argv[i + 1]);
	return 1;
}
