/* What no single key can tell: references, cycles, keys that exclude each other. */
#include <errno.h>

#include "specs/compose_internal.h"
#include "specs/image_name.h"
#include "specs/units.h"

#define INVALID ": invalid compose project"

typedef void check_fn(struct loader *l, struct compose_service *service);

static void check_image(struct loader *l, struct compose_service *service)
{
	struct image_name name;
	struct error err = ERROR_INIT;

	if (!service->image && !service->build_context) {
		load_error(l, &service->mark,
			"service \"%s\" has neither an image nor a build context specified" INVALID,
			service->name);
	} else if (service->image && image_name_parse(service->image, &name, &err) < 0) {
		load_error(l, &service->image_mark, "services.%s.image: %s", service->name,
			err.message);
	}
}

static void check_networks(struct loader *l, struct compose_service *service)
{
	const struct yaml_node *written =
		yaml_get(yaml_get(yaml_get(l->root, "services"), service->name), "networks");

	if (service->network_mode && written && written->count) {
		load_error(l, &service->network_mode_mark,
			"service %s declares mutually exclusive `network_mode` and "
			"`networks`" INVALID,
			service->name);
	}
	for (size_t i = 0; i < service->network_count; i++) {
		struct compose_network *found = NULL;

		for (size_t j = 0; j < l->project->network_count && !found; j++) {
			if (strcmp(l->project->networks[j].key, service->networks[i].name) == 0) {
				found = &l->project->networks[j];
				found->used = true;
			}
		}
		if (!found) {
			load_error(l, &service->networks[i].mark,
				"service \"%s\" refers to undefined network %s" INVALID,
				service->name, service->networks[i].name);
		}
	}
}

static void check_volumes(struct loader *l, struct compose_service *service)
{
	for (size_t i = 0; i < service->mount_count; i++) {
		const struct compose_mount *mount = &service->mounts[i];
		struct compose_volume *found = NULL;

		if (mount->type != COMPOSE_MOUNT_VOLUME || !mount->source) {
			continue;
		}
		for (size_t j = 0; j < l->project->volume_count && !found; j++) {
			if (strcmp(l->project->volumes[j].key, mount->source) == 0) {
				found = &l->project->volumes[j];
				found->used = true;
			}
		}
		if (!found) {
			load_error(l, &mount->mark,
				"service \"%s\" refers to undefined volume %s" INVALID,
				service->name, mount->source);
		}
	}
}

/* Volumes are one for each target after the merge; a tmpfs is not merged with them. */
static void check_targets(struct loader *l, struct compose_service *service)
{
	const struct yaml_node *tmpfs =
		yaml_get(yaml_get(yaml_get(l->root, "services"), service->name), "tmpfs");
	size_t volumes = service->mount_count - (tmpfs ? tmpfs->count : 0);

	for (size_t i = volumes; i < service->mount_count; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(service->mounts[i].target, service->mounts[j].target) != 0) {
				continue;
			}
			load_error(l, &service->mounts[j].mark,
				"services.%s.%s[%zu]: target %s already mounted as "
				"services.%s.tmpfs[%zu]",
				service->name, j < volumes ? "volumes" : "tmpfs",
				j < volumes ? j : j - volumes, service->mounts[i].target,
				service->name, i - volumes);
		}
	}
}

static const struct compose_service *find_in(
	const struct compose_service *services, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(services[i].name, name) == 0) {
			return &services[i];
		}
	}
	return NULL;
}

static void check_dependencies(struct loader *l, struct compose_service *service)
{
	const struct compose_project *p = l->project;

	for (size_t i = 0; i < service->depends_count; i++) {
		const struct compose_dependency *dependency = &service->depends_on[i];

		if (!find_in(p->services, p->service_count, dependency->service) &&
			dependency->required) {
			bool disabled =
				find_in(p->disabled, p->disabled_count, dependency->service);

			load_error(l, &dependency->mark,
				"service \"%s\" depends on undefined service \"%s\"" INVALID "%s",
				service->name, dependency->service,
				disabled ? "\nthe service is there, but none of its profiles is "
					   "active"
					 : "");
		}
	}
}

static void check_grants(struct loader *l, struct compose_service *service)
{
	const struct {
		const struct compose_grant *grants;
		size_t count;
		const struct compose_object *objects;
		size_t object_count;
		const char *kind;
	} sets[] = {
		{ service->secrets, service->secret_count, l->project->secrets,
			l->project->secret_count, "secret" },
		{ service->configs, service->config_count, l->project->configs,
			l->project->config_count, "config" },
	};

	for (size_t s = 0; s < ARRAY_SIZE(sets); s++) {
		for (size_t i = 0; i < sets[s].count; i++) {
			bool found = false;

			for (size_t j = 0; j < sets[s].object_count; j++) {
				found |= strcmp(sets[s].objects[j].key, sets[s].grants[i].source) ==
					 0;
			}
			if (!found) {
				load_error(l, &sets[s].grants[i].mark,
					"service \"%s\" refers to undefined %s %s" INVALID,
					service->name, sets[s].kind, sets[s].grants[i].source);
			}
		}
	}
}

static bool container_name_valid(const char *name)
{
	static const char first[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

	return *name && strchr(first, *name) && name[1] &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       strlen(name);
}

static void check_scale(struct loader *l, struct compose_service *service)
{
	if (service->scale < 0) {
		load_error(
			l, &service->mark, "services.%s.scale must be at least 0", service->name);
	}
	if (service->scale > 1000) {
		load_error(
			l, &service->mark, "services.%s.scale must be at most 1000", service->name);
	}
	if (!service->container_name) {
		return;
	}
	if (service->scale > 1) {
		load_error(l, &service->mark,
			"services.%s: can't set container_name and scale: a container name must be "
			"unique" INVALID,
			service->name);
	}
	if (!container_name_valid(service->container_name)) {
		load_error(l, &service->mark,
			"services.%s.container_name: invalid name '%s'\nit has at least two of "
			"letters, digits, '_', '.', '-', and starts with a letter or digit",
			service->name, service->container_name);
	}
	for (size_t i = 0; i < l->project->service_count; i++) {
		const struct compose_service *other = &l->project->services[i];

		if (other < service && other->container_name &&
			strcmp(other->container_name, service->container_name) == 0) {
			load_error(l, &service->mark,
				"services.%s.container_name: '%s' is already in use by "
				"services.%s" INVALID,
				service->name, service->container_name, other->name);
		}
	}
}

static void check_health(struct loader *l, struct compose_service *service)
{
	const struct compose_healthcheck *health = &service->healthcheck;

	if (health->is_set && health->start_interval_us >= 0 && health->start_period_us < 0) {
		load_error(l, &health->mark,
			"services.%s.healthcheck: start_interval needs a start_period" INVALID,
			service->name);
	}
}

static void check_numbers(struct loader *l, struct compose_service *service)
{
	const struct compose_resources *r = &service->resources;

	if (r->memory_swappiness < -1 || r->memory_swappiness > 100) {
		load_error(l, &service->mark, "services.%s.mem_swappiness must be 0 to 100",
			service->name);
	}
	if (r->oom_score_adj != INT64_MIN &&
		(r->oom_score_adj < -1000 || r->oom_score_adj > 1000)) {
		load_error(l, &service->mark, "services.%s.oom_score_adj must be -1000 to 1000",
			service->name);
	}
	if (r->memory_limit < 0) {
		load_error(l, &r->memory_mark, "services.%s.mem_limit must not be negative",
			service->name);
	}
	if (r->memory_swap_limit > 0 && r->memory_swap_limit < r->memory_limit) {
		load_error(l, &r->memory_mark,
			"services.%s.memswap_limit must be at least mem_limit: it counts both",
			service->name);
	}
	if (r->pids_limit < -1) {
		load_error(l, &r->pids_mark, "services.%s.pids_limit must be -1 or more",
			service->name);
	}
	if (service->stop_signal && units_parse_signal(service->stop_signal) < 0) {
		load_error(l, &service->mark, "services.%s.stop_signal: unknown signal '%s'",
			service->name, service->stop_signal);
	}
}

static check_fn *const checks[] = {
	check_image,
	check_networks,
	check_volumes,
	check_targets,
	check_dependencies,
	check_grants,
	check_scale,
	check_health,
	check_numbers,
};

/* Depth-first search for a cycle; @trail is the way here. */
struct search {
	struct loader *l;
	unsigned char *state; /* 0: new, 1: on the trail, 2: done */
	size_t *trail;
	size_t depth;
	bool found;
};

static void print_cycle(struct search *s, size_t first, const struct mark *mark)
{
	const struct compose_service *services = s->l->project->services;
	struct str text = { 0 };
	size_t start = 0;

	while (s->trail[start] != first) {
		start++;
	}
	for (size_t i = start; i < s->depth; i++) {
		str_addf(&text, "%s -> ", services[s->trail[i]].name);
	}
	load_error(s->l, mark, "dependency cycle detected: %s%s", str_text(&text),
		services[first].name);
	str_finish(&text);
	s->found = true;
}

static void visit(struct search *s, size_t index)
{
	const struct compose_project *p = s->l->project;
	const struct compose_service *service = &p->services[index];

	s->state[index] = 1;
	s->trail[s->depth++] = index;
	for (size_t i = 0; i < service->depends_count && !s->found; i++) {
		const struct compose_service *next =
			find_in(p->services, p->service_count, service->depends_on[i].service);
		size_t to = next ? (size_t)(next - p->services) : 0;

		if (next && s->state[to] == 1) {
			print_cycle(s, to, &service->depends_on[i].mark);
		} else if (next && s->state[to] == 0) {
			visit(s, to);
		}
	}
	s->depth--;
	s->state[index] = 2;
}

static void check_cycles(struct loader *l)
{
	size_t count = l->project->service_count;
	struct search s = {
		.l = l,
		.state = xcalloc(count, 1),
		.trail = xcalloc(count, sizeof(*s.trail)),
	};

	for (size_t i = 0; i < count && !s.found; i++) {
		if (s.state[i] == 0) {
			visit(&s, i);
		}
	}
	free(s.state);
	free(s.trail);
}

static void check_external(struct loader *l, const char *section)
{
	const struct yaml_node *map = yaml_get(l->root, section);

	for (size_t i = 0; map && i < map->count; i++) {
		const struct yaml_node *node = map->entries[i].value;
		const struct yaml_node *external = yaml_get(node, "external");

		if (!external || external->kind != YAML_BOOL || !external->boolean) {
			continue;
		}
		for (size_t j = 0; j < node->count; j++) {
			const char *key = node->entries[j].key;

			if (strcmp(key, "name") != 0 && strcmp(key, "external") != 0 &&
				strncmp(key, "x-", 2) != 0) {
				load_error(l, &node->entries[j].key_mark,
					"%s.%s: conflicting parameters \"external\" and \"%s\" "
					"specified",
					section, map->entries[i].key, key);
			}
		}
	}
}

void compose_validate(struct loader *l)
{
	static const char *const sections[] = { "networks", "volumes", "secrets", "configs" };

	for (size_t i = 0; i < l->project->service_count; i++) {
		for (size_t c = 0; c < ARRAY_SIZE(checks); c++) {
			checks[c](l, &l->project->services[i]);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		check_external(l, sections[i]);
	}
	check_cycles(l);
}
