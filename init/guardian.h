/*
 * Guardian and supervisor of one project: the hidden command `wherry __guardian PROJECT`.
 *
 * The guardian is executed afresh by client_connect(), detached from its terminal. It takes the
 * project's lock, becomes a child subreaper, clones the supervisor with CLONE_FILES and no exec,
 * makes the next one when it dies, and writes {pid, status} of each orphan that it reaps into a pipe
 * for the supervisor. It parses nothing and allocates nothing after start.
 */
#ifndef WHERRY_INIT_GUARDIAN_H
#define WHERRY_INIT_GUARDIAN_H

#include <limits.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/error.h"

/* Where client_connect() puts the ready pipe of the guardian that it executes. */
#define GUARDIAN_READY_FD 3

/* Entry point. @ready_fd: written "ok" or an error line, then closed, once the socket serves (-1:
 * nobody waits). Returns the exit status of the process. */
int guardian_main(const char *project, int ready_fd);

/* What guardian and supervisor share beyond the descriptor table. */
struct guardian_link {
	const char *project;
	char run_dir[PATH_MAX]; /* <run>/<project> */
	int dir_fd; /* that folder */
	int lock_fd; /* flock'ed for as long as either of the two lives */
	int orphan_read, orphan_write; /* records of struct guardian_orphan */
	int ready_fd; /* see guardian_main(); -EBADF once written */
	ino_t ready_inode; /* of that pipe: the number may be another's by the next supervisor */
	pid_t guardian_pid;
	uint64_t nonce; /* names this descriptor table */
	struct rlimit nofile; /* as it was before we raised it */
};

struct guardian_orphan {
	int32_t pid;
	int32_t status; /* as of waitpid() */
};

/* How a supervisor ends: anything else is a crash, and the next one is made. */
#define SUPERVISOR_DONE    0 /* the project is down, or stopped on request */
#define SUPERVISOR_GIVE_UP 3 /* it cannot be served at all, and whoever asked knows why */
#define SUPERVISOR_ERROR   1

/* Makes supervisors until one is done. Also what a supervisor turns into when its guardian
 * died: it then goes on as guardian of the next supervisor. Returns the exit status. */
int guardian_loop(struct guardian_link *link);

/* Tells whoever waits for the guardian; once. NULL: it serves. */
void guardian_ready(struct guardian_link *link, const char *error);

#endif
