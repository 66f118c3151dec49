#include <errno.h>

#include "base/dirs.h"
#include "rootfs-tools/image/command.h"
#include "rootfs-tools/image/repository.h"

struct rm_options {
	bool force;
};

static const struct option_row rm_rows[] = {
	{ "--force", 'f', OPTION_FLAG, offsetof(struct rm_options, force), NULL,
		"take the name of an image that is in use, too; ignore images that are not there" },
	{ 0 },
};

static const struct option_row no_rows[] = { { 0 } };

static void tell(const char *line)
{
	puts(line);
}

static int open_for_removal(struct repository *repository, struct error *err)
{
	const char *state = dirs_state(err);
	int r = state ? repository_open(repository, state, err) : -err->code;

	/* The trash needs a work folder as well. */
	return r < 0 ? r : repository_work(repository, err);
}

int command_rm(int argc, char **argv, struct error *err)
{
	_cleanup_repository_ struct repository repository = REPOSITORY_INIT;
	_cleanup_strv_ struct strv words = { 0 };
	struct rm_options options = { 0 };
	int r = command_parse(
		"rm [OPTIONS] IMAGE...", rm_rows, &options, argc, argv, 1, 1000, &words, err);
	int result = 0;

	if (r != 0) {
		return r;
	}
	r = open_for_removal(&repository, err);
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < words.count; i++) {
		struct error e = ERROR_INIT;

		r = repository_remove(&repository, words.items[i], options.force, tell, &e);
		if (r == -ENOENT && options.force) {
			continue;
		}
		if (r < 0 && result < 0) {
			fprintf(stderr, "wherry image: %s\n", err->message);
		}
		if (r < 0) {
			result = r;
			*err = e;
		}
	}
	return result;
}

int command_prune(int argc, char **argv, struct error *err)
{
	_cleanup_repository_ struct repository repository = REPOSITORY_INIT;
	_cleanup_strv_ struct strv words = { 0 };
	int r = command_parse("prune", no_rows, NULL, argc, argv, 0, 0, &words, err);

	if (r == 0) {
		r = open_for_removal(&repository, err);
	}
	return r == 0 ? repository_prune(&repository, tell, err) : r;
}
