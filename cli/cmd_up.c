/* up, create: options, model, plan, then either a request with progress or an attached stay. */
#include <errno.h>

#include "base/json.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/project.h"
#include "cli/session.h"
#include "cli/up.h"

static struct up_options given = { .timeout_s = INT64_MIN };
static bool ignored, build;
static const char *pull;

/* Nothing is built or downloaded here, and nothing is asked: see check_supply(). */
static const struct option up_options[] = {
	{ 0, "abort-on-container-exit", OPTION_FLAG, &given.abort_on_exit, NULL,
		"Stop everything when a container ends" },
	{ 0, "abort-on-container-failure", OPTION_FLAG, &given.abort_on_failure, NULL,
		"Stop everything when a container ends with another status than 0" },
	{ 0, "attach", OPTION_LIST, &given.attach, "SERVICE", "Show only the logs of these" },
	{ 0, "build", OPTION_FLAG, &build, NULL, NULL },
	{ 'd', "detach", OPTION_FLAG, &given.detach, NULL, "Return when everything has started" },
	{ 0, "exit-code-from", OPTION_TEXT, &given.exit_code_from, "SERVICE",
		"Exit with its status; implies --abort-on-container-exit" },
	{ 0, "force-recreate", OPTION_FLAG, &given.force_recreate, NULL,
		"Make containers anew even if nothing changed" },
	{ 0, "menu", OPTION_FLAG, &ignored, NULL, NULL },
	{ 0, "no-attach", OPTION_LIST, &given.no_attach, "SERVICE", "Do not show logs of these" },
	{ 0, "no-build", OPTION_FLAG, &ignored, NULL, NULL },
	{ 0, "no-color", OPTION_FLAG, &given.no_colour, NULL, "Logs without colours" },
	{ 0, "no-deps", OPTION_FLAG, &given.no_deps, NULL, "Only the services named" },
	{ 0, "no-log-prefix", OPTION_FLAG, &given.no_prefix, NULL, "Logs without names" },
	{ 0, "no-recreate", OPTION_FLAG, &given.no_recreate, NULL,
		"Leave containers as they are even if something changed" },
	{ 0, "no-start", OPTION_FLAG, &given.no_start, NULL, "Make containers, start none" },
	{ 0, "pull", OPTION_TEXT, &pull, NULL, NULL },
	{ 0, "quiet-pull", OPTION_FLAG, &ignored, NULL, NULL },
	{ 0, "remove-orphans", OPTION_FLAG, &given.remove_orphans, NULL,
		"Remove containers of services that the files do not have" },
	{ 'V', "renew-anon-volumes", OPTION_FLAG, &given.renew_volumes, NULL,
		"New anonymous volumes instead of those of the last container" },
	{ 0, "scale", OPTION_LIST, &given.scale, "SERVICE=N", "Number of replicas" },
	{ 't', "timeout", OPTION_INT, &given.timeout_s, "SECONDS",
		"Grace when containers are stopped (default: each service's own)" },
	{ 0, "timestamps", OPTION_FLAG, &given.timestamps, NULL, "Logs with times" },
	{ 0, "wait", OPTION_FLAG, &given.wait, NULL,
		"Return when services run or are healthy; implies -d" },
	{ 0, "wait-timeout", OPTION_INT, &given.wait_timeout_s, "SECONDS", "Give up waiting then" },
	{ 'y', "yes", OPTION_FLAG, &ignored, NULL, NULL },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

static const struct option create_options[] = {
	{ 0, "build", OPTION_FLAG, &build, NULL, NULL },
	{ 0, "force-recreate", OPTION_FLAG, &given.force_recreate, NULL,
		"Make containers anew even if nothing changed" },
	{ 0, "no-build", OPTION_FLAG, &ignored, NULL, NULL },
	{ 0, "no-recreate", OPTION_FLAG, &given.no_recreate, NULL,
		"Leave containers as they are even if something changed" },
	{ 0, "pull", OPTION_TEXT, &pull, NULL, NULL },
	{ 0, "quiet-pull", OPTION_FLAG, &ignored, NULL, NULL },
	{ 0, "remove-orphans", OPTION_FLAG, &given.remove_orphans, NULL,
		"Remove containers of services that the files do not have" },
	{ 0, "scale", OPTION_LIST, &given.scale, "SERVICE=N", "Number of replicas" },
	{ 'y', "yes", OPTION_FLAG, &ignored, NULL, NULL },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

static int check_options(struct up_options *o, struct error *err)
{
	if (o->exit_code_from) {
		o->abort_on_exit = true;
	}
	if (o->wait) {
		o->detach = true;
	}
	if (o->force_recreate && o->no_recreate) {
		return error_say(
			err, EINVAL, "--force-recreate and --no-recreate are incompatible");
	}
	if (o->detach && (o->abort_on_exit || o->abort_on_failure)) {
		return error_say(err, EINVAL,
			"--%s cannot be combined with --abort-on-container-exit, "
			"--abort-on-container-failure or --exit-code-from",
			o->wait ? "wait" : "detach");
	}
	if (o->abort_on_exit && o->abort_on_failure) {
		return error_say(err, EINVAL,
			"--abort-on-container-failure and --abort-on-container-exit are "
			"incompatible");
	}
	if (o->timeout_s != INT64_MIN &&
		(o->timeout_s < -1 || o->timeout_s > INT64_MAX / 2000000)) {
		return error_say(err, EINVAL, "--timeout is out of range");
	}
	if (o->wait_timeout_s < 0 || o->wait_timeout_s > INT64_MAX / 2000000) {
		return error_say(err, EINVAL, "--wait-timeout is out of range");
	}
	return 0;
}

/* Names given with an option must be services too. */
static int check_names(
	const struct up_options *o, const struct compose_project *model, struct error *err)
{
	const struct strv *lists[] = { &o->attach, &o->no_attach };

	for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
		for (size_t i = 0; i < lists[k]->count; i++) {
			if (!compose_find_service(model, lists[k]->items[i])) {
				return error_say(
					err, EINVAL, "no such service: %s", lists[k]->items[i]);
			}
		}
	}
	if (o->exit_code_from && !compose_find_service(model, o->exit_code_from)) {
		return error_say(err, EINVAL, "no such service: %s", o->exit_code_from);
	}
	return 0;
}

/* What asks for an image to be made or fetched is refused where it would have had to be done. */
static int check_supply(
	const struct up_options *o, const struct compose_project *model, struct error *err)
{
	if (pull && strcmp(pull, "missing") != 0 && strcmp(pull, "never") != 0) {
		return error_say(err, ENOTSUP,
			"--pull %s is not available in this version: images come from `wherry "
			"image`",
			pull);
	}
	for (size_t i = 0; build && i < model->service_count; i++) {
		const struct compose_service *service = &model->services[i];

		if (service->build_context && project_selects(o->services, service->name)) {
			return error_say(err, ENOTSUP,
				"--build is not available in this version (service %s): build the "
				"image elsewhere and import it with `wherry image import`",
				service->name);
		}
	}
	return 0;
}

json_t *up_request(const struct up_options *o, const struct compose_project *model,
	const struct plan *plan, bool attach)
{
	json_t *request = call_request("apply", o->services), *known = json_array();
	const char *ignore = getenv("COMPOSE_IGNORE_ORPHANS");

	for (size_t i = 0; i < model->service_count; i++) {
		json_array_append_new(known, json_string(model->services[i].name));
	}
	for (size_t i = 0; i < model->disabled_count; i++) {
		json_array_append_new(known, json_string(model->disabled[i].name));
	}
	json_put(request, "plan", plan_print(plan));
	/* The plan holds only what was selected; these are no orphans. */
	if (o->remove_orphans || !ignore || (*ignore != '1' && *ignore != 't')) {
		json_put(request, "known_services", known);
	} else {
		json_decref(known);
	}
	json_put_text(request, "recreate",
		o->force_recreate ? "force" : (o->no_recreate ? "never" : "diverged"));
	json_put_bool(request, "start", !o->no_start);
	json_put_bool(request, "wait", o->wait);
	if (o->wait_timeout_s > 0) {
		json_put_int(request, "wait_timeout_us", o->wait_timeout_s * 1000000);
	}
	if (o->timeout_s != INT64_MIN) {
		json_put_int(request, "timeout_us", o->timeout_s < 0 ? -1 : o->timeout_s * 1000000);
	}
	json_put_bool(request, "remove_orphans", o->remove_orphans);
	json_put_bool(request, "no_deps", o->no_deps);
	json_put_bool(request, "renew_anon_volumes", o->renew_volumes);
	json_put_bool(request, "attach", attach);
	return request;
}

static int apply(struct up_options *o, struct compose_project *model, struct error *err)
{
	struct plan_options plan_options = {
		.scale = (const char *const *)o->scale.items,
		.services = o->services,
		.no_deps = o->no_deps,
	};
	bool attach = !o->detach && !o->no_start;
	struct plan *plan = NULL;
	json_t *request;
	int r = project_plan(model, &plan_options, &plan, err);

	if (r < 0) {
		return r;
	}
	request = up_request(o, model, plan, attach);
	r = attach ? up_attached(o, model, plan, request, err)
		   : session_operate(model->name, true, request, "Running", true, err);
	json_decref(request);
	plan_free(plan);
	return r;
}

static int run(const struct invocation *inv, struct error *err)
{
	struct compose_project *model = NULL;
	int r;

	given.services = cli_services(inv);
	given.no_start = given.no_start || inv->command == &command_create;
	r = check_options(&given, err);
	if (r == 0) {
		r = project_load(given.services, &model, err);
	}
	if (r == 0) {
		r = check_names(&given, model, err);
	}
	if (r == 0) {
		r = check_supply(&given, model, err);
	}
	if (r == 0) {
		r = project_check_isolation(err);
	}
	if (r == 0) {
		r = apply(&given, model, err);
	}
	compose_free(model);
	return r;
}

const struct command command_up = { .name = "up",
	.arguments = "[OPTIONS] [SERVICE...]",
	.summary = "Create and start services, and show their logs",
	.more = "Run again after a change, it recreates only what changed. Ctrl-C stops the "
		"services\n"
		"named (or all), a second one kills them.\n",
	.options = up_options,
	.run = run,
	.most = -1 };
const struct command command_create = { .name = "create",
	.arguments = "[OPTIONS] [SERVICE...]",
	.summary = "Create the containers of services without starting them",
	.options = create_options,
	.run = run,
	.most = -1 };
