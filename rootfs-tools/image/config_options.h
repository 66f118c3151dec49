/* The options that say how an image is run: the same for `import` and `bootstrap`. */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_CONFIG_OPTIONS_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_CONFIG_OPTIONS_H

#include "rootfs-tools/image/options.h"
#include "specs/image_config.h"

struct config_options {
	const char *entrypoint, *cmd, *user, *workdir, *stop_signal, *architecture;
	const char *health_cmd, *health_interval, *health_timeout, *health_retries;
	const char *health_start_period, *health_start_interval;
	struct strv env, volumes, expose, labels, files;
};

/* Rows for a target that has a struct config_options as its field @field. */
#define CONFIG_OPTION_ROW(type, field, option, letter, kind, member, value, help)                  \
	{                                                                                          \
		option, letter, kind, offsetof(type, field.member), value, help                    \
	}
#define CONFIG_OPTION_ROWS(type, field)                                                            \
	CONFIG_OPTION_ROW(type, field, "--entrypoint", 0, OPTION_TEXT, entrypoint, "WORDS",        \
		"program to run: a JSON list, or words quoted as in a shell"),                     \
		CONFIG_OPTION_ROW(type, field, "--cmd", 0, OPTION_TEXT, cmd, "WORDS",              \
			"its arguments: as --entrypoint"),                                         \
		CONFIG_OPTION_ROW(type, field, "--env", 'e', OPTION_LIST, env, "K=V",              \
			"environment variable"),                                                   \
		CONFIG_OPTION_ROW(type, field, "--user", 'u', OPTION_TEXT, user, "USER[:GROUP]",   \
			"user to run as"),                                                         \
		CONFIG_OPTION_ROW(type, field, "--workdir", 'w', OPTION_TEXT, workdir, "PATH",     \
			"working directory"),                                                      \
		CONFIG_OPTION_ROW(type, field, "--volume", 'v', OPTION_LIST, volumes, "PATH",      \
			"path that gets a volume"),                                                \
		CONFIG_OPTION_ROW(type, field, "--expose", 0, OPTION_LIST, expose, "PORT[/PROTO]", \
			"port that the service listens on"),                                       \
		CONFIG_OPTION_ROW(                                                                 \
			type, field, "--label", 'l', OPTION_LIST, labels, "K=V", "label"),         \
		CONFIG_OPTION_ROW(type, field, "--stop-signal", 0, OPTION_TEXT, stop_signal,       \
			"SIGNAL", "signal that ends the service"),                                 \
		CONFIG_OPTION_ROW(type, field, "--health-cmd", 0, OPTION_TEXT, health_cmd,         \
			"COMMAND", "health check: a JSON list, or a line for the image's shell"),  \
		CONFIG_OPTION_ROW(type, field, "--health-interval", 0, OPTION_TEXT,                \
			health_interval, "TIME", "time between checks"),                           \
		CONFIG_OPTION_ROW(type, field, "--health-timeout", 0, OPTION_TEXT, health_timeout, \
			"TIME", "time that a check may take"),                                     \
		CONFIG_OPTION_ROW(type, field, "--health-retries", 0, OPTION_TEXT, health_retries, \
			"N", "failures that make the service unhealthy"),                          \
		CONFIG_OPTION_ROW(type, field, "--health-start-period", 0, OPTION_TEXT,            \
			health_start_period, "TIME", "time in which failures do not count"),       \
		CONFIG_OPTION_ROW(type, field, "--health-start-interval", 0, OPTION_TEXT,          \
			health_start_interval, "TIME", "time between checks in that time"),        \
		CONFIG_OPTION_ROW(type, field, "--file", 'f', OPTION_LIST, files, "SRC:DST",       \
			"add a file or folder of this machine, owned by root"),                    \
		CONFIG_OPTION_ROW(type, field, "--arch", 0, OPTION_TEXT, architecture, "ARCH",     \
			"architecture, if it is not this machine's (amd64, arm64, ...)")

/* Checks the options and fills @config, with texts in @arena. -EINVAL with @err filled. */
int config_options_apply(const struct config_options *options, struct arena *arena,
	struct image_config *config, struct error *err);
void config_options_finish(struct config_options *options);

#endif
