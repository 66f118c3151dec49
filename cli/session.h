/*
 * A command at work: one event loop with the request, its progress, signals and time. Most
 * commands are session_operate(); `up`, `exec` and `run` add their own watchers to the loop.
 */
#ifndef WHERRY_CLI_SESSION_H
#define WHERRY_CLI_SESSION_H

#include <jansson.h>
#include <stdbool.h>

#include "base/loop.h"
#include "cli/call.h"
#include "cli/progress.h"

struct session;
typedef void session_signal_fn(struct session *session, int signal);

struct session {
	struct loop *loop;
	struct progress progress;
	struct timer tick;
	struct watcher signals;
	int signal_fd;
	session_signal_fn *on_signal; /* NULL: SIGINT and SIGTERM end the loop */
	int interrupted; /* the signal that ended it; 0: none */
	void *owner;
};

/* Blocks SIGINT, SIGTERM, SIGHUP and SIGWINCH and takes them through the loop. */
int session_begin(struct session *session, const char *verb, struct error *err);
/* Ends the progress block and gives the signals back. */
void session_end(struct session *session);

/* Starts and stops the spinner. */
void session_animate(struct session *session, bool on);

/* call_event_fn for a call whose owner is the session: draws the event. */
void session_draw(struct call *call, const json_t *event, int *fds, size_t fd_count);

/* Runs the loop until loop_stop() or a signal. 0 or a negative errno. */
int session_run(struct session *session, struct error *err);

/*
 * One request with its progress, from beginning to end. Returns its exit status,
 * CLI_INTERRUPTED, or a negative errno. @wants_health: verdicts are drawn as well.
 */
int session_operate(const char *project, bool start, const json_t *request, const char *verb,
	bool wants_health, struct error *err);

#endif
