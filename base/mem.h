/*
 * Memory. An allocation that fails ends the process with one line on stderr: on Linux it means
 * that a limit of ours was hit, and a process that carries on half-built is worse than one that
 * its guardian starts again with everything in order. Code that must never die (the guardian,
 * children between clone and exec) does not allocate.
 */
#ifndef WHERRY_BASE_MEM_H
#define WHERRY_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

#include "base/banned.h"

#define _cleanup_free_ __attribute__((cleanup(mem_free_cleanup)))
#define ARRAY_SIZE(a)  (sizeof(a) / sizeof((a)[0]))

void mem_free_cleanup(void *pointer_to_pointer);

void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t count, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t size);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

/*
 * An arena: many small objects with one lifetime, freed together. Objects are zeroed and aligned
 * for any type. A zeroed `struct arena` is an empty one.
 */
struct arena_chunk;
struct arena {
	struct arena_chunk *chunks;
	size_t total; /* bytes handed out, for limits */
};

void *arena_alloc(struct arena *arena, size_t size);
void *arena_array(struct arena *arena, size_t count, size_t size);
char *arena_strdup(struct arena *arena, const char *text); /* NULL gives NULL */
char *arena_strndup(struct arena *arena, const char *text, size_t size);
char *arena_printf(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Frees every object; the arena is empty afterwards and may be used again. */
void arena_finish(struct arena *arena);

/* A growing string; always NUL-terminated once something was added. Zeroed: empty. */
struct str {
	char *data;
	size_t size; /* bytes, without the NUL */
	size_t room;
};

#define _cleanup_str_ __attribute__((cleanup(str_finish)))

void str_add(struct str *s, const char *text);
void str_add_mem(struct str *s, const void *data, size_t size);
void str_add_char(struct str *s, char c);
void str_addf(struct str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void str_addv(struct str *s, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
/* The text, never NULL; valid until the next change. */
const char *str_text(const struct str *s);
/* Hands the buffer to the caller (who frees it) and empties @s. Never NULL. */
char *str_take(struct str *s);
void str_finish(struct str *s);

/* A NULL-terminated vector of strings it owns. Zeroed: empty (items is NULL then). */
struct strv {
	char **items;
	size_t count;
};

#define _cleanup_strv_ __attribute__((cleanup(strv_finish)))

void strv_add(struct strv *v, const char *text);
void strv_addf(struct strv *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
int strv_find(const struct strv *v, const char *text); /* index or -1 */
void strv_finish(struct strv *v);

#endif
