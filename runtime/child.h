/*
 * Between clone and exec: what the child of a spawn knows, and the steps it walks. Shared by the
 * parts of runtime/ that run in the child; nobody else includes it.
 *
 * The child is a copy of a single-threaded process, so it may allocate; what it opens is
 * close-on-exec and goes with exec. It reports through @status_fd and never returns.
 */
#ifndef WHERRY_RUNTIME_CHILD_H
#define WHERRY_RUNTIME_CHILD_H

#include "runtime/container.h"

struct child {
	const struct container_spec *container; /* NULL in a session */
	const struct session_spec *session; /* NULL in a container */
	const struct oci_config *config;
	/* Identity and program; a session has its own. */
	struct oci_process process;
	const char *user;
	const gid_t *extra_gids;
	size_t extra_gid_count;
	const struct seccomp_program *seccomp;
	const struct cgroup *cgroup;
	bool join_cgroup; /* not born in it */
	int stdio[3];
	int console_socket; /* the pty master goes to the parent here */

	int status_fd;
	int root_fd; /* the root's mount */
	int proc_fd; /* the procfs that we mounted ourselves, or -EBADF */
	int pts_fd; /* the devpts that we mounted ourselves, or -EBADF */
	int null_fd; /* /dev/null, checked to be it */
	int empty_fd; /* an empty read-only folder, mounted over masked ones, or -EBADF */
	int init_fd; /* our own init, read-only, or -EBADF */
	int *shared_sources; /* clones made before the mounts became private, by mount; or NULL */
	const char *step;
	char *home; /* what HOME becomes when the environment has none */
	struct error err;
};

struct step {
	const char *name;
	int (*run)(struct child *c);
};

/* Walks @steps (up to the row without a function), which end in exec; reports and exits if one
 * fails. */
_Noreturn void child_run(struct child *c, const struct step *steps);

/* mounts.c, mounts_bind.c */
int mounts_make_private(struct child *c);
int mounts_build(struct child *c);
int mounts_bind(struct child *c, size_t index);
/* Refuses a place inside procfs, but for a few harmless files. */
int mounts_check_place(const char *destination, int place, struct error *err);
/* mounts_paths.c */
int mounts_readonly_paths(struct child *c);
int mounts_masked_paths(struct child *c);
int mounts_readonly_root(struct child *c);
/* devices.c */
int devices_create(struct child *c);
int devices_console(struct child *c);
int devices_open_null(struct child *c);
/* Opens a pty from @pts (a devpts mount) and sends the master to the parent. Returns the slave. */
int devices_open_pty(struct child *c, int pts);
/* volume_fill.c: @source is a mounted clone of the volume, @origin the folder of the image. */
int volume_fill(int source, int origin, struct error *err);
/* sysctl.c */
int sysctls_write(struct child *c);
/* identity.c */
int identity_session(struct child *c);
int identity_terminal(struct child *c);
int identity_user(struct child *c);
int identity_limits(struct child *c);
int identity_oom_score(struct child *c);
int identity_working_folder(struct child *c);
int identity_seccomp_early(struct child *c);
int identity_assume(struct child *c);
int identity_seccomp_late(struct child *c);
/* execute.c */
int execute_payload(struct child *c);

#endif
