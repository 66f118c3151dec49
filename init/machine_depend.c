/* What `depends_on` means: whether a dependency is met, may still be, or cannot be any more. */
#include "init/machine_private.h"

enum { CANNOT = -1, NOT_YET = 0, MET = 1 };

/* A unit that is on its way to running, or will be once it has stopped. */
static bool is_coming(const struct unit_state *state)
{
	switch (state->phase) {
	case UNIT_WAITING:
	case UNIT_BACKOFF: return true;
	case UNIT_STARTING:
	case UNIT_STOPPING: return state->goal == GOAL_RUNNING;
	default: return false;
	}
}

/*
 * docker takes `started` as done when the start has returned, whatever came of it later; so a
 * service that ran and ended by itself has been started.
 */
static int started(const struct machine_unit *unit)
{
	const struct unit_state *state = unit->state;

	if (state->phase == UNIT_RUNNING) {
		return MET;
	}
	if (state->phase == UNIT_BACKOFF && state->restart_count > 0) {
		return MET; /* it ran, or the policy would not be at work */
	}
	if (is_coming(state)) {
		return NOT_YET;
	}
	if (state->start_failed || state->dependency_failed) {
		return CANNOT;
	}
	return state->ever_started ? MET : CANNOT;
}

static int healthy(const struct machine_unit *unit)
{
	const struct unit_state *state = unit->state;

	if (!unit->policy.health.enabled) {
		return CANNOT;
	}
	if (state->phase == UNIT_RUNNING) {
		if (state->health == HEALTH_UNHEALTHY) {
			return CANNOT;
		}
		return state->health == HEALTH_HEALTHY ? MET : NOT_YET;
	}
	/*
	 * A dependency that crashes again and again would be waited for without end. It has as many
	 * tries as its probes have; restart_delay_us doubles with each crash in a row.
	 */
	if (state->phase == UNIT_BACKOFF) {
		uint32_t tries = unit->policy.health.retries < 9 ? unit->policy.health.retries : 9;

		return state->restart_delay_us >= RESTART_DELAY_MIN_US << tries ? CANNOT : NOT_YET;
	}
	return is_coming(state) ? NOT_YET : CANNOT;
}

static int completed(const struct machine_unit *unit)
{
	const struct unit_state *state = unit->state;

	if (state->phase == UNIT_EXITED) {
		return state->exit_code == 0 && state->ever_started && !state->start_failed &&
				       !state->dependency_failed
			       ? MET
			       : CANNOT;
	}
	if (state->phase == UNIT_RUNNING || state->phase == UNIT_STOPPING || is_coming(state)) {
		return NOT_YET;
	}
	return CANNOT;
}

static int (*const verdicts[])(const struct machine_unit *unit) = {
	[DEPEND_STARTED] = started,
	[DEPEND_HEALTHY] = healthy,
	[DEPEND_COMPLETED] = completed,
};

/* Over all units of the service. One that is being removed makes room for its successor, and says
 * nothing; a service without units (scale 0) is not waited for. */
static int dependency_state(
	const struct machine *machine, const struct unit_dependency *dependency, uint32_t *culprit)
{
	int result = MET;

	for (size_t i = 0; i < machine->count; i++) {
		const struct machine_unit *unit = &machine->units[i];
		int verdict;

		if (unit->state->phase == UNIT_NONE || unit->state->goal == GOAL_REMOVED ||
			unit->policy.service != dependency->service) {
			continue;
		}
		verdict = verdicts[dependency->condition](unit);
		if (verdict < result) {
			result = verdict;
			*culprit = (uint32_t)i;
		}
	}
	return result;
}

int machine_ready(const struct machine *machine, uint32_t unit, uint32_t *culprit,
	enum dependency_condition *condition)
{
	int result = MET;

	for (size_t i = 0; i < machine->dependency_count; i++) {
		const struct unit_dependency *dependency = &machine->dependencies[i];
		uint32_t other = unit;
		int verdict;

		if (dependency->unit != unit) {
			continue;
		}
		verdict = dependency_state(machine, dependency, &other);
		if (verdict == CANNOT && !dependency->required) {
			continue;
		}
		if (verdict < result) {
			result = verdict;
			*culprit = other;
			*condition = dependency->condition;
		}
	}
	return result;
}
