/*
 * Tables that tie JSON members to C members, read by one loop and printed by another.
 *
 * Theory of operation. A `struct field` names a member, its kind and where it lives in a C
 * structure; a NULL-named one ends a table. fields_read() is strict: a wrong type or a number out
 * of range is an error that names the member by its whole path ("process.rlimits[2].type: ...").
 * null counts as absent, members without a field are ignored. fields_print() leaves out what has
 * its "not asked for" value, so that reading what was printed gives the same structure.
 */
#ifndef WHERRY_SPECS_JSON_FIELDS_H
#define WHERRY_SPECS_JSON_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

/* Where we are in the document: a list on the stack, from the innermost member outwards. */
struct field_place {
	const struct field_place *up;
	const char *name; /* NULL: element @index of the list above */
	size_t index;
};

struct field_reader {
	struct arena *arena;
	struct error *err;
};

/* "PLACE: MESSAGE" with -EINVAL. */
int field_error(const struct field_reader *reader, const struct field_place *place,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

enum field_kind {
	FIELD_TEXT, /* const char *; absent: NULL */
	FIELD_FLAG, /* bool */
	FIELD_INT, /* any integer type of 2, 4 or 8 bytes; absent: @unset */
	FIELD_WORD, /* int out of @words; absent: 0 */
	FIELD_LETTER, /* char out of @letters, as a text of one letter; absent: @unset */
	FIELD_STRINGS, /* const char ** and its count */
	FIELD_IDS, /* const uint32_t * and its count */
	FIELD_PAIRS, /* an object of texts: struct field_pair * and its count */
	FIELD_OBJECT, /* an object whose members are @fields of the structure at @offset */
	FIELD_LIST, /* objects: array of @size bytes each with @fields, and its count */
	FIELD_CUSTOM, /* @read and @print */
	FIELD_REFUSED /* known, not supported: an error unless it says nothing */
};

struct field_pair {
	const char *key, *value;
};

struct field_word {
	const char *name;
	int value;
};

struct field {
	const char *name;
	enum field_kind kind;
	bool required;
	bool is_signed; /* FIELD_INT */
	size_t offset, size; /* size: of the C member, or of one element of a list */
	size_t count_offset;
	int64_t min, max, unset;
	const struct field_word *words; /* ends with a NULL name */
	const char *letters;
	const struct field *fields;
	/* Custom: @base is the structure. @print gives a new reference or NULL for nothing. */
	int (*read)(const struct field_reader *reader, const struct field_place *place,
		const json_t *value, void *base);
	json_t *(*print)(const void *base);
	/* After an object (also an element of a list) was read: what its members say together. */
	int (*check)(
		const struct field_reader *reader, const struct field_place *place, void *base);
};

/* Gives every member its "not asked for" value; the structure is zeroed before. */
void fields_init(const struct field *fields, void *base);
/* Reads @object. @place NULL: the document. Returns 0 or a negative errno. */
int fields_read(const struct field_reader *reader, const struct field_place *place,
	const json_t *object, const struct field *fields, void *base);
/* A new object with what @base asks for. */
json_t *fields_print(const struct field *fields, const void *base);

#define FIELD_SIZEOF(type, member) sizeof(((type *)0)->member)
#define FIELD_IS_SIGNED(type, member)                                                              \
	((__typeof__(((type *)0)->member))(-1) < (__typeof__(((type *)0)->member))1)

#define FIELD_TEXT_AT(label, type, member)                                                         \
	.name = (label), .kind = FIELD_TEXT, .offset = offsetof(type, member)
#define FIELD_FLAG_AT(label, type, member)                                                         \
	.name = (label), .kind = FIELD_FLAG, .offset = offsetof(type, member)
#define FIELD_INT_AT(label, type, member, lowest, highest)                                         \
	.name = (label), .kind = FIELD_INT, .offset = offsetof(type, member),                      \
	.size = FIELD_SIZEOF(type, member), .is_signed = FIELD_IS_SIGNED(type, member),            \
	.min = (lowest), .max = (highest)
#define FIELD_WORD_AT(label, type, member, list)                                                   \
	.name = (label), .kind = FIELD_WORD, .offset = offsetof(type, member), .words = (list)
#define FIELD_LETTER_AT(label, type, member, list)                                                 \
	.name = (label), .kind = FIELD_LETTER, .offset = offsetof(type, member), .letters = (list)
#define FIELD_VECTOR_AT(label, what, type, member, count_member)                                   \
	.name = (label), .kind = (what), .offset = offsetof(type, member),                         \
	.count_offset = offsetof(type, count_member)
#define FIELD_LIST_AT(label, type, member, count_member, table)                                    \
	.name = (label), .kind = FIELD_LIST, .offset = offsetof(type, member),                     \
	.count_offset = offsetof(type, count_member), .size = sizeof(*((type *)0)->member),        \
	.fields = (table)
#define FIELD_REFUSE(label) .name = (label), .kind = FIELD_REFUSED

#endif
