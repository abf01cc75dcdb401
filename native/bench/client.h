/* One WebSocket client: connects, upgrades, sends the one message there is again
 * and again, and checks what comes back. Knows nothing of phases and measuring:
 * it calls load_opened, load_received and load_lost. */

#include "client_io.h"
#include "client_frames.h"

/* The response to the upgrade; what follows it is frames already. */
static void
client_take_head(client *c, const char *data, size_t size, uint64_t now)
{
	static const char accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
	char *end;
	size_t used;
	size_t before = c->head_size;
	size_t n = (size < HEAD_SIZE - 1 - before) ? size : HEAD_SIZE - 1 - before;

	memcpy(c->head + before, data, n);
	c->head_size += n;
	c->head[c->head_size] = 0;
	end = strstr(c->head, "\r\n\r\n");
	if (end == NULL) {
		if (c->head_size == HEAD_SIZE - 1) {
			load_lost(c, "the answer to the upgrade is too long");
		}
		return;
	}
	if ((strncmp(c->head, "HTTP/1.1 101", 12) != 0) || (strstr(c->head, accept) == NULL)) {
		load_lost(c, "the upgrade was refused");
		return;
	}
	used = (size_t)(end + 4 - c->head) - before;
	c->state = CLIENT_OPEN;
	client_watch(c, false);
	if (!common.greeting) {
		load_opened(c, now);
	}
	if (c->state != CLIENT_UNUSED) {
		client_take(c, (const unsigned char *)data + used, size - used, now);
	}
}

static void
client_receive(client *c)
{
	for (;;) {
		ssize_t n = client_read(c, common.input, BATCH_BYTES);
		uint64_t now;
		if (n == -1) {
			return;
		}
		if (n <= 0) {
			load_lost(c, (n == 0) ? "the server has hung up" : "a read failed");
			return;
		}
		now = now_ns();
		if (c->state == CLIENT_UPGRADING) {
			client_take_head(c, (const char *)common.input, (size_t)n, now);
		} else {
			client_take(c, common.input, (size_t)n, now);
		}
		/* Only TLS may hold more than epoll knows of. */
		if ((c->state == CLIENT_UNUSED) || (c->state == CLIENT_CONNECTING)
		    || (c->ssl == NULL)) {
			return;
		}
	}
}

static void
client_upgrade(client *c)
{
	ssize_t n = client_write(c,
	                         common.request + c->request_sent,
	                         common.request_size - c->request_sent);
	if (n == -1) {
		client_watch(c, true);
		return;
	}
	if (n <= 0) {
		load_lost(c, "the request could not be sent");
		return;
	}
	c->request_sent += (size_t)n;
	client_watch(c, c->request_sent < common.request_size);
}

static void
client_handle(client *c, uint32_t events)
{
	if (c->state == CLIENT_CONNECTING) {
		int error = 0;
		socklen_t size = sizeof(error);
		(void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if ((error != 0) || ((events & EPOLLOUT) == 0)) {
			load_lost(c, "connecting failed");
			return;
		}
		c->state = CLIENT_UPGRADING;
		if (common.tls != NULL) {
			c->ssl = tls.SSL_new(common.tls);
			(void)tls.SSL_set_fd(c->ssl, c->fd);
			c->state = CLIENT_TLS;
		}
	}
	if (c->state == CLIENT_TLS) {
		int n = tls.SSL_connect(c->ssl);
		if (n != 1) {
			int error = tls.SSL_get_error(c->ssl, n);
			tls.ERR_clear_error();
			if ((error != TLS_WANT_READ) && (error != TLS_WANT_WRITE)) {
				load_lost(c, "the TLS handshake failed");
				return;
			}
			client_watch(c, error == TLS_WANT_WRITE);
			return;
		}
		if (common.tls_name[0] == 0) {
			(void)snprintf(common.tls_name,
			               sizeof(common.tls_name),
			               "%s %s",
			               tls.SSL_get_version(c->ssl),
			               tls.SSL_CIPHER_get_name(tls.SSL_get_current_cipher(c->ssl)));
		}
		c->state = CLIENT_UPGRADING;
	}
	if ((c->state == CLIENT_UPGRADING) && (c->request_sent < common.request_size)) {
		client_upgrade(c);
		if (c->state != CLIENT_UPGRADING) {
			return;
		}
	}
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
		client_receive(c);
	}
	if (((c->state == CLIENT_OPEN) || (c->state == CLIENT_CLOSING))
	    && ((events & EPOLLOUT) != 0)) {
		client_send(c);
	}
}
