/*
 * The caller's stdin, stdout and stderr and a process in a container.
 *
 * Without a terminal the descriptors themselves are handed over and no byte is copied, if they are
 * of a kind that may be: pipes, sockets, regular files, /dev/null. For others (a terminal with -T,
 * a folder) a pipe goes in their place and is copied here. With a terminal the supervisor makes a
 * pty in the container and sends its master, and the two terminals are connected here.
 */
#ifndef WHERRY_CLI_ATTACH_H
#define WHERRY_CLI_ATTACH_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/session.h"
#include "cli/tty.h"

struct attachment {
	struct session *session;
	bool tty;
	int passed[3]; /* to be sent with the request; ours where `owned` */
	bool owned[3];
	int near[3]; /* our ends of pipes; -EBADF where the descriptor itself is passed */
	int master;
	unsigned signals; /* to end it, so far */
	struct relay relays[3];
};

/*
 * Whether a terminal is to be used: @wanted (-t) asks for one, @refused (-T) for none, else there
 * is one if stdin and stdout are terminals. -EINVAL if it is asked for and stdin is none.
 */
int attach_decide_tty(bool wanted, bool refused, bool *tty, struct error *err);

/* Makes what is to be sent: with @tty nothing, else three descriptors in @a->passed. */
int attach_prepare(struct attachment *a, struct session *session, bool tty, struct error *err);
/* Adds "tty", "rows" and "columns" to a request. */
void attach_describe(const struct attachment *a, json_t *request);
/* The request is sent: closes what was handed over and begins to copy. */
int attach_begin(struct attachment *a, struct error *err);
/* "started" came: with a tty, takes the master out of @fds and connects the terminal. */
int attach_started(struct attachment *a, int *fds, size_t fd_count, struct error *err);
/*
 * A signal came: another size goes to the terminal, others to the process over @call. Somebody
 * who asks a third time wants out: true.
 */
bool attach_signal(struct attachment *a, struct call *call, int signal);
/* Copies what is left of the output, gives the terminal back and releases everything. */
void attach_end(struct attachment *a);

#endif
