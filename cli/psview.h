/* The list of containers as docker compose prints it. */
#ifndef WHERRY_CLI_PSVIEW_H
#define WHERRY_CLI_PSVIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* NAME IMAGE COMMAND SERVICE CREATED STATUS PORTS. @containers as of `ps`. */
void psview_table(const json_t *containers, int64_t now_wall_ns, bool whole_commands, FILE *out);

/* One object on each line, with docker's members and ours (Pid, OOMKilled, RestartCount, Error). */
void psview_json(const json_t *containers, const char *project, int64_t now_wall_ns, FILE *out);

#endif
