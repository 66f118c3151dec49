/* wherry-image: everything that changes the image store. `wherry image ...` executes it. */
#include <errno.h>
#include <locale.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/sys.h"
#include "rootfs-tools/image/command.h"
#include "rootfs-tools/image/interrupt.h"

static const struct image_command {
	const char *name;
	command_fn *run;
	const char *help;
} commands[] = {
	{ "bootstrap", command_bootstrap, "make an image from distribution packages" },
	{ "import", command_import, "make an image from a tar of a root file system" },
	{ "inspect", command_inspect, "show an image's configuration" },
	{ "ls", command_ls, "list the images" },
	{ "path", command_path, "show the folders of an image's layers, topmost first" },
	{ "prune", command_prune, "remove images without a name" },
	{ "rm", command_rm, "remove an image" },
};

static void print_help(FILE *out)
{
	fputs("Usage: wherry image COMMAND [OPTIONS]\n\nCommands:\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	}
	fputs("\n`wherry image COMMAND --help` shows a command's options.\n", out);
}

/* Removing a deep tree keeps one descriptor a level. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct error err = ERROR_INIT;

	sys_fault_from_environment();
	/* libarchive decodes the names of POSIX headers by the locale; layers are always UTF-8. */
	setlocale(LC_CTYPE, "C.UTF-8");
	raise_descriptor_limit();
	interrupt_init();
	/* A reader that goes away is an error like any other, not the end of the clean-up. */
	sigaction(SIGPIPE, &ignore, NULL);
	if (argc < 2) {
		print_help(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
		strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("wherry-image " WHERRY_VERSION);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, argv[1]) == 0) {
			if (commands[i].run(argc - 1, argv + 1, &err) >= 0) {
				return fflush(stdout) == 0 ? 0 : 1;
			}
			fprintf(stderr, "wherry image: %s\n", err.message);
			if (err.exit_status) {
				return err.exit_status;
			}
			return err.code == EINTR ? 130 : 1; /* as a shell shows Ctrl-C */
		}
	}
	fprintf(stderr, "wherry image: unknown command %s (see --help)\n", argv[1]);
	return 2;
}
