/* Every key of the Compose Specification. A test walks all of it. */
#include "specs/compose_schema.h"

#define OBJECT(table)                                                                              \
	{                                                                                          \
		.keys = (table), .count = ARRAY_SIZE(table)                                        \
	}
#define IGNORED .flags = KEY_IGNORED

static const struct schema_key wherry_keys[] = {
	{ .name = "eager_health", .kind = KIND_BOOL },
};
static const struct schema_object wherry = OBJECT(wherry_keys);

static const struct schema_key ulimit_keys[] = {
	{ .name = "hard", .kind = KIND_INT },
	{ .name = "soft", .kind = KIND_INT },
};
static const struct schema_object ulimit = OBJECT(ulimit_keys);

/* The whole build section is announced as one (see service_keys), so nothing is marked here. */
static const struct schema_key build_keys[] = {
	{ .name = "additional_contexts", .kind = KIND_DICT },
	{ .name = "args", .kind = KIND_DICT },
	{ .name = "cache_from", .kind = KIND_LIST },
	{ .name = "cache_to", .kind = KIND_LIST },
	{ .name = "context", .kind = KIND_STRING, .shape = shape_file_path },
	{ .name = "dockerfile", .kind = KIND_STRING },
	{ .name = "dockerfile_inline", .kind = KIND_STRING },
	{ .name = "entitlements", .kind = KIND_LIST },
	{ .name = "extra_hosts",
		.kind = KIND_LIST,
		.flags = KEY_UNIQUE,
		.shape = shape_extra_hosts },
	{ .name = "isolation", .kind = KIND_STRING },
	{ .name = "labels", .kind = KIND_DICT },
	{ .name = "network", .kind = KIND_STRING },
	{ .name = "no_cache", .kind = KIND_BOOL },
	{ .name = "no_cache_filter", .kind = KIND_STRINGS },
	{ .name = "platforms", .kind = KIND_LIST },
	{ .name = "privileged", .kind = KIND_BOOL },
	{ .name = "provenance", .kind = KIND_ANY },
	{ .name = "pull", .kind = KIND_BOOL },
	{ .name = "sbom", .kind = KIND_ANY },
	{ .name = "secrets", .kind = KIND_ANY },
	{ .name = "shm_size", .kind = KIND_BYTES },
	{ .name = "ssh", .kind = KIND_ANY },
	{ .name = "tags", .kind = KIND_LIST, .flags = KEY_UNIQUE },
	{ .name = "target", .kind = KIND_STRING },
	{ .name = "ulimits",
		.kind = KIND_OBJECT_MAP,
		.flags = KEY_REPLACE,
		.object = &ulimit,
		.shape = shape_ulimits },
};
static const struct schema_object build = OBJECT(build_keys);

static const struct schema_key depends_keys[] = {
	{ .name = "condition", .kind = KIND_STRING },
	{ .name = "required", .kind = KIND_BOOL },
	{ .name = "restart", .kind = KIND_BOOL },
};
static const struct schema_object depends = OBJECT(depends_keys);

static const struct schema_key healthcheck_keys[] = {
	{ .name = "disable", .kind = KIND_BOOL },
	{ .name = "interval", .kind = KIND_DURATION },
	{ .name = "retries", .kind = KIND_INT },
	{ .name = "start_interval", .kind = KIND_DURATION },
	{ .name = "start_period", .kind = KIND_DURATION },
	{ .name = "test", .kind = KIND_LIST, .flags = KEY_REPLACE, .shape = shape_test },
	{ .name = "timeout", .kind = KIND_DURATION },
};
static const struct schema_object healthcheck = OBJECT(healthcheck_keys);

static const struct schema_key logging_keys[] = {
	{ .name = "driver", .kind = KIND_STRING },
	{ .name = "options", .kind = KIND_DICT },
};
static const struct schema_object logging = OBJECT(logging_keys);

static const struct schema_key service_network_keys[] = {
	{ .name = "aliases", .kind = KIND_LIST, .flags = KEY_UNIQUE },
	{ .name = "driver_opts", .kind = KIND_DICT, IGNORED },
	{ .name = "gw_priority", .kind = KIND_INT },
	{ .name = "interface_name", .kind = KIND_STRING, IGNORED },
	{ .name = "ipv4_address", .kind = KIND_STRING },
	{ .name = "ipv6_address", .kind = KIND_STRING },
	{ .name = "link_local_ips", .kind = KIND_LIST, IGNORED },
	{ .name = "mac_address", .kind = KIND_STRING },
	{ .name = "priority", .kind = KIND_INT },
};
static const struct schema_object service_network = OBJECT(service_network_keys);

static const struct schema_key port_keys[] = {
	{ .name = "app_protocol", .kind = KIND_STRING },
	{ .name = "host_ip", .kind = KIND_STRING },
	{ .name = "mode", .kind = KIND_STRING },
	{ .name = "name", .kind = KIND_STRING },
	{ .name = "protocol", .kind = KIND_STRING },
	{ .name = "published", .kind = KIND_TEXT },
	{ .name = "target", .kind = KIND_INT },
};
static const struct schema_object port = OBJECT(port_keys);

static const struct schema_key mount_bind_keys[] = {
	{ .name = "create_host_path", .kind = KIND_BOOL },
	{ .name = "propagation", .kind = KIND_STRING },
	{ .name = "recursive", .kind = KIND_STRING, IGNORED },
	/* What z and Z ask for: labels of a policy that is not in force where docker runs on Debian
	 * either. */
	{ .name = "selinux", .kind = KIND_STRING, .flags = KEY_QUIET },
};
static const struct schema_object mount_bind = OBJECT(mount_bind_keys);
static const struct schema_key mount_volume_keys[] = {
	{ .name = "labels", .kind = KIND_DICT, IGNORED },
	{ .name = "nocopy", .kind = KIND_BOOL },
	{ .name = "subpath", .kind = KIND_STRING },
};
static const struct schema_object mount_volume = OBJECT(mount_volume_keys);
static const struct schema_key mount_tmpfs_keys[] = {
	{ .name = "mode", .kind = KIND_INT },
	{ .name = "size", .kind = KIND_BYTES },
};
static const struct schema_object mount_tmpfs = OBJECT(mount_tmpfs_keys);
static const struct schema_key mount_image_keys[] = {
	{ .name = "subpath", .kind = KIND_STRING },
};
static const struct schema_object mount_image = OBJECT(mount_image_keys);
static const struct schema_key mount_keys[] = {
	{ .name = "bind", .kind = KIND_OBJECT, .object = &mount_bind },
	{ .name = "consistency", .kind = KIND_STRING, .flags = KEY_QUIET },
	{ .name = "image", .kind = KIND_OBJECT, .object = &mount_image },
	{ .name = "read_only", .kind = KIND_BOOL },
	{ .name = "source", .kind = KIND_STRING },
	{ .name = "target", .kind = KIND_STRING },
	{ .name = "tmpfs", .kind = KIND_OBJECT, .object = &mount_tmpfs },
	{ .name = "type", .kind = KIND_STRING },
	{ .name = "volume", .kind = KIND_OBJECT, .object = &mount_volume },
};
static const struct schema_object mount = OBJECT(mount_keys);

static const struct schema_key grant_keys[] = {
	{ .name = "gid", .kind = KIND_TEXT },
	{ .name = "mode", .kind = KIND_TEXT },
	{ .name = "source", .kind = KIND_STRING },
	{ .name = "target", .kind = KIND_STRING },
	{ .name = "uid", .kind = KIND_TEXT },
};
static const struct schema_object grant = OBJECT(grant_keys);

static const struct schema_key env_file_keys[] = {
	{ .name = "format", .kind = KIND_STRING },
	{ .name = "path", .kind = KIND_STRING, .shape = shape_file_path },
	{ .name = "required", .kind = KIND_BOOL },
};
static const struct schema_object env_file = OBJECT(env_file_keys);

static const struct schema_key device_keys[] = {
	{ .name = "permissions", .kind = KIND_STRING },
	{ .name = "source", .kind = KIND_STRING },
	{ .name = "target", .kind = KIND_STRING },
};
static const struct schema_object device = OBJECT(device_keys);

static const struct schema_key device_request_keys[] = {
	{ .name = "capabilities", .kind = KIND_LIST },
	{ .name = "count", .kind = KIND_TEXT },
	{ .name = "device_ids", .kind = KIND_LIST },
	{ .name = "driver", .kind = KIND_STRING },
	{ .name = "options", .kind = KIND_DICT },
};
static const struct schema_object device_request = OBJECT(device_request_keys);

static const struct schema_key limits_keys[] = {
	{ .name = "cpus", .kind = KIND_NUMBER },
	{ .name = "memory", .kind = KIND_BYTES },
	{ .name = "pids", .kind = KIND_INT },
};
static const struct schema_object limits = OBJECT(limits_keys);
static const struct schema_key reservations_keys[] = {
	{ .name = "cpus", .kind = KIND_NUMBER, IGNORED },
	{ .name = "devices", .kind = KIND_OBJECT_LIST, IGNORED, .object = &device_request },
	{ .name = "generic_resources", .kind = KIND_ANY, IGNORED },
	{ .name = "memory", .kind = KIND_BYTES },
};
static const struct schema_object reservations = OBJECT(reservations_keys);
static const struct schema_key resources_keys[] = {
	{ .name = "limits", .kind = KIND_OBJECT, .object = &limits },
	{ .name = "reservations", .kind = KIND_OBJECT, .object = &reservations },
};
static const struct schema_object resources = OBJECT(resources_keys);
static const struct schema_key restart_policy_keys[] = {
	{ .name = "condition", .kind = KIND_STRING },
	{ .name = "delay", .kind = KIND_DURATION, IGNORED },
	{ .name = "max_attempts", .kind = KIND_INT },
	{ .name = "window", .kind = KIND_DURATION, IGNORED },
};
static const struct schema_object restart_policy = OBJECT(restart_policy_keys);
static const struct schema_key update_config_keys[] = {
	{ .name = "delay", .kind = KIND_DURATION },
	{ .name = "failure_action", .kind = KIND_STRING },
	{ .name = "max_failure_ratio", .kind = KIND_NUMBER },
	{ .name = "monitor", .kind = KIND_DURATION },
	{ .name = "order", .kind = KIND_STRING },
	{ .name = "parallelism", .kind = KIND_INT },
};
static const struct schema_object update_config = OBJECT(update_config_keys);
static const struct schema_key placement_keys[] = {
	{ .name = "constraints", .kind = KIND_LIST },
	{ .name = "max_replicas_per_node", .kind = KIND_INT },
	{ .name = "preferences", .kind = KIND_ANY },
};
static const struct schema_object placement = OBJECT(placement_keys);
static const struct schema_key deploy_keys[] = {
	{ .name = "endpoint_mode", .kind = KIND_STRING, IGNORED },
	{ .name = "labels", .kind = KIND_DICT, IGNORED },
	{ .name = "mode", .kind = KIND_STRING, IGNORED },
	{ .name = "placement", .kind = KIND_OBJECT, IGNORED, .object = &placement },
	{ .name = "replicas", .kind = KIND_INT },
	{ .name = "resources", .kind = KIND_OBJECT, .object = &resources },
	{ .name = "restart_policy", .kind = KIND_OBJECT, .object = &restart_policy },
	{ .name = "rollback_config", .kind = KIND_OBJECT, IGNORED, .object = &update_config },
	{ .name = "update_config", .kind = KIND_OBJECT, IGNORED, .object = &update_config },
};
static const struct schema_object deploy = OBJECT(deploy_keys);

static const struct schema_key blkio_weight_keys[] = {
	{ .name = "path", .kind = KIND_STRING },
	{ .name = "weight", .kind = KIND_INT },
};
static const struct schema_object blkio_weight = OBJECT(blkio_weight_keys);
static const struct schema_key blkio_limit_keys[] = {
	{ .name = "path", .kind = KIND_STRING },
	{ .name = "rate", .kind = KIND_BYTES },
};
static const struct schema_object blkio_limit = OBJECT(blkio_limit_keys);
static const struct schema_key blkio_keys[] = {
	{ .name = "device_read_bps", .kind = KIND_OBJECT_LIST, .object = &blkio_limit },
	{ .name = "device_read_iops", .kind = KIND_OBJECT_LIST, .object = &blkio_limit },
	{ .name = "device_write_bps", .kind = KIND_OBJECT_LIST, .object = &blkio_limit },
	{ .name = "device_write_iops", .kind = KIND_OBJECT_LIST, .object = &blkio_limit },
	{ .name = "weight", .kind = KIND_INT },
	{ .name = "weight_device", .kind = KIND_OBJECT_LIST, .object = &blkio_weight },
};
static const struct schema_object blkio = OBJECT(blkio_keys);

static const struct schema_key watch_keys[] = {
	{ .name = "action", .kind = KIND_STRING },
	{ .name = "exec", .kind = KIND_ANY },
	{ .name = "ignore", .kind = KIND_STRINGS },
	{ .name = "include", .kind = KIND_STRINGS },
	{ .name = "initial_sync", .kind = KIND_BOOL },
	{ .name = "path", .kind = KIND_STRING },
	{ .name = "target", .kind = KIND_STRING },
};
static const struct schema_object watch = OBJECT(watch_keys);
static const struct schema_key develop_keys[] = {
	{ .name = "watch", .kind = KIND_OBJECT_LIST, .object = &watch },
};
static const struct schema_object develop = OBJECT(develop_keys);

static const struct schema_key hook_keys[] = {
	{ .name = "command", .kind = KIND_WORDS },
	{ .name = "environment", .kind = KIND_DICT },
	{ .name = "image", .kind = KIND_STRING },
	{ .name = "per_replica", .kind = KIND_BOOL },
	{ .name = "privileged", .kind = KIND_BOOL },
	{ .name = "user", .kind = KIND_STRING },
	{ .name = "working_dir", .kind = KIND_STRING },
};
static const struct schema_object hook = OBJECT(hook_keys);

static const struct schema_key credential_keys[] = {
	{ .name = "config", .kind = KIND_STRING },
	{ .name = "file", .kind = KIND_STRING },
	{ .name = "registry", .kind = KIND_STRING },
};
static const struct schema_object credential = OBJECT(credential_keys);

static const struct schema_key extends_keys[] = {
	{ .name = "file", .kind = KIND_STRING },
	{ .name = "service", .kind = KIND_STRING },
};
static const struct schema_object extends = OBJECT(extends_keys);

static const struct schema_key provider_keys[] = {
	{ .name = "options", .kind = KIND_ANY },
	{ .name = "type", .kind = KIND_STRING },
};
static const struct schema_object provider = OBJECT(provider_keys);

static const struct schema_key service_model_keys[] = {
	{ .name = "endpoint_var", .kind = KIND_STRING },
	{ .name = "model_var", .kind = KIND_STRING },
};
static const struct schema_object service_model = OBJECT(service_model_keys);

static const struct schema_key service_keys[] = {
	{ .name = "annotations", .kind = KIND_DICT },
	{ .name = "attach", .kind = KIND_BOOL },
	{ .name = "blkio_config", .kind = KIND_OBJECT, IGNORED, .object = &blkio },
	{ .name = "build", .kind = KIND_OBJECT, .object = &build, .shape = shape_build },
	{ .name = "cap_add", .kind = KIND_LIST, .flags = KEY_UNIQUE },
	{ .name = "cap_drop", .kind = KIND_LIST, .flags = KEY_UNIQUE },
	{ .name = "cgroup", .kind = KIND_STRING, IGNORED },
	{ .name = "cgroup_parent", .kind = KIND_STRING },
	{ .name = "command", .kind = KIND_WORDS, .flags = KEY_REPLACE },
	{ .name = "configs",
		.kind = KIND_OBJECT_LIST,
		.object = &grant,
		.shape = shape_grants,
		.identity = "source,target" },
	{ .name = "container_name", .kind = KIND_STRING },
	{ .name = "cpu_count", .kind = KIND_NUMBER, IGNORED },
	{ .name = "cpu_percent", .kind = KIND_NUMBER, IGNORED },
	{ .name = "cpu_period", .kind = KIND_INT },
	{ .name = "cpu_quota", .kind = KIND_INT },
	{ .name = "cpu_rt_period", .kind = KIND_TEXT, IGNORED },
	{ .name = "cpu_rt_runtime", .kind = KIND_TEXT, IGNORED },
	{ .name = "cpu_shares", .kind = KIND_INT },
	{ .name = "cpus", .kind = KIND_NUMBER },
	{ .name = "cpuset", .kind = KIND_STRING },
	{ .name = "credential_spec", .kind = KIND_OBJECT, IGNORED, .object = &credential },
	{ .name = "depends_on",
		.kind = KIND_OBJECT_MAP,
		.object = &depends,
		.shape = shape_depends_on },
	{ .name = "deploy", .kind = KIND_OBJECT, .object = &deploy },
	{ .name = "develop", .kind = KIND_OBJECT, IGNORED, .object = &develop },
	{ .name = "device_cgroup_rules", .kind = KIND_LIST, .flags = KEY_IGNORED | KEY_UNIQUE },
	{ .name = "devices",
		.kind = KIND_OBJECT_LIST,
		.object = &device,
		.shape = shape_devices,
		.identity = "target" },
	{ .name = "dns", .kind = KIND_STRINGS, .flags = KEY_UNIQUE },
	{ .name = "dns_opt", .kind = KIND_LIST, .flags = KEY_UNIQUE },
	{ .name = "dns_search", .kind = KIND_STRINGS, .flags = KEY_UNIQUE },
	{ .name = "domainname", .kind = KIND_STRING },
	{ .name = "entrypoint", .kind = KIND_WORDS, .flags = KEY_REPLACE },
	{ .name = "env_file",
		.kind = KIND_OBJECT_LIST,
		.object = &env_file,
		.shape = shape_env_file,
		.identity = "path" },
	{ .name = "environment", .kind = KIND_DICT },
	{ .name = "expose", .kind = KIND_LIST, .flags = KEY_UNIQUE },
	{ .name = "extends",
		.kind = KIND_OBJECT,
		IGNORED,
		.object = &extends,
		.shape = shape_extends },
	{ .name = "external_links", .kind = KIND_LIST, .flags = KEY_IGNORED | KEY_UNIQUE },
	{ .name = "extra_hosts",
		.kind = KIND_LIST,
		.flags = KEY_UNIQUE,
		.shape = shape_extra_hosts },
	{ .name = "gpus",
		.kind = KIND_OBJECT_LIST,
		IGNORED,
		.object = &device_request,
		.shape = shape_gpus },
	{ .name = "group_add", .kind = KIND_LIST, .flags = KEY_UNIQUE },
	{ .name = "healthcheck", .kind = KIND_OBJECT, .object = &healthcheck },
	{ .name = "hostname", .kind = KIND_STRING },
	{ .name = "image", .kind = KIND_STRING },
	{ .name = "init", .kind = KIND_BOOL },
	{ .name = "ipc", .kind = KIND_STRING },
	{ .name = "isolation", .kind = KIND_STRING, IGNORED },
	{ .name = "label_file", .kind = KIND_STRINGS, IGNORED, .shape = shape_label_file },
	{ .name = "labels", .kind = KIND_DICT },
	{ .name = "links", .kind = KIND_LIST, .flags = KEY_IGNORED | KEY_UNIQUE },
	{ .name = "logging", .kind = KIND_OBJECT, .object = &logging },
	{ .name = "mac_address", .kind = KIND_STRING, IGNORED },
	{ .name = "mem_limit", .kind = KIND_BYTES },
	{ .name = "mem_reservation", .kind = KIND_BYTES },
	{ .name = "mem_swappiness", .kind = KIND_INT },
	{ .name = "memswap_limit", .kind = KIND_BYTES },
	{ .name = "models",
		.kind = KIND_OBJECT_MAP,
		IGNORED,
		.object = &service_model,
		.shape = shape_models },
	{ .name = "network_mode", .kind = KIND_STRING },
	{ .name = "networks",
		.kind = KIND_OBJECT_MAP,
		.object = &service_network,
		.shape = shape_networks },
	{ .name = "oom_kill_disable", .kind = KIND_BOOL },
	{ .name = "oom_score_adj", .kind = KIND_INT },
	{ .name = "pid", .kind = KIND_STRING },
	{ .name = "pids_limit", .kind = KIND_INT },
	{ .name = "platform", .kind = KIND_STRING },
	{ .name = "ports",
		.kind = KIND_OBJECT_LIST,
		.object = &port,
		.shape = shape_ports,
		.identity = "host_ip,published,target,protocol" },
	{ .name = "post_start", .kind = KIND_OBJECT_LIST, IGNORED, .object = &hook },
	{ .name = "pre_start", .kind = KIND_OBJECT_LIST, IGNORED, .object = &hook },
	{ .name = "pre_stop", .kind = KIND_OBJECT_LIST, IGNORED, .object = &hook },
	{ .name = "privileged", .kind = KIND_BOOL },
	{ .name = "profiles", .kind = KIND_LIST, .flags = KEY_UNIQUE },
	{ .name = "provider", .kind = KIND_OBJECT, IGNORED, .object = &provider },
	{ .name = "pull_policy", .kind = KIND_STRING },
	{ .name = "pull_refresh_after", .kind = KIND_STRING, IGNORED },
	{ .name = "read_only", .kind = KIND_BOOL },
	{ .name = "restart", .kind = KIND_STRING },
	{ .name = "runtime", .kind = KIND_STRING, IGNORED },
	{ .name = "scale", .kind = KIND_INT },
	{ .name = "secrets",
		.kind = KIND_OBJECT_LIST,
		.object = &grant,
		.shape = shape_grants,
		.identity = "source,target" },
	{ .name = "security_opt", .kind = KIND_LIST, .flags = KEY_UNIQUE },
	{ .name = "shm_size", .kind = KIND_BYTES },
	{ .name = "stdin_open", .kind = KIND_BOOL },
	{ .name = "stop_grace_period", .kind = KIND_DURATION },
	{ .name = "stop_signal", .kind = KIND_STRING },
	{ .name = "storage_opt", .kind = KIND_DICT, IGNORED },
	{ .name = "sysctls", .kind = KIND_DICT },
	{ .name = "tmpfs", .kind = KIND_STRINGS, .flags = KEY_UNIQUE },
	{ .name = "tty", .kind = KIND_BOOL },
	{ .name = "ulimits",
		.kind = KIND_OBJECT_MAP,
		.flags = KEY_REPLACE,
		.object = &ulimit,
		.shape = shape_ulimits },
	{ .name = "use_api_socket", .kind = KIND_BOOL, IGNORED },
	{ .name = "user", .kind = KIND_STRING },
	{ .name = "userns_mode", .kind = KIND_STRING },
	{ .name = "uts", .kind = KIND_STRING },
	{ .name = "volumes",
		.kind = KIND_OBJECT_LIST,
		.object = &mount,
		.shape = shape_volumes,
		.identity = "target" },
	{ .name = "volumes_from", .kind = KIND_LIST, .flags = KEY_IGNORED | KEY_UNIQUE },
	{ .name = "working_dir", .kind = KIND_STRING },
	{ .name = "x-wherry", .kind = KIND_OBJECT, .object = &wherry },
};
static const struct schema_object service = OBJECT(service_keys);

static const struct schema_key ipam_config_keys[] = {
	{ .name = "aux_addresses", .kind = KIND_DICT, IGNORED },
	{ .name = "gateway", .kind = KIND_STRING },
	{ .name = "ip_range", .kind = KIND_STRING, IGNORED },
	{ .name = "subnet", .kind = KIND_STRING },
};
static const struct schema_object ipam_config = OBJECT(ipam_config_keys);
static const struct schema_key ipam_keys[] = {
	{ .name = "config",
		.kind = KIND_OBJECT_LIST,
		.object = &ipam_config,
		.identity = "subnet" },
	{ .name = "driver", .kind = KIND_STRING, .flags = KEY_QUIET },
	{ .name = "options", .kind = KIND_DICT, IGNORED },
};
static const struct schema_object ipam = OBJECT(ipam_keys);
static const struct schema_key network_keys[] = {
	{ .name = "attachable", .kind = KIND_BOOL },
	{ .name = "driver", .kind = KIND_STRING },
	{ .name = "driver_opts", .kind = KIND_DICT },
	{ .name = "enable_ipv4", .kind = KIND_BOOL, IGNORED },
	{ .name = "enable_ipv6", .kind = KIND_BOOL, IGNORED },
	{ .name = "external", .kind = KIND_BOOL, .shape = shape_external },
	{ .name = "internal", .kind = KIND_BOOL },
	{ .name = "ipam", .kind = KIND_OBJECT, .object = &ipam },
	{ .name = "labels", .kind = KIND_DICT },
	{ .name = "name", .kind = KIND_STRING },
};
static const struct schema_object network = OBJECT(network_keys);

static const struct schema_key volume_keys[] = {
	{ .name = "driver", .kind = KIND_STRING },
	{ .name = "driver_opts", .kind = KIND_DICT },
	{ .name = "external", .kind = KIND_BOOL, .shape = shape_external },
	{ .name = "labels", .kind = KIND_DICT },
	{ .name = "name", .kind = KIND_STRING },
};
static const struct schema_object volume = OBJECT(volume_keys);

static const struct schema_key secret_keys[] = {
	{ .name = "driver", .kind = KIND_STRING, IGNORED },
	{ .name = "driver_opts", .kind = KIND_DICT, IGNORED },
	{ .name = "environment", .kind = KIND_STRING },
	{ .name = "external", .kind = KIND_BOOL, .shape = shape_external },
	{ .name = "file", .kind = KIND_STRING, .shape = shape_file_path },
	{ .name = "labels", .kind = KIND_DICT, .flags = KEY_QUIET },
	{ .name = "name", .kind = KIND_STRING },
	{ .name = "template_driver", .kind = KIND_STRING, IGNORED },
};
static const struct schema_object secret = OBJECT(secret_keys);

static const struct schema_key config_keys[] = {
	{ .name = "content", .kind = KIND_STRING },
	{ .name = "environment", .kind = KIND_STRING },
	{ .name = "external", .kind = KIND_BOOL, .shape = shape_external },
	{ .name = "file", .kind = KIND_STRING, .shape = shape_file_path },
	{ .name = "labels", .kind = KIND_DICT, .flags = KEY_QUIET },
	{ .name = "name", .kind = KIND_STRING },
	{ .name = "template_driver", .kind = KIND_STRING, IGNORED },
};
static const struct schema_object config = OBJECT(config_keys);

static const struct schema_key model_keys[] = {
	{ .name = "context_size", .kind = KIND_INT },
	{ .name = "model", .kind = KIND_STRING },
	{ .name = "name", .kind = KIND_STRING },
	{ .name = "runtime_flags", .kind = KIND_LIST },
};
static const struct schema_object model = OBJECT(model_keys);

static const struct schema_key include_keys[] = {
	{ .name = "env_file", .kind = KIND_STRINGS },
	{ .name = "path", .kind = KIND_STRINGS },
	{ .name = "project_directory", .kind = KIND_STRING },
};
static const struct schema_object include = OBJECT(include_keys);

static const struct schema_key root_keys[] = {
	{ .name = "configs", .kind = KIND_OBJECT_MAP, .object = &config },
	{ .name = "include",
		.kind = KIND_OBJECT_LIST,
		IGNORED,
		.object = &include,
		.shape = shape_include },
	{ .name = "models", .kind = KIND_OBJECT_MAP, IGNORED, .object = &model },
	{ .name = "name", .kind = KIND_STRING },
	{ .name = "networks", .kind = KIND_OBJECT_MAP, .object = &network },
	{ .name = "secrets", .kind = KIND_OBJECT_MAP, .object = &secret },
	{ .name = "services", .kind = KIND_OBJECT_MAP, .object = &service },
	{ .name = "version", .kind = KIND_TEXT },
	{ .name = "volumes", .kind = KIND_OBJECT_MAP, .object = &volume },
	{ .name = "x-wherry", .kind = KIND_OBJECT, .object = &wherry },
};
const struct schema_object compose_schema_root = OBJECT(root_keys);
