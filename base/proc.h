/* Processes: identity that survives pid reuse, and the fork discipline in one place. */
#ifndef WHERRY_BASE_PROC_H
#define WHERRY_BASE_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Start time of @pid in clock ticks since boot (field 22 of /proc/PID/stat), or -errno. */
int64_t proc_start_time(pid_t pid);

/*
 * Opens a pidfd for @pid if it still is the process that started at @start_time.
 * Returns the descriptor (caller's) or a negative errno; -ESRCH if it is gone or another.
 */
int proc_open(pid_t pid, int64_t start_time);

/* Whether bit @signal is set in the line "SigCgt:" of /proc/PID/status. 1, 0 or -errno. */
int proc_catches(pid_t pid, int signal);

/* Kinds of descriptor that may be handed into a container (DESIGN: never a terminal or folder). */
bool proc_fd_passable(int fd);

/* Turns a wait status (as of waitpid) into a shell's exit status: code, or 128 + signal. */
int proc_exit_status(int wait_status);

#endif
