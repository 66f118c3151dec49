/*
 * The state machine in a simulated world: processes that start late, fail to start, crash, ignore
 * TERM, hang in the kernel; probes that succeed, fail or never end; people who start, stop, kill,
 * pause and remove at any moment; and supervisors that die between a step and its actions.
 * Everything comes from one seed. What must hold is checked after every step against a model of
 * its own, which shares no code with the machine.
 *
 *   test_machine_sim [steps [seed]]
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "init/machine.h"

enum { UNITS_MAX = 12, SERVICES_MAX = 6, DEPENDENCIES_MAX = 24, STEPS_PER_WORLD = 4000 };

#define MSEC USEC_PER_MSEC
#define SEC  USEC_PER_SEC

/* One unit as the world sees it. */
struct subject {
	bool exists, starting, alive, frozen, probing, removing;
	bool obeys; /* this life ends on its stop signal */
	bool wanted; /* somebody wants it running, as far as the model knows */
	bool hard; /* ... by a start, so that dependencies gate it */
	bool term_sent; /* wanted no more, but only asked politely by `kill` */
	bool ran, succeeded, healthy;
	bool kill_sent, signal_sent;
	int answer; /* of the start: enum machine_event_type, or -1 retryable failure */
	int exit_code, probe_code, final_code;
	int64_t answer_at, exit_at, probe_at, removed_at; /* USEC_NEVER: nothing pending */
	int64_t life_began, kill_due, killed_at;
	int64_t restart_at, delay, probe_ended;
	uint32_t restarts;
};

struct world {
	uint64_t seed, random;
	int64_t now;
	struct machine machine;
	struct machine_unit units[UNITS_MAX];
	struct unit_state states[2][UNITS_MAX];
	unsigned generation; /* which of the two holds the state */
	struct unit_dependency dependencies[DEPENDENCIES_MAX];
	struct subject subjects[UNITS_MAX];
	struct machine_action items[MACHINE_ACTIONS_MAX(UNITS_MAX)];
	uint64_t steps, deaths, starts, restarts, removals, kills, unkillables;
	bool calm; /* no new trouble */
	bool mortal; /* supervisors die */
	bool adopting;
	bool by_clock; /* the step at hand is the clock's */
	const char *event; /* for messages */
	uint32_t event_unit;
};

static uint64_t random_bits(struct world *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return w->random * UINT64_C(2685821657736338717);
}

static uint64_t below(struct world *w, uint64_t limit)
{
	return (random_bits(w) >> 11) % limit;
}

static bool chance(struct world *w, unsigned percent)
{
	return below(w, 100) < percent;
}

/* Many short times, some long ones. */
static int64_t some_time(struct world *w, int64_t most)
{
	int64_t range = most >> below(w, 12);

	return (int64_t)below(w, (uint64_t)range + 1);
}

static void broken(const struct world *w, size_t unit, const char *what)
{
	const struct unit_state *s = w->units[unit].state;

	fail_msg("seed %llu, step %llu, %.6f s, after %s of %u: unit %zu (phase %u, goal %u): %s",
		(unsigned long long)w->seed, (unsigned long long)w->steps, (double)w->now / SEC,
		w->event, w->event_unit, unit, s->phase, s->goal, what);
}

#define CHECK(condition, unit, what)                                                               \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			broken(w, unit, what);                                                     \
		}                                                                                  \
	} while (0)

/* The model's own view of dependencies, from facts alone. */
static bool is_met(const struct world *w, const struct unit_dependency *d)
{
	for (size_t i = 0; i < w->machine.count; i++) {
		const struct subject *s = &w->subjects[i];

		if (!s->exists || w->units[i].policy.service != d->service ||
			w->units[i].state->goal == GOAL_REMOVED) {
			continue;
		}
		if ((d->condition == DEPEND_STARTED && !s->ran) ||
			(d->condition == DEPEND_HEALTHY && !(s->alive && s->healthy)) ||
			(d->condition == DEPEND_COMPLETED && !(!s->alive && s->succeeded))) {
			return false;
		}
	}
	return true;
}

static void check_start(const struct world *w, size_t unit)
{
	const struct subject *s = &w->subjects[unit];
	int32_t predecessor = w->units[unit].state->predecessor;

	CHECK(s->exists && !s->removing, unit, "started after its removal");
	CHECK(!s->alive && !s->starting, unit, "two lives at once");
	CHECK(s->wanted, unit, "started though nobody wants it");
	CHECK(predecessor < 0 || !w->subjects[predecessor].exists, unit,
		"started beside its predecessor");
	CHECK(s->restart_at == USEC_NEVER || w->now == s->restart_at, unit,
		"restarted at another time than the policy's");
	for (size_t i = 0; s->hard && i < w->machine.dependency_count; i++) {
		const struct unit_dependency *d = &w->dependencies[i];

		CHECK(d->unit != unit || !d->required || is_met(w, d), unit,
			"started without its dependencies");
	}
}

static void do_start(struct world *w, size_t unit)
{
	struct subject *s = &w->subjects[unit];
	unsigned dice = (unsigned)below(w, 100);

	w->starts++;
	s->starting = true;
	s->kill_sent = s->signal_sent = false;
	s->kill_due = USEC_NEVER;
	s->answer_at = w->now + some_time(w, chance(w, 3) ? 3 * SEC : 20 * MSEC);
	s->answer = EVENT_STARTED;
	if (!w->calm && dice < 18) {
		s->answer = dice < 6 ? -1 : dice < 12 ? EVENT_START_FAILED : EVENT_EXITED;
	}
}

static void do_kill(struct world *w, size_t unit)
{
	struct subject *s = &w->subjects[unit];
	int64_t dies_at = w->now + (!w->calm && chance(w, 2) ? 5 * SEC : some_time(w, MSEC));

	w->kills++;
	s->kill_sent = true;
	s->frozen = false;
	if (s->alive && s->exit_at > dies_at) {
		s->exit_at = dies_at;
		s->exit_code = 137;
	} else if (s->starting && s->answer_at > dies_at) {
		s->answer_at = dies_at;
		s->answer = chance(w, 50) ? EVENT_EXITED : EVENT_START_FAILED;
	}
}

static void do_signal(struct world *w, size_t unit, int signal)
{
	struct subject *s = &w->subjects[unit];
	int64_t dies_at = w->now + some_time(w, 3 * SEC);

	CHECK(!s->frozen, unit, "a signal to a frozen process");
	if (w->units[unit].state->phase == UNIT_STOPPING) {
		w->units[unit].state->signalled = 1;
		s->signal_sent = true;
	}
	if (signal == w->units[unit].policy.stop_signal && s->alive && (s->obeys || w->calm) &&
		s->exit_at > dies_at) {
		s->exit_at = dies_at;
		s->exit_code = chance(w, 50) ? 0 : 128 + signal;
	}
}

static void do_probe(struct world *w, size_t unit)
{
	struct subject *s = &w->subjects[unit];

	CHECK(s->alive && !s->frozen, unit, "a probe of what does not run");
	CHECK(w->units[unit].state->phase == UNIT_RUNNING, unit, "a probe while it stops");
	CHECK(!s->probing, unit, "two probes at once");
	s->probing = true;
	s->probe_code = w->calm || chance(w, 60) ? 0 : 1;
	s->probe_at = w->now + some_time(w, !w->calm && chance(w, 10) ? 100 * SEC : 50 * MSEC);
}

static void do_action(struct world *w, const struct machine_action *a)
{
	struct subject *s = &w->subjects[a->unit];

	switch (a->type) {
	case ACTION_START: do_start(w, a->unit); break;
	case ACTION_KILL: do_kill(w, a->unit); break;
	case ACTION_SIGNAL: do_signal(w, a->unit, a->signal); break;
	case ACTION_PROBE: do_probe(w, a->unit); break;
	case ACTION_PROBE_CANCEL:
		s->probing = false;
		s->probe_at = USEC_NEVER;
		break;
	case ACTION_FREEZE: s->frozen = s->alive; break;
	case ACTION_THAW: s->frozen = false; break;
	case ACTION_REMOVE:
		CHECK(!s->alive && !s->starting, a->unit, "removed while it runs");
		s->removing = true;
		s->removed_at = w->now + some_time(w, 10 * MSEC);
		w->removals++;
		break;
	default: break;
	}
}

/* What the model learns from actions, whether they are carried out or lost. */
static void note_action(struct world *w, const struct machine_action *a)
{
	struct subject *s = &w->subjects[a->unit];

	if (a->type == ACTION_START) {
		check_start(w, a->unit);
		s->hard = false;
		s->restart_at = USEC_NEVER;
	} else if (a->type == ACTION_KILL) {
		s->kill_due = USEC_NEVER;
		/* An adopted kill starts no new patience: that it is unkillable was said before. */
		if (!w->adopting ||
			(s->killed_at == USEC_NEVER && !w->units[a->unit].state->unkillable)) {
			s->killed_at = w->now;
		}
		CHECK(!w->by_clock || !s->alive || s->signal_sent, a->unit,
			"killed without having been asked to end");
	} else if (a->type == ACTION_UNKILLABLE) {
		CHECK(w->now >= s->killed_at + KILL_PATIENCE_US, a->unit, "out of patience early");
		s->killed_at = USEC_NEVER;
		w->unkillables++;
	} else if (a->type == ACTION_CHANGED &&
		   (a->change == CHANGE_DEPENDENCY_FAILED ||
			   (a->change == CHANGE_START_FAILED &&
				   w->units[a->unit].state->phase != UNIT_BACKOFF))) {
		s->wanted = false;
	}
}

/* The supervisor dies with some of its actions undone; the next one takes over a copy. */
static void die_and_adopt(struct world *w);

static void carry_out(struct world *w, struct machine_actions *actions)
{
	size_t done = actions->count;
	bool dies = w->mortal && below(w, 400) == 0;

	if (dies) {
		done = below(w, actions->count + 1);
	}
	for (size_t i = 0; i < actions->count; i++) {
		note_action(w, &actions->items[i]);
		if (i < done) {
			do_action(w, &actions->items[i]);
		}
	}
	actions->count = 0;
	if (dies) {
		die_and_adopt(w);
	}
}

static const char *const event_names[] = { "time", "start", "stop", "restart", "kill", "remove",
	"pause", "unpause", "cancel", "started", "start failure", "exit", "probe result",
	"removal" };

static void deliver(struct world *w, const struct machine_event *event)
{
	struct machine_actions actions = { .items = w->items, .room = ARRAY_SIZE(w->items) };

	w->steps++;
	w->event = event_names[event->type];
	w->event_unit = event->unit;
	w->by_clock = event->type == EVENT_TIME;
	machine_step(&w->machine, event, w->now, &actions);
	CHECK(machine_deadline(&w->machine) > w->now, event->unit, "a deadline that has passed");
	carry_out(w, &actions);
}

static void die_and_adopt(struct world *w)
{
	struct machine_actions actions = { .items = w->items, .room = ARRAY_SIZE(w->items) };

	w->deaths++;
	w->generation = !w->generation;
	memcpy(w->states[w->generation], w->states[!w->generation], sizeof(w->states[0]));
	memset(w->states[!w->generation], 0xa5, sizeof(w->states[0]));
	for (size_t i = 0; i < w->machine.count; i++) {
		w->units[i].state = &w->states[w->generation][i];
		/* The shell ends what sessions it finds noted in the shared table. */
		w->subjects[i].probing = false;
		w->subjects[i].probe_at = USEC_NEVER;
	}
	w->event = "adoption";
	w->by_clock = false;
	w->adopting = true;
	machine_adopt(&w->machine, w->now, &actions);
	carry_out(w, &actions);
	w->adopting = false;
	for (size_t i = 0; i < w->machine.count; i++) {
		const struct subject *s = &w->subjects[i];

		if (w->units[i].state->phase == UNIT_STARTING && !s->starting && !s->alive) {
			deliver(w, &(struct machine_event){ .type = EVENT_START_FAILED,
					   .unit = (uint32_t)i,
					   .exit_code = 125,
					   .retryable = true });
		}
	}
}

/* What the policy will do after the end of a life, by the model's own reckoning. */
static void expect_restart(struct world *w, size_t unit, int code)
{
	const struct unit_policy *policy = &w->units[unit].policy;
	struct subject *s = &w->subjects[unit];
	bool again = policy->restart == RESTART_ALWAYS ||
		     policy->restart == RESTART_UNLESS_STOPPED ||
		     (policy->restart == RESTART_ON_FAILURE && code != 0 &&
			     (policy->restart_max == 0 || s->restarts < policy->restart_max));

	if (w->now - s->life_began >= 10 * SEC) {
		s->delay = 100 * MSEC;
	}
	if (!again || s->term_sent) {
		s->wanted = false;
		return;
	}
	s->restart_at = w->now + s->delay;
	s->delay = s->delay * 2 > 60 * SEC ? 60 * SEC : s->delay * 2;
	s->restarts++;
	w->restarts++;
}

static void life_ended(struct world *w, size_t unit, int code)
{
	struct subject *s = &w->subjects[unit];
	const struct unit_state *state = w->units[unit].state;
	bool stopping =
		state->phase == UNIT_STOPPING ||
		(state->phase == UNIT_STARTING && (state->killed || state->goal != GOAL_RUNNING));

	s->alive = s->starting = s->frozen = false;
	s->probing = s->healthy = false;
	s->ran = true;
	s->succeeded = code == 0;
	s->exit_at = s->probe_at = s->kill_due = s->killed_at = USEC_NEVER;
	if (!stopping && s->wanted) {
		expect_restart(w, unit, code);
	}
}

static void deliver_exit(struct world *w, size_t unit, int code)
{
	life_ended(w, unit, code);
	deliver(w, &(struct machine_event){ .type = EVENT_EXITED,
			   .unit = (uint32_t)unit,
			   .exit_code = code,
			   .oom = chance(w, 5) });
}

static void deliver_answer(struct world *w, size_t unit)
{
	struct subject *s = &w->subjects[unit];

	s->answer_at = USEC_NEVER;
	if (s->answer == EVENT_EXITED) {
		s->life_began = w->now;
		deliver_exit(w, unit, chance(w, 50) ? 0 : 1);
		return;
	}
	s->starting = false;
	if (s->answer != EVENT_STARTED) {
		bool retryable = s->answer < 0;

		s->kill_due = s->killed_at = USEC_NEVER;
		if (!retryable && s->restarts > 0 && s->wanted &&
			w->units[unit].state->goal == GOAL_RUNNING &&
			!w->units[unit].state->killed) {
			s->life_began = w->now;
			expect_restart(w, unit, 127);
		}
		deliver(w, &(struct machine_event){ .type = EVENT_START_FAILED,
				   .unit = (uint32_t)unit,
				   .exit_code = 127,
				   .retryable = retryable });
		return;
	}
	s->alive = s->ran = true;
	s->succeeded = s->healthy = false;
	s->life_began = w->now;
	s->obeys = chance(w, 80);
	s->exit_code = chance(w, 60) ? 0 : 1;
	s->exit_at = w->calm || chance(w, 40) ? USEC_NEVER : w->now + some_time(w, 40 * SEC);
	if (s->kill_sent) {
		s->exit_at = w->now + MSEC;
	}
	deliver(w, &(struct machine_event){ .type = EVENT_STARTED, .unit = (uint32_t)unit });
}

static void deliver_probe(struct world *w, size_t unit)
{
	struct subject *s = &w->subjects[unit];

	s->probing = false;
	s->probe_at = USEC_NEVER;
	s->healthy |= s->probe_code == 0;
	deliver(w, &(struct machine_event){ .type = EVENT_PROBE_DONE,
			   .unit = (uint32_t)unit,
			   .exit_code = s->probe_code });
}

static void deliver_removed(struct world *w, size_t unit)
{
	struct subject *s = &w->subjects[unit];

	s->removed_at = USEC_NEVER;
	s->exists = s->removing = false;
	deliver(w, &(struct machine_event){ .type = EVENT_REMOVED, .unit = (uint32_t)unit });
}

/* A stop that was asked for bounds the time until the kill, whatever else is asked. */
static void expect_stop(struct world *w, size_t unit, int64_t grace)
{
	struct subject *s = &w->subjects[unit];

	s->wanted = false;
	s->restart_at = USEC_NEVER;
	if (grace == INT64_MIN) {
		grace = w->units[unit].policy.stop_grace_us;
	}
	if ((s->alive || s->starting) && !w->units[unit].state->killed && grace >= 0 &&
		w->now + grace < s->kill_due) {
		s->kill_due = w->now + grace;
	}
}

static void expect_run(struct world *w, size_t unit, bool hard)
{
	struct subject *s = &w->subjects[unit];
	const struct unit_state *state = w->units[unit].state;

	if (state->goal == GOAL_REMOVED) {
		return;
	}
	s->wanted = true;
	s->term_sent = false;
	s->restart_at = USEC_NEVER;
	s->restarts = 0;
	s->delay = 100 * MSEC;
	s->hard = hard && state->phase != UNIT_BACKOFF;
	if (state->phase == UNIT_STARTING && !state->killed) {
		s->kill_due = USEC_NEVER;
	}
}

/* `depends_on.X.restart`: everything along such edges that runs may be started again. */
static void expect_restarts(struct world *w, uint32_t service, unsigned depth)
{
	for (size_t i = 0; depth && i < w->machine.dependency_count; i++) {
		const struct unit_dependency *d = &w->dependencies[i];
		const struct unit_state *state = w->units[d->unit].state;

		if (d->restart && d->service == service && state->goal == GOAL_RUNNING &&
			(state->phase == UNIT_RUNNING || state->phase == UNIT_BACKOFF)) {
			if (w->subjects[d->unit].alive) {
				expect_stop(w, d->unit, INT64_MIN);
			}
			expect_run(w, d->unit, false);
			expect_restarts(w, w->units[d->unit].policy.service, depth - 1);
		}
	}
}

static void expect_kill(struct world *w, const struct machine_event *event)
{
	struct subject *s = &w->subjects[event->unit];
	const struct unit_state *state = w->units[event->unit].state;

	if (event->signal == SIGKILL) {
		expect_stop(w, event->unit, 0);
	} else if (event->signal == w->units[event->unit].policy.stop_signal) {
		if (state->phase == UNIT_RUNNING) {
			s->term_sent = true;
		} else {
			expect_stop(w, event->unit, -1);
		}
	}
}

static void expect(struct world *w, const struct machine_event *event)
{
	struct subject *s = &w->subjects[event->unit];
	const struct unit_state *state = w->units[event->unit].state;

	switch (event->type) {
	case EVENT_START:
		/* To somebody who runs or starts it changes no gate. */
		expect_run(w, event->unit,
			state->phase == UNIT_CREATED || state->phase == UNIT_EXITED ||
				state->phase == UNIT_STOPPING ||
				(state->phase == UNIT_WAITING && s->hard));
		break;
	case EVENT_RESTART:
		if (state->goal == GOAL_REMOVED) {
			break;
		}
		if (state->phase == UNIT_RUNNING || state->phase == UNIT_STOPPING) {
			expect_stop(w, event->unit, event->grace_us);
		}
		expect_run(w, event->unit, state->phase == UNIT_WAITING && s->hard);
		expect_restarts(w, w->units[event->unit].policy.service, SERVICES_MAX);
		break;
	case EVENT_STOP:
	case EVENT_REMOVE: expect_stop(w, event->unit, event->grace_us); break;
	case EVENT_KILL: expect_kill(w, event); break;
	case EVENT_CANCEL_WAIT:
		if (state->phase == UNIT_WAITING) {
			s->wanted = false;
		}
		break;
	default: break;
	}
}

static void somebody_acts(struct world *w)
{
	static const enum machine_event_type likely[] = { EVENT_START, EVENT_START, EVENT_START,
		EVENT_STOP, EVENT_STOP, EVENT_RESTART, EVENT_KILL, EVENT_PAUSE, EVENT_UNPAUSE,
		EVENT_CANCEL_WAIT, EVENT_START, EVENT_START };
	static const int signals[] = { SIGKILL, SIGTERM, SIGINT, SIGHUP };
	struct machine_event event = { .unit = (uint32_t)below(w, w->machine.count),
		.signal = signals[below(w, ARRAY_SIZE(signals))],
		.grace_us = INT64_MIN };

	event.type = chance(w, 3) ? EVENT_REMOVE : likely[below(w, ARRAY_SIZE(likely))];
	if (chance(w, 30)) {
		event.grace_us = chance(w, 5) ? -1 : some_time(w, 5 * SEC);
	}
	if (w->subjects[event.unit].exists) {
		expect(w, &event);
		deliver(w, &event);
	}
}

/* A free slot becomes a new unit: by scaling up, or the successor of one that is told to go. */
static void somebody_recreates(struct world *w)
{
	size_t old = below(w, w->machine.count), slot = 0;
	struct machine_event event = { .type = EVENT_REMOVE, .grace_us = INT64_MIN };

	while (slot < w->machine.count && w->subjects[slot].exists) {
		slot++;
	}
	if (slot == w->machine.count) {
		return;
	}
	w->subjects[slot] = (struct subject){ .exists = true,
		.delay = 100 * MSEC,
		.answer_at = USEC_NEVER,
		.exit_at = USEC_NEVER,
		.probe_at = USEC_NEVER,
		.removed_at = USEC_NEVER,
		.kill_due = USEC_NEVER,
		.killed_at = USEC_NEVER,
		.restart_at = USEC_NEVER };
	machine_unit_init(w->units[slot].state);
	if (w->subjects[old].exists && chance(w, 50)) {
		w->units[slot].state->predecessor = (int32_t)old;
		event.unit = (uint32_t)old;
		expect(w, &event);
		deliver(w, &event);
	}
	event = (struct machine_event){ .type = EVENT_START, .unit = (uint32_t)slot };
	expect(w, &event);
	deliver(w, &event);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t next_fact(const struct world *w)
{
	int64_t at = USEC_NEVER;

	for (size_t i = 0; i < w->machine.count; i++) {
		const struct subject *s = &w->subjects[i];

		at = earlier(at, s->answer_at);
		at = earlier(at, s->frozen ? USEC_NEVER : s->exit_at);
		at = earlier(at, s->frozen ? USEC_NEVER : s->probe_at);
		at = earlier(at, s->removed_at);
	}
	return at;
}

static void deliver_facts(struct world *w)
{
	for (size_t i = 0; i < w->machine.count; i++) {
		struct subject *s = &w->subjects[i];

		if (s->answer_at <= w->now) {
			deliver_answer(w, i);
		}
		if (!s->frozen && s->exit_at <= w->now) {
			deliver_exit(w, i, s->exit_code);
		}
		if (!s->frozen && s->probe_at <= w->now) {
			deliver_probe(w, i);
		}
		if (s->removed_at <= w->now) {
			deliver_removed(w, i);
		}
	}
}

static void check_world(const struct world *w)
{
	for (size_t i = 0; i < w->machine.count; i++) {
		const struct subject *s = &w->subjects[i];
		bool there = s->alive || s->starting;

		CHECK(!there || s->kill_due > w->now, i, "no kill at the end of its grace period");
		CHECK(!there || s->killed_at == USEC_NEVER ||
				w->now < s->killed_at + KILL_PATIENCE_US,
			i, "killed, still there, and nobody says so");
		CHECK(!s->restart_at || s->restart_at >= w->now, i, "a restart was missed");
		CHECK(s->exists == (w->units[i].state->phase != UNIT_NONE), i,
			"existence and phase disagree");
	}
}

/* One turn: to the next moment at which anything happens, or to a whim before it. */
static void turn(struct world *w)
{
	int64_t fact = next_fact(w), due = machine_deadline(&w->machine);
	int64_t next = earlier(fact, due);
	int64_t whim = w->calm ? USEC_NEVER : w->now + some_time(w, 8 * SEC);

	if (whim < next) {
		w->now = whim;
		if (chance(w, 8)) {
			somebody_recreates(w);
		} else {
			somebody_acts(w);
		}
	} else {
		if (next == USEC_NEVER) {
			return;
		}
		/* What fell due while it was frozen happens at the thaw. */
		w->now = next > w->now ? next : w->now;
		/* Either first: they race in the real world too. */
		if (chance(w, 50)) {
			deliver(w, &(struct machine_event){ .type = EVENT_TIME });
		}
		deliver_facts(w);
		deliver(w, &(struct machine_event){ .type = EVENT_TIME });
	}
	check_world(w);
}

static void make_policies(struct world *w, size_t services)
{
	for (size_t i = 0; i < w->machine.count; i++) {
		struct unit_policy *policy = &w->units[i].policy;

		*policy = (struct unit_policy){
			.service = (uint32_t)(i % services),
			.restart = (enum restart_policy)below(w, 4),
			.restart_max = (uint32_t)below(w, 4),
			.stop_signal = chance(w, 80) ? SIGTERM : SIGINT,
			.stop_grace_us = chance(w, 10) ? 0 : 10 * SEC,
			.health = { .enabled = (i % services) % 2 == 0,
				.eager = chance(w, 50),
				.interval_us = 100 * MSEC + some_time(w, 30 * SEC),
				.timeout_us = MSEC + some_time(w, 30 * SEC),
				.start_period_us = some_time(w, 20 * SEC),
				.start_interval_us = 50 * MSEC + some_time(w, 5 * SEC),
				.retries = 1 + (uint32_t)below(w, 4) },
		};
	}
}

static void make_dependencies(struct world *w, size_t services)
{
	size_t count = 0;

	for (uint32_t i = 0; i < w->machine.count && count < DEPENDENCIES_MAX; i++) {
		uint32_t service = w->units[i].policy.service;

		if (service == 0 || chance(w, 40)) {
			continue;
		}
		w->dependencies[count++] = (struct unit_dependency){
			.unit = i,
			.service = (uint32_t)below(w, service),
			.condition = (enum dependency_condition)below(w, 3),
			.required = chance(w, 80),
			.restart = chance(w, 30),
		};
	}
	(void)services;
	w->machine.dependencies = w->dependencies;
	w->machine.dependency_count = count;
}

static void world_make(struct world *w, uint64_t seed, bool mortal)
{
	size_t services;

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	w->now = SEC;
	w->mortal = mortal;
	w->machine.units = w->units;
	w->machine.count = 1 + below(w, UNITS_MAX);
	services = 1 + below(w, SERVICES_MAX);
	make_policies(w, services);
	make_dependencies(w, services);
	for (size_t i = 0; i < w->machine.count; i++) {
		w->units[i].state = &w->states[0][i];
		machine_unit_init(w->units[i].state);
		w->subjects[i] = (struct subject){ .exists = true,
			.delay = 100 * MSEC,
			.answer_at = USEC_NEVER,
			.exit_at = USEC_NEVER,
			.probe_at = USEC_NEVER,
			.removed_at = USEC_NEVER,
			.kill_due = USEC_NEVER,
			.killed_at = USEC_NEVER,
			.restart_at = USEC_NEVER };
	}
}

/* Once nothing goes wrong any more, every wish comes true. */
static void check_wishes(const struct world *w)
{
	for (size_t i = 0; i < w->machine.count; i++) {
		const struct subject *s = &w->subjects[i];
		const struct unit_state *state = w->units[i].state;
		enum dependency_condition condition;
		uint32_t culprit;

		CHECK(state->goal != GOAL_REMOVED || !s->exists, i, "a removal was lost");
		CHECK(s->wanted || s->term_sent || !s->alive, i, "a stop was lost");
		if (s->wanted && !s->alive && !s->term_sent) {
			CHECK(state->phase == UNIT_WAITING, i, "a start was lost");
			CHECK(machine_ready(&w->machine, (uint32_t)i, &culprit, &condition) == 0 ||
					(state->predecessor >= 0 &&
						w->subjects[state->predecessor].exists),
				i, "a wait was lost");
		}
	}
}

static void calm_down(struct world *w)
{
	int64_t until = w->now + 300 * SEC;

	w->calm = true;
	w->mortal = false;
	for (size_t i = 0; i < w->machine.count; i++) {
		struct machine_event event = { .type = EVENT_UNPAUSE, .unit = (uint32_t)i };

		deliver(w, &event);
		/* A stop without a time limit ends when its process does. */
		if (w->units[i].state->phase == UNIT_STOPPING && w->subjects[i].alive &&
			w->units[i].state->stop_due_us == USEC_NEVER) {
			w->subjects[i].exit_at = earlier(w->subjects[i].exit_at, w->now + 20 * SEC);
		}
	}
	while (w->now < until &&
		earlier(next_fact(w), machine_deadline(&w->machine)) != USEC_NEVER) {
		turn(w);
	}
	check_wishes(w);
}

static uint64_t steps_wanted = 10000000, first_seed = 1;

static void run_worlds(bool mortal)
{
	static struct world w;
	struct world sum = { .steps = 0 };
	uint64_t seed = first_seed;
	int64_t began = clock_now_us();

	for (; sum.steps < steps_wanted / 2; seed++) {
		world_make(&w, seed, mortal);
		while (w.steps < STEPS_PER_WORLD) {
			uint64_t before = w.steps;

			turn(&w);
			w.steps += w.steps == before;
		}
		calm_down(&w);
		sum.steps += w.steps;
		sum.deaths += w.deaths;
		sum.starts += w.starts;
		sum.restarts += w.restarts;
		sum.removals += w.removals;
		sum.kills += w.kills;
		sum.unkillables += w.unkillables;
	}
	printf("%llu worlds, %llu steps in %.2f s: %llu starts, %llu restarts by policy, %llu "
	       "kills, %llu unkillable, %llu removals, %llu deaths of the supervisor\n",
		(unsigned long long)(seed - first_seed), (unsigned long long)sum.steps,
		(double)(clock_now_us() - began) / SEC, (unsigned long long)sum.starts,
		(unsigned long long)sum.restarts, (unsigned long long)sum.kills,
		(unsigned long long)sum.unkillables, (unsigned long long)sum.removals,
		(unsigned long long)sum.deaths);
	/* A world in which nothing happens proves nothing. */
	assert_true(sum.starts > sum.steps / 100);
	assert_true(sum.restarts > 0 && sum.kills > 0 && sum.unkillables > 0 && sum.removals > 0);
	assert_int_equal(mortal, sum.deaths > 0);
}

static void no_order_of_events_breaks_a_promise(void **state)
{
	(void)state;
	run_worlds(false);
}

static void nor_does_the_death_of_supervisors(void **state)
{
	(void)state;
	run_worlds(true);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_order_of_events_breaks_a_promise),
		cmocka_unit_test(nor_does_the_death_of_supervisors),
	};

	if (argc > 1) {
		steps_wanted = strtoull(argv[1], NULL, 10);
	}
	if (argc > 2) {
		first_seed = strtoull(argv[2], NULL, 10);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
