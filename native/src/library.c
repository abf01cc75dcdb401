/* Starting the library, and what its stop leaves open. */

#define SHA_API static
#include "sha1.inl"

/* With OPENSSL_API_3_0 and OpenSSL loaded at run time, CivetWeb's handshake
 * takes SHA-1 from its table of OpenSSL functions, which is empty until TLS is
 * initialised: a plain ws:// upgrade would call NULL. These two stand in. */
static const EVP_MD *
cwn_get_digestbyname(const char *name)
{
	(void)name;
	return NULL;
}

static int
cwn_digest(const void *data,
           size_t size,
           void *digest,
           unsigned int *digest_size,
           const EVP_MD *type,
           void *engine)
{
	SHA_CTX sha;
	(void)type;
	(void)engine;
	SHA1_Init(&sha);
	SHA1_Update(&sha, (const uint8_t *)data, (uint32_t)size);
	SHA1_Final((unsigned char *)digest, &sha);
	if (digest_size != NULL) {
		*digest_size = 20;
	}
	return 1;
}

static void
cwn_provide(const char *name, void (*function)(void))
{
	struct ssl_func *entry;
	for (entry = crypto_sw; entry->name != NULL; entry++) {
		if ((strcmp(entry->name, name) == 0) && (entry->ptr == NULL)) {
			entry->ptr = function;
		}
	}
}

CWN_API int
cwn_init(unsigned features)
{
	static enum { UNTRIED, LOADED, MISSING } tls = UNTRIED;
	static bool ready;
	int result = 1;

	if (!ready) {
		/* Returns 0 although it worked when no feature is asked for. */
		(void)mg_init_library(0);
		if ((mg_init_library_called <= 0) || !cwn_wake_prepare()) {
			return 0;
		}
		cwn_held_prepare();
		ready = true;
	}
	if ((features & (unsigned)MG_FEATURES_TLS) != 0) {
		/* Never tried twice: after a failure mg_init_library would claim
		 * success and the first client would crash the process. */
		if (tls == UNTRIED) {
			tls = (cwn_tls_prepare()
			       && ((mg_init_library((unsigned)MG_FEATURES_TLS)
			            & (unsigned)MG_FEATURES_TLS)
			           != 0)
			       && cwn_tls_load())
			          ? LOADED
			          : MISSING;
		}
		result = (tls == LOADED) ? 1 : 0;
	}
	if (tls != LOADED) {
		cwn_provide("EVP_get_digestbyname", (void (*)(void))cwn_get_digestbyname);
		cwn_provide("EVP_Digest", (void (*)(void))cwn_digest);
	}
	return result;
}

CWN_API void
cwn_context_drain(struct mg_context *ctx)
{
	unsigned i;
	if (ctx == NULL) {
		return;
	}
	/* Every thread has ended by now; mg_stop would only forget these. */
	while ((ctx->squeue != NULL) && (ctx->sq_tail < ctx->sq_head)) {
		closesocket(ctx->squeue[ctx->sq_tail % ctx->sq_size].sock);
		ctx->sq_tail++;
	}
	/* Nor does consume_socket close what a worker has taken from the queue when
	 * it finds the server stopping. A worker that never had a connection holds
	 * zeros, not a descriptor 0: no socket has an address family of 0. */
	for (i = 0; (ctx->worker_connections != NULL) && (i < ctx->cfg_worker_threads); i++) {
		struct socket *client = &ctx->worker_connections[i].client;
		if ((client->sock != INVALID_SOCKET) && (client->lsa.sa.sa_family != 0)) {
			closesocket(client->sock);
			client->sock = INVALID_SOCKET;
		}
	}
}
