#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/project.h"
#include "cli/psview.h"

static struct {
	bool all, quiet, services, no_trunc, orphans;
	const char *format;
	struct strv status, filters;
} given;

static const struct option options[] = {
	{ 'a', "all", OPTION_FLAG, &given.all, NULL, "Stopped containers too" },
	{ 0, "filter", OPTION_LIST, &given.filters, "status=WORD", "As --status" },
	{ 0, "format", OPTION_TEXT, &given.format, "table|json", "How to print (default table)" },
	{ 0, "no-trunc", OPTION_FLAG, &given.no_trunc, NULL, "Do not shorten commands" },
	{ 0, "orphans", OPTION_FLAG, &given.orphans, NULL, NULL },
	{ 'q', "quiet", OPTION_FLAG, &given.quiet, NULL, "Only ids" },
	{ 0, "services", OPTION_FLAG, &given.services, NULL, "Only names of services" },
	{ 0, "status", OPTION_LIST, &given.status, "WORD",
		"Only containers in this state: created, running, paused, restarting, exited, "
		"dead" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

static int take_filters(struct error *err)
{
	static const char *const states[] = { "paused", "restarting", "removing", "running", "dead",
		"created", "exited" };

	for (size_t i = 0; i < given.filters.count; i++) {
		const char *text = given.filters.items[i];

		if (strncmp(text, "status=", 7) != 0) {
			return error_say(
				err, EINVAL, "unknown filter %s: only status=WORD is known", text);
		}
		strv_add(&given.status, text + 7);
	}
	for (size_t i = 0; i < given.status.count; i++) {
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(states); k++) {
			known = known || strcmp(states[k], given.status.items[i]) == 0;
		}
		if (!known) {
			return error_say(
				err, EINVAL, "unknown status \"%s\"", given.status.items[i]);
		}
	}
	return 0;
}

static bool is_wanted(const json_t *container, const char *const *services)
{
	const char *state = json_text(container, "state", "created");

	if (!project_selects(services, json_text(container, "service", ""))) {
		return false;
	}
	if (given.status.count > 0) {
		return strv_find(&given.status, state) >= 0;
	}
	if (given.all) {
		return true;
	}
	return !json_bool(container, "oneoff", false) &&
	       (strcmp(state, "running") == 0 || strcmp(state, "paused") == 0 ||
		       strcmp(state, "restarting") == 0);
}

static void print_services(const json_t *containers)
{
	_cleanup_strv_ struct strv seen = { 0 };
	json_t *container;
	size_t i;

	json_array_foreach(containers, i, container)
	{
		const char *service = json_text(container, "service", "");

		if (strv_find(&seen, service) < 0) {
			strv_add(&seen, service);
			puts(service);
		}
	}
}

static void print_ids(const json_t *containers)
{
	json_t *container;
	size_t i;

	json_array_foreach(containers, i, container)
	{
		puts(json_text(container, "id", ""));
	}
}

static int run(const struct invocation *inv, struct error *err)
{
	const char *const *services = cli_services(inv);
	_cleanup_json_ json_t *all = NULL, *shown = json_array();
	_cleanup_free_ char *name = NULL;
	const char *format = given.format ? given.format : "table";
	json_t *container;
	size_t i;
	int r = take_filters(err);

	if (r == 0 && strcmp(format, "table") != 0 && strcmp(format, "json") != 0) {
		r = error_say(err, EINVAL, "format value \"%s\" could not be parsed: table or json",
			format);
	}
	if (r == 0) {
		r = project_containers(&name, &all, err);
	}
	if (r == 0) {
		r = project_check_services(all, services, err);
	}
	if (r < 0) {
		return r;
	}
	json_array_foreach(all, i, container)
	{
		if (is_wanted(container, services)) {
			json_array_append(shown, container);
		}
	}
	if (given.quiet) {
		print_ids(shown);
	} else if (given.services) {
		print_services(shown);
	} else if (strcmp(format, "json") == 0) {
		psview_json(shown, name, clock_wall_ns(), stdout);
	} else {
		psview_table(shown, clock_wall_ns(), given.no_trunc, stdout);
	}
	return 0;
}

const struct command command_ps = { .name = "ps",
	.arguments = "[OPTIONS] [SERVICE...]",
	.summary = "List containers",
	.options = options,
	.run = run,
	.most = -1 };
