/*
 * The plan: what a compose project means on this machine. The command line makes it from the
 * compose model and the images' configurations; the supervisor carries it out. It crosses the
 * control socket, and lies in the run folder, as JSON.
 *
 * What only the supervisor can know (container ids, addresses, anonymous volume names) is absent
 * until plan_container_settle() puts it in.
 */
#ifndef WHERRY_INIT_PLAN_H
#define WHERRY_INIT_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "init/machine.h"
#include "specs/compose.h"
#include "specs/diagnostics.h"
#include "specs/oci_config.h"

#define PLAN_VERSION      1
#define CONTAINER_ID_SIZE 65 /* 64 hex digits and NUL */

struct plan_network {
	const char *key; /* in the compose file */
	const char *name; /* "<project>_<key>" */
	bool external, internal;
	const char *subnet; /* asked for, or NULL */
	const char *gateway; /* asked for, or NULL */
	struct compose_pairs labels;
};

struct plan_volume {
	const char *key, *name;
	bool external;
	struct compose_pairs labels;
};

struct plan_volume_mount {
	const char *volume; /* full name; NULL: anonymous */
	const char *target;
	const char *subpath;
	bool read_only, nocopy;
};

struct plan_endpoint {
	const char *network; /* full name */
	const char **aliases; /* NULL-terminated or NULL; the service name is not repeated here */
	size_t alias_count;
	const char *ipv4_address, *mac_address;
};

struct plan_port {
	const char *host_ip; /* NULL: all */
	uint16_t published_first, published_last; /* 0: ephemeral */
	uint16_t target;
	const char *protocol;
	const char *where; /* "file:line:column" of the entry, for messages */
};

struct plan_dependency {
	const char *service;
	enum dependency_condition condition;
	bool required, restart;
};

enum plan_seccomp {
	PLAN_SECCOMP_DEFAULT, /* docker's: seccomp_default() with the bounding set */
	PLAN_SECCOMP_UNCONFINED,
	PLAN_SECCOMP_CUSTOM /* config.seccomp holds it */
};

struct plan_container {
	struct arena arena;
	const char *name; /* "<project>-<service>-<n>" or container_name */
	const char *service;
	uint32_t number;
	bool oneoff; /* made by `run` */
	const char *image, *image_id;
	const char *hash; /* of everything that asks for a recreate when it changes */
	struct oci_config config; /* without root, hostname (unless given) and what settle() adds */
	enum plan_seccomp seccomp;
	const char **lower; /* image layers, topmost first; NULL-terminated */
	size_t lower_count;
	const char *user; /* as the file or the image says; resolved in the rootfs */
	const gid_t *extra_gids;
	size_t extra_gid_count;
	bool init;
	bool stdin_open; /* asked for; said to be left out where nobody holds the other end */
	bool privileged; /* sessions get every capability and no seccomp policy either */
	/* Host folders that bind mounts need; those missing are made at creation (root, 0755). */
	const char **bind_folders;
	size_t bind_folder_count;
	struct plan_volume_mount *volumes;
	size_t volume_count;
	struct plan_endpoint *endpoints;
	size_t endpoint_count;
	const char *network_mode; /* "none", "host", or NULL: the endpoints */
	struct plan_port *ports;
	size_t port_count;
	const char **expose; /* "5432/tcp", image and file; NULL-terminated or NULL */
	size_t expose_count;
	const char **
		extra_hosts; /* "ip\tname", "host-gateway" as ip allowed; NULL-terminated or NULL */
	size_t extra_host_count;
	/* For resolv.conf and the resolver's upstreams; empty: the host's. */
	const char **dns, **dns_search, **dns_options;
	size_t dns_count, dns_search_count, dns_option_count;
	struct plan_dependency *depends_on;
	size_t depends_count;
	struct unit_policy policy; /* its `service` index is the supervisor's */
	const char **health_test; /* argv of the check (CMD-SHELL already wrapped); NULL: none */
	size_t health_test_count;
	int64_t log_max_size; /* bytes; 0: no rotation */
	uint32_t log_max_file; /* files kept; at least 1 */
	struct compose_pairs labels;
	const char *where; /* "file:line:column" of the service */
	/* Settled by the supervisor at creation: */
	const char *id;
	int64_t created_wall_ns;
};

struct plan {
	struct arena arena;
	const char *project, *directory;
	const char **config_files; /* NULL-terminated */
	size_t config_file_count;
	struct plan_network *networks;
	size_t network_count;
	struct plan_volume *volumes;
	size_t volume_count;
	struct plan_container **containers;
	size_t container_count;
};

struct plan_options {
	const char *state_dir;
	const char *const *scale; /* "service=n", NULL-terminated or NULL */
	const char *const *services; /* only these and their dependencies; NULL: all */
	bool no_deps;
	/* For `run`: one container of @oneoff_service with these changes, and its dependencies. */
	const char *oneoff_service;
	const char *const *oneoff_args; /* NULL: the service's command */
	const char *const *oneoff_entrypoint; /* NULL: the service's */
	const char *const *oneoff_env; /* "K=V" */
	const char *oneoff_user, *oneoff_cwd, *oneoff_name;
	bool oneoff_tty, oneoff_ports;
};

/*
 * Makes the plan. Missing images are reported all at once, with the lines that name them. What is
 * asked for and cannot be had on this machine (a limit above the hard limit, say) is clamped or
 * left out and said in @warnings. Returns 0 (free with plan_free) or a negative errno.
 */
int plan_build(const struct compose_project *project, const struct plan_options *options,
	struct plan **plan, struct strv *warnings, struct diagnostics *d, struct error *err);
void plan_free(struct plan *plan);
void plan_container_free(struct plan_container *container);

json_t *plan_print(const struct plan *plan); /* new reference */
int plan_parse(const json_t *json, struct plan **plan, struct error *err);
json_t *plan_container_print(const struct plan_container *container); /* new reference */
int plan_container_parse(const json_t *json, struct plan_container **container, struct error *err);

/* What the supervisor knows at creation. */
struct plan_settlement {
	const char *id;
	int64_t created_wall_ns;
	const char *files_dir; /* holds "hosts", "hostname", "resolv.conf" of this container */
	const char *const *volume_paths; /* host path for each of `volumes`, in order */
	const bool *volume_fill; /* whether each is to be filled from the image */
};
/* Puts the missing parts in: id, hostname, HOSTNAME, mounts of volumes and of the three files;
 * sorts mounts so that a parent comes before what lies below it. */
void plan_container_settle(struct plan_container *container, const struct plan_settlement *s);

#endif
