/* TLS in a real server: handshakes on several threads while the certificate is replaced, clients
 * with certificates, options. */

#include "test_tls_refusals.h"

static int
tls_on_init(void *ssl_ctx, void *user)
{
	char error[256];
	if (!cwn_tls_attach(((tls_test *)user)->tls, ssl_ctx, error, sizeof(error))) {
		return -1;
	}
	/* Whatever the system trusts (SSL_CERT_FILE says what) is nothing to us. */
	CHECK_EQUAL(1, SSL_CTX_set_default_verify_paths((SSL_CTX *)ssl_ctx));
	return 0;
}

static int
tls_on_begin(struct mg_connection *conn)
{
	static const char answer[] = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
	tls_test *t = (tls_test *)mg_get_user_data(mg_get_context(conn));
	unsigned char der[TLS_DER_SIZE];
	int size = cwn_peer_certificate(conn, der, sizeof(der));
	CHECK(size <= TLS_DER_SIZE);
	if (size > 0) {
		CHECK_EQUAL(t->client.size, size);
		CHECK(memcmp(der, t->client.data, (size_t)size) == 0);
		/* too small a buffer: only the size, not a byte */
		memset(der, 0xEE, sizeof(der));
		CHECK_EQUAL(size, cwn_peer_certificate(conn, der, (size_t)size - 1));
		CHECK_EQUAL(0xEE, der[0]);
	}
	atomic_store(&t->last_client_size, size);
	(void)mg_write(conn, answer, strlen(answer));
	return 204;
}

static int
tls_silent(const struct mg_connection *conn, const char *message)
{
	(void)conn;
	(void)message;
	return 1;
}

static void
tls_start(tls_test *t)
{
	static const char *options[] = {"listening_ports", "127.0.0.1:0s", "num_threads", "8", NULL};
	struct mg_callbacks callbacks;
	struct mg_server_port port;
	memset(&callbacks, 0, sizeof(callbacks));
	callbacks.init_ssl = tls_on_init;
	callbacks.begin_request = tls_on_begin;
	callbacks.log_message = tls_silent;
	t->ctx = mg_start(&callbacks, t, options);
	CHECK(t->ctx != NULL);
	CHECK_EQUAL(1, mg_get_server_ports(t->ctx, 1, &port));
	t->port = port.port;
}

/* One connection and one request; the server's name, empty when it refused. */
static void
tls_connect(tls_test *t, SSL_CTX *client, char *name, size_t name_size)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	char answer[256];
	test_server server;
	SOCKET sock;
	SSL *ssl = SSL_new(client);

	name[0] = 0;
	memset(&server, 0, sizeof(server));
	server.port = t->port;
	sock = connect_to(&server);
	CHECK_EQUAL(1, SSL_set_fd(ssl, sock));
	if ((SSL_connect(ssl) == 1) && (SSL_write(ssl, request, (int)strlen(request)) > 0)
	    && (SSL_read(ssl, answer, sizeof(answer)) > 0)) {
		X509 *certificate = SSL_get_peer_certificate(ssl);
		CHECK(memcmp(answer, "HTTP/1.1 204", 12) == 0);
		(void)X509_NAME_oneline(X509_get_subject_name(certificate), name, (int)name_size);
		X509_free(certificate);
	}
	ERR_clear_error();
	SSL_free(ssl);
	closesocket(sock);
}

static void *
tls_client(void *argument)
{
	tls_test *t = (tls_test *)argument;
	char name[64];
	int i = 0;
	while (!atomic_load(&t->stop)) {
		/* a new context each time: nothing to resume; 1.2 and 1.3 in turn */
		SSL_CTX *client = SSL_CTX_new(TLS_client_method());
		CHECK(client != NULL);
		if (i++ % 2 == 0) {
			SSL_CTX_set_options(client, SSL_OP_NO_TLSv1_3);
		}
		tls_connect(t, client, name, sizeof(name));
		SSL_CTX_free(client);
		if (strcmp(name, "/CN=first") == 0) {
			atomic_fetch_add(&t->handshakes[0], 1);
		} else {
			CHECK(strcmp(name, "/CN=second") == 0);
			atomic_fetch_add(&t->handshakes[1], 1);
		}
	}
	return NULL;
}

static void *
tls_swapper(void *argument)
{
	tls_test *t = (tls_test *)argument;
	char error[256];
	while (!atomic_load(&t->stop)) {
		CHECK_EQUAL(CWN_CERTIFICATE_SET, tls_set(t->tls, &t->second, &t->issuer, &t->second_key, error, sizeof(error)));
		CHECK_EQUAL(CWN_CERTIFICATE_KEY_MISMATCH, tls_set(t->tls, &t->first, NULL, &t->second_key, error, sizeof(error)));
		CHECK_EQUAL(CWN_CERTIFICATE_SET, tls_set(t->tls, &t->first, NULL, &t->first_key, error, sizeof(error)));
		atomic_fetch_add(&t->swaps, 2);
	}
	return NULL;
}

static void
test_tls_swapping(tls_test *t)
{
	uint64_t end = cwn_now_ms() + test_soak_ms(5000);
	pthread_t threads[TLS_CLIENTS + 2];
	char error[256];
	int i, count = 0;

	t->tls = cwn_tls_create(0x0303, "ECDHE+AESGCM", 0, 3, NULL, 0, error, sizeof(error));
	CHECK(t->tls != NULL);
	CHECK_EQUAL(CWN_CERTIFICATE_SET, tls_set(t->tls, &t->first, NULL, &t->first_key, error, sizeof(error)));
	tls_start(t);
	for (i = 0; i < TLS_CLIENTS; i++) {
		CHECK_EQUAL(0, pthread_create(&threads[count++], NULL, tls_client, t));
	}
	for (i = 0; i < 2; i++) {
		CHECK_EQUAL(0, pthread_create(&threads[count++], NULL, tls_swapper, t));
	}
	/* until each certificate was met often, however slow the machine */
	while ((cwn_now_ms() < end) || (atomic_load(&t->handshakes[0]) < 20) || (atomic_load(&t->handshakes[1]) < 20)) {
		CHECK_STEP();
		mg_sleep(50);
	}
	atomic_store(&t->stop, true);
	for (i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
	}
	mg_stop(t->ctx);
	CHECK_EQUAL(2, cwn_tls_count());
	cwn_tls_release(t->tls);
	CHECK_EQUAL(0, cwn_tls_count());
	printf("tls: %lld handshakes with the first certificate, %lld with the second, %lld swaps\n",
	       (long long)atomic_load(&t->handshakes[0]),
	       (long long)atomic_load(&t->handshakes[1]),
	       (long long)atomic_load(&t->swaps));
}

/* The client's name for the server, with or without a certificate of its own. */
static void
tls_visit(tls_test *t, const tls_der *own, const tls_der *own_key, char *name, size_t name_size)
{
	SSL_CTX *client = SSL_CTX_new(TLS_client_method());
	CHECK(client != NULL);
	if (own != NULL) {
		const unsigned char *p = own->data, *q = own_key->data;
		X509 *certificate = d2i_X509(NULL, &p, (long)own->size);
		EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &q, (long)own_key->size);
		CHECK_EQUAL(1, SSL_CTX_use_cert_and_key(client, certificate, key, NULL, 1));
		X509_free(certificate);
		EVP_PKEY_free(key);
	}
	atomic_store(&t->last_client_size, -1);
	tls_connect(t, client, name, name_size);
	SSL_CTX_free(client);
}

static void
test_tls_clients(tls_test *t, int wanted)
{
	char error[256], name[64];

	/* issuer is no root: what is listed is trusted all the same */
	t->tls = cwn_tls_create(0x0303, "HIGH", wanted, 3, t->issuer.data, t->issuer.size, error, sizeof(error));
	CHECK(t->tls != NULL);
	CHECK_EQUAL(CWN_CERTIFICATE_SET, tls_set(t->tls, &t->second, &t->issuer, &t->second_key, error, sizeof(error)));
	tls_start(t);
	tls_visit(t, &t->client, &t->client_key, name, sizeof(name));
	CHECK(strcmp(name, "/CN=second") == 0);
	CHECK_EQUAL(t->client.size, atomic_load(&t->last_client_size));
	/* one of its own making, which the system trusts: refused in either mode */
	tls_visit(t, &t->first, &t->first_key, name, sizeof(name));
	CHECK(name[0] == 0);
	tls_visit(t, NULL, NULL, name, sizeof(name));
	if (wanted == CWN_CLIENT_CERTIFICATES_REQUIRED) {
		CHECK(name[0] == 0);
		CHECK_EQUAL(-1, atomic_load(&t->last_client_size));
	} else {
		CHECK(strcmp(name, "/CN=second") == 0);
		CHECK_EQUAL(0, atomic_load(&t->last_client_size));
	}
	mg_stop(t->ctx);
	cwn_tls_release(t->tls);
	CHECK_EQUAL(0, cwn_tls_count());
}

/* What the server's SSL_CTX is told; OpenSSL's numbers. */
static void
test_tls_options(tls_test *t)
{
	enum {
		MODE = 33,
		GET_MIN_PROTO_VERSION = 130,
		OP_NO_EXTENDED_MASTER_SECRET = 0x1,
		OP_CLEANSE_PLAINTEXT = 0x2,
		OP_LEGACY_SERVER_CONNECT = 0x4,
		OP_ENABLE_KTLS = 0x8,
		OP_ALLOW_CLIENT_RENEGOTIATION = 0x100,
		OP_DISABLE_TLSEXT_CA_NAMES = 0x200
	};
	const uint64_t mistaken = OP_NO_EXTENDED_MASTER_SECRET | OP_CLEANSE_PLAINTEXT | OP_LEGACY_SERVER_CONNECT
	                          | OP_ENABLE_KTLS | OP_ALLOW_CLIENT_RENEGOTIATION | OP_DISABLE_TLSEXT_CA_NAMES;
	static const int versions[] = {0x0303, 0x0304};
	char error[256];
	size_t i;
	for (i = 0; i < 2; i++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
		cwn_tls *tls = cwn_tls_create(versions[i], "HIGH", 0, 3, NULL, 0, error, sizeof(error));
		CHECK((ctx != NULL) && (tls != NULL));
		SSL_CTX_set_options(ctx, (uint32_t)(mistaken | 0x20)); /* as CivetWeb, and more */
		CHECK_EQUAL(1, cwn_tls_attach(tls, ctx, error, sizeof(error)));
		/* clearing nothing tells what is set */
		CHECK_EQUAL(0, cwn_ssl_clear_options(ctx, 0) & mistaken);
		CHECK_EQUAL(versions[i], SSL_CTX_ctrl(ctx, GET_MIN_PROTO_VERSION, 0, NULL));
		CHECK((SSL_CTX_ctrl(ctx, MODE, 0, NULL) & 0x8) != 0); /* no guessed chains */
		SSL_CTX_free(ctx);
		cwn_tls_release(tls);
	}
	CHECK_EQUAL(0, cwn_tls_count());
	(void)t;
}

/* A handshake that has begun keeps its certificate, whatever is set meanwhile. */
static void
test_tls_reference(tls_test *t)
{
	char error[256];
	cwn_certificate *certificate;
	cwn_tls *tls = cwn_tls_create(0x0303, "HIGH", 0, 3, NULL, 0, error, sizeof(error));
	CHECK(tls != NULL);
	CHECK(cwn_tls_current(tls) == NULL);
	CHECK_EQUAL(CWN_CERTIFICATE_SET, tls_set(tls, &t->first, NULL, &t->first_key, error, sizeof(error)));
	certificate = cwn_tls_current(tls);
	CHECK_EQUAL(2, atomic_load(&certificate->references));
	CHECK_EQUAL(CWN_CERTIFICATE_SET, tls_set(tls, &t->second, &t->issuer, &t->second_key, error, sizeof(error)));
	CHECK_EQUAL(3, cwn_tls_count());
	CHECK_EQUAL(1, atomic_load(&certificate->references));
	CHECK_EQUAL(1, X509_check_private_key(certificate->leaf, certificate->key));
	cwn_certificate_release(certificate);
	CHECK_EQUAL(2, cwn_tls_count());
	CHECK_EQUAL(1, atomic_load(&tls->current->references));
	cwn_tls_release(tls);
	CHECK_EQUAL(0, cwn_tls_count());
}

/* Makes first an authority of the system, as far as OpenSSL can tell. */
static void
tls_trust_first(const char *path)
{
	FILE *file = fopen(path, "w");
	size_t i, size = strlen(tls_first);
	CHECK(file != NULL);
	CHECK(fputs("-----BEGIN CERTIFICATE-----\n", file) >= 0);
	for (i = 0; i < size; i += 64) {
		CHECK(fprintf(file, "%.64s\n", tls_first + i) > 0);
	}
	CHECK(fputs("-----END CERTIFICATE-----\n", file) >= 0);
	CHECK_EQUAL(0, fclose(file));
	test_set_variable("SSL_CERT_FILE", path);
}

static void
tls_decode_all(tls_test *t)
{
	t->first = tls_decode(tls_first);
	t->first_key = tls_decode(tls_first_key);
	t->second = tls_decode(tls_second);
	t->second_key = tls_decode(tls_second_key);
	t->issuer = tls_decode(tls_issuer);
	t->client = tls_decode(tls_client_certificate);
	t->client_key = tls_decode(tls_client_key);
}

static void
test_tls(void)
{
	static tls_test t;
	char path[300];
	if (cwn_init((unsigned)MG_FEATURES_TLS) == 0) {
		test_skipped = TLS_MISSING;
		return;
	}
	tls_decode_all(&t);
	CHECK_EQUAL(0, cwn_peer_certificate(NULL, NULL, 0));
	test_tls_refusals(&t);
	test_tls_options(&t);
	test_tls_reference(&t);
	test_tls_swapping(&t);
	test_temporary_file(path, sizeof(path));
	tls_trust_first(path);
	test_tls_clients(&t, CWN_CLIENT_CERTIFICATES_OPTIONAL);
	test_tls_clients(&t, CWN_CLIENT_CERTIFICATES_REQUIRED);
	(void)remove(path);
}
