#include "rootfs-tools/image/options.h"

#include <errno.h>

#define EXIT_USAGE 2

static int usage(struct error *err, const char *format, const char *what)
{
	char text[256];

	/* The formats are this file's own; %s is all they hold. */
	const char *mark = strstr(format, "%s");

	snprintf(text, sizeof(text), "%.*s%.150s%s", (int)(mark - format), format, what, mark + 2);
	error_say(err, EINVAL, "%s (see --help)", text);
	return error_exit_status(err, EXIT_USAGE);
}

static const struct option_row *find(const struct option_row *rows, const char *word, size_t size)
{
	for (; rows->name; rows++) {
		if ((strncmp(rows->name, word, size) == 0 && rows->name[size] == '\0') ||
			(rows->letter && size == 2 && word[0] == '-' && word[1] == rows->letter)) {
			return rows;
		}
	}
	return NULL;
}

static void store(const struct option_row *row, void *target, char *value)
{
	void *field = (char *)target + row->offset;

	switch (row->kind) {
	case OPTION_FLAG: *(bool *)field = true; break;
	case OPTION_TEXT: *(const char **)field = value; break;
	case OPTION_LIST: strv_add(field, value); break;
	}
}

/* One option at argv[*i]; moves *i on past a value of its own. */
static int parse_one(const struct option_row *rows, void *target, int argc, char **argv, int *i,
	struct error *err)
{
	char *word = argv[*i], *equals = word[1] == '-' ? strchr(word, '=') : NULL;
	const struct option_row *row =
		find(rows, word, equals ? (size_t)(equals - word) : strlen(word));
	char *value = equals ? equals + 1 : NULL;

	if (!row) {
		return usage(err, "unknown option %s", word);
	}
	if (row->kind == OPTION_FLAG && value) {
		return usage(err, "option %s takes no value", row->name);
	}
	if (row->kind != OPTION_FLAG && !value) {
		if (*i + 1 >= argc) {
			return usage(err, "option %s needs a value", row->name);
		}
		value = argv[++*i];
	}
	store(row, target, value);
	return 0;
}

int options_parse(const struct option_row *rows, void *target, int argc, char **argv,
	struct strv *positional, struct error *err)
{
	bool options = true;

	for (int i = 1; i < argc; i++) {
		int r = 0;

		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (options &&
			   (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
			return 1;
		} else if (options && argv[i][0] == '-' && argv[i][1]) {
			r = parse_one(rows, target, argc, argv, &i, err);
		} else {
			strv_add(positional, argv[i]);
		}
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

void options_print(const struct option_row *rows)
{
	for (; rows->name; rows++) {
		char left[64], letter[8] = "    ";

		if (rows->letter) {
			snprintf(letter, sizeof(letter), "-%c, ", rows->letter);
		}
		snprintf(left, sizeof(left), "%s%s %s", letter, rows->name,
			rows->value ? rows->value : "");
		printf("  %-32s %s\n", left, rows->help);
	}
}
