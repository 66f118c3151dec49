/* Health checks: the machine says when, this runs them and keeps the last results. */
#include <errno.h>

#include "base/clock.h"
#include "base/json.h"
#include "init/supervisor.h"

static void keep_result(struct unit *u, int exit_code, int64_t start_ns, const char *output)
{
	struct health_result *result;

	if (!u->health_log) {
		u->health_log = xcalloc(HEALTH_LOG_MAX, sizeof(*u->health_log));
	}
	if (u->health_count == HEALTH_LOG_MAX) {
		free(u->health_log[0].output);
		memmove(&u->health_log[0], &u->health_log[1],
			(HEALTH_LOG_MAX - 1) * sizeof(*u->health_log));
		u->health_count--;
	}
	result = &u->health_log[u->health_count++];
	*result = (struct health_result){ .exit_code = exit_code,
		.start_ns = start_ns,
		.end_ns = clock_wall_ns(),
		.output = xstrdup(output) };
}

static void probe_done(struct session *session, int exit_code, const struct error *err)
{
	struct unit *u = session->owner;
	struct machine_event event = {
		.type = EVENT_PROBE_DONE, .unit = u->index, .exit_code = exit_code
	};

	u->probe = NULL;
	keep_result(u, exit_code, session->started_wall_ns,
		err ? err->message : str_text(&session->output));
	supervisor_post(u->s, &event);
}

void health_probe(struct unit *u, bool regular)
{
	struct session_request request = { .kind = SESSION_PROBE,
		.args = (const char *const *)u->plan->health_test,
		.capture = true,
		.stdio = { -EBADF, -EBADF, -EBADF },
		.deadline_us = u->slot.state.probe_deadline_us,
		.client = -1,
		.done = probe_done,
		.owner = u };
	struct error err = ERROR_INIT;

	(void)regular;
	if (u->slot.pid == 0 || !u->plan->health_test) {
		return; /* its end is on the way */
	}
	u->probe = session_start(u, &request, &err);
	if (!u->probe) {
		struct machine_event event = {
			.type = EVENT_PROBE_DONE, .unit = u->index, .exit_code = -1
		};

		keep_result(u, -1, clock_wall_ns(), err.message);
		supervisor_post(u->s, &event);
	}
}

void health_cancel(struct unit *u, bool timed_out)
{
	struct session *session = u->probe;
	char text[120], limit[40];

	if (!session) {
		return;
	}
	if (timed_out) {
		snprintf(limit, sizeof(limit), "%gs",
			(double)u->plan->policy.health.timeout_us / (double)USEC_PER_SEC);
		snprintf(text, sizeof(text), "Health check exceeded timeout (%s)", limit);
		keep_result(u, -1, session->started_wall_ns, text);
	}
	u->probe = NULL;
	session_cancel(session);
}

json_t *health_log_print(const struct unit *u)
{
	json_t *all = json_array();

	for (size_t i = 0; i < u->health_count; i++) {
		const struct health_result *r = &u->health_log[i];
		json_t *one = json_object();

		json_put_int(one, "exit", r->exit_code);
		json_put_text(one, "output", r->output);
		json_put_int(one, "start_ns", r->start_ns);
		json_put_int(one, "end_ns", r->end_ns);
		json_array_append_new(all, one);
	}
	return all;
}

void health_finish(struct unit *u)
{
	for (size_t i = 0; i < u->health_count; i++) {
		free(u->health_log[i].output);
	}
	free(u->health_log);
	u->health_log = NULL;
	u->health_count = 0;
}
