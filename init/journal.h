/*
 * Moves output from a container's FIFO to its log without losing, tearing or doubling a line, also
 * when this process is killed between any two instructions.
 *
 * Theory of operation. What is going to be logged is looked at with tee(2), which consumes
 * nothing. Then, each step noted in the shared mapping before the next one begins:
 *
 *   WRITING   {slot, stream, count, file and its size}: the file is appended to
 *   WRITTEN   count bytes are spliced from the FIFO into a private pipe, which nobody else writes
 *   MOVED     the private pipe is emptied
 *   IDLE
 *
 * The file is the log, or, for a line whose end has not come yet, the stream's carry file: the
 * FIFO must be empty before we sleep. A writer that blocks in the middle of a write(2) wakes an
 * edge-triggered reader only if the pipe was empty when it began (Linux 6.18, anon_pipe_write), so
 * a beginning left in the FIFO could keep both asleep for ever.
 *
 * Whoever takes over cuts the file back (WRITING: the bytes still are in the FIFO), splices what is
 * left of count (WRITTEN: the private pipe's fill says how far it got), or empties the pipe (MOVED).
 * FIFOs and private pipe live in the descriptor table shared with the guardian.
 */
#ifndef WHERRY_INIT_JOURNAL_H
#define WHERRY_INIT_JOURNAL_H

#include <stdbool.h>

#include "base/error.h"
#include "init/logwriter.h"
#include "init/table.h"

struct journal {
	struct table_journal *note; /* in the shared mapping */
	int hold_read, hold_write; /* the private pipe; numbers are in the table, not owned */
	int peek_read, peek_write; /* for tee(2); owned */
	int null; /* /dev/null; owned */
};

/* The beginning of a line, kept until its end comes. One file for each stream, made at first need. */
struct carry {
	int dir; /* folder of the project; not owned */
	char path[96]; /* below it */
	int fd; /* -EBADF: not open */
	size_t size;
};
/* Opens what a predecessor left, if there is something. */
void carry_open(struct carry *c, int dir, const char *path);
void carry_close(struct carry *c);

/* Takes the private pipe as it stands in @head, or makes one. */
int journal_open(struct journal *j, struct table_head *head, bool adopt, struct error *err);
void journal_close(struct journal *j);

/* Finishes or undoes what the note says; @fifo is the FIFO it speaks of (-1: gone), @w its log and
 * @carry its carry file (NULL: gone). */
void journal_recover(struct journal *j, int fifo, struct logwriter *w, struct carry *carry);

/*
 * Logs one portion (whole lines; @final: everything). Returns 1 when there may be more, 0 when the
 * FIFO is empty, or a negative errno (the FIFO keeps what could not be written).
 */
int journal_move(struct journal *j, uint32_t slot, uint32_t stream, int fifo, struct logwriter *w,
	struct carry *carry, bool final);

#endif
