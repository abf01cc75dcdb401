/* CivetWeb and the extension as one translation unit: the extension needs what
 * CivetWeb's public API does not offer (the socket, the TLS object, must_close),
 * and gets it without a patched or copied civetweb.c. */

#include <stdatomic.h>
#include <stdbool.h>

#if defined(__APPLE__)
/* civetweb.c asks for OpenSSL by names without a version, whatever SSL_LIB says; since macOS 11 loading the file of
 * that name aborts the process. */
#include <dlfcn.h>
static void *cwn_dlopen(const char *name, int mode);
#define dlopen cwn_dlopen
#endif

#include "civetweb.c"

#if defined(__APPLE__)
#undef dlopen
static void *
cwn_dlopen(const char *name, int mode)
{
	/* Homebrew's folders, of Apple silicon and of Intel, are not where the system looks. */
	static const char *const folders[] = {"", "/opt/homebrew/opt/openssl@3/lib/", "/usr/local/opt/openssl@3/lib/"};
	const char *versioned = (strcmp(name, SSL_LIB) == 0)      ? "libssl.3.dylib"
	                        : (strcmp(name, CRYPTO_LIB) == 0) ? "libcrypto.3.dylib"
	                                                          : name;
	void *library = NULL;
	size_t i;
	for (i = 0; (library == NULL) && (i < sizeof(folders) / sizeof(folders[0])); i++) {
		char path[256];
		(void)snprintf(path, sizeof(path), "%s%s", folders[i], versioned);
		library = dlopen(path, mode);
	}
	return library;
}
#endif

#include "old_glibc.h"

#include "civetweb_net.h"

/* A room knows those above it in this list only; the test NativeRoomsTests sees to it. */

#include "platform.c"
#include "ssl_io.c"

#if !defined(__linux__)
#include "engine/notifier.c"
#endif
#include "engine/wake.c"
#include "engine/session.c"
#include "engine/transport.c"
#include "engine/output.c"
#include "engine/sender.c"
#include "engine/held.c"
#if defined(__linux__)
#include "engine/seat.c"
#include "engine/turn_times.c"
#include "engine/leaders.c"
#include "engine/parking.c"
#else
#include "engine/no_leaders.c"
#endif

#include "websocket/mask.c"
#include "websocket/utf8.c"
#include "websocket/frame_header.c"
#include "websocket/frame_reader.c"
#include "websocket/frame_parser.c"
#include "websocket/session_send.c"
#include "websocket/session_events.c"
#include "websocket/session_loop.c"
#include "websocket/session_pull.c"

#include "http/upgrade.c"
#include "http/framing.c"
#include "http/path.c"
#include "http/response.c"
#include "http/body.c"
#include "http/chunked.c"
#include "http/file.c"
#include "http/proxy_header.c"

#include "openssl.c"
#include "tls.c"
#include "library.c"
#include "layout.c"
