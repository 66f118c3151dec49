/* image: another program (it links what downloads and unpacks), found beside this one. */
#include <errno.h>
#include <unistd.h>

#include "cli/cli.h"

static int run(const struct invocation *inv, struct error *err)
{
	_cleanup_free_ char **argv = xcalloc((size_t)inv->count + 2, sizeof(char *));
	_cleanup_free_ char *beside = NULL;
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	argv[0] = (char[]){ "wherry-image" };
	memcpy(argv + 1, inv->words, (size_t)inv->count * sizeof(char *));
	fflush(stdout);
	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		beside = xasprintf("%.*s/wherry-image", slash ? (int)(slash - self) : 0, self);
		execv(beside, argv);
		if (errno != ENOENT) {
			return error_set(err, errno, "execute %s", beside);
		}
	}
	execvp("wherry-image", argv);
	return error_set(
		err, errno, "execute wherry-image (looked beside this program and in PATH)");
}

const struct command command_image = { .name = "image",
	.arguments = "COMMAND [ARGUMENTS]",
	.summary = "Make, import, list and remove images (see 'wherry image --help')",
	.run = run,
	.most = -1,
	.raw = true };
