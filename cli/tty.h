/* The caller's terminal: size, raw mode that is always undone, and bytes to and fro. */
#ifndef WHERRY_CLI_TTY_H
#define WHERRY_CLI_TTY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"

/* Columns and rows of the terminal @fd; false (and 80 by 24) if there is none to be had. */
bool tty_size(int fd, unsigned *rows, unsigned *columns);
/* Tells the pseudo terminal @master its size. */
void tty_resize(int master, unsigned rows, unsigned columns);

/* Puts the terminal @fd into raw mode until tty_restore(), which also runs at exit. */
int tty_raw(int fd, struct error *err);
void tty_restore(void);

struct relay;
typedef void relay_end_fn(struct relay *relay);

/*
 * Copies from one descriptor to another. Nothing is read while the last piece is still unwritten,
 * so a slow reader slows the writer. Neither descriptor is owned.
 */
struct relay {
	struct loop *loop;
	int from, to;
	struct watcher in, out;
	struct timer again; /* for kinds of descriptor that epoll refuses: always ready */
	relay_end_fn *on_end; /* the source ended, or the target did; may be NULL */
	void *owner;
	char data[16384];
	size_t start, end;
	bool active;
};

/* @to may be blocking (the caller's own output) or not (a pipe or pty that may fill up). */
int relay_begin(struct relay *relay, struct loop *loop, int from, int to, relay_end_fn *on_end,
	void *owner, struct error *err);
/* Copies what is there right now without waiting (after the other side has ended), then stops. */
void relay_drain(struct relay *relay);
void relay_end(struct relay *relay);

#endif
