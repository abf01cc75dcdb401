/* What Linux tells of a process, the server's or our own. */

typedef struct process_stats {
	double cpu_seconds; /* user and system, all threads */
	long rss_kb, peak_rss_kb, threads;
} process_stats;

static long
status_value(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	return (at == NULL) ? 0 : strtol(at + strlen(name), NULL, 10);
}

static bool
read_proc(int pid, const char *file, char *text, size_t size)
{
	char path[64];
	FILE *stream;
	size_t n;
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	stream = fopen(path, "r");
	if (stream == NULL) {
		return false;
	}
	n = fread(text, 1, size - 1, stream);
	text[n] = 0;
	(void)fclose(stream);
	return n > 0;
}

/* False when there is no such process any more. */
static bool
process_stats_read(int pid, process_stats *stats)
{
	char text[4096];
	const char *fields;
	unsigned long user, kernel;

	memset(stats, 0, sizeof(*stats));
	if (!read_proc(pid, "stat", text, sizeof(text))) {
		return false;
	}
	/* The name in parentheses may hold anything, blanks too. */
	fields = strrchr(text, ')');
	if ((fields == NULL)
	    || (sscanf(fields + 1,
	               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
	               &user,
	               &kernel)
	        != 2)) {
		return false;
	}
	stats->cpu_seconds = (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
	if (!read_proc(pid, "status", text, sizeof(text))) {
		return false;
	}
	stats->rss_kb = status_value(text, "\nVmRSS:");
	stats->peak_rss_kb = status_value(text, "\nVmHWM:");
	stats->threads = status_value(text, "\nThreads:");
	return true;
}
