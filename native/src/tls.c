/* TLS with a certificate that can be replaced while the server runs.
 *
 * CivetWeb gives the SSL_CTX of its server to the init_ssl callback; a cwn_tls
 * is attached to it there. The SSL_CTX itself gets no certificate: OpenSSL asks
 * for one in every full handshake, and gets the current. An SSL_CTX may not be
 * changed while other threads make handshakes with it; a pointer under a lock may. */

/* Immutable; freed when the last reference is released. */
typedef struct cwn_certificate {
	atomic_int references;
	X509 *leaf;
	EVP_PKEY *key;
	cwn_x509_stack *chain;
} cwn_certificate;

struct cwn_tls {
	pthread_mutex_t lock;     /* of current, and only while it is read or swapped */
	cwn_certificate *current; /* NULL until the first is set */
	/* the rest never changes */
	int min_version;
	int client_certificates;
	int verify_depth;
	char *ciphers;
	cwn_x509_stack *authorities;
	X509_STORE *store; /* the same, to verify with */
};

static atomic_llong cwn_tls_objects; /* alive: cwn_tls and certificates */

/* Says what failed and why, from the oldest error of this thread: later
 * errors are only consequences of it. */
static void
cwn_tls_explain(const char *what, char *error, size_t size)
{
	unsigned long code = ERR_get_error();
	const char *reason = (code != 0) ? ERR_reason_error_string(code) : NULL;
	if (size > 0) {
		mg_snprintf(NULL,
		            NULL,
		            error,
		            size,
		            "%s: %s",
		            what,
		            (reason != NULL) ? reason : "unknown reason");
	}
	ERR_clear_error();
}

static void
cwn_free_x509(void *certificate)
{
	X509_free((X509 *)certificate);
}

static void
cwn_free_stack(cwn_x509_stack *stack)
{
	if (stack != NULL) {
		OPENSSL_sk_pop_free(stack, cwn_free_x509);
	}
}

/* Certificates in DER, one after the other. NULL when one of them is not valid. */
static cwn_x509_stack *
cwn_read_certificates(const unsigned char *der, size_t size)
{
	const unsigned char *p = der, *end = (size > 0) ? der + size : der;
	cwn_x509_stack *stack = OPENSSL_sk_new_null();
	while ((stack != NULL) && (p < end)) {
		X509 *certificate = d2i_X509(NULL, &p, (long)(end - p));
		if ((certificate == NULL) || (OPENSSL_sk_push(stack, certificate) <= 0)) {
			if (certificate != NULL) {
				X509_free(certificate);
			}
			cwn_free_stack(stack);
			stack = NULL;
		}
	}
	return stack;
}

static EVP_PKEY *
cwn_read_key(const unsigned char *key, size_t size, const char *password)
{
	BIO *bio;
	EVP_PKEY *result;
	if (password == NULL) {
		return d2i_AutoPrivateKey(NULL, &key, (long)size);
	}
	bio = BIO_new_mem_buf(key, (int)size);
	if (bio == NULL) {
		return NULL;
	}
	/* The default callback takes the last argument for the password; without
	 * one it would ask at the terminal. */
	result = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t)password);
	(void)BIO_free(bio);
	return result;
}

static void
cwn_certificate_release(cwn_certificate *certificate)
{
	if ((certificate == NULL) || (atomic_fetch_sub(&certificate->references, 1) != 1)) {
		return;
	}
	if (certificate->leaf != NULL) {
		X509_free(certificate->leaf);
	}
	if (certificate->key != NULL) {
		EVP_PKEY_free(certificate->key);
	}
	cwn_free_stack(certificate->chain);
	mg_free(certificate);
	atomic_fetch_sub(&cwn_tls_objects, 1);
}

static cwn_certificate *
cwn_tls_current(cwn_tls *tls)
{
	cwn_certificate *certificate;
	pthread_mutex_lock(&tls->lock);
	certificate = tls->current;
	if (certificate != NULL) {
		atomic_fetch_add(&certificate->references, 1);
	}
	pthread_mutex_unlock(&tls->lock);
	return certificate;
}

/* OpenSSL asks for the certificate of a handshake, on the connection's thread. */
static int
cwn_tls_on_handshake(SSL *ssl, void *argument)
{
	cwn_certificate *certificate = cwn_tls_current((cwn_tls *)argument);
	int result = 0;
	if (certificate != NULL) {
		/* The SSL takes references of its own. */
		result = SSL_use_cert_and_key(ssl, certificate->leaf, certificate->key, certificate->chain, 1);
		cwn_certificate_release(certificate);
	}
	return (result == 1) ? 1 : 0;
}

CWN_API int
cwn_tls_attach(cwn_tls *tls, void *ssl_ctx, char *error, size_t error_size)
{
	SSL_CTX *ctx = (SSL_CTX *)ssl_ctx;
	int i;

	ERR_clear_error();
	if (SSL_CTX_ctrl(ctx, CWN_SSL_CTRL_SET_MIN_PROTO_VERSION, tls->min_version, NULL) != 1) {
		cwn_tls_explain("the minimum version", error, error_size);
		return 0;
	}
	if (SSL_CTX_set_cipher_list(ctx, tls->ciphers) != 1) {
		cwn_tls_explain("the cipher list", error, error_size);
		return 0;
	}
	(void)cwn_ssl_clear_options(ctx, CWN_SSL_OP_MISTAKEN);
	/* The chain is the one that was configured, never guessed. */
	(void)SSL_CTX_ctrl(
	    ctx, CWN_SSL_CTRL_MODE, CWN_SSL_MODE_NO_AUTO_CHAIN | CWN_SSL_MODE_RELEASE_BUFFERS, NULL);
	if (tls->client_certificates != CWN_CLIENT_CERTIFICATES_NONE) {
		/* A store of its own: whatever else gets into that of the SSL_CTX,
		 * the system's authorities above all, does not count for clients. */
		if (SSL_CTX_ctrl(ctx, CWN_SSL_CTRL_SET_VERIFY_CERT_STORE, 1, tls->store) != 1) {
			cwn_tls_explain("the authorities", error, error_size);
			return 0;
		}
		for (i = 0; i < OPENSSL_sk_num(tls->authorities); i++) {
			if (SSL_CTX_add_client_CA(ctx, (X509 *)OPENSSL_sk_value(tls->authorities, i)) != 1) {
				cwn_tls_explain("the authorities", error, error_size);
				return 0;
			}
		}
		SSL_CTX_set_verify(ctx,
		                   (tls->client_certificates == CWN_CLIENT_CERTIFICATES_REQUIRED)
		                       ? (SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT)
		                       : SSL_VERIFY_PEER,
		                   NULL);
		SSL_CTX_set_verify_depth(ctx, tls->verify_depth);
	}
	SSL_CTX_set_cert_cb(ctx, cwn_tls_on_handshake, tls);
	return 1;
}

/* An SSL_CTX like the server's, to try things on; NULL with the error. */
static SSL_CTX *
cwn_tls_rehearse(cwn_tls *tls, char *error, size_t error_size)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (ctx == NULL) {
		cwn_tls_explain("a TLS context", error, error_size);
	} else if (!cwn_tls_attach(tls, ctx, error, error_size)) {
		SSL_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

CWN_API cwn_tls *
cwn_tls_create(int min_version,
               const char *ciphers,
               int client_certificates,
               int verify_depth,
               const unsigned char *authorities,
               size_t authorities_size,
               char *error,
               size_t error_size)
{
	cwn_tls *tls;
	SSL_CTX *trial = NULL;
	int i;

	ERR_clear_error();
	tls = (cwn_tls *)mg_calloc(1, sizeof(*tls));
	if ((tls == NULL) || ((tls->ciphers = mg_strdup(ciphers)) == NULL)) {
		mg_free(tls);
		cwn_tls_explain("out of memory", error, error_size);
		return NULL;
	}
	pthread_mutex_init(&tls->lock, NULL);
	atomic_fetch_add(&cwn_tls_objects, 1);
	tls->min_version = min_version;
	tls->client_certificates = client_certificates;
	tls->verify_depth = verify_depth;
	if (((tls->authorities = cwn_read_certificates(authorities, authorities_size)) != NULL)
	    && ((tls->store = X509_STORE_new()) != NULL)) {
		/* What is listed is trusted as it is, be it a root or not. */
		bool complete = X509_STORE_set_flags(tls->store, CWN_X509_V_FLAG_PARTIAL_CHAIN) == 1;
		for (i = 0; complete && (i < OPENSSL_sk_num(tls->authorities)); i++) {
			complete = X509_STORE_add_cert(tls->store, (X509 *)OPENSSL_sk_value(tls->authorities, i)) == 1;
		}
		if (complete) {
			trial = cwn_tls_rehearse(tls, error, error_size);
			if (trial != NULL) {
				SSL_CTX_free(trial);
				return tls;
			}
			cwn_tls_release(tls);
			return NULL;
		}
	}
	cwn_tls_explain("the authorities", error, error_size);
	cwn_tls_release(tls);
	return NULL;
}

CWN_API int
cwn_tls_set_certificate(cwn_tls *tls,
                        const unsigned char *leaf,
                        size_t leaf_size,
                        const unsigned char *chain,
                        size_t chain_size,
                        const unsigned char *key,
                        size_t key_size,
                        const char *password,
                        char *error,
                        size_t error_size)
{
	cwn_certificate *certificate, *old;
	SSL_CTX *trial;
	int result;

	certificate = (cwn_certificate *)mg_calloc(1, sizeof(*certificate));
	ERR_clear_error();
	if (certificate == NULL) {
		cwn_tls_explain("out of memory", error, error_size);
		return CWN_CERTIFICATE_REFUSED;
	}
	atomic_init(&certificate->references, 1);
	atomic_fetch_add(&cwn_tls_objects, 1);
	if (((certificate->leaf = d2i_X509(NULL, &leaf, (long)leaf_size)) == NULL)
	    || ((certificate->chain = cwn_read_certificates(chain, chain_size)) == NULL)) {
		cwn_tls_explain("the certificate", error, error_size);
		cwn_certificate_release(certificate);
		return CWN_CERTIFICATE_REFUSED;
	}
	if ((certificate->key = cwn_read_key(key, key_size, password)) == NULL) {
		cwn_tls_explain("the private key", error, error_size);
		cwn_certificate_release(certificate);
		return CWN_CERTIFICATE_KEY_UNREADABLE;
	}
	if (X509_check_private_key(certificate->leaf, certificate->key) != 1) {
		cwn_tls_explain("the private key", error, error_size);
		cwn_certificate_release(certificate);
		return CWN_CERTIFICATE_KEY_MISMATCH;
	}
	/* Whatever OpenSSL has against it (too short a key, an outdated signature)
	 * is known now, not in every handshake. */
	trial = cwn_tls_rehearse(tls, error, error_size);
	if (trial == NULL) {
		cwn_certificate_release(certificate);
		return CWN_CERTIFICATE_REFUSED;
	}
	result = SSL_CTX_use_cert_and_key(trial, certificate->leaf, certificate->key, certificate->chain, 1);
	SSL_CTX_free(trial);
	if (result != 1) {
		cwn_tls_explain("the certificate with this key", error, error_size);
		cwn_certificate_release(certificate);
		return CWN_CERTIFICATE_REFUSED;
	}
	pthread_mutex_lock(&tls->lock);
	old = tls->current;
	tls->current = certificate;
	pthread_mutex_unlock(&tls->lock);
	cwn_certificate_release(old);
	return CWN_CERTIFICATE_SET;
}

CWN_API void
cwn_tls_release(cwn_tls *tls)
{
	if (tls == NULL) {
		return;
	}
	cwn_certificate_release(tls->current);
	cwn_free_stack(tls->authorities);
	if (tls->store != NULL) {
		X509_STORE_free(tls->store);
	}
	pthread_mutex_destroy(&tls->lock);
	mg_free(tls->ciphers);
	mg_free(tls);
	atomic_fetch_sub(&cwn_tls_objects, 1);
}

CWN_API int64_t
cwn_tls_count(void)
{
	return (int64_t)atomic_load(&cwn_tls_objects);
}

CWN_API int
cwn_peer_certificate(const struct mg_connection *conn, unsigned char *buffer, size_t size)
{
	X509 *certificate;
	int length;

	if ((conn == NULL) || (conn->ssl == NULL)
	    || ((certificate = SSL_get_peer_certificate(conn->ssl)) == NULL)) {
		return 0;
	}
	length = i2d_X509(certificate, NULL);
	if ((length > 0) && ((size_t)length <= size)) {
		(void)i2d_X509(certificate, &buffer);
	}
	X509_free(certificate);
	return (length > 0) ? length : 0;
}
