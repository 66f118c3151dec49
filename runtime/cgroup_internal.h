/* What the parts of the cgroup layer share with each other and with nobody else. */
#ifndef WHERRY_RUNTIME_CGROUP_INTERNAL_H
#define WHERRY_RUNTIME_CGROUP_INTERNAL_H

#include "runtime/cgroup.h"

#define CGROUP_BIT(controller) (UINT32_C(1) << (controller))

/* v2 controllers that are handed down to our groups. cpuset and io follow only when asked for. */
#define CGROUP_V2_ALWAYS                                                                           \
	(CGROUP_BIT(CGROUP_MEMORY) | CGROUP_BIT(CGROUP_CPU) | CGROUP_BIT(CGROUP_PIDS))

/* "memory", "cpu", ... as v1 mount options and cgroup.controllers spell them. */
const char *cgroup_controller_name(enum cgroup_controller controller, bool unified);

/* The group's folder in the hierarchy that has @controller, or -EBADF. *@unified says which kind. */
int cgroup_controller_fd(
	const struct cgroup *cgroup, enum cgroup_controller controller, bool *unified);

/* The group's folder in the v2 tree or -EBADF. */
int cgroup_unified_fd(const struct cgroup *cgroup);

/* Reads a small control file into @text (NUL-terminated). Returns its size or a negative errno. */
int cgroup_read_at(int dir, const char *name, char *text, size_t size);

/* The number behind "key " at the start of a line of a flat-keyed file; @missing if absent. */
int64_t cgroup_keyed_value(const char *text, const char *key, int64_t missing);

/*
 * Hands @controllers down from the base of the v2 tree to the parent of @path, so that files of
 * theirs appear in @path. When processes of ours stand in the way, this process moves to a leaf.
 */
int cgroup_enable_path(const struct cgroup_layout *layout, const char *path, uint32_t controllers);

/* Gives a new v1 cpuset group the processors and memory nodes of its parents; nothing can be
 * attached to an empty one (ENOSPC). */
int cgroup_cpuset_inherit(int root_fd, const char *path);

/* Applies the device rules: v1 files or a BPF program on the v2 tree. */
int cgroup_devices_apply(const struct cgroup *cgroup, const struct oci_resources *resources,
	struct strv *warnings, struct error *err);

/* Applies every limit of @resources but the devices. */
int cgroup_limits_apply(const struct cgroup *cgroup, const struct oci_resources *resources,
	struct strv *warnings, struct error *err);

#endif
