/*
 * Requests to a project's supervisor: at once and waiting (call_wait), or as part of an event loop
 * beside signals, logs and a terminal (call_begin).
 */
#ifndef WHERRY_CLI_CALL_H
#define WHERRY_CLI_CALL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/loop.h"
#include "init/protocol.h"

struct call;
/* @fds are the call's; who wants one takes it with take_fd(). They may belong to a later frame. */
typedef void call_event_fn(struct call *call, const json_t *event, int *fds, size_t fd_count);
typedef void call_done_fn(struct call *call);

/* One request under way. Zeroed: none. */
struct call {
	struct loop *loop;
	struct watcher watcher;
	int socket;
	struct protocol_buffer buffer;
	call_event_fn *on_event; /* may be NULL */
	call_done_fn *on_done; /* once: last frame, or the connection is lost; may be NULL */
	void *owner;
	bool active;
	bool until_gone; /* a `down`: over when the guardian has gone too */
	bool done; /* the last frame came */
	int exit_status; /* when done without error */
	struct error error; /* code 0: none */
};

/*
 * Connects (with @start, a supervisor is started if there is none), sends @request with @fds and
 * returns; answers come through the loop. The callbacks must have been set before. Returns 0 or a
 * negative errno (-ENOENT: there is no such project and @start is false).
 */
int call_begin(struct call *call, struct loop *loop, const char *project, bool start,
	const json_t *request, const int *fds, size_t fd_count, struct error *err);
/* Sends one more frame while the request is under way: {"signal": N} of exec and run. */
void call_send(struct call *call, const json_t *frame);
/* Abandons the request if it is still under way, and releases everything. */
void call_end(struct call *call);

/* The outcome as an exit status, or a negative errno with @err filled. */
int call_outcome(const struct call *call, struct error *err);

/*
 * Connects, asks and waits for the end. *@answer (may be NULL) is the one event frame that has the
 * member @member; a new reference. Returns the exit status or a negative errno.
 */
int call_wait(const char *project, const json_t *request, const char *member, json_t **answer,
	struct error *err);

/* The array of containers of `ps`, sorted by name: a new reference. Empty when there is no project. */
int call_containers(const char *project, json_t **containers, struct error *err);

/* {"op": @op, "services": [...]}, without services when @services is NULL or empty. */
json_t *call_request(const char *op, const char *const *services);

#endif
