/*
 * Findings about compose input: errors and warnings, each with a mark. All of a file's findings
 * are collected, sorted by place and printed together, with the offending line and a caret.
 */
#ifndef WHERRY_SPECS_DIAGNOSTICS_H
#define WHERRY_SPECS_DIAGNOSTICS_H

#include <stddef.h>
#include <stdio.h>

#include "base/mem.h"

/* Where something stands. @file is interned in the owner's arena; line and column count from 1;
 * line 0: no place (a command-line value, say). */
struct mark {
	const char *file;
	unsigned line;
	unsigned column;
};

enum severity { SEVERITY_ERROR, SEVERITY_WARNING };

struct diagnostic {
	enum severity severity;
	struct mark mark;
	const char *path; /* "services.web.ports[0]", or NULL */
	const char *text; /* one line; may be followed by a hint after "\n" */
};

struct diagnostics {
	struct arena arena;
	struct diagnostic *items;
	size_t count, room;
	size_t errors;
};

void diagnostics_add(struct diagnostics *d, enum severity severity, const struct mark *mark,
	const char *path, const char *format, ...) __attribute__((format(printf, 5, 6)));

/*
 * Prints "file:line:column: error: text", the line and a caret, for every finding, warnings
 * included. Reads the files again to show their lines.
 */
void diagnostics_print(const struct diagnostics *d, FILE *out);
void diagnostics_finish(struct diagnostics *d);

#endif
