/*
 * volumes, short form: "[SOURCE:]TARGET[:OPTIONS]". A source that starts with ".", "/" or "~" is
 * a path on the host, any other a named volume; without one the volume is anonymous.
 */
#include <errno.h>

#include "specs/compose_schema.h"

static void put(struct shaper *s, struct yaml_node *map, const char *key, const char *text)
{
	yaml_set(s->arena, map, key, &map->mark, yaml_new_string(s->arena, text, &map->mark));
}

static void put_bool(struct shaper *s, struct yaml_node *map, const char *key, bool value)
{
	yaml_set(s->arena, map, key, &map->mark, yaml_new_bool(s->arena, value, &map->mark));
}

/* The sub-map "bind", "volume", ...: made if it is not there. */
static struct yaml_node *part(struct shaper *s, struct yaml_node *map, const char *key)
{
	struct yaml_node *found = yaml_get(map, key);

	if (!found || found->kind == YAML_NULL) {
		found = yaml_new(s->arena, YAML_MAP, &map->mark);
		yaml_set(s->arena, map, key, &map->mark, found);
	}
	return found;
}

static bool is_host_path(const char *source)
{
	return source[0] == '.' || source[0] == '/' || source[0] == '~';
}

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++) {
		if (strcmp(text, *words) == 0) {
			return true;
		}
	}
	return false;
}

static void apply_option(struct shaper *s, struct yaml_node *map, const char *option, bool bind,
	const struct compose_path *path)
{
	static const char *const propagations[] = { "rprivate", "private", "rshared", "shared",
		"rslave", "slave", NULL };
	static const char *const consistencies[] = { "consistent", "cached", "delegated", NULL };

	if (strcmp(option, "ro") == 0) {
		put_bool(s, map, "read_only", true);
	} else if (strcmp(option, "rw") == 0 || !*option) {
		return;
	} else if (strcmp(option, "nocopy") == 0) {
		if (!bind) {
			put_bool(s, part(s, map, "volume"), "nocopy", true);
		}
	} else if (strcmp(option, "z") == 0 || strcmp(option, "Z") == 0) {
		if (bind) {
			put(s, part(s, map, "bind"), "selinux", option);
		}
	} else if (is_one_of(option, propagations)) {
		if (bind) {
			put(s, part(s, map, "bind"), "propagation", option);
		}
	} else if (is_one_of(option, consistencies)) {
		put(s, map, "consistency", option);
	} else {
		shape_error(s, &map->mark, path,
			": unknown option '%s'\nknown are ro, rw, z, Z, nocopy, and [r]private, "
			"[r]shared, [r]slave",
			option);
	}
}

static struct yaml_node *expand_short(
	struct shaper *s, const struct yaml_node *item, const struct compose_path *path)
{
	struct yaml_node *map = yaml_new(s->arena, YAML_MAP, &item->mark);
	char *rest = arena_strdup(s->arena, item->text);
	const char *parts[3] = { "", "", "" }, *source = NULL, *target;
	size_t count = 0;
	bool bind;

	while (rest && count < 3) {
		parts[count++] = strsep(&rest, ":");
	}
	if (rest) {
		shape_error(
			s, &item->mark, path, ": invalid spec: %s: too many colons", item->text);
		return NULL;
	}
	if (count == 1) {
		target = parts[0];
	} else {
		source = parts[0];
		target = parts[1];
	}
	if (!*target || (source && !*source)) {
		shape_error(s, &item->mark, path,
			": invalid spec: %s: empty section between colons", item->text);
		return NULL;
	}
	bind = source && is_host_path(source);
	put(s, map, "type", bind ? "bind" : "volume");
	if (source) {
		put(s, map, "source", bind ? shape_absolute(s, source) : source);
	}
	put(s, map, "target", target);
	if (bind) {
		put_bool(s, part(s, map, "bind"), "create_host_path", true);
	} else {
		part(s, map, "volume");
	}
	for (char *options = count == 3 ? arena_strdup(s->arena, parts[2]) : NULL; options;) {
		apply_option(s, map, strsep(&options, ","), bind, path);
	}
	return map;
}

static void complete_long(struct shaper *s, struct yaml_node *item, const struct compose_path *path)
{
	static const char *const types[] = { "bind", "volume", "tmpfs", "image", NULL };
	const char *type = yaml_get_text(item, "type"), *source = yaml_get_text(item, "source");
	struct compose_path child = { .parent = path, .key = "type" };

	if (!type) {
		shape_error(s, &item->mark, path,
			": missing property 'type'\none of bind, volume, "
			"tmpfs, image");
		return;
	}
	if (!is_one_of(type, types)) {
		shape_error(s, &yaml_get(item, "type")->mark, &child,
			" value must be one of 'bind', 'volume', 'tmpfs', 'image'");
		return;
	}
	if (!yaml_get_text(item, "target")) {
		shape_error(s, &item->mark, path, ": a mount needs a target");
	}
	if (strcmp(type, "bind") == 0) {
		struct yaml_node *bind = part(s, item, "bind");

		if (!source) {
			shape_error(s, &item->mark, path, ": bind mount needs a source");
		} else {
			yaml_get(item, "source")->text = shape_absolute(s, source);
		}
		if (bind->kind == YAML_MAP && !yaml_find(bind, "create_host_path")) {
			put_bool(s, bind, "create_host_path", true);
		}
	} else if (strcmp(type, "tmpfs") != 0) {
		part(s, item, type);
	}
}

/* A target is absolute and clean, so that "/a", "/a/" and "/./a" are one place. */
static void clean_target(struct shaper *s, struct yaml_node *item, const struct compose_path *path)
{
	struct yaml_node *target = yaml_get(item, "target");
	struct shaper rootward = *s;

	if (!target || target->kind != YAML_STRING) {
		return;
	}
	if (target->text[0] != '/') {
		shape_error(s, &target->mark, path,
			": target %s must be an absolute path in the container", target->text);
		return;
	}
	rootward.escape_paths = false;
	target->text = shape_absolute(&rootward, target->text);
}

struct yaml_node *shape_volumes(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	for (size_t i = 0; node->kind == YAML_LIST && i < node->count; i++) {
		struct compose_path child = { .parent = path, .index = i };
		struct yaml_node *item = node->entries[i].value;

		if (item->kind == YAML_STRING) {
			struct yaml_node *map = expand_short(s, item, &child);

			item = node->entries[i].value =
				map ? map : yaml_new(s->arena, YAML_MAP, &item->mark);
		} else if (item->kind == YAML_MAP) {
			complete_long(s, item, &child);
		}
		if (item->kind == YAML_MAP) {
			clean_target(s, item, &child);
		}
	}
	return node;
}
