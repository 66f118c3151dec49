/*
 * `up` without -d. Theory of operation: the `apply` request stays open after everything has
 * started and tells what becomes of the containers; their output is read from the log files. What
 * is there before the request is not shown, what comes after it is. Until "Attaching to" the
 * screen belongs to the progress block, after it to the logs.
 *
 * The stay ends when every container that is shown has ended, when one ends and
 * --abort-on-container-exit is given, or with Ctrl-C: then the services are stopped by a second
 * request while the first one goes on reporting.
 */
#include "cli/up.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/logview.h"
#include "cli/names.h"
#include "cli/project.h"
#include "cli/session.h"

/* How long the last events may take after a stop is done. */
#define PATIENCE_US (2 * USEC_PER_SEC)

/* A container of the plan. */
struct member {
	const char *name, *service;
	bool shown; /* its log is, and its end matters */
	bool seen; /* it has started since we look */
	bool active;
};

struct stay {
	const struct up_options *options;
	const char *project;
	struct session session;
	struct logview *view;
	struct watcher files;
	struct timer again, refresh, patience;
	struct call apply, stop, kill;
	struct member *members;
	size_t count;
	bool attached; /* "Attaching to" was printed */
	bool ready; /* everything has been started */
	unsigned interrupts;
	bool aborting, stopping, stopped;
	int exit_status;
	struct error error;
};

static struct member *find_member(const struct stay *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->members[i].name, name) == 0) {
			return &s->members[i];
		}
	}
	return NULL;
}

/* Named services (or all), less those that the file or --no-attach keeps quiet. */
static bool is_shown(
	const struct up_options *o, const struct compose_project *model, const char *service)
{
	const struct compose_service *found = compose_find_service(model, service);

	if (strv_find(&o->no_attach, service) >= 0) {
		return false;
	}
	if (o->attach.count > 0) {
		return strv_find(&o->attach, service) >= 0;
	}
	return project_selects(o->services, service) && (!found || found->attach != NO);
}

static int compare_members(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static void collect_members(
	struct stay *s, const struct compose_project *model, const struct plan *plan)
{
	s->members = xcalloc(plan->container_count + 1, sizeof(*s->members));
	for (size_t i = 0; i < plan->container_count; i++) {
		const struct plan_container *c = plan->containers[i];

		s->members[s->count++] = (struct member){ .name = c->name,
			.service = c->service,
			.shown = is_shown(s->options, model, c->service) };
	}
	qsort(s->members, s->count, sizeof(*s->members), compare_members);
	for (size_t i = 0; i < s->count; i++) {
		if (s->members[i].shown) {
			logview_widen(s->view, names_label(s->project, s->members[i].name));
		}
	}
}

/* Adds the logs of containers that have one by now, from their last @tail entries on. */
static int take_containers(struct stay *s, int64_t tail, struct error *err)
{
	_cleanup_json_ json_t *containers = NULL;
	json_t *container;
	size_t i;
	int r = call_containers(s->project, &containers, err);

	json_array_foreach(containers, i, container)
	{
		const char *name = json_text(container, "name", "");
		const char *path = json_text(container, "log_path", NULL);
		const struct member *member = find_member(s, name);

		if (r == 0 && member && member->shown && path) {
			r = logview_add(
				s->view, name, names_label(s->project, name), path, tail, err);
		}
	}
	return r;
}

static void on_more(struct timer *timer);

static void read_logs(struct stay *s)
{
	if (logview_ready(s->view)) {
		loop_timer(s->session.loop, &s->again, clock_now_us(), on_more, s);
	}
}

static void on_more(struct timer *timer)
{
	read_logs(timer->owner);
}

static void on_files(struct watcher *watcher, uint32_t events)
{
	(void)events;
	read_logs(watcher->owner);
}

static void on_refresh(struct timer *timer)
{
	struct stay *s = timer->owner;
	struct error ignored = ERROR_INIT;

	take_containers(s, LOGFILE_ALL, &ignored);
	if (s->attached) {
		logview_merge(s->view);
	}
}

/* Several containers come at once: they are looked at together, right after these events. */
static void refresh_soon(struct stay *s)
{
	if (!s->refresh.armed) {
		loop_timer(s->session.loop, &s->refresh, clock_now_us(), on_refresh, s);
	}
}

/* The screen passes from the progress block to the logs. */
static void attach_logs(struct stay *s)
{
	_cleanup_str_ struct str names = { 0 };

	if (s->attached) {
		return;
	}
	s->attached = true;
	session_animate(&s->session, false);
	progress_end(&s->session.progress);
	/* A block that is redrawn in place and log lines would spoil each other. */
	if (s->session.progress.mode == PROGRESS_TTY) {
		s->session.progress.mode = PROGRESS_PLAIN;
	}
	for (size_t i = 0; i < s->count; i++) {
		if (s->members[i].shown) {
			str_addf(&names, "%s%s", names.size ? ", " : "",
				names_label(s->project, s->members[i].name));
		}
	}
	if (names.size > 0) {
		printf("Attaching to %s\n", str_text(&names));
		fflush(stdout);
	}
	loop_add(s->session.loop, &s->files, logview_fd(s->view), EPOLLIN, on_files, s);
	refresh_soon(s);
}

static bool has_ended(const struct stay *s)
{
	bool all_seen = true, shown = false;

	for (size_t i = 0; i < s->count; i++) {
		const struct member *m = &s->members[i];

		if (!m->shown) {
			continue;
		}
		shown = true;
		all_seen = all_seen && m->seen;
		if (m->active) {
			return false;
		}
	}
	return shown && (all_seen || s->ready);
}

static void on_stopped(struct call *call);

static void begin_stop(struct stay *s, bool force)
{
	struct call *call = force ? &s->kill : &s->stop;
	/* An abort ends everything; Ctrl-C what was asked for by name. */
	_cleanup_json_ json_t *request =
		call_request(force ? "kill" : "stop", s->aborting ? NULL : s->options->services);
	struct error err = ERROR_INIT;

	if (force) {
		json_put_int(request, "signal", SIGKILL);
	} else if (s->options->timeout_s != INT64_MIN) {
		json_put_int(request, "timeout_us",
			s->options->timeout_s < 0 ? -1 : s->options->timeout_s * 1000000);
	}
	s->stopping = true;
	call->on_event = NULL;
	call->on_done = on_stopped;
	call->owner = s;
	if (call_begin(call, s->session.loop, s->project, false, request, NULL, 0, &err) < 0) {
		s->error = err;
		loop_stop(s->session.loop);
	}
}

static void on_patience(struct timer *timer)
{
	struct stay *s = timer->owner;

	loop_stop(s->session.loop);
}

static bool all_rest(const struct stay *s)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->members[i].shown && s->members[i].active) {
			return false;
		}
	}
	return true;
}

/* The stop is done; how each container ended is on its way over the other connection. */
static void on_stopped(struct call *call)
{
	struct stay *s = call->owner;

	if (call == &s->kill) {
		return; /* the stop ends by itself now */
	}
	if (call->error.code) {
		s->error = call->error;
	}
	s->stopped = true;
	if (call->error.code || !s->apply.active || all_rest(s)) {
		loop_stop(s->session.loop);
	} else {
		loop_timer(s->session.loop, &s->patience, clock_now_us() + PATIENCE_US, on_patience,
			s);
	}
}

static void on_end(struct stay *s, struct member *m, const json_t *event)
{
	bool restarting = json_bool(event, "restarting", false);
	int code = (int)json_int(event, "exit_code", 0);
	bool is_source =
		s->options->exit_code_from && strcmp(s->options->exit_code_from, m->service) == 0;
	char text[64];

	m->seen = true;
	m->active = restarting;
	if (m->shown) {
		attach_logs(s);
		if (!logview_has(s->view, m->name)) {
			on_refresh(&s->refresh);
		}
		logview_finish(s->view, m->name);
		snprintf(text, sizeof(text), "exited with code %d%s", code,
			restarting ? " (restarting)" : "");
		logview_status(s->view, m->name, text);
	}
	if (restarting) {
		return;
	}
	if (s->stopped && all_rest(s)) {
		loop_stop(s->session.loop);
	}
	if (is_source) {
		s->exit_status = code;
	}
	if (!s->stopping && (m->shown || is_source) &&
		(s->options->abort_on_exit || (s->options->abort_on_failure && code != 0))) {
		fputs("Aborting on container exit...\n", stderr);
		s->aborting = true;
		if (!s->options->exit_code_from) {
			s->exit_status = code;
		}
		begin_stop(s, false);
		return;
	}
	if (!s->stopping && has_ended(s)) {
		loop_stop(s->session.loop);
	}
}

static void on_event(struct call *call, const json_t *event, int *fds, size_t fd_count)
{
	static const char *const starts[] = { "starting", "started", "running", "waiting",
		"healthy" };
	struct stay *s = call->owner;
	const char *kind = json_text(event, "event", "");
	struct member *m = find_member(s, json_text(event, "container", ""));

	(void)fds;
	(void)fd_count;
	progress_event(&s->session.progress, event);
	if (json_bool(event, "ready", false)) {
		s->ready = true;
		attach_logs(s);
		if (has_ended(s)) {
			loop_stop(s->session.loop);
		}
	}
	if (!m) {
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		if (strcmp(kind, starts[i]) == 0) {
			attach_logs(s);
		}
	}
	if (json_object_get(event, "exit_code")) { /* exited, or restarting after that */
		on_end(s, m, event);
	} else if (strcmp(kind, "created") == 0 || strcmp(kind, "recreated") == 0) {
		refresh_soon(s);
	} else if (strcmp(kind, "started") == 0 || strcmp(kind, "running") == 0) {
		m->seen = m->active = true;
		/* Its log may have come into being only now. */
		if (m->shown) {
			refresh_soon(s);
		}
	}
}

/*
 * The first request is over: with an error, because the project was taken down, or because the
 * supervisor died. In the last case its successor has adopted everything: we listen to it.
 */
static void on_apply_done(struct call *call)
{
	struct stay *s = call->owner;
	_cleanup_json_ json_t *request = NULL;
	struct error err = ERROR_INIT;

	if (call->done || s->stopping || !s->attached) {
		if (call->error.code && !s->stopping) {
			s->error = call->error;
		}
		if (!s->stopping) {
			s->exit_status = s->exit_status ? s->exit_status : call->exit_status;
			loop_stop(s->session.loop);
		}
		return;
	}
	request = call_request("events", NULL);
	if (call_begin(call, s->session.loop, s->project, false, request, NULL, 0, &err) < 0) {
		loop_stop(s->session.loop);
	} else {
		refresh_soon(s);
	}
}

static void on_signal(struct session *session, int signal)
{
	struct stay *s = session->owner;

	if (signal == SIGWINCH) {
		return;
	}
	s->interrupts++;
	if (s->interrupts > 2 || (s->interrupts == 1 && signal == SIGHUP)) {
		loop_stop(session->loop);
		return;
	}
	if (s->interrupts == 2) {
		begin_stop(s, true);
		return;
	}
	attach_logs(s);
	fputs("Gracefully stopping... (press Ctrl+C again to force)\n", stderr);
	if (s->stopping) {
		return;
	}
	begin_stop(s, false);
	if (!s->ready && s->apply.active) {
		/* What still waits for its turn must not start behind the stop's back. */
		call_end(&s->apply);
		s->stop.on_event = on_event;
	}
}

static int stay(struct stay *s, const json_t *request, struct error *err)
{
	int r = session_begin(&s->session, "Running", err);

	s->session.on_signal = on_signal;
	s->session.owner = s;
	s->session.progress.hide_starts = true;
	s->apply = (struct call){ .on_event = on_event, .on_done = on_apply_done, .owner = s };
	if (r == 0) {
		r = call_begin(&s->apply, s->session.loop, s->project, true, request, NULL, 0, err);
	}
	if (r == 0) {
		session_animate(&s->session, true);
		r = session_run(&s->session, err);
	}
	if (r == 0 && s->attached) {
		struct error ignored = ERROR_INIT;

		take_containers(s, LOGFILE_ALL, &ignored);
		logview_merge(s->view);
		logview_flush(s->view);
	}
	call_end(&s->apply);
	call_end(&s->stop);
	call_end(&s->kill);
	if (s->session.loop) {
		loop_timer_cancel(s->session.loop, &s->again);
		loop_timer_cancel(s->session.loop, &s->refresh);
		loop_timer_cancel(s->session.loop, &s->patience);
	}
	session_end(&s->session);
	if (r == 0 && s->error.code && s->interrupts == 0) {
		*err = s->error;
		r = -s->error.code;
	}
	return r < 0 ? r : (s->interrupts > 0 ? CLI_INTERRUPTED : s->exit_status);
}

int up_attached(const struct up_options *o, const struct compose_project *model,
	const struct plan *plan, json_t *request, struct error *err)
{
	struct logview_options view_options = { .prefix = !o->no_prefix,
		.timestamps = o->timestamps,
		.colour = !o->no_colour && cli_colour(STDOUT_FILENO),
		.split = true };
	struct stay s = { .options = o, .project = model->name };
	int r;

	s.view = logview_create(&view_options, err);
	if (!s.view) {
		return -err->code;
	}
	collect_members(&s, model, plan);
	/* What runs already is shown from here on. */
	r = take_containers(&s, 0, err);
	if (r == 0) {
		r = stay(&s, request, err);
	}
	logview_destroy(s.view);
	free(s.members);
	return r;
}
