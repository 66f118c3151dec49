/* What a container has mounted: docker's defaults, binds, tmpfs and volumes. */
#include <errno.h>
#include <sys/stat.h>

#include "init/plan_private.h"
#include "specs/docker_defaults.h"

static struct oci_mount *find_mount(const struct container_builder *b, const char *destination)
{
	struct oci_config *config = &b->container->config;

	for (size_t i = 0; i < config->mount_count; i++) {
		if (strcmp(config->mounts[i].destination, destination) == 0) {
			return &config->mounts[i];
		}
	}
	return NULL;
}

static bool is_kernel_view(const struct oci_mount *mount)
{
	return strcmp(mount->type, "sysfs") == 0 || strcmp(mount->type, "cgroup") == 0;
}

static void add_default(const struct container_builder *b, const struct oci_mount *from)
{
	struct oci_config *config = &b->container->config;
	struct oci_mount *mount = &config->mounts[config->mount_count++];
	bool is_shm = strcmp(from->destination, "/dev/shm") == 0;

	*mount = (struct oci_mount){
		.destination = from->destination, .type = from->type, .source = from->source
	};
	for (size_t i = 0; i < from->option_count; i++) {
		const char *option = from->options[i];

		if (is_shm && strncmp(option, "size=", 5) == 0 && b->service->shm_size > 0) {
			option = arena_printf(
				b->arena, "size=%lld", (long long)b->service->shm_size);
		}
		/* privileged: the kernel's settings can be written. */
		if (b->service->privileged && is_kernel_view(from) && strcmp(option, "ro") == 0) {
			option = "rw";
		}
		plan_strings_add(b->arena, &mount->options, &mount->option_count, option);
	}
}

/* The slot for a mount of the file at @target: it takes the place of a default there. */
static struct oci_mount *mount_slot(const struct container_builder *b, const char *target)
{
	struct oci_config *config = &b->container->config;
	struct oci_mount *mount = find_mount(b, target);

	if (!mount) {
		mount = &config->mounts[config->mount_count++];
	}
	*mount = (struct oci_mount){ .destination = target };
	return mount;
}

static char *clean_target(const struct container_builder *b, const char *target)
{
	char *copy = arena_strdup(b->arena, target);
	size_t length = strlen(copy);

	while (length > 1 && copy[length - 1] == '/') {
		copy[--length] = '\0';
	}
	return copy;
}

static void add_option(const struct container_builder *b, struct oci_mount *mount, const char *text)
{
	plan_strings_add(b->arena, &mount->options, &mount->option_count, text);
}

static void add_bind(const struct container_builder *b, const struct compose_mount *from)
{
	struct plan_container *container = b->container;
	struct stat st;
	struct oci_mount *mount;

	if (stat(from->source, &st) < 0) {
		if (errno != ENOENT || !from->create_host_path) {
			plan_fail(b, &from->mark, "volumes", "bind source %s: %s", from->source,
				strerror(errno));
			return;
		}
	}
	if (from->create_host_path) {
		plan_strings_add(b->arena, &container->bind_folders, &container->bind_folder_count,
			from->source);
	}
	mount = mount_slot(b, clean_target(b, from->target));
	mount->type = "bind";
	mount->source = arena_strdup(b->arena, from->source);
	add_option(b, mount, "rbind");
	add_option(b, mount,
		from->propagation ? arena_strdup(b->arena, from->propagation) : "rprivate");
	add_option(b, mount, from->read_only ? "ro" : "rw");
}

/* The options of `tmpfs: PATH:OPTIONS` come after docker's, so that "exec" undoes "noexec". */
static void add_tmpfs(const struct container_builder *b, const struct compose_mount *from)
{
	struct oci_mount *mount = mount_slot(b, clean_target(b, from->target));
	const char *options = from->tmpfs_options;

	mount->type = "tmpfs";
	mount->source = "tmpfs";
	add_option(b, mount, "noexec");
	add_option(b, mount, "nosuid");
	add_option(b, mount, "nodev");
	if (from->read_only) {
		add_option(b, mount, "ro");
	}
	if (from->tmpfs_size > 0) {
		add_option(
			b, mount, arena_printf(b->arena, "size=%lld", (long long)from->tmpfs_size));
	}
	if (from->tmpfs_mode >= 0) {
		add_option(b, mount,
			arena_printf(b->arena, "mode=%llo", (unsigned long long)from->tmpfs_mode));
	}
	while (options && *options) {
		size_t length = strcspn(options, ",");

		if (length) {
			add_option(b, mount, arena_strndup(b->arena, options, length));
		}
		options += length;
		options += *options == ',';
	}
}

static const struct compose_volume *find_volume(
	const struct compose_project *project, const char *key)
{
	for (size_t i = 0; i < project->volume_count; i++) {
		if (strcmp(project->volumes[i].key, key) == 0) {
			return &project->volumes[i];
		}
	}
	return NULL;
}

static struct plan_volume_mount *volume_slot(const struct container_builder *b, const char *target)
{
	struct plan_container *container = b->container;

	for (size_t i = 0; i < container->volume_count; i++) {
		if (strcmp(container->volumes[i].target, target) == 0) {
			return &container->volumes[i];
		}
	}
	return &container->volumes[container->volume_count++];
}

static void add_volume(const struct container_builder *b, const struct compose_mount *from)
{
	const struct compose_volume *volume =
		from->source ? find_volume(b->plan->project, from->source) : NULL;
	char *target = clean_target(b, from->target);

	if (from->source && !volume) {
		plan_fail(b, &from->mark, "volumes", "there is no volume \"%s\"", from->source);
		return;
	}
	if (from->subpath && (from->subpath[0] == '/' || strstr(from->subpath, ".."))) {
		plan_fail(b, &from->mark, "volumes", "bad subpath \"%s\"", from->subpath);
		return;
	}
	*volume_slot(b, target) = (struct plan_volume_mount){
		.volume = volume ? arena_strdup(b->arena, volume->name) : NULL,
		.target = target,
		.subpath = arena_strdup(b->arena, from->subpath),
		.read_only = from->read_only,
		.nocopy = from->nocopy,
	};
}

/* Of two mounts on one target the last one counts. */
static bool is_overridden(const struct compose_service *service, size_t index)
{
	for (size_t i = index + 1; i < service->mount_count; i++) {
		if (strcmp(service->mounts[i].target, service->mounts[index].target) == 0) {
			return true;
		}
	}
	return false;
}

/* The image's VOLUMEs that nothing is mounted on become anonymous volumes. */
static void add_image_volumes(const struct container_builder *b)
{
	struct plan_container *container = b->container;
	const char **volume = b->image->config.volumes;

	for (; volume && *volume; volume++) {
		char *target = clean_target(b, *volume);
		bool covered = *target != '/' || target[1] == '\0' || find_mount(b, target);

		for (size_t i = 0; i < container->volume_count; i++) {
			covered |= strcmp(container->volumes[i].target, target) == 0;
		}
		if (!covered) {
			container->volumes[container->volume_count++] =
				(struct plan_volume_mount){ .target = target };
		}
	}
}

static size_t image_volume_count(const struct container_builder *b)
{
	size_t n = 0;

	while (b->image->config.volumes && b->image->config.volumes[n]) {
		n++;
	}
	return n;
}

/* A volume that lies on a default mount (/dev/shm, say) replaces it. */
static void drop_covered_defaults(const struct container_builder *b)
{
	struct oci_config *config = &b->container->config;
	size_t kept = 0;

	for (size_t i = 0; i < config->mount_count; i++) {
		bool covered = false;

		for (size_t j = 0; j < b->container->volume_count; j++) {
			covered |= strcmp(config->mounts[i].destination,
					   b->container->volumes[j].target) == 0;
		}
		if (!covered) {
			config->mounts[kept++] = config->mounts[i];
		}
	}
	config->mount_count = kept;
}

void plan_build_mounts(const struct container_builder *b)
{
	const struct compose_service *service = b->service;
	struct plan_container *container = b->container;
	struct oci_config *config = &container->config;

	config->mounts = arena_array(
		b->arena, docker_mount_count + service->mount_count, sizeof(*config->mounts));
	container->volumes = arena_array(b->arena, service->mount_count + image_volume_count(b),
		sizeof(*container->volumes));
	for (size_t i = 0; i < docker_mount_count; i++) {
		add_default(b, &docker_mounts[i]);
	}
	for (size_t i = 0; i < service->mount_count; i++) {
		const struct compose_mount *mount = &service->mounts[i];

		if (is_overridden(service, i)) {
			continue;
		}
		switch (mount->type) {
		case COMPOSE_MOUNT_BIND: add_bind(b, mount); break;
		case COMPOSE_MOUNT_TMPFS: add_tmpfs(b, mount); break;
		case COMPOSE_MOUNT_VOLUME: add_volume(b, mount); break;
		case COMPOSE_MOUNT_IMAGE:
			plan_fail(b, &mount->mark, "volumes",
				"mounts of type \"image\" are not supported");
			break;
		}
	}
	drop_covered_defaults(b);
	add_image_volumes(b);
}
