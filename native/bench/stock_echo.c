/* CivetWeb as it is, in C: its own WebSocket loop and mg_websocket_write, no
 * extension, compiled as the library is. What we are measured against.
 *
 *   stock_echo [--connections N] [--nodelay 0|1] [--certificate PEM] [--sleep MICROSECONDS]
 *
 * --sleep: for so long each callback blocks before it answers.
 * Prints "port N" and runs until its standard input ends. */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "civetweb.h"

#include "descriptors.h"

static useconds_t sleep_us;
static pthread_mutex_t members_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mg_connection **members;
static int member_count, member_capacity;

static int
echo(struct mg_connection *conn, int bits, char *data, size_t size, void *user_data)
{
	int opcode = bits & 0x0F;
	(void)user_data;
	if ((opcode == MG_WEBSOCKET_OPCODE_TEXT) || (opcode == MG_WEBSOCKET_OPCODE_BINARY)) {
		if (sleep_us > 0) {
			(void)usleep(sleep_us);
		}
		return mg_websocket_write(conn, opcode, data, size) > 0;
	}
	if (opcode == MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE) {
		/* CivetWeb leaves the answer to the application. */
		(void)mg_websocket_write(conn, opcode, data, (size < 2) ? size : 2);
		return 0;
	}
	return 1;
}

static void
join(struct mg_connection *conn, void *user_data)
{
	(void)user_data;
	pthread_mutex_lock(&members_lock);
	if (member_count < member_capacity) {
		members[member_count++] = conn;
	}
	pthread_mutex_unlock(&members_lock);
	(void)mg_websocket_write(conn, MG_WEBSOCKET_OPCODE_TEXT, "+", 1);
}

static int
broadcast(struct mg_connection *conn, int bits, char *data, size_t size, void *user_data)
{
	int opcode = bits & 0x0F;
	int i;
	if ((opcode != MG_WEBSOCKET_OPCODE_TEXT) && (opcode != MG_WEBSOCKET_OPCODE_BINARY)) {
		return echo(conn, bits, data, size, user_data);
	}
	pthread_mutex_lock(&members_lock);
	for (i = 0; i < member_count; i++) {
		(void)mg_websocket_write(members[i], opcode, data, size);
	}
	pthread_mutex_unlock(&members_lock);
	return 1;
}

static void
leave(const struct mg_connection *conn, void *user_data)
{
	int i;
	(void)user_data;
	pthread_mutex_lock(&members_lock);
	for (i = 0; i < member_count; i++) {
		if (members[i] == conn) {
			members[i] = members[--member_count];
			break;
		}
	}
	pthread_mutex_unlock(&members_lock);
}

int
main(int argc, char **argv)
{
	const char *nodelay = "1", *certificate = NULL;
	char threads[16], port[32];
	const char *options[32];
	struct mg_server_port ports[1];
	struct mg_callbacks callbacks;
	struct mg_context *context;
	int connections = 64, i, n = 0;
	char input[256];

	for (i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--connections") == 0) {
			connections = atoi(argv[i + 1]);
		} else if (strcmp(argv[i], "--nodelay") == 0) {
			nodelay = argv[i + 1];
		} else if (strcmp(argv[i], "--certificate") == 0) {
			certificate = argv[i + 1];
		} else if (strcmp(argv[i], "--sleep") == 0) {
			sleep_us = (useconds_t)atoi(argv[i + 1]);
		}
	}
	raise_descriptor_limit();
	/* TLS or not: CivetWeb takes the SHA-1 of the handshake from OpenSSL. */
	if ((mg_init_library(MG_FEATURES_TLS) & MG_FEATURES_TLS) == 0) {
		fprintf(stderr, "stock_echo: OpenSSL 3 could not be loaded\n");
		return 1;
	}
	member_capacity = connections + 16;
	members = (struct mg_connection **)calloc((size_t)member_capacity, sizeof(*members));
	(void)snprintf(threads, sizeof(threads), "%d", (connections < 240) ? 256 : connections + 16);
	(void)snprintf(port, sizeof(port), "127.0.0.1:0%s", (certificate != NULL) ? "s" : "");
	options[n++] = "listening_ports";
	options[n++] = port;
	options[n++] = "num_threads";
	options[n++] = threads;
	options[n++] = "tcp_nodelay";
	options[n++] = nodelay;
	options[n++] = "listen_backlog";
	options[n++] = "1024";
	options[n++] = "enable_websocket_ping_pong";
	options[n++] = "yes";
	if (certificate != NULL) {
		options[n++] = "ssl_certificate";
		options[n++] = certificate;
	}
	options[n] = NULL;

	memset(&callbacks, 0, sizeof(callbacks));
	context = mg_start(&callbacks, NULL, options);
	if ((context == NULL) || (mg_get_server_ports(context, 1, ports) != 1)) {
		fprintf(stderr, "stock_echo: the server could not be started\n");
		return 1;
	}
	mg_set_websocket_handler(context, "/echo", NULL, NULL, echo, NULL, NULL);
	mg_set_websocket_handler(context, "/broadcast", NULL, join, broadcast, leave, NULL);
	printf("port %d\n", ports[0].port);
	(void)fflush(stdout);
	while (read(STDIN_FILENO, input, sizeof(input)) > 0) {
	}
	/* Not stopped in order: there is nothing to be kept. */
	_exit(0);
}
