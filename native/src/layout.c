/* What the binding compares with its own structs when it loads the library. */

CWN_API uint32_t
cwn_abi_version(void)
{
	return CWN_ABI_VERSION;
}

CWN_API const char *
cwn_build_info(void)
{
	return "CivetWeb " CIVETWEB_VERSION "; WebSocket, IPv6, "
#if defined(USE_X_DOM_SOCKET)
	       "Unix domain sockets, "
#endif
	       "TLS by OpenSSL 3 at run time; no CGI"
#if defined(__VERSION__)
	       "; compiler " __VERSION__
#endif
	    ;
}

CWN_API uint32_t
cwn_layout(uint32_t *values, uint32_t count)
{
	static const uint32_t sizes[] = {
	    (uint32_t)sizeof(void *),
	    (uint32_t)sizeof(struct mg_request_info),
	    (uint32_t)sizeof(struct mg_callbacks),
	    (uint32_t)sizeof(struct mg_init_data),
	    (uint32_t)sizeof(struct mg_error_data),
	    (uint32_t)sizeof(struct mg_server_port),
	    (uint32_t)sizeof(struct mg_option),
	    (uint32_t)sizeof(struct mg_client_cert),
	    (uint32_t)sizeof(cwn_session_options),
	    (uint32_t)sizeof(cwn_session_info),
	};
	uint32_t available = (uint32_t)(sizeof(sizes) / sizeof(sizes[0]));
	uint32_t i;
	for (i = 0; (values != NULL) && (i < count) && (i < available); i++) {
		values[i] = sizes[i];
	}
	return available;
}
