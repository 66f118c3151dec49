/* stop, start, restart, kill, pause, unpause, rm: one request each, told apart by a table. */
#include <errno.h>

#include "base/json.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/project.h"
#include "cli/session.h"
#include "specs/units.h"

static struct {
	int64_t timeout_s; /* INT64_MIN: each container's own */
	int64_t wait_timeout_s;
	bool wait, force, stop, volumes;
	const char *signal;
} given = { .timeout_s = INT64_MIN };

static const struct option stop_options[] = {
	{ 't', "timeout", OPTION_INT, &given.timeout_s, "SECONDS",
		"Grace before SIGKILL (default: each service's own)" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};
static const struct option start_options[] = {
	{ 0, "wait", OPTION_FLAG, &given.wait, NULL, "Wait until the services run or are healthy" },
	{ 0, "wait-timeout", OPTION_INT, &given.wait_timeout_s, "SECONDS", "Give up waiting then" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};
static const struct option kill_options[] = {
	{ 's', "signal", OPTION_TEXT, &given.signal, "SIGNAL", "Signal to send (default SIGKILL)" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};
static const struct option rm_options[] = {
	{ 'f', "force", OPTION_FLAG, &given.force, NULL, "Never asks anyway; accepted" },
	{ 's', "stop", OPTION_FLAG, &given.stop, NULL, "Stop them first, if need be" },
	{ 'v', "volumes", OPTION_FLAG, &given.volumes, NULL, "Remove their anonymous volumes" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};
static const struct option no_options[] = {
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

/* What the request is called, how progress is headed, and what is said when nothing is there. */
static const struct operation {
	const struct command *command;
	const char *op, *verb;
	const char *none; /* NULL: nothing to do is fine */
} operations[] = {
	{ &command_stop, "stop", "Stopping", NULL },
	{ &command_start, "start", "Starting", "no container to start" },
	{ &command_restart, "restart", "Restarting", "no container to restart" },
	{ &command_kill, "kill", "Killing", "no container to kill" },
	{ &command_pause, "pause", "Pausing", NULL },
	{ &command_unpause, "unpause", "Unpausing", NULL },
	{ &command_rm, "remove", "Removing", NULL },
};

static int add_settings(json_t *request, struct error *err)
{
	if (given.timeout_s != INT64_MIN) {
		if (given.timeout_s > INT64_MAX / 2000000 || given.timeout_s < -1) {
			return error_say(err, EINVAL, "--timeout is out of range");
		}
		json_put_int(request, "timeout_us",
			given.timeout_s < 0 ? -1 : given.timeout_s * 1000000);
	}
	if (given.signal) {
		int signal = units_parse_signal(given.signal);

		if (signal <= 0) {
			return error_say(err, EINVAL, "invalid signal: %s", given.signal);
		}
		json_put_int(request, "signal", signal);
	}
	if (given.wait) {
		json_put_bool(request, "wait", true);
		if (given.wait_timeout_s > 0) {
			json_put_int(request, "wait_timeout_us", given.wait_timeout_s * 1000000);
		}
	}
	json_put_bool(request, "stop", given.stop);
	json_put_bool(request, "volumes", given.volumes);
	return 0;
}

static int say_none(const struct operation *o, const char *const *services, struct error *err)
{
	if (!o->none) {
		return 0;
	}
	if (services && services[0]) {
		return error_say(err, ENOENT, "service \"%s\" has %s", services[0], o->none);
	}
	return error_say(err, ENOENT, "%s", o->none);
}

/* A service of the files that has no container yet is nothing to the supervisor. */
static void keep_present(
	const json_t *containers, const char *const *services, struct strv *present)
{
	json_t *container;
	size_t i;

	for (; services && *services; services++) {
		json_array_foreach(containers, i, container)
		{
			if (strcmp(json_text(container, "service", ""), *services) == 0) {
				strv_add(present, *services);
				break;
			}
		}
	}
}

static int run(const struct invocation *inv, struct error *err)
{
	const char *const *services = cli_services(inv);
	_cleanup_json_ json_t *request = NULL, *containers = NULL;
	_cleanup_free_ char *name = NULL;
	_cleanup_strv_ struct strv present = { 0 };
	const struct operation *o = operations;
	int r = project_containers(&name, &containers, err);

	while (o->command != inv->command) {
		o++;
	}
	if (r == 0) {
		r = project_check_services(containers, services, err);
	}
	if (r < 0) {
		return r;
	}
	keep_present(containers, services, &present);
	if (json_array_size(containers) == 0 || (services && present.count == 0)) {
		return say_none(o, services, err);
	}
	request = call_request(o->op, (const char *const *)present.items);
	r = add_settings(request, err);
	return r < 0 ? r : session_operate(name, false, request, o->verb, given.wait, err);
}

#define SERVICES "[OPTIONS] [SERVICE...]"

const struct command command_stop = { .name = "stop",
	.arguments = SERVICES,
	.summary = "Stop services",
	.options = stop_options,
	.run = run,
	.most = -1 };
const struct command command_start = { .name = "start",
	.arguments = SERVICES,
	.summary = "Start services that were stopped",
	.options = start_options,
	.run = run,
	.most = -1 };
const struct command command_restart = { .name = "restart",
	.arguments = SERVICES,
	.summary = "Stop and start services",
	.options = stop_options,
	.run = run,
	.most = -1 };
const struct command command_kill = { .name = "kill",
	.arguments = SERVICES,
	.summary = "Send a signal to services (SIGKILL)",
	.options = kill_options,
	.run = run,
	.most = -1 };
const struct command command_pause = { .name = "pause",
	.arguments = "[SERVICE...]",
	.summary = "Freeze services",
	.options = no_options,
	.run = run,
	.most = -1 };
const struct command command_unpause = { .name = "unpause",
	.arguments = "[SERVICE...]",
	.summary = "Let frozen services go on",
	.options = no_options,
	.run = run,
	.most = -1 };
const struct command command_rm = { .name = "rm",
	.arguments = SERVICES,
	.summary = "Remove stopped containers",
	.options = rm_options,
	.run = run,
	.most = -1 };
