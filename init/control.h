/*
 * Requests of clients: connections, and the operations that they wait for. Shared by the files
 * init/control*.c and by those that tell clients about networks and volumes.
 *
 * An operation is what is left of a request after its first look at the world: a set of units, a
 * function that looks whether they have got where they should, and a deadline. It is looked at
 * after every turn in which something happened.
 */
#ifndef WHERRY_INIT_CONTROL_H
#define WHERRY_INIT_CONTROL_H

#include "init/protocol.h"
#include "init/supervisor.h"

/* What an operation knows of one of its units. */
struct target {
	struct unit *unit; /* NULL: it has been removed */
	uint32_t life; /* at the beginning of the operation */
	bool asked; /* its event was posted */
	bool leaving; /* it has to be gone, not to run */
	bool done;
	char *name, *service; /* own copies: the unit may go first */
};

struct connection;

/* Looks on. True when the operation is over (the last frame has been queued). */
typedef bool operation_fn(struct connection *c);

struct connection {
	struct connection *next;
	struct supervisor *s;
	struct watcher watch;
	int fd;
	uid_t uid;
	struct protocol_buffer buffer;
	bool greeted, requested;
	bool listening; /* gets the events of everything */
	bool closing; /* closed once everything is sent */
	bool dead; /* freed at the end of this turn */
	operation_fn *operation;
	struct target *targets;
	size_t target_count;
	int64_t deadline_us, wait_us; /* of the operation; USEC_NEVER */
	struct timer timer;
	/* What the request asked for; each operation uses some. */
	bool wait, attach, stop_first, remove, volumes, remove_orphans, detach;
	int64_t grace_us;
	int signal;
	uint32_t stage;
	struct session *session; /* of an exec */
	struct unit *run; /* of a `run` */
	bool run_ended; /* its life is over, with this status */
	int run_exit;
};

/* The last frame. @error NULL: none. */
void connection_done(struct connection *c, int exit_status, const char *error);
void connection_fail(struct connection *c, const struct error *err);
void connection_send(struct connection *c, json_t *frame); /* takes it */
/* {"event": kind, "name": name} to this client (may be NULL) and to all listeners. */
void connection_tell_name(struct connection *c, const char *kind, const char *name);

/* Targets of an operation. */
void targets_add(struct connection *c, struct unit *u);
/* All units of the services named in @request ("services"), or all. One-off containers only with
 * @oneoffs. False with the last frame queued when a name is unknown. */
bool targets_select(struct connection *c, const json_t *request, bool oneoffs);
/* Sorted so that a unit comes after all that it depends on. */
void targets_sort(struct connection *c);
/* True when no other unit of the operation that depends on this one is still active. */
bool targets_dependents_rest(const struct connection *c, const struct unit *u);
void operation_begin(struct connection *c, operation_fn *operation, int64_t timeout_us);
bool name_in_list(const json_t *list, const char *name);

typedef void request_fn(struct connection *c, const json_t *request);
request_fn request_apply, request_down, request_stop, request_start, request_restart, request_kill,
	request_pause, request_unpause, request_remove, request_ps, request_events, request_exec,
	request_run, request_status;
/* Takes a plan out of a request: creates what is missing, recreates what changed; the units that
 * it wants (in the order of their dependencies) become the targets. */
int apply_plan(struct connection *c, const json_t *request, struct plan *plan, struct error *err);
/* Wants the targets started; the operation waits for them. */
void apply_start(struct connection *c, const json_t *request);
/* Creates one container of a plan. Takes @plan over, also on failure. */
struct unit *apply_create(struct connection *c, struct plan_container *plan, struct unit *old,
	bool inherit, struct error *err);
/* 1: every start has come true, 0: not yet, -1: failed (last frame queued). */
int apply_look(struct connection *c, bool wait);
/* The wait of `apply` and `start`. */
operation_fn operate_apply;
/* Stops and removes all targets, dependents first; true when nothing is left to do (or the last
 * frame is queued). */
operation_fn operate_remove_all;
/* The three descriptors that came with a request (or none: -EBADF each), checked; the caller's. */
int connection_take_stdio(struct connection *c, int stdio[3], struct error *err);
/* {"started": true, ...} with the pty master, if there is one (taken over). Takes @frame. */
void connection_send_started(struct connection *c, json_t *frame, int *master);
/* A connection that an earlier supervisor accepted. Takes @fd over. */
struct connection *connection_adopt(struct supervisor *s, int fd);
/* control_down.c */
void down_client_gone(struct connection *c);
/* control_run.c */
void run_client_gone(struct connection *c);
void run_adopt(struct supervisor *s, struct unit *u); /* somebody waits for its end */
void client_gone(struct connection *c); /* what its end means for what it had asked for */
void client_signal(struct connection *c, int signal);

#endif
