/* What a container may do: capabilities, seccomp, masked paths, devices. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/json.h"
#include "init/plan_private.h"
#include "specs/docker_defaults.h"

#define PROFILE_LIMIT ((size_t)4 << 20)

/* A list of names as a mask; *@all: "ALL" is among them. */
static uint64_t caps_of(const struct container_builder *b, const struct compose_strings *names,
	const char *key, bool *all)
{
	uint64_t mask = 0;

	*all = false;
	for (size_t i = 0; i < names->count; i++) {
		int number = capability_from_name(names->items[i]);

		if (number == CAPABILITY_ALL) {
			*all = true;
		} else if (number < 0) {
			plan_fail(b, NULL, key, "unknown capability \"%s\"", names->items[i]);
		} else {
			mask |= UINT64_C(1) << number;
		}
	}
	return mask;
}

static void build_caps(const struct container_builder *b)
{
	struct oci_process *process = &b->container->config.process;
	bool add_all, drop_all;
	uint64_t add = caps_of(b, &b->service->cap_add, "cap_add", &add_all);
	uint64_t drop = caps_of(b, &b->service->cap_drop, "cap_drop", &drop_all);
	uint64_t caps, missing;

	if (b->service->privileged) {
		caps = CAPABILITY_MASK_ALL;
	} else if (add_all) {
		caps = CAPABILITY_MASK_ALL & ~drop;
	} else if (drop_all) {
		caps = add;
	} else {
		caps = (DOCKER_DEFAULT_CAPS & ~drop) | add;
	}
	/* Nobody can give what he has not. Said for what was asked for by name. */
	missing = add & caps & ~b->plan->our_caps;
	for (int i = 0; i <= CAPABILITY_LAST; i++) {
		if (missing >> i & 1) {
			plan_warn(b, NULL, "cap_add", "%s cannot be given: wherry lacks it itself",
				capability_name(i));
		}
	}
	caps &= b->plan->our_caps;
	/* Inheritable and ambient stay empty, as docker's do since CVE-2022-24769. */
	process->has_capabilities = true;
	process->capabilities[OCI_CAPS_BOUNDING] = caps;
	process->capabilities[OCI_CAPS_EFFECTIVE] = caps;
	process->capabilities[OCI_CAPS_PERMITTED] = caps;
}

static void build_seccomp(const struct container_builder *b, const char *value)
{
	struct plan_container *container = b->container;
	struct error err = ERROR_INIT;
	_cleanup_free_ char *path = NULL;
	_cleanup_json_ json_t *profile = NULL;

	if (strcmp(value, "unconfined") == 0) {
		container->seccomp = PLAN_SECCOMP_UNCONFINED;
		return;
	}
	path = *value == '/' ? xstrdup(value) : file_join(b->plan->project->directory, value);
	profile = json_read_at(AT_FDCWD, path, PROFILE_LIMIT, &err);
	if (profile) {
		container->config.seccomp = plan_seccomp_profile(
			profile, container->config.process.capabilities[OCI_CAPS_BOUNDING], &err);
	}
	if (!container->config.seccomp) {
		plan_fail(b, NULL, "security_opt", "seccomp profile %s: %s", path, err.message);
		return;
	}
	container->seccomp = PLAN_SECCOMP_CUSTOM;
}

struct security_state {
	bool unmasked;
	const char *seccomp;
};

static void apply_option(
	const struct container_builder *b, const char *option, struct security_state *state)
{
	const char *value = option + strcspn(option, "=:");
	size_t length = (size_t)(value - option);

	value += *value != '\0';
	if (length == strlen("no-new-privileges") &&
		strncmp(option, "no-new-privileges", length) == 0) {
		b->container->config.process.no_new_privileges = strcmp(value, "false") != 0;
	} else if (length == strlen("seccomp") && strncmp(option, "seccomp", length) == 0) {
		state->seccomp = value;
	} else if (strcmp(option, "systempaths=unconfined") == 0) {
		state->unmasked = true;
	} else {
		plan_warn(b, NULL, "security_opt", "\"%s\" is not supported, left out", option);
	}
}

static void copy_paths(const struct container_builder *b, const char *const *paths,
	const char ***items, size_t *count)
{
	for (; paths && *paths; paths++) {
		plan_strings_add(b->arena, items, count, *paths);
	}
}

static void build_paths(const struct container_builder *b)
{
	struct oci_config *config = &b->container->config;

	copy_paths(b, docker_masked_paths, &config->masked_paths, &config->masked_count);
	copy_paths(b, (const char *const *)b->plan->masked.items, &config->masked_paths,
		&config->masked_count);
	copy_paths(b, docker_readonly_paths, &config->readonly_paths, &config->readonly_count);
}

static void add_device(const struct container_builder *b, const char *text)
{
	_cleanup_free_ char *source = xstrdup(text);
	struct oci_config *config = &b->container->config;
	struct oci_resources *resources = &config->resources;
	char *target = strchr(source, ':'), *rights;
	const char *access = "rwm";
	struct stat st;

	if (target) {
		*target++ = '\0';
		rights = strchr(target, ':');
		if (rights) {
			*rights++ = '\0';
			access = rights;
		} else if (*target != '/') {
			/* "SOURCE:rwm": no target of its own. */
			access = target;
			target = NULL;
		}
	}
	if (!target || !*target) {
		target = source;
	}
	if (stat(source, &st) < 0) {
		plan_fail(b, NULL, "devices", "%s: %s", source, strerror(errno));
		return;
	}
	if ((!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) || *target != '/' ||
		access[strspn(access, "rwm")]) {
		plan_fail(b, NULL, "devices", "\"%s\" names no device of the host", text);
		return;
	}
	config->devices[config->device_count++] = (struct oci_device){
		.path = arena_strdup(b->arena, target),
		.type = S_ISCHR(st.st_mode) ? 'c' : 'b',
		.major = major(st.st_rdev),
		.minor = minor(st.st_rdev),
		.mode = st.st_mode & 07777,
		.uid = st.st_uid,
		.gid = st.st_gid,
	};
	resources->devices[resources->device_count++] = (struct oci_device_rule){
		.allow = true,
		.type = S_ISCHR(st.st_mode) ? 'c' : 'b',
		.major = major(st.st_rdev),
		.minor = minor(st.st_rdev),
		.read = strchr(access, 'r'),
		.write = strchr(access, 'w'),
		.mknod = strchr(access, 'm'),
	};
}

static void build_devices(const struct container_builder *b)
{
	const struct compose_strings *more = &b->service->devices;
	struct oci_config *config = &b->container->config;
	struct oci_resources *resources = &config->resources;

	config->devices =
		arena_array(b->arena, docker_device_count + more->count, sizeof(*config->devices));
	memcpy(config->devices, docker_devices, docker_device_count * sizeof(*config->devices));
	config->device_count = docker_device_count;
	resources->devices = arena_array(
		b->arena, docker_device_rule_count + more->count + 1, sizeof(*resources->devices));
	memcpy(resources->devices, docker_device_rules,
		docker_device_rule_count * sizeof(*resources->devices));
	resources->device_count = docker_device_rule_count;
	for (size_t i = 0; i < more->count; i++) {
		add_device(b, more->items[i]);
	}
	if (b->service->privileged) {
		resources->devices[resources->device_count++] = (struct oci_device_rule){
			.allow = true,
			.type = 'a',
			.major = -1,
			.minor = -1,
			.read = true,
			.write = true,
			.mknod = true,
		};
		plan_warn(b, NULL, "privileged",
			"the host's device nodes are not added to /dev; name those needed under "
			"`devices`");
	}
}

void plan_build_security(const struct container_builder *b)
{
	struct security_state state = { .unmasked = b->service->privileged };

	build_caps(b);
	if (b->service->privileged) {
		b->container->seccomp = PLAN_SECCOMP_UNCONFINED;
	}
	for (size_t i = 0; i < b->service->security_opt.count; i++) {
		apply_option(b, b->service->security_opt.items[i], &state);
	}
	if (state.seccomp) {
		build_seccomp(b, state.seccomp);
	}
	if (!state.unmasked) {
		build_paths(b);
	}
	build_devices(b);
}
