/*
 * Health checks: when a probe is due, and what its result means.
 *
 * Two kinds of probes share one slot, so that there are never two at once. Regular probes are
 * docker's, to the letter: the first comes one interval (start_interval within the start period)
 * after the start, each further one that long after the end of the last; `retries` failures in a
 * row make unhealthy. Early probes run in the gaps while a unit is still `starting`: a success
 * makes healthy, a failure counts for nothing. An early probe that is still running when a regular
 * one is due gives way to it, so that verdicts come when docker's would.
 */
#include "base/clock.h"
#include "init/machine_private.h"

static int64_t at_least(int64_t value, int64_t least)
{
	return value > least ? value : least;
}

static int64_t interval_of(const struct unit_policy *policy)
{
	/* A nonsensical interval must not become a busy loop. */
	return at_least(policy->health.interval_us, USEC_PER_MSEC);
}

static int64_t regular_due(const struct unit_policy *policy, const struct unit_state *state)
{
	int64_t base = state->last_regular_us ? state->last_regular_us : state->started_us;
	int64_t wait = interval_of(policy);

	if (state->health == HEALTH_STARTING &&
		base - state->started_us < policy->health.start_period_us) {
		wait = at_least(policy->health.start_interval_us, USEC_PER_MSEC);
	}
	return machine_later(base, wait);
}

static int64_t early_due(const struct unit_policy *policy, const struct unit_state *state)
{
	int64_t wait;

	if (!policy->health.eager || state->health != HEALTH_STARTING) {
		return USEC_NEVER;
	}
	if (state->last_probe_us == 0) {
		return machine_later(state->started_us, PROBE_EARLY_MIN_US);
	}
	wait = (state->last_probe_us - state->started_us) / 4;
	if (wait > interval_of(policy)) {
		wait = interval_of(policy);
	}
	return machine_later(state->last_probe_us, at_least(wait, PROBE_EARLY_MIN_US));
}

static bool is_probed(const struct unit_policy *policy, const struct unit_state *state)
{
	return policy->health.enabled && state->phase == UNIT_RUNNING && !state->paused;
}

int64_t machine_health_deadline(const struct unit_policy *policy, const struct unit_state *state)
{
	int64_t regular, early;

	if (!is_probed(policy, state)) {
		return USEC_NEVER;
	}
	regular = regular_due(policy, state);
	if (state->probe_in_flight) {
		early = state->probe_deadline_us;
		return state->probe_counts || early < regular ? early : regular;
	}
	early = early_due(policy, state);
	return early < regular ? early : regular;
}

void machine_health_reset(struct unit_state *state, const struct unit_policy *policy)
{
	state->health = policy->health.enabled ? HEALTH_STARTING : HEALTH_NONE;
	state->failing_streak = 0;
	state->probe_in_flight = 0;
	state->probe_counts = 0;
	state->last_probe_us = 0;
	state->last_regular_us = 0;
}

static void probe(const struct unit_step *step, bool regular)
{
	struct unit_state *state = step->state;

	state->probe_in_flight = 1;
	state->probe_counts = regular;
	state->probe_deadline_us = machine_later(
		step->now_us, at_least(step->policy->health.timeout_us, USEC_PER_MSEC));
	machine_emit(step, ACTION_PROBE);
	step->out->items[step->out->count - 1].regular = regular;
}

void machine_health_cancel(const struct unit_step *step)
{
	if (step->state->probe_in_flight) {
		step->state->probe_in_flight = 0;
		machine_emit(step, ACTION_PROBE_CANCEL);
	}
}

static void set_health(const struct unit_step *step, enum unit_health health)
{
	if (step->state->health != health) {
		step->state->health = health;
		*step->dirty = true;
		machine_changed(step, CHANGE_HEALTH);
	}
}

static bool failure_counts(const struct unit_step *step)
{
	const struct unit_state *state = step->state;
	int64_t began =
		state->probe_deadline_us - at_least(step->policy->health.timeout_us, USEC_PER_MSEC);

	if (!state->probe_counts) {
		return false;
	}
	return state->health != HEALTH_STARTING ||
	       began - state->started_us >= step->policy->health.start_period_us;
}

void machine_health_done(const struct unit_step *step, int exit_code)
{
	struct unit_state *state = step->state;

	if (!state->probe_in_flight) {
		return;
	}
	state->probe_in_flight = 0;
	state->last_probe_us = step->now_us;
	if (exit_code == 0) {
		/* From here on the regular timer runs, whichever kind it was. */
		state->last_regular_us = step->now_us;
		state->failing_streak = 0;
		set_health(step, HEALTH_HEALTHY);
		return;
	}
	if (failure_counts(step)) {
		if (state->failing_streak < UINT32_MAX) {
			state->failing_streak++;
		}
		if (state->failing_streak >= step->policy->health.retries) {
			set_health(step, HEALTH_UNHEALTHY);
		}
	}
	if (state->probe_counts) {
		state->last_regular_us = step->now_us;
	}
}

void machine_health_advance(const struct unit_step *step)
{
	struct unit_state *state = step->state;

	if (!is_probed(step->policy, state)) {
		return;
	}
	if (state->probe_in_flight && step->now_us >= state->probe_deadline_us) {
		machine_emit(step, ACTION_PROBE_CANCEL);
		step->out->items[step->out->count - 1].timed_out = true;
		machine_health_done(step, -1);
	}
	if (state->probe_in_flight && state->probe_counts) {
		return;
	}
	if (step->now_us >= regular_due(step->policy, state)) {
		machine_health_cancel(step);
		probe(step, true);
	} else if (!state->probe_in_flight && step->now_us >= early_due(step->policy, state)) {
		probe(step, false);
	}
}
