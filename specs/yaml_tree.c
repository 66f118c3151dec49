#include "specs/yaml_tree.h"

#include <errno.h>

struct yaml_node *yaml_new(struct arena *arena, enum yaml_kind kind, const struct mark *mark)
{
	struct yaml_node *node = arena_alloc(arena, sizeof(*node));

	node->kind = kind;
	if (mark) {
		node->mark = *mark;
	}
	if (kind == YAML_NULL) {
		node->text = "null";
	}
	return node;
}

struct yaml_node *yaml_new_string(struct arena *arena, const char *text, const struct mark *mark)
{
	struct yaml_node *node = yaml_new(arena, YAML_STRING, mark);

	node->text = arena_strdup(arena, text);
	return node;
}

struct yaml_node *yaml_new_int(struct arena *arena, int64_t value, const struct mark *mark)
{
	struct yaml_node *node = yaml_new(arena, YAML_INT, mark);

	node->integer = value;
	node->number = (double)value;
	node->text = arena_printf(arena, "%lld", (long long)value);
	return node;
}

struct yaml_node *yaml_new_bool(struct arena *arena, bool value, const struct mark *mark)
{
	struct yaml_node *node = yaml_new(arena, YAML_BOOL, mark);

	node->boolean = value;
	node->text = value ? "true" : "false";
	return node;
}

struct yaml_node *yaml_copy(struct arena *arena, const struct yaml_node *node)
{
	struct yaml_node *copy = arena_alloc(arena, sizeof(*copy));

	*copy = *node;
	copy->room = node->count;
	copy->entries = NULL;
	if (node->count) {
		copy->entries = arena_array(arena, node->count, sizeof(*copy->entries));
	}
	for (size_t i = 0; i < node->count; i++) {
		copy->entries[i] = node->entries[i];
		copy->entries[i].value = yaml_copy(arena, node->entries[i].value);
	}
	return copy;
}

struct yaml_entry *yaml_find(const struct yaml_node *map, const char *key)
{
	if (!map || map->kind != YAML_MAP) {
		return NULL;
	}
	for (size_t i = 0; i < map->count; i++) {
		if (strcmp(map->entries[i].key, key) == 0) {
			return &map->entries[i];
		}
	}
	return NULL;
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	struct yaml_entry *entry = yaml_find(map, key);

	return entry ? entry->value : NULL;
}

const char *yaml_get_text(const struct yaml_node *map, const char *key)
{
	struct yaml_node *node = yaml_get(map, key);

	return node && yaml_is_scalar(node) && node->kind != YAML_NULL ? node->text : NULL;
}

static void push(struct arena *arena, struct yaml_node *node, const struct yaml_entry *entry)
{
	if (node->count == node->room) {
		size_t room = node->room ? node->room * 2 : 4;
		struct yaml_entry *entries = arena_array(arena, room, sizeof(*entries));

		if (node->count) {
			memcpy(entries, node->entries, node->count * sizeof(*entries));
		}
		node->entries = entries;
		node->room = room;
	}
	node->entries[node->count++] = *entry;
}

void yaml_set(struct arena *arena, struct yaml_node *map, const char *key,
	const struct mark *key_mark, struct yaml_node *value)
{
	struct yaml_entry *entry = yaml_find(map, key);

	if (entry) {
		entry->value = value;
		entry->key_mark = key_mark ? *key_mark : value->mark;
		return;
	}
	push(arena, map,
		&(struct yaml_entry){
			.key = arena_strdup(arena, key),
			.key_mark = key_mark ? *key_mark : value->mark,
			.value = value,
		});
}

void yaml_remove(struct yaml_node *map, const char *key)
{
	struct yaml_entry *entry = yaml_find(map, key);

	if (entry) {
		size_t index = (size_t)(entry - map->entries);

		memmove(entry, entry + 1, (map->count - index - 1) * sizeof(*entry));
		map->count--;
	}
}

void yaml_append(struct arena *arena, struct yaml_node *list, struct yaml_node *value)
{
	push(arena, list, &(struct yaml_entry){ .key_mark = value->mark, .value = value });
}

const char *yaml_kind_name(enum yaml_kind kind)
{
	static const char *const names[] = {
		[YAML_NULL] = "null",
		[YAML_BOOL] = "boolean",
		[YAML_INT] = "number",
		[YAML_FLOAT] = "number",
		[YAML_STRING] = "string",
		[YAML_LIST] = "list",
		[YAML_MAP] = "mapping",
	};

	return names[kind];
}

bool yaml_equal(const struct yaml_node *a, const struct yaml_node *b)
{
	if (a->kind != b->kind || a->count != b->count) {
		return false;
	}
	if (yaml_is_scalar(a)) {
		return a->kind == YAML_NULL || strcmp(a->text, b->text) == 0;
	}
	for (size_t i = 0; i < a->count; i++) {
		const struct yaml_node *other =
			a->kind == YAML_LIST ? b->entries[i].value : yaml_get(b, a->entries[i].key);

		if (!other || !yaml_equal(a->entries[i].value, other)) {
			return false;
		}
	}
	return true;
}
