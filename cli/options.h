/*
 * Command lines by table, with pflag's conventions (docker's users know them): long options with
 * a value after "=" or as the next word, grouped short ones (-it), a short one's value glued or
 * next (-t5, -t 5), booleans that take "=false", "--" ending the options.
 */
#ifndef WHERRY_CLI_OPTIONS_H
#define WHERRY_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"

enum option_kind {
	OPTION_FLAG, /* bool */
	OPTION_TEXT, /* const char *: the last one counts */
	OPTION_LIST, /* struct strv: each one is added */
	OPTION_INT, /* int64_t */
};

/* A table of these ends with one whose name is NULL. */
struct option {
	char letter; /* 0: none */
	const char *name; /* without dashes */
	enum option_kind kind;
	void *value; /* where it goes, by kind */
	const char *argument; /* what help calls the value; NULL for flags */
	const char *help; /* NULL: accepted but not shown */
};

/*
 * Reads options out of @argv (@argc words, no program name) into the values of @options, then of
 * @more (long names only; may be NULL). Words that are no options are moved to the front of @argv
 * in their order and *@words says how many. With @stops the first such word ends the options, so
 * that a command of its own may follow. Returns 0 or -EINVAL with docker's text in @err.
 */
int options_parse(const struct option *options, const struct option *more, bool stops, int argc,
	char **argv, int *words, struct error *err);

/* Prints the table, aligned, one line or more for each option that has a help text. */
void options_help(const struct option *options, FILE *out);

#endif
