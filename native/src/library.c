/* Starting the library; starting and stopping servers where CivetWeb leaves something open. */

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
		cwn_sender_prepare();
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

CWN_API uint32_t
cwn_context_threads(const struct mg_context *ctx)
{
	uint32_t count = 0;
	unsigned i;
	for (i = 0; i < ctx->cfg_worker_threads; i++) {
		count += (ctx->worker_threadids[i] != 0) ? 1u : 0u;
	}
	return count + ((ctx->masterthreadid != 0) ? 1u : 0u);
}

CWN_API void
cwn_stop(struct mg_context *ctx)
{
	unsigned i;
	if (ctx->masterthreadid != 0) {
		mg_stop(ctx);
		return;
	}
	/* mg_start2 does not notice when the master thread cannot be started, and mg_stop
	 * then does nothing. This is what the master thread does at its end. */
	STOP_FLAG_ASSIGN(&ctx->stop_flag, 1);
	close_all_listening_sockets(ctx);
	(void)pthread_mutex_lock(&ctx->thread_mutex);
	(void)pthread_cond_broadcast(&ctx->sq_full);
	(void)pthread_mutex_unlock(&ctx->thread_mutex);
	for (i = 0; i < ctx->cfg_worker_threads; i++) {
		if (ctx->worker_threadids[i] != 0) {
			(void)mg_join_thread(ctx->worker_threadids[i]);
		}
	}
	free_context(ctx);
}

#if defined(_WIN32)
static unsigned __stdcall
#else
static void *
#endif
cwn_wait_for_gate(void *gate)
{
	(void)pthread_mutex_lock((pthread_mutex_t *)gate);
	(void)pthread_mutex_unlock((pthread_mutex_t *)gate);
	return 0;
}

CWN_API uint32_t
cwn_try_threads(uint32_t count)
{
	enum { MAX_THREADS = 256 };
	pthread_t threads[MAX_THREADS];
	pthread_mutex_t gate;
	uint32_t made = 0, i;

	if (count > MAX_THREADS) {
		count = MAX_THREADS;
	}
	if (pthread_mutex_init(&gate, &pthread_mutex_attr) != 0) {
		return 0;
	}
	/* All at once: each waits for the last. */
	(void)pthread_mutex_lock(&gate);
	while ((made < count)
	       && (mg_start_thread_with_id(cwn_wait_for_gate, &gate, &threads[made]) == 0)) {
		made++;
	}
	(void)pthread_mutex_unlock(&gate);
	for (i = 0; i < made; i++) {
		(void)mg_join_thread(threads[i]);
	}
	(void)pthread_mutex_destroy(&gate);
	return made;
}

CWN_API int
cwn_clients_wait(struct mg_context *ctx)
{
	int wait;
	(void)pthread_mutex_lock(&ctx->thread_mutex);
	wait = (ctx->sq_head != ctx->sq_tail) ? 1 : 0;
	(void)pthread_mutex_unlock(&ctx->thread_mutex);
	return wait;
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
