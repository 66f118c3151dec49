/* stop, start, restart, kill, pause, unpause, remove: wishes for units, and the wait for them. */
#include <errno.h>
#include <signal.h>

#include "base/json.h"
#include "init/control.h"

static void post(struct connection *c, struct unit *u, enum machine_event_type type)
{
	supervisor_post(c->s, &(struct machine_event){ .type = type,
				      .unit = u->index,
				      .signal = c->signal,
				      .grace_us = c->grace_us });
}

/* A unit that SIGKILL does not end is no reason to wait for ever. True: that was the last frame. */
static bool gives_up(struct connection *c, struct unit *u)
{
	char text[500], why[200];

	if (!u->slot.state.unkillable) {
		return false;
	}
	launch_explain_unkillable(u, why, sizeof(why));
	snprintf(text, sizeof(text), "container %s did not die of SIGKILL: %s", u->plan->name, why);
	connection_done(c, 1, text);
	return true;
}

/*
 * Looks at the targets, dependents first. @is_there says whether one is where it should be, @ask
 * wishes it there once nothing that depends on it is active any more.
 */
static bool operate_in_order(struct connection *c, bool (*is_there)(const struct target *t),
	void (*ask)(struct connection *c, struct unit *u))
{
	bool all = true;

	for (size_t i = c->target_count; i-- > 0;) {
		struct target *t = &c->targets[i];

		if (t->done || is_there(t)) {
			t->done = true;
			continue;
		}
		if (gives_up(c, t->unit)) {
			return true;
		}
		if (!t->asked && targets_dependents_rest(c, t->unit)) {
			ask(c, t->unit);
			t->asked = true;
		}
		all = false;
	}
	return all;
}

static bool is_at_rest(const struct target *t)
{
	return !t->unit || !unit_is_active(t->unit);
}

static void ask_stop(struct connection *c, struct unit *u)
{
	post(c, u, EVENT_STOP);
}

static bool operate_stop(struct connection *c)
{
	if (!operate_in_order(c, is_at_rest, ask_stop)) {
		return false;
	}
	if (!c->closing) {
		connection_done(c, 0, NULL);
	}
	return true;
}

void request_stop(struct connection *c, const json_t *request)
{
	c->listening = true;
	c->grace_us = json_int(request, "timeout_us", INT64_MIN);
	if (targets_select(c, request, false)) {
		operation_begin(c, operate_stop, 0);
	}
}

void request_start(struct connection *c, const json_t *request)
{
	c->listening = true;
	if (!targets_select(c, request, false)) {
		return;
	}
	c->wait = json_bool(request, "wait", false);
	apply_start(c, request);
	operation_begin(c, operate_apply, json_int(request, "wait_timeout_us", 0));
}

/* Until each has begun another life, or cannot. */
static bool operate_restart(struct connection *c)
{
	for (size_t i = 0; i < c->target_count; i++) {
		struct target *t = &c->targets[i];
		const struct unit_state *state = t->unit ? &t->unit->slot.state : NULL;
		bool gave_up;

		if (!state || t->done || state->life != t->life) {
			t->done = true;
			continue;
		}
		if (gives_up(c, t->unit)) {
			return true;
		}
		/* Somebody else stopped it, or what it needs is not there: apply_look() says which. */
		gave_up = !unit_is_active(t->unit) && state->goal != GOAL_RUNNING;
		if (!gave_up && !state->dependency_failed && !state->start_failed) {
			return false;
		}
		t->done = true;
	}
	return operate_apply(c);
}

void request_restart(struct connection *c, const json_t *request)
{
	c->listening = true;
	c->grace_us = json_int(request, "timeout_us", INT64_MIN);
	if (!targets_select(c, request, false)) {
		return;
	}
	for (size_t i = 0; i < c->target_count; i++) {
		c->targets[i].life = c->targets[i].unit->slot.state.life;
		/* One that is just starting has no older life to end. */
		c->targets[i].done = c->targets[i].unit->slot.state.phase == UNIT_STARTING;
		post(c, c->targets[i].unit, EVENT_RESTART);
	}
	operation_begin(c, operate_restart, 0);
}

/* SIGKILL is done when the life is over; any other signal when it is sent. */
static bool operate_kill(struct connection *c)
{
	bool all = true;

	for (size_t i = 0; i < c->target_count; i++) {
		struct target *t = &c->targets[i];

		if (t->done) {
			continue;
		}
		if (t->unit && c->signal == SIGKILL && unit_is_active(t->unit) &&
			t->unit->slot.state.life == t->life) {
			if (gives_up(c, t->unit)) {
				return true;
			}
			all = false;
			continue;
		}
		t->done = true;
		if (t->unit) {
			control_event(c->s, control_unit_event(t->unit, "killed"));
		}
	}
	if (all) {
		connection_done(c, 0, NULL);
	}
	return all;
}

void request_kill(struct connection *c, const json_t *request)
{
	c->listening = true;
	c->signal = (int)json_int(request, "signal", SIGKILL);
	if (c->signal < 1 || c->signal > 64) {
		connection_done(c, 1, "no such signal");
		return;
	}
	if (!targets_select(c, request, false)) {
		return;
	}
	for (size_t i = 0; i < c->target_count; i++) {
		struct target *t = &c->targets[i];

		t->done = !unit_is_active(t->unit);
		if (!t->done) {
			post(c, t->unit, EVENT_KILL);
		}
	}
	operation_begin(c, operate_kill, 0);
}

static bool operate_pause(struct connection *c)
{
	for (size_t i = 0; i < c->target_count; i++) {
		const struct unit *u = c->targets[i].unit;

		if (u && u->slot.state.phase == UNIT_RUNNING &&
			(u->slot.state.paused != 0) != c->stop_first) {
			return false;
		}
	}
	connection_done(c, 0, NULL);
	return true;
}

static void request_freeze(struct connection *c, const json_t *request, bool freeze)
{
	c->listening = true;
	c->stop_first = freeze; /* what it waits for */
	if (!targets_select(c, request, false)) {
		return;
	}
	for (size_t i = 0; i < c->target_count; i++) {
		post(c, c->targets[i].unit, freeze ? EVENT_PAUSE : EVENT_UNPAUSE);
	}
	operation_begin(c, operate_pause, 0);
}

void request_pause(struct connection *c, const json_t *request)
{
	request_freeze(c, request, true);
}

void request_unpause(struct connection *c, const json_t *request)
{
	request_freeze(c, request, false);
}

static bool is_gone(const struct target *t)
{
	return !t->unit;
}

static void ask_remove(struct connection *c, struct unit *u)
{
	if (c->volumes) {
		u->slot.remove_volumes = 1;
		unit_commit(u);
	}
	post(c, u, EVENT_REMOVE);
}

bool operate_remove_all(struct connection *c)
{
	return operate_in_order(c, is_gone, ask_remove);
}

static bool operate_remove(struct connection *c)
{
	if (!operate_remove_all(c)) {
		return false;
	}
	if (!c->closing) {
		connection_done(c, 0, NULL);
	}
	return true;
}

void request_remove(struct connection *c, const json_t *request)
{
	bool stop = json_bool(request, "stop", false);

	c->listening = true;
	c->volumes = json_bool(request, "volumes", false);
	c->grace_us = json_int(request, "timeout_us", INT64_MIN);
	if (!targets_select(c, request, true)) {
		return;
	}
	for (size_t i = 0; i < c->target_count; i++) {
		/* What runs is left alone unless it is to be stopped. */
		c->targets[i].done = !stop && unit_is_active(c->targets[i].unit);
	}
	operation_begin(c, operate_remove, 0);
}
