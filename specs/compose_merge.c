/* How a later file's tree is laid on an earlier one's; both are in long form. */
#include "base/hash.h"
#include "specs/compose_schema.h"

static struct yaml_node *merge_value(struct arena *arena, const struct schema_key *key,
	struct yaml_node *base, struct yaml_node *over);

static void merge_lists(struct arena *arena, struct yaml_node *base, const struct yaml_node *over)
{
	for (size_t i = 0; i < over->count; i++) {
		yaml_append(arena, base, over->entries[i].value);
	}
}

/* The members named in @identity, joined: equal texts mean "the same port", "the same target". */
static char *identity_of(const struct yaml_node *item, const char *identity)
{
	struct str text = { 0 };

	if (yaml_is_scalar(item)) {
		return xstrdup(item->text);
	}
	while (identity && *identity) {
		size_t size = strcspn(identity, ",");
		_cleanup_free_ char *name = xstrndup(identity, size);
		const char *value = yaml_get_text(item, name);

		str_addf(&text, "%s\x1f", value ? value : "");
		identity += size + (identity[size] == ',');
	}
	return str_take(&text);
}

/* Later items take the place of earlier equal ones, where those stood. A range can make tens of
 * thousands of ports, hence the hash table (open addressing, at most half full). */
static void unify(struct yaml_node *list, const char *identity)
{
	char **seen = xcalloc(list->count, sizeof(*seen));
	size_t kept = 0, room = 16, *slots;

	while (room < list->count * 2) {
		room *= 2;
	}
	slots = xcalloc(room, sizeof(*slots)); /* index + 1 into seen; 0: free */
	for (size_t i = 0; i < list->count; i++) {
		char *id = identity_of(list->entries[i].value, identity);
		size_t at = (size_t)hash_u64(id, strlen(id)) & (room - 1);

		while (slots[at] && strcmp(seen[slots[at] - 1], id) != 0) {
			at = (at + 1) & (room - 1);
		}
		if (slots[at]) {
			list->entries[slots[at] - 1] = list->entries[i];
			free(id);
		} else {
			list->entries[kept] = list->entries[i];
			seen[kept++] = id;
			slots[at] = kept;
		}
	}
	for (size_t i = 0; i < kept; i++) {
		free(seen[i]);
	}
	free(seen);
	free(slots);
	list->count = kept;
}

/* Options of two logging drivers have nothing to do with each other. */
static bool driver_differs(const struct yaml_node *base, const struct yaml_node *over)
{
	const char *a = yaml_get_text(base, "driver"), *b = yaml_get_text(over, "driver");

	return a && b && strcmp(a, b) != 0;
}

static void merge_object(struct arena *arena, const struct schema_object *object,
	struct yaml_node *base, const struct yaml_node *over)
{
	/* Asked before the loop lays the new driver on the old one. */
	bool new_driver = driver_differs(base, over);

	for (size_t i = 0; i < over->count; i++) {
		const struct yaml_entry *entry = &over->entries[i];
		const struct schema_key *key = schema_key_find(object, entry->key);
		struct yaml_node *old = yaml_get(base, entry->key), *value;

		if (key && strcmp(key->name, "options") == 0 && new_driver) {
			old = NULL;
		}
		value = merge_value(arena, key, old, entry->value);
		if (value) {
			yaml_set(arena, base, entry->key, &entry->key_mark, value);
		} else {
			yaml_remove(base, entry->key);
		}
	}
}

/* Every value of both maps by one rule: names of services, keys of an environment. */
static void merge_map(struct arena *arena, const struct schema_key *key, struct yaml_node *base,
	const struct yaml_node *over)
{
	const struct schema_key item = {
		.name = "",
		.kind = key->kind == KIND_OBJECT_MAP ? KIND_OBJECT : KIND_ANY,
		.object = key->object,
		.flags = key->flags & KEY_REPLACE,
	};

	for (size_t i = 0; i < over->count; i++) {
		const struct yaml_entry *entry = &over->entries[i];
		struct yaml_node *value =
			merge_value(arena, &item, yaml_get(base, entry->key), entry->value);

		if (value) {
			yaml_set(arena, base, entry->key, &entry->key_mark, value);
		} else {
			yaml_remove(base, entry->key);
		}
	}
}

/* Deep in the tree !reset has to go even where there is nothing to meet. */
static struct yaml_node *merge_value(struct arena *arena, const struct schema_key *key,
	struct yaml_node *base, struct yaml_node *over)
{
	bool map_of = key && (key->kind == KIND_OBJECT_MAP || key->kind == KIND_DICT);

	if (over->tag == YAML_TAG_RESET) {
		return NULL;
	}
	if (over->tag == YAML_TAG_OVERRIDE) {
		over->tag = YAML_TAG_NONE;
		base = NULL;
	}
	/* A key without a value leaves what is there, except for a variable or a named thing. */
	if (base && over->kind == YAML_NULL && key && key->kind != KIND_ANY) {
		return base;
	}
	if (over->kind == YAML_LIST) {
		bool append = base && base->kind == YAML_LIST && key && key->kind != KIND_WORDS &&
			      !(key->flags & KEY_REPLACE);

		if (append) {
			merge_lists(arena, base, over);
		} else {
			base = over;
		}
		if (key && (key->flags & KEY_UNIQUE || key->identity)) {
			unify(base, key->identity);
		}
		return base;
	}
	if (over->kind != YAML_MAP) {
		return over;
	}
	if (key && key->flags & KEY_REPLACE && !map_of) {
		return over;
	}
	if (!base || base->kind != YAML_MAP) {
		base = yaml_new(arena, YAML_MAP, &over->mark);
	}
	if (map_of) {
		merge_map(arena, key, base, over);
	} else {
		merge_object(arena, key ? key->object : NULL, base, over);
	}
	return base;
}

struct yaml_node *compose_merge(struct arena *arena, struct yaml_node *base, struct yaml_node *over)
{
	if (!base) {
		base = yaml_new(arena, YAML_MAP, &over->mark);
	}
	if (over->kind == YAML_MAP) {
		merge_object(arena, &compose_schema_root, base, over);
	}
	return base;
}
