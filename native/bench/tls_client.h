/* TLS of the load generator: OpenSSL 3, loaded at run time as the library does,
 * so that building needs no headers. */

#include <dlfcn.h>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

enum { TLS_WANT_READ = 2, TLS_WANT_WRITE = 3, TLS_ZERO_RETURN = 6 };

static struct {
	const void *(*TLS_client_method)(void);
	SSL_CTX *(*SSL_CTX_new)(const void *);
	long (*SSL_CTX_ctrl)(SSL_CTX *, int, long, void *);
	SSL *(*SSL_new)(SSL_CTX *);
	void (*SSL_free)(SSL *);
	int (*SSL_set_fd)(SSL *, int);
	int (*SSL_connect)(SSL *);
	int (*SSL_read)(SSL *, void *, int);
	int (*SSL_write)(SSL *, const void *, int);
	int (*SSL_get_error)(const SSL *, int);
	const char *(*SSL_get_version)(const SSL *);
	const void *(*SSL_get_current_cipher)(const SSL *);
	const char *(*SSL_CIPHER_get_name)(const void *);
	void (*ERR_clear_error)(void);
} tls;

/* A union, because C has no cast from an object's to a function's pointer. */
#define TLS_LOAD(name)                                                         \
	do {                                                                       \
		union {                                                                \
			void *object;                                                      \
			__typeof__(tls.name) function;                                     \
		} symbol;                                                              \
		symbol.object = dlsym(library, #name);                                 \
		if (symbol.object == NULL) {                                           \
			return NULL;                                                       \
		}                                                                      \
		tls.name = symbol.function;                                            \
	} while (0)

/* NULL without OpenSSL 3. The server's certificate is not looked at: it is the
 * benchmark's own, made a moment before. */
static SSL_CTX *
tls_load(void)
{
	enum { SET_MODE = 33, PARTIAL_WRITE = 1, MOVING_BUFFER = 2 };
	SSL_CTX *context;
	void *library = dlopen("libssl.so.3", RTLD_NOW | RTLD_GLOBAL);
	if (library == NULL) {
		return NULL;
	}
	TLS_LOAD(TLS_client_method);
	TLS_LOAD(SSL_CTX_new);
	TLS_LOAD(SSL_CTX_ctrl);
	TLS_LOAD(SSL_new);
	TLS_LOAD(SSL_free);
	TLS_LOAD(SSL_set_fd);
	TLS_LOAD(SSL_connect);
	TLS_LOAD(SSL_read);
	TLS_LOAD(SSL_write);
	TLS_LOAD(SSL_get_error);
	TLS_LOAD(SSL_get_version);
	TLS_LOAD(SSL_get_current_cipher);
	TLS_LOAD(SSL_CIPHER_get_name);
	TLS_LOAD(ERR_clear_error);
	context = tls.SSL_CTX_new(tls.TLS_client_method());
	if (context != NULL) {
		(void)tls.SSL_CTX_ctrl(context, SET_MODE, PARTIAL_WRITE | MOVING_BUFFER, NULL);
	}
	return context;
}
