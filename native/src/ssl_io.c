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

static int
cwn_ssl_send(SSL *ssl, const void *data, size_t size)
{
	int n;
	ERR_clear_error();
	n = cwn_ssl_result(ssl, SSL_write(ssl, data, (int)size));
	return (n == 0) ? -2 : n; /* the peer has ended it */
}
