/* What the handlers of the state machine are made of: wishes, starts, stops, ends of lives. */
#include <assert.h>
#include <signal.h>

#include "base/clock.h"
#include "init/machine_private.h"

int64_t machine_later(int64_t time_us, int64_t delay_us)
{
	if (delay_us > 0 && time_us > USEC_NEVER - delay_us) {
		return USEC_NEVER;
	}
	return time_us + delay_us;
}

void machine_emit(const struct unit_step *step, enum machine_action_type type)
{
	assert(step->out->count < step->out->room);
	step->out->items[step->out->count++] = (struct machine_action){
		.type = type,
		.unit = step->index,
	};
}

void machine_changed(const struct unit_step *step, enum unit_change change)
{
	machine_emit(step, ACTION_CHANGED);
	step->out->items[step->out->count - 1].change = change;
}

void unit_send_signal(const struct unit_step *step, int signal)
{
	machine_emit(step, ACTION_SIGNAL);
	step->out->items[step->out->count - 1].signal = signal;
}

int unit_stop_signal(const struct unit_policy *policy)
{
	return policy->stop_signal > 0 ? policy->stop_signal : SIGTERM;
}

/* Notes a wish. Removal is final. */
void unit_wish(const struct unit_step *step, enum unit_goal goal)
{
	if (step->state->goal != GOAL_REMOVED) {
		step->state->goal = goal;
		*step->dirty = true;
	}
}

/* A person wants it running: what went wrong before is forgotten. */
void unit_wish_running(const struct unit_step *step)
{
	struct unit_state *state = step->state;

	unit_wish(step, GOAL_RUNNING);
	state->manual_stop = 0;
	state->dependency_failed = 0;
	state->start_failed = 0;
	state->restart_count = 0;
	state->restart_delay_us = RESTART_DELAY_MIN_US;
	state->retry_delay_us = START_RETRY_MIN_US;
}

void unit_wish_stopped(const struct unit_step *step)
{
	unit_wish(step, GOAL_STOPPED);
	step->state->manual_stop = 1;
	step->state->restart_after_stop = 0;
}

/* Comes to rest, until somebody wants something. */
void unit_rest(const struct unit_step *step)
{
	step->state->phase = step->state->ever_started ? UNIT_EXITED : UNIT_CREATED;
	step->state->restart_due_us = USEC_NEVER;
	step->state->stop_due_us = USEC_NEVER;
	step->state->restart_after_stop = 0;
	unit_wish(step, GOAL_STOPPED);
}

void unit_begin_remove(const struct unit_step *step)
{
	step->state->phase = UNIT_REMOVING;
	step->state->restart_due_us = USEC_NEVER;
	step->state->stop_due_us = USEC_NEVER;
	machine_emit(step, ACTION_REMOVE);
	*step->dirty = true;
}

void unit_begin_start(const struct unit_step *step)
{
	struct unit_state *state = step->state;

	state->phase = UNIT_STARTING;
	state->life++;
	if (state->restart_after_stop == 1) {
		state->restart_after_stop = 0; /* 2 is for restart_dependents() to see */
	}
	state->killed = 0;
	state->signalled = 0;
	state->unkillable = 0;
	state->stop_due_us = USEC_NEVER;
	state->restart_due_us = USEC_NEVER;
	machine_emit(step, ACTION_START);
	machine_changed(step, CHANGE_STARTING);
	*step->dirty = true;
}

static bool predecessor_is_gone(const struct unit_step *step)
{
	int32_t index = step->state->predecessor;

	return index < 0 || (size_t)index >= step->machine->count ||
	       step->machine->units[index].state->phase == UNIT_NONE;
}

/*
 * Starts a waiting unit if it may start, or ends the wait if it never will. After a `restart` a
 * dependency that cannot be met does not keep it down: it ran without before, as with docker,
 * which does not look at conditions then; one that is on its way up is waited for all the same,
 * so that a whole project restarts in order.
 */
void unit_try_start(const struct unit_step *step)
{
	enum dependency_condition condition;
	uint32_t culprit = step->index;
	int ready;

	if (!predecessor_is_gone(step)) {
		return;
	}
	ready = machine_ready(step->machine, step->index, &culprit, &condition);
	if (ready > 0 || (ready < 0 && step->state->restart_after_stop)) {
		unit_begin_start(step);
	} else if (ready < 0) {
		step->state->dependency_failed = 1;
		unit_rest(step);
		machine_changed(step, CHANGE_DEPENDENCY_FAILED);
		step->out->items[step->out->count - 1].other = culprit;
	}
}

void unit_begin_wait(const struct unit_step *step)
{
	step->state->phase = UNIT_WAITING;
	step->state->restart_due_us = USEC_NEVER;
	*step->dirty = true;
	unit_try_start(step);
	if (step->state->phase == UNIT_WAITING) {
		machine_changed(step, CHANGE_WAITING);
	}
}

/* A life or a start has ended under a wish that came in the meantime. */
void unit_follow_wish(const struct unit_step *step)
{
	if (step->state->goal == GOAL_REMOVED) {
		unit_begin_remove(step);
	} else if (step->state->goal == GOAL_RUNNING) {
		unit_begin_wait(step);
	} else {
		unit_rest(step);
	}
}

void unit_kill_now(const struct unit_step *step)
{
	step->state->killed = 1;
	step->state->stop_due_us = machine_later(step->now_us, KILL_PATIENCE_US);
	machine_emit(step, ACTION_KILL);
}

int64_t unit_grace_of(const struct unit_step *step)
{
	int64_t grace = step->event->grace_us;

	return grace == INT64_MIN ? step->policy->stop_grace_us : grace;
}

/* Of several stops the one that ends first decides, as if each had its own timer. */
void unit_tighten(const struct unit_step *step, int64_t grace_us)
{
	struct unit_state *state = step->state;
	int64_t due = machine_later(step->now_us, grace_us);

	if (state->killed || grace_us < 0) {
		return;
	}
	if (grace_us == 0) {
		unit_kill_now(step);
	} else if (due < state->stop_due_us) {
		state->stop_due_us = due;
		state->stop_grace_us = grace_us;
	}
}

void unit_thaw(const struct unit_step *step)
{
	if (step->state->paused) {
		step->state->paused = 0;
		machine_emit(step, ACTION_THAW);
		machine_changed(step, CHANGE_UNPAUSED);
	}
}

/* A frozen process sees no signal, so it is thawed first. */
void unit_begin_stop(const struct unit_step *step, int64_t grace_us)
{
	struct unit_state *state = step->state;

	machine_health_cancel(step);
	unit_thaw(step);
	state->phase = UNIT_STOPPING;
	state->killed = 0;
	state->signalled = 0;
	state->stop_due_us = USEC_NEVER;
	state->stop_grace_us = grace_us;
	unit_tighten(step, grace_us);
	if (!state->killed) {
		unit_send_signal(step, unit_stop_signal(step->policy));
	}
	machine_changed(step, CHANGE_STOPPING);
	*step->dirty = true;
}

void unit_life_begins(const struct unit_step *step)
{
	struct unit_state *state = step->state;

	state->phase = UNIT_RUNNING;
	state->started_us = step->now_us;
	state->ever_started = 1;
	state->oom_killed = 0;
	state->paused = 0;
	state->start_failed = 0;
	state->retry_delay_us = START_RETRY_MIN_US;
	machine_health_reset(state, step->policy);
	*step->dirty = true;
}

void unit_life_ends(const struct unit_step *step)
{
	struct unit_state *state = step->state;

	machine_health_cancel(step);
	state->health = HEALTH_NONE;
	state->failing_streak = 0;
	state->exit_code = step->event->exit_code;
	state->oom_killed = step->event->oom;
	state->paused = 0;
	state->unkillable = 0;
	state->stop_due_us = USEC_NEVER;
	*step->dirty = true;
}

bool unit_policy_restarts(const struct unit_step *step)
{
	const struct unit_state *state = step->state;
	const struct unit_policy *policy = step->policy;

	if (state->goal != GOAL_RUNNING || state->manual_stop) {
		return false;
	}
	switch (policy->restart) {
	case RESTART_ALWAYS:
	case RESTART_UNLESS_STOPPED: return true;
	case RESTART_ON_FAILURE:
		return state->exit_code != 0 &&
		       (policy->restart_max == 0 || state->restart_count < policy->restart_max);
	default: return false;
	}
}

int64_t unit_doubled(int64_t delay_us, int64_t most_us)
{
	return delay_us > most_us / 2 ? most_us : delay_us * 2;
}

void unit_back_off(const struct unit_step *step)
{
	struct unit_state *state = step->state;

	state->phase = UNIT_BACKOFF;
	state->restart_count++;
	state->restart_due_us = machine_later(step->now_us, state->restart_delay_us);
	state->restart_delay_us = unit_doubled(state->restart_delay_us, RESTART_DELAY_MAX_US);
	machine_changed(step, CHANGE_RESTARTING);
	*step->dirty = true;
}
