/*
 * logs: reads the log files itself; the supervisor only says which containers there are and when
 * they come and go. When it is killed meanwhile, nothing is missed: the files are still watched,
 * and its successor is asked again.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/loop.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/logview.h"
#include "cli/names.h"
#include "cli/project.h"

static struct {
	bool follow, timestamps, no_prefix, no_colour;
	const char *tail, *since, *until;
	int64_t index;
} given = { .tail = "all" };

static const struct option options[] = {
	{ 'f', "follow", OPTION_FLAG, &given.follow, NULL, "Go on with what comes" },
	{ 0, "index", OPTION_INT, &given.index, "N", "Only this replica" },
	{ 0, "no-color", OPTION_FLAG, &given.no_colour, NULL, "Without colours" },
	{ 0, "no-log-prefix", OPTION_FLAG, &given.no_prefix, NULL, "Without names" },
	{ 0, "since", OPTION_TEXT, &given.since, "TIME", "From a time on (RFC 3339, or 10m ago)" },
	{ 'n', "tail", OPTION_TEXT, &given.tail, "N",
		"Only the last N lines of each (default all)" },
	{ 't', "timestamps", OPTION_FLAG, &given.timestamps, NULL, "With times" },
	{ 0, "until", OPTION_TEXT, &given.until, "TIME", "Until a time" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

struct following {
	struct loop *loop;
	struct logview *view;
	struct watcher files;
	struct timer again;
	struct call call;
	const char *project;
	const char *const *services;
	int64_t tail;
	struct strv active; /* containers that may still write */
};

static int parse_options(int64_t *tail, struct logview_options *view, struct error *err)
{
	int64_t now = clock_wall_ns();
	char *end;

	*tail = LOGFILE_ALL;
	if (strcmp(given.tail, "all") != 0) {
		*tail = strtoll(given.tail, &end, 10);
		if (end == given.tail || *end != '\0') {
			return error_say(err, EINVAL, "invalid value for --tail: %s", given.tail);
		}
		*tail = *tail < 0 ? LOGFILE_ALL : *tail;
	}
	if (given.since && format_parse_moment(given.since, now, &view->since_ns) < 0) {
		return error_say(err, EINVAL, "invalid value for \"since\": %s", given.since);
	}
	if (given.until && format_parse_moment(given.until, now, &view->until_ns) < 0) {
		return error_say(err, EINVAL, "invalid value for \"until\": %s", given.until);
	}
	view->prefix = !given.no_prefix;
	view->timestamps = given.timestamps;
	view->colour = !given.no_colour && cli_colour(STDOUT_FILENO);
	return 0;
}

static bool is_active(const json_t *container)
{
	const char *state = json_text(container, "state", "");

	return strcmp(state, "exited") != 0 && strcmp(state, "created") != 0 &&
	       strcmp(state, "removing") != 0 && strcmp(state, "dead") != 0;
}

static bool is_shown(const struct following *f, const json_t *container)
{
	return project_selects(f->services, json_text(container, "service", "")) &&
	       !json_bool(container, "oneoff", false) && json_text(container, "log_path", NULL) &&
	       (given.index == 0 || json_int(container, "number", 0) == given.index);
}

static void set_active(struct following *f, const char *name, bool active)
{
	char **items = f->active.items;
	int at = strv_find(&f->active, name);

	if (active && at < 0) {
		strv_add(&f->active, name);
	} else if (!active && at >= 0 && items) {
		free(items[at]);
		f->active.count--;
		items[at] = items[f->active.count];
		items[f->active.count] = NULL;
	}
}

/* Takes the list as it is now: adds what is new, notes who may still write. */
static int take_containers(
	struct following *f, const json_t *containers, int64_t tail, struct error *err)
{
	json_t *container;
	size_t i;

	json_array_foreach(containers, i, container)
	{
		const char *name = json_text(container, "name", "");
		int r;

		if (!is_shown(f, container)) {
			continue;
		}
		r = logview_add(f->view, name, names_label(f->project, name),
			json_text(container, "log_path", ""), tail, err);
		if (r < 0) {
			return r;
		}
		set_active(f, name, is_active(container));
	}
	return 0;
}

static void refresh(struct following *f)
{
	_cleanup_json_ json_t *containers = NULL;
	struct error ignored = ERROR_INIT;

	strv_finish(&f->active);
	if (call_containers(f->project, &containers, &ignored) == 0) {
		/* Who came while we watched is shown from its first line. */
		take_containers(f, containers, LOGFILE_ALL, &ignored);
		logview_merge(f->view);
	}
	if (f->active.count == 0) {
		loop_stop(f->loop);
	}
}

static void on_event(struct call *call, const json_t *event, int *fds, size_t fd_count)
{
	struct following *f = call->owner;
	const char *kind = json_text(event, "event", "");
	const char *name = json_text(event, "container", "");

	(void)fds;
	(void)fd_count;
	if (json_bool(event, "ready", false) || strcmp(kind, "started") == 0 ||
		strcmp(kind, "created") == 0) {
		refresh(f);
	} else if (json_object_get(event, "exit_code") && logview_has(f->view, name)) {
		char text[64];

		logview_finish(f->view, name);
		snprintf(text, sizeof(text), "exited with code %d%s",
			(int)json_int(event, "exit_code", 0),
			json_bool(event, "restarting", false) ? " (restarting)" : "");
		logview_status(f->view, name, text);
		if (!json_bool(event, "restarting", false)) {
			refresh(f);
		}
	} else if (strcmp(kind, "removed") == 0) {
		refresh(f);
	}
}

static int subscribe(struct following *f, struct error *err)
{
	_cleanup_json_ json_t *request = call_request("events", NULL);

	return call_begin(&f->call, f->loop, f->project, false, request, NULL, 0, err);
}

/* The connection is lost: either the project is gone, or its supervisor was, and is back. */
static void on_lost(struct call *call)
{
	struct following *f = call->owner;
	struct error ignored = ERROR_INIT;

	if (call->done || subscribe(f, &ignored) < 0) {
		loop_stop(f->loop);
	}
}

static void on_more(struct timer *timer);

static void read_files(struct following *f)
{
	if (logview_ready(f->view)) {
		loop_timer(f->loop, &f->again, clock_now_us(), on_more, f);
	}
}

static void on_more(struct timer *timer)
{
	read_files(timer->owner);
}

static void on_files(struct watcher *watcher, uint32_t events)
{
	(void)events;
	read_files(watcher->owner);
}

static int follow(struct following *f, struct error *err)
{
	int r;

	f->loop = loop_create(err);
	if (!f->loop) {
		return -err->code;
	}
	f->call.on_event = on_event;
	f->call.on_done = on_lost;
	f->call.owner = f;
	r = loop_add(f->loop, &f->files, logview_fd(f->view), EPOLLIN, on_files, f);
	if (r == 0) {
		r = subscribe(f, err);
		if (r == -ENOENT) {
			*err = (struct error)ERROR_INIT;
			r = 0;
		} else if (r == 0) {
			r = loop_run(f->loop, err);
		}
	}
	call_end(&f->call);
	loop_timer_cancel(f->loop, &f->again);
	loop_destroy(f->loop);
	logview_merge(f->view);
	return r;
}

static int run(const struct invocation *inv, struct error *err)
{
	struct following f = { .services = cli_services(inv) };
	struct logview_options view_options = { .split = false };
	_cleanup_json_ json_t *containers = NULL;
	_cleanup_free_ char *name = NULL;
	int r = parse_options(&f.tail, &view_options, err);

	if (r == 0) {
		r = project_containers(&name, &containers, err);
	}
	if (r == 0) {
		r = project_check_services(containers, f.services, err);
	}
	if (r < 0) {
		return r;
	}
	f.project = name;
	f.view = logview_create(&view_options, err);
	if (!f.view) {
		return -err->code;
	}
	r = take_containers(&f, containers, f.tail, err);
	if (r == 0) {
		logview_merge(f.view);
		if (given.follow && f.active.count > 0) {
			r = follow(&f, err);
		}
		logview_flush(f.view);
	}
	strv_finish(&f.active);
	logview_destroy(f.view);
	return r;
}

const struct command command_logs = { .name = "logs",
	.arguments = "[OPTIONS] [SERVICE...]",
	.summary = "Show what services have written",
	.options = options,
	.run = run,
	.most = -1 };
