/* libyaml's events to a tree: anchors, aliases, merge keys, duplicate keys, limits. */
#include <errno.h>
#include <yaml.h>

#include "specs/yaml_tree.h"

struct anchor {
	const char *name;
	struct yaml_node *node; /* NULL while it is being built: an alias to it would be a loop */
	size_t nodes; /* what a copy costs */
};

struct builder {
	yaml_parser_t parser;
	const char *file;
	struct arena *arena;
	struct diagnostics *d;
	struct anchor *anchors;
	size_t anchor_count, anchor_room;
	size_t nodes;
	unsigned depth;
	bool failed;
};

static struct mark mark_of(const struct builder *b, const yaml_mark_t *mark)
{
	return (struct mark){
		.file = b->file,
		.line = (unsigned)mark->line + 1,
		.column = (unsigned)mark->column + 1,
	};
}

static bool next_event(struct builder *b, yaml_event_t *event)
{
	struct mark mark;
	const char *problem;

	if (yaml_parser_parse(&b->parser, event)) {
		return true;
	}
	problem = b->parser.problem ? b->parser.problem : "not valid";
	if (b->parser.error == YAML_READER_ERROR) {
		/* Such an error carries a byte offset only. */
		mark = (struct mark){ .file = b->file };
		diagnostics_add(b->d, SEVERITY_ERROR, &mark, NULL, "yaml: %s (byte %zu)", problem,
			b->parser.problem_offset);
	} else {
		mark = mark_of(b, &b->parser.problem_mark);
		diagnostics_add(b->d, SEVERITY_ERROR, &mark, NULL, "yaml: %s%s%s", problem,
			b->parser.context ? ", " : "", b->parser.context ? b->parser.context : "");
	}
	b->failed = true;
	return false;
}

static struct yaml_node *fail(struct builder *b, const struct mark *mark, const char *text)
{
	if (!b->failed) {
		diagnostics_add(b->d, SEVERITY_ERROR, mark, NULL, "yaml: %s", text);
	}
	b->failed = true;
	return NULL;
}

static bool charge(struct builder *b, size_t nodes, const struct mark *mark)
{
	b->nodes += nodes;
	if (b->nodes > YAML_MAX_NODES) {
		fail(b, mark, "document is too large: more than 100000 nodes (aliases expanded)");
		return false;
	}
	return true;
}

/* Remembers an anchor's name; its node is filled in when it is whole. Returns its index + 1. */
static size_t anchor_open(struct builder *b, const yaml_char_t *name)
{
	if (!name) {
		return 0;
	}
	if (b->anchor_count == b->anchor_room) {
		b->anchor_room = b->anchor_room ? b->anchor_room * 2 : 16;
		b->anchors = xrealloc(b->anchors, b->anchor_room, sizeof(*b->anchors));
	}
	b->anchors[b->anchor_count++] = (struct anchor){
		.name = arena_strdup(b->arena, (const char *)name),
	};
	return b->anchor_count;
}

static struct yaml_node *alias_expand(struct builder *b, const char *name, const struct mark *mark)
{
	/* The last one of a name wins, as YAML says. */
	for (size_t i = b->anchor_count; i-- > 0;) {
		struct anchor *anchor = &b->anchors[i];

		if (strcmp(anchor->name, name) != 0) {
			continue;
		}
		if (!anchor->node) {
			return fail(b, mark, "an anchor contains itself");
		}
		if (!charge(b, anchor->nodes, mark)) {
			return NULL;
		}
		return yaml_copy(b->arena, anchor->node);
	}
	if (!b->failed) {
		diagnostics_add(
			b->d, SEVERITY_ERROR, mark, NULL, "yaml: unknown anchor '%s'", name);
	}
	b->failed = true;
	return NULL;
}

/* The standard tags force a type; compose's two are noted; others are said to mean nothing. */
static void apply_tag(struct builder *b, struct yaml_node *node, const char *tag, const char *text)
{
	static const char prefix[] = "tag:yaml.org,2002:";

	if (!tag || strcmp(tag, "!") == 0) {
		return;
	}
	if (strcmp(tag, "!reset") == 0) {
		node->tag = YAML_TAG_RESET;
	} else if (strcmp(tag, "!override") == 0) {
		node->tag = YAML_TAG_OVERRIDE;
	} else if (strncmp(tag, prefix, strlen(prefix)) == 0) {
		const char *type = tag + strlen(prefix);

		if (strcmp(type, "str") == 0 && text) {
			node->kind = YAML_STRING;
			node->text = arena_strdup(b->arena, text);
		} else if (text && node->kind == YAML_STRING) {
			yaml_resolve_scalar(node, text, b->arena);
		}
	} else {
		diagnostics_add(b->d, SEVERITY_WARNING, &node->mark, NULL,
			"tag %s has no meaning here", tag);
	}
}

static struct yaml_node *build_scalar(struct builder *b, const yaml_event_t *event)
{
	struct mark mark = mark_of(b, &event->start_mark);
	const char *text = (const char *)event->data.scalar.value;
	struct yaml_node *node;

	if (strlen(text) != event->data.scalar.length) {
		return fail(b, &mark, "text holds a NUL character");
	}
	node = yaml_new(b->arena, YAML_STRING, &mark);
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (node->plain && event->data.scalar.plain_implicit) {
		yaml_resolve_scalar(node, text, b->arena);
	} else if (node->plain && event->data.scalar.tag &&
		   strncmp((const char *)event->data.scalar.tag, "!", 1) == 0 &&
		   event->data.scalar.tag[1]) {
		yaml_resolve_scalar(node, text, b->arena);
	} else {
		node->text = arena_strdup(b->arena, text);
	}
	apply_tag(b, node, (const char *)event->data.scalar.tag, text);
	return node;
}

static struct yaml_node *build_node(struct builder *b, yaml_event_t *event);

/* Reads and builds the next node; NULL at the end of the collection or on failure. */
static struct yaml_node *build_next(struct builder *b, yaml_event_type_t end, bool *ended)
{
	struct yaml_node *node = NULL;
	yaml_event_t event;

	if (!next_event(b, &event)) {
		return NULL;
	}
	*ended = event.type == end;
	if (!*ended) {
		node = build_node(b, &event);
	}
	yaml_event_delete(&event);
	return node;
}

static bool room_left(struct builder *b, const struct yaml_node *node)
{
	if (node->count >= YAML_MAX_ENTRIES) {
		fail(b, &node->mark, "more than 4096 entries in one list or mapping");
		return false;
	}
	return true;
}

static void build_list(struct builder *b, struct yaml_node *list)
{
	bool ended = false;

	for (;;) {
		struct yaml_node *item = build_next(b, YAML_SEQUENCE_END_EVENT, &ended);

		if (ended || !item || !room_left(b, list)) {
			return;
		}
		yaml_append(b->arena, list, item);
	}
}

/*
 * Keys that were seen, for large maps: a linear search there would make a hostile file cost
 * seconds. Open addressing, at most half full.
 */
struct key_set {
	size_t *slots; /* index + 1 of the entry; 0: free */
	size_t room;
};

static uint32_t key_hash(const char *key)
{
	uint32_t hash = 2166136261u;

	for (; *key; key++) {
		hash = (hash ^ (unsigned char)*key) * 16777619u;
	}
	return hash;
}

/* The slot where @key is or would be. */
static size_t *key_slot(const struct key_set *set, const struct yaml_node *map, const char *key)
{
	size_t i = key_hash(key) & (set->room - 1);

	while (set->slots[i] && strcmp(map->entries[set->slots[i] - 1].key, key) != 0) {
		i = (i + 1) & (set->room - 1);
	}
	return &set->slots[i];
}

static void key_set_grow(struct key_set *set, const struct yaml_node *map)
{
	if (map->count * 2 < set->room) {
		return;
	}
	free(set->slots);
	set->room = set->room ? set->room * 4 : 16;
	set->slots = xcalloc(set->room, sizeof(*set->slots));
	for (size_t i = 0; i < map->count; i++) {
		*key_slot(set, map, map->entries[i].key) = i + 1;
	}
}

static void map_push(struct builder *b, struct yaml_node *map, struct key_set *set,
	const struct yaml_entry *entry)
{
	size_t *slot;

	key_set_grow(set, map);
	slot = key_slot(set, map, entry->key);
	/* yaml_append knows no keys, so the pair is completed after it has made room. */
	yaml_append(b->arena, map, entry->value);
	map->entries[map->count - 1] = *entry;
	*slot = map->count;
}

/* Adds the pairs of one merged map that are not there yet. */
static void merge_map(
	struct builder *b, struct yaml_node *map, struct key_set *set, const struct yaml_node *from)
{
	for (size_t i = 0; i < from->count; i++) {
		key_set_grow(set, map);
		if (!room_left(b, map)) {
			return;
		}
		if (*key_slot(set, map, from->entries[i].key) == 0) {
			map_push(b, map, set, &from->entries[i]);
		}
	}
}

/* "<<": a map or a list of maps; what the map itself says wins, then the earlier one. */
static void merge_key(struct builder *b, struct yaml_node *map, struct key_set *set,
	const struct yaml_node *value)
{
	if (value->kind == YAML_MAP) {
		merge_map(b, map, set, value);
		return;
	}
	for (size_t i = 0; value->kind == YAML_LIST && i < value->count; i++) {
		const struct yaml_node *item = value->entries[i].value;

		if (item->kind != YAML_MAP) {
			fail(b, &item->mark,
				"map merge requires map or sequence of maps as the value");
			return;
		}
		merge_map(b, map, set, item);
	}
	if (value->kind != YAML_LIST) {
		fail(b, &value->mark, "map merge requires map or sequence of maps as the value");
	}
}

/* One pair; false at the end of the map or on failure. */
static bool build_pair(
	struct builder *b, struct yaml_node *map, struct key_set *set, struct yaml_node *merges)
{
	bool ended = false;
	struct yaml_node *key = build_next(b, YAML_MAPPING_END_EVENT, &ended), *value;
	struct yaml_entry entry;
	size_t seen;

	if (ended || !key) {
		return false;
	}
	if (!yaml_is_scalar(key)) {
		fail(b, &key->mark, "a key must be a plain value, not a list or mapping");
		return false;
	}
	value = build_next(b, YAML_NO_EVENT, &ended);
	if (!value) {
		return false;
	}
	if (key->plain && strcmp(key->text, "<<") == 0 && room_left(b, merges)) {
		yaml_append(b->arena, merges, value);
		return true;
	}
	if (key->kind != YAML_STRING) {
		diagnostics_add(
			b->d, SEVERITY_ERROR, &key->mark, NULL, "non-string key: %s", key->text);
		return true;
	}
	if (!room_left(b, map)) {
		return false;
	}
	entry = (struct yaml_entry){ .key = key->text, .key_mark = key->mark, .value = value };
	key_set_grow(set, map);
	seen = *key_slot(set, map, key->text);
	if (seen) {
		diagnostics_add(b->d, SEVERITY_ERROR, &key->mark, NULL,
			"mapping key \"%s\" already defined at line %u", key->text,
			map->entries[seen - 1].key_mark.line);
		return true;
	}
	map_push(b, map, set, &entry);
	return true;
}

static void build_map(struct builder *b, struct yaml_node *map)
{
	struct yaml_node merges = { .kind = YAML_LIST };
	struct key_set set = { 0 };

	while (build_pair(b, map, &set, &merges)) {
	}
	for (size_t i = 0; i < merges.count && !b->failed; i++) {
		merge_key(b, map, &set, merges.entries[i].value);
	}
	free(set.slots);
}

static struct yaml_node *build_collection(struct builder *b, const yaml_event_t *event)
{
	bool list = event->type == YAML_SEQUENCE_START_EVENT;
	struct mark mark = mark_of(b, &event->start_mark);
	struct yaml_node *node;

	if (b->depth >= YAML_MAX_DEPTH) {
		return fail(b, &mark, "nested too deeply");
	}
	node = yaml_new(b->arena, list ? YAML_LIST : YAML_MAP, &mark);
	apply_tag(b, node,
		(const char *)(list ? event->data.sequence_start.tag
				    : event->data.mapping_start.tag),
		NULL);
	b->depth++;
	if (list) {
		build_list(b, node);
	} else {
		build_map(b, node);
	}
	b->depth--;
	return b->failed ? NULL : node;
}

static struct yaml_node *build_node(struct builder *b, yaml_event_t *event)
{
	struct mark mark = mark_of(b, &event->start_mark);
	size_t before = b->nodes, anchor;
	struct yaml_node *node;
	const yaml_char_t *name = NULL;

	if (event->type == YAML_ALIAS_EVENT) {
		return alias_expand(b, (const char *)event->data.alias.anchor, &mark);
	}
	if (!charge(b, 1, &mark)) {
		return NULL;
	}
	if (event->type == YAML_SCALAR_EVENT) {
		name = event->data.scalar.anchor;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		name = event->data.sequence_start.anchor;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		name = event->data.mapping_start.anchor;
	}
	anchor = anchor_open(b, name);
	node = event->type == YAML_SCALAR_EVENT ? build_scalar(b, event)
						: build_collection(b, event);
	if (anchor && node) {
		b->anchors[anchor - 1].node = node;
		b->anchors[anchor - 1].nodes = b->nodes - before;
	}
	return node;
}

static void add_document(
	struct builder *b, struct yaml_documents *documents, struct yaml_node *node)
{
	struct yaml_node **items = arena_array(b->arena, documents->count + 1, sizeof(*items));

	if (documents->count) {
		memcpy(items, documents->items, documents->count * sizeof(*items));
	}
	items[documents->count++] = node;
	documents->items = items;
	/* Anchors do not reach over documents. */
	b->anchor_count = 0;
}

static void build_stream(struct builder *b, struct yaml_documents *documents)
{
	bool done = false;

	while (!done && !b->failed) {
		struct yaml_node *node;
		yaml_event_t event;

		if (!next_event(b, &event)) {
			return;
		}
		done = event.type == YAML_STREAM_END_EVENT || event.type == YAML_NO_EVENT;
		if (event.type == YAML_SCALAR_EVENT || event.type == YAML_ALIAS_EVENT ||
			event.type == YAML_SEQUENCE_START_EVENT ||
			event.type == YAML_MAPPING_START_EVENT) {
			node = build_node(b, &event);
			if (node && documents->count >= 1000) {
				fail(b, &node->mark, "too many documents in one file");
			} else if (node) {
				add_document(b, documents, node);
			}
		}
		yaml_event_delete(&event);
	}
}

int yaml_parse(const char *data, size_t size, const char *file, struct arena *arena,
	struct yaml_documents *documents, struct diagnostics *d)
{
	struct builder b = { .file = arena_strdup(arena, file), .arena = arena, .d = d };
	size_t errors = d->errors;

	*documents = (struct yaml_documents){ 0 };
	if (size > YAML_MAX_BYTES) {
		struct mark mark = { .file = b.file };

		diagnostics_add(d, SEVERITY_ERROR, &mark, NULL, "file is larger than %d bytes",
			YAML_MAX_BYTES);
		return -EINVAL;
	}
	if (!yaml_parser_initialize(&b.parser)) {
		return -ENOMEM;
	}
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)data, size);
	build_stream(&b, documents);
	yaml_parser_delete(&b.parser);
	free(b.anchors);
	return d->errors > errors ? -EINVAL : 0;
}
