/*
 * wherry-oci: containers from OCI bundles behind the command line that OCI runtimes share.
 *
 * Theory of operation. Each container has a folder named by its id below the root folder; making
 * that folder reserves the id. Its state.json is replaced by rename, first before anything of the
 * container exists (so that whatever an interrupted command leaves can be found and removed), and
 * again when its first process runs. `run` stays the parent of that process: it passes signals on,
 * waits, and removes what it made. All that time it holds a lock on the folder: `delete --force`
 * kills the process and then waits for that lock, so that the two never remove the same thing, nor
 * what a later container of that id has made.
 */
#ifndef WHERRY_CLI_OCI_OCI_H
#define WHERRY_CLI_OCI_OCI_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/dirs.h"
#include "base/error.h"
#include "base/mem.h"
#include "runtime/cgroup.h"

/* What every command works on. */
struct oci_root {
	const char *path; /* absolute */
	int fd;
};

struct oci_command {
	const char *name, *usage, *summary;
	/* @argv holds the words behind the command's name. Returns an exit status, or a negative
	 * errno with @err filled. */
	int (*run)(const struct oci_root *root, int argc, char **argv, struct error *err);
};

extern const struct oci_command oci_command_run, oci_command_delete, oci_command_spec;

/* One container's record. Texts live in the arena it was read into, or are the writer's own. */
struct oci_state {
	const char *id;
	const char *bundle; /* absolute */
	const char *cgroup; /* relative path of its group */
	pid_t pid; /* 0: its process was not started (yet) */
	int64_t start_time; /* of that process, as proc_start_time() */
	char boot_id[BOOT_ID_SIZE];
};

/* Whether @id may name a container: [A-Za-z0-9_+-][A-Za-z0-9_+.-]*, at most 255 bytes. */
int oci_id_check(const char *id, struct error *err);
/* Makes the folder of @id and locks it. Returns the lock, a descriptor that the caller closes when
 * it is done with the container; -EEXIST with @err filled when the id is taken. */
int oci_state_reserve(const struct oci_root *root, const char *id, struct error *err);
/* Locks the folder of @id without waiting. A descriptor as above; -ENOENT: no such container,
 * -EWOULDBLOCK: another command has it. @err is filled for any other failure. */
int oci_state_lock(const struct oci_root *root, const char *id, struct error *err);
int oci_state_write(const struct oci_root *root, const struct oci_state *state, struct error *err);
/* -ENOENT: no such container. -EBADMSG: the record is torn or not ours. */
int oci_state_read(const struct oci_root *root, const char *id, struct arena *arena,
	struct oci_state *state, struct error *err);
int oci_state_remove(const struct oci_root *root, const char *id, struct error *err);
/* A pidfd of the container's first process, or -ESRCH when it is over. */
int oci_state_open(const struct oci_state *state);

/* Ends what is left in an open group and removes it, with parents that became empty; waits a bounded
 * time for the dying. Its descriptors are closed in any case. */
int oci_cgroup_end(struct cgroup *cgroup, struct error *err);

#endif
