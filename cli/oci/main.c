/* wherry-oci: the global options, then the command out of a table. */
#include <errno.h>
#include <linux/close_range.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "cli/oci/oci.h"
#include "cli/options.h"

static const struct oci_command *const commands[] = {
	&oci_command_delete,
	&oci_command_run,
	&oci_command_spec,
};

static int usage(FILE *out)
{
	fputs("Usage: wherry-oci [--root DIR] COMMAND\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		fprintf(out, "  %-52s %s\n", commands[i]->usage, commands[i]->summary);
	}
	return out == stderr ? 1 : 0;
}

/* Opens the folder of all containers, made if it is missing. */
static int open_root(const char *given, struct oci_root *root, struct error *err)
{
	char *path = NULL;
	int r;

	if (given) {
		path = given[0] == '/' ? xstrdup(given) : NULL;
		if (!path) {
			_cleanup_free_ char *folder = getcwd(NULL, 0);

			path = file_join(folder ? folder : "/", given);
		}
	} else {
		const char *run = dirs_run(err);

		if (!run) {
			return -err->code;
		}
		path = file_join(run, "oci");
	}
	root->path = path; /* lives as long as the process */
	root->fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0);
	if (root->fd == -ENOENT) {
		r = file_mkdir_p(path, 0700, err);
		if (r < 0) {
			return r;
		}
		root->fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0);
	}
	return root->fd < 0 ? error_set(err, root->fd, "open %s", path) : 0;
}

static int run_command(const char *name, const char *root_option, int argc, char **argv)
{
	struct oci_root root = { .fd = -EBADF };
	struct error err = ERROR_INIT;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i]->name, name) != 0) {
			continue;
		}
		r = open_root(root_option, &root, &err);
		if (r == 0) {
			r = commands[i]->run(&root, argc, argv, &err);
		}
		fd_close(&root.fd);
		free((char *)root.path);
		if (r >= 0) {
			return r;
		}
		fprintf(stderr, "wherry-oci: %s\n", err.message);
		/* 127 and 126 tell a caller about its command; all else is 1, as with crun. */
		return err.exit_status == 126 || err.exit_status == 127 ? err.exit_status : 1;
	}
	fprintf(stderr, "wherry-oci: unknown command \"%s\"\n", name);
	return usage(stderr);
}

int main(int argc, char **argv)
{
	const char *root = NULL;
	bool version = false, help = false;
	const struct option options[] = {
		{ 0, "root", OPTION_TEXT, &root, "DIR", NULL },
		{ 'v', "version", OPTION_FLAG, &version, NULL, NULL },
		{ 'h', "help", OPTION_FLAG, &help, NULL, NULL },
		{ .name = NULL },
	};
	struct error err = ERROR_INIT;
	int words, r;

	sys_fault_from_environment();
	/* What a careless caller left open must not reach a container, nor be reached from one
	 * (CVE-2024-21626). */
	sys_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	/* Only the words up to the command: what follows is the command's own. */
	r = options_parse(options, NULL, true, argc - 1, argv + 1, &words, &err);
	if (r < 0) {
		fprintf(stderr, "wherry-oci: %s\n", err.message);
		return usage(stderr);
	}
	if (version) {
		printf("wherry-oci %s\nspec: 1.2.0\n", WHERRY_VERSION);
		return 0;
	}
	if (help || words == 0) {
		return usage(help ? stdout : stderr);
	}
	return run_command(argv[1], root, words - 1, argv + 2);
}
