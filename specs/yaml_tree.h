/*
 * YAML as a tree in which every node knows its place (file, line, column).
 *
 * libyaml gives events with plain text; what a plain scalar means (YAML 1.2's core schema, with
 * the old octal form that compose files rely on: 022 is 18, 22:22 and yes are strings) is decided
 * here. Aliases become copies of what they name, merge keys ("<<") are resolved, a key given twice
 * is an error. Everything lives in one arena.
 *
 * Input is hostile: size, depth and number of nodes (aliases count for what they expand to) are
 * bounded, so that no file costs more than some milliseconds.
 */
#ifndef WHERRY_SPECS_YAML_TREE_H
#define WHERRY_SPECS_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "specs/diagnostics.h"

enum {
	YAML_MAX_BYTES = 4 << 20,
	YAML_MAX_DEPTH = 64,
	YAML_MAX_NODES = 100000,
	YAML_MAX_ENTRIES = 4096, /* of one list or map: what follows searches them one by one */
};

enum yaml_kind {
	YAML_NULL,
	YAML_BOOL,
	YAML_INT,
	YAML_FLOAT,
	YAML_STRING,
	YAML_LIST,
	YAML_MAP,
};

/* Compose's own tags, which say how a node of an overriding file meets what is there. */
enum yaml_tag { YAML_TAG_NONE, YAML_TAG_RESET, YAML_TAG_OVERRIDE };

struct yaml_node;

/* An item of a list (key NULL) or a pair of a map. */
struct yaml_entry {
	const char *key;
	struct mark key_mark;
	struct yaml_node *value;
};

struct yaml_node {
	enum yaml_kind kind;
	enum yaml_tag tag;
	bool plain; /* a scalar without quotes */
	struct mark mark;
	const char *text; /* scalars: as written; canonical for numbers ("8" for 010) */
	int64_t integer;
	double number; /* YAML_INT too */
	bool boolean;
	struct yaml_entry *entries;
	size_t count, room;
};

/* The documents of one file, in order; an empty file has none. */
struct yaml_documents {
	struct yaml_node **items;
	size_t count;
};

/*
 * Parses @size bytes. @file is what marks show (copied into @arena). Findings are added to @d.
 * Returns 0, or -EINVAL when an error was added.
 */
int yaml_parse(const char *data, size_t size, const char *file, struct arena *arena,
	struct yaml_documents *documents, struct diagnostics *d);

/* Gives a scalar node the meaning that @text has as a plain scalar. */
void yaml_resolve_scalar(struct yaml_node *node, const char *text, struct arena *arena);

/* New nodes, with the place of @mark. Texts are copied. */
struct yaml_node *yaml_new(struct arena *arena, enum yaml_kind kind, const struct mark *mark);
struct yaml_node *yaml_new_string(struct arena *arena, const char *text, const struct mark *mark);
struct yaml_node *yaml_new_int(struct arena *arena, int64_t value, const struct mark *mark);
struct yaml_node *yaml_new_bool(struct arena *arena, bool value, const struct mark *mark);
/* A deep copy; the places are the original's. */
struct yaml_node *yaml_copy(struct arena *arena, const struct yaml_node *node);

/* The value of @key in a map; NULL if @map is NULL, no map, or lacks it. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
/* The text of a scalar member, or NULL. */
const char *yaml_get_text(const struct yaml_node *map, const char *key);
struct yaml_entry *yaml_find(const struct yaml_node *map, const char *key);
/* Sets (replaces or appends) a pair of a map. */
void yaml_set(struct arena *arena, struct yaml_node *map, const char *key,
	const struct mark *key_mark, struct yaml_node *value);
void yaml_remove(struct yaml_node *map, const char *key);
/* Appends an item to a list. */
void yaml_append(struct arena *arena, struct yaml_node *list, struct yaml_node *value);

/* "null", "boolean", "number", "string", "list", "mapping": for messages. */
const char *yaml_kind_name(enum yaml_kind kind);
static inline bool yaml_is_scalar(const struct yaml_node *node)
{
	return node->kind < YAML_LIST;
}

/* True if both trees mean the same (places and order of keys aside). */
bool yaml_equal(const struct yaml_node *a, const struct yaml_node *b);

#endif
