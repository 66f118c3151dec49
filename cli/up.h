/* `up` from its options to its exit status; cmd_up.c reads the options. */
#ifndef WHERRY_CLI_UP_H
#define WHERRY_CLI_UP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "init/plan.h"

struct up_options {
	bool detach, wait, force_recreate, no_recreate, remove_orphans, no_start, no_deps;
	bool renew_volumes, quiet;
	bool abort_on_exit, abort_on_failure;
	const char *exit_code_from;
	int64_t timeout_s; /* INT64_MIN: each container's own */
	int64_t wait_timeout_s; /* 0: none */
	struct strv scale, attach, no_attach;
	bool no_colour, no_prefix, timestamps;
	const char *const *services; /* NULL: all */
};

/* {"op": "apply", ...} for @plan. */
json_t *up_request(const struct up_options *o, const struct compose_project *model,
	const struct plan *plan, bool attach);

/* Applies and shows logs until everything has ended or the user wants it to. The exit status,
 * or a negative errno. */
int up_attached(const struct up_options *o, const struct compose_project *model,
	const struct plan *plan, json_t *request, struct error *err);

#endif
