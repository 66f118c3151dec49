/* run: a container of its own for one command, beside the service's others. */
#include <errno.h>
#include <signal.h>

#include "base/json.h"
#include "cli/attach.h"
#include "cli/cli.h"
#include "cli/project.h"
#include "specs/shell_words.h"

static struct {
	bool detach, no_tty, tty, interactive, remove, no_deps, ports, quiet;
	const char *user, *directory, *entrypoint, *name;
	struct strv environment;
} given;

static const struct option options[] = {
	{ 'd', "detach", OPTION_FLAG, &given.detach, NULL, "Do not wait; print its name" },
	{ 0, "entrypoint", OPTION_TEXT, &given.entrypoint, "COMMAND", "Instead of the image's" },
	{ 'e', "env", OPTION_LIST, &given.environment, "NAME[=VALUE]",
		"Set a variable (without value: the caller's)" },
	{ 'i', "interactive", OPTION_FLAG, &given.interactive, NULL, NULL },
	{ 0, "name", OPTION_TEXT, &given.name, "NAME", "Name of the container" },
	{ 0, "no-deps", OPTION_FLAG, &given.no_deps, NULL, "Do not start what it depends on" },
	{ 'T', "no-TTY", OPTION_FLAG, &given.no_tty, NULL,
		"No terminal (default: one if stdin and stdout are)" },
	{ 'q', "quiet", OPTION_FLAG, &given.quiet, NULL, "No progress" },
	{ 0, "rm", OPTION_FLAG, &given.remove, NULL, "Remove the container when it ends" },
	{ 'P', "service-ports", OPTION_FLAG, &given.ports, NULL, "Publish the service's ports" },
	{ 't', "tty", OPTION_FLAG, &given.tty, NULL, NULL },
	{ 'u', "user", OPTION_TEXT, &given.user, "USER[:GROUP]", "As this user" },
	{ 'w', "workdir", OPTION_TEXT, &given.directory, "DIR", "In this folder" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

struct oneoff {
	struct session session;
	struct attachment attachment;
	struct call call;
	struct error error;
	char *container; /* its name, once it has started */
};

static void on_event(struct call *call, const json_t *event, int *fds, size_t fd_count)
{
	struct oneoff *o = call->owner;

	if (!json_bool(event, "started", false)) {
		progress_event(&o->session.progress, event);
		return;
	}
	/* From here on the screen is the container's. */
	session_animate(&o->session, false);
	progress_end(&o->session.progress);
	o->session.progress.mode = PROGRESS_QUIET;
	free(o->container);
	o->container = xstrdup(json_text(event, "container", ""));
	if (attach_started(&o->attachment, fds, fd_count, &o->error) < 0) {
		loop_stop(call->loop);
	}
}

static void on_done(struct call *call)
{
	loop_stop(call->loop);
}

static void on_signal(struct session *session, int signal)
{
	struct oneoff *o = session->owner;

	/* Until it runs there is nobody to tell: giving up takes the start back. */
	if ((!o->container && signal != SIGWINCH) ||
		attach_signal(&o->attachment, &o->call, signal)) {
		session->interrupted = signal;
		loop_stop(session->loop);
	}
}

/* "-e NAME" takes the caller's value, or nothing. */
static void collect_environment(struct strv *environment)
{
	for (size_t i = 0; i < given.environment.count; i++) {
		const char *text = given.environment.items[i];
		const char *value = strchr(text, '=') ? NULL : getenv(text);

		if (value) {
			strv_addf(environment, "%s=%s", text, value);
		} else if (strchr(text, '=')) {
			strv_add(environment, text);
		}
	}
}

/* The service is checked before its profile is known to be active: naming it activates it. */
static int make_request(
	const struct invocation *inv, bool tty, char **project, json_t **request, struct error *err)
{
	static const char *const nothing[] = { NULL };
	const char *const services[] = { inv->words[0], NULL };
	_cleanup_strv_ struct strv environment = { 0 }, entrypoint = { 0 };
	struct compose_project *model = NULL;
	struct plan *plan = NULL;
	int r = project_load(services, &model, err);

	if (r < 0) {
		return r;
	}
	collect_environment(&environment);
	if (given.entrypoint &&
		shell_words_split(given.entrypoint, &entrypoint, &(const char *){ NULL }) < 0) {
		r = error_say(err, EINVAL, "invalid --entrypoint: %s", given.entrypoint);
	}
	if (r == 0) {
		struct plan_options plan_options = {
			.oneoff_service = inv->words[0],
			.oneoff_env = (const char *const *)environment.items,
			.oneoff_user = given.user,
			.oneoff_cwd = given.directory,
			.oneoff_name = given.name,
			.oneoff_tty = tty,
			.oneoff_ports = given.ports,
			.no_deps = given.no_deps,
		};

		if (inv->count > 1) {
			plan_options.oneoff_args = (const char *const *)(inv->words + 1);
		} else if (given.entrypoint) {
			plan_options.oneoff_args = nothing; /* it takes the image's command away */
		}
		if (given.entrypoint) {
			plan_options.oneoff_entrypoint =
				entrypoint.count ? (const char *const *)entrypoint.items : nothing;
		}
		r = project_plan(model, &plan_options, &plan, err);
	}
	if (r == 0) {
		*project = xstrdup(model->name);
		*request = call_request("run", NULL);
		json_put(*request, "plan", plan_print(plan));
		json_put_bool(*request, "remove", given.remove);
		json_put_bool(*request, "detach", given.detach);
		json_put_bool(*request, "no_deps", given.no_deps);
	}
	plan_free(plan);
	compose_free(model);
	return r;
}

static int execute(
	struct oneoff *o, const char *project, json_t *request, bool tty, struct error *err)
{
	bool pass = !given.detach && !tty;
	int r = attach_prepare(&o->attachment, &o->session, tty, err);

	if (r < 0) {
		return r;
	}
	attach_describe(&o->attachment, request);
	r = call_begin(&o->call, o->session.loop, project, true, request, o->attachment.passed,
		pass ? 3 : 0, err);
	if (r == 0 && pass) {
		r = attach_begin(&o->attachment, err);
	}
	if (r == 0) {
		session_animate(&o->session, true);
		r = session_run(&o->session, err);
	}
	if (r == 0 && o->error.code) {
		*err = o->error;
		r = -o->error.code;
	}
	if (r == 0) {
		r = o->session.interrupted ? 128 + o->session.interrupted
					   : call_outcome(&o->call, err);
	}
	return r;
}

static int run(const struct invocation *inv, struct error *err)
{
	_cleanup_json_ json_t *request = NULL;
	_cleanup_free_ char *project = NULL;
	struct oneoff o = { .error = ERROR_INIT };
	bool tty = false;
	int r = project_check_isolation(err);

	if (r == 0 && !given.detach) {
		r = attach_decide_tty(given.tty, given.no_tty, &tty, err);
	}
	if (r == 0) {
		r = make_request(inv, tty, &project, &request, err);
	}
	if (r < 0) {
		return r;
	}
	o.call = (struct call){ .on_event = on_event, .on_done = on_done, .owner = &o };
	r = session_begin(&o.session, "Running", err);
	o.session.on_signal = on_signal;
	o.session.owner = &o;
	if (given.quiet) {
		o.session.progress.mode = PROGRESS_QUIET;
	}
	if (r == 0) {
		r = execute(&o, project, request, tty, err);
	}
	attach_end(&o.attachment);
	call_end(&o.call);
	session_end(&o.session);
	if (r == 0 && given.detach && o.container) {
		puts(o.container);
	}
	free(o.container);
	return r;
}

const struct command command_run = { .name = "run",
	.arguments = "[OPTIONS] SERVICE [COMMAND] [ARGUMENTS...]",
	.summary = "Run a command in a new container of a service",
	.more = "The exit status is the command's. What the service depends on is started first; "
		"its\n"
		"ports are not published unless --service-ports is given.\n",
	.options = options,
	.run = run,
	.least = 1,
	.most = -1,
	.stops = true };
