/* The walk that checks a document against the tables and brings it into the long form. */
#include <errno.h>
#include <stdarg.h>
#include <strings.h>

#include "specs/compose_schema.h"
#include "specs/shell_words.h"
#include "specs/units.h"

const char *compose_path_text(const struct compose_path *path, char out[COMPOSE_PATH_SIZE])
{
	size_t used;

	if (!path) {
		out[0] = '\0';
		return out;
	}
	compose_path_text(path->parent, out);
	used = strlen(out);
	if (path->key) {
		snprintf(out + used, COMPOSE_PATH_SIZE - used, "%s%s", used ? "." : "", path->key);
	} else {
		snprintf(out + used, COMPOSE_PATH_SIZE - used, "[%zu]", path->index);
	}
	return out;
}

void shape_error(struct shaper *s, const struct mark *mark, const struct compose_path *path,
	const char *format, ...)
{
	char name[COMPOSE_PATH_SIZE];
	struct str text = { 0 };
	va_list ap;

	va_start(ap, format);
	str_addv(&text, format, ap);
	va_end(ap);
	compose_path_text(path, name);
	diagnostics_add(
		s->d, SEVERITY_ERROR, mark, *name ? name : NULL, "%s%s", name, str_text(&text));
	str_finish(&text);
}

const struct schema_key *schema_key_find(const struct schema_object *object, const char *name)
{
	for (size_t i = 0; object && i < object->count; i++) {
		if (strcmp(object->keys[i].name, name) == 0) {
			return &object->keys[i];
		}
	}
	return NULL;
}

/* Edit distance with transpositions, for words of up to 31 letters; larger: far apart. */
static unsigned distance(const char *a, const char *b)
{
	unsigned rows[3][33] = { 0 };
	size_t n = strlen(a), m = strlen(b);

	if (n > 31 || m > 31) {
		return 99;
	}
	for (size_t j = 0; j <= m; j++) {
		rows[0][j] = (unsigned)j;
	}
	for (size_t i = 1; i <= n; i++) {
		unsigned *now = rows[i % 3], *last = rows[(i - 1) % 3], *older = rows[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);

			best = last[j] + 1 < best ? last[j] + 1 : best;
			best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				older[j - 2] + 1 < best) {
				best = older[j - 2] + 1;
			}
			now[j] = best;
		}
	}
	return rows[n % 3][m];
}

static const char *nearest_key(const struct schema_object *object, const char *name)
{
	unsigned best = (unsigned)strlen(name) / 3 + 1;
	const char *found = NULL;

	best = best > 3 ? 3 : best;
	for (size_t i = 0; i < object->count; i++) {
		unsigned d = distance(object->keys[i].name, name);

		if (d <= best && (!found || d < best)) {
			best = d;
			found = object->keys[i].name;
		}
	}
	return found;
}

static void type_error(struct shaper *s, const struct yaml_node *node,
	const struct compose_path *path, const char *wanted)
{
	shape_error(s, &node->mark, path, " must be a %s\nit is a %s here", wanted,
		yaml_kind_name(node->kind));
}

static void set_string(struct yaml_node *node, const char *text)
{
	node->kind = YAML_STRING;
	node->text = text;
}

static void shape_bool(struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	static const char *const truths[] = { "true", "yes", "y", "on" };
	static const char *const lies[] = { "false", "no", "n", "off" };
	int value = -1;

	if (node->kind == YAML_BOOL) {
		return;
	}
	for (size_t i = 0; node->kind == YAML_STRING && i < ARRAY_SIZE(truths); i++) {
		if (strcasecmp(node->text, truths[i]) == 0 ||
			strcasecmp(node->text, lies[i]) == 0) {
			value = strcasecmp(node->text, truths[i]) == 0;
			if (i > 0) {
				diagnostics_add(s->d, SEVERITY_WARNING, &node->mark, NULL,
					"\"%s\" for boolean is not supported by YAML 1.2, please "
					"use `%s`",
					node->text, value ? "true" : "false");
			}
		}
	}
	if (value < 0) {
		if (node->kind == YAML_STRING) {
			shape_error(s, &node->mark, path, " must be a boolean\ninvalid boolean: %s",
				node->text);
		} else {
			type_error(s, node, path, "boolean");
		}
		return;
	}
	node->kind = YAML_BOOL;
	node->boolean = value;
	node->text = value ? "true" : "false";
}

/* Numbers may come as text: from a variable, or quoted. */
static void shape_number(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path, bool whole)
{
	if (node->kind == YAML_STRING) {
		struct yaml_node number = *node;

		yaml_resolve_scalar(&number, node->text, s->arena);
		if (number.kind == YAML_INT || (number.kind == YAML_FLOAT && !whole)) {
			*node = number;
			return;
		}
	}
	if (node->kind == YAML_FLOAT && whole && node->number >= -1e15 && node->number <= 1e15 &&
		(double)(int64_t)node->number == node->number) {
		*node = *yaml_new_int(s->arena, (int64_t)node->number, &node->mark);
		return;
	}
	if (node->kind != YAML_INT && (node->kind != YAML_FLOAT || whole)) {
		type_error(s, node, path, whole ? "integer" : "number");
	}
}

static void shape_bytes(struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	const char *text = node->text;
	int64_t bytes;
	int r;

	if (node->kind != YAML_INT && node->kind != YAML_FLOAT && node->kind != YAML_STRING) {
		type_error(s, node, path, "number or string");
		return;
	}
	if (strcmp(text, "-1") == 0) { /* memswap_limit: unlimited */
		bytes = -1;
		r = 0;
	} else {
		r = units_parse_bytes(text, &bytes);
	}
	if (r == -ERANGE) {
		shape_error(s, &node->mark, path, " is too large: '%s'", text);
	} else if (r < 0) {
		size_t digits = strspn(text, "0123456789.");

		shape_error(s, &node->mark, path, " invalid %s: '%s'", digits ? "suffix" : "size",
			text + (text[digits] ? digits : 0));
	} else {
		set_string(node, arena_printf(s->arena, "%lld", (long long)bytes));
	}
}

static void shape_duration(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	int64_t microseconds;
	char text[64];

	if (node->kind != YAML_STRING) {
		type_error(s, node, path, "string");
		return;
	}
	if (units_parse_duration(node->text, &microseconds) < 0) {
		shape_error(s, &node->mark, path,
			" invalid duration \"%s\"\nwrite for example 90s, 1m30s or 500ms",
			node->text);
		return;
	}
	units_print_duration(microseconds, text, sizeof(text));
	set_string(node, arena_strdup(s->arena, text));
}

/* A number or boolean as the text it stands for; anything else is left alone. */
static void to_text(struct yaml_node *node)
{
	if (node->kind == YAML_INT || node->kind == YAML_FLOAT || node->kind == YAML_BOOL) {
		node->kind = YAML_STRING;
	}
}

static void shape_list(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path, bool text_only)
{
	for (size_t i = 0; i < node->count; i++) {
		struct compose_path item = { .parent = path, .index = i };
		struct yaml_node *value = node->entries[i].value;

		if (!text_only && (value->kind == YAML_INT || value->kind == YAML_FLOAT)) {
			to_text(value);
		}
		if (value->kind != YAML_STRING) {
			type_error(s, value, &item, "string");
		}
	}
}

static void shape_words(struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	_cleanup_strv_ struct strv words = { 0 };
	const char *dropped;

	if (node->kind == YAML_LIST) {
		shape_list(s, node, path, true);
		return;
	}
	if (node->kind != YAML_STRING) {
		type_error(s, node, path, "string or list");
		return;
	}
	if (shell_words_split(node->text, &words, &dropped) < 0) {
		shape_error(s, &node->mark, path,
			" invalid command line string\nquotes must be closed and parentheses "
			"quoted; to use shell syntax, run a shell: [\"sh\", \"-c\", \"...\"]");
		return;
	}
	if (dropped) {
		diagnostics_add(s->d, SEVERITY_WARNING, &node->mark, NULL,
			"a command is not run by a shell: everything from \"%.40s\" on is dropped\n"
			"to use shell syntax, run a shell: [\"sh\", \"-c\", \"...\"]",
			dropped);
	}
	node->kind = YAML_LIST;
	for (size_t i = 0; i < words.count; i++) {
		yaml_append(s->arena, node, yaml_new_string(s->arena, words.items[i], &node->mark));
	}
}

static struct yaml_node *dict_from_list(
	struct shaper *s, struct yaml_node *list, const struct compose_path *path)
{
	struct yaml_node *map = yaml_new(s->arena, YAML_MAP, &list->mark);

	map->tag = list->tag;
	for (size_t i = 0; i < list->count; i++) {
		struct compose_path item = { .parent = path, .index = i };
		struct yaml_node *value = list->entries[i].value, *text;
		const char *equals;
		char *key;

		if (value->kind != YAML_STRING) {
			shape_error(s, &value->mark, &item, ": unexpected type %s",
				yaml_kind_name(value->kind));
			continue;
		}
		equals = strchr(value->text, '=');
		key = arena_strndup(s->arena, value->text,
			equals ? (size_t)(equals - value->text) : strlen(value->text));
		text = equals ? yaml_new_string(s->arena, equals + 1, &value->mark)
			      : yaml_new(s->arena, YAML_NULL, &value->mark);
		yaml_set(s->arena, map, key, &value->mark, text);
	}
	return map;
}

static void shape_dict(struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	if (node->kind == YAML_LIST) {
		*node = *dict_from_list(s, node, path);
	}
	if (node->kind != YAML_MAP) {
		type_error(s, node, path, "mapping");
		return;
	}
	for (size_t i = 0; i < node->count; i++) {
		struct yaml_entry *entry = &node->entries[i];
		struct compose_path item = { .parent = path, .key = entry->key };

		to_text(entry->value);
		if (entry->value->kind != YAML_STRING && entry->value->kind != YAML_NULL) {
			shape_error(s, &entry->value->mark, &item,
				" must be a boolean, null, number or string");
		}
	}
}

static void shape_value(struct shaper *s, struct yaml_entry *entry, const struct schema_key *key,
	const struct compose_path *path);

static void unknown_key(struct shaper *s, const struct schema_object *object,
	const struct yaml_entry *entry, const struct compose_path *path)
{
	const char *near = nearest_key(object, entry->key);

	shape_error(s, &entry->key_mark, path, "%sadditional properties '%s' not allowed%s%s%s",
		path ? " " : "", entry->key, near ? "\ndid you mean '" : "", near ? near : "",
		near ? "'?" : "");
}

static void warn_ignored(
	struct shaper *s, const struct yaml_entry *entry, const struct compose_path *path)
{
	char name[COMPOSE_PATH_SIZE];

	compose_path_text(path, name);
	diagnostics_add(s->d, SEVERITY_WARNING, &entry->key_mark, name,
		"%s is not supported yet and has no effect", name);
}

static void shape_object(struct shaper *s, struct yaml_node *node,
	const struct schema_object *object, const struct compose_path *path)
{
	for (size_t i = 0; i < node->count; i++) {
		struct yaml_entry *entry = &node->entries[i];
		const struct schema_key *key = schema_key_find(object, entry->key);
		struct compose_path child = { .parent = path, .key = entry->key };

		if (key) {
			if (key->flags & KEY_IGNORED && entry->value->tag != YAML_TAG_RESET) {
				warn_ignored(s, entry, &child);
			}
			shape_value(s, entry, key, &child);
		} else if (strncmp(entry->key, "x-", 2) != 0) {
			unknown_key(s, object, entry, path);
		}
	}
}

static bool name_valid(const char *name)
{
	return *name &&
	       name[strspn(name,
		       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] ==
		       '\0';
}

static void shape_object_map(struct shaper *s, struct yaml_node *node, const struct schema_key *key,
	const struct compose_path *path)
{
	for (size_t i = 0; i < node->count; i++) {
		struct yaml_entry *entry = &node->entries[i];
		struct compose_path child = { .parent = path, .key = entry->key };

		if (!name_valid(entry->key)) {
			shape_error(s, &entry->key_mark, path,
				" additional properties '%s' not allowed\na name consists of "
				"letters, digits, '.', '_' and '-'",
				entry->key);
		} else if (entry->value->tag == YAML_TAG_RESET) {
			continue;
		} else if (entry->value->kind == YAML_MAP) {
			shape_object(s, entry->value, key->object, &child);
		} else if (entry->value->kind != YAML_NULL) {
			type_error(s, entry->value, &child, "mapping");
		} else if (!path->parent && strcmp(path->key, "services") == 0) {
			type_error(s, entry->value, &child, "mapping");
		}
	}
}

static void shape_object_list(struct shaper *s, struct yaml_node *node,
	const struct schema_key *key, const struct compose_path *path)
{
	for (size_t i = 0; i < node->count; i++) {
		struct compose_path item = { .parent = path, .index = i };
		struct yaml_node *value = node->entries[i].value;

		if (value->kind == YAML_MAP) {
			shape_object(s, value, key->object, &item);
		} else {
			type_error(s, value, &item, "mapping");
		}
	}
}

static void shape_collection(struct shaper *s, struct yaml_node *node, const struct schema_key *key,
	const struct compose_path *path)
{
	bool list = key->kind == KIND_LIST || key->kind == KIND_STRINGS ||
		    key->kind == KIND_OBJECT_LIST;

	if (key->kind == KIND_STRINGS && node->kind == YAML_STRING) {
		struct yaml_node *item = yaml_copy(s->arena, node);

		item->tag = YAML_TAG_NONE;
		node->kind = YAML_LIST;
		yaml_append(s->arena, node, item);
	}
	if (list && node->kind != YAML_LIST) {
		type_error(s, node, path, key->kind == KIND_STRINGS ? "string or list" : "list");
	} else if (!list && node->kind != YAML_MAP) {
		type_error(s, node, path, "mapping");
	} else if (key->kind == KIND_OBJECT) {
		shape_object(s, node, key->object, path);
	} else if (key->kind == KIND_OBJECT_MAP) {
		shape_object_map(s, node, key, path);
	} else if (key->kind == KIND_OBJECT_LIST) {
		shape_object_list(s, node, key, path);
	} else {
		shape_list(s, node, path, false);
	}
}

static void shape_value(struct shaper *s, struct yaml_entry *entry, const struct schema_key *key,
	const struct compose_path *path)
{
	struct yaml_node *node = entry->value;

	if (node->tag == YAML_TAG_RESET || node->kind == YAML_NULL) {
		return;
	}
	if (key->shape) {
		enum yaml_tag tag = node->tag;

		node = key->shape(s, node, path);
		if (!node) {
			entry->value = yaml_new(s->arena, YAML_NULL, &entry->value->mark);
			return;
		}
		node->tag = tag;
		entry->value = node;
	}
	switch (key->kind) {
	case KIND_ANY: break;
	case KIND_TEXT:
		if (node->kind == YAML_INT || node->kind == YAML_FLOAT) {
			to_text(node);
		}
		__attribute__((fallthrough));
	case KIND_STRING:
		if (node->kind != YAML_STRING) {
			type_error(s, node, path, "string");
		}
		break;
	case KIND_BOOL: shape_bool(s, node, path); break;
	case KIND_INT: shape_number(s, node, path, true); break;
	case KIND_NUMBER: shape_number(s, node, path, false); break;
	case KIND_BYTES: shape_bytes(s, node, path); break;
	case KIND_DURATION: shape_duration(s, node, path); break;
	case KIND_WORDS: shape_words(s, node, path); break;
	case KIND_DICT: shape_dict(s, node, path); break;
	case KIND_LIST:
	case KIND_STRINGS:
	case KIND_OBJECT:
	case KIND_OBJECT_MAP:
	case KIND_OBJECT_LIST: shape_collection(s, node, key, path); break;
	}
}

void compose_shape(struct shaper *s, struct yaml_node *root)
{
	if (root->kind != YAML_MAP) {
		shape_error(s, &root->mark, NULL, "top-level object must be a mapping");
		return;
	}
	shape_object(s, root, &compose_schema_root, NULL);
}
