/*
 * Starts one container from one OCI runtime configuration, and sessions (exec, health checks)
 * inside a running one.
 *
 * Theory of operation. container_spawn() clones the container's first process straight into its
 * namespaces (clone3 with CLONE_INTO_CGROUP where every controller is on v2; else the child joins
 * each hierarchy itself, then unshares the cgroup namespace) and returns at once. The child builds
 * its root with the descriptor based mount API in its own mount namespace, walks an ordered table
 * of named steps, and executes the payload. A close-on-exec pipe tells the outcome: end of file
 * means that the payload runs; otherwise it carries step, object and errno of what failed.
 *
 * All signals are blocked from before the clone until just before exec; what the launcher sends
 * in between stays pending and is not lost.
 */
#ifndef WHERRY_RUNTIME_CONTAINER_H
#define WHERRY_RUNTIME_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "runtime/cgroup.h"
#include "runtime/seccomp.h"
#include "specs/oci_config.h"

/* An overlay to be assembled as the root. All paths absolute on the host. */
struct container_overlay {
	const char *const *lower; /* topmost layer first, NULL-terminated */
	const char *upper, *work; /* NULL: no upper (read-only root without state) */
};

struct container_spec {
	const struct oci_config *config;
	const struct container_overlay *overlay; /* NULL: config->root_path, absolute */
	/* Some existing folder outside any container where the root is mounted in the child's own
	 * mount namespace (never visible elsewhere). */
	const char *mount_point;
	/* "name", "uid", "name:group", ... resolved in the rootfs' own /etc/passwd and /etc/group
	 * (bounded, regular files only); NULL: config->process as it stands. Decides HOME too. */
	const char *user;
	const gid_t *extra_gids; /* with @user: group_add that are numbers */
	size_t extra_gid_count;
	int netns_fd; /* entered when >= 0; else as config->namespaces says */
	const struct cgroup *cgroup; /* NULL: stay where we are */
	int stdio[3]; /* become 0, 1, 2; -EBADF: /dev/null. Not closed by the call. */
	const struct seccomp_program *seccomp; /* NULL: none */
	/* A sealed memfd with our static init (init/pid1), executed as PID 1 in front of the payload
	 * with execveat(2), so that nothing of it needs to exist in the rootfs; -EBADF: none. */
	int init_fd;
};

/* What a spawn gives. */
struct container_process {
	pid_t pid;
	int pidfd;
	int status_fd; /* read by container_spawn_status() */
	int console_master; /* pty master when config->process.terminal, else -EBADF */
};

/*
 * Starts the first process. On success the descriptors are the caller's. On failure nothing is
 * left behind (the child is reaped). Never blocks on the child, except: with a terminal it waits
 * for the pty master.
 */
int container_spawn(
	const struct container_spec *spec, struct container_process *process, struct error *err);

/*
 * What became of a spawn, once @status_fd is readable: 1 the payload runs, 0 not decided yet,
 * negative errno: the child failed (it has exited or is about to) and @err says step, object and
 * errno, with err->exit_status 127 (not found), 126 (found but not executable) or 125.
 */
int container_spawn_status(int status_fd, struct error *err);

struct session_spec {
	int container_pidfd; /* the container's first process */
	pid_t container_pid;
	const struct oci_config
		*config; /* the container's: env, user, caps, seccomp, cwd as base */
	const char *const *args;
	const char *const *env; /* added to (and overriding) the container's */
	const char *cwd; /* NULL: the container's */
	const char *user; /* NULL: @container_user */
	const char *container_user;
	const gid_t *extra_gids; /* group_add, as the container's; without @user only */
	size_t extra_gid_count;
	bool privileged; /* all capabilities, no seccomp */
	bool terminal;
	uint16_t rows, columns;
	const struct cgroup *
		cgroup; /* the session's own group; it must not lie outside the container's limits */
	int stdio[3];
	const struct seccomp_program *seccomp;
};

/* Runs a process inside a running container. The child is the caller's own (to be reaped by it).
 * -ESRCH: the container has ended; -EBUSY: it is frozen. */
int session_spawn(
	const struct session_spec *spec, struct container_process *process, struct error *err);

#endif
