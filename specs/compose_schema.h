/*
 * The shape of a compose file as tables: for every object its keys, for every key what may stand
 * there, how short forms become long ones, how two files' values meet, and whether this product
 * acts on it. One table serves validation, merge and the warnings about what has no effect.
 */
#ifndef WHERRY_SPECS_COMPOSE_SCHEMA_H
#define WHERRY_SPECS_COMPOSE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "specs/diagnostics.h"
#include "specs/yaml_tree.h"

enum schema_kind {
	KIND_ANY,
	KIND_STRING,
	KIND_TEXT, /* string or number; becomes a string */
	KIND_BOOL,
	KIND_INT,
	KIND_NUMBER,
	KIND_BYTES, /* "64m" or a number; becomes the number of bytes as a string */
	KIND_DURATION, /* "90s"; becomes "1m30s" */
	KIND_WORDS, /* a command: words or a line that is split; becomes a list */
	KIND_LIST, /* of strings; numbers become strings */
	KIND_STRINGS, /* one string or a list of them; becomes a list */
	KIND_DICT, /* a map or a list of "K=V"; becomes a map of strings and nulls */
	KIND_OBJECT,
	KIND_OBJECT_MAP, /* name -> object or null */
	KIND_OBJECT_LIST,
};

enum {
	KEY_IGNORED = 1, /* known, but this product does not act on it: a warning */
	KEY_UNIQUE = 2, /* a list whose equal items are one */
	KEY_REPLACE = 4, /* a later file's value takes the earlier one's place */
	KEY_QUIET = 8, /* known and without meaning for anyone: no warning */
};

struct schema_object;
struct compose_path;
struct shaper;

/* Turns a short form into the long one; returns the node to go on with, NULL after an error. */
typedef struct yaml_node *shape_fn(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path);

struct schema_key {
	const char *name;
	enum schema_kind kind;
	unsigned flags;
	const struct schema_object *object; /* KIND_OBJECT* */
	shape_fn *shape; /* runs before the kind is checked */
	const char *identity; /* list of objects: members ("a,b") that make two items one */
};

struct schema_object {
	const struct schema_key *keys;
	size_t count;
};

extern const struct schema_object compose_schema_root;

/* The path to a node, kept on the stack while walking. */
struct compose_path {
	const struct compose_path *parent;
	const char *key; /* NULL: item @index of a list */
	size_t index;
};

#define COMPOSE_PATH_SIZE 256
/* "services.web.ports[0]"; cut if longer. Returns @out. */
const char *compose_path_text(const struct compose_path *path, char out[COMPOSE_PATH_SIZE]);

/* What the walk over one document needs. */
struct shaper {
	struct arena *arena;
	struct diagnostics *d;
	const char *directory; /* of the project, absolute */
	const char *home; /* for "~"; NULL: unknown */
	bool escape_paths; /* leave paths as written */
	size_t ports; /* made so far: ranges multiply */
};

void shape_error(struct shaper *s, const struct mark *mark, const struct compose_path *path,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * Checks one document against the tables and brings it into the long form, in place. Everything
 * that is wrong is added to the findings.
 */
void compose_shape(struct shaper *s, struct yaml_node *root);

/* Lays @over on @base (both in long form) by the rules of the tables; returns the result. */
struct yaml_node *compose_merge(
	struct arena *arena, struct yaml_node *base, struct yaml_node *over);

const struct schema_key *schema_key_find(const struct schema_object *object, const char *name);

/* @path made absolute against the project's folder; "~" is the home folder. In the arena. */
const char *shape_absolute(struct shaper *s, const char *path);

/* Short forms (compose_short.c, compose_ports.c, compose_mounts.c). */
shape_fn shape_ports, shape_volumes, shape_build, shape_depends_on, shape_networks, shape_grants,
	shape_env_file, shape_test, shape_devices, shape_extends, shape_include, shape_ulimits,
	shape_extra_hosts, shape_gpus, shape_models, shape_external, shape_file_path,
	shape_label_file;

#endif
