/*
 * wherry: reads the global options, finds the command and runs it. The hidden command
 * `__guardian PROJECT READYFD` is what keeps a project; see init/guardian.h.
 */
#include <errno.h>
#include <locale.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/json.h"
#include "base/sys.h"
#include "cli/cli.h"
#include "init/guardian.h"

static int run_guardian(int argc, char **argv)
{
	char *end = NULL;
	long fd = argc > 3 ? strtol(argv[3], &end, 10) : -1;

	if (argc < 3 || argc > 4 || (argc == 4 && (*end != '\0' || end == argv[3]))) {
		fputs("usage: wherry __guardian PROJECT [READYFD]\n", stderr);
		return 1;
	}
	return guardian_main(argv[2], (int)fd);
}

static void print_error(const struct error *err)
{
	fflush(stdout);
	if (err->message[0] == '\0') {
		return;
	}
	if (cli_globals.progress == PROGRESS_JSON) {
		_cleanup_json_ json_t *line = json_object();
		_cleanup_free_ char *text = NULL;

		json_put_bool(line, "error", true);
		json_put_text(line, "message", err->message);
		text = json_print(line);
		fprintf(stderr, "%s\n", text);
		return;
	}
	fprintf(stderr, "%s\n", err->message);
}

static void print_help(FILE *out)
{
	fputs("Usage:  wherry [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]\n\n"
	      "Runs a compose file without Docker: every service in its own namespaces.\n\n"
	      "Global options:\n",
		out);
	options_help(cli_global_options, out);
	fputs("\nCommands:\n", out);
	for (size_t i = 0; i < cli_command_count; i++) {
		fprintf(out, "  %-10s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
	}
	fputs("\nRun 'wherry COMMAND --help' for a command's options. docs/cli.md describes all\n"
	      "commands and exit codes, docs/compose.md what a compose file may say.\n",
		out);
}

/* Settings that have a variable as well. */
static int settle_globals(struct error *err)
{
	static const struct {
		const char *variable;
		const char **value;
	} settings[] = {
		{ "COMPOSE_PROGRESS", &cli_globals.progress_word },
		{ "COMPOSE_ANSI", &cli_globals.ansi },
	};

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		const char *value = getenv(settings[i].variable);

		if (!*settings[i].value && value && *value) {
			*settings[i].value = value;
		}
	}
	if (cli_globals.ansi && strcmp(cli_globals.ansi, "auto") != 0 &&
		strcmp(cli_globals.ansi, "always") != 0 && strcmp(cli_globals.ansi, "never") != 0) {
		return error_say(err, EINVAL,
			"invalid value \"%s\" for --ansi: must be never, always or auto",
			cli_globals.ansi);
	}
	if (cli_globals.progress_word) {
		int r = progress_parse_mode(cli_globals.progress_word, &cli_globals.progress, err);

		if (r < 0) {
			return r;
		}
	}
	if (cli_globals.progress == PROGRESS_AUTO && cli_globals.ansi) {
		if (strcmp(cli_globals.ansi, "never") == 0) {
			cli_globals.progress = PROGRESS_PLAIN;
		} else if (strcmp(cli_globals.ansi, "always") == 0) {
			cli_globals.progress = PROGRESS_TTY;
		}
	}
	return 0;
}

static int check_words(const struct invocation *inv, struct error *err)
{
	const struct command *command = inv->command;

	if (inv->count < command->least) {
		return error_say(err, EINVAL,
			"'wherry %s' needs at least %d argument%s; usage: wherry %s %s",
			command->name, command->least, command->least == 1 ? "" : "s",
			command->name, command->arguments);
	}
	if (command->most >= 0 && inv->count > command->most) {
		return error_say(err, EINVAL,
			"'wherry %s' takes at most %d argument%s; usage: wherry %s %s",
			command->name, command->most, command->most == 1 ? "" : "s", command->name,
			command->arguments);
	}
	return 0;
}

/* @argv: the words behind the command's name. */
static int run_command(const struct command *command, int argc, char **argv, struct error *err)
{
	static bool help;
	static const struct option common[] = {
		{ 0, "help", OPTION_FLAG, &help, NULL, NULL },
		{ 0, "file", OPTION_LIST, &cli_globals.files, NULL, NULL },
		{ 0, "project-name", OPTION_TEXT, &cli_globals.project_name, NULL, NULL },
		{ 0, "profile", OPTION_LIST, &cli_globals.profiles, NULL, NULL },
		{ 0, "env-file", OPTION_LIST, &cli_globals.env_files, NULL, NULL },
		{ 0, "project-directory", OPTION_TEXT, &cli_globals.project_directory, NULL, NULL },
		{ 0, "progress", OPTION_TEXT, &cli_globals.progress_word, NULL, NULL },
		{ 0, "ansi", OPTION_TEXT, &cli_globals.ansi, NULL, NULL },
		{ 0, "isolation", OPTION_TEXT, &cli_globals.isolation, NULL, NULL },
		{ 0, "strict-compose", OPTION_FLAG, &cli_globals.strict, NULL, NULL },
		{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
	};
	struct invocation inv = { .command = command, .count = argc };
	int r = 0;

	if (!command->raw) {
		r = options_parse(
			command->options, common, command->stops, argc, argv, &inv.count, err);
	}
	if (r < 0) {
		fprintf(stderr,
			"%s\n\nUsage:  wherry %s %s\n\nRun 'wherry %s --help' for more "
			"information\n",
			err->message, command->name, command->arguments, command->name);
		err->message[0] = '\0';
		return r;
	}
	if (help) {
		cli_command_help(command, stdout);
		return 0;
	}
	inv.words = xcalloc((size_t)inv.count + 1, sizeof(char *));
	memcpy(inv.words, argv, (size_t)inv.count * sizeof(char *));
	r = settle_globals(err);
	if (r == 0) {
		r = check_words(&inv, err);
	}
	if (r == 0) {
		r = command->run(&inv, err);
	}
	free(inv.words);
	return r;
}

static int dispatch(int argc, char **argv, struct error *err)
{
	const struct command *command = NULL;
	int words, first = 1;

	/* `wherry compose up` is `wherry up`, for scripts written for `docker compose`. */
	if (argc > 1 && strcmp(argv[1], "compose") == 0) {
		first = 2;
	}
	if (options_parse(cli_global_options, NULL, true, argc - first, argv + first, &words, err) <
		0) {
		return -err->code;
	}
	if (cli_globals.version) {
		struct invocation version = { .command = &command_version };

		return command_version.run(&version, err);
	}
	if (words > 1 && strcmp(argv[first], "compose") == 0) {
		return error_say(err, EINVAL, "global options stand behind `compose`");
	}
	if (words == 0 || cli_globals.help || strcmp(argv[first], "help") == 0) {
		command = words > 1 ? cli_find_command(argv[first + 1])
				    : (words == 1 ? cli_find_command(argv[first]) : NULL);
		if (command) {
			cli_command_help(command, stdout);
		} else {
			print_help(words == 0 && !cli_globals.help ? stderr : stdout);
		}
		return words == 0 && !cli_globals.help ? 1 : 0;
	}
	command = cli_find_command(argv[first]);
	if (!command) {
		return error_say(err, EINVAL,
			"unknown command \"%s\"; run 'wherry --help' for the list", argv[first]);
	}
	return run_command(command, words - 1, argv + first + 1, err);
}

/* A caller that ignored SIGCHLD would take the exit statuses of our children away, and one that
 * blocked signals the use of Ctrl-C. */
static void inherit_nothing_odd(void)
{
	/* As the kernel has it; the C library refuses to touch the signals that it uses itself. */
	static const struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} action = { .handler = SIG_DFL };
	sigset_t none;

	/* Every one of them: what is ignored here is ignored in every container. */
	for (int i = 1; i <= 64; i++) {
		syscall(SYS_rt_sigaction, i, &action, NULL, sizeof(action.mask));
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	int r;

	sys_fault_from_environment();
	/* Descriptors 0 to 2 must be something, or a socket of ours would become one of them. */
	while ((r = open("/dev/null", O_RDWR)) >= 0 && r <= STDERR_FILENO) {
	}
	if (r >= 0) {
		close(r);
	}
	inherit_nothing_odd();
	if (argc > 1 && strcmp(argv[1], "__guardian") == 0) {
		return run_guardian(argc, argv);
	}
	setlocale(LC_TIME, "C");
	r = dispatch(argc, argv, &err);
	if (r < 0) {
		print_error(&err);
		r = err.exit_status > 0 ? err.exit_status : 1;
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "cannot write the output: %s\n", strerror(errno));
		r = r ? r : 1;
	}
	return r;
}
