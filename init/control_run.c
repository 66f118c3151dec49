/* run: a container of its own for one command. */
#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "base/json.h"
#include "init/control.h"

enum { RUN_STARTING, RUN_RUNNING };

/* Takes the one-off container out of @plan; the rest is what it depends on. */
static struct plan_container *take_oneoff(struct plan *plan)
{
	for (size_t i = 0; i < plan->container_count; i++) {
		struct plan_container *found = plan->containers[i];

		if (found->oneoff) {
			plan->container_count--;
			memmove(plan->containers + i, plan->containers + i + 1,
				(plan->container_count - i) * sizeof(*plan->containers));
			return found;
		}
	}
	return NULL;
}

static void remove_failed(struct connection *c)
{
	if (c->run && c->remove) {
		supervisor_post(
			c->s, &(struct machine_event){
				      .type = EVENT_REMOVE, .unit = c->run->index, .grace_us = 0 });
	}
	c->run = NULL;
}

static void tell_started(struct connection *c)
{
	json_t *frame = json_object();
	_cleanup_fd_ int master = -EBADF;

	json_put_text(frame, "container", c->run ? c->run->plan->name : "");
	if (c->run && c->run->slot.fds[SLOT_CONSOLE] >= 0) {
		master = fcntl(c->run->slot.fds[SLOT_CONSOLE], F_DUPFD_CLOEXEC, 3);
	}
	connection_send_started(c, frame, &master);
	c->stage = RUN_RUNNING;
}

/* 1: it runs or has run, 0: not yet, -1: it never will (the last frame is queued). */
static int look_start(struct connection *c)
{
	struct unit *u = c->run;
	int r;

	if (c->run_ended) {
		return 1;
	}
	if (!u) {
		connection_done(c, 1, "the container was removed before it could start");
		return -1;
	}
	if (u->slot.state.start_failed) {
		connection_done(c, u->error_status ? u->error_status : 125,
			u->error ? u->error : "the container could not be started");
		remove_failed(c);
		return -1;
	}
	r = apply_look(c, false);
	if (r < 0) {
		remove_failed(c);
		return -1;
	}
	return r > 0 && u->slot.state.phase == UNIT_RUNNING;
}

static bool operate_run(struct connection *c)
{
	if (c->stage == RUN_STARTING) {
		int r = look_start(c);

		if (r <= 0) {
			return r < 0;
		}
		tell_started(c);
		if (c->detach) {
			c->run = NULL;
			connection_done(c, 0, NULL);
			return true;
		}
	}
	if (!c->run_ended && c->run && unit_is_active(c->run)) {
		return false;
	}
	if (c->run) {
		unit_fd_set(c->run, SLOT_CLIENT, -1);
	}
	connection_done(c, c->run_ended ? c->run_exit : 1, NULL);
	c->run = NULL;
	return true;
}

/* The container itself, beside what it depends on. */
static int create_oneoff(
	struct connection *c, const json_t *request, struct plan_container *plan, struct error *err)
{
	struct unit *u;
	int stdio[3], r;

	if (unit_find(c->s, plan->name)) {
		r = error_say(
			err, EEXIST, "the container name \"%s\" is already in use", plan->name);
		plan_container_free(plan);
		return r;
	}
	r = connection_take_stdio(c, stdio, err);
	if (r < 0) {
		plan_container_free(plan);
		return r;
	}
	u = apply_create(c, plan, NULL, false, err);
	for (int i = 0; i < 3; i++) {
		if (u) {
			u->stdio[i] = stdio[i];
		} else {
			fd_close(&stdio[i]);
		}
	}
	if (!u) {
		return -err->code;
	}
	c->remove = json_bool(request, "remove", false);
	u->slot.auto_remove = u->slot.remove_volumes = c->remove;
	if (!c->detach) {
		/* A copy: it tells the next supervisor who waits, should this one die. */
		unit_fd_set(u, SLOT_CLIENT, fcntl(c->fd, F_DUPFD_CLOEXEC, 3));
	}
	unit_commit(u);
	control_event(c->s, control_unit_event(u, "created"));
	targets_add(c, u);
	c->run = u;
	return 0;
}

void request_run(struct connection *c, const json_t *request)
{
	struct plan *plan = NULL;
	struct plan_container *oneoff = NULL;
	struct error err = ERROR_INIT;
	int r = plan_parse(json_object_get(request, "plan"), &plan, &err);

	c->detach = json_bool(request, "detach", false);
	if (r == 0) {
		oneoff = take_oneoff(plan);
		r = oneoff ? apply_plan(c, request, plan, &err)
			   : error_say(&err, EINVAL, "the plan has no container to run");
	}
	if (r == 0 && oneoff) {
		r = create_oneoff(c, request, oneoff, &err);
	} else if (oneoff) {
		plan_container_free(oneoff);
	}
	plan_free(plan);
	if (r < 0) {
		connection_fail(c, &err);
		return;
	}
	apply_start(c, request);
	operation_begin(c, operate_run, 0);
}

void run_client_gone(struct connection *c)
{
	if (!c->run) {
		return;
	}
	unit_fd_set(c->run, SLOT_CLIENT, -1);
	if (c->run->slot.state.phase == UNIT_WAITING || c->run->slot.state.phase == UNIT_CREATED) {
		remove_failed(c);
	} else {
		/* Its terminal hangs up with the client's. */
		unit_fd_set(c->run, SLOT_CONSOLE, -1);
	}
	c->run = NULL;
}

void run_adopt(struct supervisor *s, struct unit *u)
{
	struct connection *c;
	int fd = fcntl(u->slot.fds[SLOT_CLIENT], F_DUPFD_CLOEXEC, 3);

	if (fd < 0) {
		return;
	}
	c = connection_adopt(s, fd);
	c->run = u;
	c->remove = u->slot.auto_remove;
	c->stage = u->slot.state.phase == UNIT_RUNNING ? RUN_RUNNING : RUN_STARTING;
	targets_add(c, u);
	operation_begin(c, operate_run, 0);
}
