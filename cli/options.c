#include "cli/options.h"

#include <errno.h>
#include <inttypes.h>

#define HELP_COLUMN 36

static const struct option *find_name(const struct option *table, const char *name, size_t size)
{
	for (; table && table->name; table++) {
		if (strlen(table->name) == size && memcmp(table->name, name, size) == 0) {
			return table;
		}
	}
	return NULL;
}

static const struct option *find_letter(const struct option *table, char letter)
{
	for (; table && table->name; table++) {
		if (table->letter == letter) {
			return table;
		}
	}
	return NULL;
}

static int invalid(const struct option *o, const char *text, const char *why, struct error *err)
{
	if (o->letter) {
		return error_say(err, EINVAL, "invalid argument \"%s\" for \"-%c, --%s\" flag: %s",
			text, o->letter, o->name, why);
	}
	return error_say(
		err, EINVAL, "invalid argument \"%s\" for \"--%s\" flag: %s", text, o->name, why);
}

static int set_flag(const struct option *o, const char *text, struct error *err)
{
	static const struct {
		const char *text;
		bool value;
	} words[] = {
		{ "1", true },
		{ "t", true },
		{ "true", true },
		{ "TRUE", true },
		{ "True", true },
		{ "0", false },
		{ "f", false },
		{ "false", false },
		{ "FALSE", false },
		{ "False", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i].text, text) == 0) {
			*(bool *)o->value = words[i].value;
			return 0;
		}
	}
	return invalid(o, text, "not a boolean", err);
}

static int set_value(const struct option *o, const char *text, struct error *err)
{
	char *end;
	long long number;

	switch (o->kind) {
	case OPTION_FLAG: return set_flag(o, text, err);
	case OPTION_TEXT: *(const char **)o->value = text; return 0;
	case OPTION_LIST: strv_add(o->value, text); return 0;
	case OPTION_INT:
		errno = 0;
		number = strtoll(text, &end, 10);
		if (errno != 0 || *end != '\0' || end == text) {
			return invalid(o, text, "not a whole number", err);
		}
		*(int64_t *)o->value = number;
		return 0;
	}
	return -EINVAL;
}

/* The words still to be read. */
struct reader {
	const struct option *options, *more;
	int argc, at;
	char **argv;
};

static int take_long(struct reader *r, const char *word, struct error *err)
{
	const char *equals = strchr(word, '=');
	size_t size = equals ? (size_t)(equals - word) : strlen(word);
	const struct option *o = find_name(r->options, word, size);

	if (!o) {
		o = find_name(r->more, word, size);
	}
	if (!o) {
		return error_say(err, EINVAL, "unknown flag: --%.*s", (int)size, word);
	}
	if (equals) {
		return set_value(o, equals + 1, err);
	}
	if (o->kind == OPTION_FLAG) {
		*(bool *)o->value = true;
		return 0;
	}
	if (r->at == r->argc) {
		return error_say(err, EINVAL, "flag needs an argument: --%s", o->name);
	}
	return set_value(o, r->argv[r->at++], err);
}

static int take_letters(struct reader *r, const char *word, struct error *err)
{
	for (const char *p = word; *p; p++) {
		const struct option *o = find_letter(r->options, *p);

		if (!o) {
			return error_say(
				err, EINVAL, "unknown shorthand flag: '%c' in -%s", *p, word);
		}
		if (p[1] == '=') {
			return set_value(o, p + 2, err);
		}
		if (o->kind == OPTION_FLAG) {
			*(bool *)o->value = true;
			continue;
		}
		if (p[1] != '\0') {
			return set_value(o, p + 1, err);
		}
		if (r->at == r->argc) {
			return error_say(
				err, EINVAL, "flag needs an argument: '%c' in -%s", *p, word);
		}
		return set_value(o, r->argv[r->at++], err);
	}
	return 0;
}

int options_parse(const struct option *options, const struct option *more, bool stops, int argc,
	char **argv, int *words, struct error *err)
{
	struct reader r = { .options = options, .more = more, .argc = argc, .argv = argv };
	bool ended = false;
	int kept = 0;

	while (r.at < argc) {
		char *word = argv[r.at++];
		int status = 0;

		if (ended || word[0] != '-' || word[1] == '\0') {
			argv[kept++] = word;
			ended = ended || stops;
		} else if (strcmp(word, "--") == 0) {
			ended = true;
		} else if (word[1] == '-') {
			status = take_long(&r, word + 2, err);
		} else {
			status = take_letters(&r, word + 1, err);
		}
		if (status < 0) {
			return status;
		}
	}
	*words = kept;
	return 0;
}

void options_help(const struct option *options, FILE *out)
{
	for (; options->name; options++) {
		struct str left = { 0 };

		if (!options->help) {
			continue;
		}
		if (options->letter) {
			str_addf(&left, "  -%c, --%s", options->letter, options->name);
		} else {
			str_addf(&left, "      --%s", options->name);
		}
		if (options->argument) {
			str_addf(&left, " %s", options->argument);
		}
		if (left.size + 2 > HELP_COLUMN) {
			fprintf(out, "%s\n%*s%s\n", str_text(&left), HELP_COLUMN, "",
				options->help);
		} else {
			fprintf(out, "%-*s%s\n", HELP_COLUMN, str_text(&left), options->help);
		}
		str_finish(&left);
	}
}
