/* CivetWeb and the extension as one translation unit: the extension needs what
 * CivetWeb's public API does not offer (the socket, the TLS object, must_close),
 * and gets it without a patched or copied civetweb.c. */

#include <stdatomic.h>
#include <stdbool.h>

#include "civetweb.c"

#include "old_glibc.h"

#include "civetweb_net.h"

#include "platform.c"
#include "wake.c"
#include "mask.c"
#include "utf8.c"
#include "frame_reader.c"
#include "session.c"
#include "leaders.c"
#include "session_loop.c"
#include "session_pull.c"
#include "upgrade.c"
#include "http_framing.c"
#include "http_body.c"
#include "http_file.c"
#include "proxy_header.c"
#include "tls.c"
#include "library.c"
#include "layout.c"
