/*
 * Theory of operation. machine_step() first gives the event to the handler that the table below
 * names for the unit's phase, then lets every unit advance: due restarts, kills and probes, and
 * starts whose dependencies have become ready. A change that dependents care about sets `dirty`,
 * and the units are gone through once more, so that a chain settles within one step.
 *
 * What a unit is wished to be (goal) and what it is (phase) are kept apart. Handlers note the
 * wish at once and do what the phase allows; the end of a life or of a start looks at the wish
 * and goes on from there. So requests may cross each other in any order, and the last one counts.
 */
#include "init/machine.h"

#include <signal.h>

#include "base/clock.h"
#include "base/mem.h"
#include "init/machine_private.h"

void machine_unit_init(struct unit_state *state)
{
	*state = (struct unit_state){
		.phase = UNIT_CREATED,
		.goal = GOAL_STOPPED,
		.exit_code = EXIT_UNKNOWN,
		.predecessor = -1,
		.stop_due_us = USEC_NEVER,
		.restart_due_us = USEC_NEVER,
		.restart_delay_us = RESTART_DELAY_MIN_US,
		.retry_delay_us = START_RETRY_MIN_US,
	};
}

/* Handlers, named by event and phases. */

static void start_resting(const struct unit_step *step)
{
	step->state->restart_after_stop = 0;
	unit_wish_running(step);
	unit_begin_wait(step);
}

static void start_backoff(const struct unit_step *step)
{
	/* It was started before; a dependency that is gone by now must not take its restarts away. */
	unit_wish_running(step);
	step->state->restart_after_stop = 1;
	unit_begin_wait(step);
}

static void start_waiting(const struct unit_step *step)
{
	unit_wish_running(step);
}

static void start_starting(const struct unit_step *step)
{
	unit_wish_running(step);
	if (!step->state->killed) {
		step->state->stop_due_us = USEC_NEVER;
	}
}

static void start_stopping(const struct unit_step *step)
{
	step->state->restart_after_stop = 0;
	unit_wish_running(step);
}

static void stop_resting(const struct unit_step *step)
{
	if (step->state->ever_started) {
		step->state->manual_stop = 1;
	}
}

static void stop_pending(const struct unit_step *step)
{
	unit_wish_stopped(step);
	unit_rest(step);
	machine_changed(step, CHANGE_EXITED);
}

static void stop_under_way(const struct unit_step *step)
{
	unit_wish_stopped(step);
	unit_tighten(step, unit_grace_of(step));
}

static void stop_running(const struct unit_step *step)
{
	unit_wish_stopped(step);
	unit_begin_stop(step, unit_grace_of(step));
}

/* restart_after_stop is 2 until the restart was passed on to the dependents, see below. */
static void restart_resting(const struct unit_step *step)
{
	unit_wish_running(step);
	step->state->restart_after_stop = 2;
	unit_begin_wait(step);
}

static void restart_running(const struct unit_step *step)
{
	unit_wish_running(step);
	step->state->restart_after_stop = 2;
	unit_begin_stop(step, unit_grace_of(step));
}

static void restart_stopping(const struct unit_step *step)
{
	unit_wish_running(step);
	step->state->restart_after_stop = 2;
	unit_tighten(step, unit_grace_of(step));
}

static bool kill_stops(const struct unit_step *step)
{
	return step->event->signal == SIGKILL ||
	       step->event->signal == unit_stop_signal(step->policy);
}

static void kill_pending(const struct unit_step *step)
{
	if (kill_stops(step)) {
		stop_pending(step);
	}
}

static void kill_starting(const struct unit_step *step)
{
	if (kill_stops(step)) {
		unit_wish_stopped(step);
	}
	if (step->event->signal == SIGKILL) {
		unit_kill_now(step);
	} else if (!kill_stops(step)) {
		unit_send_signal(step, step->event->signal);
	}
	/* The stop signal itself is sent by started(), when there is somebody to get it. */
}

static void kill_running(const struct unit_step *step)
{
	if (step->event->signal == SIGKILL) {
		unit_wish_stopped(step);
		unit_begin_stop(step, 0);
		return;
	}
	if (kill_stops(step)) {
		/* The wish stays: whether it ends is up to the process. If it does, that was that. */
		step->state->manual_stop = 1;
	}
	unit_thaw(step);
	unit_send_signal(step, step->event->signal);
}

static void kill_stopping(const struct unit_step *step)
{
	if (kill_stops(step)) {
		unit_wish_stopped(step);
	}
	if (step->event->signal == SIGKILL) {
		unit_kill_now(step);
	} else {
		unit_send_signal(step, step->event->signal);
	}
}

static void remove_resting(const struct unit_step *step)
{
	unit_wish(step, GOAL_REMOVED);
	unit_begin_remove(step);
}

static void remove_under_way(const struct unit_step *step)
{
	unit_wish(step, GOAL_REMOVED);
	unit_tighten(step, unit_grace_of(step));
}

static void remove_running(const struct unit_step *step)
{
	unit_wish(step, GOAL_REMOVED);
	unit_begin_stop(step, unit_grace_of(step));
}

static void pause_running(const struct unit_step *step)
{
	if (!step->state->paused) {
		machine_health_cancel(step);
		step->state->paused = 1;
		machine_emit(step, ACTION_FREEZE);
		machine_changed(step, CHANGE_PAUSED);
	}
}

static void unpause_running(const struct unit_step *step)
{
	if (step->state->paused) {
		unit_thaw(step);
		/* The timer of the probes begins anew, as docker's does. */
		step->state->last_probe_us = step->now_us;
		step->state->last_regular_us = step->now_us;
	}
}

static void cancel_wait(const struct unit_step *step)
{
	unit_rest(step);
	machine_changed(step, CHANGE_EXITED);
}

static void started(const struct unit_step *step)
{
	struct unit_state *state = step->state;

	unit_life_begins(step);
	machine_changed(step, CHANGE_STARTED);
	if (!state->killed && state->goal == GOAL_RUNNING) {
		return;
	}
	/* A stop came while it started. Its grace period has been running since. */
	state->phase = UNIT_STOPPING;
	if (state->killed) {
		machine_emit(step, ACTION_KILL); /* the first one may have found no process yet */
	} else {
		unit_send_signal(step, unit_stop_signal(step->policy));
	}
	machine_changed(step, CHANGE_STOPPING);
}

/*
 * A start that failed for want of resources is tried again under any policy. One that failed for
 * good is reported, as docker does; but where the policy had started the container again (it
 * could run before), the policy goes on, where docker gives up.
 */
static void start_failed(const struct unit_step *step)
{
	struct unit_state *state = step->state;

	state->stop_due_us = USEC_NEVER;
	state->unkillable = 0;
	*step->dirty = true;
	if (state->killed || state->goal != GOAL_RUNNING) {
		machine_changed(step, CHANGE_EXITED);
		unit_follow_wish(step);
		return;
	}
	if (step->event->retryable) {
		state->phase = UNIT_BACKOFF;
		state->restart_due_us = machine_later(step->now_us, state->retry_delay_us);
		state->retry_delay_us = unit_doubled(state->retry_delay_us, START_RETRY_MAX_US);
		machine_changed(step, CHANGE_RESTARTING);
		return;
	}
	state->exit_code = step->event->exit_code;
	machine_changed(step, CHANGE_START_FAILED);
	if (state->restart_count > 0 && unit_policy_restarts(step)) {
		unit_back_off(step);
		return;
	}
	state->start_failed = 1;
	unit_rest(step);
}

static void exited_running(const struct unit_step *step)
{
	struct unit_state *state = step->state;

	unit_life_ends(step);
	if (step->now_us - state->started_us >= RESTART_RESET_US) {
		state->restart_delay_us = RESTART_DELAY_MIN_US;
	}
	if (unit_policy_restarts(step)) {
		unit_back_off(step);
		return;
	}
	unit_rest(step);
	machine_changed(step, CHANGE_EXITED);
}

static void exited_stopping(const struct unit_step *step)
{
	unit_life_ends(step);
	machine_changed(step, CHANGE_EXITED);
	unit_follow_wish(step);
}

/* The end overtook the news of the beginning. */
static void exited_starting(const struct unit_step *step)
{
	bool stopped = step->state->killed || step->state->goal != GOAL_RUNNING;

	unit_life_begins(step);
	if (stopped) {
		exited_stopping(step);
	} else {
		exited_running(step);
	}
}

static void probe_done(const struct unit_step *step)
{
	machine_health_done(step, step->event->exit_code);
}

static void removed(const struct unit_step *step)
{
	struct machine *machine = step->machine;

	step->state->phase = UNIT_NONE;
	machine_changed(step, CHANGE_REMOVED);
	/* The slot may be used again at once; the successor waits for this unit, not for the slot. */
	for (size_t i = 0; i < machine->count; i++) {
		if (machine->units[i].state->predecessor == (int32_t)step->index) {
			machine->units[i].state->predecessor = -1;
		}
	}
	*step->dirty = true;
}

typedef void handler_fn(const struct unit_step *step);
#define EVENT_TYPES (EVENT_REMOVED + 1)

/* What is not here lost a race and is ignored. */
static handler_fn *const handlers[UNIT_PHASES][EVENT_TYPES] = {
	[UNIT_CREATED] = {
		[EVENT_START] = start_resting,
		[EVENT_STOP] = stop_resting,
		[EVENT_RESTART] = restart_resting,
		[EVENT_REMOVE] = remove_resting,
	},
	[UNIT_WAITING] = {
		[EVENT_START] = start_waiting,
		[EVENT_STOP] = stop_pending,
		[EVENT_RESTART] = start_waiting,
		[EVENT_KILL] = kill_pending,
		[EVENT_REMOVE] = remove_resting,
		[EVENT_CANCEL_WAIT] = cancel_wait,
	},
	[UNIT_STARTING] = {
		[EVENT_START] = start_starting,
		[EVENT_STOP] = stop_under_way,
		[EVENT_RESTART] = start_starting,
		[EVENT_KILL] = kill_starting,
		[EVENT_REMOVE] = remove_under_way,
		[EVENT_STARTED] = started,
		[EVENT_START_FAILED] = start_failed,
		[EVENT_EXITED] = exited_starting,
	},
	[UNIT_RUNNING] = {
		[EVENT_START] = start_waiting,
		[EVENT_STOP] = stop_running,
		[EVENT_RESTART] = restart_running,
		[EVENT_KILL] = kill_running,
		[EVENT_REMOVE] = remove_running,
		[EVENT_PAUSE] = pause_running,
		[EVENT_UNPAUSE] = unpause_running,
		[EVENT_EXITED] = exited_running,
		[EVENT_PROBE_DONE] = probe_done,
	},
	[UNIT_STOPPING] = {
		[EVENT_START] = start_stopping,
		[EVENT_STOP] = stop_under_way,
		[EVENT_RESTART] = restart_stopping,
		[EVENT_KILL] = kill_stopping,
		[EVENT_REMOVE] = remove_under_way,
		[EVENT_EXITED] = exited_stopping,
	},
	[UNIT_BACKOFF] = {
		[EVENT_START] = start_backoff,
		[EVENT_STOP] = stop_pending,
		[EVENT_RESTART] = restart_resting,
		[EVENT_KILL] = kill_pending,
		[EVENT_REMOVE] = remove_resting,
	},
	[UNIT_EXITED] = {
		[EVENT_START] = start_resting,
		[EVENT_STOP] = stop_resting,
		[EVENT_RESTART] = restart_resting,
		[EVENT_REMOVE] = remove_resting,
	},
	[UNIT_REMOVING] = {
		[EVENT_REMOVED] = removed,
	},
};

static void advance(const struct unit_step *step, bool look)
{
	struct unit_state *state = step->state;

	switch (state->phase) {
	case UNIT_STARTING:
	case UNIT_STOPPING:
		if (step->now_us < state->stop_due_us) {
			break;
		}
		if (!state->killed) {
			unit_kill_now(step);
		} else {
			state->unkillable = 1;
			state->stop_due_us = USEC_NEVER;
			machine_emit(step, ACTION_UNKILLABLE);
			machine_changed(step, CHANGE_UNKILLABLE);
		}
		break;
	case UNIT_BACKOFF:
		if (step->now_us >= state->restart_due_us) {
			unit_begin_start(step);
		}
		break;
	case UNIT_RUNNING: machine_health_advance(step); break;
	case UNIT_WAITING:
		if (look) {
			unit_try_start(step);
		}
		break;
	default: break;
	}
}

static struct unit_step step_of(struct machine *machine, uint32_t index,
	const struct machine_event *event, int64_t now_us, struct machine_actions *out, bool *dirty)
{
	return (struct unit_step){
		.machine = machine,
		.index = index,
		.policy = &machine->units[index].policy,
		.state = machine->units[index].state,
		.event = event,
		.now_us = now_us,
		.out = out,
		.dirty = dirty,
	};
}

static void advance_all(
	struct machine *machine, int64_t now_us, struct machine_actions *out, bool look)
{
	bool dirty = look;

	do {
		look = dirty;
		dirty = false;
		for (size_t i = 0; i < machine->count; i++) {
			struct unit_step step =
				step_of(machine, (uint32_t)i, NULL, now_us, out, &dirty);

			advance(&step, look);
		}
	} while (dirty);
}

static void handle(const struct unit_step *step)
{
	bool revives = step->event->type == EVENT_START || step->event->type == EVENT_RESTART;
	handler_fn *handler;

	/* The state lies in memory that outlives us; an index from there is checked. */
	if (step->state->phase >= UNIT_PHASES) {
		return;
	}
	handler = handlers[step->state->phase][step->event->type];
	if (handler && !(revives && step->state->goal == GOAL_REMOVED)) {
		handler(step);
	}
}

static bool wants_to_run(const struct unit_state *state)
{
	return state->goal == GOAL_RUNNING &&
	       (state->phase == UNIT_RUNNING || state->phase == UNIT_BACKOFF) &&
	       state->restart_after_stop == 0;
}

/* The mark of a restart that is to be passed on becomes what the unit itself needs of it. */
static void settle_restart(struct unit_state *state)
{
	bool starts_later = state->phase == UNIT_WAITING || state->phase == UNIT_STOPPING;

	state->restart_after_stop = state->restart_after_stop && starts_later;
}

/*
 * `depends_on.X.restart`: what depends on a unit that was just told to restart is told as well,
 * and so on along the chain. Each unit is marked (2) and passed on (1) at most once, so cycles
 * and depth do no harm.
 */
static void restart_dependents(const struct unit_step *root)
{
	struct machine *machine = root->machine;
	bool first = true, again = true;

	for (; again; first = false) {
		again = false;
		for (size_t i = 0; i < machine->count; i++) {
			struct unit_state *state = machine->units[i].state;

			if (first ? i != root->index : state->restart_after_stop != 2) {
				continue;
			}
			settle_restart(state);
			for (size_t j = 0; j < machine->dependency_count; j++) {
				const struct unit_dependency *d = &machine->dependencies[j];
				struct machine_event event = { .type = EVENT_RESTART,
					.unit = d->unit,
					.grace_us = INT64_MIN };
				struct unit_step step;

				if (!d->restart || d->unit >= machine->count ||
					d->service != machine->units[i].policy.service ||
					!wants_to_run(machine->units[d->unit].state)) {
					continue;
				}
				step = step_of(machine, d->unit, &event, root->now_us, root->out,
					root->dirty);
				handle(&step);
				again = true;
			}
		}
	}
}

void machine_step(struct machine *machine, const struct machine_event *event, int64_t now_us,
	struct machine_actions *out)
{
	bool dirty = event->type == EVENT_TIME;

	if (event->type != EVENT_TIME && event->unit < machine->count &&
		(unsigned)event->type < EVENT_TYPES) {
		struct unit_step step = step_of(machine, event->unit, event, now_us, out, &dirty);

		handle(&step);
		if (event->type == EVENT_RESTART && step.state->goal == GOAL_RUNNING) {
			restart_dependents(&step);
		}
	}
	advance_all(machine, now_us, out, dirty);
}

static void adopt(const struct unit_step *step)
{
	const struct unit_state *state = step->state;

	machine_health_cancel(step);
	switch (state->phase) {
	case UNIT_RUNNING: machine_emit(step, state->paused ? ACTION_FREEZE : ACTION_THAW); break;
	case UNIT_STARTING:
		if (state->killed) {
			machine_emit(step, ACTION_KILL);
		}
		break;
	case UNIT_STOPPING:
		if (state->killed) {
			machine_emit(step, ACTION_KILL);
			break;
		}
		machine_emit(step, ACTION_THAW);
		if (!state->signalled) {
			unit_send_signal(step, unit_stop_signal(step->policy));
		}
		break;
	case UNIT_REMOVING: machine_emit(step, ACTION_REMOVE); break;
	default: break;
	}
}

void machine_adopt(struct machine *machine, int64_t now_us, struct machine_actions *out)
{
	bool dirty = true;

	for (size_t i = 0; i < machine->count; i++) {
		struct unit_step step = step_of(machine, (uint32_t)i, NULL, now_us, out, &dirty);

		/* A restart that was not passed on is complete as it stands. */
		settle_restart(step.state);
		adopt(&step);
	}
	advance_all(machine, now_us, out, true);
}

static int64_t unit_deadline(const struct machine_unit *unit)
{
	const struct unit_state *state = unit->state;

	switch (state->phase) {
	case UNIT_STARTING:
	case UNIT_STOPPING: return state->stop_due_us;
	case UNIT_BACKOFF: return state->restart_due_us;
	case UNIT_RUNNING: return machine_health_deadline(&unit->policy, state);
	default: return USEC_NEVER;
	}
}

int64_t machine_deadline(const struct machine *machine)
{
	int64_t earliest = USEC_NEVER;

	for (size_t i = 0; i < machine->count; i++) {
		int64_t due = unit_deadline(&machine->units[i]);

		if (due < earliest) {
			earliest = due;
		}
	}
	return earliest;
}

/* docker knows no "waiting" or "stopping": a container that stops is still running there. */
const char *unit_phase_name(enum unit_phase phase)
{
	static const char *const names[UNIT_PHASES] = {
		[UNIT_NONE] = "",
		[UNIT_CREATED] = "created",
		[UNIT_WAITING] = "created",
		[UNIT_STARTING] = "created",
		[UNIT_RUNNING] = "running",
		[UNIT_STOPPING] = "running",
		[UNIT_BACKOFF] = "restarting",
		[UNIT_EXITED] = "exited",
		[UNIT_REMOVING] = "removing",
	};

	return (unsigned)phase < UNIT_PHASES ? names[phase] : "";
}

const char *unit_health_name(enum unit_health health)
{
	static const char *const names[] = {
		[HEALTH_NONE] = "",
		[HEALTH_STARTING] = "starting",
		[HEALTH_HEALTHY] = "healthy",
		[HEALTH_UNHEALTHY] = "unhealthy",
	};

	return (size_t)health < ARRAY_SIZE(names) ? names[health] : "";
}
