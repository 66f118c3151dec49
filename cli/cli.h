/* What the commands share: the global options, the table of commands, the way one is run. */
#ifndef WHERRY_CLI_CLI_H
#define WHERRY_CLI_CLI_H

#include <stdbool.h>

#include "base/error.h"
#include "base/mem.h"
#include "cli/options.h"
#include "cli/progress.h"

/* Given before the command's name (long ones also after it). */
struct globals {
	struct strv files, profiles, env_files;
	const char *project_name, *project_directory;
	const char *progress_word, *ansi, *isolation;
	bool strict, help, version;
	enum progress_mode progress;
};

extern struct globals cli_globals;
extern const struct option cli_global_options[];

/* One command under way. @words are what stands after its options, NULL-terminated. */
struct invocation {
	const struct command *command;
	int count;
	char **words;
};

struct command {
	const char *name;
	const char *arguments; /* for the usage line: "[OPTIONS] [SERVICE...]" */
	const char *summary; /* one line */
	const char *more; /* further lines of its --help; may be NULL */
	const struct option *options;
	/*
	 * Returns the exit status, or a negative errno with @err filled (an empty message: it has
	 * been said already).
	 */
	int (*run)(const struct invocation *inv, struct error *err);
	int least; /* words it needs */
	int most; /* words it takes; -1: any number */
	bool stops; /* the first word ends its options: a command line of a container follows */
	bool raw; /* its own options are read by somebody else */
};

/* Sorted by name. */
extern const struct command *const cli_commands[];
extern const size_t cli_command_count;
const struct command *cli_find_command(const char *name);

extern const struct command command_config, command_create, command_down, command_exec,
	command_image, command_kill, command_logs, command_ls, command_pause, command_port,
	command_ps, command_restart, command_rm, command_run, command_start, command_stop,
	command_top, command_unpause, command_up, command_version;

/* Whether output on @fd may be coloured, by --ansi, NO_COLOR and what @fd is. */
bool cli_colour(int fd);

/* Usage and options of a command on @out. */
void cli_command_help(const struct command *command, FILE *out);

/* The words as services: NULL when there are none. */
const char *const *cli_services(const struct invocation *inv);

/* The exit status after SIGINT or SIGTERM. */
#define CLI_INTERRUPTED 130

#endif
