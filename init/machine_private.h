/* Shared by the files of the state machine (init/machine*.c) alone. */
#ifndef WHERRY_INIT_MACHINE_PRIVATE_H
#define WHERRY_INIT_MACHINE_PRIVATE_H

#include "init/machine.h"

/* One step's view of one unit. */
struct unit_step {
	struct machine *machine;
	uint32_t index;
	const struct unit_policy *policy;
	struct unit_state *state;
	const struct machine_event *event; /* what happened to this unit; NULL: nothing */
	int64_t now_us;
	struct machine_actions *out;
	bool *dirty; /* set when dependents may have to look again */
};

/* @time + @delay without overflow; USEC_NEVER stays. */
int64_t machine_later(int64_t time_us, int64_t delay_us);

void machine_emit(const struct unit_step *step, enum machine_action_type type);
void machine_changed(const struct unit_step *step, enum unit_change change);

/* Parts of handlers: machine_parts.c. What each is for stands there. */
void unit_send_signal(const struct unit_step *step, int signal);
int unit_stop_signal(const struct unit_policy *policy);
void unit_wish(const struct unit_step *step, enum unit_goal goal);
void unit_wish_running(const struct unit_step *step);
void unit_wish_stopped(const struct unit_step *step);
void unit_rest(const struct unit_step *step);
void unit_begin_remove(const struct unit_step *step);
void unit_begin_start(const struct unit_step *step);
void unit_try_start(const struct unit_step *step);
void unit_begin_wait(const struct unit_step *step);
void unit_follow_wish(const struct unit_step *step);
void unit_kill_now(const struct unit_step *step);
int64_t unit_grace_of(const struct unit_step *step);
void unit_tighten(const struct unit_step *step, int64_t grace_us);
void unit_thaw(const struct unit_step *step);
void unit_begin_stop(const struct unit_step *step, int64_t grace_us);
void unit_life_begins(const struct unit_step *step);
void unit_life_ends(const struct unit_step *step);
bool unit_policy_restarts(const struct unit_step *step);
int64_t unit_doubled(int64_t delay_us, int64_t most_us);
void unit_back_off(const struct unit_step *step);

/* Health: machine_health.c. */
void machine_health_reset(struct unit_state *state, const struct unit_policy *policy);
/* Starts, times out and replaces probes as the clock demands. */
void machine_health_advance(const struct unit_step *step);
void machine_health_done(const struct unit_step *step, int exit_code);
/* Ends the probe in flight, if there is one, without a verdict. */
void machine_health_cancel(const struct unit_step *step);
int64_t machine_health_deadline(const struct unit_policy *policy, const struct unit_state *state);

#endif
