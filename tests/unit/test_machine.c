/* The supervisor's state machine, one promise a test. tests/sim tries what nobody thought of. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "init/machine.h"

#define MS         USEC_PER_MSEC
#define S          USEC_PER_SEC
#define OWN_POLICY INT64_MIN

enum { UNITS = 4 };

/* A machine of up to four units, the clock, and what the last step said. */
struct rig {
	struct machine machine;
	struct machine_unit units[UNITS];
	struct unit_state states[UNITS];
	struct unit_dependency dependencies[UNITS];
	struct machine_action items[MACHINE_ACTIONS_MAX(UNITS)];
	struct machine_actions actions;
	int64_t now;
};

static void rig_make(struct rig *r, size_t count)
{
	memset(r, 0, sizeof(*r));
	r->now = 100 * S;
	r->machine = (struct machine){
		.units = r->units, .count = count, .dependencies = r->dependencies
	};
	for (size_t i = 0; i < count; i++) {
		r->units[i].state = &r->states[i];
		r->units[i].policy = (struct unit_policy){
			.service = (uint32_t)i, .stop_signal = SIGTERM, .stop_grace_us = 10 * S
		};
		machine_unit_init(&r->states[i]);
	}
}

static void rig_event(struct rig *r, const struct machine_event *event)
{
	r->actions = (struct machine_actions){ .items = r->items, .room = ARRAY_SIZE(r->items) };
	machine_step(&r->machine, event, r->now, &r->actions);
	assert_true(machine_deadline(&r->machine) > r->now);
}

#define event_with(r, event_type, index, ...)                                                      \
	rig_event(r, &(struct machine_event){ .type = (event_type), .unit = (index), __VA_ARGS__ })
#define event_of(r, event_type, index, ...)                                                        \
	event_with(r, event_type, index, .grace_us = OWN_POLICY, __VA_ARGS__)

static void tick_to(struct rig *r, int64_t when)
{
	r->now = when;
	event_of(r, EVENT_TIME, 0);
}

static void tick(struct rig *r, int64_t delay)
{
	tick_to(r, r->now + delay);
}

static const struct machine_action *find(
	const struct rig *r, enum machine_action_type type, uint32_t unit)
{
	for (size_t i = 0; i < r->actions.count; i++) {
		if (r->items[i].type == type && r->items[i].unit == unit) {
			return &r->items[i];
		}
	}
	return NULL;
}

static const struct machine_action *changed(
	const struct rig *r, enum unit_change change, uint32_t unit)
{
	for (size_t i = 0; i < r->actions.count; i++) {
		if (r->items[i].type == ACTION_CHANGED && r->items[i].unit == unit &&
			r->items[i].change == change) {
			return &r->items[i];
		}
	}
	return NULL;
}

static void run(struct rig *r, uint32_t unit)
{
	event_of(r, EVENT_START, unit);
	assert_non_null(find(r, ACTION_START, unit));
	event_of(r, EVENT_STARTED, unit);
	assert_int_equal(r->states[unit].phase, UNIT_RUNNING);
}

static void starts_and_exits_without_a_policy(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	run(&r, 0);
	assert_non_null(changed(&r, CHANGE_STARTED, 0));
	assert_int_equal(r.states[0].life, 1);
	event_of(&r, EVENT_EXITED, 0, .exit_code = 3, .oom = true);
	assert_int_equal(r.states[0].phase, UNIT_EXITED);
	assert_int_equal(r.states[0].exit_code, 3);
	assert_true(r.states[0].oom_killed);
	assert_non_null(changed(&r, CHANGE_EXITED, 0));
	assert_true(machine_deadline(&r.machine) == USEC_NEVER);
}

static void restart_delays_double_to_a_minute_and_start_over_after_ten_good_seconds(void **state)
{
	int64_t delay = 100 * MS;
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	r.units[0].policy.restart = RESTART_ALWAYS;
	run(&r, 0);
	for (uint32_t i = 1; i < 15; i++) {
		tick(&r, 9 * S);
		event_of(&r, EVENT_EXITED, 0, .exit_code = 0);
		assert_int_equal(r.states[0].phase, UNIT_BACKOFF);
		assert_int_equal(r.states[0].restart_count, i);
		assert_non_null(changed(&r, CHANGE_RESTARTING, 0));
		assert_int_equal(machine_deadline(&r.machine), r.now + delay);
		tick(&r, delay - 1);
		assert_null(find(&r, ACTION_START, 0));
		tick(&r, 1);
		assert_non_null(find(&r, ACTION_START, 0));
		event_of(&r, EVENT_STARTED, 0);
		delay = delay * 2 > 60 * S ? 60 * S : delay * 2;
	}
	tick(&r, 10 * S);
	event_of(&r, EVENT_EXITED, 0, .exit_code = 1);
	assert_int_equal(machine_deadline(&r.machine), r.now + 100 * MS);
}

static void on_failure_counts_restarts_and_leaves_success_alone(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	r.units[0].policy.restart = RESTART_ON_FAILURE;
	r.units[0].policy.restart_max = 2;
	run(&r, 0);
	event_of(&r, EVENT_EXITED, 0, .exit_code = 0);
	assert_int_equal(r.states[0].phase, UNIT_EXITED);
	run(&r, 0);
	for (int i = 0; i < 2; i++) {
		event_of(&r, EVENT_EXITED, 0, .exit_code = 1);
		assert_int_equal(r.states[0].phase, UNIT_BACKOFF);
		tick(&r, S);
		event_of(&r, EVENT_STARTED, 0);
	}
	event_of(&r, EVENT_EXITED, 0, .exit_code = 1);
	assert_int_equal(r.states[0].phase, UNIT_EXITED);
	/* A start by hand gives it all its tries again. */
	run(&r, 0);
	event_of(&r, EVENT_EXITED, 0, .exit_code = 1);
	assert_int_equal(r.states[0].phase, UNIT_BACKOFF);
}

static void only_a_kill_that_means_stop_cancels_restarts(void **state)
{
	static const struct {
		int signal;
		bool restarts;
	} rows[] = { { SIGKILL, false }, { SIGTERM, false }, { SIGHUP, true }, { SIGINT, true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig r;

		rig_make(&r, 1);
		r.units[0].policy.restart = RESTART_ALWAYS;
		run(&r, 0);
		event_of(&r, EVENT_KILL, 0, .signal = rows[i].signal);
		assert_non_null(
			find(&r, rows[i].signal == SIGKILL ? ACTION_KILL : ACTION_SIGNAL, 0));
		event_of(&r, EVENT_EXITED, 0, .exit_code = 128 + rows[i].signal);
		assert_int_equal(r.states[0].phase, rows[i].restarts ? UNIT_BACKOFF : UNIT_EXITED);
		assert_int_equal(r.states[0].manual_stop, !rows[i].restarts);
		/* The next start brings the policy back. */
		event_of(&r, EVENT_START, 0);
		assert_int_equal(r.states[0].manual_stop, 0);
	}
}

static void a_stop_ends_with_a_kill_when_its_grace_period_is_over(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	r.units[0].policy.restart = RESTART_ALWAYS;
	r.units[0].policy.stop_signal = SIGINT;
	run(&r, 0);
	event_of(&r, EVENT_STOP, 0);
	assert_int_equal(find(&r, ACTION_SIGNAL, 0)->signal, SIGINT);
	assert_null(find(&r, ACTION_KILL, 0));
	assert_int_equal(machine_deadline(&r.machine), r.now + 10 * S);
	tick(&r, 10 * S);
	assert_non_null(find(&r, ACTION_KILL, 0));
	event_of(&r, EVENT_EXITED, 0, .exit_code = 137);
	assert_int_equal(r.states[0].phase, UNIT_EXITED);
	assert_true(r.states[0].manual_stop);
	assert_true(machine_deadline(&r.machine) == USEC_NEVER);
}

static void what_outlives_the_kill_is_reported_once_and_still_awaited(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	run(&r, 0);
	event_with(&r, EVENT_STOP, 0, .grace_us = 0);
	assert_non_null(find(&r, ACTION_KILL, 0));
	assert_null(find(&r, ACTION_SIGNAL, 0));
	tick(&r, KILL_PATIENCE_US);
	assert_non_null(find(&r, ACTION_UNKILLABLE, 0));
	assert_true(r.states[0].unkillable);
	assert_true(machine_deadline(&r.machine) == USEC_NEVER);
	event_of(&r, EVENT_EXITED, 0, .exit_code = 137);
	assert_false(r.states[0].unkillable);
	assert_int_equal(r.states[0].phase, UNIT_EXITED);
}

static void a_negative_grace_waits_for_ever(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	run(&r, 0);
	event_with(&r, EVENT_STOP, 0, .grace_us = -1);
	assert_non_null(find(&r, ACTION_SIGNAL, 0));
	assert_true(machine_deadline(&r.machine) == USEC_NEVER);
	/* A second stop with a limit sets one, and asks no second time. */
	event_with(&r, EVENT_STOP, 0, .grace_us = S);
	assert_null(find(&r, ACTION_SIGNAL, 0));
	assert_int_equal(machine_deadline(&r.machine), r.now + S);
	/* A longer one does not move it. */
	event_with(&r, EVENT_STOP, 0, .grace_us = 5 * S);
	assert_int_equal(machine_deadline(&r.machine), r.now + S);
}

static void a_stop_while_starting_is_carried_out_as_soon_as_there_is_somebody(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	event_of(&r, EVENT_START, 0);
	event_of(&r, EVENT_STOP, 0);
	assert_int_equal(r.actions.count, 0);
	event_of(&r, EVENT_STARTED, 0);
	assert_non_null(find(&r, ACTION_SIGNAL, 0));
	assert_int_equal(r.states[0].phase, UNIT_STOPPING);
	event_of(&r, EVENT_EXITED, 0, .exit_code = 143);
	assert_int_equal(r.states[0].phase, UNIT_EXITED);

	/* And a start that hangs is killed when the grace period is over. */
	event_of(&r, EVENT_START, 0);
	event_of(&r, EVENT_STOP, 0);
	tick(&r, 10 * S);
	assert_non_null(find(&r, ACTION_KILL, 0));
	event_of(&r, EVENT_START_FAILED, 0, .exit_code = 125);
	assert_int_equal(r.states[0].phase, UNIT_EXITED);
}

static void a_stop_while_waiting_or_backing_off_is_immediate(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 2);
	r.dependencies[0] = (struct unit_dependency){
		.unit = 1, .service = 0, .condition = DEPEND_STARTED, .required = true
	};
	r.machine.dependency_count = 1;
	event_of(&r, EVENT_START, 0);
	event_of(&r, EVENT_START, 1);
	assert_int_equal(r.states[1].phase, UNIT_WAITING);
	assert_non_null(changed(&r, CHANGE_WAITING, 1));
	event_of(&r, EVENT_STOP, 1);
	assert_int_equal(r.states[1].phase, UNIT_CREATED);
	event_of(&r, EVENT_STARTED, 0);
	assert_null(find(&r, ACTION_START, 1));

	r.units[0].policy.restart = RESTART_ALWAYS;
	event_of(&r, EVENT_EXITED, 0, .exit_code = 1);
	event_of(&r, EVENT_STOP, 0);
	assert_int_equal(r.states[0].phase, UNIT_EXITED);
	tick(&r, 100 * S);
	assert_null(find(&r, ACTION_START, 0));
}

static void who_wanted_the_start_may_go_away(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 2);
	r.states[1].predecessor = 0;
	event_of(&r, EVENT_START, 1);
	assert_int_equal(r.states[1].phase, UNIT_WAITING);
	event_of(&r, EVENT_CANCEL_WAIT, 1);
	assert_int_equal(r.states[1].phase, UNIT_CREATED);
	run(&r, 0);
	event_of(&r, EVENT_CANCEL_WAIT, 0);
	assert_int_equal(r.states[0].phase, UNIT_RUNNING);
}

static void a_start_while_stopping_starts_again_afterwards(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	run(&r, 0);
	event_of(&r, EVENT_STOP, 0);
	event_of(&r, EVENT_START, 0);
	assert_int_equal(r.states[0].phase, UNIT_STOPPING);
	event_of(&r, EVENT_EXITED, 0, .exit_code = 0);
	assert_non_null(find(&r, ACTION_START, 0));
	assert_int_equal(r.states[0].life, 2);
}

static void a_restart_stops_and_starts_whatever_became_of_dependencies(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 2);
	r.dependencies[0] = (struct unit_dependency){
		.unit = 1, .service = 0, .condition = DEPEND_COMPLETED, .required = true
	};
	r.machine.dependency_count = 1;
	run(&r, 0);
	event_of(&r, EVENT_EXITED, 0, .exit_code = 0);
	run(&r, 1);
	/* The job is run again, and fails: a restart goes on without it, as docker's does. */
	run(&r, 0);
	event_of(&r, EVENT_EXITED, 0, .exit_code = 1);
	event_with(&r, EVENT_RESTART, 1, .grace_us = 3 * S);
	assert_non_null(find(&r, ACTION_SIGNAL, 1));
	assert_int_equal(machine_deadline(&r.machine), r.now + 3 * S);
	event_of(&r, EVENT_EXITED, 1, .exit_code = 0);
	assert_non_null(find(&r, ACTION_START, 1));
}

static void a_restart_goes_along_depends_on_restart(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 3);
	for (uint32_t i = 1; i < 3; i++) {
		r.dependencies[i - 1] = (struct unit_dependency){ .unit = i,
			.service = i - 1,
			.condition = DEPEND_STARTED,
			.required = true,
			.restart = i == 1 };
	}
	r.machine.dependency_count = 2;
	run(&r, 0);
	run(&r, 1);
	run(&r, 2);
	event_of(&r, EVENT_RESTART, 0);
	assert_int_equal(r.states[1].phase, UNIT_STOPPING);
	assert_int_equal(r.states[2].phase, UNIT_RUNNING);
	event_of(&r, EVENT_EXITED, 1, .exit_code = 0);
	assert_int_equal(r.states[1].phase, UNIT_WAITING); /* until the other is back */
	event_of(&r, EVENT_EXITED, 0, .exit_code = 0);
	event_of(&r, EVENT_STARTED, 0);
	assert_non_null(find(&r, ACTION_START, 1));
}

static void a_paused_unit_is_thawed_before_it_is_stopped(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	run(&r, 0);
	event_of(&r, EVENT_PAUSE, 0);
	assert_non_null(find(&r, ACTION_FREEZE, 0));
	event_of(&r, EVENT_PAUSE, 0);
	assert_int_equal(r.actions.count, 0);
	event_of(&r, EVENT_STOP, 0);
	assert_true(find(&r, ACTION_THAW, 0) < find(&r, ACTION_SIGNAL, 0));
	assert_non_null(find(&r, ACTION_THAW, 0));
	assert_false(r.states[0].paused);
}

static void removal_stops_first_and_is_final(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	r.units[0].policy.restart = RESTART_ALWAYS;
	run(&r, 0);
	event_of(&r, EVENT_REMOVE, 0);
	event_of(&r, EVENT_START, 0);
	event_of(&r, EVENT_RESTART, 0);
	event_of(&r, EVENT_EXITED, 0, .exit_code = 0);
	assert_non_null(find(&r, ACTION_REMOVE, 0));
	event_of(&r, EVENT_START, 0);
	assert_int_equal(r.states[0].phase, UNIT_REMOVING);
	event_of(&r, EVENT_REMOVED, 0);
	assert_int_equal(r.states[0].phase, UNIT_NONE);
	assert_non_null(changed(&r, CHANGE_REMOVED, 0));
}

static void a_successor_waits_until_its_predecessor_is_gone(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 2);
	run(&r, 0);
	r.states[1].predecessor = 0;
	event_of(&r, EVENT_START, 1);
	event_of(&r, EVENT_REMOVE, 0);
	event_of(&r, EVENT_EXITED, 0, .exit_code = 0);
	assert_null(find(&r, ACTION_START, 1));
	event_of(&r, EVENT_REMOVED, 0);
	assert_non_null(find(&r, ACTION_START, 1));
	assert_int_equal(r.states[1].predecessor, -1); /* the slot may be used again */
}

static void dependencies_are_met_or_not_by_condition_and_state(void **state)
{
	static const struct {
		enum unit_phase phase;
		enum unit_goal goal;
		enum unit_health health;
		int exit_code;
		bool ever_started;
		int started, healthy, completed;
	} rows[] = {
		{ UNIT_NONE, GOAL_STOPPED, HEALTH_NONE, 0, false, 1, 1, 1 },
		{ UNIT_CREATED, GOAL_STOPPED, HEALTH_NONE, -1, false, -1, -1, -1 },
		{ UNIT_WAITING, GOAL_RUNNING, HEALTH_NONE, -1, false, 0, 0, 0 },
		{ UNIT_STARTING, GOAL_RUNNING, HEALTH_NONE, -1, false, 0, 0, 0 },
		{ UNIT_STARTING, GOAL_STOPPED, HEALTH_NONE, -1, false, -1, -1, -1 },
		{ UNIT_RUNNING, GOAL_RUNNING, HEALTH_STARTING, -1, true, 1, 0, 0 },
		{ UNIT_RUNNING, GOAL_RUNNING, HEALTH_HEALTHY, -1, true, 1, 1, 0 },
		{ UNIT_RUNNING, GOAL_RUNNING, HEALTH_UNHEALTHY, -1, true, 1, -1, 0 },
		{ UNIT_STOPPING, GOAL_RUNNING, HEALTH_NONE, -1, true, 0, 0, 0 },
		{ UNIT_STOPPING, GOAL_STOPPED, HEALTH_NONE, -1, true, 1, -1, 0 },
		{ UNIT_BACKOFF, GOAL_RUNNING, HEALTH_NONE, 1, true, 0, 0, 0 },
		{ UNIT_EXITED, GOAL_STOPPED, HEALTH_NONE, 0, true, 1, -1, 1 },
		{ UNIT_EXITED, GOAL_STOPPED, HEALTH_NONE, 3, true, 1, -1, -1 },
		/* On its way out: its successor decides, and there is none. */
		{ UNIT_RUNNING, GOAL_REMOVED, HEALTH_NONE, 0, true, 1, 1, 1 },
		{ UNIT_REMOVING, GOAL_REMOVED, HEALTH_NONE, 0, true, 1, 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const int expected[] = { rows[i].started, rows[i].healthy, rows[i].completed };

		for (int c = DEPEND_STARTED; c <= DEPEND_COMPLETED; c++) {
			enum dependency_condition condition = (enum dependency_condition)99;
			uint32_t culprit = 99;
			struct rig r;

			rig_make(&r, 2);
			r.units[0].policy.health.enabled = true;
			r.units[0].policy.health.retries = 3;
			r.states[0].phase = rows[i].phase;
			r.states[0].goal = rows[i].goal;
			r.states[0].health = rows[i].health;
			r.states[0].exit_code = rows[i].exit_code;
			r.states[0].ever_started = rows[i].ever_started;
			r.dependencies[0] = (struct unit_dependency){ .unit = 1,
				.condition = (enum dependency_condition)c,
				.required = true };
			r.machine.dependency_count = 1;
			if (machine_ready(&r.machine, 1, &culprit, &condition) != expected[c]) {
				fail_msg("row %zu, condition %d", i, c);
			}
			if (expected[c] < 0) {
				assert_int_equal(culprit, 0);
				assert_int_equal(condition, c);
				r.dependencies[0].required = false;
				assert_int_equal(
					machine_ready(&r.machine, 1, &culprit, &condition), 1);
			}
		}
	}
}

static void every_replica_of_a_dependency_counts(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 3);
	r.units[1].policy.service = 0;
	r.dependencies[0] = (struct unit_dependency){
		.unit = 2, .condition = DEPEND_STARTED, .required = true
	};
	r.machine.dependency_count = 1;
	event_of(&r, EVENT_START, 0);
	event_of(&r, EVENT_START, 1);
	event_of(&r, EVENT_START, 2);
	event_of(&r, EVENT_STARTED, 0);
	assert_null(find(&r, ACTION_START, 2));
	event_of(&r, EVENT_STARTED, 1);
	assert_non_null(find(&r, ACTION_START, 2));
}

static void a_dependency_that_fails_ends_the_wait_and_is_named(void **state)
{
	const struct machine_action *action;
	struct rig r;

	(void)state;
	rig_make(&r, 3);
	for (uint32_t i = 1; i < 3; i++) {
		r.dependencies[i - 1] = (struct unit_dependency){
			.unit = i, .service = i - 1, .condition = DEPEND_STARTED, .required = true
		};
	}
	r.machine.dependency_count = 2;
	event_of(&r, EVENT_START, 0);
	event_of(&r, EVENT_START, 1);
	event_of(&r, EVENT_START, 2);
	event_of(&r, EVENT_START_FAILED, 0, .exit_code = 127);
	action = changed(&r, CHANGE_DEPENDENCY_FAILED, 1);
	assert_non_null(action);
	assert_int_equal(action->other, 0);
	/* The whole chain in one step, each naming its own. */
	action = changed(&r, CHANGE_DEPENDENCY_FAILED, 2);
	assert_non_null(action);
	assert_int_equal(action->other, 1);
	assert_int_equal(r.states[2].phase, UNIT_CREATED);
	assert_true(r.states[2].dependency_failed);
}

static void a_dependency_that_crashes_again_and_again_is_given_up(void **state)
{
	struct rig r;
	int crashes = 0;

	(void)state;
	rig_make(&r, 2);
	r.units[0].policy.restart = RESTART_ALWAYS;
	r.units[0].policy.health.enabled = true;
	r.units[0].policy.health.interval_us = 30 * S;
	r.units[0].policy.health.retries = 3;
	r.dependencies[0] = (struct unit_dependency){
		.unit = 1, .condition = DEPEND_HEALTHY, .required = true
	};
	r.machine.dependency_count = 1;
	run(&r, 0);
	event_of(&r, EVENT_START, 1);
	while (r.states[1].phase == UNIT_WAITING && crashes < 10) {
		event_of(&r, EVENT_EXITED, 0, .exit_code = 1);
		crashes++;
		tick_to(&r, r.states[0].restart_due_us);
		event_of(&r, EVENT_STARTED, 0);
	}
	assert_int_equal(crashes, 3);
	assert_int_equal(r.states[1].phase, UNIT_CREATED);
}

static void a_start_without_resources_is_tried_again_under_any_policy(void **state)
{
	int64_t delay = 100 * MS;
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	event_of(&r, EVENT_START, 0);
	for (int i = 0; i < 8; i++) {
		event_of(&r, EVENT_START_FAILED, 0, .exit_code = 125, .retryable = true);
		assert_int_equal(r.states[0].phase, UNIT_BACKOFF);
		assert_int_equal(machine_deadline(&r.machine), r.now + delay);
		tick(&r, delay);
		assert_non_null(find(&r, ACTION_START, 0));
		delay = delay * 2 > 5 * S ? 5 * S : delay * 2;
	}
	assert_int_equal(r.states[0].restart_count, 0);
}

static void a_start_that_cannot_work_is_final_unless_the_policy_had_restarted_it(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	r.units[0].policy.restart = RESTART_ALWAYS;
	event_of(&r, EVENT_START, 0);
	event_of(&r, EVENT_START_FAILED, 0, .exit_code = 127);
	assert_int_equal(r.states[0].phase, UNIT_CREATED);
	assert_int_equal(r.states[0].exit_code, 127);
	assert_non_null(changed(&r, CHANGE_START_FAILED, 0));

	run(&r, 0);
	event_of(&r, EVENT_EXITED, 0, .exit_code = 1);
	tick(&r, 100 * MS);
	event_of(&r, EVENT_START_FAILED, 0, .exit_code = 127);
	assert_int_equal(r.states[0].phase, UNIT_BACKOFF);
	assert_int_equal(machine_deadline(&r.machine), r.now + 200 * MS);
}

/* Health. */

static void rig_health(struct rig *r, bool eager)
{
	rig_make(r, 1);
	r->units[0].policy.health.enabled = true;
	r->units[0].policy.health.eager = eager;
	r->units[0].policy.health.interval_us = 30 * S;
	r->units[0].policy.health.timeout_us = 10 * S;
	r->units[0].policy.health.start_interval_us = 5 * S;
	r->units[0].policy.health.retries = 3;
}

/* Runs until the next probe; returns how long that took. */
static int64_t until_probe(struct rig *r)
{
	int64_t began = r->now;

	for (int i = 0; i < 5; i++) {
		tick_to(r, machine_deadline(&r->machine));
		if (find(r, ACTION_PROBE, 0)) {
			return r->now - began;
		}
	}
	fail_msg("no probe");
	return 0;
}

static void probe(struct rig *r, int64_t takes, int exit_code)
{
	r->now += takes;
	event_of(r, EVENT_PROBE_DONE, 0, .exit_code = exit_code);
}

static void regular_probes_come_an_interval_after_the_last_one_ended(void **state)
{
	struct rig r;

	(void)state;
	rig_health(&r, false);
	run(&r, 0);
	assert_int_equal(r.states[0].health, HEALTH_STARTING);
	assert_int_equal(until_probe(&r), 30 * S);
	assert_true(find(&r, ACTION_PROBE, 0)->regular);
	probe(&r, 2 * S, 0);
	assert_int_equal(r.states[0].health, HEALTH_HEALTHY);
	assert_non_null(changed(&r, CHANGE_HEALTH, 0));
	assert_int_equal(until_probe(&r), 30 * S);
	probe(&r, 0, 0);
	assert_null(changed(&r, CHANGE_HEALTH, 0));
}

static void retries_failures_in_a_row_make_unhealthy_and_one_success_healthy(void **state)
{
	struct rig r;

	(void)state;
	rig_health(&r, false);
	run(&r, 0);
	for (int i = 0; i < 2; i++) {
		until_probe(&r);
		probe(&r, 0, 1);
	}
	until_probe(&r);
	probe(&r, 0, 0); /* the row is broken */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(r.states[0].health, HEALTH_HEALTHY);
		until_probe(&r);
		probe(&r, 0, 1);
	}
	assert_int_equal(r.states[0].health, HEALTH_UNHEALTHY);
	assert_int_equal(r.states[0].failing_streak, 3);
	until_probe(&r);
	probe(&r, 0, 0);
	assert_int_equal(r.states[0].health, HEALTH_HEALTHY);
	/* And a new life starts afresh. */
	event_of(&r, EVENT_EXITED, 0, .exit_code = 0);
	assert_int_equal(r.states[0].health, HEALTH_NONE);
	run(&r, 0);
	assert_int_equal(r.states[0].health, HEALTH_STARTING);
}

static void failures_in_the_start_period_do_not_count_while_starting(void **state)
{
	struct rig r;

	(void)state;
	rig_health(&r, false);
	r.units[0].policy.health.start_period_us = 12 * S;
	run(&r, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(until_probe(&r), 5 * S); /* start_interval */
		probe(&r, 0, 1);
		assert_int_equal(r.states[0].failing_streak, i == 2);
	}
	assert_int_equal(until_probe(&r), 30 * S);

	/* A success ends the starting, and with it the grace. */
	rig_health(&r, false);
	r.units[0].policy.health.start_period_us = 100 * S;
	run(&r, 0);
	until_probe(&r);
	probe(&r, 0, 0);
	assert_int_equal(until_probe(&r), 30 * S);
	probe(&r, 0, 1);
	assert_int_equal(r.states[0].failing_streak, 1);
}

static void a_probe_that_takes_too_long_is_cancelled_and_has_failed(void **state)
{
	struct rig r;

	(void)state;
	rig_health(&r, false);
	run(&r, 0);
	until_probe(&r);
	tick(&r, 10 * S - 1);
	assert_null(find(&r, ACTION_PROBE_CANCEL, 0));
	tick(&r, 1);
	assert_true(find(&r, ACTION_PROBE_CANCEL, 0)->timed_out);
	assert_int_equal(r.states[0].failing_streak, 1);
	/* Its answer, should one come, is no answer any more. */
	event_of(&r, EVENT_PROBE_DONE, 0, .exit_code = 0);
	assert_int_equal(r.states[0].health, HEALTH_STARTING);
}

static void early_probes_come_at_a_quarter_of_the_time_since_the_start(void **state)
{
	struct rig r;
	int64_t began;

	(void)state;
	rig_health(&r, true);
	run(&r, 0);
	began = r.now;
	assert_int_equal(until_probe(&r), 20 * MS);
	assert_false(find(&r, ACTION_PROBE, 0)->regular);
	probe(&r, 1 * MS, 1);
	assert_int_equal(until_probe(&r), 20 * MS);
	probe(&r, 0, 1);
	while (r.now - began < 4 * S) {
		int64_t passed = r.now - began, wait = until_probe(&r);

		assert_int_equal(wait, passed / 4 > 20 * MS ? passed / 4 : 20 * MS);
		probe(&r, 0, 1);
		assert_int_equal(r.states[0].failing_streak, 0);
	}
	until_probe(&r);
	probe(&r, 0, 0);
	assert_int_equal(r.states[0].health, HEALTH_HEALTHY);
	/* From here on only the regular ones. */
	assert_int_equal(until_probe(&r), 30 * S);
	assert_true(find(&r, ACTION_PROBE, 0)->regular);
}

static void early_probes_leave_dockers_verdict_and_its_time_alone(void **state)
{
	struct rig with, without;

	(void)state;
	rig_health(&with, true);
	rig_health(&without, false);
	for (struct rig *r = &with;; r = &without) {
		run(r, 0);
		while (r->states[0].health == HEALTH_STARTING) {
			until_probe(r);
			probe(r, 50 * MS, 1);
		}
		assert_int_equal(r->states[0].health, HEALTH_UNHEALTHY);
		if (r == &without) {
			break;
		}
	}
	assert_int_equal(with.now, without.now);
}

static void a_regular_probe_does_not_wait_for_an_early_one(void **state)
{
	struct rig r;

	(void)state;
	rig_health(&r, true);
	r.units[0].policy.health.interval_us = 1 * S;
	run(&r, 0);
	until_probe(&r); /* at 20 ms, and it hangs */
	tick_to(&r, machine_deadline(&r.machine));
	assert_int_equal(r.now, r.states[0].started_us + S);
	assert_true(find(&r, ACTION_PROBE_CANCEL, 0) < find(&r, ACTION_PROBE, 0));
	assert_non_null(find(&r, ACTION_PROBE_CANCEL, 0));
	assert_true(find(&r, ACTION_PROBE, 0)->regular);
}

static void nothing_is_probed_while_paused_or_stopping(void **state)
{
	struct rig r;
	int64_t wait;

	(void)state;
	rig_health(&r, true);
	run(&r, 0);
	until_probe(&r);
	event_of(&r, EVENT_PAUSE, 0);
	assert_non_null(find(&r, ACTION_PROBE_CANCEL, 0));
	assert_true(machine_deadline(&r.machine) == USEC_NEVER);
	r.now += 40 * S;
	event_of(&r, EVENT_UNPAUSE, 0);
	/* The timers begin anew. */
	wait = (r.now - r.states[0].started_us) / 4;
	assert_int_equal(until_probe(&r), wait);
	event_of(&r, EVENT_STOP, 0);
	assert_non_null(find(&r, ACTION_PROBE_CANCEL, 0));
	tick(&r, S);
	assert_null(find(&r, ACTION_PROBE, 0));
}

/* Taking over, and what nobody should send. */

static void a_new_supervisor_does_again_what_may_not_have_been_done(void **state)
{
	struct rig r;

	(void)state;
	rig_health(&r, true);
	run(&r, 0);
	until_probe(&r);
	r.actions.count = 0;
	machine_adopt(&r.machine, r.now, &r.actions);
	assert_non_null(find(&r, ACTION_PROBE_CANCEL, 0));
	event_of(&r, EVENT_STOP, 0);
	r.actions.count = 0;
	machine_adopt(&r.machine, r.now, &r.actions);
	assert_non_null(find(&r, ACTION_SIGNAL, 0));
	/* A second TERM makes many programs give up at once: not if the first was delivered. */
	r.states[0].signalled = 1;
	r.actions.count = 0;
	machine_adopt(&r.machine, r.now, &r.actions);
	assert_null(find(&r, ACTION_SIGNAL, 0));
	event_with(&r, EVENT_REMOVE, 0, .grace_us = 0);
	r.actions.count = 0;
	machine_adopt(&r.machine, r.now, &r.actions);
	assert_non_null(find(&r, ACTION_KILL, 0));
	event_of(&r, EVENT_EXITED, 0, .exit_code = 137);
	r.actions.count = 0;
	machine_adopt(&r.machine, r.now, &r.actions);
	assert_non_null(find(&r, ACTION_REMOVE, 0));
}

static void a_kill_during_a_start_keeps_its_patience_when_a_start_follows(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	event_of(&r, EVENT_START, 0);
	event_of(&r, EVENT_KILL, 0, .signal = SIGKILL);
	event_of(&r, EVENT_START, 0);
	tick(&r, KILL_PATIENCE_US);
	assert_non_null(find(&r, ACTION_UNKILLABLE, 0));
	event_of(&r, EVENT_START_FAILED, 0, .exit_code = 125);
	assert_non_null(find(&r, ACTION_START, 0));
}

static void events_that_lost_a_race_change_nothing(void **state)
{
	static const struct {
		enum unit_phase phase;
		enum machine_event_type event;
	} rows[] = {
		{ UNIT_CREATED, EVENT_EXITED },
		{ UNIT_CREATED, EVENT_KILL },
		{ UNIT_CREATED, EVENT_STARTED },
		{ UNIT_CREATED, EVENT_PAUSE },
		{ UNIT_WAITING, EVENT_EXITED },
		{ UNIT_WAITING, EVENT_STARTED },
		{ UNIT_RUNNING, EVENT_STARTED },
		{ UNIT_RUNNING, EVENT_START_FAILED },
		{ UNIT_RUNNING, EVENT_PROBE_DONE },
		{ UNIT_RUNNING, EVENT_UNPAUSE },
		{ UNIT_RUNNING, EVENT_REMOVED },
		{ UNIT_RUNNING, EVENT_CANCEL_WAIT },
		{ UNIT_STOPPING, EVENT_PAUSE },
		{ UNIT_STOPPING, EVENT_PROBE_DONE },
		{ UNIT_BACKOFF, EVENT_EXITED },
		{ UNIT_BACKOFF, EVENT_STARTED },
		{ UNIT_EXITED, EVENT_EXITED },
		{ UNIT_EXITED, EVENT_KILL },
		{ UNIT_REMOVING, EVENT_START },
		{ UNIT_REMOVING, EVENT_STOP },
		{ UNIT_REMOVING, EVENT_EXITED },
		{ UNIT_NONE, EVENT_START },
		{ UNIT_NONE, EVENT_REMOVE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct unit_state before;
		struct rig r;

		rig_make(&r, 1);
		r.states[0].phase = rows[i].phase;
		r.states[0].predecessor = 0; /* itself: a wait that does not end */
		before = r.states[0];
		event_of(&r, rows[i].event, 0, .signal = SIGKILL);
		assert_int_equal(r.actions.count, 0);
		assert_memory_equal(&before, &r.states[0], sizeof(before));
	}
}

static void garbage_in_the_table_or_an_event_does_no_harm(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 1);
	r.states[0].phase = 4711;
	event_of(&r, EVENT_START, 0);
	event_of(&r, EVENT_START, 7);
	event_of(&r, (enum machine_event_type)99, 0);
	assert_int_equal(r.actions.count, 0);
	assert_string_equal(unit_phase_name((enum unit_phase)4711), "");
	assert_string_equal(unit_health_name((enum unit_health)99), "");
}

static void phases_have_dockers_names(void **state)
{
	(void)state;
	assert_string_equal(unit_phase_name(UNIT_WAITING), "created");
	assert_string_equal(unit_phase_name(UNIT_STOPPING), "running");
	assert_string_equal(unit_phase_name(UNIT_BACKOFF), "restarting");
	assert_string_equal(unit_phase_name(UNIT_EXITED), "exited");
	assert_string_equal(unit_health_name(HEALTH_NONE), "");
	assert_string_equal(unit_health_name(HEALTH_UNHEALTHY), "unhealthy");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_and_exits_without_a_policy),
		cmocka_unit_test(
			restart_delays_double_to_a_minute_and_start_over_after_ten_good_seconds),
		cmocka_unit_test(on_failure_counts_restarts_and_leaves_success_alone),
		cmocka_unit_test(only_a_kill_that_means_stop_cancels_restarts),
		cmocka_unit_test(a_stop_ends_with_a_kill_when_its_grace_period_is_over),
		cmocka_unit_test(what_outlives_the_kill_is_reported_once_and_still_awaited),
		cmocka_unit_test(a_negative_grace_waits_for_ever),
		cmocka_unit_test(a_stop_while_starting_is_carried_out_as_soon_as_there_is_somebody),
		cmocka_unit_test(a_stop_while_waiting_or_backing_off_is_immediate),
		cmocka_unit_test(who_wanted_the_start_may_go_away),
		cmocka_unit_test(a_start_while_stopping_starts_again_afterwards),
		cmocka_unit_test(a_restart_stops_and_starts_whatever_became_of_dependencies),
		cmocka_unit_test(a_restart_goes_along_depends_on_restart),
		cmocka_unit_test(a_paused_unit_is_thawed_before_it_is_stopped),
		cmocka_unit_test(removal_stops_first_and_is_final),
		cmocka_unit_test(a_successor_waits_until_its_predecessor_is_gone),
		cmocka_unit_test(dependencies_are_met_or_not_by_condition_and_state),
		cmocka_unit_test(every_replica_of_a_dependency_counts),
		cmocka_unit_test(a_dependency_that_fails_ends_the_wait_and_is_named),
		cmocka_unit_test(a_dependency_that_crashes_again_and_again_is_given_up),
		cmocka_unit_test(a_start_without_resources_is_tried_again_under_any_policy),
		cmocka_unit_test(
			a_start_that_cannot_work_is_final_unless_the_policy_had_restarted_it),
		cmocka_unit_test(regular_probes_come_an_interval_after_the_last_one_ended),
		cmocka_unit_test(retries_failures_in_a_row_make_unhealthy_and_one_success_healthy),
		cmocka_unit_test(failures_in_the_start_period_do_not_count_while_starting),
		cmocka_unit_test(a_probe_that_takes_too_long_is_cancelled_and_has_failed),
		cmocka_unit_test(early_probes_come_at_a_quarter_of_the_time_since_the_start),
		cmocka_unit_test(early_probes_leave_dockers_verdict_and_its_time_alone),
		cmocka_unit_test(a_regular_probe_does_not_wait_for_an_early_one),
		cmocka_unit_test(nothing_is_probed_while_paused_or_stopping),
		cmocka_unit_test(a_new_supervisor_does_again_what_may_not_have_been_done),
		cmocka_unit_test(a_kill_during_a_start_keeps_its_patience_when_a_start_follows),
		cmocka_unit_test(events_that_lost_a_race_change_nothing),
		cmocka_unit_test(garbage_in_the_table_or_an_event_does_no_harm),
		cmocka_unit_test(phases_have_dockers_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
