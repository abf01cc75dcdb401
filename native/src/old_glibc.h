/* Built with a new glibc, the library still loads with one as old as 2.28: what
 * later versions have moved or renamed is asked for under its old name. The test
 * "requirements" says when something is missing here. */
#ifndef CWN_OLD_GLIBC_H
#define CWN_OLD_GLIBC_H

#if defined(CWN_OLD_GLIBC) && defined(__GLIBC__)                               \
    && (defined(__x86_64__) || defined(__aarch64__))

/* The version of everything that was there when glibc came to the platform, and
 * what its stat functions have for the layout of struct stat. */
#if defined(__x86_64__)
#define CWN_GLIBC_BASE "GLIBC_2.2.5"
#define CWN_GLIBC_2_7 "GLIBC_2.7"
#define CWN_GLIBC_2_12 "GLIBC_2.12"
#define CWN_GLIBC_STAT_VERSION 1
#else
#define CWN_GLIBC_BASE "GLIBC_2.17"
#define CWN_GLIBC_2_7 CWN_GLIBC_BASE
#define CWN_GLIBC_2_12 CWN_GLIBC_BASE
#define CWN_GLIBC_STAT_VERSION 0
#endif

#define CWN_BIND(name, old_name, version)                                      \
	__asm__(".symver " #name "," #old_name "@" version)

/* In libpthread and libdl until 2.34, which the library therefore names. */
CWN_BIND(pthread_create, pthread_create, CWN_GLIBC_BASE);
CWN_BIND(pthread_detach, pthread_detach, CWN_GLIBC_BASE);
CWN_BIND(pthread_attr_getstack, pthread_attr_getstack, CWN_GLIBC_BASE);
CWN_BIND(pthread_getattr_np, pthread_getattr_np, CWN_GLIBC_BASE);
CWN_BIND(pthread_getspecific, pthread_getspecific, CWN_GLIBC_BASE);
CWN_BIND(pthread_join, pthread_join, CWN_GLIBC_BASE);
CWN_BIND(pthread_key_create, pthread_key_create, CWN_GLIBC_BASE);
CWN_BIND(pthread_key_delete, pthread_key_delete, CWN_GLIBC_BASE);
CWN_BIND(pthread_kill, pthread_kill, CWN_GLIBC_BASE);
CWN_BIND(pthread_mutex_trylock, pthread_mutex_trylock, CWN_GLIBC_BASE);
CWN_BIND(pthread_mutexattr_destroy, pthread_mutexattr_destroy, CWN_GLIBC_BASE);
CWN_BIND(pthread_mutexattr_init, pthread_mutexattr_init, CWN_GLIBC_BASE);
CWN_BIND(pthread_mutexattr_settype, pthread_mutexattr_settype, CWN_GLIBC_BASE);
CWN_BIND(pthread_setname_np, pthread_setname_np, CWN_GLIBC_2_12);
CWN_BIND(pthread_setspecific, pthread_setspecific, CWN_GLIBC_BASE);
CWN_BIND(pthread_sigmask, pthread_sigmask, CWN_GLIBC_BASE);
CWN_BIND(dlclose, dlclose, CWN_GLIBC_BASE);
CWN_BIND(dlopen, dlopen, CWN_GLIBC_BASE);
CWN_BIND(dlsym, dlsym, CWN_GLIBC_BASE);

/* The names of 2.38, which also read C23's binary numbers. */
CWN_BIND(__isoc23_sscanf, __isoc99_sscanf, CWN_GLIBC_2_7);
CWN_BIND(__isoc23_strtol, strtol, CWN_GLIBC_BASE);
CWN_BIND(__isoc23_strtoll, strtoll, CWN_GLIBC_BASE);
CWN_BIND(__isoc23_strtoul, strtoul, CWN_GLIBC_BASE);
CWN_BIND(__isoc23_strtoull, strtoull, CWN_GLIBC_BASE);

/* Inline functions of the headers until 2.33, around these. */
CWN_BIND(__xstat64, __xstat64, CWN_GLIBC_BASE);
CWN_BIND(__lxstat64, __lxstat64, CWN_GLIBC_BASE);
int __xstat64(int version, const char *path, struct stat *info);
int __lxstat64(int version, const char *path, struct stat *info);

/* What the headers make of stat and lstat: the library's own from here on. */
__attribute__((visibility("hidden"))) int cwn_stat(const char *path, struct stat *info) __asm__("stat64");
__attribute__((visibility("hidden"))) int cwn_lstat(const char *path, struct stat *info) __asm__("lstat64");

int
cwn_stat(const char *path, struct stat *info)
{
	return __xstat64(CWN_GLIBC_STAT_VERSION, path, info);
}

int
cwn_lstat(const char *path, struct stat *info)
{
	return __lxstat64(CWN_GLIBC_STAT_VERSION, path, info);
}

#endif
#endif
