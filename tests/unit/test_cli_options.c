/* Command lines by table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/options.h"

static struct {
	bool detach, tty;
	const char *file;
	struct strv list;
	int64_t number;
} given;

static const struct option table[] = {
	{ 'd', "detach", OPTION_FLAG, &given.detach, NULL, "Detach" },
	{ 't', "tty", OPTION_FLAG, &given.tty, NULL, "Terminal" },
	{ 'f', "file", OPTION_TEXT, &given.file, "FILE", "A file" },
	{ 'e', "env", OPTION_LIST, &given.list, "NAME=VALUE", "A variable" },
	{ 'n', "number", OPTION_INT, &given.number, "N", "A number" },
	{ 0, "hidden", OPTION_FLAG, &(bool){ false }, NULL, NULL },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

static struct error err;

/* Parses @line (blanks part words); returns the status, @words what is left, joined by blanks. */
static int parse(const char *line, bool stops, char *words, size_t size)
{
	static char kept[512];
	char *argv[32], *save = NULL;
	int argc = 0, count = 0, r;

	given.detach = given.tty = false;
	given.file = NULL;
	strv_finish(&given.list);
	given.number = 0;
	err = (struct error)ERROR_INIT;
	snprintf(kept, sizeof(kept), "%s", line);
	for (char *w = strtok_r(kept, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		argv[argc++] = w;
	}
	r = options_parse(table, NULL, stops, argc, argv, &count, &err);
	words[0] = '\0';
	for (int i = 0; r == 0 && i < count; i++) {
		size_t used = strlen(words);

		snprintf(words + used, size - used, "%s%s", i ? " " : "", argv[i]);
	}
	return r;
}

static void accepts_every_spelling_of_a_value(void **state)
{
	static const char *const lines[] = { "--file x rest", "--file=x rest", "-f x rest",
		"-fx rest", "-f=x rest", "rest --file x", "-df x rest", "-dfx rest" };
	char words[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(parse(lines[i], false, words, sizeof(words)), 0);
		assert_string_equal(given.file, "x");
		assert_string_equal(words, "rest");
	}
}

static void groups_letters_and_takes_booleans_with_values(void **state)
{
	char words[256];

	(void)state;
	assert_int_equal(parse("-dt", false, words, sizeof(words)), 0);
	assert_true(given.detach && given.tty);
	assert_int_equal(parse("--detach=false --tty=true", false, words, sizeof(words)), 0);
	assert_true(!given.detach && given.tty);
	assert_int_equal(parse("--detach false", false, words, sizeof(words)), 0);
	assert_true(given.detach);
	assert_string_equal(words, "false");
}

static void collects_repeated_options(void **state)
{
	char words[256];

	(void)state;
	assert_int_equal(parse("-e A=1 --env=B=2 -eC", false, words, sizeof(words)), 0);
	assert_int_equal(given.list.count, 3);
	assert_string_equal(given.list.items[1], "B=2");
	assert_string_equal(given.list.items[2], "C");
	strv_finish(&given.list);
}

static void ends_at_two_dashes_and_at_the_first_word_if_told(void **state)
{
	char words[256];

	(void)state;
	assert_int_equal(parse("a -- -d --file", false, words, sizeof(words)), 0);
	assert_string_equal(words, "a -d --file");
	assert_false(given.detach);
	assert_int_equal(parse("-t web ls -d --unknown", true, words, sizeof(words)), 0);
	assert_string_equal(words, "web ls -d --unknown");
	assert_true(given.tty && !given.detach);
	/* A lone dash is a word: standard input. */
	assert_int_equal(parse("- -d", false, words, sizeof(words)), 0);
	assert_string_equal(words, "-");
	assert_true(given.detach);
}

static void says_what_docker_says_about_mistakes(void **state)
{
	static const struct {
		const char *line, *message;
	} rows[] = {
		{ "--foo", "unknown flag: --foo" },
		{ "--foo=bar", "unknown flag: --foo" },
		{ "-x", "unknown shorthand flag: 'x' in -x" },
		{ "-dxt", "unknown shorthand flag: 'x' in -dxt" },
		{ "--file", "flag needs an argument: --file" },
		{ "-df", "flag needs an argument: 'f' in -df" },
		{ "-n many", "invalid argument \"many\" for \"-n, --number\" flag: not a whole "
			     "number" },
		{ "--hidden=maybe", "invalid argument \"maybe\" for \"--hidden\" flag: not a "
				    "boolean" },
		{ "--number=99999999999999999999",
			"invalid argument \"99999999999999999999\" for \"-n, --number\" flag: not "
			"a whole number" },
	};
	char words[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].line, false, words, sizeof(words)), -EINVAL);
		assert_string_equal(err.message, rows[i].message);
	}
}

static void reads_negative_numbers_as_values(void **state)
{
	char words[256];

	(void)state;
	assert_int_equal(parse("-n -1", false, words, sizeof(words)), 0);
	assert_int_equal(given.number, -1);
}

/* Every row of every command's table: a name once, a letter once, a place for the value. */
static void every_command_has_a_sound_table(void **state)
{
	(void)state;
	for (size_t c = 0; c < cli_command_count; c++) {
		const struct command *command = cli_commands[c];

		assert_non_null(command->run);
		assert_non_null(command->summary);
		assert_ptr_equal(cli_find_command(command->name), command);
		assert_true(command->most < 0 || command->most >= command->least);
		if (c > 0) {
			assert_true(strcmp(cli_commands[c - 1]->name, command->name) < 0);
		}
		for (const struct option *o = command->options; o && o->name; o++) {
			assert_non_null(o->value);
			assert_true((o->kind == OPTION_FLAG) == (o->argument == NULL) || !o->help);
			for (const struct option *p = command->options; p != o; p++) {
				assert_string_not_equal(p->name, o->name);
				assert_true(!o->letter || p->letter != o->letter);
			}
		}
	}
}

/* Every command and every flag that help shows stands in docs/cli.md. */
static void the_manual_has_every_flag(void **state)
{
	_cleanup_free_ char *manual = NULL;
	struct error error = ERROR_INIT;

	(void)state;
	if (file_read_at(AT_FDCWD, "docs/cli.md", 1 << 20, &manual, NULL, &error) < 0) {
		fail_msg("%s", error.message);
	}
	for (size_t c = 0; c < cli_command_count; c++) {
		const struct command *command = cli_commands[c];
		_cleanup_free_ char *heading = xasprintf("\n### %s\n", command->name);
		char *section = strstr(manual, heading), *end;

		assert_non_null(section);
		end = strstr(section + 1, "\n##");
		for (const struct option *o = command->options; o && o->name; o++) {
			_cleanup_free_ char *flag = xasprintf("`--%s", o->name);
			const char *found = strstr(section, flag);

			if (o->help && (!found || (end && found > end))) {
				fail_msg("docs/cli.md: %s lacks --%s", command->name, o->name);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_every_spelling_of_a_value),
		cmocka_unit_test(groups_letters_and_takes_booleans_with_values),
		cmocka_unit_test(collects_repeated_options),
		cmocka_unit_test(ends_at_two_dashes_and_at_the_first_word_if_told),
		cmocka_unit_test(says_what_docker_says_about_mistakes),
		cmocka_unit_test(reads_negative_numbers_as_values),
		cmocka_unit_test(every_command_has_a_sound_table),
		cmocka_unit_test(the_manual_has_every_flag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
