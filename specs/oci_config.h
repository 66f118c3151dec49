/*
 * The OCI runtime configuration (runtime-spec 1.2, config.json) as C structures, read from and
 * printed as JSON. The part that this product runs by itself is typed; the next issues widen it.
 * Every pointer lives in the arena given to the parser or is the builder's own.
 *
 * Vectors come as pointer + count; string vectors are also NULL-terminated.
 */
#ifndef WHERRY_SPECS_OCI_CONFIG_H
#define WHERRY_SPECS_OCI_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/mem.h"

struct oci_rlimit {
	int type; /* RLIMIT_* */
	uint64_t soft, hard; /* RLIM_INFINITY: unlimited */
};

enum {
	OCI_CAPS_BOUNDING,
	OCI_CAPS_EFFECTIVE,
	OCI_CAPS_PERMITTED,
	OCI_CAPS_INHERITABLE,
	OCI_CAPS_AMBIENT,
	OCI_CAPS_SETS
};

struct oci_process {
	bool terminal;
	uint16_t console_rows, console_columns; /* 0: leave alone */
	uid_t uid;
	gid_t gid;
	int umask; /* -1: not given (0022) */
	const gid_t *additional_gids;
	size_t additional_gid_count;
	const char **args, **env;
	size_t arg_count, env_count;
	const char *cwd;
	bool has_capabilities;
	uint64_t capabilities[OCI_CAPS_SETS]; /* bit N: capability number N */
	struct oci_rlimit *rlimits;
	size_t rlimit_count;
	bool no_new_privileges;
	bool has_oom_score_adj;
	int oom_score_adj;
	const char *apparmor_profile, *selinux_label;
};

struct oci_mount {
	const char *destination, *type, *source; /* type NULL: as options say (bind) */
	const char **options;
	size_t option_count;
	/*
	 * Ours, never in a foreign bundle: "x-wherry.fill" among the options. The source is an empty
	 * volume that takes over what the rootfs holds at the destination, with its ownership, before
	 * it is mounted there (what docker does with a new named volume). runtime/ strips it.
	 */
};

struct oci_namespace {
	int type; /* CLONE_NEW* */
	const char *path; /* NULL: a new one */
};

struct oci_device {
	const char *path;
	char type; /* 'c', 'b', 'p' */
	int64_t major, minor;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

struct oci_device_rule {
	bool allow;
	char type; /* 'a', 'c', 'b' */
	int64_t major, minor; /* -1: any */
	bool read, write, mknod;
};

/* Each limit has a value that means "not asked for". */
struct oci_resources {
	struct oci_device_rule *devices;
	size_t device_count;
	int64_t memory_limit; /* bytes; 0: unset, -1: unlimited */
	int64_t memory_swap; /* memory plus swap, bytes; 0: unset, -1: unlimited */
	int64_t memory_reservation; /* bytes; 0: unset */
	int64_t memory_swappiness; /* -1: unset */
	bool memory_disable_oom_killer;
	uint64_t cpu_shares; /* 0: unset */
	int64_t cpu_quota; /* microseconds; 0: unset, -1: none */
	uint64_t cpu_period; /* microseconds; 0: unset */
	const char *cpuset_cpus, *cpuset_mems;
	int64_t pids_limit; /* 0: unset, -1: unlimited */
};

struct oci_pair {
	const char *key, *value;
};

struct oci_id_map {
	uint32_t container_id, host_id, size;
};

struct oci_config {
	const char *version;
	struct oci_process process;
	const char
		*root_path; /* as written; NULL when the rootfs is an overlay handed in beside it */
	bool root_readonly;
	const char *hostname, *domainname;
	struct oci_mount *mounts;
	size_t mount_count;
	struct oci_namespace *namespaces;
	size_t namespace_count;
	struct oci_id_map *uid_maps, *gid_maps;
	size_t uid_map_count, gid_map_count;
	struct oci_device *devices;
	size_t device_count;
	const char *cgroups_path;
	struct oci_resources resources;
	const char *rootfs_propagation;
	/* linux.seccomp as given (NULL: none); runtime/seccomp compiles it. Owned (json_decref) by
	 * whoever owns the config: oci_config_finish(). */
	json_t *seccomp;
	const char **masked_paths, **readonly_paths;
	size_t masked_count, readonly_count;
	struct oci_pair *sysctls, *annotations;
	size_t sysctl_count, annotation_count;
};

/* Sets the "not asked for" values. */
void oci_config_init(struct oci_config *config);

/*
 * Reads a configuration. Strings are copied into @arena. What is known but not supported yet is
 * refused by name (never ignored in silence); unknown members are ignored as the specification
 * demands. Returns 0 or a negative errno with @err saying which member is wrong.
 */
int oci_config_parse(
	const json_t *json, struct arena *arena, struct oci_config *config, struct error *err);

/*
 * Reads a config.json of at most OCI_CONFIG_LIMIT bytes below the folder @dir. Takes the whole range
 * of 64-bit unsigned numbers (rlimits), which jansson alone refuses. As oci_config_parse() else.
 */
#define OCI_CONFIG_LIMIT ((size_t)4 << 20)
int oci_config_load(int dir, const char *path, struct arena *arena, struct oci_config *config,
	struct error *err);
/* The same for bytes in memory; @what names them in messages. */
int oci_config_parse_text(const char *text, size_t size, const char *what, struct arena *arena,
	struct oci_config *config, struct error *err);

/*
 * The configuration as JSON (new reference). parse(print(c)) equals c. A limit above INT64_MAX
 * stands as the negative number of the same 64 bits (unlimited: -1), which parse takes; write a
 * file for other runtimes with oci_config_print_text().
 */
json_t *oci_config_print(const struct oci_config *config);
/* Compact text with limits as unsigned numbers. The caller's (free). */
char *oci_config_print_text(const struct oci_config *config);

/* Releases what is not in the arena. */
void oci_config_finish(struct oci_config *config);

#endif
