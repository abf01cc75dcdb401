/*
 * What Debian's libstdc++ and libgcc_s, made for glibc, ask of the C library and musl does not have. With it, .NET's own
 * runtime for musl runs on a Debian with the package musl: enough to see that the package's library for linux-musl-x64
 * works in .NET. For this check only; a distribution of musl has a libstdc++ of its own. See docs/packaging.md.
 */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Never single-threaded: reference counts are always atomic. */
char __libc_single_threaded = 0;

/* libgcc_s keeps its own versions of these two hidden where musl does not look. */
unsigned __cpu_model[4];

int
__cpu_indicator_init(void)
{
	return 0;
}

unsigned
arc4random(void)
{
	unsigned value = 0;
	(void)!getrandom(&value, sizeof(value), 0);
	return value;
}

size_t
__strftime_l(char *text, size_t size, const char *format, const struct tm *time, locale_t locale)
{
	return strftime_l(text, size, format, time, locale);
}

/* --- destructors of thread_local objects --------------------------------------------------------- */
struct destructor {
	void (*function)(void *);
	void *object;
	struct destructor *next;
};

static pthread_key_t destructors;
static pthread_once_t destructors_made = PTHREAD_ONCE_INIT;

static void
run_destructors(void *first)
{
	struct destructor *one = first;
	while (one) {
		struct destructor *next = one->next;
		one->function(one->object);
		free(one);
		one = next;
	}
}

static void
make_destructors(void)
{
	(void)pthread_key_create(&destructors, run_destructors);
}

int
__cxa_thread_atexit_impl(void (*function)(void *), void *object, void *library)
{
	struct destructor *one = malloc(sizeof(*one));
	(void)library;
	if (!one) {
		return -1;
	}
	(void)pthread_once(&destructors_made, make_destructors);
	one->function = function;
	one->object = object;
	one->next = pthread_getspecific(destructors);
	return pthread_setspecific(destructors, one);
}

/* --- exceptions: which loaded file an address is in, and where its unwind table is ---------------- */
struct dl_find_object {
	unsigned long long flags;
	void *map_start;
	void *map_end;
	struct link_map *link_map;
	void *eh_frame;
	unsigned long long reserved[7];
};

struct search {
	ElfW(Addr) address;
	struct dl_find_object *found;
};

static int
look_into(struct dl_phdr_info *file, size_t size, void *data)
{
	struct search *search = data;
	struct dl_find_object found;
	bool contains = false;
	int i;
	(void)size;
	memset(&found, 0, sizeof(found));
	for (i = 0; i < file->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &file->dlpi_phdr[i];
		ElfW(Addr) start = file->dlpi_addr + part->p_vaddr;
		ElfW(Addr) end = start + part->p_memsz;
		if (part->p_type == PT_GNU_EH_FRAME) {
			found.eh_frame = (void *)start;
		} else if (part->p_type == PT_LOAD) {
			contains = contains || ((search->address >= start) && (search->address < end));
			if (!found.map_end) {
				found.map_start = (void *)start; /* they are in ascending order */
			}
			found.map_end = (void *)end;
		}
	}
	if (!contains || !found.eh_frame) {
		return 0;
	}
	*search->found = found;
	return 1;
}

int
_dl_find_object(void *address, struct dl_find_object *found)
{
	struct search search = {(ElfW(Addr))address, found};
	return dl_iterate_phdr(look_into, &search) ? 0 : -1;
}

/* --- what the libstdc++ of GCC 14 asks for --------------------------------------------------------- */
unsigned long
__isoc23_strtoul(const char *text, char **end, int base)
{
	return strtoul(text, end, base);
}

/* Numbers of 128 bits, which .NET does not read or write. */
void
strfromf128(void)
{
	abort();
}

void
strtof128(void)
{
	abort();
}
