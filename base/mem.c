#include "base/mem.h"

#include <stdint.h>
#include <unistd.h>

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, room;
	_Alignas(max_align_t) char data[];
};

static _Noreturn void out_of_memory(void)
{
	static const char text[] = "wherry: out of memory\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
		_exit(1);
	}
	abort();
}

void mem_free_cleanup(void *pointer_to_pointer)
{
	void *p;

	memcpy(&p, pointer_to_pointer, sizeof(p));
	free(p);
}

void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p) {
		out_of_memory();
	}
	return p;
}

void *xrealloc(void *old, size_t count, size_t size)
{
	void *p = reallocarray(old, count ? count : 1, size ? size : 1);

	if (!p) {
		out_of_memory();
	}
	return p;
}

char *xstrndup(const char *text, size_t size)
{
	char *copy = strndup(text, size);

	if (!copy) {
		out_of_memory();
	}
	return copy;
}

char *xstrdup(const char *text)
{
	return xstrndup(text, strlen(text));
}

char *xasprintf(const char *format, ...)
{
	struct str s = { 0 };
	va_list ap;

	va_start(ap, format);
	str_addv(&s, format, ap);
	va_end(ap);
	return str_take(&s);
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->chunks;
	const size_t align = _Alignof(max_align_t);
	void *p;

	if (size > SIZE_MAX / 2) {
		out_of_memory();
	}
	size = (size + align - 1) & ~(align - 1);
	if (!chunk || chunk->room - chunk->used < size) {
		/* Small first chunks: a supervisor holds one arena for each container. */
		size_t room = chunk ? 4096 - sizeof(*chunk) : 2048 - sizeof(*chunk);

		if (room < size) {
			room = size;
		}
		chunk = xcalloc(1, sizeof(*chunk) + room);
		chunk->room = room;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
	}
	p = chunk->data + chunk->used;
	chunk->used += size;
	arena->total += size;
	return p;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / 2 / size) {
		out_of_memory();
	}
	return arena_alloc(arena, count * size);
}

char *arena_strndup(struct arena *arena, const char *text, size_t size)
{
	size_t length = strnlen(text, size);
	char *copy = arena_alloc(arena, length + 1);

	memcpy(copy, text, length);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return text ? arena_strndup(arena, text, SIZE_MAX / 4) : NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list ap;
	char *copy;
	int length;

	va_start(ap, format);
	length = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	copy = arena_alloc(arena, (size_t)length + 1);
	va_start(ap, format);
	vsnprintf(copy, (size_t)length + 1, format, ap);
	va_end(ap);
	return copy;
}

void arena_finish(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *next = arena->chunks->next;

		free(arena->chunks);
		arena->chunks = next;
	}
	arena->total = 0;
}

void str_add_mem(struct str *s, const void *data, size_t size)
{
	if (s->room - s->size < size + 1) {
		size_t room = s->room ? s->room * 2 : 64;

		while (room - s->size < size + 1) {
			room *= 2;
		}
		s->data = xrealloc(s->data, room, 1);
		s->room = room;
	}
	if (size) {
		memcpy(s->data + s->size, data, size);
	}
	s->size += size;
	s->data[s->size] = '\0';
}

void str_add(struct str *s, const char *text)
{
	str_add_mem(s, text, strlen(text));
}

void str_add_char(struct str *s, char c)
{
	str_add_mem(s, &c, 1);
}

void str_addv(struct str *s, const char *format, va_list ap)
{
	char small[256];
	va_list again;
	int length;

	va_copy(again, ap);
	length = vsnprintf(small, sizeof(small), format, ap);
	if (length < 0) {
		length = 0;
	}
	if ((size_t)length < sizeof(small)) {
		str_add_mem(s, small, (size_t)length);
	} else {
		char *large = xcalloc((size_t)length + 1, 1);

		vsnprintf(large, (size_t)length + 1, format, again);
		str_add_mem(s, large, (size_t)length);
		free(large);
	}
	va_end(again);
}

void str_addf(struct str *s, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	str_addv(s, format, ap);
	va_end(ap);
}

const char *str_text(const struct str *s)
{
	return s->data ? s->data : "";
}

char *str_take(struct str *s)
{
	char *data = s->data ? s->data : xstrdup("");

	*s = (struct str){ 0 };
	return data;
}

void str_finish(struct str *s)
{
	free(s->data);
	*s = (struct str){ 0 };
}

void strv_add(struct strv *v, const char *text)
{
	v->items = xrealloc(v->items, v->count + 2, sizeof(*v->items));
	v->items[v->count++] = xstrdup(text);
	v->items[v->count] = NULL;
}

void strv_addf(struct strv *v, const char *format, ...)
{
	struct str s = { 0 };
	va_list ap;

	va_start(ap, format);
	str_addv(&s, format, ap);
	va_end(ap);
	v->items = xrealloc(v->items, v->count + 2, sizeof(*v->items));
	v->items[v->count++] = str_take(&s);
	v->items[v->count] = NULL;
}

int strv_find(const struct strv *v, const char *text)
{
	for (size_t i = 0; i < v->count; i++) {
		if (strcmp(v->items[i], text) == 0) {
			return (int)i;
		}
	}
	return -1;
}

void strv_finish(struct strv *v)
{
	for (size_t i = 0; i < v->count; i++) {
		free(v->items[i]);
	}
	free(v->items);
	*v = (struct strv){ 0 };
}
