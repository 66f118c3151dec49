/*
 * What the supervisor reports while it works, drawn on stderr as docker compose does: on a
 * terminal a block that is redrawn in place, elsewhere a line for each event.
 */
#ifndef WHERRY_CLI_PROGRESS_H
#define WHERRY_CLI_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"

enum progress_mode {
	PROGRESS_AUTO, /* a terminal: TTY, else PLAIN */
	PROGRESS_TTY,
	PROGRESS_PLAIN,
	PROGRESS_JSON,
	PROGRESS_QUIET
};

/* How often a terminal wants progress_tick(), for the spinner and the seconds. */
#define PROGRESS_TICK_US INT64_C(100000)

enum progress_status { PROGRESS_WORKING, PROGRESS_DONE, PROGRESS_WARNING, PROGRESS_ERROR };

struct progress_item {
	char *id; /* "Container p-web-1" */
	const char *text; /* "Starting"; static */
	char *details;
	enum progress_status status;
	int64_t begin_us, end_us;
};

struct progress {
	enum progress_mode mode;
	FILE *out;
	bool colour;
	unsigned rows, columns;
	const char *verb; /* "Running" in "[+] Running 3/3" */
	bool hide_starts; /* while attached */
	bool wants_health; /* health verdicts are news to who waits for them */
	struct progress_item *items;
	size_t count;
	unsigned drawn; /* lines on the screen that the next drawing replaces */
	unsigned ticks;
};

/* "auto", "tty", "plain", "json", "quiet"; -EINVAL with @err filled for others. */
int progress_parse_mode(const char *text, enum progress_mode *mode, struct error *err);

/* @mode AUTO is decided here. @colour: whether colours may be used. */
void progress_begin(struct progress *p, const char *verb, enum progress_mode mode, bool colour);
/* Takes an event of the protocol; kinds that are no progress are ignored. */
void progress_event(struct progress *p, const json_t *event);
/* Draws (terminals only). */
void progress_tick(struct progress *p);
/* Draws for the last time and forgets the items; the block stays on the screen. */
void progress_end(struct progress *p);

/* A warning on a line of its own, above the block. */
void progress_warn(struct progress *p, const char *text);

#endif
