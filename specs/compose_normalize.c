/* After the merge: what the file leaves unsaid is said, so that later passes need not guess. */
#include <errno.h>
#include <fcntl.h>

#include "base/file.h"
#include "specs/compose_internal.h"

static struct yaml_node *child_map(struct loader *l, struct yaml_node *map, const char *key)
{
	struct yaml_node *child = yaml_get(map, key);

	if (!child || child->kind != YAML_MAP) {
		child = yaml_new(l->arena, YAML_MAP, &map->mark);
		yaml_set(l->arena, map, key, &map->mark, child);
	}
	return child;
}

/* Keys without a value mean "not given" almost everywhere; then they only get in the way. */
static void drop_nulls(struct yaml_node *map)
{
	size_t kept = 0;

	for (size_t i = 0; i < map->count; i++) {
		if (map->entries[i].value->kind != YAML_NULL) {
			map->entries[kept++] = map->entries[i];
		}
	}
	map->count = kept;
}

/* What an env_file may refer to: the project's variables, then the service's own. */
struct service_scope {
	struct loader *l;
	const struct yaml_node *environment;
};

static const char *scope_lookup(void *owner, const char *name)
{
	const struct service_scope *scope = owner;
	const char *value = loader_variable(scope->l, name);

	return value ? value : yaml_get_text(scope->environment, name);
}

static void read_service_env_file(struct loader *l, const struct yaml_node *item,
	struct service_scope *scope, struct compose_pairs *pairs)
{
	const char *path = yaml_get_text(item, "path"), *format = yaml_get_text(item, "format");
	const struct yaml_node *required = yaml_get(item, "required");
	const struct dotenv how = {
		.arena = l->arena,
		.lookup = scope_lookup,
		.owner = scope,
		.pairs = pairs,
		.d = l->d,
	};
	_cleanup_free_ char *data = NULL;
	size_t size;
	int r;

	if (!path) {
		load_error(l, &item->mark, "env_file needs a path");
		return;
	}
	if (format && strcmp(format, "raw") != 0) {
		load_error(l, &yaml_get(item, "format")->mark, "unsupported env_file format \"%s\"",
			format);
		return;
	}
	r = file_read_at(AT_FDCWD, path, DOTENV_MAX_BYTES, &data, &size, NULL);
	if (r == -ENOENT && required && required->kind == YAML_BOOL && !required->boolean) {
		return;
	}
	if (r == -ENOENT) {
		load_error(l, &item->mark, "env file %s not found", path);
	} else if (r < 0) {
		load_error(l, &item->mark, "read env file %s: %s", path, strerror(-r));
	} else if (format) {
		dotenv_parse_raw(&how, path, data, size);
	} else {
		dotenv_parse(&how, path, data, size);
	}
}

/* env_file in order, then environment; a key without value is the project's, else stays null. */
static void resolve_environment(struct loader *l, struct yaml_node *service)
{
	struct yaml_node *files = yaml_get(service, "env_file");
	struct yaml_node *environment = yaml_get(service, "environment");
	struct service_scope scope = { .l = l, .environment = environment };
	struct yaml_node *all = yaml_new(l->arena, YAML_MAP, &service->mark);
	struct compose_pairs pairs = { 0 };

	for (size_t i = 0; files && i < files->count; i++) {
		read_service_env_file(l, files->entries[i].value, &scope, &pairs);
	}
	for (size_t i = 0; i < pairs.count; i++) {
		yaml_set(l->arena, all, pairs.items[i].key, &pairs.items[i].mark,
			yaml_new_string(l->arena, pairs.items[i].value, &pairs.items[i].mark));
	}
	for (size_t i = 0; environment && i < environment->count; i++) {
		struct yaml_entry *entry = &environment->entries[i];
		const char *key = entry->key, *value;
		size_t size = strlen(key);

		if (size == 0 || key[size - 1] == ' ' || key[size - 1] == '\t') {
			load_error(l, &entry->key_mark,
				size ? "environment variable %s is declared with a trailing space"
				     : "environment variable without a name%s",
				key);
			continue;
		}
		value = entry->value->kind == YAML_NULL ? loader_variable(l, key) : NULL;
		yaml_set(l->arena, all, key, &entry->key_mark,
			value ? yaml_new_string(l->arena, value, &entry->value->mark)
			      : entry->value);
	}
	yaml_remove(service, "env_file");
	yaml_remove(service, "environment");
	if (all->count) {
		yaml_set(l->arena, service, "environment", environment ? &environment->mark : NULL,
			all);
	}
}

static void imply(
	struct loader *l, struct yaml_node *service, const struct mark *mark, const char *name)
{
	struct yaml_node *depends = child_map(l, service, "depends_on"), *item;

	if (yaml_find(depends, name)) {
		return;
	}
	item = yaml_new(l->arena, YAML_MAP, mark);
	yaml_set(l->arena, item, "condition", NULL,
		yaml_new_string(l->arena, "service_started", mark));
	yaml_set(l->arena, item, "restart", NULL, yaml_new_bool(l->arena, true, mark));
	yaml_set(l->arena, item, "required", NULL, yaml_new_bool(l->arena, true, mark));
	yaml_set(l->arena, depends, name, mark, item);
}

/* network_mode, pid, ipc: service:NAME needs that service first, and goes where it goes. */
static void imply_dependency(struct loader *l, struct yaml_node *service, const char *key)
{
	const struct yaml_node *node = yaml_get(service, key);

	if (node && node->kind == YAML_STRING && strncmp(node->text, "service:", 8) == 0) {
		imply(l, service, &node->mark, node->text + 8);
	}
}

/* links: [SERVICE[:ALIAS]], volumes_from: [SERVICE[:ro]] need that service first, too. */
static void imply_dependencies(struct loader *l, struct yaml_node *service, const char *key)
{
	const struct yaml_node *list = yaml_get(service, key);

	for (size_t i = 0; list && i < list->count; i++) {
		const struct yaml_node *item = list->entries[i].value;

		if (strncmp(item->text, "container:", 10) != 0) {
			imply(l, service, &item->mark,
				arena_strndup(l->arena, item->text, strcspn(item->text, ":")));
		}
	}
}

/* Build arguments without a value are the project's variables, or nothing. */
static void resolve_arguments(struct loader *l, struct yaml_node *args)
{
	for (size_t i = 0; args && i < args->count; i++) {
		struct yaml_entry *entry = &args->entries[i];
		const char *value = loader_variable(l, entry->key);

		if (entry->value->kind == YAML_NULL && value) {
			entry->value = yaml_new_string(l->arena, value, &entry->value->mark);
		}
	}
	if (args) {
		drop_nulls(args);
	}
}

/* A label without a value has the empty one. */
static void fill_labels(struct loader *l, struct yaml_node *labels)
{
	for (size_t i = 0; labels && i < labels->count; i++) {
		struct yaml_node *value = labels->entries[i].value;

		if (value->kind == YAML_NULL) {
			labels->entries[i].value = yaml_new_string(l->arena, "", &value->mark);
		}
	}
}

static void normalize_service(struct loader *l, struct yaml_node *service, bool enabled)
{
	static const char *const sharing[] = { "network_mode", "ipc", "pid" };
	struct yaml_node *networks, *build;

	drop_nulls(service);
	if (enabled) {
		resolve_environment(l, service);
	}
	fill_labels(l, yaml_get(service, "labels"));
	fill_labels(l, yaml_get(service, "annotations"));
	for (size_t i = 0; i < ARRAY_SIZE(sharing); i++) {
		imply_dependency(l, service, sharing[i]);
	}
	imply_dependencies(l, service, "links");
	imply_dependencies(l, service, "volumes_from");
	if (yaml_get(service, "profiles") && yaml_get(service, "profiles")->count == 0) {
		yaml_remove(service, "profiles");
	}
	build = yaml_get(service, "build");
	resolve_arguments(l, yaml_get(build, "args"));
	if (build && !yaml_find(build, "dockerfile") && !yaml_find(build, "dockerfile_inline")) {
		yaml_set(l->arena, build, "dockerfile", NULL,
			yaml_new_string(l->arena, "Dockerfile", &build->mark));
	}
	networks = yaml_get(service, "networks");
	if ((!networks || networks->count == 0) && !yaml_find(service, "network_mode")) {
		networks = child_map(l, service, "networks");
		yaml_set(l->arena, networks, "default", &service->mark,
			yaml_new(l->arena, YAML_NULL, &service->mark));
	}
}

static bool list_has(const char *const *list, const char *text)
{
	for (; list && *list; list++) {
		if (strcmp(*list, text) == 0) {
			return true;
		}
	}
	return false;
}

static bool profile_active(const char *const *active, const struct yaml_node *service)
{
	const struct yaml_node *profiles = yaml_get(service, "profiles");

	if (!profiles || profiles->kind != YAML_LIST || profiles->count == 0 ||
		list_has(active, "*")) {
		return true;
	}
	for (size_t i = 0; i < profiles->count; i++) {
		if (list_has(active, profiles->entries[i].value->text)) {
			return true;
		}
	}
	return false;
}

/* The services that run: those without profile, of an active one, or named on the command line
 * (which activates their profiles for what they depend on, too). */
struct selection {
	struct loader *l;
	struct yaml_node *services;
	bool *enabled;
};

/* A named service's profiles count for the services it depends on. @depth bounds cycles. */
static void enable_named(
	struct selection *sel, const char *name, const char *const *profiles, size_t depth)
{
	const struct yaml_entry *entry = yaml_find(sel->services, name);
	const struct yaml_node *depends, *own;
	_cleanup_strv_ struct strv active = { 0 };
	size_t index;

	if (!entry || depth > sel->services->count) {
		return;
	}
	index = (size_t)(entry - sel->services->entries);
	if (depth > 0 && !profile_active(profiles, entry->value)) {
		return;
	}
	if (depth > 0 && sel->enabled[index]) {
		return;
	}
	sel->enabled[index] = true;
	own = yaml_get(entry->value, "profiles");
	for (const char *const *p = profiles; p && *p; p++) {
		strv_add(&active, *p);
	}
	for (size_t i = 0; own && own->kind == YAML_LIST && i < own->count; i++) {
		strv_add(&active, own->entries[i].value->text);
	}
	depends = yaml_get(entry->value, "depends_on");
	for (size_t i = 0; depends && i < depends->count; i++) {
		enable_named(
			sel, depends->entries[i].key, (const char *const *)active.items, depth + 1);
	}
}

static void active_profiles(struct loader *l, struct strv *active)
{
	const char *variable = loader_variable(l, "COMPOSE_PROFILES");

	if (l->options->profiles && l->options->profiles[0]) {
		for (const char *const *p = l->options->profiles; *p; p++) {
			strv_add(active, *p);
		}
	} else if (variable) {
		_cleanup_free_ char *copy = xstrdup(variable);
		char *rest = copy;

		while (rest) {
			char *one = strsep(&rest, ", ");

			if (*one) {
				strv_add(active, one);
			}
		}
	}
}

static void split_services(struct loader *l, struct yaml_node *services)
{
	struct selection sel = {
		.l = l,
		.services = services,
		.enabled = xcalloc(services->count, sizeof(bool)),
	};
	struct yaml_node *on = yaml_new(l->arena, YAML_MAP, &services->mark);
	struct yaml_node *off = yaml_new(l->arena, YAML_MAP, &services->mark);
	_cleanup_strv_ struct strv active = { 0 };

	active_profiles(l, &active);
	for (size_t i = 0; i < services->count; i++) {
		sel.enabled[i] = profile_active(
			(const char *const *)active.items, services->entries[i].value);
	}
	for (const char *const *name = l->options->services; name && *name; name++) {
		enable_named(&sel, *name, (const char *const *)active.items, 0);
	}
	for (size_t i = 0; i < services->count; i++) {
		struct yaml_entry *entry = &services->entries[i];

		normalize_service(l, entry->value, sel.enabled[i]);
		yaml_set(l->arena, sel.enabled[i] ? on : off, entry->key, &entry->key_mark,
			entry->value);
	}
	free(sel.enabled);
	yaml_set(l->arena, l->root, "services", &services->mark, on);
	yaml_set(l->arena, l->root, "x-wherry-disabled", &services->mark, off);
}

/* Null definitions become empty ones; each gets its name on the machine. */
static void name_resources(struct loader *l, const char *section)
{
	struct yaml_node *map = yaml_get(l->root, section);

	for (size_t i = 0; map && i < map->count; i++) {
		struct yaml_entry *entry = &map->entries[i];
		const struct yaml_node *external;

		if (entry->value->kind != YAML_MAP) {
			entry->value = yaml_new(l->arena, YAML_MAP, &entry->key_mark);
		}
		drop_nulls(entry->value);
		fill_labels(l, yaml_get(entry->value, "labels"));
		external = yaml_get(entry->value, "external");
		if (!yaml_find(entry->value, "name")) {
			bool plain = external && external->kind == YAML_BOOL && external->boolean;
			const char *name = plain ? entry->key
						 : arena_printf(l->arena, "%s_%s", l->project->name,
							   entry->key);

			yaml_set(l->arena, entry->value, "name", &entry->key_mark,
				yaml_new_string(l->arena, name, &entry->key_mark));
		}
	}
}

static bool uses_default_network(const struct yaml_node *services)
{
	for (size_t i = 0; services && i < services->count; i++) {
		if (yaml_find(yaml_get(services->entries[i].value, "networks"), "default")) {
			return true;
		}
	}
	return false;
}

void compose_normalize(struct loader *l)
{
	static const char *const sections[] = { "networks", "volumes", "secrets", "configs" };
	struct yaml_node *services;

	if (!l->root) {
		l->root = yaml_new(l->arena, YAML_MAP, NULL);
	}
	drop_nulls(l->root);
	services = child_map(l, l->root, "services");
	split_services(l, services);
	if (uses_default_network(yaml_get(l->root, "services")) ||
		uses_default_network(yaml_get(l->root, "x-wherry-disabled"))) {
		struct yaml_node *networks = child_map(l, l->root, "networks");

		if (!yaml_find(networks, "default")) {
			yaml_set(l->arena, networks, "default", NULL,
				yaml_new(l->arena, YAML_MAP, NULL));
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		name_resources(l, sections[i]);
	}
	yaml_set(
		l->arena, l->root, "name", NULL, yaml_new_string(l->arena, l->project->name, NULL));
	yaml_remove(l->root, "version");
	l->project->tree = l->root;
}
