#include <errno.h>
#include <signal.h>

#include "base/json.h"
#include "cli/attach.h"
#include "cli/cli.h"
#include "cli/names.h"
#include "cli/project.h"

static struct {
	bool detach, no_tty, interactive, tty, privileged;
	int64_t index;
	struct strv environment;
	const char *user, *directory;
} given;

static const struct option options[] = {
	{ 'd', "detach", OPTION_FLAG, &given.detach, NULL, "Do not wait for it" },
	{ 'e', "env", OPTION_LIST, &given.environment, "NAME[=VALUE]",
		"Set a variable (without value: the caller's)" },
	{ 0, "index", OPTION_INT, &given.index, "N", "Which replica (default: the lowest)" },
	{ 'i', "interactive", OPTION_FLAG, &given.interactive, NULL, NULL },
	{ 0, "privileged", OPTION_FLAG, &given.privileged, NULL, "With all capabilities" },
	{ 't', "tty", OPTION_FLAG, &given.tty, NULL, NULL },
	{ 'T', "no-TTY", OPTION_FLAG, &given.no_tty, NULL,
		"No terminal (default: one if stdin and stdout are)" },
	{ 'u', "user", OPTION_TEXT, &given.user, "USER[:GROUP]", "As this user" },
	{ 'w', "workdir", OPTION_TEXT, &given.directory, "DIR", "In this folder" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

struct execution {
	struct session session;
	struct attachment attachment;
	struct call call;
	struct error error;
};

static void on_event(struct call *call, const json_t *event, int *fds, size_t fd_count)
{
	struct execution *e = call->owner;

	if (json_bool(event, "started", false) &&
		attach_started(&e->attachment, fds, fd_count, &e->error) < 0) {
		loop_stop(call->loop);
	}
}

static void on_done(struct call *call)
{
	loop_stop(call->loop);
}

static void on_signal(struct session *session, int signal)
{
	struct execution *e = session->owner;

	if (attach_signal(&e->attachment, &e->call, signal)) {
		session->interrupted = signal;
		loop_stop(session->loop);
	}
}

static json_t *exec_request(const json_t *container, char **args)
{
	json_t *request = call_request("exec", NULL), *environment = json_array();

	for (size_t i = 0; i < given.environment.count; i++) {
		const char *text = given.environment.items[i];
		const char *value = strchr(text, '=') ? NULL : getenv(text);

		if (value) {
			json_array_append_new(environment, json_sprintf("%s=%s", text, value));
		} else if (strchr(text, '=')) {
			json_array_append_new(environment, json_string(text));
		}
	}
	json_put_text(request, "container", json_text(container, "name", ""));
	json_put_text(request, "service", json_text(container, "service", ""));
	json_put(request, "args", json_from_strings((const char *const *)args));
	json_put(request, "env", environment);
	json_put_text(request, "user", given.user);
	json_put_text(request, "cwd", given.directory);
	json_put_bool(request, "privileged", given.privileged);
	json_put_bool(request, "detach", given.detach);
	return request;
}

static int execute(
	struct execution *e, const char *project, json_t *request, bool tty, struct error *err)
{
	bool pass = !given.detach && !tty;
	int r = attach_prepare(&e->attachment, &e->session, tty, err);

	if (r < 0) {
		return r;
	}
	attach_describe(&e->attachment, request);
	r = call_begin(&e->call, e->session.loop, project, false, request, e->attachment.passed,
		pass ? 3 : 0, err);
	if (r == 0 && pass) {
		r = attach_begin(&e->attachment, err);
	}
	if (r == 0) {
		r = session_run(&e->session, err);
	}
	if (r == 0 && e->error.code) {
		*err = e->error;
		r = -e->error.code;
	}
	if (r == 0) {
		r = e->session.interrupted ? 128 + e->session.interrupted
					   : call_outcome(&e->call, err);
	}
	return r;
}

static int run(const struct invocation *inv, struct error *err)
{
	_cleanup_json_ json_t *containers = NULL, *request = NULL;
	_cleanup_free_ char *name = NULL;
	const json_t *container;
	struct execution e = { .error = ERROR_INIT };
	bool tty = false;
	int r = project_containers(&name, &containers, err);

	if (r == 0) {
		r = project_check_services(
			containers, (const char *const[]){ inv->words[0], NULL }, err);
	}
	if (r == 0 && !given.detach) {
		r = attach_decide_tty(given.tty, given.no_tty, &tty, err);
	}
	if (r < 0) {
		return r;
	}
	container = names_pick(containers, inv->words[0], given.index, err);
	if (!container) {
		return -err->code;
	}
	request = exec_request(container, inv->words + 1);
	e.call = (struct call){ .on_event = on_event, .on_done = on_done, .owner = &e };
	r = session_begin(&e.session, "Running", err);
	e.session.on_signal = on_signal;
	e.session.owner = &e;
	if (r == 0) {
		r = execute(&e, name, request, tty, err);
	}
	attach_end(&e.attachment);
	call_end(&e.call);
	session_end(&e.session);
	return r;
}

const struct command command_exec = { .name = "exec",
	.arguments = "[OPTIONS] SERVICE COMMAND [ARGUMENTS...]",
	.summary = "Run a command in a running container",
	.more = "The exit status is the command's: 126 if it cannot be executed, 127 if it is not\n"
		"found, 128 + N if signal N ended it.\n",
	.options = options,
	.run = run,
	.least = 2,
	.most = -1,
	.stops = true };
