#include <errno.h>

#include "base/dirs.h"
#include "base/fd.h"
#include "base/sys.h"
#include "rootfs-tools/image/build.h"
#include "rootfs-tools/image/command.h"

struct import_options {
	struct config_options config;
	bool quiet;
};

static const struct option_row rows[] = {
	CONFIG_OPTION_ROWS(struct import_options, config),
	{ "--quiet", 'q', OPTION_FLAG, offsetof(struct import_options, quiet), NULL,
		"do not print the image's id" },
	{ 0 },
};

static int import(const struct import_options *options, const char *source, const char *name,
	struct error *err)
{
	_cleanup_repository_ struct repository repository = REPOSITORY_INIT;
	_cleanup_free_ char *canonical = command_image_name(name, err);
	_cleanup_fd_ int input = -EBADF;
	const char *state = dirs_state(err);
	char id[DIGEST_SIZE];
	int r;

	if (!canonical || !state) {
		return -err->code;
	}
	input = strcmp(source, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
					 : sys_open(source, O_RDONLY, 0);
	if (input < 0) {
		return error_set(err, input == -1 ? errno : input, "open %s", source);
	}
	r = repository_open(&repository, state, err);
	if (r == 0) {
		r = repository_work(&repository, err);
	}
	if (r == 0) {
		r = build_image(
			&repository, input, canonical, &options->config, NULL, NULL, id, err);
		if (r < 0) {
			error_prefix(err, "import %s", source);
		}
	}
	if (r == 0 && !options->quiet) {
		puts(id);
	}
	return r;
}

int command_import(int argc, char **argv, struct error *err)
{
	_cleanup_strv_ struct strv words = { 0 };
	struct import_options options = { 0 };
	int r = command_parse(
		"import TAR|- NAME [OPTIONS]", rows, &options, argc, argv, 2, 2, &words, err);

	if (r == 0) {
		r = import(&options, words.items[0], words.items[1], err);
	}
	config_options_finish(&options.config);
	return r;
}
