/* Words for people, exactly as docker prints them. */
#ifndef WHERRY_CLI_FORMAT_H
#define WHERRY_CLI_FORMAT_H

#include <jansson.h>
#include <stdint.h>

#include "base/mem.h"

#define FORMAT_DURATION_SIZE 48
/* "Less than a second", "4 seconds", "About a minute", "3 weeks": docker's HumanDuration. */
void format_duration(int64_t us, char out[FORMAT_DURATION_SIZE]);

/* Cuts to @limit characters, the last of them an ellipsis, and puts Go's double quotes around. */
void format_command(struct str *out, const json_t *args, size_t limit);

/* At most @limit characters (UTF-8 is kept whole), the last an ellipsis if something was cut. */
void format_ellipsis(struct str *out, const char *text, size_t limit);

/* "127.0.0.1:8010->8000/tcp, 5432/tcp" from `ports` and `expose` of a container in `ps`; runs of
 * neighbours are one entry: "0.0.0.0:9000-9001->9000-9001/udp". */
void format_ports(struct str *out, const json_t *container);

/* "Up 5 seconds (healthy)", "Exited (1) 2 minutes ago", ... of a container in `ps`. */
void format_status(struct str *out, const json_t *container, int64_t now_wall_ns);

/* "2026-01-02 03:04:05 +0000 UTC", in local time. */
void format_created_at(struct str *out, int64_t wall_ns);

/*
 * A moment given by a person: RFC 3339, a date with or without time (local), seconds since the
 * epoch with an optional fraction, or a duration ("10m") before @now_ns. Returns 0 or -EINVAL.
 */
int format_parse_moment(const char *text, int64_t now_ns, int64_t *wall_ns);

/* Characters of UTF-8 text (every one counts as one column). */
size_t format_width(const char *text);

#endif
