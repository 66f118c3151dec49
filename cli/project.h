/* From the global options to a project: its name, its model, its plan. */
#ifndef WHERRY_CLI_PROJECT_H
#define WHERRY_CLI_PROJECT_H

#include <jansson.h>

#include "base/error.h"
#include "init/plan.h"
#include "specs/compose.h"

/*
 * Loads the project; @services (may be NULL) are those named by the user. Findings are printed on
 * stderr. Returns 0 (compose_free) or a negative errno; the message is empty when the findings
 * said it all. -EINVAL with `no such service: x` if a named one does not exist.
 */
int project_load(const char *const *services, struct compose_project **project, struct error *err);

/* As project_load(), with ${...} left alone if @no_interpolate. */
int project_load_as(const char *const *services, bool no_interpolate,
	struct compose_project **project, struct error *err);

/* Only the name: from -p, the environment or the files. The caller's (free). */
int project_name(char **name, struct error *err);

/* Name and containers (`ps`) of a project that may not run: then the array is empty. */
int project_containers(char **name, json_t **containers, struct error *err);

/*
 * Checks that each of @services has a container or stands in the project's files.
 * 0, or -EINVAL with `no such service: x`.
 */
int project_check_services(
	const json_t *containers, const char *const *services, struct error *err);

/*
 * Checks that this machine and user give what `--isolation` asks for. 0 or -EPERM with the text
 * that says what is needed.
 */
int project_check_isolation(struct error *err);

/* plan_build() with its warnings and findings printed. */
int project_plan(const struct compose_project *project, struct plan_options *options,
	struct plan **plan, struct error *err);

/* Whether @services is NULL or holds @service. */
bool project_selects(const char *const *services, const char *service);

#endif
