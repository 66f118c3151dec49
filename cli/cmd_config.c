/* config: what the files mean after everything: whole, or one aspect of it. */
#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sys.h"
#include "cli/cli.h"
#include "cli/project.h"

static struct {
	bool quiet, services, volumes, networks, images, profiles, environment, no_interpolate;
	const char *format, *hash, *output;
} given;

static const struct option options[] = {
	{ 0, "environment", OPTION_FLAG, &given.environment, NULL,
		"Print the variables used for interpolation" },
	{ 0, "format", OPTION_TEXT, &given.format, "yaml|json", "How to print (default yaml)" },
	{ 0, "hash", OPTION_TEXT, &given.hash, "SERVICE|*", "Print configuration hashes" },
	{ 0, "images", OPTION_FLAG, &given.images, NULL, "Print image names" },
	{ 0, "networks", OPTION_FLAG, &given.networks, NULL, "Print network names" },
	{ 0, "no-interpolate", OPTION_FLAG, &given.no_interpolate, NULL, "Leave ${...} alone" },
	{ 'o', "output", OPTION_TEXT, &given.output, "FILE", "Write to a file" },
	{ 0, "profiles", OPTION_FLAG, &given.profiles, NULL, "Print profile names" },
	{ 'q', "quiet", OPTION_FLAG, &given.quiet, NULL, "Only check the files" },
	{ 0, "services", OPTION_FLAG, &given.services, NULL,
		"Print service names, dependencies first" },
	{ 0, "volumes", OPTION_FLAG, &given.volumes, NULL, "Print volume names" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

/* Depth first, so that what a service depends on is listed before it. The loader has refused
 * cycles, and @done ends the walk in any case. */
static void add_service(
	const struct compose_project *project, size_t at, bool *done, struct str *out)
{
	const struct compose_service *service = &project->services[at];

	if (done[at]) {
		return;
	}
	done[at] = true;
	for (size_t i = 0; i < service->depends_count; i++) {
		const struct compose_service *other =
			compose_find_service(project, service->depends_on[i].service);

		if (other) {
			add_service(project, (size_t)(other - project->services), done, out);
		}
	}
	str_addf(out, "%s\n", service->name);
}

static void add_services(const struct compose_project *project, struct str *out)
{
	_cleanup_free_ bool *done = xcalloc(project->service_count, sizeof(*done));

	for (size_t i = 0; i < project->service_count; i++) {
		add_service(project, i, done, out);
	}
}

static void add_volumes(const struct compose_project *project, struct str *out)
{
	for (size_t i = 0; i < project->volume_count; i++) {
		str_addf(out, "%s\n", project->volumes[i].key);
	}
}

static void add_networks(const struct compose_project *project, struct str *out)
{
	for (size_t i = 0; i < project->network_count; i++) {
		if (project->networks[i].used) {
			str_addf(out, "%s\n", project->networks[i].key);
		}
	}
}

static void add_images(const struct compose_project *project, struct str *out)
{
	for (size_t i = 0; i < project->service_count; i++) {
		const struct compose_service *service = &project->services[i];

		if (service->image) {
			str_addf(out, "%s\n", service->image);
		} else {
			str_addf(out, "%s-%s\n", project->name, service->name);
		}
	}
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void collect_profiles(
	const struct compose_service *services, size_t count, struct strv *names)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < services[i].profiles.count; k++) {
			if (strv_find(names, services[i].profiles.items[k]) < 0) {
				strv_add(names, services[i].profiles.items[k]);
			}
		}
	}
}

static void add_profiles(const struct compose_project *project, struct str *out)
{
	_cleanup_strv_ struct strv names = { 0 };

	collect_profiles(project->services, project->service_count, &names);
	collect_profiles(project->disabled, project->disabled_count, &names);
	if (names.count > 0) {
		qsort(names.items, names.count, sizeof(char *), compare_texts);
	}
	for (size_t i = 0; i < names.count; i++) {
		str_addf(out, "%s\n", names.items[i]);
	}
}

static void add_environment(const struct compose_project *project, struct str *out)
{
	_cleanup_strv_ struct strv lines = { 0 };

	for (size_t i = 0; i < project->variables.count; i++) {
		const struct compose_pair *pair = &project->variables.items[i];

		strv_addf(&lines, "%s=%s", pair->key, pair->value ? pair->value : "");
	}
	if (lines.count > 0) {
		qsort(lines.items, lines.count, sizeof(char *), compare_texts);
	}
	for (size_t i = 0; i < lines.count; i++) {
		str_addf(out, "%s\n", lines.items[i]);
	}
}

/* The hashes are the plan's: the very ones that `up` compares. */
static int add_hashes(const struct compose_project *project, struct str *out, struct error *err)
{
	const char *const *services =
		strcmp(given.hash, "*") == 0 ? NULL : (const char *const[]){ given.hash, NULL };
	struct plan_options plan_options = { .services = services, .no_deps = true };
	_cleanup_strv_ struct strv seen = { 0 };
	struct plan *plan = NULL;
	int r;

	if (services && !compose_find_service(project, given.hash)) {
		return error_say(err, EINVAL, "no such service: %s", given.hash);
	}
	r = project_plan(project, &plan_options, &plan, err);
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < plan->container_count; i++) {
		const struct plan_container *c = plan->containers[i];

		if (project_selects(services, c->service) && strv_find(&seen, c->service) < 0) {
			strv_add(&seen, c->service);
			str_addf(out, "%s %s\n", c->service, c->hash);
		}
	}
	plan_free(plan);
	return 0;
}

static int load(const char *const *services, struct compose_project **project, struct error *err)
{
	/* Their names are wanted, whether enabled or not. */
	if (given.profiles && cli_globals.profiles.count == 0) {
		strv_add(&cli_globals.profiles, "*");
	}
	return project_load_as(services, given.no_interpolate, project, err);
}

static int build_output(const struct compose_project *project, struct str *out, struct error *err)
{
	static const struct {
		const bool *asked;
		void (*add)(const struct compose_project *project, struct str *out);
	} aspects[] = {
		{ &given.services, add_services },
		{ &given.volumes, add_volumes },
		{ &given.networks, add_networks },
		{ &given.images, add_images },
		{ &given.profiles, add_profiles },
		{ &given.environment, add_environment },
	};
	_cleanup_free_ char *text = NULL;

	if (given.hash) {
		return add_hashes(project, out, err);
	}
	for (size_t i = 0; i < ARRAY_SIZE(aspects); i++) {
		if (*aspects[i].asked) {
			aspects[i].add(project, out);
			return 0;
		}
	}
	text = compose_print(project, given.format ? given.format : "yaml");
	str_add(out, text);
	if (out->size > 0 && out->data[out->size - 1] != '\n') {
		str_add_char(out, '\n');
	}
	return 0;
}

static int run(const struct invocation *inv, struct error *err)
{
	struct compose_project *project = NULL;
	_cleanup_str_ struct str out = { 0 };
	int r;

	if (given.format && strcmp(given.format, "yaml") != 0 &&
		strcmp(given.format, "json") != 0) {
		return error_say(
			err, EINVAL, "unsupported format \"%s\": yaml or json", given.format);
	}
	r = load(cli_services(inv), &project, err);
	if (r < 0) {
		return r;
	}
	if (!given.quiet) {
		r = build_output(project, &out, err);
	}
	compose_free(project);
	if (r < 0 || given.quiet) {
		return r;
	}
	if (given.output) {
		return file_write_atomic(
			AT_FDCWD, given.output, str_text(&out), out.size, 0644, false, err);
	}
	fwrite(str_text(&out), 1, out.size, stdout);
	return 0;
}

const struct command command_config = { .name = "config",
	.arguments = "[OPTIONS] [SERVICE...]",
	.summary = "Check the files and print what they mean",
	.options = options,
	.run = run,
	.most = -1 };
