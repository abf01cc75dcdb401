/* Certificates and keys for the tests of TLS, and what is refused of them. */

/* Certificates and keys of the P-256 curve in DER and base64, made with openssl
 * for these tests alone; they expire in a hundred years. first is self-signed,
 * issuer has signed second and client. */
static const char tls_first[] =
    "MIIBdjCCAR2gAwIBAgIUY/XYDbgJLRE02g56qI6CtNqnxnYwCgYIKoZIzj0EAwIwEDEOMAwGA1UE"
    "AwwFZmlyc3QwIBcNMjYxMTIzMDUwOTI4WhgPMjEyNjEwMzAwNTA5MjhaMBAxDjAMBgNVBAMMBWZp"
    "cnN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQS0Ufe4chCeRi4aMjLKoFHhEqZs7uVdhsPSd"
    "FwmAiJ8aBZbbuMGdUKAImloA79mfma7hUuxvrKJgpXzqrRNmqKNTMFEwHQYDVR0OBBYEFPs99s7F"
    "0Y/ZHQe2sX0UZ6R8ntoTMB8GA1UdIwQYMBaAFPs99s7F0Y/ZHQe2sX0UZ6R8ntoTMA8GA1UdEwEB"
    "/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgdBLEKA7686WEjAd8HbMN1ex9HcHiOW5ig/Tuhs1x"
    "BpYCIHBOTIGOTiV7LsukcJ7vLCYgUu9p8DS8LcEYBBQAiDij";
static const char tls_second[] =
    "MIIBczCCARmgAwIBAgIUL5Dnz18NKJUnhRNwFlEAM5kKVuEwCgYIKoZIzj0EAwIwETEPMA0GA1UE"
    "AwwGaXNzdWVyMCAXDTI2MTEyMzA1MDkyOFoYDzIxMjYxMDMwMDUwOTI4WjARMQ8wDQYDVQQDDAZz"
    "ZWNvbmQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQz0xqd04o3cGK4pHAd4XCEXza+wRbYLvLV"
    "R5ecpI6Rf6cme/+WWAO69qotuMWexgmFNsvH4v4sKqu0l50hcVz+o00wSzAJBgNVHRMEAjAAMB0G"
    "A1UdDgQWBBRFT9KRKsJTV2jp+6/5g384lPKLMjAfBgNVHSMEGDAWgBTiGiPPThRRu26Mgj3GQ4FI"
    "Qv4WoTAKBggqhkjOPQQDAgNIADBFAiBAuStZ9JLNI9AxVRzpcbHz/NO3an/BnBHgKsDaWkKXqAIh"
    "AKjPHhkK69eLdl2BckIV7j4I7lNyo7p7q8YdfT+y4HeC";
static const char tls_issuer[] =
    "MIIBeDCCAR2gAwIBAgIUBWF+DTaWnjQUIigyVZsYUY1yGnUwCgYIKoZIzj0EAwIwDzENMAsGA1UE"
    "AwwEcm9vdDAgFw0yNjExMjMwNTA5MjhaGA8yMTI2MTAzMDA1MDkyOFowETEPMA0GA1UEAwwGaXNz"
    "dWVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEs1HOSOoLx4T5rS/YT9Rb9UEY9ddXzuufiCrr"
    "comt+4ivCVyH5FigMBw811HzzL98hK39UpoYCGto3Zh2FCSN8qNTMFEwDwYDVR0TAQH/BAUwAwEB"
    "/zAdBgNVHQ4EFgQU4hojz04UUbtujII9xkOBSEL+FqEwHwYDVR0jBBgwFoAUgqz2F9VMVRd6TaFL"
    "aQ0gIChHLycwCgYIKoZIzj0EAwIDSQAwRgIhAKGIUrUeKFLn0QeVxlFi6AceE8hcWEdcp5FnkS6o"
    "kqAQAiEA+e8BJ72mQ0tBsY2st9WRbCkg8Hu7wZb89UQyV8anw7c=";
static const char tls_client_certificate[] =
    "MIIBfTCCASOgAwIBAgIUL5Dnz18NKJUnhRNwFlEAM5kKVuIwCgYIKoZIzj0EAwIwETEPMA0GA1UE"
    "AwwGaXNzdWVyMCAXDTI2MTEyMzA1MDkyOFoYDzIxMjYxMDMwMDUwOTI4WjARMQ8wDQYDVQQDDAZj"
    "bGllbnQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARdv07R+XmEsODmwu/qbGTQe969wQqvpog7"
    "RV/TAzCBeeg3cIVe/Mzr+8bGbAeEn5pvIbcWhDHg6J7DXNBp4jG8o1cwVTATBgNVHSUEDDAKBggr"
    "BgEFBQcDAjAdBgNVHQ4EFgQUnbY5xEpI5NDXlcJr9evsyCieAN4wHwYDVR0jBBgwFoAU4hojz04U"
    "UbtujII9xkOBSEL+FqEwCgYIKoZIzj0EAwIDSAAwRQIhANLT5EPaBp33XjvKONldo279hv5m7jLK"
    "+OMLDP6OH5zPAiBsTzwPmwJg0hEbzqEMNOfLcCYOK5SZ/brBZK8jTDhHug==";
static const char tls_first_key[] =
    "MHcCAQEEIAm8MmkS9WX/ZrE+mwYXjNkXoyayECTY1H3zxx37k8rxoAoGCCqGSM49AwEHoUQDQgAE"
    "QS0Ufe4chCeRi4aMjLKoFHhEqZs7uVdhsPSdFwmAiJ8aBZbbuMGdUKAImloA79mfma7hUuxvrKJg"
    "pXzqrRNmqA==";
static const char tls_second_key[] =
    "MHcCAQEEIDy1BkAOkUtZTfFOXjnMeYX4ciArXstYLOmsO8E6y36QoAoGCCqGSM49AwEHoUQDQgAE"
    "M9MandOKN3BiuKRwHeFwhF82vsEW2C7y1UeXnKSOkX+nJnv/llgDuvaqLbjFnsYJhTbLx+L+LCqr"
    "tJedIXFc/g==";
static const char tls_client_key[] =
    "MHcCAQEEILvvtd2xXLGTCcOVlsRv6HXaPpKjE6CEubQII6QvnrF1oAoGCCqGSM49AwEHoUQDQgAE"
    "Xb9O0fl5hLDg5sLv6mxk0HvevcEKr6aIO0Vf0wMwgXnoN3CFXvzM6/vGxmwHhJ+abyG3FoQx4Oie"
    "w1zQaeIxvA==";
static const char tls_first_key_encrypted[] =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiAWgJQetWNHgICCAAw\n"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEH9531Ge332R7Bk0w6DpVboEgZBo\n"
    "AhFxv2I9ARBG1WYi0CsSZUlauTM6UlHQsGUO6lKVgyw/TqoaF+29FoIHN6X64iHP\n"
    "lvHP0Y1R6WJBD1SuvQrgbKqejqMay+zax/MCPfxjdDgr7xp3uhuFT3b0cgQgrjsR\n"
    "Yetd0wV+CflMfJ2xG3nbo5SxZITfDfI8Rlz0mhF6OaRdQEazYe7glmFaWjobtWg=\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";
static const char tls_first_key_traditional[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "Proc-Type: 4,ENCRYPTED\n"
    "DEK-Info: AES-128-CBC,F77581D99347D23E682F1ED0AE47587B\n"
    "\n"
    "CLDYhI/C5Q9lcEABERJEccbQKVovagLgiD+9T1VGDfp73cjdI66chcYZc9tFC+D7\n"
    "uw7MTdy3xO3bWtHOmdaAJkrFBDdQ0zqX20VYCofe92BawK3Um6AQB0oWeuEofo2R\n"
    "OZW+Oc67wxKkIIGnHp4YziHUrvNvoDtyZzjajD0g+iI=\n"
    "-----END EC PRIVATE KEY-----\n";

#define TLS_MISSING "no " SSL_LIB " can be loaded"

enum { TLS_CLIENTS = 4, TLS_DER_SIZE = 1024 };

typedef struct tls_der {
	unsigned char data[TLS_DER_SIZE];
	size_t size;
} tls_der;

typedef struct tls_test {
	cwn_tls *tls;
	struct mg_context *ctx;
	int port;
	tls_der first, first_key, second, second_key, issuer, client, client_key;
	atomic_bool stop;
	atomic_llong handshakes[2]; /* with first, with second */
	atomic_llong swaps;
	atomic_int last_client_size; /* what cwn_peer_certificate said in the last request */
} tls_test;

static tls_der
tls_decode(const char *base64)
{
	tls_der der;
	der.size = sizeof(der.data);
	CHECK_EQUAL(-1, mg_base64_decode(base64, strlen(base64), der.data, &der.size));
	/* mg_base64_decode counts the padding; without padding it counts a NUL */
	der.size = 4u + (((size_t)der.data[2] << 8) | der.data[3]);
	if (der.data[1] == 0x81) {
		der.size = 3u + der.data[2];
	}
	CHECK(der.data[0] == 0x30);
	return der;
}

static int
tls_set(cwn_tls *tls, const tls_der *leaf, const tls_der *chain, const tls_der *key, char *error, size_t error_size)
{
	error[0] = 0;
	return cwn_tls_set_certificate(tls,
	                               leaf->data,
	                               leaf->size,
	                               (chain != NULL) ? chain->data : NULL,
	                               (chain != NULL) ? chain->size : 0,
	                               key->data,
	                               key->size,
	                               NULL,
	                               error,
	                               error_size);
}

static void
test_tls_refusals(tls_test *t)
{
	char error[256] = "";
	tls_der garbage = {{1, 2, 3}, 3};
	cwn_tls *tls;
	const char *encrypted[] = {tls_first_key_encrypted, tls_first_key_traditional};
	size_t i;

	CHECK(cwn_tls_create(0x0303, "NO-SUCH-CIPHER", 0, 3, NULL, 0, error, sizeof(error)) == NULL);
	CHECK(strcmp(error, "the cipher list: no cipher match") == 0);
	CHECK(cwn_tls_create(0x0303, "HIGH", 1, 3, garbage.data, garbage.size, error, sizeof(error)) == NULL);
	CHECK(strstr(error, "the authorities: ") == error);
	CHECK(cwn_tls_create(1, "HIGH", 0, 3, NULL, 0, error, sizeof(error)) == NULL);
	CHECK(strstr(error, "the minimum version: ") == error);
	CHECK_EQUAL(0, cwn_tls_count());

	tls = cwn_tls_create(0x0303, "HIGH", 0, 3, NULL, 0, error, sizeof(error));
	CHECK(tls != NULL);
	CHECK_EQUAL(CWN_CERTIFICATE_SET, tls_set(tls, &t->first, NULL, &t->first_key, error, sizeof(error)));
	CHECK_EQUAL(2, cwn_tls_count());
	CHECK_EQUAL(CWN_CERTIFICATE_KEY_MISMATCH, tls_set(tls, &t->first, NULL, &t->second_key, error, sizeof(error)));
	CHECK(strcmp(error, "the private key: key values mismatch") == 0);
	CHECK_EQUAL(CWN_CERTIFICATE_REFUSED, tls_set(tls, &garbage, NULL, &t->first_key, error, sizeof(error)));
	CHECK_EQUAL(CWN_CERTIFICATE_REFUSED, tls_set(tls, &t->first, &garbage, &t->first_key, error, sizeof(error)));
	CHECK(strstr(error, "the certificate: ") == error);
	CHECK_EQUAL(CWN_CERTIFICATE_KEY_UNREADABLE, tls_set(tls, &t->first, NULL, &garbage, error, sizeof(error)));
	CHECK(strstr(error, "the private key: ") == error);
	for (i = 0; i < sizeof(encrypted) / sizeof(encrypted[0]); i++) {
		const unsigned char *pem = (const unsigned char *)encrypted[i];
		const unsigned char *leaf = t->first.data;
		size_t size = strlen(encrypted[i]);
		CHECK_EQUAL(CWN_CERTIFICATE_SET,
		            cwn_tls_set_certificate(
		                tls, leaf, t->first.size, NULL, 0, pem, size, "secret", error, sizeof(error)));
		CHECK_EQUAL(CWN_CERTIFICATE_KEY_UNREADABLE,
		            cwn_tls_set_certificate(
		                tls, leaf, t->first.size, NULL, 0, pem, size, "wrong", error, sizeof(error)));
		/* and without a password nobody is asked for one */
		CHECK_EQUAL(CWN_CERTIFICATE_KEY_UNREADABLE,
		            cwn_tls_set_certificate(tls, leaf, t->first.size, NULL, 0, pem, size, "", error, sizeof(error)));
	}
	/* the certificates that were refused are gone, the last good one is not */
	CHECK_EQUAL(2, cwn_tls_count());
	cwn_tls_release(tls);
	CHECK_EQUAL(0, cwn_tls_count());
}
