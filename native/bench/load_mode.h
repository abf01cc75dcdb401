/* What the load generator does. */

typedef enum load_mode { MODE_ECHO, MODE_CHURN, MODE_IDLE, MODE_BROADCAST } load_mode;

static const char *const mode_names[] = {"echo", "churn", "idle", "broadcast"};

static void fail(const char *format, ...); /* wsload.c */

static load_mode
parse_mode(const char *name)
{
	int i;
	for (i = 0; i < 4; i++) {
		if (strcmp(name, mode_names[i]) == 0) {
			return (load_mode)i;
		}
	}
	fail("there is no mode %s", name);
	return MODE_ECHO;
}
