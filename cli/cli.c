#include "cli/cli.h"

#include <unistd.h>

struct globals cli_globals;

const struct option cli_global_options[] = {
	{ 0, "ansi", OPTION_TEXT, &cli_globals.ansi, "never|always|auto",
		"Control characters and colours (default auto)" },
	{ 0, "env-file", OPTION_LIST, &cli_globals.env_files, "FILE",
		"Environment file instead of .env; may be repeated" },
	{ 'f', "file", OPTION_LIST, &cli_globals.files, "FILE",
		"Compose file; may be repeated, later ones override" },
	{ 'h', "help", OPTION_FLAG, &cli_globals.help, NULL, "This text" },
	{ 0, "isolation", OPTION_TEXT, &cli_globals.isolation, "full",
		"How services are kept apart" },
	{ 0, "profile", OPTION_LIST, &cli_globals.profiles, "NAME",
		"Profile to enable; may be repeated, \"*\" is all" },
	{ 0, "progress", OPTION_TEXT, &cli_globals.progress_word, "auto|tty|plain|json|quiet",
		"How progress is shown (default auto)" },
	{ 0, "project-directory", OPTION_TEXT, &cli_globals.project_directory, "DIR",
		"Where relative paths begin (default: folder of the first file)" },
	{ 'p', "project-name", OPTION_TEXT, &cli_globals.project_name, "NAME", "Project name" },
	{ 0, "strict-compose", OPTION_FLAG, &cli_globals.strict, NULL,
		"Refuse what the Compose Specification does not know (x-wherry)" },
	{ 'v', "version", OPTION_FLAG, &cli_globals.version, NULL, "Show the version" },
	/* Accepted because scripts give them. */
	{ 0, "verbose", OPTION_FLAG, &(bool){ false }, NULL, NULL },
	{ 0, "parallel", OPTION_INT, &(int64_t){ 0 }, NULL, NULL },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

const struct command *const cli_commands[] = {
	&command_config,
	&command_create,
	&command_down,
	&command_exec,
	&command_image,
	&command_kill,
	&command_logs,
	&command_ls,
	&command_pause,
	&command_port,
	&command_ps,
	&command_restart,
	&command_rm,
	&command_run,
	&command_start,
	&command_stop,
	&command_top,
	&command_unpause,
	&command_up,
	&command_version,
};
const size_t cli_command_count = ARRAY_SIZE(cli_commands);

static int compare_name(const void *key, const void *row)
{
	return strcmp(key, (*(const struct command *const *)row)->name);
}

const struct command *cli_find_command(const char *name)
{
	const struct command *const *found =
		bsearch(name, cli_commands, cli_command_count, sizeof(*cli_commands), compare_name);

	return found ? *found : NULL;
}

void cli_command_help(const struct command *command, FILE *out)
{
	fprintf(out, "Usage:  wherry %s %s\n\n%s\n", command->name, command->arguments,
		command->summary);
	if (command->more) {
		fprintf(out, "\n%s", command->more);
	}
	if (command->options && command->options[0].name) {
		fputs("\nOptions:\n", out);
		options_help(command->options, out);
	}
}

bool cli_colour(int fd)
{
	const char *ansi = cli_globals.ansi ? cli_globals.ansi : "auto";
	const char *refused = getenv("NO_COLOR");

	if (strcmp(ansi, "auto") != 0) {
		return strcmp(ansi, "always") == 0;
	}
	return isatty(fd) && (!refused || !*refused);
}

const char *const *cli_services(const struct invocation *inv)
{
	return inv->count > 0 ? (const char *const *)inv->words : NULL;
}
