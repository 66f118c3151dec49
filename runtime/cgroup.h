/*
 * Control groups: v1, hybrid and v2 behind one small interface.
 *
 * Theory of operation. The layout is read once from /proc/self/mountinfo and /proc/self/cgroup:
 * for each controller where it lives (its own v1 hierarchy, or the v2 tree if cgroup.controllers
 * names it). A container's group is the same relative path below every hierarchy that has one of
 * our controllers, plus the v2 tree where there is one, controllers or not: cgroup.kill,
 * cgroup.freeze, cgroup.events and CLONE_INTO_CGROUP work there even when it is empty. Paths are
 * absolute below each hierarchy's root on v1; on v2 below the delegated group (the one we are in,
 * or its parent when we had to leave it for a leaf).
 *
 * Every start of a container gets a fresh group: after one write to cgroup.kill, any later
 * CLONE_INTO_CGROUP child of that group is killed at birth (measured on 6.1, 6.12, 6.18).
 *
 * A hierarchy that is absent or read-only degrades to a warning that names each limit which is
 * not enforced.
 */
#ifndef WHERRY_RUNTIME_CGROUP_H
#define WHERRY_RUNTIME_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/mem.h"
#include "specs/oci_config.h"

enum cgroup_controller {
	CGROUP_MEMORY,
	CGROUP_CPU,
	CGROUP_CPUACCT, /* v1 only */
	CGROUP_CPUSET,
	CGROUP_PIDS,
	CGROUP_DEVICES, /* v2: a BPF program on the unified tree */
	CGROUP_FREEZER, /* v1 only; v2 has cgroup.freeze */
	CGROUP_BLKIO, /* v2: io */
	CGROUP_CONTROLLERS
};

#define CGROUP_HIERARCHIES 12

struct cgroup_layout {
	/* One entry for each mounted hierarchy we use. Descriptors of the mount points. */
	struct {
		int root_fd; /* the folder below which our paths are made */
		bool unified; /* the v2 tree */
		uint32_t controllers; /* bit per enum cgroup_controller */
		char mount[128]; /* where it is mounted, for messages */
	} hierarchies[CGROUP_HIERARCHIES];
	int count;
	int unified; /* index of the v2 tree or -1 */
	bool into_cgroup; /* clone3(CLONE_INTO_CGROUP) usable: every controller is on v2 */
	const char *mode; /* "v1", "hybrid", "v2", "none" */
};

/* Reads the layout of this machine. A machine without cgroups gives an empty one, not an error. */
int cgroup_layout_read(struct cgroup_layout *layout, struct error *err);
void cgroup_layout_finish(struct cgroup_layout *layout);

/*
 * Moves the calling process into a leaf group of the v2 tree, because a group that hands
 * controllers down may hold no process. cgroup_create() does it by itself when it has to; a
 * guardian that shares the group with its supervisor calls it before the first container.
 */
int cgroup_leave_for_leaf(const struct cgroup_layout *layout);

/* A group of one life of one container (or one session). */
struct cgroup {
	const struct cgroup_layout *layout;
	char path[300]; /* relative, "wherry/<project>/<id>.<life>" */
	int fds[CGROUP_HIERARCHIES]; /* folder in each hierarchy, -EBADF where it could not be made */
};

/*
 * Makes the group @path ("a/b/c", no "..") in every hierarchy and applies @resources (NULL: none)
 * before anything can run in it. Missing or read-only hierarchies add lines to @warnings (may be
 * NULL). On failure nothing that this call made remains.
 */
int cgroup_create(const struct cgroup_layout *layout, const char *path,
	const struct oci_resources *resources, struct cgroup *cgroup, struct strv *warnings,
	struct error *err);
/* Opens an existing group (adoption, sweep). -ENOENT if no hierarchy has it. */
int cgroup_open(const struct cgroup_layout *layout, const char *path, struct cgroup *cgroup);
/* Changes limits of a live group, in the order that each kernel interface needs. */
int cgroup_update(struct cgroup *cgroup, const struct oci_resources *resources,
	struct strv *warnings, struct error *err);

/* Moves @pid into the group in every hierarchy (v1, hybrid: the child itself with pid 0, before it
 * unshares the cgroup namespace). Async-signal-safe; allocates nothing. */
int cgroup_enter(const struct cgroup *cgroup, pid_t pid);
/* For CLONE_INTO_CGROUP: descriptor of the v2 folder (not owned by the caller) or -EBADF. */
int cgroup_clone_fd(const struct cgroup *cgroup);

/* SIGKILLs everything in the group, frozen or not (and thaws it: a frozen v1 task does not die).
 * Does not wait. The group is not to be used for another start afterwards. */
int cgroup_kill(struct cgroup *cgroup);
int cgroup_freeze(struct cgroup *cgroup, bool frozen, struct error *err);
/* Whether what is started in the group would stand still, because it or one above is frozen. */
bool cgroup_is_frozen(const struct cgroup *cgroup);
/* Number of processes in the group and below; their pids go to @pids (may be NULL) up to @max. */
int cgroup_pids(const struct cgroup *cgroup, pid_t *pids, size_t max);
/* A descriptor that becomes readable (POLLPRI) when cgroup.events changes; -EBADF without v2. */
int cgroup_events_fd(const struct cgroup *cgroup);
bool cgroup_populated(const struct cgroup *cgroup);

/* How many processes the OOM killer took in this group since it was made. */
int64_t cgroup_oom_kills(const struct cgroup *cgroup);

struct cgroup_stats {
	int64_t memory_bytes, memory_limit_bytes; /* -1: unknown */
	int64_t memory_peak_bytes;
	int64_t cpu_usec;
	int64_t pids;
};
void cgroup_stats_read(const struct cgroup *cgroup, struct cgroup_stats *stats);

/* Removes the group's folders, subgroups first. 0, -EBUSY when processes are still dying (try
 * again later), or another negative errno. Descriptors are closed when 0 is returned. */
int cgroup_remove(struct cgroup *cgroup);
/* Closes the descriptors; the group stays. */
void cgroup_close(struct cgroup *cgroup);
/* Removes an empty folder such as "wherry/<project>" (and "wherry") everywhere; busy is fine. */
void cgroup_remove_parents(const struct cgroup_layout *layout, const char *path);

#endif
