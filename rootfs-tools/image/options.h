/* Command lines by table: `--name VALUE`, `--name=VALUE`, flags, short forms, `--` and `--help`. */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_OPTIONS_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/mem.h"

enum option_kind {
	OPTION_FLAG, /* bool */
	OPTION_TEXT, /* const char *, the last one wins; points into argv */
	OPTION_LIST, /* struct strv, one entry each time */
};

struct option_row {
	const char *name; /* "--env" */
	char letter; /* 'e' for "-e", or 0 */
	enum option_kind kind;
	size_t offset; /* of the field in the target */
	const char *value; /* "K=V", for the help; NULL for a flag */
	const char *help;
};

/*
 * Parses argv[1..] by @rows (ended by a row without name) into @target. Other words go to
 * *@positional. Returns 0, 1 if --help was asked for, or -EINVAL with @err filled (exit status 2).
 */
int options_parse(const struct option_row *rows, void *target, int argc, char **argv,
	struct strv *positional, struct error *err);
/* The help's lines for @rows, on standard output. */
void options_print(const struct option_row *rows);

#endif
