#include <errno.h>

#include "cli/cli.h"

static bool is_short;
static const char *format;

static const struct option options[] = {
	{ 'f', "format", OPTION_TEXT, &format, "pretty|json", "How to print it" },
	{ 0, "short", OPTION_FLAG, &is_short, NULL, "Only the number" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

static int run(const struct invocation *inv, struct error *err)
{
	(void)inv;
	if (format && strcmp(format, "json") != 0 && strcmp(format, "pretty") != 0) {
		return error_say(err, EINVAL,
			"format value \"%s\" could not be parsed: json or pretty", format);
	}
	if (is_short) {
		puts(WHERRY_VERSION);
	} else if (format && strcmp(format, "json") == 0) {
		puts("{\"version\":\"" WHERRY_VERSION "\"}");
	} else {
		puts("wherry version " WHERRY_VERSION);
	}
	return 0;
}

const struct command command_version = {
	.name = "version",
	.arguments = "[OPTIONS]",
	.summary = "Show the version",
	.options = options,
	.run = run,
	.most = 0,
};
