/*
 * The supervisor's core: a pure state machine. Events in, actions out, time as a parameter; no
 * system call, no clock, no allocation after machine_init. The epoll shell (init/supervisor) turns
 * kernel facts into events and actions into system calls; tests/sim drives the same code through
 * millions of interleavings with a seeded clock.
 *
 * A unit is one container. Its `struct unit_state` is plain data without pointers: the shell keeps
 * it in the shared table, so that the next supervisor goes on where the last one stopped.
 *
 * Semantics follow docker (moby's restart manager and health monitor), see the comments at each
 * field; differences are documented in docs/supervision.md.
 */
#ifndef WHERRY_INIT_MACHINE_H
#define WHERRY_INIT_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum unit_phase {
	UNIT_NONE, /* slot not in use */
	UNIT_CREATED, /* exists, was never started (or could not be) */
	UNIT_WAITING, /* wants to start, waits for dependencies (or for its predecessor's removal) */
	UNIT_STARTING, /* START was emitted; the payload has not been executed yet */
	UNIT_RUNNING,
	UNIT_STOPPING, /* stop signal sent, grace period runs; or killed and not reaped yet */
	UNIT_BACKOFF, /* exited; the restart policy starts it again at restart_due_us */
	UNIT_EXITED, /* stopped for good (until somebody starts it) */
	UNIT_REMOVING, /* REMOVE was emitted */
	UNIT_PHASES
};

enum unit_goal { GOAL_STOPPED, GOAL_RUNNING, GOAL_REMOVED };

enum unit_health { HEALTH_NONE, HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY };

enum restart_policy { RESTART_NO, RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_UNLESS_STOPPED };

enum dependency_condition { DEPEND_STARTED, DEPEND_HEALTHY, DEPEND_COMPLETED };

#define EXIT_UNKNOWN (-1)

/* Restart delays: 100 ms doubling to 60 s; back to 100 ms after a run of 10 s (moby). */
#define RESTART_DELAY_MIN_US INT64_C(100000)
#define RESTART_DELAY_MAX_US INT64_C(60000000)
#define RESTART_RESET_US     INT64_C(10000000)
/* A start that failed for want of resources is tried again after 100 ms, doubling to 5 s. */
#define START_RETRY_MIN_US INT64_C(100000)
#define START_RETRY_MAX_US INT64_C(5000000)
/* Early probes: the first after this time, and never closer together. */
#define PROBE_EARLY_MIN_US INT64_C(20000)
/* After SIGKILL a stop waits this long before the unit is reported as unkillable. */
#define KILL_PATIENCE_US INT64_C(2000000)

/* What does not change while a unit lives. */
struct unit_policy {
	uint32_t service; /* index of its service; replicas share it */
	enum restart_policy restart;
	uint32_t restart_max; /* on-failure:N; 0: no limit */
	int stop_signal;
	int64_t stop_grace_us; /* 0: kill at once; negative: wait for ever */
	struct {
		bool enabled;
		bool eager; /* early probes while starting: after 20 ms, then at a quarter of the time since
			     * start, at least 20 ms and at most the interval after the last one; an early
			     * success makes healthy, an early failure counts for nothing */
		int64_t interval_us, timeout_us, start_period_us, start_interval_us;
		uint32_t retries;
	} health;
};

struct unit_dependency {
	uint32_t unit; /* the dependent */
	uint32_t service; /* what it waits for: every unit of that service */
	enum dependency_condition condition;
	bool required;
	bool restart; /* `depends_on.X.restart`: restart with it */
};

/* Plain data; lives in the shared table. */
struct unit_state {
	uint32_t phase; /* enum unit_phase */
	uint32_t goal; /* enum unit_goal */
	uint32_t health;
	uint32_t life; /* counts starts; names the cgroup of each */
	uint32_t restart_count; /* by policy since the last manual start */
	uint32_t failing_streak;
	int32_t exit_code; /* of the last life; EXIT_UNKNOWN before the first end */
	int32_t predecessor; /* unit that must be gone before this one may start; -1: none */
	uint8_t oom_killed; /* the last life ended by, or lost a process to, the OOM killer */
	uint8_t paused;
	uint8_t manual_stop; /* stopped by a person: policies other than `always` at boot stay quiet */
	uint8_t killed; /* SIGKILL was sent for this stop */
	uint8_t probe_in_flight;
	uint8_t probe_counts; /* the running probe is a regular one, not an early one */
	uint8_t ever_started;
	uint8_t unkillable; /* did not die within KILL_PATIENCE_US */
	uint8_t restart_after_stop; /* `restart` was asked: start again once stopped */
	uint8_t dependency_failed; /* WAITING ended because a dependency cannot be met */
	uint8_t start_failed; /* the last start that was asked for failed for good */
	uint8_t signalled; /* the shell's note: this stop's signal was delivered (see machine_adopt) */
	int64_t started_us; /* monotonic, of the current or last life */
	int64_t last_probe_us; /* end of the last probe; 0: none in this life */
	int64_t last_regular_us; /* end of the last probe that counted; 0: none in this life */
	int64_t probe_deadline_us; /* of the probe in flight */
	int64_t stop_due_us; /* when SIGKILL follows; USEC_NEVER: never */
	int64_t restart_due_us; /* in BACKOFF */
	int64_t restart_delay_us; /* the next delay */
	int64_t retry_delay_us; /* the next delay after a start that failed for want of resources */
	int64_t stop_grace_us; /* for the stop under way (an override or the policy's) */
};

struct machine_unit {
	struct unit_policy policy;
	struct unit_state *state; /* not owned */
};

struct machine {
	struct machine_unit *units; /* not owned; `count` of them, holes have phase UNIT_NONE */
	size_t count;
	const struct unit_dependency *dependencies; /* not owned */
	size_t dependency_count;
};

enum machine_event_type {
	EVENT_TIME, /* nothing but the clock */
	EVENT_START, /* a person (or `up`) wants it running; ends a back-off at once */
	EVENT_STOP, /* ... wants it stopped; grace_us: override, or INT64_MIN for the policy's */
	EVENT_RESTART, /* stop, then start; grace_us as above */
	EVENT_KILL, /* send @signal; SIGKILL or the stop signal also cancels restarts (moby) */
	EVENT_REMOVE, /* stop if need be, then remove */
	EVENT_PAUSE,
	EVENT_UNPAUSE,
	EVENT_CANCEL_WAIT, /* the one who wanted it started is gone: WAITING goes back to CREATED */
	EVENT_STARTED, /* the payload runs */
	EVENT_START_FAILED, /* exit_code 125, 126 or 127; retryable: resources were short (EAGAIN, ...) */
	EVENT_EXITED, /* exit_code (128+n for signals), oom */
	EVENT_PROBE_DONE, /* exit_code; -1: timed out and was killed, or could not run */
	EVENT_REMOVED
};

struct machine_event {
	enum machine_event_type type;
	uint32_t unit;
	int signal;
	int exit_code;
	bool oom;
	bool retryable;
	int64_t grace_us;
};

enum machine_action_type {
	ACTION_START, /* launch; answer with STARTED or START_FAILED */
	ACTION_SIGNAL, /* send @signal to its first process (and again when it can catch it) */
	ACTION_KILL, /* SIGKILL everything in its group, thawed */
	ACTION_PROBE, /* run the health check; answer with PROBE_DONE */
	ACTION_PROBE_CANCEL, /* end the running probe; no answer is expected */
	ACTION_FREEZE,
	ACTION_THAW,
	ACTION_REMOVE, /* remove everything it has; answer with REMOVED */
	ACTION_CHANGED, /* its state changed in a way that clients see: what happened in @change */
	ACTION_UNKILLABLE
};

enum unit_change {
	CHANGE_WAITING,
	CHANGE_STARTING,
	CHANGE_STARTED,
	CHANGE_START_FAILED,
	CHANGE_HEALTH, /* starting -> healthy, unhealthy */
	CHANGE_STOPPING,
	CHANGE_EXITED,
	CHANGE_RESTARTING, /* exited and in back-off */
	CHANGE_PAUSED,
	CHANGE_UNPAUSED,
	CHANGE_REMOVED,
	CHANGE_DEPENDENCY_FAILED, /* @other: the unit of the dependency that cannot be met */
	CHANGE_UNKILLABLE
};

struct machine_action {
	enum machine_action_type type;
	uint32_t unit;
	int signal;
	enum unit_change change;
	uint32_t other;
	bool regular; /* PROBE: counts towards retries */
	bool timed_out; /* PROBE_CANCEL: it ran out of time (its verdict is a failure already) */
};

/* A bounded list the caller provides; a step never emits more than MACHINE_ACTIONS_MAX(count). */
struct machine_actions {
	struct machine_action *items;
	size_t count, room;
};
#define MACHINE_ACTIONS_MAX(units) ((units)*6 + 8)

/* Puts a unit's state to CREATED with the goal STOPPED. */
void machine_unit_init(struct unit_state *state);

/*
 * Takes one event at @now_us and appends what has to be done, in order, to @out. Events that make
 * no sense in a unit's phase are ignored (they lost a race).
 *
 * What the shell has to know:
 * - START events of one request are delivered dependencies first: a dependency that nobody wants
 *   running "cannot be met", and a wait for it ends at once.
 * - A unit may be stopped while STARTING; then ACTION_KILL may come before the answer to START. Any
 *   of STARTED, START_FAILED and EXITED is a fine answer to that.
 * - CHANGE_EXITED says that a unit came to rest or ended a life; after a stop in WAITING or BACKOFF
 *   there was no life to end (phase CREATED if it never ran).
 * - CHANGE_START_FAILED with phase BACKOFF: it will be tried again.
 * - Time-outs of probes are kept here: PROBE_CANCEL with timed_out set, and no PROBE_DONE for it.
 * - `depends_on.X.restart`: EVENT_RESTART of X restarts its dependents too, each after X is ready.
 *   When X is recreated the shell sends them an EVENT_RESTART itself.
 */
void machine_step(struct machine *machine, const struct machine_event *event, int64_t now_us,
	struct machine_actions *out);

/*
 * For a supervisor that takes over a table in which its predecessor may have died between a step
 * and its actions: appends again what has to be done and may not have been (signals that were not
 * noted as delivered, kills, removals, freezes), and forgets probes in flight without a verdict
 * (PROBE_CANCEL). Units in STARTING are the shell's to answer: STARTED or EXITED if it finds the
 * process, else START_FAILED with retryable set.
 */
void machine_adopt(struct machine *machine, int64_t now_us, struct machine_actions *out);

/* When the machine next wants an EVENT_TIME; USEC_NEVER: it does not. */
int64_t machine_deadline(const struct machine *machine);

/* Whether @unit's dependencies are met (1), may still be (0), or cannot be any more (-1, with
 * *@culprit the unit at fault and *@condition what was asked of it). */
int machine_ready(const struct machine *machine, uint32_t unit, uint32_t *culprit,
	enum dependency_condition *condition);

const char *unit_phase_name(enum unit_phase phase); /* docker's state: created, running, ... */
const char *unit_health_name(enum unit_health health); /* "", "starting", "healthy", "unhealthy" */

#endif
