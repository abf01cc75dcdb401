/* Ten thousand connections need more descriptors than a login shell may have.
 * Root may raise the hard limit; anybody else gets up to it. */
static void
raise_descriptor_limit(void)
{
	const rlim_t wanted = 65536;
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return;
	}
	if ((limit.rlim_max != RLIM_INFINITY) && (limit.rlim_max < wanted)) {
		struct rlimit raised = {wanted, wanted};
		if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
			return;
		}
	}
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}
