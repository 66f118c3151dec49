#include "specs/oci_config.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>

#include "base/json.h"
#include "specs/docker_defaults.h"
#include "specs/json_fields.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

#define ID_MAX     (INT64_C(0xffffffff) - 1) /* (uid_t)-1 means "leave alone" to the kernel */
#define NUMBER_MAX UINT32_MAX

_Static_assert(sizeof(struct oci_pair) == sizeof(struct field_pair) &&
		       offsetof(struct oci_pair, value) == offsetof(struct field_pair, value),
	"pairs are read as the other kind");

static int check_absolute(const struct field_reader *reader, const struct field_place *place,
	const char *name, const char *path)
{
	struct field_place at = { .up = place, .name = name };

	return !path || path[0] == '/'
		       ? 0
		       : field_error(reader, &at, "\"%.200s\" is not an absolute path", path);
}

/* process.capabilities */

static const char *const capability_sets[OCI_CAPS_SETS] = {
	[OCI_CAPS_BOUNDING] = "bounding",
	[OCI_CAPS_EFFECTIVE] = "effective",
	[OCI_CAPS_PERMITTED] = "permitted",
	[OCI_CAPS_INHERITABLE] = "inheritable",
	[OCI_CAPS_AMBIENT] = "ambient",
};

static int read_capability_set(const struct field_reader *reader, const struct field_place *place,
	const json_t *list, uint64_t *mask)
{
	const json_t *item;
	size_t i;

	if (!list || json_is_null(list)) {
		return 0;
	}
	if (!json_is_array(list)) {
		return field_error(reader, place, "a list expected");
	}
	json_array_foreach(list, i, item)
	{
		struct field_place at = { .up = place, .index = i };
		const char *name = json_string_value(item);
		int number = name ? capability_from_name(name) : -EINVAL;

		if (number < 0) {
			return field_error(
				reader, &at, "\"%.80s\" is not a capability", name ? name : "");
		}
		*mask |= UINT64_C(1) << number;
	}
	return 0;
}

static int read_capabilities(const struct field_reader *reader, const struct field_place *place,
	const json_t *value, void *base)
{
	struct oci_process *process = base;
	int r = 0;

	if (!json_is_object(value)) {
		return field_error(reader, place, "an object expected");
	}
	process->has_capabilities = true;
	for (int i = 0; r == 0 && i < OCI_CAPS_SETS; i++) {
		struct field_place at = { .up = place, .name = capability_sets[i] };

		r = read_capability_set(reader, &at, json_object_get(value, capability_sets[i]),
			&process->capabilities[i]);
	}
	return r;
}

static json_t *print_capabilities(const void *base)
{
	const struct oci_process *process = base;
	json_t *object;

	if (!process->has_capabilities) {
		return NULL;
	}
	object = json_object();
	for (int i = 0; i < OCI_CAPS_SETS; i++) {
		json_t *list = json_array();

		for (int n = 0; n <= CAPABILITY_LAST; n++) {
			if (process->capabilities[i] >> n & 1) {
				json_array_append_new(list, json_string(capability_name(n)));
			}
		}
		json_put(object, capability_sets[i], list);
	}
	return object;
}

/* process */

static int read_oom_score_adj(const struct field_reader *reader, const struct field_place *place,
	const json_t *value, void *base)
{
	struct oci_process *process = base;

	if (!json_is_integer(value) || json_integer_value(value) < -1000 ||
		json_integer_value(value) > 1000) {
		return field_error(reader, place, "an integer from -1000 to 1000 expected");
	}
	process->has_oom_score_adj = true;
	process->oom_score_adj = (int)json_integer_value(value);
	return 0;
}

static json_t *print_oom_score_adj(const void *base)
{
	const struct oci_process *process = base;

	return process->has_oom_score_adj ? json_integer(process->oom_score_adj) : NULL;
}

static int check_rlimit(
	const struct field_reader *reader, const struct field_place *place, void *base)
{
	const struct oci_rlimit *limit = base;

	return limit->soft <= limit->hard
		       ? 0
		       : field_error(reader, place, "the soft limit is above the hard one");
}

static int check_process(
	const struct field_reader *reader, const struct field_place *place, void *base)
{
	const struct oci_process *process = base;
	struct field_place rlimits = { .up = place, .name = "rlimits" };
	uint32_t seen = 0;

	for (size_t i = 0; i < process->rlimit_count; i++) {
		struct field_place at = { .up = &rlimits, .index = i };
		struct field_place type = { .up = &at, .name = "type" };

		if (seen >> process->rlimits[i].type & 1) {
			return field_error(reader, &type, "given twice");
		}
		seen |= UINT32_C(1) << process->rlimits[i].type;
	}
	if (process->arg_count == 0) {
		struct field_place args = { .up = place, .name = "args" };

		return field_error(reader, &args, "empty");
	}
	return check_absolute(reader, place, "cwd", process->cwd);
}

static const struct field_word rlimit_words[] = {
	{ "RLIMIT_AS", RLIMIT_AS },
	{ "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },
	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
	{ "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },
	{ "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
	{ "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
	{ NULL, 0 },
};

/* 64 unsigned bits: what is above INT64_MAX comes as a negative number (oci_config_load). */
static const struct field rlimit_fields[] = {
	{ FIELD_WORD_AT("type", struct oci_rlimit, type, rlimit_words), .required = true },
	{ FIELD_INT_AT("soft", struct oci_rlimit, soft, INT64_MIN, INT64_MAX), .required = true },
	{ FIELD_INT_AT("hard", struct oci_rlimit, hard, INT64_MIN, INT64_MAX), .required = true },
	{ .name = NULL },
};

static const struct field user_fields[] = {
	{ FIELD_INT_AT("uid", struct oci_process, uid, 0, ID_MAX) },
	{ FIELD_INT_AT("gid", struct oci_process, gid, 0, ID_MAX) },
	{ FIELD_INT_AT("umask", struct oci_process, umask, 0, 0777), .unset = -1 },
	{ FIELD_VECTOR_AT("additionalGids", FIELD_IDS, struct oci_process, additional_gids,
		  additional_gid_count),
		.max = ID_MAX },
	{ .name = NULL },
};

static const struct field console_fields[] = {
	{ FIELD_INT_AT("height", struct oci_process, console_rows, 0, UINT16_MAX) },
	{ FIELD_INT_AT("width", struct oci_process, console_columns, 0, UINT16_MAX) },
	{ .name = NULL },
};

static const struct field process_fields[] = {
	{ FIELD_FLAG_AT("terminal", struct oci_process, terminal) },
	{ .name = "consoleSize", .kind = FIELD_OBJECT, .fields = console_fields },
	{ .name = "user", .kind = FIELD_OBJECT, .fields = user_fields },
	{ FIELD_VECTOR_AT("args", FIELD_STRINGS, struct oci_process, args, arg_count) },
	{ FIELD_VECTOR_AT("env", FIELD_STRINGS, struct oci_process, env, env_count) },
	{ FIELD_TEXT_AT("cwd", struct oci_process, cwd), .required = true },
	{ .name = "capabilities",
		.kind = FIELD_CUSTOM,
		.read = read_capabilities,
		.print = print_capabilities },
	{ FIELD_LIST_AT("rlimits", struct oci_process, rlimits, rlimit_count, rlimit_fields),
		.check = check_rlimit },
	{ FIELD_FLAG_AT("noNewPrivileges", struct oci_process, no_new_privileges) },
	{ .name = "oomScoreAdj",
		.kind = FIELD_CUSTOM,
		.read = read_oom_score_adj,
		.print = print_oom_score_adj },
	{ FIELD_TEXT_AT("apparmorProfile", struct oci_process, apparmor_profile) },
	{ FIELD_TEXT_AT("selinuxLabel", struct oci_process, selinux_label) },
	{ FIELD_REFUSE("scheduler") },
	{ FIELD_REFUSE("ioPriority") },
	{ FIELD_REFUSE("execCPUAffinity") },
	{ .name = NULL },
};

/* root, mounts */

static const struct field root_fields[] = {
	{ FIELD_TEXT_AT("path", struct oci_config, root_path) },
	{ FIELD_FLAG_AT("readonly", struct oci_config, root_readonly) },
	{ .name = NULL },
};

static int check_mount(
	const struct field_reader *reader, const struct field_place *place, void *base)
{
	const struct oci_mount *mount = base;

	return check_absolute(reader, place, "destination", mount->destination);
}

static const struct field mount_fields[] = {
	{ FIELD_TEXT_AT("destination", struct oci_mount, destination), .required = true },
	{ FIELD_TEXT_AT("type", struct oci_mount, type) },
	{ FIELD_TEXT_AT("source", struct oci_mount, source) },
	{ FIELD_VECTOR_AT("options", FIELD_STRINGS, struct oci_mount, options, option_count) },
	{ FIELD_REFUSE("uidMappings") },
	{ FIELD_REFUSE("gidMappings") },
	{ .name = NULL },
};

/* linux.resources */

static int read_access(const struct field_reader *reader, const struct field_place *place,
	const json_t *value, void *base)
{
	struct oci_device_rule *rule = base;
	const char *text = json_string_value(value);

	if (!text || text[strspn(text, "rwm")]) {
		return field_error(reader, place, "a text of the letters r, w, m expected");
	}
	rule->read = strchr(text, 'r') != NULL;
	rule->write = strchr(text, 'w') != NULL;
	rule->mknod = strchr(text, 'm') != NULL;
	return 0;
}

static json_t *print_access(const void *base)
{
	const struct oci_device_rule *rule = base;
	char text[4];

	snprintf(text, sizeof(text), "%s%s%s", rule->read ? "r" : "", rule->write ? "w" : "",
		rule->mknod ? "m" : "");
	return json_string(text);
}

static const struct field rule_fields[] = {
	{ FIELD_FLAG_AT("allow", struct oci_device_rule, allow), .required = true },
	{ FIELD_LETTER_AT("type", struct oci_device_rule, type, "acb"), .unset = 'a' },
	{ FIELD_INT_AT("major", struct oci_device_rule, major, -1, NUMBER_MAX), .unset = -1 },
	{ FIELD_INT_AT("minor", struct oci_device_rule, minor, -1, NUMBER_MAX), .unset = -1 },
	{ .name = "access", .kind = FIELD_CUSTOM, .read = read_access, .print = print_access },
	{ .name = NULL },
};

static const struct field memory_fields[] = {
	{ FIELD_INT_AT("limit", struct oci_resources, memory_limit, -1, INT64_MAX) },
	{ FIELD_INT_AT("reservation", struct oci_resources, memory_reservation, -1, INT64_MAX) },
	{ FIELD_INT_AT("swap", struct oci_resources, memory_swap, -1, INT64_MAX) },
	{ FIELD_INT_AT("swappiness", struct oci_resources, memory_swappiness, 0, 200),
		.unset = -1 },
	{ FIELD_FLAG_AT("disableOOMKiller", struct oci_resources, memory_disable_oom_killer) },
	{ FIELD_REFUSE("kernel") },
	{ FIELD_REFUSE("kernelTCP") },
	{ .name = NULL },
};

static const struct field cpu_fields[] = {
	{ FIELD_INT_AT("shares", struct oci_resources, cpu_shares, 0, INT64_MAX) },
	{ FIELD_INT_AT("quota", struct oci_resources, cpu_quota, -1, INT64_MAX) },
	{ FIELD_INT_AT("period", struct oci_resources, cpu_period, 0, INT64_MAX) },
	{ FIELD_TEXT_AT("cpus", struct oci_resources, cpuset_cpus) },
	{ FIELD_TEXT_AT("mems", struct oci_resources, cpuset_mems) },
	{ FIELD_REFUSE("burst") },
	{ FIELD_REFUSE("realtimeRuntime") },
	{ FIELD_REFUSE("realtimePeriod") },
	{ FIELD_REFUSE("idle") },
	{ .name = NULL },
};

static const struct field pids_fields[] = {
	{ FIELD_INT_AT("limit", struct oci_resources, pids_limit, -1, INT64_MAX) },
	{ .name = NULL },
};

static const struct field resources_fields[] = {
	{ FIELD_LIST_AT("devices", struct oci_resources, devices, device_count, rule_fields) },
	{ .name = "memory", .kind = FIELD_OBJECT, .fields = memory_fields },
	{ .name = "cpu", .kind = FIELD_OBJECT, .fields = cpu_fields },
	{ .name = "pids", .kind = FIELD_OBJECT, .fields = pids_fields },
	{ FIELD_REFUSE("blockIO") },
	{ FIELD_REFUSE("hugepageLimits") },
	{ FIELD_REFUSE("network") },
	{ FIELD_REFUSE("rdma") },
	{ FIELD_REFUSE("unified") },
	{ .name = NULL },
};

/* linux */

static const struct field_word namespace_words[] = {
	{ "cgroup", CLONE_NEWCGROUP },
	{ "ipc", CLONE_NEWIPC },
	{ "mount", CLONE_NEWNS },
	{ "network", CLONE_NEWNET },
	{ "pid", CLONE_NEWPID },
	{ "time", CLONE_NEWTIME },
	{ "user", CLONE_NEWUSER },
	{ "uts", CLONE_NEWUTS },
	{ NULL, 0 },
};

static int check_namespace(
	const struct field_reader *reader, const struct field_place *place, void *base)
{
	struct oci_namespace *namespace = base;

	/* Some callers write "path": "" for a new one. */
	if (namespace->path && !*namespace->path) {
		namespace->path = NULL;
	}
	return check_absolute(reader, place, "path", namespace->path);
}

static const struct field namespace_fields[] = {
	{ FIELD_WORD_AT("type", struct oci_namespace, type, namespace_words), .required = true },
	{ FIELD_TEXT_AT("path", struct oci_namespace, path) },
	{ .name = NULL },
};

static int check_device(
	const struct field_reader *reader, const struct field_place *place, void *base)
{
	struct oci_device *device = base;

	if (device->type == 'u') {
		device->type = 'c'; /* "unbuffered" is a character device's other name */
	}
	if (device->type != 'p' && (device->major < 0 || device->minor < 0)) {
		return field_error(reader, place, "major or minor is missing");
	}
	device->mode &= 07777; /* some callers leave the file type in */
	return check_absolute(reader, place, "path", device->path);
}

static const struct field device_fields[] = {
	{ FIELD_TEXT_AT("path", struct oci_device, path), .required = true },
	{ FIELD_LETTER_AT("type", struct oci_device, type, "cbup"), .required = true },
	{ FIELD_INT_AT("major", struct oci_device, major, 0, NUMBER_MAX), .unset = -1 },
	{ FIELD_INT_AT("minor", struct oci_device, minor, 0, NUMBER_MAX), .unset = -1 },
	{ FIELD_INT_AT("fileMode", struct oci_device, mode, 0, 0177777), .unset = 0666 },
	{ FIELD_INT_AT("uid", struct oci_device, uid, 0, ID_MAX) },
	{ FIELD_INT_AT("gid", struct oci_device, gid, 0, ID_MAX) },
	{ .name = NULL },
};

static const struct field id_map_fields[] = {
	{ FIELD_INT_AT("containerID", struct oci_id_map, container_id, 0, NUMBER_MAX),
		.required = true },
	{ FIELD_INT_AT("hostID", struct oci_id_map, host_id, 0, NUMBER_MAX), .required = true },
	{ FIELD_INT_AT("size", struct oci_id_map, size, 0, NUMBER_MAX), .required = true },
	{ .name = NULL },
};

static int read_seccomp(const struct field_reader *reader, const struct field_place *place,
	const json_t *value, void *base)
{
	struct oci_config *config = base;

	if (!json_is_object(value)) {
		return field_error(reader, place, "an object expected");
	}
	config->seccomp = json_incref((json_t *)value);
	return 0;
}

static json_t *print_seccomp(const void *base)
{
	const struct oci_config *config = base;

	return json_incref(config->seccomp);
}

static int check_linux(
	const struct field_reader *reader, const struct field_place *place, void *base)
{
	static const char *const propagations[] = { "private", "rprivate", "shared", "rshared",
		"slave", "rslave", "unbindable", "runbindable" };
	const struct oci_config *config = base;
	struct field_place namespaces = { .up = place, .name = "namespaces" };
	struct field_place propagation = { .up = place, .name = "rootfsPropagation" };
	int seen = 0;

	for (size_t i = 0; i < config->namespace_count; i++) {
		struct field_place at = { .up = &namespaces, .index = i };

		if (seen & config->namespaces[i].type) {
			return field_error(reader, &at, "a second namespace of that type");
		}
		seen |= config->namespaces[i].type;
	}
	for (size_t i = 0; i < ARRAY_SIZE(propagations); i++) {
		if (!config->rootfs_propagation ||
			strcmp(config->rootfs_propagation, propagations[i]) == 0) {
			return 0;
		}
	}
	return field_error(
		reader, &propagation, "\"%.80s\" is not known", config->rootfs_propagation);
}

static const struct field linux_fields[] = {
	{ FIELD_LIST_AT("uidMappings", struct oci_config, uid_maps, uid_map_count, id_map_fields) },
	{ FIELD_LIST_AT("gidMappings", struct oci_config, gid_maps, gid_map_count, id_map_fields) },
	{ FIELD_VECTOR_AT("sysctl", FIELD_PAIRS, struct oci_config, sysctls, sysctl_count) },
	{ .name = "resources",
		.kind = FIELD_OBJECT,
		.offset = offsetof(struct oci_config, resources),
		.fields = resources_fields },
	{ FIELD_TEXT_AT("cgroupsPath", struct oci_config, cgroups_path) },
	{ FIELD_LIST_AT(
		  "namespaces", struct oci_config, namespaces, namespace_count, namespace_fields),
		.check = check_namespace },
	{ FIELD_LIST_AT("devices", struct oci_config, devices, device_count, device_fields),
		.check = check_device },
	{ .name = "seccomp", .kind = FIELD_CUSTOM, .read = read_seccomp, .print = print_seccomp },
	{ FIELD_TEXT_AT("rootfsPropagation", struct oci_config, rootfs_propagation) },
	{ FIELD_VECTOR_AT(
		"maskedPaths", FIELD_STRINGS, struct oci_config, masked_paths, masked_count) },
	{ FIELD_VECTOR_AT("readonlyPaths", FIELD_STRINGS, struct oci_config, readonly_paths,
		readonly_count) },
	{ FIELD_REFUSE("mountLabel") },
	{ FIELD_REFUSE("intelRdt") },
	{ FIELD_REFUSE("personality") },
	{ FIELD_REFUSE("timeOffsets") },
	{ FIELD_REFUSE("netDevices") },
	{ FIELD_REFUSE("memoryPolicy") },
	{ .name = NULL },
};

/* The document */

static const struct field config_fields[] = {
	{ FIELD_TEXT_AT("ociVersion", struct oci_config, version), .required = true },
	{ .name = "process",
		.kind = FIELD_OBJECT,
		.required = true,
		.offset = offsetof(struct oci_config, process),
		.fields = process_fields,
		.check = check_process },
	{ .name = "root", .kind = FIELD_OBJECT, .fields = root_fields },
	{ FIELD_TEXT_AT("hostname", struct oci_config, hostname) },
	{ FIELD_TEXT_AT("domainname", struct oci_config, domainname) },
	{ FIELD_LIST_AT("mounts", struct oci_config, mounts, mount_count, mount_fields),
		.check = check_mount },
	{ FIELD_VECTOR_AT(
		"annotations", FIELD_PAIRS, struct oci_config, annotations, annotation_count) },
	{ .name = "linux", .kind = FIELD_OBJECT, .fields = linux_fields, .check = check_linux },
	{ FIELD_REFUSE("hooks") },
	{ FIELD_REFUSE("solaris") },
	{ FIELD_REFUSE("windows") },
	{ FIELD_REFUSE("vm") },
	{ FIELD_REFUSE("zos") },
	{ .name = NULL },
};

void oci_config_init(struct oci_config *config)
{
	*config = (struct oci_config){ 0 };
	fields_init(config_fields, config);
}

int oci_config_parse(
	const json_t *json, struct arena *arena, struct oci_config *config, struct error *err)
{
	struct field_reader reader = { .arena = arena, .err = err };
	int r;

	oci_config_init(config);
	r = fields_read(&reader, NULL, json, config_fields, config);
	if (r == 0 && strncmp(config->version, "1.", 2) != 0) {
		struct field_place at = { .name = "ociVersion" };

		r = field_error(&reader, &at, "\"%.40s\" is not a version that begins with 1.",
			config->version);
	}
	if (r < 0) {
		oci_config_finish(config);
	}
	return r;
}

json_t *oci_config_print(const struct oci_config *config)
{
	return fields_print(config_fields, config);
}

void oci_config_finish(struct oci_config *config)
{
	json_decref(config->seccomp);
	config->seccomp = NULL;
}
