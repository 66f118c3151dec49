/* Short forms of single keys and the long ones they stand for. */
#include <errno.h>

#include "specs/compose_schema.h"

const char *shape_absolute(struct shaper *s, const char *path)
{
	struct str out = { 0 };
	const char *result;

	if (s->escape_paths) {
		return path;
	}
	if (path[0] == '~' && (!path[1] || path[1] == '/') && s->home) {
		str_addf(&out, "%s/%s", s->home, path + 1);
	} else if (path[0] == '/') {
		str_add(&out, path);
	} else {
		str_addf(&out, "%s/%s", s->directory, path);
	}
	/* "." and ".." are resolved in the text alone: what is there may not exist yet. */
	{
		char *clean = xstrdup("/");
		size_t used = 1;

		clean = xrealloc(clean, out.size + 2, 1);
		for (const char *p = str_text(&out); *p;) {
			size_t size = strcspn(p, "/");

			if (size == 2 && strncmp(p, "..", 2) == 0) {
				while (used > 1 && clean[--used] != '/') {
				}
				used = used ? used : 1;
			} else if (size && !(size == 1 && *p == '.')) {
				if (used > 1) {
					clean[used++] = '/';
				}
				memcpy(clean + used, p, size);
				used += size;
			}
			p += size;
			p += strspn(p, "/");
		}
		clean[used] = '\0';
		result = arena_strdup(s->arena, clean);
		free(clean);
	}
	str_finish(&out);
	return result;
}

static struct yaml_node *wrap(struct shaper *s, struct yaml_node *node, const char *key)
{
	struct yaml_node *map = yaml_new(s->arena, YAML_MAP, &node->mark);

	node->tag = YAML_TAG_NONE;
	yaml_set(s->arena, map, key, &node->mark, node);
	return map;
}

/* A list of names as a map of nothing. */
static struct yaml_node *names_to_map(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	struct yaml_node *map;

	if (node->kind != YAML_LIST) {
		return node;
	}
	map = yaml_new(s->arena, YAML_MAP, &node->mark);
	for (size_t i = 0; i < node->count; i++) {
		struct yaml_node *item = node->entries[i].value;
		struct compose_path child = { .parent = path, .index = i };

		if (item->kind == YAML_STRING) {
			yaml_set(s->arena, map, item->text, &item->mark,
				yaml_new(s->arena, YAML_NULL, &item->mark));
		} else {
			shape_error(s, &item->mark, &child, " must be a string");
		}
	}
	return map;
}

struct yaml_node *shape_file_path(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	(void)path;
	/* A build context may be an address; it is left as it is. */
	if (node->kind == YAML_STRING && !strstr(node->text, "://") &&
		strncmp(node->text, "git@", 4) != 0) {
		node->text = shape_absolute(s, node->text);
	}
	return node;
}

struct yaml_node *shape_label_file(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	if (node->kind == YAML_STRING) {
		return shape_file_path(s, node, path);
	}
	for (size_t i = 0; node->kind == YAML_LIST && i < node->count; i++) {
		shape_file_path(s, node->entries[i].value, path);
	}
	return node;
}

struct yaml_node *shape_build(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	diagnostics_add(s->d, SEVERITY_WARNING, &node->mark, NULL,
		"build is not supported yet: the image must be made by `wherry image bootstrap` or "
		"brought in by `wherry image import` first");
	(void)path;
	if (node->kind == YAML_STRING) {
		node = wrap(s, node, "context");
	}
	if (node->kind == YAML_MAP && !yaml_find(node, "context")) {
		yaml_set(s->arena, node, "context", &node->mark,
			yaml_new_string(s->arena, ".", &node->mark));
	}
	return node;
}

struct yaml_node *shape_extends(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	(void)path;
	return node->kind == YAML_STRING ? wrap(s, node, "service") : node;
}

struct yaml_node *shape_include(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	(void)path;
	for (size_t i = 0; node->kind == YAML_LIST && i < node->count; i++) {
		if (node->entries[i].value->kind == YAML_STRING) {
			node->entries[i].value = wrap(s, node->entries[i].value, "path");
		}
	}
	return node;
}

struct yaml_node *shape_depends_on(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	node = names_to_map(s, node, path);
	for (size_t i = 0; node->kind == YAML_MAP && i < node->count; i++) {
		struct yaml_entry *entry = &node->entries[i];
		struct compose_path child = { .parent = path, .key = entry->key };
		struct compose_path condition = { .parent = &child, .key = "condition" };
		const char *text;

		if (entry->value->kind == YAML_NULL) {
			entry->value = yaml_new(s->arena, YAML_MAP, &entry->key_mark);
		}
		if (entry->value->kind != YAML_MAP) {
			continue;
		}
		text = yaml_get_text(entry->value, "condition");
		if (!text) {
			yaml_set(s->arena, entry->value, "condition", NULL,
				yaml_new_string(s->arena, "service_started", &entry->key_mark));
		} else if (strcmp(text, "service_started") != 0 &&
			   strcmp(text, "service_healthy") != 0 &&
			   strcmp(text, "service_completed_successfully") != 0) {
			shape_error(s, &yaml_get(entry->value, "condition")->mark, &condition,
				" value must be one of 'service_started', 'service_healthy', "
				"'service_completed_successfully'");
		}
		if (!yaml_find(entry->value, "required")) {
			yaml_set(s->arena, entry->value, "required", NULL,
				yaml_new_bool(s->arena, true, &entry->key_mark));
		}
	}
	return node;
}

struct yaml_node *shape_networks(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	return names_to_map(s, node, path);
}

struct yaml_node *shape_models(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	return names_to_map(s, node, path);
}

/* File modes are octal numbers however they are written: 0440, 0o440, "0440". */
static void shape_mode(struct shaper *s, struct yaml_node *item, const struct compose_path *path)
{
	struct yaml_node *mode = yaml_get(item, "mode");
	char *end;
	long value;

	if (!mode || mode->kind == YAML_NULL) {
		return;
	}
	if (mode->kind == YAML_INT) {
		value = (long)mode->integer;
	} else if (mode->kind == YAML_STRING) {
		const char *digits =
			strncmp(mode->text, "0o", 2) == 0 ? mode->text + 2 : mode->text;

		value = strtol(digits, &end, 8);
		value = *end || end == digits ? -1 : value;
	} else {
		value = -1;
	}
	if (value < 0 || value > 07777) {
		struct compose_path child = { .parent = path, .key = "mode" };

		shape_error(s, &mode->mark, &child, " must be a file mode such as 0440");
		value = 0;
	}
	*mode = *yaml_new_string(s->arena, arena_printf(s->arena, "0%03lo", value), &mode->mark);
}

struct yaml_node *shape_grants(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	bool secrets = strcmp(path->key, "secrets") == 0;

	for (size_t i = 0; node->kind == YAML_LIST && i < node->count; i++) {
		struct compose_path child = { .parent = path, .index = i };
		struct yaml_node *item = node->entries[i].value;
		const char *source, *target;

		if (item->kind == YAML_STRING) {
			item = node->entries[i].value = wrap(s, item, "source");
		}
		if (item->kind != YAML_MAP) {
			continue;
		}
		shape_mode(s, item, &child);
		source = yaml_get_text(item, "source");
		target = yaml_get_text(item, "target");
		if (!source) {
			shape_error(s, &item->mark, &child, " needs a source");
		} else if (secrets && !target) {
			yaml_set(s->arena, item, "target", NULL,
				yaml_new_string(s->arena,
					arena_printf(s->arena, "/run/secrets/%s", source),
					&item->mark));
		}
	}
	return node;
}

struct yaml_node *shape_env_file(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	(void)path;
	if (node->kind == YAML_STRING || node->kind == YAML_MAP) {
		struct yaml_node *list = yaml_new(s->arena, YAML_LIST, &node->mark);

		yaml_append(s->arena, list, node);
		node = list;
	}
	for (size_t i = 0; node->kind == YAML_LIST && i < node->count; i++) {
		if (node->entries[i].value->kind == YAML_STRING) {
			node->entries[i].value = wrap(s, node->entries[i].value, "path");
		}
	}
	return node;
}

struct yaml_node *shape_test(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	const char *first;

	if (node->kind == YAML_STRING) {
		struct yaml_node *list = yaml_new(s->arena, YAML_LIST, &node->mark);

		yaml_append(s->arena, list, yaml_new_string(s->arena, "CMD-SHELL", &node->mark));
		yaml_append(s->arena, list, node);
		return list;
	}
	if (node->kind != YAML_LIST || node->count == 0) {
		return node;
	}
	first = node->entries[0].value->kind == YAML_STRING ? node->entries[0].value->text : "";
	if (strcmp(first, "CMD") != 0 && strcmp(first, "CMD-SHELL") != 0 &&
		strcmp(first, "NONE") != 0) {
		shape_error(s, &node->entries[0].value->mark, path,
			" must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"");
	}
	return node;
}

/* "src[:dst[:rwm]]" or a CDI name such as vendor.com/class=name. */
struct yaml_node *shape_devices(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	for (size_t i = 0; node->kind == YAML_LIST && i < node->count; i++) {
		struct compose_path child = { .parent = path, .index = i };
		struct yaml_node *item = node->entries[i].value, *map;
		const char *parts[3] = { "", NULL, "rwm" };
		char *rest;
		size_t count = 0;

		if (item->kind != YAML_STRING) {
			continue;
		}
		rest = arena_strdup(s->arena, item->text);
		while (rest && count < 3) {
			parts[count++] = strsep(&rest, ":");
		}
		if (rest || !*parts[0]) {
			shape_error(s, &item->mark, &child,
				": confusing device mapping, please use long syntax: %s",
				item->text);
			continue;
		}
		map = yaml_new(s->arena, YAML_MAP, &item->mark);
		yaml_set(s->arena, map, "source", NULL,
			yaml_new_string(s->arena, parts[0], &item->mark));
		yaml_set(s->arena, map, "target", NULL,
			yaml_new_string(s->arena, parts[1] ? parts[1] : parts[0], &item->mark));
		yaml_set(s->arena, map, "permissions", NULL,
			yaml_new_string(s->arena, parts[2], &item->mark));
		node->entries[i].value = map;
	}
	return node;
}

/* One number stands for both limits. */
struct yaml_node *shape_ulimits(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	(void)path;
	for (size_t i = 0; node->kind == YAML_MAP && i < node->count; i++) {
		struct yaml_node *value = node->entries[i].value;

		if (value->kind == YAML_INT || value->kind == YAML_STRING) {
			struct yaml_node *map = yaml_new(s->arena, YAML_MAP, &value->mark);

			/* Remembered, so that it is printed as one number again. */
			map->plain = true;
			yaml_set(s->arena, map, "soft", &value->mark, value);
			yaml_set(s->arena, map, "hard", &value->mark, yaml_copy(s->arena, value));
			node->entries[i].value = map;
		}
	}
	return node;
}

/* "host=ip", "host:ip" (also with an IPv6 address, bracketed or not). */
static struct yaml_node *host_item(
	struct shaper *s, const struct yaml_node *item, const struct compose_path *path)
{
	size_t name = strcspn(item->text, "=");
	const char *ip;
	size_t size;

	if (!item->text[name]) {
		name = strcspn(item->text, ":");
	}
	if (name == 0 || !item->text[name] || !item->text[name + 1]) {
		shape_error(s, &item->mark, path, ": bad host name '%s'\nwrite name=address",
			item->text);
		return NULL;
	}
	ip = item->text + name + 1;
	size = strlen(ip);
	if (size > 2 && ip[0] == '[' && ip[size - 1] == ']') {
		ip = arena_strndup(s->arena, ip + 1, size - 2);
	}
	return yaml_new_string(s->arena,
		arena_printf(s->arena, "%.*s=%s", (int)name, item->text, ip), &item->mark);
}

struct yaml_node *shape_extra_hosts(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	struct yaml_node *list = yaml_new(s->arena, YAML_LIST, &node->mark);

	if (yaml_is_scalar(node)) {
		shape_error(s, &node->mark, path, " must be a mapping");
		return NULL;
	}
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_entry *entry = &node->entries[i];
		struct compose_path child = { .parent = path, .key = entry->key, .index = i };
		const struct yaml_node *value = entry->value;

		/* name: [ip, ip] is one item for each; a plain item is a list of itself. */
		for (size_t j = 0; j < (value->kind == YAML_LIST ? value->count : 1); j++) {
			struct yaml_node item =
				value->kind == YAML_LIST ? *value->entries[j].value : *value;
			struct yaml_node *made;

			if (item.kind != YAML_STRING) {
				shape_error(s, &item.mark, &child, " must be a string");
				continue;
			}
			if (entry->key) {
				item.text = arena_printf(s->arena, "%s=%s", entry->key, item.text);
			}
			made = host_item(s, &item, &child);
			if (made) {
				yaml_append(s->arena, list, made);
			}
		}
	}
	return list;
}

struct yaml_node *shape_gpus(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	struct yaml_node *list;

	if (node->kind != YAML_STRING) {
		return node;
	}
	if (strcmp(node->text, "all") != 0) {
		shape_error(s, &node->mark, path, " must be \"all\" or a list");
		return NULL;
	}
	list = yaml_new(s->arena, YAML_LIST, &node->mark);
	yaml_append(s->arena, list, wrap(s, node, "count"));
	return list;
}

/* The old form `external: {name: x}`; its name moves up, which the decoder does. */
struct yaml_node *shape_external(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	char name[COMPOSE_PATH_SIZE];

	if (node->kind == YAML_MAP) {
		compose_path_text(path->parent, name);
		shape_error(s, &node->mark, path->parent,
			": external.name is obsolete\nwrite `external: true` and `name: %s` beside "
			"it",
			yaml_get_text(node, "name") ? yaml_get_text(node, "name") : "...");
		return NULL;
	}
	return node;
}
