#include "cli/project.h"

#include <errno.h>
#include <unistd.h>

#include "base/dirs.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "specs/yaml_tree.h"

#define CAPABILITY_SYS_ADMIN 21

static struct compose_options compose_options(const char *const *services)
{
	return (struct compose_options){
		.files = (const char *const *)cli_globals.files.items,
		.env_files = (const char *const *)cli_globals.env_files.items,
		.profiles = (const char *const *)cli_globals.profiles.items,
		.services = services,
		.project_name = cli_globals.project_name,
		.project_directory = cli_globals.project_directory,
		.environment = (const char *const *)environ,
	};
}

static bool knows_service(const struct compose_project *project, const char *name)
{
	if (compose_find_service(project, name)) {
		return true;
	}
	for (size_t i = 0; i < project->disabled_count; i++) {
		if (strcmp(project->disabled[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* What has been printed already is not said twice. */
static int said_already(struct error *err)
{
	int r = err->code ? -err->code : -EINVAL;

	err->message[0] = '\0';
	err->code = -r;
	return r;
}

static void print_findings(const struct diagnostics *d)
{
	if (d->count > 0) {
		fflush(stdout);
		diagnostics_print(d, stderr);
	}
}

static void refuse_extension(const struct yaml_node *map, const char *path, struct diagnostics *d)
{
	const struct yaml_entry *entry = yaml_find(map, "x-wherry");

	if (entry) {
		diagnostics_add(d, SEVERITY_ERROR, &entry->key_mark, path,
			"x-wherry is wherry's own and --strict-compose refuses it");
	}
}

/* --strict-compose: the file must mean the same to every other program. */
static void check_strict(const struct compose_project *project, struct diagnostics *d)
{
	const struct yaml_node *services = yaml_get(project->tree, "services");

	refuse_extension(project->tree, "x-wherry", d);
	for (size_t i = 0; services && i < services->count; i++) {
		_cleanup_free_ char *path =
			xasprintf("services.%s.x-wherry", services->entries[i].key);

		refuse_extension(services->entries[i].value, path, d);
	}
}

int project_load(const char *const *services, struct compose_project **project, struct error *err)
{
	return project_load_as(services, false, project, err);
}

int project_load_as(const char *const *services, bool no_interpolate,
	struct compose_project **project, struct error *err)
{
	struct compose_options options = compose_options(services);
	struct diagnostics d = { 0 };
	int r;

	options.no_interpolate = no_interpolate;
	r = compose_load(&options, project, &d, err);
	if (r == 0 && cli_globals.strict) {
		check_strict(*project, &d);
		r = d.errors > 0 ? -EINVAL : 0;
	}
	print_findings(&d);
	if (r < 0 && *project) { /* marks lie in its arena, so not before they are printed */
		compose_free(take_ptr(*project));
	}
	if (r < 0 && d.errors > 0) {
		r = said_already(err);
	}
	diagnostics_finish(&d);
	for (size_t i = 0; r == 0 && services && services[i]; i++) {
		if (!knows_service(*project, services[i])) {
			r = error_say(err, EINVAL, "no such service: %s", services[i]);
			compose_free(take_ptr(*project));
		}
	}
	return r;
}

int project_name(char **name, struct error *err)
{
	struct compose_options options = compose_options(NULL);

	return compose_project_name(&options, name, err);
}

int project_containers(char **name, json_t **containers, struct error *err)
{
	int r = project_name(name, err);

	return r < 0 ? r : call_containers(*name, containers, err);
}

bool project_selects(const char *const *services, const char *service)
{
	if (!services || !services[0]) {
		return true;
	}
	for (; *services; services++) {
		if (strcmp(*services, service) == 0) {
			return true;
		}
	}
	return false;
}

static bool has_container(const json_t *containers, const char *service)
{
	size_t i;
	json_t *container;

	json_array_foreach(containers, i, container)
	{
		if (strcmp(json_text(container, "service", ""), service) == 0) {
			return true;
		}
	}
	return false;
}

int project_check_services(const json_t *containers, const char *const *services, struct error *err)
{
	struct compose_options options = compose_options(services);
	struct compose_project *project = NULL;
	int r = 0;

	for (; services && *services; services++) {
		if (has_container(containers, *services)) {
			continue;
		}
		/* The files are asked only now: these commands work without them. */
		if (!project) {
			struct diagnostics d = { 0 };
			struct error ignored = ERROR_INIT;

			compose_load(&options, &project, &d, &ignored);
			diagnostics_finish(&d);
		}
		if (!project || !knows_service(project, *services)) {
			r = error_say(err, EINVAL, "no such service: %s", *services);
			break;
		}
	}
	compose_free(project);
	return r;
}

static bool may_administer(void)
{
	_cleanup_free_ char *text = NULL;
	const char *line;

	if (geteuid() != 0 ||
		file_read_at(AT_FDCWD, "/proc/self/status", 65536, &text, NULL, NULL) < 0) {
		return false;
	}
	line = strstr(text, "\nCapEff:");
	return line && (strtoull(line + 8, NULL, 16) >> CAPABILITY_SYS_ADMIN & 1);
}

int project_check_isolation(struct error *err)
{
	const char *rung = cli_globals.isolation ? cli_globals.isolation : "full";

	if (strcmp(rung, "rootless") == 0 || strcmp(rung, "process") == 0) {
		return error_say(err, ENOTSUP,
			"--isolation=%s is not available in this version; use --isolation=full as "
			"root",
			rung);
	}
	if (strcmp(rung, "full") != 0) {
		return error_say(err, EINVAL,
			"unknown isolation \"%s\": must be full, rootless or process", rung);
	}
	if (!may_administer()) {
		return error_say(err, EPERM,
			"cannot isolate containers: full isolation needs root with CAP_SYS_ADMIN "
			"and CAP_NET_ADMIN (run it with sudo); isolation for plain users is not "
			"available in this version");
	}
	return 0;
}

int project_plan(const struct compose_project *project, struct plan_options *options,
	struct plan **plan, struct error *err)
{
	_cleanup_strv_ struct strv warnings = { 0 };
	struct diagnostics d = { 0 };
	int r;

	options->state_dir = dirs_state(err);
	if (!options->state_dir) {
		return -err->code;
	}
	r = plan_build(project, options, plan, &warnings, &d, err);
	for (size_t i = 0; i < warnings.count; i++) {
		fprintf(stderr, "warning: %s\n", warnings.items[i]);
	}
	print_findings(&d);
	if (r < 0 && d.errors > 0) {
		r = said_already(err);
	}
	diagnostics_finish(&d);
	return r;
}
