/*
 * Many containers' logs on one output: "web-1  | line", padded, coloured on a terminal. History
 * is merged by time; after that each container's lines appear as they come, told by inotify.
 */
#ifndef WHERRY_CLI_LOGVIEW_H
#define WHERRY_CLI_LOGVIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "cli/logfile.h"

struct logview_options {
	bool prefix, colour, timestamps;
	bool split; /* stderr lines go to stderr (`up`); else all to stdout (`logs`) */
	int64_t since_ns, until_ns; /* wall; 0: no bound */
};

struct logview;

/* Destroy with logview_destroy(). NULL with @err filled if inotify is not to be had. */
struct logview *logview_create(const struct logview_options *options, struct error *err);
void logview_destroy(struct logview *view);

/* Readable when something may be new; then call logview_ready(). */
int logview_fd(const struct logview *view);

/*
 * Adds the log at @path of @container, shown as @label, from its last @tail entries on (see
 * logfile_open). A known container with the same path is only watched if it could not be before;
 * with another path (it was
 * recreated) its old log is shown to the end and then the new one. 0 or a negative errno.
 */
int logview_add(struct logview *view, const char *container, const char *label, const char *path,
	int64_t tail, struct error *err);
bool logview_has(const struct logview *view, const char *container);

/* Makes the prefix at least as wide as @label, so that late comers do not shift the columns. */
void logview_widen(struct logview *view, const char *label);

/* Prints all that is there, oldest line first over all containers. */
void logview_merge(struct logview *view);
/* Takes what inotify says and prints what is new. True: there is more, call again soon. */
bool logview_ready(struct logview *view);
/* Prints what is new of one container to its end, an unfinished last line too. */
void logview_finish(struct logview *view, const char *container);

/* Prints what is left of unfinished last lines, of all containers. */
void logview_flush(struct logview *view);

/* "web-1 exited with code 1" on stdout, in the container's colour. */
void logview_status(struct logview *view, const char *container, const char *text);

#endif
