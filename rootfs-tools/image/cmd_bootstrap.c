#include <errno.h>

#include "base/clock.h"
#include "base/dirs.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "rootfs-tools/image/apt_sources.h"
#include "rootfs-tools/image/build.h"
#include "rootfs-tools/image/command.h"
#include "rootfs-tools/image/files.h"
#include "rootfs-tools/image/mmdebstrap.h"

struct bootstrap_options {
	struct config_options config;
	const char *suite, *variant;
	struct strv packages, commands;
	bool quiet;
};

#define ROW(option, letter, kind, member, value, help)                                             \
	{                                                                                          \
		option, letter, kind, offsetof(struct bootstrap_options, member), value, help      \
	}

static const struct option_row rows[] = {
	ROW("--suite", 's', OPTION_TEXT, suite, "SUITE", "release to install, such as bookworm"),
	ROW("--package", 'p', OPTION_LIST, packages, "PACKAGE",
		"package to install with what it depends on (also a list with commas)"),
	ROW("--run", 0, OPTION_LIST, commands, "COMMAND",
		"shell command run in the new root after the packages are installed"),
	ROW("--variant", 0, OPTION_TEXT, variant, "VARIANT",
		"mmdebstrap's choice of base packages (minbase)"),
	CONFIG_OPTION_ROWS(struct bootstrap_options, config),
	ROW("--quiet", 'q', OPTION_FLAG, quiet, NULL, "do not print the image's id"),
	{ 0 },
};

struct bootstrap {
	const struct bootstrap_options *options;
	struct mmdebstrap run;
	bool running;
	char *work, *cache, *sources;
};

static int check_run(void *owner, struct error *err)
{
	struct bootstrap *b = owner;

	b->running = false;
	return mmdebstrap_finish(&b->run, false, err);
}

/* Go's words for architectures, where Debian has others. */
static const char *debian_architecture(const char *architecture)
{
	static const struct {
		const char *go, *debian;
	} words[] = {
		{ "386", "i386" },
		{ "arm", "armhf" },
		{ "ppc64le", "ppc64el" },
		{ "loong64", "loong64" },
	};

	for (size_t i = 0; architecture && i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i].go, architecture) == 0) {
			return words[i].debian;
		}
	}
	return architecture;
}

/* The machine's package sources as a file in the work folder. */
static int write_sources(struct repository *repository, const char *suite, struct error *err)
{
	_cleanup_fd_ int etc = sys_open("/etc", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_fd_ int apt = etc < 0 ? etc : sys_openat(etc, "apt", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_free_ char *host_suite = apt_sources_host_suite(etc);
	_cleanup_str_ struct str text = { 0 };
	int r;

	if (apt < 0) {
		return error_set(err, apt,
			"open /etc/apt (mirrors and keys are taken from this machine's own apt)");
	}
	r = apt_sources_collect(apt, host_suite, suite, &text, err);
	if (r < 0) {
		return r;
	}
	return file_write_atomic(
		repository->work, "sources.list", text.data, text.size, 0644, false, err);
}

static int prepare(
	struct bootstrap *b, struct repository *repository, const char *state, struct error *err)
{
	int r = files_check(&b->options->config.files, err);

	if (r == 0) {
		r = repository_open(repository, state, err);
	}
	if (r == 0) {
		r = repository_work(repository, err);
	}
	if (r == 0) {
		r = write_sources(repository, b->options->suite, err);
	}
	if (r < 0) {
		return r;
	}
	b->work = xasprintf("%s/images/tmp/%s", state, repository->work_name);
	b->sources = xasprintf("%s/sources.list", b->work);
	b->cache = xasprintf("%s/cache/packages", state);
	return file_mkdir_p(b->cache, 0700, err);
}

static int run(struct bootstrap *b, struct repository *repository, const char *name,
	const char *state, char id[DIGEST_SIZE], struct error *err)
{
	struct mmdebstrap_options options = {
		.suite = b->options->suite,
		.variant = b->options->variant ? b->options->variant : "minbase",
		.architecture = debian_architecture(b->options->config.architecture),
		.packages = &b->options->packages,
		.commands = &b->options->commands,
		.title = name,
	};
	int r = prepare(b, repository, state, err);

	if (r < 0) {
		return r;
	}
	options.sources = b->sources;
	options.work = b->work;
	options.cache = b->cache;
	r = mmdebstrap_start(&b->run, &options, err);
	if (r < 0) {
		return r;
	}
	b->running = true;
	r = build_image(
		repository, b->run.output, name, &b->options->config, check_run, b, id, err);
	if (b->running) {
		mmdebstrap_finish(&b->run, true, NULL);
	}
	return r;
}

static int bootstrap(const struct bootstrap_options *options, const char *name, struct error *err)
{
	_cleanup_repository_ struct repository repository = REPOSITORY_INIT;
	_cleanup_free_ char *canonical = command_image_name(name, err);
	struct bootstrap b = { .options = options };
	const char *state;
	char id[DIGEST_SIZE];
	int r;

	if (!canonical) {
		return -err->code;
	}
	if (!options->suite) {
		error_say(err, EINVAL, "bootstrap %s: --suite is missing (see --help)", name);
		return error_exit_status(err, 2);
	}
	if (geteuid() != 0) {
		return error_say(err, EPERM, "bootstrap %s: needs root", name);
	}
	state = dirs_state(err);
	if (!state) {
		return -err->code;
	}
	r = run(&b, &repository, canonical, state, id, err);
	if (r < 0) {
		error_prefix(err, "bootstrap %s", name);
	} else if (!options->quiet) {
		puts(id);
	}
	free(b.work);
	free(b.cache);
	free(b.sources);
	return r;
}

int command_bootstrap(int argc, char **argv, struct error *err)
{
	_cleanup_strv_ struct strv words = { 0 };
	struct bootstrap_options options = { 0 };
	int r = command_parse("bootstrap NAME --suite SUITE [OPTIONS]", rows, &options, argc, argv,
		1, 1, &words, err);

	if (r == 0) {
		r = bootstrap(&options, words.items[0], err);
	}
	strv_finish(&options.packages);
	strv_finish(&options.commands);
	config_options_finish(&options.config);
	return r;
}
