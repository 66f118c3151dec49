/*
 * Moves output from a container's FIFO to its log without losing, tearing or doubling a line, also
 * when this process is killed between any two instructions.
 *
 * Theory of operation. What is going to be logged is looked at with tee(2), which consumes
 * nothing. Then, each step noted in the shared mapping before the next one begins:
 *
 *   WRITING   {slot, stream, count, size of the log}: entries are appended to the log
 *   WRITTEN   count bytes are spliced from the FIFO into a private pipe, which nobody else writes
 *   MOVED     the private pipe is emptied
 *   IDLE
 *
 * Whoever takes over cuts the log back (WRITING: the bytes still are in the FIFO), splices what is
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

/* Takes the private pipe as it stands in @head, or makes one. */
int journal_open(struct journal *j, struct table_head *head, bool adopt, struct error *err);
void journal_close(struct journal *j);

/* Finishes or undoes what the note says; @fifo is the FIFO it speaks of (-1: gone) and @w its log. */
void journal_recover(struct journal *j, int fifo, struct logwriter *w);

/*
 * Logs one portion (whole lines; @final: everything). Returns the number of bytes moved, 0 when
 * there is nothing to move yet, or a negative errno (the FIFO keeps what could not be written).
 */
int journal_move(struct journal *j, uint32_t slot, uint32_t stream, int fifo, struct logwriter *w,
	bool final);

#endif
