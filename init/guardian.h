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

/* Entry point. @ready_fd: written "ok" or an error line, then closed, once the socket serves (-1:
 * nobody waits). Returns the exit status of the process. */
int guardian_main(const char *project, int ready_fd);

#endif
