/* The client's side of a project's supervisor: find it, start it, revive it, talk to it. */
#ifndef WHERRY_INIT_CLIENT_H
#define WHERRY_INIT_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/mem.h"

/*
 * Connects to the supervisor of @project and shakes hands.
 *
 * If there is none: with @start, executes this program afresh as the project's guardian and waits
 * until it serves; without, but with traces of a project whose guardian and supervisor both died
 * in the run folder, revives it the same way (it adopts what still runs); otherwise -ENOENT.
 * Two callers at once end up at one supervisor. Returns the socket or a negative errno.
 */
int client_connect(const char *project, bool start, struct error *err);

/* Names of all projects with a run folder. */
int client_projects(struct strv *names, struct error *err);

/*
 * Sends @request (with descriptors) and calls @on_event for each event frame until the last frame.
 * Returns the last frame's "exit" (0..255), or a negative errno with @err filled (also when the
 * last frame holds an error: then err->exit_status is its "exit"). Descriptors that come with an
 * event are closed after the call: duplicate what has to stay.
 */
typedef void client_event_fn(void *data, const json_t *event, const int *fds, size_t fd_count);
int client_call(int socket, const json_t *request, const int *fds, size_t fd_count,
	client_event_fn *on_event, void *data, struct error *err);

#endif
