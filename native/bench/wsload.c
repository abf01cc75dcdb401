/* The load generator: many WebSocket clients on one thread, one epoll. Tells on
 * stdout, as one line of JSON, what it has measured.
 *
 *   wsload --port N [--mode echo|churn|idle|broadcast] [--path /echo] [--connections N]
 *          [--in-flight N] [--size BYTES] [--text] [--tls] [--warmup SECONDS]
 *          [--seconds SECONDS] [--deadline SECONDS] [--server-pid PID] [--cpu N]
 *
 * echo       each client keeps so many messages under way
 * churn      each client connects, has one message echoed, closes, and again
 * idle       all clients have one message echoed and are then silent
 * broadcast  one client sends a message that the server sends to all
 *
 * Measuring begins when all clients are connected and the warm-up is over. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "descriptors.h"
#include "histogram.h"
#include "process_stats.h"
#include "tls_client.h"

#include "client.h"
#include "load_mode.h"

/* How many clients may be connecting at once. */
enum { CONNECTING_AT_ONCE = 128 };

static struct {
	load_mode mode;
	uint32_t connections;
	double warmup, seconds;
	int server_pid;

	client *clients;
	uint32_t begun, open;
	uint64_t churned; /* connections begun so far */
	uint64_t errors;
	const char *last_error;
	bool started;   /* all are open */
	bool measuring; /* and the warm-up is over */
	uint64_t messages; /* while measuring */
	uint32_t missing;  /* of the broadcast under way */
	uint64_t round_began;
	histogram latency;
} load;

static void
fail(const char *format, ...)
{
	char text[256];
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	printf("{\"error\": \"%s\"}\n", text);
	(void)fflush(stdout);
	_exit(1);
}

/* Whatever happens, it ends. */
static void
out_of_time(int signal)
{
	static const char text[] = "{\"error\": \"the deadline has passed\"}\n";
	ssize_t n = write(STDOUT_FILENO, text, sizeof(text) - 1);
	(void)signal;
	(void)n;
	_exit(1);
}

static void
begin_clients(void)
{
	while ((load.begun < load.connections)
	       && (load.begun - load.open < CONNECTING_AT_ONCE)) {
		client *c = &load.clients[load.begun];
		if (!client_begin(c, load.begun)) {
			fail("client %u of %u could not connect: %s",
			     load.begun + 1,
			     load.connections,
			     strerror(errno));
		}
		load.begun++;
	}
}

static void
churn_again(client *c)
{
	client_end(c);
	if (!client_begin(c, load.churned++)) {
		fail("a client could not connect: %s", strerror(errno));
	}
}

static void
load_opened(client *c, uint64_t now)
{
	load.open++;
	if (load.mode == MODE_CHURN) {
		c->due = 1;
		client_send(c);
	} else if (load.open == load.connections) {
		load.started = true;
	} else {
		begin_clients();
	}
	(void)now;
}

static void
load_received(client *c, uint64_t now)
{
	uint64_t number = c->received++;
	switch (load.mode) {
	case MODE_ECHO:
		if (load.measuring) {
			load.messages++;
			histogram_add(&load.latency, now - c->sent_at[number % common.in_flight], 1);
		}
		c->due++;
		break;
	case MODE_CHURN:
		client_close(c);
		break;
	case MODE_IDLE:
		load.missing--;
		break;
	case MODE_BROADCAST:
		if (load.measuring) {
			load.messages++;
		}
		if (--load.missing == 0) {
			if (load.measuring) {
				histogram_add(&load.latency, now_ns() - load.round_began, 1);
			}
			load.missing = load.connections;
			load.round_began = now_ns();
			load.clients[0].due++;
			client_send(&load.clients[0]);
		}
		break;
	}
}

static void
load_lost(client *c, const char *why)
{
	if (load.mode != MODE_CHURN) {
		fail("%s (client %u of %u, %u open)",
		     why,
		     (unsigned)(c - load.clients) + 1,
		     load.connections,
		     load.open);
	}
	if ((c->state == CLIENT_CLOSING) && c->close_received) {
		if (load.measuring) {
			load.messages++;
			histogram_add(&load.latency, now_ns() - c->began, 1);
		}
	} else {
		load.errors++;
		load.last_error = why;
	}
	churn_again(c);
}

/* Serves all clients until the time has come, or *flag is set. */
static void
run_until(uint64_t end, const bool *flag, const uint32_t *zero)
{
	struct epoll_event events[512];
	for (;;) {
		uint64_t now = now_ns();
		int n, i, timeout;
		if ((now >= end) || ((flag != NULL) && *flag) || ((zero != NULL) && (*zero == 0))) {
			return;
		}
		timeout = (end - now > 1000000000u) ? 1000 : (int)((end - now) / 1000000u) + 1;
		n = epoll_wait(common.epoll, events, (int)(sizeof(events) / sizeof(events[0])), timeout);
		for (i = 0; i < n; i++) {
			client *c = (client *)events[i].data.ptr;
			client_handle(c, events[i].events);
			/* Echoes received together are answered together. */
			if ((load.mode == MODE_ECHO) && load.started && (c->due > 0)
			    && !c->watches_writing) {
				client_send(c);
			}
		}
	}
}

static uint64_t
after(uint64_t begin, double seconds)
{
	return begin + (uint64_t)(seconds * 1e9);
}

/* So that the first messages are on their way. */
static void
start_clients(void)
{
	uint32_t i;
	if (load.mode == MODE_BROADCAST) {
		load.missing = load.connections;
		load.round_began = now_ns();
		load.clients[0].due = 1;
		client_send(&load.clients[0]);
	} else if ((load.mode == MODE_ECHO) || (load.mode == MODE_IDLE)) {
		load.missing = load.connections;
		for (i = 0; i < load.connections; i++) {
			load.clients[i].due = (load.mode == MODE_IDLE) ? 1 : common.in_flight;
			client_send(&load.clients[i]);
		}
	}
}

static void
read_server(process_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	if ((load.server_pid != 0) && !process_stats_read(load.server_pid, stats)) {
		fail("the server has ended");
	}
}

static void
run(void)
{
	const uint64_t never = UINT64_MAX / 2;
	process_stats server_before, server_begin, server_end, own_begin, own_end;
	uint64_t begin, end;
	double connecting = 0, seconds;
	uint32_t i;

	read_server(&server_before);
	begin = now_ns();
	if (load.mode == MODE_CHURN) {
		for (i = 0; i < load.connections; i++) {
			churn_again(&load.clients[i]);
		}
	} else {
		begin_clients();
		run_until(never, &load.started, NULL);
		connecting = (double)(now_ns() - begin) / 1e9;
	}
	start_clients();
	if (load.mode == MODE_IDLE) {
		run_until(never, NULL, &load.missing);
	}
	run_until(after(now_ns(), load.warmup), NULL, NULL);

	read_server(&server_begin);
	(void)process_stats_read(getpid(), &own_begin);
	load.measuring = true;
	load.errors = 0;
	begin = now_ns();
	run_until(after(begin, load.seconds), NULL, NULL);
	end = now_ns();
	read_server(&server_end);
	(void)process_stats_read(getpid(), &own_end);
	seconds = (double)(end - begin) / 1e9;

	if ((load.messages == 0) && (load.mode != MODE_IDLE)) {
		fail("nothing came back in %.1f s%s%s",
		     seconds,
		     (load.last_error != NULL) ? ": " : "",
		     (load.last_error != NULL) ? load.last_error : "");
	}
	printf("{\"mode\": \"%s\", \"connections\": %u, \"inFlight\": %u, \"size\": %zu, "
	       "\"tls\": \"%s\", \"seconds\": %.3f, \"messages\": %llu, \"perSecond\": %.1f, "
	       "\"p50\": %.2f, \"p99\": %.2f, \"p999\": %.2f, \"max\": %.2f, "
	       "\"connectSeconds\": %.4f, \"handshakesPerSecond\": %.1f, \"errors\": %llu, "
	       "\"lastError\": \"%s\", \"clientCpuSeconds\": %.2f, \"serverCpuSeconds\": %.2f, "
	       "\"rssBefore\": %ld, \"rss\": %ld, \"peakRss\": %ld, \"threads\": %ld}\n",
	       mode_names[load.mode],
	       load.connections,
	       common.in_flight,
	       common.size,
	       common.tls_name,
	       seconds,
	       (unsigned long long)load.messages,
	       (double)load.messages / seconds,
	       (double)histogram_at(&load.latency, 0.5) / 1e3,
	       (double)histogram_at(&load.latency, 0.99) / 1e3,
	       (double)histogram_at(&load.latency, 0.999) / 1e3,
	       (double)load.latency.max / 1e3,
	       connecting,
	       (load.mode == MODE_CHURN) ? (double)load.messages / seconds
	                                 : (double)load.connections / connecting,
	       (unsigned long long)load.errors,
	       (load.last_error != NULL) ? load.last_error : "",
	       own_end.cpu_seconds - own_begin.cpu_seconds,
	       server_end.cpu_seconds - server_begin.cpu_seconds,
	       server_before.rss_kb,
	       server_end.rss_kb,
	       server_end.peak_rss_kb,
	       server_end.threads);
	(void)fflush(stdout);
	/* The system closes the connections faster than we could. */
	_exit(0);
}

static void
pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0) {
		fail("CPU %d cannot be had: %s", cpu, strerror(errno));
	}
}

int
main(int argc, char **argv)
{
	enum { PORT = 1, MODE, PATH, CONNECTIONS, IN_FLIGHT, SIZE, TEXT, TLS, WARMUP, SECONDS, DEADLINE, PID, CPU };
	static const struct option options[] = {{"port", 1, NULL, PORT},
	                                        {"mode", 1, NULL, MODE},
	                                        {"path", 1, NULL, PATH},
	                                        {"connections", 1, NULL, CONNECTIONS},
	                                        {"in-flight", 1, NULL, IN_FLIGHT},
	                                        {"size", 1, NULL, SIZE},
	                                        {"text", 0, NULL, TEXT},
	                                        {"tls", 0, NULL, TLS},
	                                        {"warmup", 1, NULL, WARMUP},
	                                        {"seconds", 1, NULL, SECONDS},
	                                        {"deadline", 1, NULL, DEADLINE},
	                                        {"server-pid", 1, NULL, PID},
	                                        {"cpu", 1, NULL, CPU},
	                                        {NULL, 0, NULL, 0}};
	const char *path = "/echo";
	int port = 0, deadline = 120, option;
	bool wants_tls = false;

	load.connections = 64;
	load.warmup = 1;
	load.seconds = 5;
	common.in_flight = 1;
	common.size = 128;
	common.opcode = 2;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case PORT: port = atoi(optarg); break;
		case MODE: load.mode = parse_mode(optarg); break;
		case PATH: path = optarg; break;
		case CONNECTIONS: load.connections = (uint32_t)atoi(optarg); break;
		case IN_FLIGHT: common.in_flight = (uint32_t)atoi(optarg); break;
		case SIZE: common.size = (size_t)atoll(optarg); break;
		case TEXT: common.opcode = 1; break;
		case TLS: wants_tls = true; break;
		case WARMUP: load.warmup = atof(optarg); break;
		case SECONDS: load.seconds = atof(optarg); break;
		case DEADLINE: deadline = atoi(optarg); break;
		case PID: load.server_pid = atoi(optarg); break;
		case CPU: pin(atoi(optarg)); break;
		default: fail("unknown argument");
		}
	}
	if ((port <= 0) || (load.connections == 0) || (common.in_flight == 0) || (common.size == 0)) {
		fail("--port is needed, and --connections, --in-flight and --size of at least 1");
	}
	(void)signal(SIGALRM, out_of_time);
	(void)alarm((unsigned)deadline);
	raise_descriptor_limit();
	if (wants_tls && ((common.tls = tls_load()) == NULL)) {
		fail("OpenSSL 3 could not be loaded");
	}
	common.server.sin_family = AF_INET;
	common.server.sin_port = htons((uint16_t)port);
	common.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	common.epoll = epoll_create1(EPOLL_CLOEXEC);
	common.greeting = (load.mode == MODE_BROADCAST);
	common_prepare(path, port);
	load.clients = (client *)calloc(load.connections, sizeof(client));
	run();
	return 0;
}
