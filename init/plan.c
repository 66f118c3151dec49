/* Plans and their containers as objects, and the settling of a container at its creation. */
#include "init/plan.h"

#include "base/json.h"
#include "init/plan_private.h"

struct plan_container *plan_container_new(void)
{
	struct plan_container *container = xcalloc(1, sizeof(*container));

	oci_config_init(&container->config);
	container->log_max_file = 1;
	container->policy.stop_grace_us = 10 * INT64_C(1000000);
	return container;
}

void plan_container_free(struct plan_container *container)
{
	if (container) {
		oci_config_finish(&container->config);
		arena_finish(&container->arena);
		free(container);
	}
}

void plan_free(struct plan *plan)
{
	if (plan) {
		for (size_t i = 0; i < plan->container_count; i++) {
			plan_container_free(plan->containers[i]);
		}
		arena_finish(&plan->arena);
		free(plan);
	}
}

void plan_strings_add(struct arena *arena, const char ***items, size_t *count, const char *text)
{
	/* Room doubles at powers of two; the terminator needs one more than the count. */
	if ((*count & (*count + 1)) == 0) {
		const char **grown = arena_array(arena, *count * 2 + 2, sizeof(*grown));

		if (*count) {
			memcpy(grown, *items, *count * sizeof(*grown));
		}
		*items = grown;
	}
	(*items)[(*count)++] = arena_strdup(arena, text);
	(*items)[*count] = NULL;
}

#define HOSTNAME_DIGITS 12

static bool has_mount(const struct plan_container *container, const char *destination)
{
	for (size_t i = 0; i < container->config.mount_count; i++) {
		if (strcmp(container->config.mounts[i].destination, destination) == 0) {
			return true;
		}
	}
	for (size_t i = 0; i < container->volume_count; i++) {
		if (strcmp(container->volumes[i].target, destination) == 0) {
			return true;
		}
	}
	return false;
}

static void bind_add(struct plan_container *container, const char *source, const char *destination,
	bool read_only, bool fill)
{
	struct oci_mount *mount = &container->config.mounts[container->config.mount_count++];
	const char **options = NULL;
	size_t count = 0;

	plan_strings_add(&container->arena, &options, &count, "rbind");
	plan_strings_add(&container->arena, &options, &count, "rprivate");
	plan_strings_add(&container->arena, &options, &count, read_only ? "ro" : "rw");
	if (fill) {
		plan_strings_add(&container->arena, &options, &count, "x-wherry.fill");
	}
	*mount = (struct oci_mount){
		.destination = arena_strdup(&container->arena, destination),
		.type = "bind",
		.source = arena_strdup(&container->arena, source),
		.options = options,
		.option_count = count,
	};
}

static size_t depth(const char *path)
{
	size_t n = 0;

	for (; *path; path++) {
		n += path[0] == '/' && path[1] != '/' && path[1] != '\0';
	}
	return n;
}

/* Parents first, and otherwise in the order given: an insertion sort is stable and short. */
static void sort_mounts(struct oci_mount *mounts, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct oci_mount mount = mounts[i];
		size_t d = depth(mount.destination), j = i;

		for (; j > 0 && depth(mounts[j - 1].destination) > d; j--) {
			mounts[j] = mounts[j - 1];
		}
		mounts[j] = mount;
	}
}

static void set_hostname(struct plan_container *container)
{
	struct oci_process *process = &container->config.process;
	struct arena *arena = &container->arena;

	if (!container->config.hostname) {
		container->config.hostname = arena_strndup(arena, container->id, HOSTNAME_DIGITS);
	}
	for (size_t i = 0; i < process->env_count; i++) {
		if (strncmp(process->env[i], "HOSTNAME=", strlen("HOSTNAME=")) == 0) {
			return;
		}
	}
	/* The vector may come from a parser, whose room is not known: it is copied. */
	const char **env = NULL;
	size_t count = 0;

	for (size_t i = 0; i < process->env_count; i++) {
		plan_strings_add(arena, &env, &count, process->env[i]);
	}
	plan_strings_add(arena, &env, &count,
		arena_printf(arena, "HOSTNAME=%s", container->config.hostname));
	process->env = env;
	process->env_count = count;
}

void plan_container_settle(struct plan_container *container, const struct plan_settlement *s)
{
	static const char *const files[] = { "hosts", "hostname", "resolv.conf" };
	struct oci_config *config = &container->config;
	struct arena *arena = &container->arena;
	struct oci_mount *mounts;

	container->id = arena_strdup(arena, s->id);
	container->created_wall_ns = s->created_wall_ns;
	set_hostname(container);
	mounts = arena_array(arena,
		config->mount_count + container->volume_count + ARRAY_SIZE(files), sizeof(*mounts));
	if (config->mount_count) {
		memcpy(mounts, config->mounts, config->mount_count * sizeof(*mounts));
	}
	config->mounts = mounts;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char *target = arena_printf(arena, "/etc/%s", files[i]);

		/* What the file mounts there itself wins, as with docker. */
		if (!has_mount(container, target)) {
			bind_add(container, arena_printf(arena, "%s/%s", s->files_dir, files[i]),
				target, false, false);
		}
	}
	for (size_t i = 0; i < container->volume_count; i++) {
		const struct plan_volume_mount *volume = &container->volumes[i];
		const char *path = s->volume_paths[i];

		if (volume->subpath) {
			path = arena_printf(arena, "%s/%s", path, volume->subpath);
		}
		bind_add(container, path, volume->target, volume->read_only,
			s->volume_fill[i] && !volume->nocopy && !volume->subpath);
	}
	sort_mounts(config->mounts, config->mount_count);
}
