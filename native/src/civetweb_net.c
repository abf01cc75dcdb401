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

#include "platform.c"
#include "wake.c"
#include "mask.c"
#include "utf8.c"
#include "frame_reader.c"
#include "session.c"
#include "sender.c"
#include "held.c"
#include "leaders.c"
#include "session_loop.c"
#include "session_pull.c"
#include "upgrade.c"
#include "http_framing.c"
#include "http_path.c"
#include "http_body.c"
#include "http_file.c"
#include "proxy_header.c"
#include "tls.c"
#include "library.c"
#include "layout.c"
