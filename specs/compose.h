/*
 * The compose model: what a project's files mean, after merge, interpolation, validation and
 * normalisation. Follows the Compose Specification and, where that is silent, docker compose
 * (compose-go). Everything lives in the project's arena.
 */
#ifndef WHERRY_SPECS_COMPOSE_H
#define WHERRY_SPECS_COMPOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "specs/diagnostics.h"

/* A tri-state for booleans whose absence means something. */
enum tristate { UNSET = -1, NO = 0, YES = 1 };

/* An ordered list of key/value pairs. A NULL value is "no value given" (environment: unset). */
struct compose_pair {
	const char *key;
	const char *value;
	struct mark mark;
};
struct compose_pairs {
	struct compose_pair *items;
	size_t count;
};

/* A command: absent (is_set false), empty list (is_set, count 0) or words. @items is
 * NULL-terminated when is_set. */
struct compose_words {
	bool is_set;
	const char **items;
	size_t count;
	struct mark mark;
};

struct compose_strings {
	const char **items; /* NULL-terminated when count > 0 */
	size_t count;
};

struct compose_port {
	const char *host_ip; /* NULL: every address */
	/* Published range on the host; 0..0: ephemeral, chosen at start. A range longer than one with
	 * one target port means "the first that is free". */
	uint16_t published_first, published_last;
	uint16_t target; /* container port */
	const char *protocol; /* "tcp" or "udp" */
	const char *mode; /* "ingress" or "host" */
	const char *name, *app_protocol;
	struct mark mark;
};

enum compose_mount_type {
	COMPOSE_MOUNT_BIND,
	COMPOSE_MOUNT_VOLUME,
	COMPOSE_MOUNT_TMPFS,
	COMPOSE_MOUNT_IMAGE
};

struct compose_mount {
	enum compose_mount_type type;
	const char *
		source; /* bind: absolute host path; volume: key under `volumes`, NULL: anonymous */
	const char *target; /* absolute path in the container */
	bool read_only;
	const char *propagation; /* bind; NULL: rprivate */
	bool create_host_path; /* bind */
	bool nocopy; /* volume */
	const char *subpath; /* volume, image */
	int64_t tmpfs_size; /* bytes, 0: none */
	int64_t tmpfs_mode; /* -1: none */
	const char *tmpfs_options; /* the service key `tmpfs: path:options`; NULL otherwise */
	const char *consistency;
	struct mark mark;
};

struct compose_service_network {
	const char *name; /* key under the top-level `networks` */
	struct compose_strings aliases;
	const char *ipv4_address, *ipv6_address, *mac_address;
	int64_t priority, gw_priority;
	struct mark mark;
};

enum compose_condition { COMPOSE_STARTED, COMPOSE_HEALTHY, COMPOSE_COMPLETED };

struct compose_dependency {
	const char *service;
	enum compose_condition condition;
	bool restart;
	bool required;
	struct mark mark;
};

struct compose_healthcheck {
	bool is_set;
	bool disable; /* `disable: true` or test NONE */
	struct compose_words test; /* first word CMD or CMD-SHELL */
	int64_t interval_us, timeout_us, start_period_us, start_interval_us; /* -1: not given */
	int64_t retries; /* -1: not given */
	struct mark mark;
};

struct compose_ulimit {
	const char *name; /* "nofile" */
	int64_t soft, hard; /* -1: unlimited */
	struct mark mark;
};

/* Limits from the service keys and deploy.resources, merged (they may not differ). */
struct compose_resources {
	int64_t memory_limit; /* bytes, 0: none */
	int64_t memory_reservation; /* bytes, 0: none */
	int64_t memory_swap_limit; /* memory plus swap in bytes; 0: unset, -1: unlimited */
	int64_t memory_swappiness; /* -1: unset */
	double cpus; /* cores, 0: no limit */
	int64_t cpu_shares, cpu_quota, cpu_period; /* 0: unset */
	const char *cpuset;
	int64_t pids_limit; /* 0: unset, -1: unlimited */
	bool oom_kill_disable;
	int64_t oom_score_adj; /* INT64_MIN: unset */
	struct mark memory_mark, cpus_mark, pids_mark;
};

enum compose_restart {
	COMPOSE_RESTART_NO,
	COMPOSE_RESTART_ALWAYS,
	COMPOSE_RESTART_ON_FAILURE,
	COMPOSE_RESTART_UNLESS_STOPPED
};

struct compose_logging {
	const char *driver; /* NULL: json-file */
	struct compose_pairs options;
	struct mark mark;
};

/* A use of a secret or a config by a service. */
struct compose_grant {
	const char *source, *target; /* target absolute */
	const char *uid, *gid; /* NULL: not given */
	int64_t mode; /* -1: not given */
	struct mark mark;
};

struct compose_service {
	const char *name;
	struct mark mark;
	const char *image; /* as written; NULL with `build` only */
	const char *build_context; /* NULL: no build section (decoded in full by a later issue) */
	struct compose_words command, entrypoint;
	struct compose_pairs
		environment; /* env_file and environment resolved; value NULL: remove */
	struct compose_port *ports;
	size_t port_count;
	struct compose_strings expose;
	struct compose_mount *mounts; /* volumes and tmpfs, in order */
	size_t mount_count;
	struct compose_service_network *networks; /* in the order that decides eth0, eth1, ... */
	size_t network_count;
	const char *network_mode; /* NULL: the networks above */
	struct compose_dependency *depends_on;
	size_t depends_count;
	struct compose_healthcheck healthcheck;
	enum compose_restart restart;
	int64_t restart_max; /* on-failure:N; 0: no limit */
	bool restart_is_set;
	const char *user, *working_dir, *hostname, *domainname, *container_name, *platform;
	enum tristate init;
	bool read_only, privileged, tty, stdin_open;
	enum tristate attach;
	struct compose_strings cap_add, cap_drop, security_opt, group_add, devices;
	struct compose_ulimit *ulimits;
	size_t ulimit_count;
	struct compose_pairs sysctls, labels, annotations, extra_hosts;
	struct compose_strings dns, dns_search, dns_opt;
	const char *stop_signal;
	int64_t stop_grace_period_us; /* -1: not given */
	struct compose_resources resources;
	int64_t scale; /* replicas; default 1 */
	struct compose_logging logging;
	struct compose_strings profiles;
	const char *pull_policy;
	int64_t shm_size; /* bytes, 0: default */
	const char *pid, *ipc, *uts, *cgroup_parent, *userns_mode;
	struct compose_grant *secrets, *configs;
	size_t secret_count, config_count;
	/* x-wherry */
	enum tristate eager_health; /* UNSET: the project's, which defaults to yes */
	struct mark image_mark, user_mark, init_mark, network_mode_mark, platform_mark;
};

struct compose_network {
	const char *key, *name; /* name: "<project>_<key>" unless given */
	bool external, internal, attachable;
	const char *driver; /* NULL: bridge */
	struct compose_strings subnets, gateways; /* ipam.config, pairwise; "" where not given */
	struct compose_pairs labels, driver_opts;
	bool used; /* by an enabled service */
	struct mark mark;
};

struct compose_volume {
	const char *key, *name;
	bool external;
	const char *driver;
	struct compose_pairs labels, driver_opts;
	bool used;
	struct mark mark;
};

struct compose_object { /* a secret or a config */
	const char *key, *name;
	const char *file, *environment, *content;
	bool external;
	struct mark mark;
};

struct compose_project {
	struct arena arena;
	const char *name;
	const char *directory; /* absolute */
	struct compose_strings files; /* absolute, as loaded */
	struct compose_strings env_files;
	struct compose_service *services; /* enabled ones, sorted by name */
	size_t service_count;
	struct compose_service *disabled; /* those that no active profile enables */
	size_t disabled_count;
	struct compose_network *networks;
	size_t network_count;
	struct compose_volume *volumes;
	size_t volume_count;
	struct compose_object *secrets, *configs;
	size_t secret_count, config_count;
	struct compose_pairs variables; /* project environment as used for interpolation */
	enum tristate eager_health; /* top-level x-wherry.eager_health */
	const struct yaml_node *tree; /* the normalised tree, for `config` */
	bool no_interpolate; /* as the options said: `$` is printed as it is */
};

struct compose_options {
	const char *const *files; /* -f, NULL-terminated; NULL: COMPOSE_FILE or search */
	const char *const *env_files; /* --env-file */
	const char *const *profiles; /* --profile; "*": all */
	const char *const *services; /* named on the command line: their profiles become active */
	const char *project_name; /* -p */
	const char *project_directory;
	const char *const *environment; /* environ */
	bool no_interpolate;
};

/*
 * Loads a project. On success returns 0 and *@project is the caller's (compose_free). Findings
 * (warnings too) are added to @d. Returns -EINVAL when @d holds errors; other negative errno with
 * @err filled for failures that have no place in a file (no configuration file found, ...).
 */
int compose_load(const struct compose_options *options, struct compose_project **project,
	struct diagnostics *d, struct error *err);
void compose_free(struct compose_project *project);

struct compose_service *compose_find_service(
	const struct compose_project *project, const char *name);

/* Prints the project in canonical form, as `docker compose config`. @format: "yaml" or "json".
 * The text is the caller's. */
char *compose_print(const struct compose_project *project, const char *format);

/*
 * Finds the project's name and directory without loading services (for `down`, `ps` and the like
 * given only -p, or when files are gone). *@name is the caller's. 0 or a negative errno.
 */
int compose_project_name(const struct compose_options *options, char **name, struct error *err);

#endif
