/* What CivetWeb's own tables of OpenSSL functions lack, and when they are loaded.
 * No header of OpenSSL is needed to build: prototypes and numbers are those of version 3. */

typedef struct evp_pkey EVP_PKEY;
typedef struct x509_store X509_STORE;
typedef struct bio BIO;
typedef struct cwn_x509_stack cwn_x509_stack; /* STACK_OF(X509) */

static struct ssl_func cwn_ssl_sw[] = {
    {"SSL_CTX_set_cert_cb", TLS_Mandatory, NULL},
    {"SSL_use_cert_and_key", TLS_Mandatory, NULL},
    {"SSL_CTX_use_cert_and_key", TLS_Mandatory, NULL},
    {"SSL_CTX_add_client_CA", TLS_Mandatory, NULL},
    {"SSL_CTX_clear_options", TLS_Mandatory, NULL},
    {NULL, TLS_END_OF_LIST, NULL}};

static struct ssl_func cwn_crypto_sw[] = {
    {"d2i_X509", TLS_Mandatory, NULL},
    {"d2i_AutoPrivateKey", TLS_Mandatory, NULL},
    {"EVP_PKEY_free", TLS_Mandatory, NULL},
    {"OPENSSL_sk_new_null", TLS_Mandatory, NULL},
    {"OPENSSL_sk_push", TLS_Mandatory, NULL},
    {"OPENSSL_sk_pop_free", TLS_Mandatory, NULL},
    {"OPENSSL_sk_num", TLS_Mandatory, NULL},
    {"OPENSSL_sk_value", TLS_Mandatory, NULL},
    {"X509_STORE_new", TLS_Mandatory, NULL},
    {"X509_STORE_free", TLS_Mandatory, NULL},
    {"X509_STORE_add_cert", TLS_Mandatory, NULL},
    {"X509_STORE_set_flags", TLS_Mandatory, NULL},
    {"BIO_new_mem_buf", TLS_Mandatory, NULL},
    {"BIO_free", TLS_Mandatory, NULL},
    {"PEM_read_bio_PrivateKey", TLS_Mandatory, NULL},
    {"ERR_reason_error_string", TLS_Mandatory, NULL},
    {"X509_check_private_key", TLS_Mandatory, NULL},
    {NULL, TLS_END_OF_LIST, NULL}};

static struct ssl_func cwn_init_sw[] = {{"OPENSSL_init_crypto", TLS_Mandatory, NULL},
                                        {NULL, TLS_END_OF_LIST, NULL}};

typedef int (*cwn_cert_cb)(SSL *ssl, void *arg);

#define SSL_CTX_set_cert_cb (*(void (*)(SSL_CTX *, cwn_cert_cb, void *))cwn_ssl_sw[0].ptr)
#define SSL_use_cert_and_key                                                   \
	(*(int (*)(SSL *, X509 *, EVP_PKEY *, cwn_x509_stack *, int))cwn_ssl_sw[1].ptr)
#define SSL_CTX_use_cert_and_key                                               \
	(*(int (*)(SSL_CTX *, X509 *, EVP_PKEY *, cwn_x509_stack *, int))cwn_ssl_sw[2].ptr)
#define SSL_CTX_add_client_CA (*(int (*)(SSL_CTX *, X509 *))cwn_ssl_sw[3].ptr)
/* CivetWeb's SSL_CTX_clear_options is a control command that OpenSSL 3 ignores. */
#define cwn_ssl_clear_options (*(uint64_t (*)(SSL_CTX *, uint64_t))cwn_ssl_sw[4].ptr)

#define d2i_X509 (*(X509 * (*)(X509 **, const unsigned char **, long)) cwn_crypto_sw[0].ptr)
#define d2i_AutoPrivateKey                                                     \
	(*(EVP_PKEY * (*)(EVP_PKEY **, const unsigned char **, long)) cwn_crypto_sw[1].ptr)
#define EVP_PKEY_free (*(void (*)(EVP_PKEY *))cwn_crypto_sw[2].ptr)
#define OPENSSL_sk_new_null (*(cwn_x509_stack * (*)(void)) cwn_crypto_sw[3].ptr)
#define OPENSSL_sk_push (*(int (*)(cwn_x509_stack *, const void *))cwn_crypto_sw[4].ptr)
#define OPENSSL_sk_pop_free                                                    \
	(*(void (*)(cwn_x509_stack *, void (*)(void *)))cwn_crypto_sw[5].ptr)
#define OPENSSL_sk_num (*(int (*)(const cwn_x509_stack *))cwn_crypto_sw[6].ptr)
#define OPENSSL_sk_value (*(void *(*)(const cwn_x509_stack *, int))cwn_crypto_sw[7].ptr)
#define X509_STORE_new (*(X509_STORE * (*)(void)) cwn_crypto_sw[8].ptr)
#define X509_STORE_free (*(void (*)(X509_STORE *))cwn_crypto_sw[9].ptr)
#define X509_STORE_add_cert (*(int (*)(X509_STORE *, X509 *))cwn_crypto_sw[10].ptr)
#define X509_STORE_set_flags (*(int (*)(X509_STORE *, unsigned long))cwn_crypto_sw[11].ptr)
#define BIO_new_mem_buf (*(BIO * (*)(const void *, int)) cwn_crypto_sw[12].ptr)
#define BIO_free (*(int (*)(BIO *))cwn_crypto_sw[13].ptr)
#define PEM_read_bio_PrivateKey                                                \
	(*(EVP_PKEY * (*)(BIO *, EVP_PKEY **, void *, void *)) cwn_crypto_sw[14].ptr)
#define ERR_reason_error_string (*(const char *(*)(unsigned long))cwn_crypto_sw[15].ptr)
#define X509_check_private_key (*(int (*)(const X509 *, const EVP_PKEY *))cwn_crypto_sw[16].ptr)

#define OPENSSL_init_crypto (*(int (*)(uint64_t, const void *))cwn_init_sw[0].ptr)

#define CWN_OPENSSL_INIT_NO_ATEXIT UINT64_C(0x00080000)

#define CWN_SSL_CTRL_SET_VERIFY_CERT_STORE 106
#define CWN_SSL_CTRL_SET_MIN_PROTO_VERSION 123
#define CWN_SSL_MODE_NO_AUTO_CHAIN 0x8L
/* CivetWeb sets SSL_OP_ALL as it was in OpenSSL 1.0. In 3 these bits of it mean:
 * no extended master secret (0x1), cleanse plaintext (0x2), legacy servers (0x4),
 * kernel TLS (0x8), renegotiation by clients (0x100), no names of authorities
 * (0x200); 0x20 means nothing. */
#define CWN_SSL_OP_MISTAKEN UINT64_C(0x32F)
#define CWN_X509_V_FLAG_PARTIAL_CHAIN 0x80000ul

/* Before CivetWeb loads and initialises OpenSSL. The first call decides: OpenSSL
 * must not clean up in exit() what threads that still serve are using. The end of
 * the process frees everything anyway; .NET asks for the same. */
static bool
cwn_tls_prepare(void)
{
	char error[128];
	return (load_tls_dll(error, sizeof(error), CRYPTO_LIB, cwn_init_sw, NULL) != NULL)
	       && (OPENSSL_init_crypto(CWN_OPENSSL_INIT_NO_ATEXIT, NULL) == 1);
}

/* Once, after CivetWeb has loaded both libraries: they stay loaded. */
static bool
cwn_tls_load(void)
{
	char error[128];
	return (load_tls_dll(error, sizeof(error), SSL_LIB, cwn_ssl_sw, NULL) != NULL)
	       && (load_tls_dll(error, sizeof(error), CRYPTO_LIB, cwn_crypto_sw, NULL) != NULL);
}
