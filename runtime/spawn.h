/* The parent's side of a spawn, the same for containers and sessions. */
#ifndef WHERRY_RUNTIME_SPAWN_H
#define WHERRY_RUNTIME_SPAWN_H

#include "runtime/child.h"

/* Opens what parent and child talk over; signals are blocked from here on. */
struct spawn {
	int status[2]; /* pipe; [1] is the child's */
	int console[2]; /* socket pair, with a terminal only */
	sigset_t old_mask;
};

int spawn_prepare(struct spawn *spawn, bool terminal, struct error *err);
/* In the child, right after the clone: what the steps need from @spawn. */
void spawn_child(struct spawn *spawn, struct child *c);
/* In the parent, after a clone that gave @pid and @pidfd: fills @process, or kills and reaps the
 * child when that fails. Restores the signal mask; @spawn is finished in any case. */
int spawn_finish(struct spawn *spawn, pid_t pid, int pidfd, struct container_process *process,
	struct error *err);
/* Ends a spawn that has no child. */
void spawn_abort(struct spawn *spawn);

#endif
