/*
 * From a compose project to a plan: which services, their images, and one container for each
 * replica. What a container is made of is built by the other plan_*.c, a part each.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/random.h>

#include "init/plan_private.h"
#include "specs/docker_defaults.h"
#include "specs/yaml_tree.h"

#define SCALE_MAX 10000

const char *plan_where(struct arena *arena, const struct mark *mark)
{
	if (!mark || !mark->line) {
		return NULL;
	}
	return arena_printf(
		arena, "%s:%u:%u", mark->file ? mark->file : "?", mark->line, mark->column);
}

/* Where a service says something: the given place, else that of its key, else its own. */
static const struct mark *place_of(
	const struct container_builder *b, const struct mark *mark, const char *key)
{
	char first[64];
	const struct yaml_entry *entry;
	const struct yaml_node *services =
		b->plan->project->tree ? yaml_get(b->plan->project->tree, "services") : NULL;
	const struct yaml_node *service = services ? yaml_get(services, b->service->name) : NULL;

	if (mark && mark->line) {
		return mark;
	}
	snprintf(first, sizeof(first), "%.*s", (int)strcspn(key, "."), key);
	entry = service ? yaml_find(service, first) : NULL;
	if (entry && entry->key_mark.line) {
		return &entry->key_mark;
	}
	return &b->service->mark;
}

void plan_warn(const struct container_builder *b, const struct mark *mark, const char *key,
	const char *format, ...)
{
	_cleanup_str_ struct str text = { 0 };
	va_list ap;

	mark = place_of(b, mark, key);
	if (mark->line) {
		str_addf(&text, "%s:%u:%u: ", mark->file ? mark->file : "?", mark->line,
			mark->column);
	}
	str_addf(&text, "services.%s.%s: ", b->service->name, key);
	va_start(ap, format);
	str_addv(&text, format, ap);
	va_end(ap);
	if (strv_find(b->plan->warnings, str_text(&text)) < 0) {
		strv_add(b->plan->warnings, str_text(&text));
	}
}

void plan_fail(const struct container_builder *b, const struct mark *mark, const char *key,
	const char *format, ...)
{
	_cleanup_str_ struct str text = { 0 }, path = { 0 };
	va_list ap;

	if (b->container->number > 1) {
		return; /* said for the first replica */
	}
	mark = place_of(b, mark, key);
	str_addf(&path, "services.%s.%s", b->service->name, key);
	va_start(ap, format);
	str_addv(&text, format, ap);
	va_end(ap);
	diagnostics_add(
		b->plan->diagnostics, SEVERITY_ERROR, mark, str_text(&path), "%s", str_text(&text));
}

/* Services: which of them, and how many of each. */

struct selection {
	const struct compose_service *service;
	bool selected;
	struct store_image image;
	bool has_image;
};

static struct selection *selection_find(
	struct selection *list, const struct compose_project *project, const char *name)
{
	for (size_t i = 0; i < project->service_count; i++) {
		if (strcmp(project->services[i].name, name) == 0) {
			return &list[i];
		}
	}
	return NULL;
}

/* Marks what the marked ones depend on, until nothing is added. */
static void select_dependencies(struct selection *list, const struct compose_project *project)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < project->service_count; i++) {
			const struct compose_service *service = list[i].service;

			for (size_t j = 0; list[i].selected && j < service->depends_count; j++) {
				struct selection *other = selection_find(
					list, project, service->depends_on[j].service);

				if (other && !other->selected) {
					other->selected = true;
					again = true;
				}
			}
		}
	}
}

static int select_named(struct selection *list, const struct plan_builder *b, struct error *err)
{
	const char *const *names = b->options->services;

	for (; *names; names++) {
		struct selection *chosen = selection_find(list, b->project, *names);

		if (!chosen) {
			return error_say(err, ENOENT, "no such service: %s", *names);
		}
		chosen->selected = true;
	}
	return 0;
}

/* The service of `run` is marked like the others; its own container is made instead of replicas. */
static int select_services(struct selection *list, const struct plan_builder *b, struct error *err)
{
	const struct plan_options *options = b->options;

	for (size_t i = 0; i < b->project->service_count; i++) {
		list[i].service = &b->project->services[i];
		list[i].selected = !options->services && !options->oneoff_service;
	}
	if (options->oneoff_service) {
		struct selection *chosen =
			selection_find(list, b->project, options->oneoff_service);

		if (!chosen) {
			return error_say(
				err, ENOENT, "no such service: %s", options->oneoff_service);
		}
		chosen->selected = true;
	} else if (options->services) {
		int r = select_named(list, b, err);

		if (r < 0) {
			return r;
		}
	}
	if (!options->no_deps) {
		select_dependencies(list, b->project);
	}
	return 0;
}

/* "service=n" for this service, else what the file says. Negative errno for a bad option. */
static int64_t replicas(
	const struct plan_builder *b, const struct compose_service *service, struct error *err)
{
	const char *const *option = b->options->scale;
	int64_t count = service->scale;
	size_t length = strlen(service->name);

	for (; option && *option; option++) {
		char *end;

		if (strncmp(*option, service->name, length) != 0 || (*option)[length] != '=') {
			continue;
		}
		errno = 0;
		count = strtoll(*option + length + 1, &end, 10);
		if (errno || *end || end == *option + length + 1) {
			return error_say(err, EINVAL, "bad --scale option \"%s\"", *option);
		}
	}
	if (count < 0 || count > SCALE_MAX) {
		return error_say(err, EINVAL,
			"service %s: %lld replicas are out of range (0 to %d)", service->name,
			(long long)count, SCALE_MAX);
	}
	if (count > 1 && service->container_name) {
		return error_say(err, EINVAL,
			"service %s has the container name \"%s\", so it cannot be scaled to %lld",
			service->name, service->container_name, (long long)count);
	}
	return count;
}

static int check_scale(const struct plan_builder *b, struct error *err)
{
	const char *const *option = b->options->scale;

	for (; option && *option; option++) {
		const char *equals = strchr(*option, '=');
		bool known = false;

		for (size_t i = 0; equals && i < b->project->service_count; i++) {
			const char *name = b->project->services[i].name;

			known |= strlen(name) == (size_t)(equals - *option) &&
				 strncmp(name, *option, strlen(name)) == 0;
		}
		if (!equals) {
			return error_say(err, EINVAL,
				"bad --scale option \"%s\": SERVICE=NUMBER is wanted", *option);
		}
		if (!known) {
			return error_say(err, ENOENT, "no such service: %.*s",
				(int)(equals - *option), *option);
		}
	}
	return 0;
}

/* Images. */

static void find_image(const struct plan_builder *b, struct selection *s)
{
	const struct compose_service *service = s->service;
	_cleanup_free_ char *made =
		service->image ? NULL : xasprintf("%s-%s", b->project->name, service->name);
	_cleanup_free_ char *path = xasprintf("services.%s.image", service->name);
	const char *reference = service->image ? service->image : made;
	const struct mark *mark = service->image_mark.line ? &service->image_mark : &service->mark;
	struct error err = ERROR_INIT;
	const char *architecture;
	int r = store_image_find(b->options->state_dir, reference, &s->image, &err);

	if (r == -ENOENT) {
		diagnostics_add(b->diagnostics, SEVERITY_ERROR, mark, path,
			"image \"%s\" is not in the store\n%s", reference,
			service->build_context
				? "build it elsewhere and import it: wherry image import TAR NAME"
				: "make it with `wherry image bootstrap`, or import it: wherry "
				  "image "
				  "import TAR NAME");
		return;
	}
	if (r < 0) {
		diagnostics_add(b->diagnostics, SEVERITY_ERROR, mark, path, "image \"%s\": %s",
			reference, err.message);
		return;
	}
	s->has_image = true;
	architecture = s->image.config.architecture;
	if (architecture && *architecture && strcmp(architecture, store_architecture()) != 0) {
		diagnostics_add(b->diagnostics, SEVERITY_ERROR, mark, path,
			"image \"%s\" is for %s, this machine is %s", reference, architecture,
			store_architecture());
	}
	if (s->image.config.os && *s->image.config.os && strcmp(s->image.config.os, "linux") != 0) {
		diagnostics_add(b->diagnostics, SEVERITY_ERROR, mark, path,
			"image \"%s\" is for %s, not for linux", reference, s->image.config.os);
	}
}

/* Containers. */

static const char *container_name(const struct container_builder *b)
{
	const struct plan_options *options = b->plan->options;
	const char *project = b->plan->project->name;
	unsigned char random[6] = { 0 };

	if (b->oneoff) {
		if (options->oneoff_name) {
			return arena_strdup(b->arena, options->oneoff_name);
		}
		if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
			memcpy(random, &(pid_t){ getpid() }, sizeof(pid_t));
		}
		return arena_printf(b->arena, "%s-%s-run-%02x%02x%02x%02x%02x%02x", project,
			b->service->name, random[0], random[1], random[2], random[3], random[4],
			random[5]);
	}
	if (b->service->container_name) {
		return arena_strdup(b->arena, b->service->container_name);
	}
	return arena_printf(b->arena, "%s-%s-%u", project, b->service->name, b->container->number);
}

static void build_dependencies(const struct container_builder *b)
{
	static const enum dependency_condition conditions[] = {
		[COMPOSE_STARTED] = DEPEND_STARTED,
		[COMPOSE_HEALTHY] = DEPEND_HEALTHY,
		[COMPOSE_COMPLETED] = DEPEND_COMPLETED,
	};
	const struct compose_service *service = b->service;
	struct plan_container *container = b->container;

	if (b->plan->options->no_deps) {
		return;
	}
	container->depends_on =
		arena_array(b->arena, service->depends_count, sizeof(*container->depends_on));
	for (size_t i = 0; i < service->depends_count; i++) {
		const struct compose_dependency *d = &service->depends_on[i];

		/* One that no profile enables was let pass because it is not required. */
		if (!compose_find_service(b->plan->project, d->service)) {
			continue;
		}
		container->depends_on[container->depends_count++] = (struct plan_dependency){
			.service = arena_strdup(b->arena, d->service),
			.condition = conditions[d->condition],
			.required = d->required,
			.restart = d->restart,
		};
	}
}

static struct plan_container *build_container(
	struct plan_builder *plan, const struct selection *s, uint32_t number, bool oneoff)
{
	struct plan_container *container = plan_container_new();
	struct container_builder b = { .plan = plan,
		.service = s->service,
		.image = &s->image,
		.container = container,
		.arena = &container->arena,
		.oneoff = oneoff };

	container->number = number;
	container->oneoff = oneoff;
	container->service = arena_strdup(b.arena, s->service->name);
	container->name = container_name(&b);
	container->image =
		arena_strdup(b.arena, s->service->image ? s->service->image : s->image.name);
	container->image_id = arena_strdup(b.arena, s->image.id);
	container->where = plan_where(b.arena, &s->service->mark);
	for (const char **layer = s->image.layers; layer && *layer; layer++) {
		plan_strings_add(b.arena, &container->lower, &container->lower_count, *layer);
	}
	plan_build_refusals(&b);
	build_dependencies(&b);
	plan_build_process(&b);
	plan_build_environment(&b);
	plan_build_security(&b);
	plan_build_limits(&b);
	plan_build_mounts(&b);
	plan_build_network(&b);
	plan_build_policy(&b);
	plan_build_health(&b);
	plan_build_logging(&b);
	plan_container_hash(container);
	/* From here on: what must not ask for a recreate. */
	plan_build_labels(&b);
	plan_clamp_rlimits(&b);
	return container;
}

static int build_containers(struct plan_builder *b, struct selection *list, struct error *err)
{
	struct plan *plan = b->plan;
	const char *oneoff = b->options->oneoff_service;
	int64_t *counts = arena_array(&plan->arena, b->project->service_count, sizeof(*counts));
	size_t total = 0;

	for (size_t i = 0; i < b->project->service_count; i++) {
		if (!list[i].selected) {
			continue;
		}
		counts[i] = oneoff && strcmp(oneoff, list[i].service->name) == 0
				    ? 1
				    : replicas(b, list[i].service, err);
		if (counts[i] < 0) {
			return (int)counts[i];
		}
		total += (size_t)counts[i];
	}
	plan->containers = arena_array(&plan->arena, total, sizeof(*plan->containers));
	for (size_t i = 0; i < b->project->service_count; i++) {
		bool is_oneoff = oneoff && strcmp(oneoff, list[i].service->name) == 0;

		for (int64_t n = 1; list[i].has_image && n <= counts[i]; n++) {
			plan->containers[plan->container_count++] =
				build_container(b, &list[i], (uint32_t)n, is_oneoff);
		}
	}
	return 0;
}

/* Networks and volumes: those that a planned container uses. */

static struct compose_pairs copy_pairs(struct arena *arena, const struct compose_pairs *pairs)
{
	struct compose_pairs copy = { .items = arena_array(
					      arena, pairs->count, sizeof(*copy.items)) };

	for (size_t i = 0; i < pairs->count; i++) {
		copy.items[copy.count++] = (struct compose_pair){
			.key = arena_strdup(arena, pairs->items[i].key),
			.value = arena_strdup(
				arena, pairs->items[i].value ? pairs->items[i].value : ""),
		};
	}
	return copy;
}

static bool network_is_used(const struct plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->container_count; i++) {
		for (size_t j = 0; j < plan->containers[i]->endpoint_count; j++) {
			if (strcmp(plan->containers[i]->endpoints[j].network, name) == 0) {
				return true;
			}
		}
	}
	return false;
}

static void warn_resource(const struct plan_builder *b, const struct mark *mark, const char *kind,
	const char *key, const char *what)
{
	strv_addf(b->warnings, "%s:%u:%u: %s.%s.%s: not supported, left out",
		mark->file ? mark->file : "?", mark->line, mark->column, kind, key, what);
}

static const char *not_empty(struct arena *arena, const struct compose_strings *list)
{
	return list->count && *list->items[0] ? arena_strdup(arena, list->items[0]) : NULL;
}

static void build_networks(struct plan_builder *b)
{
	const struct compose_project *project = b->project;
	struct plan *plan = b->plan;
	struct arena *arena = &plan->arena;

	plan->networks = arena_array(arena, project->network_count, sizeof(*plan->networks));
	for (size_t i = 0; i < project->network_count; i++) {
		const struct compose_network *network = &project->networks[i];

		if (!network_is_used(plan, network->name)) {
			continue;
		}
		if (network->driver && strcmp(network->driver, "bridge") != 0 &&
			strcmp(network->driver, "default") != 0) {
			warn_resource(b, &network->mark, "networks", network->key, "driver");
		}
		if (network->driver_opts.count) {
			warn_resource(b, &network->mark, "networks", network->key, "driver_opts");
		}
		if (network->subnets.count > 1) {
			warn_resource(b, &network->mark, "networks", network->key,
				"ipam.config (beyond the first)");
		}
		plan->networks[plan->network_count++] = (struct plan_network){
			.key = arena_strdup(arena, network->key),
			.name = arena_strdup(arena, network->name),
			.external = network->external,
			.internal = network->internal,
			.subnet = not_empty(arena, &network->subnets),
			.gateway = not_empty(arena, &network->gateways),
			.labels = copy_pairs(arena, &network->labels),
		};
	}
}

static bool volume_is_used(const struct plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->container_count; i++) {
		for (size_t j = 0; j < plan->containers[i]->volume_count; j++) {
			const char *volume = plan->containers[i]->volumes[j].volume;

			if (volume && strcmp(volume, name) == 0) {
				return true;
			}
		}
	}
	return false;
}

static void build_volumes(struct plan_builder *b)
{
	const struct compose_project *project = b->project;
	struct plan *plan = b->plan;
	struct arena *arena = &plan->arena;

	plan->volumes = arena_array(arena, project->volume_count, sizeof(*plan->volumes));
	for (size_t i = 0; i < project->volume_count; i++) {
		const struct compose_volume *volume = &project->volumes[i];

		if (!volume_is_used(plan, volume->name)) {
			continue;
		}
		if (volume->driver && strcmp(volume->driver, "local") != 0) {
			warn_resource(b, &volume->mark, "volumes", volume->key, "driver");
		}
		if (volume->driver_opts.count) {
			warn_resource(b, &volume->mark, "volumes", volume->key, "driver_opts");
		}
		plan->volumes[plan->volume_count++] = (struct plan_volume){
			.key = arena_strdup(arena, volume->key),
			.name = arena_strdup(arena, volume->name),
			.external = volume->external,
			.labels = copy_pairs(arena, &volume->labels),
		};
	}
}

static uint64_t bounding_set(void)
{
	uint64_t mask = 0;

	for (int i = 0; i <= CAPABILITY_LAST; i++) {
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) {
			mask |= UINT64_C(1) << i;
		}
	}
	return mask;
}

/* Two containers of one name would fight over it. */
static int check_names(const struct plan *plan, struct error *err)
{
	for (size_t i = 0; i < plan->container_count; i++) {
		for (size_t j = 0; j < i; j++) {
			const char *name = plan->containers[i]->name;

			if (strcmp(name, plan->containers[j]->name) == 0) {
				return error_say(err, EINVAL,
					"services %s and %s both have a container named \"%s\"",
					plan->containers[j]->service, plan->containers[i]->service,
					name);
			}
		}
	}
	return 0;
}

static int build(struct plan_builder *b, struct selection *list, struct error *err)
{
	int r = check_scale(b, err);

	if (r == 0) {
		r = select_services(list, b, err);
	}
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < b->project->service_count; i++) {
		if (list[i].selected) {
			find_image(b, &list[i]);
		}
	}
	r = build_containers(b, list, err);
	if (r == 0) {
		r = check_names(b->plan, err);
	}
	if (r == 0 && b->diagnostics->errors) {
		r = error_say(err, EINVAL, "the project cannot be run as it stands");
	}
	if (r == 0) {
		build_networks(b);
		build_volumes(b);
	}
	return r;
}

int plan_build(const struct compose_project *project, const struct plan_options *options,
	struct plan **plan, struct strv *warnings, struct diagnostics *d, struct error *err)
{
	struct selection *list = xcalloc(project->service_count, sizeof(*list));
	struct plan_builder b = { .project = project,
		.options = options,
		.plan = xcalloc(1, sizeof(*b.plan)),
		.warnings = warnings,
		.diagnostics = d,
		.our_caps = bounding_set() };
	int r;

	b.plan->project = arena_strdup(&b.plan->arena, project->name);
	b.plan->directory = arena_strdup(&b.plan->arena, project->directory);
	for (size_t i = 0; i < project->files.count; i++) {
		plan_strings_add(&b.plan->arena, &b.plan->config_files, &b.plan->config_file_count,
			project->files.items[i]);
	}
	docker_masked_cpu_paths(&b.masked);
	r = build(&b, list, err);
	for (size_t i = 0; i < project->service_count; i++) {
		if (list[i].has_image) {
			store_image_finish(&list[i].image);
		}
	}
	free(list);
	strv_finish(&b.masked);
	if (r < 0) {
		plan_free(b.plan);
		return r;
	}
	*plan = b.plan;
	return 0;
}
