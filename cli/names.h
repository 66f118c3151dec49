/* Names of containers as people see them. */
#ifndef WHERRY_CLI_NAMES_H
#define WHERRY_CLI_NAMES_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"

/* "web-1" of "p-web-1" in project "p"; the whole name where the prefix is another. Not owned. */
const char *names_label(const char *project, const char *container);

/*
 * The running container of @service that a command means: the one with number @index (0: the
 * lowest), no one-off unless there is nothing else. Borrowed from @containers; NULL with docker's
 * words in @err.
 */
json_t *names_pick(const json_t *containers, const char *service, int64_t index, struct error *err);

#endif
