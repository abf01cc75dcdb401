/* One try to receive or send on a TLS connection, with results like those of
 * cwn_socket_recv and cwn_socket_send. One call at a time for each SSL object. */

static int
cwn_ssl_result(SSL *ssl, int n)
{
	int error;
	if (n > 0) {
		return n;
	}
	error = SSL_get_error(ssl, n);
	ERR_clear_error(); /* CivetWeb's own calls look at the queue unasked */
	switch (error) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -2;
	}
}

static int
cwn_ssl_recv(SSL *ssl, void *buffer, size_t size)
{
	ERR_clear_error();
	return cwn_ssl_result(ssl, SSL_read(ssl, buffer, (int)size));
}

/* At most one record at a time: OpenSSL reports nothing of a larger write until its last
 * byte is out, so that a slow reader would look like a peer that does not read. */
enum { CWN_TLS_RECORD_SIZE = 16 * 1024 };

static int
cwn_ssl_send(SSL *ssl, const void *data, size_t size)
{
	int n;
	if (size > CWN_TLS_RECORD_SIZE) {
		size = CWN_TLS_RECORD_SIZE;
	}
	ERR_clear_error();
	n = cwn_ssl_result(ssl, SSL_write(ssl, data, (int)size));
	return (n == 0) ? -2 : n; /* the peer has ended it */
}
